from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from microtome.errors import BadImages, UnknownName
from microtome.image_sources import open_images
from microtome.preprocessing import Preprocessing

COLOUR = Preprocessing(size=(8, 8), resize=0, mean=(0.0,) * 3, std=(1.0,) * 3)
GREY = Preprocessing(size=(28, 28), resize=0, mean=(0.0,), std=(1.0,))
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


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    folder = str(tmp_path / "none")
    with pytest.raises(BadImages) as caught:
        open_images(folder, COLOUR)
    assert str(caught.value) == (
        f"There is no folder {folder!r}. Images come from a folder or from digits:, mnist:. Check the path."
    )


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    fill(tmp_path, "one.png")
    with pytest.raises(BadImages, match="There is no folder .*one.png"):
        open_images(str(tmp_path / "one.png"), COLOUR)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("none here")
    with pytest.raises(BadImages) as caught:
        open_images(str(tmp_path), COLOUR)
    assert str(caught.value) == (
        f"Folder {str(tmp_path)!r} holds no images. An image ends in {SUFFIXES}. Check the path."
    )


def test_an_unknown_source_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownName) as caught:
        open_images("minst:data", GREY)
    assert str(caught.value) == (
        "Image source 'minst' does not exist. There are: digits, mnist, a folder. "
        "Did you mean 'mnist'? Give a folder, or SCHEME:PATH."
    )


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "old:photos/1.png")
    monkeypatch.chdir(tmp_path)
    assert open_images("old:photos", COLOUR).ids == ("1.png",)


def test_digits_are_those_of_scikit_learn() -> None:
    images = open_images("digits", GREY)
    assert len(images) == 1797 and images.class_names == tuple("0123456789")
    assert images.labels.tolist() == load_digits().target.tolist()


def test_digits_are_enlarged_pictures_of_the_originals() -> None:
    images, originals = open_images("digits", GREY), load_digits().images
    for place in (0, 700, 1796):
        assert images[place].shape == (1, 28, 28)
        small = np.asarray(Image.fromarray(images[place][0]).resize((8, 8), Image.Resampling.BOX), float)
        assert np.corrcoef(small.ravel(), originals[place].ravel())[0, 1] > 0.97


def test_digits_keep_their_ids() -> None:
    ids = open_images("digits", GREY).ids
    assert (ids[0], ids[-1], len(set(ids))) == ("digits/0000", "digits/1796", 1797)


def test_mnist_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImages) as caught:
        open_images(f"mnist:{tmp_path}", GREY)
    assert str(caught.value) == (
        f"There is no MNIST in {str(tmp_path)!r}. mnist:DIR needs DIR/MNIST/raw with the four files of the data set. "
        "Give the folder that you gave to torchvision.datasets.MNIST."
    )


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        open_images(f"mnist:{tmp_path}", GREY, split="tests")
    assert str(caught.value) == (
        "Split 'tests' does not exist. There are: train, test. Did you mean 'test'? Give the split as train or test."
    )


@pytest.mark.data
@pytest.mark.parametrize(("split", "prefix", "count"), [("test", "t10k", 10_000), ("train", "train", 60_000)])
def test_mnist_is_what_its_files_hold(split: str, prefix: str, count: int, data_folder: Path) -> None:
    raw = data_folder / "MNIST" / "raw"
    pixels = np.frombuffer((raw / f"{prefix}-images-idx3-ubyte").read_bytes(), np.uint8)[16:].reshape(-1, 1, 28, 28)
    labels = np.frombuffer((raw / f"{prefix}-labels-idx1-ubyte").read_bytes(), np.uint8)[8:]
    images = open_images(f"mnist:{data_folder}", GREY, split=split)
    assert len(images) == count and images.class_names == tuple("0123456789")
    assert images.labels.tolist() == labels.tolist()
    assert all(np.array_equal(images[place], pixels[place]) for place in range(0, count, 997))
