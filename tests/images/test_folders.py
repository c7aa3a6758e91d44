"""Folders of images and lists of files: what is found, in which order, under which ids."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microtome.errors import BadImages
from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import open_images

COLOUR = Preprocessing(size=(8, 8), resize=0, mean=(0.0,) * 3, std=(1.0,) * 3)
SUFFIXES = ".bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp"


def fill(folder: Path, *names: str) -> Path:
    """Write an image under every name, each of its own colour."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 2 * number, 200)).save(folder / name, format="PNG")
    return folder


def test_a_folder_gives_its_images_sorted_by_their_paths(tmp_path: Path) -> None:
    fill(tmp_path, "b/1.png", "a/2.PNG", "a/sub/1.webp", "a-c/3.jpg")
    assert open_images(str(tmp_path), COLOUR).ids == ("a-c/3.jpg", "a/2.PNG", "a/sub/1.webp", "b/1.png")


def test_a_folder_is_read_in_the_order_of_its_ids(tmp_path: Path) -> None:
    images = open_images(str(fill(tmp_path, "z.png", "y.png", "x.png")), COLOUR)
    assert [images[place][:, 0, 0].tolist() for place in range(3)] == [[2, 4, 200], [1, 2, 200], [0, 0, 200]]


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    here, there = (open_images(str(fill(tmp_path / place, "a/1.png", "b/2.png")), COLOUR) for place in ("x", "y/z"))
    assert here.ids == there.ids and here.fingerprint == there.fingerprint


@pytest.mark.parametrize(("folder", "source"), [("photos/cats", "cats"), ("photos/train", "photos/train")])
def test_a_set_is_called_by_its_folder(folder: str, source: str, tmp_path: Path) -> None:
    assert open_images(str(fill(tmp_path / folder, "1.png")), COLOUR).source == source


def test_other_files_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    (tmp_path / "labels.csv").write_text("a,1")
    (tmp_path / "folder.png").mkdir()
    assert open_images(str(tmp_path), COLOUR).ids == ("a.png",)


def test_without_names_of_the_network_folders_name_the_classes(tmp_path: Path) -> None:
    images = open_images(str(fill(tmp_path, "dog/1.png", "cat/1.png", "dog/2.png")), COLOUR)
    assert images.class_names == ("cat", "dog") and images.labels.tolist() == [0, 1, 1]


def test_names_of_the_network_name_the_classes(tmp_path: Path) -> None:
    images = open_images(str(fill(tmp_path, "dog/1.png", "cat/1.png")), COLOUR, ("dog", "cow", "cat"))
    assert images.class_names == ("dog", "cow", "cat") and images.labels.tolist() == [2, 0]


def test_a_set_says_where_its_labels_come_from(tmp_path: Path) -> None:
    images = open_images(str(fill(tmp_path, "dog/1.png", "cat/1.png")), COLOUR, ("dog", "cow", "cat"))
    assert images.labelling == "labels by folder name, 2 of 3 classes"


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("none here")
    with pytest.raises(BadImages) as caught:
        open_images(str(tmp_path), COLOUR)
    assert str(caught.value) == (
        f"Folder {str(tmp_path)!r} holds no images. An image ends in {SUFFIXES}. Check the path."
    )


def test_a_file_of_another_size_gives_another_fingerprint(tmp_path: Path) -> None:
    before = open_images(str(fill(tmp_path, "1.png", "2.png")), COLOUR).fingerprint
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "2.png")
    assert open_images(str(tmp_path), COLOUR).fingerprint != before


def test_a_link_that_leads_nowhere_is_an_image_that_is_missed(tmp_path: Path) -> None:
    fill(tmp_path, "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    images = open_images(str(tmp_path), COLOUR)
    assert [places.tolist() for places, _ in images.batches(5)] == [[0]]
    assert images.broken == {"2.png": "No such file or directory"}


def test_a_list_of_files_is_read_in_its_order(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/2.png", "b/3.png")
    images = open_images([tmp_path / "b" / "3.png", str(tmp_path / "a" / "1.png")], COLOUR)
    assert images.ids == ("b/3.png", "a/1.png")
    assert [int(images[place][0, 0, 0]) for place in range(2)] == [2, 0]
    assert images.labelling == "no labels: a list of files"


def test_a_list_of_files_may_come_with_labels(tmp_path: Path) -> None:
    files = sorted(fill(tmp_path, "1.png", "2.png").glob("*.png"))
    images = open_images(files, COLOUR, ("a", "b", "c"), labels=[2, -1])
    assert images.labels.tolist() == [2, -1] and images.labelling == "labels of the data set"


def test_a_list_of_other_files_has_another_fingerprint(tmp_path: Path) -> None:
    fill(tmp_path, "1.png", "2.png")
    one, other = (open_images([tmp_path / name], COLOUR).fingerprint for name in ("1.png", "2.png"))
    assert one != other
