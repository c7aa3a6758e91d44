"""Pictures of reconstructions, number by number."""

import numpy as np
import pytest

from microtome.errors import UnknownName, UsageError
from microtome.figures import signed_to_rgb
from microtome.formulas.rendering import GREY, rendered

MODES, SCALES, PERCENTILES = ("symmetric", "minmax", "absolute"), ("map", "sheet"), (None, 99.5, 50.0, 0.0, 100.0)


def maps(count: int = 3, channels: int = 3) -> np.ndarray:
    """Signed, of unequal scale, and mostly 0 around the middle."""
    out = np.random.default_rng(0).normal(size=(count, channels, 6, 7)) * np.arange(1, count + 1)[:, None, None, None]
    out[:, :, :2] = 0
    return out


def slow(values: np.ndarray, mode: str, per: str, percentile: float | None) -> np.ndarray:
    """One number after the other."""
    if mode == "absolute":
        values = np.linalg.norm(values, axis=1, keepdims=True)
    out = np.zeros((len(values), *values.shape[2:], 3), np.uint8)
    for unit, row, column, colour in np.ndindex(out.shape):
        scale = values if per == "sheet" else values[unit]
        value = values[unit, colour if values.shape[1] == 3 else 0, row, column]
        if mode == "minmax":
            share = (value - scale.min()) / (scale.max() - scale.min())
        else:
            magnitudes = sorted(abs(v) for v in scale.ravel() if v)
            full = np.percentile(magnitudes, 100 if percentile is None else percentile)
            share = 0.5 * (1 + value / full) if mode == "symmetric" else value / full
        out[unit, row, column, colour] = round(255 * min(max(share, 0), 1))
    return out


@pytest.mark.parametrize("percentile", PERCENTILES)
@pytest.mark.parametrize("per", SCALES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_a_picture_is_what_a_slow_loop_makes(mode, channels, per, percentile) -> None:
    found = rendered(maps(channels=channels), mode, per, percentile)
    assert found.shape == (3, 6, 7, 3) and found.dtype == np.uint8
    expected = slow(maps(channels=channels), mode, per, percentile)
    assert np.abs(found.astype(int) - expected).max() <= 1  # where the last bit decides how a half is rounded
    assert (found != expected).mean() < 0.02


@pytest.mark.parametrize("per", SCALES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("mode", "shown"), [("symmetric", GREY), ("minmax", GREY), ("absolute", 0)])
def test_zeros_are_grey_or_without_magnitude_black(mode, shown, channels, per) -> None:
    assert (rendered(np.zeros((2, channels, 4, 5)), mode, per) == shown).all() and GREY == 128


@pytest.mark.parametrize("per", SCALES)
@pytest.mark.parametrize("value", [-3.0, 1e-300, 5e-324, 1e300])
@pytest.mark.parametrize(("mode", "shown"), [("symmetric", None), ("minmax", GREY), ("absolute", 255)])
def test_a_constant_divides_by_nothing(mode, shown, value, per) -> None:
    found = rendered(np.full((2, 3, 4, 5), value), mode, per)
    assert (found == (shown if shown is not None else 255 * (value > 0))).all()


def test_symmetric_has_0_at_grey_and_both_ends_full() -> None:
    found = rendered(np.array([-2.0, 0, 1, 2]).reshape(1, 1, 1, 4), percentile=None)
    assert found[0, 0, :, 0].tolist() == [0, 128, 191, 255]


def test_minmax_is_the_documents_renormalising_and_knows_no_percentile() -> None:
    values = np.array([37.0, 121, 94, 178, 500, 342, 201, 499, 308]).reshape(1, 1, 3, 3)
    assert rendered(values, "minmax", percentile=50)[0, ..., 0].ravel().tolist() == [
        round((v - 37) / 463 * 255) for v in values.ravel()
    ]


def test_absolute_takes_any_number_of_channels_together() -> None:
    values = np.array([[3.0, 0], [-4, 0], [0, 0], [0, 1]]).reshape(1, 4, 1, 2)
    assert rendered(values, "absolute", percentile=None)[0, 0].tolist() == [[255] * 3, [51] * 3]


@pytest.mark.parametrize("mode", MODES)
def test_one_channel_comes_out_grey(mode) -> None:
    found = rendered(maps(channels=1), mode, percentile=None)
    assert (found[..., :1] == found).all() and len(np.unique(found)) > 10
    repeated = rendered(np.repeat(maps(channels=1), 3, 1), mode, percentile=None)
    assert np.array_equal(found, repeated)


@pytest.mark.parametrize("mode", ["symmetric", "absolute"])
def test_the_empty_surroundings_of_a_map_change_nothing(mode) -> None:
    wide = np.pad(maps(), ((0, 0), (0, 0), (40, 30), (20, 50)))
    assert np.array_equal(rendered(wide, mode)[:, 40:46, 20:27], rendered(maps(), mode))


@pytest.mark.parametrize("mode", MODES)
def test_a_scale_of_its_own_does_not_depend_on_the_others_and_a_shared_one_does(mode) -> None:
    alone = np.concatenate([rendered(one[None], mode) for one in maps()])
    assert np.array_equal(rendered(maps(), mode), alone)
    shared = rendered(maps(), mode, per="sheet")
    (beside,) = rendered(np.concatenate(list(maps()), -1)[None], mode)
    assert np.array_equal(np.concatenate(list(shared), 1), beside)
    assert not np.array_equal(shared, alone)


@pytest.mark.parametrize("mode", MODES)
def test_scale_does_not_matter_however_large_or_small(mode) -> None:
    for factor in (2.0**900, 2.0**-900):
        assert np.array_equal(rendered(maps() * factor, mode), rendered(maps(), mode))


def test_it_agrees_with_the_pictures_of_weights() -> None:
    assert np.array_equal(rendered(maps(), percentile=None), signed_to_rgb(maps()))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 0, 5)])
def test_of_nothing_there_is_no_picture(shape, mode) -> None:
    assert rendered(np.zeros(shape), mode).shape == (*shape[:1], *shape[2:], 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value, mode) -> None:
    values = maps()
    values[1, 2, 3, 4] = value
    with pytest.raises(UsageError) as caught:
        rendered(values, mode)
    assert str(caught.value) == (
        "1 of 3 maps hold NaN or infinity. Pictures are made of finite numbers. "
        "Look where the network stops being finite."
    )


@pytest.mark.parametrize(
    ("shape", "mode"), [((3, 4, 5), "absolute"), ((2, 4, 5, 5), "minmax"), ((1, 2, 3, 3), "symmetric")]
)
def test_other_shapes_are_refused(shape, mode) -> None:
    with pytest.raises(UsageError) as caught:
        rendered(np.zeros(shape), mode)
    assert str(caught.value) == (
        f"The maps have shape {shape}. Pictures are made of (maps, 1 or 3 channels, rows, columns). "
        "Choose channels, or the mode absolute."
    )


@pytest.mark.parametrize("percentile", [-1, 100.5])
def test_a_percentile_that_there_is_not_is_refused(percentile) -> None:
    with pytest.raises(UsageError) as caught:
        rendered(maps(), percentile=percentile)
    assert str(caught.value) == (
        f"The percentile is {percentile:g}. It lies in 0..100, or is None for the largest. Give another one."
    )


def test_modes_and_scales_that_there_are_not_are_refused() -> None:
    with pytest.raises(UnknownName) as caught:
        rendered(maps(), "abs")
    assert caught.value.allowed == "There are: symmetric, minmax, absolute"
    with pytest.raises(UnknownName) as caught:
        rendered(maps(), per="unit")
    assert caught.value.given == "Scale per 'unit' does not exist"
