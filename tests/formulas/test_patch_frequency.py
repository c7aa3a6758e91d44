"""Colour and frequency of patterns against cosines, gratings that are convolved, and slow sums."""

import numpy as np
import pytest
import torch
from scipy.fft import idct

from microtome.errors import UnknownName, UsageError
from microtome.formulas.patch_frequency import (
    NAMED,
    Colours,
    colour_axes,
    described,
    frequencies,
    frequency_response,
)
from microtome.formulas.spectrum import principal_axes
from microtome.formulas.templates import bank
from spectra import turned

COSINES = np.einsum("fy,gx->fgyx", *(idct(np.eye(3), norm="ortho", axis=1),) * 2).reshape(9, 3, 3)
OPPONENT = Colours(names=tuple(NAMED), axes=np.stack(list(NAMED.values()), axis=1))
GREY = Colours(names=("luminance",), axes=np.ones((1, 1)))


def smooth_covariance() -> np.ndarray:
    """Pixels that correlate with their neighbours, of colours along the named axes: variances 9, 1 and 0.1."""
    place = np.array([(y, x) for y in range(3) for x in range(3)])
    near = 0.9 ** np.abs(place[:, None] - place).sum(-1)
    return np.kron((OPPONENT.axes * [9, 1, 0.1]) @ OPPONENT.axes.T, near)


