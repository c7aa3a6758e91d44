"""The same images in the geometry of a second network."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microtome.errors import BadImages
from microtome.images.opening import opened_for
from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import open_images

SMALL = Preprocessing(size=(8, 8), resize=8, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
LARGE = dataclasses.replace(SMALL, size=(12, 10), resize=14)


def photos(folder: Path) -> Path:
    for place in range(8):
        home = folder / "photos" / ("cat", "dog")[place % 2]
        home.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(place).integers(0, 255, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(home / f"{place}.png")
    return folder / "photos"


def test_a_folder_is_opened_again_as_if_for_the_other_network_alone(tmp_path) -> None:
    folder = photos(tmp_path)
    found, alone = opened_for(open_images(folder, SMALL), LARGE), open_images(folder, LARGE)
    assert (found.ids, found.shape) == (alone.ids, (3, 12, 10))
    assert all(np.array_equal(found[place], alone[place]) for place in range(8))
    assert np.array_equal(found.labels, alone.labels)


def test_a_part_of_a_set_stays_that_part(tmp_path) -> None:
    images = open_images(photos(tmp_path), SMALL)
    part = images.limit(4, seed=3).take([2, 0])
    found = opened_for(part, LARGE)
    assert found.ids == part.ids
    assert np.array_equal(found[0], open_images(tmp_path / "photos", LARGE)[images.ids.index(part.ids[0])])


def test_an_array_and_a_standard_set_are_opened_again() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (4, 3, 16, 16), dtype=np.uint8)
    assert opened_for(open_images(pixels, SMALL, labels=[0, 1, 1, 0]), LARGE).labels.tolist() == [0, 1, 1, 0]
    assert opened_for(open_images("digits", SMALL).limit(5), LARGE).shape == (3, 12, 10)


def test_what_cannot_be_opened_again_is_refused_in_three_parts() -> None:
    images = dataclasses.replace(open_images("digits", SMALL), again=None)
    with pytest.raises(BadImages) as caught:
        opened_for(images.limit(9), LARGE)
    assert caught.value.given == (
        "The images of digits are 8 x 8 pixels for one network, and another takes them otherwise (resize 14 "
        "(bilinear), crop 12 x 10, 3 channels, mean (0.5, 0.5, 0.5), std (0.2, 0.2, 0.2))"
    )
    assert caught.value.allowed == (
        "Images that two networks take differently are opened for each, and must be the same both times"
    )
    assert (
        caught.value.next_step == "Give a folder, a file, or a data set that can be asked for any of its images again"
    )


def test_other_images_the_second_time_are_refused() -> None:
    images = open_images("digits", SMALL)
    with pytest.raises(BadImages, match="must be the same both times"):
        opened_for(dataclasses.replace(images, again=lambda other: open_images("digits", other).limit(3)), LARGE)


@pytest.mark.parametrize(
    ("changes", "same"),
    [({"mean": (0, 0, 0)}, True), ({"interpolation": "bicubic"}, False), ({"resize": 9}, False),
     ({"size": (7, 8)}, False), ({"mean": (0.5,), "std": (0.2,)}, False)],
)  # fmt: skip
def test_pictures_are_the_same_whatever_they_are_normalised_to(changes, same) -> None:
    assert SMALL.same_pictures(dataclasses.replace(SMALL, **changes)) == same


def test_interpolation_does_not_matter_where_nothing_is_resized() -> None:
    plain = dataclasses.replace(SMALL, resize=0)
    assert plain.same_pictures(dataclasses.replace(plain, interpolation="nearest"))
