"""Whitening against the bank that whitens exactly, and against the responses themselves."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy, linregress

from microtome.errors import UnknownName, UsageError
from microtome.formulas.profile_fit import predicted_profile
from microtome.formulas.spectrum import energy_profile, principal_axes
from microtome.formulas.whitening import autocorrelation, effective_rank, responses, whitening
from spectra import CIFAR, SHAPE, covariance, turned

DEVIATION = np.sqrt(CIFAR)


def filters(count: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 27))


def maps() -> np.ndarray:
    return np.random.default_rng(2).normal(3, 1, size=(7, 3, 9, 12)).cumsum(3)


def test_the_bank_of_axes_over_lambda_whitens() -> None:
    basis = principal_axes(covariance(), SHAPE)
    bank = turned(27, 4) @ (basis.axes / basis.deviation).T  # and so does any orthogonal mixture of it
    np.testing.assert_allclose(responses(bank, covariance()).covariance, np.eye(27), atol=1e-10)
    found = whitening(energy_profile(bank, basis).energy, basis.variance, 0.1)
    slopes = (found.slope, found.slope_above, found.slope_below, *found.local_slope)
    np.testing.assert_allclose(slopes, -1, atol=1e-9)
    assert found.rank_out == pytest.approx(27, rel=1e-12) and found.unevenness < 1e-12
    assert found.rank_in == pytest.approx(np.exp(entropy(CIFAR / CIFAR.sum())), rel=1e-9)


@pytest.mark.parametrize(("power", "slope"), [(0, 0), (1, 1), (2, 2)])
def test_flat_profiles_have_slope_0_and_profiles_along_the_input_slope_1(power, slope) -> None:
    found = whitening(DEVIATION**power, CIFAR, 0.1)
    np.testing.assert_allclose([found.slope, found.slope_above, found.slope_below], slope, atol=1e-12)
    assert found.rank_out < 27


def test_above_and_below_the_top_of_a_bump_the_slopes_differ() -> None:
    """The slope over all axes says that the input is passed on; it is whitened where it is strong."""
    energy = predicted_profile(CIFAR, 200.0)
    found = whitening(energy, CIFAR, 1.2564 / 200)
    above = CIFAR > 1.2564 / 200
    for slope, chosen in ((found.slope, above | True), (found.slope_above, above), (found.slope_below, ~above)):
        assert slope == pytest.approx(linregress(np.log(DEVIATION[chosen]), np.log(energy[chosen])).slope, rel=1e-10)
    assert found.slope_above < -0.9 and found.slope_below > 0.9
    strength = energy[above] * DEVIATION[above]
    assert found.unevenness == pytest.approx(strength.std() / strength.mean(), rel=1e-12)


def test_a_local_slope_is_that_of_five_axes_and_of_fewer_at_the_ends() -> None:
    energy = predicted_profile(CIFAR, 3.0)
    found = whitening(energy, CIFAR, 0.4).local_slope
    for axis in range(27):
        near = slice(max(0, axis - 2), axis + 3)
        assert found[axis] == pytest.approx(linregress(np.log(DEVIATION[near]), np.log(energy[near])).slope, rel=1e-9)


def test_axes_without_variance_or_energy_do_not_count() -> None:
    variance, energy = np.r_[CIFAR[:9], np.zeros(18)], np.r_[1 / DEVIATION[:9], np.ones(18)]
    energy[4] = 0
    found = whitening(energy, variance, 0.1)
    assert found.slope == pytest.approx(-1) and found.slope_above == pytest.approx(-1)
    assert np.isnan(found.slope_below) and np.isnan(found.local_slope[-1])
    assert found.rank_out == pytest.approx(8)


def test_where_nothing_is_whitened_there_is_nothing_to_be_even() -> None:
    assert np.isnan(whitening(DEVIATION, CIFAR, 30.0).unevenness)
    silent = whitening(np.zeros(27), CIFAR, 0.1)
    assert np.isnan([silent.slope, silent.unevenness, silent.rank_out]).all()


def test_effective_ranks_one_knows() -> None:
    assert effective_rank(np.ones(6)) == pytest.approx(6)
    assert effective_rank(np.array([3.0, 0, 0])) == 1
    assert effective_rank(np.array([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)


def test_responses_are_those_of_a_convolution() -> None:
    images = np.random.default_rng(0).normal(size=(30, 3, 8, 8)).cumsum(3)
    windows = np.stack([images[:, :, y : y + 3, x : x + 3].reshape(30, 27) for y in range(6) for x in range(6)])
    bank = filters().reshape(6, *SHAPE)
    answers = torch.nn.functional.conv2d(torch.from_numpy(images), torch.from_numpy(bank)).numpy()
    answers = answers.transpose(1, 0, 2, 3).reshape(6, -1)
    found = responses(bank, np.cov(windows.reshape(-1, 27).T, bias=True))
    np.testing.assert_allclose(found.covariance, np.cov(answers, bias=True), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.deviation, answers.std(1), rtol=1e-9)
    np.testing.assert_allclose(found.correlation, np.corrcoef(answers), atol=1e-10)


def test_the_dead_are_those_that_hardly_respond_however_long_their_weights() -> None:
    basis = principal_axes(covariance(), SHAPE)
    bank = np.stack([*basis.axes.T[:4], basis.axes.T[26], np.zeros(27), 0.02 * basis.axes.T[0]])
    found = responses(bank, covariance())
    assert found.dead.tolist() == [False] * 4 + [True, True, False]
    assert not found.correlation[5].any()


def test_redundant_pairs_answer_alike_though_their_weights_differ() -> None:
    """What is added lies where patches hardly vary: the weights are at 60 degrees, the responses the same."""
    basis = principal_axes(covariance(), SHAPE)
    first, second, tail = basis.axes.T[1], basis.axes.T[2], np.sqrt(3) * basis.axes.T[25]
    bank = np.stack([first, second, -(first + tail), first + 0.2 * second, tail, 3 * tail])
    found = responses(bank, covariance())
    assert found.dead.tolist() == [False] * 4 + [True] * 2
    assert found.redundant().tolist() == [[0, 2], [0, 3], [2, 3]]
    assert found.redundant(0.99).tolist() == [[0, 2]]
    assert found.redundant(1.0).shape == (0, 2)


@pytest.mark.parametrize(("centre", "axes"), [("none", None), ("channel", (0, 2, 3)), ("image", (2, 3))])
def test_autocorrelations_are_those_of_a_slow_loop(centre, axes) -> None:
    values = maps() - (maps().mean(axes, keepdims=True) if axes else 0)
    found = autocorrelation(maps(), 4, centre)
    power = np.mean([values[n, c, y, x] ** 2 for n, c, y, x in np.ndindex(values.shape)])
    for shift in range(5):
        for step, curve in (((0, shift), found.horizontal), ((shift, 0), found.vertical)):
            products = [values[n, c, y, x] * values[n, c, y + step[0], x + step[1]]
                        for n, c, y, x in np.ndindex(7, 3, 9 - step[0], 12 - step[1])]  # fmt: skip
            assert curve[shift] == pytest.approx(np.mean(products) / power, rel=1e-12)
    np.testing.assert_allclose(found.mean, (found.horizontal + found.vertical) / 2)
    assert found.mean[0] == 1


def test_noise_has_no_autocorrelation_and_stripes_have_their_own() -> None:
    noise = autocorrelation(np.random.default_rng(0).normal(size=(50, 2, 30, 30)))
    assert np.abs(noise.mean[1:]).max() < 0.02
    stripes = np.tile(np.array([1.0, 1, -1, -1]), (1, 1, 8, 4))
    found = autocorrelation(stripes, 4)
    np.testing.assert_allclose(found.vertical, 1)
    np.testing.assert_allclose(found.horizontal, [1, 1 / 15, -1, -1 / 13, 1], atol=1e-12)


def test_constant_maps_have_none() -> None:
    assert np.isnan(autocorrelation(np.full((2, 1, 5, 5), 0.3), 2).mean).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="27 weights each, and the covariance shape .9, 9.. The covariance has a row"):
        responses(filters(), np.eye(9))
    with pytest.raises(UsageError, match="distance is 9 pixels, and the maps are 9 x 12. It must be below 9. Choose a"):
        autocorrelation(maps(), 9)
    with pytest.raises(UnknownName, match="Centre 'batch' does not exist. There are: none, channel, image"):
        autocorrelation(maps(), 3, "batch")