def grating(side: int, down: float, right: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.cos(2 * np.pi * (down * y + right * x))


def test_the_colour_axes_of_pixels_get_their_names_and_signs() -> None:
    found = colour_axes(smooth_covariance(), (3, 3, 3))
    assert found.names == ("luminance", "yellow-blue", "red-green")
    np.testing.assert_allclose(found.axes, OPPONENT.axes, atol=1e-12)


def test_names_go_with_directions_and_not_with_variances() -> None:
    variances = np.kron((OPPONENT.axes * [0.1, 1, 9]) @ OPPONENT.axes.T, np.eye(4))
    assert colour_axes(variances, (3, 2, 2)).names == ("red-green", "yellow-blue", "luminance")
    nearly = np.kron(np.diag([1.0, 2, 3]), np.eye(4))  # single channels are along no name, but get one each
    assert set(colour_axes(nearly, (3, 2, 2)).names) == set(NAMED)


def test_colour_axes_are_those_of_pixels_on_their_own() -> None:
    pixels = np.random.default_rng(0).normal(size=(5000, 3)) @ turned(3) * [3, 2, 1]
    patches = pixels.reshape(-1, 4, 3).transpose(0, 2, 1).reshape(-1, 12)  # 2 x 2 of them
    found = colour_axes(np.cov(patches.T, bias=True), (3, 2, 2))
    wanted = principal_axes(sum(np.cov(patches[:, place::4].T, bias=True) for place in range(4)) / 4, (3, 1, 1))
    np.testing.assert_allclose(np.abs(found.axes.T @ wanted.axes), np.eye(3), atol=1e-12)


@pytest.mark.parametrize(("channels", "names"), [(1, ("luminance",)), (2, ("colour axis 0", "colour axis 1"))])
def test_other_numbers_of_channels_have_names_too(channels, names) -> None:
    found = colour_axes(np.eye(channels * 4), (channels, 2, 2))
    assert found.names == names
    shares = described(np.ones((1, channels, 2, 2)), found)
    assert np.isnan(shares.luminance).all() == (channels == 2)


def test_patterns_of_one_colour_lie_along_one_axis() -> None:
    patterns = np.einsum("ca,fyx->afcyx", OPPONENT.axes, COSINES).reshape(27, 3, 3, 3)
    found = described(patterns, OPPONENT)
    np.testing.assert_allclose(found.colour_shares, np.kron(np.eye(3), np.ones((9, 1))), atol=1e-12)
    assert found.colour.tolist() == [0] * 9 + [1] * 9 + [2] * 9
    np.testing.assert_allclose(found.luminance, [1] * 9 + [0] * 18, atol=1e-12)
    # one channel lies along (1, 1, 1) / sqrt 3 to a third
    blue = described(np.array([0, 0, 1.0]).reshape(1, 3, 1, 1) * COSINES[3], OPPONENT)
    np.testing.assert_allclose(blue.colour_shares[0], [1 / 3, 2 / 3, 0], atol=1e-12)


def test_principal_axes_of_smooth_colours_are_never_mixed() -> None:
    covariance = smooth_covariance()
    basis = principal_axes(covariance, (3, 3, 3))
    shares = described(basis.patterns, colour_axes(covariance, basis.shape)).colour_shares
    np.testing.assert_allclose(shares.max(1), 1, atol=1e-9)


def test_frequencies_are_means_over_a_slow_fourier_sum() -> None:
    patterns = np.random.default_rng(0).normal(size=(3, 2, 3, 4))
    found = described(patterns, Colours(names=("a", "b"), axes=turned(2)))
    steps = np.arange(-16, 16) / 32
    power, length = np.zeros((3, 32, 32)), np.hypot(steps[:, None], steps)
    for i, down in enumerate(steps):
        for j, right in enumerate(steps):
            wave = np.exp(-2j * np.pi * (down * np.arange(3)[:, None] + right * np.arange(4)))
            power[:, i, j] = (np.abs((patterns * wave).sum((2, 3))) ** 2).sum(1)
    np.testing.assert_allclose(found.frequency, (power * length).sum((1, 2)) / power.sum((1, 2)), rtol=1e-12)


@pytest.mark.parametrize(("down", "right", "angle"), [(0.25, 0, 0), (0, 0.25, 90), (0.2, 0.2, 45), (-0.2, 0.2, 135)])
def test_gratings_have_their_frequency_and_the_orientation_of_their_stripes(down, right, angle) -> None:
    found = described(grating(16, down, right)[None, None], GREY)
    assert found.frequency[0] == pytest.approx(np.hypot(down, right), abs=0.01)
    assert found.orientation[0] == pytest.approx(angle, abs=1) or found.orientation[0] == pytest.approx(
        angle + 180, abs=1
    )
    assert found.oriented[0] > 0.8


def test_orientations_are_those_of_lines() -> None:
    lines = bank(7)
    chosen = [number for number, kind in enumerate(lines.kinds) if kind == "line" and lines.offset[number] == 0]
    found = described(lines.patterns[chosen][:, None], GREY)
    apart = np.mod(found.orientation - lines.theta[chosen] + 90, 180) - 90
    assert len(chosen) == 16 and np.abs(apart).max() < 5  # lines end at the border of a square


def test_what_is_the_same_in_all_directions_is_not_oriented() -> None:
    blob = np.outer(*(np.hanning(9),) * 2)
    found = described(np.stack([blob, np.zeros((9, 9))])[:, None], GREY)
    assert found.oriented[0] < 1e-6
    assert np.isnan([found.frequency[1], found.orientation[1], found.oriented[1], found.luminance[1]]).all()


def test_patterns_are_ordered_by_variance_or_from_low_to_high_frequency() -> None:
    found = described(COSINES[::-1, None], GREY)
    assert found.order("variance").tolist() == list(range(9))
    by_frequency = found.order("frequency")
    assert (np.diff(found.frequency[by_frequency]) >= -1e-9).all()
    assert by_frequency[0] == 8 and by_frequency[-1] == 0  # the constant and the checkerboard
    assert by_frequency[1:3].tolist() == [5, 7]  # the same pattern turned: as they were
    with pytest.raises(UnknownName, match="Order 'size' does not exist"):
        found.order("size")


@pytest.mark.parametrize("kernel", [(3, 3), (5, 4)])
def test_the_response_is_the_squared_gain_for_gratings(kernel) -> None:
    """A grating of one colour is convolved: the amplitude that comes out is the gain."""
    weights, colours = np.random.default_rng(1).normal(size=(6, 3, *kernel)), OPPONENT
    found = frequency_response(weights, colours)
    down, right = frequencies(centred=True)
    for axis, row, column in ((0, 16, 16), (1, 20, 16), (2, 9, 27), (0, 3, 30)):
        y, x = np.mgrid[:32, :32]
        wave = np.exp(2j * np.pi * (down[row, column] * y + right[row, column] * x))
        image = torch.from_numpy(colours.axes[:, axis, None, None] * wave)[None]
        answer = torch.nn.functional.conv2d(image, torch.from_numpy(weights).to(image.dtype)).numpy()
        assert found[axis, row, column] == pytest.approx((np.abs(answer[0]) ** 2).mean((1, 2)).mean(), rel=1e-10)


def test_the_mean_of_the_response_is_the_mean_squared_norm() -> None:
    weights = np.random.default_rng(1).normal(size=(6, 3, 7, 7))
    found = frequency_response(weights, OPPONENT)
    assert found.shape == (3, 32, 32)
    assert found.mean((1, 2)).sum() == pytest.approx((weights**2).sum() / 6, rel=1e-12)


def test_kernels_of_other_sizes_with_the_same_filter_have_the_same_response() -> None:
    small = np.random.default_rng(1).normal(size=(6, 3, 3, 3))
    large = np.pad(small, ((0, 0), (0, 0), (2, 2), (1, 3)))
    np.testing.assert_allclose(frequency_response(large, OPPONENT), frequency_response(small, OPPONENT), atol=1e-10)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"shape \(27, 27\). Patches of 3 x 5 x 5 numbers have one of shape \(75, 75\)"
    ):
        colour_axes(np.eye(27), (3, 5, 5))
    with pytest.raises(
        UsageError, match=r"shape \(4, 1, 3, 3\). With 3 colour axes they have shape \(number, 3, height"
    ):
        described(np.ones((4, 1, 3, 3)), OPPONENT)
    with pytest.raises(
        UsageError, match="33 x 5 pixels. A spectrum of side 32 is that of patterns of 32 x 32 pixels at"
    ):
        frequency_response(np.ones((4, 3, 33, 5)), OPPONENT)
