"""Principal axes and energy profiles, against patches, convolutions and identities."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from microtome.errors import UnknownName, UsageError
from microtome.formulas.spectrum import (
    Basis,
    energy_profile,
    near_degenerate,
    normalised,
    pooled,
    principal_axes,
    profile_correlation,
)
from spectra import CIFAR, SHAPE, covariance, turned

IMAGES = np.random.default_rng(3).normal(size=(40, 3, 12, 10)).cumsum(2).cumsum(3)  # smooth, as photographs are


def patches(kernel: tuple[int, int]) -> np.ndarray:
    """All windows, one loop step each. Shapes: -> (P, D)."""
    height, width = 13 - kernel[0], 11 - kernel[1]
    windows = [IMAGES[:, :, y : y + kernel[0], x : x + kernel[1]] for y in range(height) for x in range(width)]
    return np.concatenate([window.reshape(len(IMAGES), -1) for window in windows])


def basis_of(kernel: tuple[int, int]) -> Basis:
    return principal_axes(np.cov(patches(kernel).T, bias=True), (3, *kernel))


@pytest.fixture
def basis() -> Basis:
    return principal_axes(covariance(), SHAPE)


def filters(count: int = 16, size: int = 27, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, size))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5)])
def test_axes_are_orthonormal_and_give_the_covariance_back(kernel) -> None:
    basis, wanted = basis_of(kernel), np.cov(patches(kernel).T, bias=True)
    np.testing.assert_allclose(basis.axes.T @ basis.axes, np.eye(len(wanted)), atol=1e-12)
    back = (basis.axes * basis.variance) @ basis.axes.T
    np.testing.assert_allclose(back, wanted, atol=1e-12 * np.abs(wanted).max())
    assert (np.diff(basis.variance) <= 0).all()


def test_variances_are_those_of_the_patches_along_the_axes() -> None:
    basis, windows = basis_of((3, 3)), patches((3, 3))
    along = (windows - windows.mean(0)) @ basis.axes
    np.testing.assert_allclose(basis.variance, (along**2).mean(0), rtol=1e-9)
    np.testing.assert_allclose(basis.deviation, along.std(0), rtol=1e-9)
    np.testing.assert_allclose(basis.share, along.var(0) / along.var(0).sum(), rtol=1e-9)


@pytest.mark.parametrize("kernel", [(3, 3), (2, 5)])
def test_a_convolution_with_an_axis_has_its_variance(kernel) -> None:
    """Ties the order of the entries to that of torch's kernels."""
    basis = basis_of(kernel)
    maps = torch.nn.functional.conv2d(torch.from_numpy(IMAGES), torch.from_numpy(basis.patterns.copy())).numpy()
    np.testing.assert_allclose(maps.var((0, 2, 3)), basis.variance, rtol=1e-9)


def test_the_largest_entry_of_an_axis_is_positive_and_of_equal_ones_the_first() -> None:
    axes = basis_of((3, 3)).axes
    assert (axes.max(0) == np.abs(axes).max(0)).all()
    two = principal_axes(np.array([[2.0, -1.0], [-1.0, 2.0]]), (2, 1, 1))
    np.testing.assert_allclose(two.axes, np.sqrt(0.5) * np.array([[1, 1], [-1, 1]]), atol=1e-15)


def test_grey_pictures_stored_as_colour_vary_along_a_third_of_the_axes() -> None:
    grey = np.repeat(patches((3, 3)).reshape(-1, 3, 9)[:, :1], 3, axis=1).reshape(-1, 27)
    assert principal_axes(np.cov(grey.T, bias=True), SHAPE).rank == 9
    assert basis_of((3, 3)).rank == 27


def test_rounding_leaves_no_variance_below_zero_and_constant_pictures_have_none() -> None:
    flat = covariance(np.r_[np.ones(5), np.zeros(22)])
    assert principal_axes(flat, SHAPE).variance.min() == 0
    nothing = principal_axes(np.zeros((27, 27)), SHAPE)
    assert nothing.rank == 0 and not nothing.share.any()


def test_energies_are_the_root_mean_square_of_the_projections(basis) -> None:
    bank = filters()
    profile = energy_profile(bank, basis)
    for axis in range(27):
        along = [sum(weight * basis.axes[place, axis] for place, weight in enumerate(row)) for row in bank]
        np.testing.assert_allclose(profile.squares[:, axis], np.square(along), rtol=1e-10, atol=1e-14)
        assert profile.energy[axis] == pytest.approx(np.sqrt(np.mean(np.square(along))), rel=1e-12)
    from_kernels = energy_profile(bank.reshape(16, *SHAPE), basis)
    assert np.array_equal(from_kernels.energy, profile.energy)
    assert np.array_equal(profile.deviation, np.sqrt(basis.variance))


def test_squares_of_energies_add_up_to_the_mean_squared_norm(basis) -> None:
    bank = filters()
    assert (energy_profile(bank, basis).energy ** 2).sum() == pytest.approx((bank**2).sum() / 16, rel=1e-12)


