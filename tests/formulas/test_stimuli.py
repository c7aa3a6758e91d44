"""Stimuli hold what their names say, measured by something that does not know how they were drawn."""

import numpy as np
import pytest

from microtome.errors import UnknownName
from microtome.formulas.stimuli import ORIENTATIONS, STIMULI, stimulus

SIZES = [(28, 28), (31, 31), (33, 64), (224, 224)]


def plane(name: str, size: tuple[int, int]) -> np.ndarray:
    return stimulus(name, size, 1)[0].astype(float) / 255


def orientation(picture: np.ndarray) -> float:
    """Degrees of the direction along which the picture changes least, from the gradient's structure tensor."""
    middle = slice(picture.shape[0] // 4, -(picture.shape[0] // 4))
    down, right = np.gradient(picture)
    up, right = -down[middle, middle], right[middle, middle]
    return np.degrees(0.5 * np.arctan2(2 * (up * right).sum(), (right**2).sum() - (up**2).sum())) + 90


@pytest.mark.parametrize("size", [(28, 28), (31, 31), (224, 224)])
@pytest.mark.parametrize("angle", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["line", "edge"])
def test_lines_and_edges_run_along_their_angle(kind, angle, size) -> None:
    turned = (orientation(plane(f"{kind}:{angle}", size)) - angle + 90) % 180 - 90
    assert abs(turned) < 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["dot", *(f"line:{angle}" for angle in (0, 90))])
def test_the_centre_of_mass_is_the_middle(name, size) -> None:
    picture = plane(name, size)
    rows, columns = np.indices(size)
    centre = (rows * picture).sum() / picture.sum(), (columns * picture).sum() / picture.sum()
    np.testing.assert_allclose(centre, ((size[0] - 1) / 2, (size[1] - 1) / 2), atol=1e-9)


@pytest.mark.parametrize("side", [48, 96, 224])
def test_a_dot_has_the_area_of_its_disc(side) -> None:
    assert plane("dot", (side, side)).sum() == pytest.approx(np.pi * (side / 12) ** 2, rel=0.03)


@pytest.mark.parametrize("side", [16, 28, 32, 224])
def test_a_line_is_a_sixteenth_of_the_side_wide(side) -> None:
    np.testing.assert_allclose(plane("line:90", (side, side)).sum(1), side / 16, atol=3 * 0.5 / 255)


@pytest.mark.parametrize(
    ("angle", "bright", "dark"),
    [(0, (0, 10), (-1, 10)), (90, (10, 0), (10, -1)), (45, (0, 0), (-1, -1)), (135, (-1, 0), (0, -1))],
)
def test_an_edge_is_white_to_the_left_of_its_direction(angle, bright, dark) -> None:
    picture = plane(f"edge:{angle}", (28, 28))
    assert (picture[bright], picture[dark]) == (1, 0)
    assert picture.mean() == pytest.approx(0.5, abs=1e-3)


def test_a_blank_is_black() -> None:
    assert not stimulus("blank", (9, 7), 3).any()


def test_slanted_borders_are_smooth() -> None:
    picture = plane("line:45", (64, 64))
    assert ((picture > 0) & (picture < 1)).sum() > 64
    assert np.abs(np.diff(picture, axis=1)).max() < 0.9


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", STIMULI)
def test_every_channel_shows_the_same_eight_bit_picture(name, channels) -> None:
    pixels = stimulus(name, (5, 8), channels)
    assert (pixels.shape, pixels.dtype) == ((channels, 5, 8), np.uint8)
    assert (pixels == pixels[:1]).all()


def test_an_unknown_stimulus_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownName) as caught:
        stimulus("line:44", (5, 5), 1)
    assert str(caught.value) == (
        "Stimulus 'line:44' does not exist. There are: line:0, line:45, line:90, line:135, edge:0, edge:45, edge:90, "
        "edge:135, dot, blank. Did you mean 'line:45'? Write it like line:45."
    )
