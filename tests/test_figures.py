import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from PIL import Image

from microtome.figures import (
    BLUE,
    COVERING,
    MIDDLE,
    ORANGE,
    folded,
    grey,
    new_figure,
    sheet,
    short,
    show_over,
    show_picture,
    signed_to_colour,
    signed_to_rgb,
)  # fmt: skip


def maps(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, shape)


def test_the_ends_and_the_middle_have_their_colours() -> None:
    colours = signed_to_colour(np.array([[[-2.0, 0, 2]]]))
    assert colours.tolist() == [[[BLUE.tolist(), MIDDLE.tolist(), ORANGE.tolist()]]]


def test_colours_are_mixed_in_proportion_to_the_largest_magnitude() -> None:
    values = maps(3, 4, 5)
    colours = signed_to_colour(values)
    for place in np.ndindex(values.shape):
        share = values[place] / np.abs(values[place[0]]).max()
        end = ORANGE if share > 0 else BLUE
        mixed = MIDDLE * (1 - abs(share)) + end * abs(share)
        assert colours[place].tolist() == [round(colour) for colour in mixed]


@pytest.mark.parametrize("per", [0, 1, 2])
def test_each_of_the_first_axes_has_a_scale_of_its_own(per: int) -> None:
    values = maps(2, 3, 4, 5)
    for place in np.ndindex(values.shape[:per]):
        assert np.array_equal(signed_to_colour(values, per)[place], signed_to_colour(values[place], 0))


def test_a_map_of_zeros_has_the_middle_colour() -> None:
    assert (signed_to_colour(np.zeros((1, 2, 2))) == MIDDLE).all()


def test_whole_numbers_have_colours_too() -> None:
    assert np.array_equal(signed_to_colour(np.array([[[-3, 1]]])), signed_to_colour(np.array([[[-3.0, 1.0]]])))


def test_three_maps_become_red_green_and_blue_around_grey() -> None:
    values = np.array([2.0, -2, 0.5]).reshape(1, 3, 1, 1)
    assert signed_to_rgb(values).tolist() == [[[[255, 0, round(127.5 * 1.25)]]]]


def test_three_maps_of_zeros_are_grey() -> None:
    assert (signed_to_rgb(np.zeros((2, 3, 4, 4))) == 128).all()


def test_the_colours_of_a_picture_share_one_scale() -> None:
    values = maps(2, 3, 4, 5)
    pictures = signed_to_rgb(values)
    assert pictures.shape == (2, 4, 5, 3)
    for unit, picture in enumerate(pictures):
        expected = np.round(127.5 * (1 + values[unit] / np.abs(values[unit]).max()))
        assert np.array_equal(picture, expected.transpose(1, 2, 0))


@pytest.mark.parametrize(("length", "width"), [(6, 3), (7, 3), (2, 3), (3, 3), (1, 1)])
def test_folded_rows_read_on_like_lines_of_text(length: int, width: int) -> None:
    rows = np.arange(1.0, 2 * length + 1).reshape(2, length)
    for row, lines in zip(rows.tolist(), folded(rows, width), strict=True):
        assert lines.ravel().tolist()[:length] == row
        assert not lines.ravel()[length:].any() and lines.shape == (-(-length // width), width)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (5, 3), (6, 3), (2, 8), (3, 0)])
@pytest.mark.parametrize("gap", [0, 2])
def test_a_sheet_is_what_one_pastes_together(count: int, columns: int, gap: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (count, 4, 6, 3), dtype=np.uint8)
    across = max(1, min(columns, count))
    down = -(-count // across)
    expected = Image.new("RGB", (across * 6 + (across - 1) * gap, down * 4 + (down - 1) * gap), (9, 9, 9))
    for place, picture in enumerate(pictures):
        expected.paste(Image.fromarray(picture), (place % across * (6 + gap), place // across * (4 + gap)))
    assert np.array_equal(sheet(pictures, columns, gap, background=9), np.asarray(expected))


@pytest.mark.parametrize(
    ("value", "shown"), [(7750.4, "7750"), (12.34, "12.3"), (0.04612, "0.0461"), (-1234.5, "-1234"), (0.0, "0")]
)
def test_a_short_number_has_three_digits_or_all_before_the_point(value: float, shown: str) -> None:
    assert short(value) == shown


def test_a_figure_has_its_axes_and_is_not_kept_by_pyplot() -> None:
    before = len(Gcf.figs)
    figure = new_figure(2, 3, size=(5, 2))
    assert len(figure.axes) == 6 and figure.get_size_inches().tolist() == [5, 2]
    assert len(Gcf.figs) == before


def test_grey_is_what_pillow_makes_of_a_picture() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(colours.transpose(1, 2, 0)).convert("L"))
    np.testing.assert_allclose(255 * grey(colours), expected, atol=1)
    np.testing.assert_array_equal(grey(colours[:1]), colours[0] / 255)


def test_a_picture_is_shown_as_it_is() -> None:
    (axes,) = new_figure().axes
    show_picture(axes, np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    assert axes.images[0].get_array().tolist() == [[[0] * 3, [1] * 3, [2] * 3], [[3] * 3, [4] * 3, [5] * 3]]


@pytest.mark.parametrize(
    ("values", "range_"), [([[0.0, 1, 4]], (0, 4)), ([[-2.0, 0, 1]], (-2, 2)), ([[0.0] * 3], (0, 1))]
)
def test_numbers_over_a_picture_have_the_colours_of_their_bar(values, range_) -> None:
    figure = new_figure()
    white = np.full((1, 1, 3), 255, np.uint8)
    show_over(figure.axes[0], white, np.array(values), "words")
    over, bar = figure.axes
    shown = bar._colorbar.mappable
    assert (bar.get_ylabel(), shown.get_clim()) == ("words", range_)
    for value, colour in zip(values[0], over.images[0].get_array()[0], strict=True):
        share = abs(value) / range_[1]
        end = (BLUE if value < 0 else ORANGE) / 255
        np.testing.assert_allclose(colour, 1 - COVERING * share * (1 - end))
        # the bar lies over grey, the picture is white
        on_bar = np.array(shown.to_rgba(value)[:3])
        np.testing.assert_allclose(on_bar, colour - (1 - COVERING * share) * 0.25, atol=0.01)