def test_a_profile_does_not_know_the_order_the_signs_or_a_mixture_of_the_filters(basis) -> None:
    bank, wanted = filters(), energy_profile(filters(), basis).energy
    signs = np.where(np.arange(16) % 3, 1, -1)[:, None]
    for other in (bank[::-1], signs * bank, turned(16) @ bank):
        np.testing.assert_allclose(energy_profile(other, basis).energy, wanted, rtol=1e-12)
    np.testing.assert_allclose(energy_profile(-2.5 * bank, basis).energy, 2.5 * wanted, rtol=1e-12)


def test_filters_that_are_the_axes_have_one_axis_each_and_only_in_the_right_order(basis) -> None:
    profile = energy_profile(basis.axes.T, basis)
    np.testing.assert_allclose(profile.squares, np.eye(27), atol=1e-12)
    np.testing.assert_allclose(profile.energy, 1 / np.sqrt(27), rtol=1e-12)
    np.testing.assert_allclose(profile.centroid, np.arange(27), atol=1e-10)
    other_order = basis.patterns.transpose(0, 2, 3, 1).reshape(27, 27)
    assert np.diag(energy_profile(other_order, basis).squares).max() < 0.9


def test_shares_of_a_filter_add_up_to_one_and_are_zero_for_a_filter_of_zeros(basis) -> None:
    bank = np.insert(filters(3), 1, 0, axis=0)
    profile = energy_profile(bank, basis)
    np.testing.assert_allclose(profile.shares.sum(1), [1, 0, 1, 1], atol=1e-14)
    assert np.isnan(profile.centroid).tolist() == [False, True, False, False]


def test_scales() -> None:
    energy = np.array([[1.0, 3.0, 4.0, 2.0], [0, 0, 0, 0]])
    assert np.array_equal(normalised(energy, "none"), energy)
    np.testing.assert_allclose(normalised(energy, "max")[0], [0.25, 0.75, 1, 0.5])
    np.testing.assert_allclose(normalised(energy, "sum")[0], [0.1, 0.3, 0.4, 0.2])
    assert (normalised(energy, "l2")[0] ** 2).sum() == pytest.approx(1)
    assert not normalised(energy, "max")[1].any()
    with pytest.raises(UnknownName, match="Scale 'l1' does not exist"):
        normalised(energy, "l1")


def test_a_group_ends_where_the_variance_has_fallen_by_a_quarter_of_its_first() -> None:
    variance = np.array([8, 7, 6, 5.9, 4.5, 1, 0.8, 0, 0])
    assert near_degenerate(variance).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert near_degenerate(variance, 0).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7]


def test_pooling_gives_every_member_the_root_mean_square_of_its_group() -> None:
    variance, energy = np.array([8, 7, 6, 5.9, 4.5, 1]), np.array([[3.0, 4, 5, 1, 7, 2], [1, 1, 1, 2, 2, 3]])
    first = np.sqrt([50 / 3, 50 / 3, 50 / 3, 25, 25, 4])
    np.testing.assert_allclose(pooled(energy, variance), [first, [1, 1, 1, 2, 2, 3]], rtol=1e-14)
    assert (pooled(energy, variance) ** 2).sum() == pytest.approx((energy**2).sum())


def test_pooling_undoes_the_turning_of_degenerate_axes() -> None:
    """Two equal variances: any two axes in their plane are principal axes, and profiles differ, but not pooled ones."""
    variance = np.array([9.0, 4, 4, 1])
    bank = filters(8, 4)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[0.6, -0.8], [0.8, 0.6]]
    one, other = (energy_profile(bank, Basis(variance=variance, axes=axes, shape=(1, 2, 2))).energy
                  for axes in (np.eye(4), turn))  # fmt: skip
    assert np.abs(one - other).max() > 0.05
    np.testing.assert_allclose(pooled(one, variance), pooled(other, variance), rtol=1e-12)


def test_correlations_of_profiles_are_those_of_numpy_and_scipy() -> None:
    energies = np.abs(filters(4))
    np.testing.assert_allclose(profile_correlation(energies), np.corrcoef(energies), atol=1e-13)
    ranks = spearmanr(energies, axis=1).statistic
    np.testing.assert_allclose(profile_correlation(energies, "spearman"), ranks, atol=1e-13)
    with_pooling = profile_correlation(energies, variance=CIFAR)
    np.testing.assert_allclose(with_pooling, np.corrcoef(pooled(energies, CIFAR)), atol=1e-13)
    with pytest.raises(UnknownName, match="Method 'kendall' does not exist"):
        profile_correlation(energies, "kendall")


def test_a_covariance_of_another_size_and_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"shape \(27, 27\). Patches of 3 x 5 x 5 numbers have one of shape \(75, 75\)"
    ):
        principal_axes(covariance(), (3, 5, 5))
    broken = covariance()
    broken[3, 3] = np.nan
    with pytest.raises(UsageError, match="not finite. Principal axes are those of finite numbers. Look for NaN"):
        principal_axes(broken, SHAPE)


@pytest.mark.parametrize("shape", [(16, 75), (16, 3, 5, 5), (16, 3, 9), (0, 27)])
def test_filters_of_another_shape_are_refused(basis, shape) -> None:
    with pytest.raises(UsageError, match=r"Along these axes go \(K, 3, 3, 3\) or \(K, 27\), K at least 1"):
        energy_profile(np.zeros(shape), basis)
