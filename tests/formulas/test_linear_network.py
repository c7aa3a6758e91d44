"""The closed form against gradient descent by autograd, and theory against mosaics of independent patches."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from microtome.errors import UsageError
from microtome.formulas.linear_network import (
    HALF_NORMAL,
    Averages,
    average_patches,
    energy_in_quadrature,
    filters_after,
    gap_profile,
    grown,
    independence,
    independent_profile,
)
from microtome.formulas.profile_fit import fit_profile
from microtome.formulas.spectrum import Basis, energy_profile, principal_axes
from spectra import SHAPE, covariance

FILTERS, SHOWN, PATCHES = 4, 20_000, 36  # of a network; mosaics; patches a mosaic, 6 x 6
STEPS = (1, 10, 100, 1000, 10_000, 100_000)


def pictures(count: int = 60, side: int = 9) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, side, side)).cumsum(2).cumsum(3) / side


def windows(images: np.ndarray) -> np.ndarray:
    """All windows of 3 x 3 pixels. Shapes: (N, 3, 9, 9) -> (P, 27)."""
    places = [(y, x) for y in range(7) for x in range(7)]
    return np.concatenate([images[:, :, y : y + 3, x : x + 3].reshape(-1, 27) for y, x in places])


def descended(
    images: np.ndarray, targets: np.ndarray, start: np.ndarray, rate: float, steps: int,
    readout: np.ndarray | None = None, stride: int = 1, kind: torch.dtype = torch.float64,
) -> np.ndarray:  # fmt: skip
    """Filters after full-batch gradient descent on the network itself. Shapes: start (K, C, kh, kw) -> the same."""
    shown, wanted = torch.from_numpy(images).to(kind), torch.from_numpy(targets).to(kind)
    mixing = torch.ones(1, len(start)) if readout is None else torch.from_numpy(readout)
    weights = torch.from_numpy(start).to(kind).requires_grad_()
    for _ in range(steps):
        answers = torch.nn.functional.conv2d(shown, weights, stride=stride).mean((2, 3)) @ mixing.to(kind).T
        (slope,) = torch.autograd.grad(((wanted - answers) ** 2).sum(1).mean(), weights)
        weights = (weights - rate * slope).detach().requires_grad_()
    return weights.detach().double().numpy()


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def stable(images: np.ndarray, gain: float) -> float:
    """Half the largest learning rate."""
    patches = average_patches(images, (3, 3))
    return 0.5 / (gain * np.linalg.eigvalsh(patches.T @ patches / len(patches))[-1])


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), 1), ((2, 5), 1), ((3, 3), 3), ((4, 2), 2)])
def test_a_filter_times_the_average_patch_is_the_average_of_its_map(kernel, stride) -> None:
    images, weights = pictures(), np.random.default_rng(1).normal(size=(5, 3, *kernel))
    maps = torch.nn.functional.conv2d(torch.from_numpy(images), torch.from_numpy(weights), stride=stride)
    found = average_patches(images, kernel, stride) @ weights.reshape(5, -1).T
    np.testing.assert_allclose(found, maps.mean((2, 3)).numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kind", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_the_closed_form_is_gradient_descent(kind, bound) -> None:
    random = np.random.default_rng(1)
    images, targets, start = pictures(), random.normal(size=(60, 1)), 0.1 * random.normal(size=(5, *SHAPE))
    rate = stable(images, 5)
    found = filters_after(start.reshape(5, 27), Averages.of(average_patches(images, (3, 3)), targets), rate, 150)
    wanted = descended(images, targets, start, rate, 150, kind=kind).reshape(5, 27)
    assert off(found, wanted) < bound
    assert off(start.reshape(5, 27), wanted) > 0.1  # they have moved


@pytest.mark.parametrize(("kind", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_so_it_is_with_several_targets_and_any_readout(kind, bound) -> None:
    random = np.random.default_rng(2)
    images, targets, start = pictures(), random.normal(size=(60, 3)), 0.1 * random.normal(size=(8, *SHAPE))
    readout = random.normal(size=(3, 8))
    rate = stable(images, np.linalg.eigvalsh(readout @ readout.T)[-1])
    averages = Averages.of(average_patches(images, (3, 3)), targets)
    found = filters_after(start.reshape(8, 27), averages, rate, 150, readout)
    wanted = descended(images, targets, start, rate, 150, readout, kind=kind).reshape(8, 27)
    assert off(found, wanted) < bound
    assert off(start.reshape(8, 27), wanted) > 0.1


def test_what_filters_begin_with_is_added_in_quadrature() -> None:
    random = np.random.default_rng(3)
    images, targets, start = pictures(), random.normal(size=(60, 1)), 0.1 * random.normal(size=(6, 27))
    averages, basis = Averages.of(average_patches(images, (3, 3)), targets), principal_axes(covariance(), SHAPE)
    after = filters_after(start, averages, stable(images, 6), 100)
    wanted = energy_profile(after, basis).energy
    found = energy_in_quadrature(start, after.mean(0), basis.axes)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    added = energy_in_quadrature(start, 0 * after[0], basis.axes) + np.abs(after.mean(0) @ basis.axes)
    assert off(added, wanted) > 0.1  # not linearly


def test_the_profile_of_given_targets_is_that_of_filters_that_began_at_zero() -> None:
    images, basis = pictures(), principal_axes(covariance(), SHAPE)
    targets = np.random.default_rng(4).normal(size=(60, 3))
    patches, rate = average_patches(images, (3, 3)), stable(pictures(), FILTERS)
    banks = [
        filters_after(np.zeros((FILTERS, 27)), Averages.of(patches, each[:, None]), rate, 40) for each in targets.T
    ]
    averages = Averages.of(patches, targets)
    found = gap_profile(basis.axes, averages.second, 2 * FILTERS * rate, 40, averages.cross) / FILTERS
    np.testing.assert_allclose(found, energy_profile(np.concatenate(banks), basis).energy, rtol=1e-9)


def test_the_profile_of_random_targets_is_that_of_many_draws_on_images_whose_patches_depend_on_each_other() -> None:
    images = pictures(400)
    basis, rate = principal_axes(np.cov(windows(images).T, bias=True), SHAPE), 2 * FILTERS * stable(images, FILTERS)
    patches = average_patches(images, (3, 3))
    averages = Averages.of(patches, np.random.default_rng(5).normal(0, 0.7, size=(400, 4000)))
    for steps in (1, 30, 1000):
        wanted = gap_profile(basis.axes, averages.second, rate, steps, averages.cross)
        found = gap_profile(basis.axes, averages.second, rate, steps) * 0.7 / np.sqrt(400)
        assert off(found, wanted) < 0.03 and np.corrcoef(found, wanted)[0, 1] > 0.999


def test_weights_without_curvature_go_on_and_on() -> None:
    curvature = np.array([0.0, 1e-14, 0.5, 1.2])
    found, gone = grown(curvature, 0.9, 7), np.zeros(4)
    for _ in range(7):
        gone += 0.9 * (1 - curvature * gone)
    np.testing.assert_allclose(found, gone, rtol=1e-12)


def test_a_learning_rate_at_which_descent_diverges_is_refused() -> None:
    averages = Averages(second=np.eye(4), cross=np.ones((1, 4)))
    with pytest.raises(UsageError, match="Learning rate times curvature is 2.4"):
        filters_after(np.zeros((4, 4)), averages, 0.3, 5)
    with pytest.raises(UsageError, match="kernel has 5 x 3 pixels, and the images 4 x 9. A window has to lie inside"):
        average_patches(np.zeros((2, 3, 4, 9)), (5, 3))


# --- mosaics: images whose patches are independent, as the theorem supposes


@lru_cache
def mosaics() -> tuple[Basis, np.ndarray]:
    """The axes of all patches, and each mosaic's average patch, from mosaics that are put together patch by patch."""
    random, root = np.random.default_rng(6), np.linalg.cholesky(covariance())
    total, averaged = np.zeros((27, 27)), []
    for _ in range(10):
        patches = random.normal(size=(SHOWN // 10, PATCHES, 27)) @ root.T
        flat = patches.reshape(-1, 27)
        total += flat.T @ flat / (SHOWN * PATCHES)
        averaged.append(average_patches(put_together(patches), (3, 3), stride=3))
    return principal_axes(total, SHAPE), np.concatenate(averaged)


def put_together(patches: np.ndarray) -> np.ndarray:
    """Shapes: (N, 36, 27) -> (N, 3, 18, 18)."""
    tiles = patches.reshape(-1, 6, 6, *SHAPE)
    return tiles.transpose(0, 3, 1, 4, 2, 5).reshape(-1, 3, 18, 18)


@lru_cache
def learnt(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Profiles after training to each of 1,000 sets of random labels, and what theory says: no fit. Shapes: (T, D)."""
    basis, averaged = mosaics()
    labels = np.random.default_rng(7).choice([-1.0, 1.0], (SHOWN, 1000)).astype(np.float32)
    averages = Averages(second=averaged.T @ averaged / SHOWN, cross=(labels.T @ averaged.astype(np.float32) / SHOWN))
    rate = 0.5 / (2 * FILTERS * basis.variance[0] / PATCHES)
    each = [gap_profile(basis.axes, averages.second, 2 * FILTERS * rate, steps, row[None]) for row in averages.cross]
    return np.array(each) / FILTERS, independent_profile(basis.variance, rate, steps, PATCHES, SHOWN, FILTERS)


@pytest.mark.parametrize("steps", STEPS)
def test_on_independent_patches_theory_holds_on_average_in_shape_and_in_absolute_value(steps) -> None:
    profiles, theory = learnt(steps)
    over_draws = np.sqrt((profiles**2).mean(0))
    assert np.corrcoef(over_draws, theory)[0, 1] > 0.999
    assert np.corrcoef(profiles.mean(0), theory)[0, 1] > 0.99
    assert np.sqrt(np.mean((over_draws / theory - 1) ** 2)) < 0.05
    assert np.mean(profiles.mean(0) / over_draws) == pytest.approx(HALF_NORMAL, abs=0.01)


def test_of_one_set_of_labels_theory_explains_far_less() -> None:
    """Amplitudes are |x| of a normal x, and their scatter does not shrink with the number of images."""
    profiles, theory = learnt(1000)
    assert 0.5 < np.mean([np.corrcoef(profile, theory)[0, 1] for profile in profiles]) < 0.85
    np.testing.assert_allclose(profiles.std(0) / profiles.mean(0), np.sqrt(np.pi / 2 - 1), rtol=0.1)


def test_the_fit_of_s_finds_rate_times_steps() -> None:
    basis, _ = mosaics()
    profiles, _ = learnt(100)
    fit = fit_profile(np.sqrt((profiles**2).mean(0)), basis.variance)
    assert fit.s == pytest.approx(0.5 / basis.variance[0] * 100, rel=0.05) and fit.r > 0.999 and fit.r2 > 0.998


def test_mosaics_are_independent_and_pictures_are_not() -> None:
    basis, averaged = mosaics()
    np.testing.assert_allclose(independence(averaged.T @ averaged / SHOWN, basis, PATCHES), 1, atol=0.05)
    images = pictures(2000) - pictures(2000).mean(0)
    own = principal_axes(np.cov(windows(images).T, bias=True), SHAPE)
    patches = average_patches(images, (3, 3))
    found = independence(patches.T @ patches / 2000, own, 49)
    along = ((patches @ own.axes) ** 2).mean(0) * 49 / ((windows(images) @ own.axes) ** 2).mean(0)
    assert found[0] > 10 and off(found, along) < 0.05


def test_the_document_s_power_of_eta_is_one_that_gradient_descent_does_not_have() -> None:
    """Descent itself on mosaics with known labels, at two rates to the same s: the filters are the same, while eta^-2
    would make them 16 times as large at a quarter of the rate, and wrong in absolute value at both.
    """
    basis, _ = mosaics()
    random = np.random.default_rng(8)
    images = put_together(random.normal(size=(300, PATCHES, 27)) * basis.deviation @ basis.axes.T)
    targets = random.choice([-1.0, 1.0], (300, 1))
    averages = Averages.of(average_patches(images, (3, 3), 3), targets)
    own = principal_axes(averages.second, SHAPE)  # along which each weight learns on its own
    curvature, pull = own.variance, np.abs(averages.cross @ own.axes)[0]
    measured, document = [], []
    for rate, steps in ((0.1, 20), (0.025, 80)):
        eta = rate / curvature[0]
        after = descended(images, targets, np.zeros((FILTERS, *SHAPE)), eta / (2 * FILTERS), steps, stride=3)
        measured.append(energy_profile(after, own).energy * FILTERS)
        share = 1 - (1 - eta * curvature) ** steps
        np.testing.assert_allclose(share / curvature * pull, measured[-1], rtol=1e-8)
        document.append(share / (eta**2 * curvature) * pull)
    np.testing.assert_allclose(measured[1] / measured[0], 1, rtol=0.02)
    np.testing.assert_allclose(document[1] / document[0], 16, rtol=0.02)
    assert np.divide(document, measured).min() > 10
