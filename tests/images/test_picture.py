"""One picture, however it is given, ends up in the network's geometry."""

import re

import numpy as np
import pytest
from PIL import Image

from microtome.errors import BadImages, UnknownName
from microtome.formulas.stimuli import stimulus
from microtome.images.picture import open_picture
from microtome.images.preprocessing import Preprocessing
from numbered import numbered

COLOUR = Preprocessing(size=(6, 8), resize=0, mean=(0.5,) * 3, std=(0.5,) * 3)
GREY = Preprocessing(size=(6, 8), resize=0, mean=(0.5,), std=(0.5,))


def photograph(height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_file_a_pillow_image_and_an_array_are_the_same_picture(tmp_path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "one.png")
    given = [tmp_path / "one.png", str(tmp_path / "one.png"), Image.fromarray(photograph()), photograph()]
    opened = [open_picture(one, COLOUR) for one in given]
    for picture in opened:
        np.testing.assert_array_equal(picture.pixels, photograph().transpose(2, 0, 1))
    assert [picture.name for picture in opened] == ["one.png", "one.png", "picture", "array"]


def test_a_picture_of_another_size_is_brought_to_the_networks() -> None:
    np.testing.assert_array_equal(
        open_picture(photograph(10, 12), COLOUR).pixels, photograph(10, 12)[2:8, 2:10].transpose(2, 0, 1)
    )


def test_an_array_in_the_networks_geometry_stays_as_it_is() -> None:
    pixels = photograph().transpose(2, 0, 1)
    assert open_picture(pixels, COLOUR).pixels is pixels


def test_a_grey_array_goes_into_a_grey_network() -> None:
    np.testing.assert_array_equal(open_picture(photograph()[..., 0], GREY).pixels[0], photograph()[..., 0])


def test_a_number_is_a_place_in_the_images() -> None:
    picture = open_picture(3, GREY, numbered(5))
    assert picture.name == "n/003.png"
    assert (picture.pixels == 3).all()


@pytest.mark.parametrize("text", ["line:45", "stimulus:line:45"])
def test_a_stimulus_is_drawn_in_the_networks_size(text) -> None:
    picture = open_picture(text, COLOUR)
    assert picture.name == "line:45"
    np.testing.assert_array_equal(picture.pixels, stimulus("line:45", (6, 8), 3))


@pytest.mark.parametrize(
    ("given", "images", "message"),
    [
        (3, None, "Picture 3 was given without images. A number is a place in an image set. Pass the set as "
         "images=..., or its picture as images[3]."),
        (5, numbered(5), "There is no picture 5 in numbers. Its places are 0 to 4. Give one of them."),
        (-1, numbered(5), "There is no picture -1 in numbers. Its places are 0 to 4. Give one of them."),
        ("nowhere.png", None, "'nowhere.png' cannot be opened as an image (FileNotFoundError). A picture is an image "
         "file or a stimulus: line:0, line:45, line:90, line:135, edge:0, edge:45, edge:90, edge:135, dot, blank. "
         "Check the path, or write a stimulus like stimulus:line:45."),
        (np.zeros((3, 6, 8)), None, "The array has shape (3, 6, 8) and type float64. A picture is uint8 of shape "
         "(3, 6, 8), (H, W, 3) or (H, W). Convert it, for instance with (255 * array).astype(np.uint8)."),
        (np.zeros((4, 6, 8), np.uint8), None, "The array has shape (4, 6, 8) and type uint8. A picture is uint8 of "
         "shape (3, 6, 8), (H, W, 3) or (H, W). Convert it, for instance with (255 * array).astype(np.uint8)."),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(given, images, message) -> None:
    with pytest.raises(BadImages, match=f"^{re.escape(message)}$"):
        open_picture(given, COLOUR, images)


def test_a_text_file_is_no_picture(tmp_path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(BadImages, match=r"cannot be opened as an image \(UnidentifiedImageError\)"):
        open_picture(tmp_path / "a.png", COLOUR)


def test_a_stimulus_that_does_not_exist_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"Stimulus 'line:44' does not exist\. .*Did you mean 'line:45'\?"):
        open_picture("stimulus:line:44", COLOUR)
