"""Images in one array: tensors, NumPy arrays, .npz files."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from microtome.errors import BadImages
from microtome.images import collection as images_module
from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import open_images

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
COLOUR = Preprocessing(size=(6, 5), resize=0, mean=MEAN, std=STD)
RESIZED = Preprocessing(size=(6, 6), resize=8, mean=MEAN, std=STD)
GREY = Preprocessing(size=(6, 5), resize=0, mean=(0.0,), std=(1.0,))
TWO = Preprocessing(size=(6, 5), resize=0, mean=(0.0, 0.0), std=(1.0, 1.0))
PICTURES = np.random.default_rng(0).integers(0, 256, (12, 3, 6, 5), dtype=np.uint8)
NPZ = "An .npz file holds `images` (N, H, W), (N, H, W, C) or (N, C, H, W), and if you like labels, ids, class_names"


def archive(folder: Path, **arrays: object) -> str:
    np.savez(folder / "set.npz", **arrays)
    return f"npz:{folder / 'set.npz'}"


def whole(images: object) -> np.ndarray:
    return np.stack([images[place] for place in range(len(images))])


@pytest.mark.parametrize("given", [PICTURES, torch.from_numpy(PICTURES), PICTURES.transpose(0, 2, 3, 1)])
def test_eight_bits_are_pictures(given: object) -> None:
    images = open_images(given, COLOUR)
    assert not images.prepared and np.array_equal(whole(images), PICTURES)
    assert images.ids[0] == "array/00" and images.labelling == "no labels: an array of images alone"


def test_pictures_are_resized_and_cropped_like_those_of_files() -> None:
    images = open_images(PICTURES, RESIZED)
    expected = RESIZED.geometry(Image.fromarray(np.ascontiguousarray(PICTURES[7].transpose(1, 2, 0))))
    assert np.array_equal(images[7], expected)


def test_pictures_of_three_rows_are_not_taken_for_colours() -> None:
    tall = Preprocessing(size=(3, 9), resize=0, mean=MEAN, std=STD)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 9), dtype=np.uint8)
    assert np.array_equal(whole(open_images(pixels, tall)), pixels)


def test_grey_pictures_become_colours_for_a_network_of_colours() -> None:
    assert np.array_equal(whole(open_images(PICTURES[:, :1], COLOUR)), np.repeat(PICTURES[:, :1], 3, 1))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floating_point_goes_to_the_network_as_it_is(kind: torch.dtype) -> None:
    given = torch.randn(5, 3, 6, 5, generator=torch.Generator().manual_seed(0)).to(kind).requires_grad_()
    images = open_images(given, COLOUR)
    ((_, pixels),) = images.batches(5)
    assert images.prepared and pixels.dtype == np.float32
    assert torch.equal(COLOUR.normalise(torch.from_numpy(pixels)), given.detach().float())


def test_prepared_images_are_shown_with_mean_and_std_undone() -> None:
    prepared = COLOUR.normalise(torch.from_numpy(PICTURES))
    assert np.array_equal(whole(open_images(prepared, COLOUR)), PICTURES)


def test_what_lies_outside_of_a_picture_is_cut() -> None:
    prepared = torch.stack([torch.full((3, 6, 5), value) for value in (-9.0, 9.0, float("nan"))])
    assert [set(image.ravel().tolist()) for image in whole(open_images(prepared, COLOUR))] == [{0}, {255}, {0}]


def test_prepared_images_say_so() -> None:
    assert open_images(torch.zeros(2, 3, 6, 5), COLOUR).notes == (
        "floating point is taken as prepared: the network is given it as it is, and pictures are made by undoing mean "
        "and standard deviation, cut to 0..255",
    )


def test_of_other_channels_than_colours_the_mean_is_shown() -> None:
    prepared = torch.tensor([0.2, 0.6]).view(1, 2, 1, 1).expand(1, 2, 6, 5)
    shown = open_images(prepared, TWO)[0]
    assert shown.shape == (1, 6, 5) and set(shown.ravel().tolist()) == {102}  # 0.4 * 255


def test_a_part_of_prepared_images_is_prepared() -> None:
    given = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 6, 5)
    part = open_images(given, GREY).take([3, 1])
    ((_, pixels),) = part.batches(4)
    assert part.prepared and pixels[:, 0, 0, 0].tolist() == [3.0, 1.0]


def test_a_channel_at_the_end_is_moved_to_the_front() -> None:
    given = np.random.default_rng(0).normal(size=(4, 6, 5, 3)).astype(np.float32)
    ((_, pixels),) = open_images(given, COLOUR).batches(4)
    assert np.array_equal(pixels, given.transpose(0, 3, 1, 2))


def test_the_callers_tensor_is_not_handed_to_the_network_itself() -> None:
    given = torch.zeros(2, 3, 6, 5)
    ((_, pixels),) = open_images(given, COLOUR).batches(2)
    pixels += 1
    assert float(given.sum()) == 0


@pytest.mark.parametrize(("bytes_kept", "reads"), [(4 * 2 * 90, 1), (4 * 2 * 90 - 1, 2)])
def test_four_bytes_a_number_are_counted_before_prepared_images_are_kept(
    bytes_kept: int, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "KEPT_BYTES", bytes_kept)
    images, read = open_images(torch.zeros(2, 3, 6, 5), COLOUR), []
    counted = dataclasses.replace(images, read=lambda place: read.append(place) or images.read(place))
    _ = counted.pixels(0), counted.pixels(0)
    assert len(read) == reads


REFUSED = {
    "other size": (
        np.zeros((2, 3, 8, 5), np.float32), COLOUR,
        "array has shape (2, 3, 8, 5). Floating point is prepared for the network, which takes (N, 3, 6, 5). "
        "Resize it, or give uint8, which is resized here.",
    ),
    "other channels": (
        torch.zeros(2, 1, 6, 5), COLOUR,
        "array has shape (2, 1, 6, 5). Floating point is prepared for the network, which takes (N, 3, 6, 5). "
        "Resize it, or give uint8, which is resized here.",
    ),
    "no picture": (
        np.zeros((2, 4, 6, 5), np.uint8), COLOUR,
        "array has shape (2, 4, 6, 5). Pictures have 1 channel (grey) or 3 (colours). "
        "Give floating point for other channels, prepared for the network.",
    ),
    "one image": (
        torch.zeros(3, 6, 5), COLOUR,
        "array has shape (3, 6, 5). Images are (N, C, H, W) with one image or more. Add the axis that is missing.",
    ),
    "whole numbers": (
        np.zeros((2, 3, 6, 5), np.int64), COLOUR,
        "array holds numbers of type int64. uint8 is a picture; floating point is prepared for the network. "
        "Convert it to one of these.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_arrays_that_do_not_fit_are_refused(what: str) -> None:
    given, preprocessing, message = REFUSED[what]
    with pytest.raises(BadImages) as caught:
        open_images(given, preprocessing)
    assert str(caught.value) == message


def test_pictures_do_not_do_for_a_network_of_two_channels() -> None:
    with pytest.raises(BadImages) as caught:
        list(open_images(PICTURES, TWO).batches(4))
    assert str(caught.value) == (
        "None of the 12 images of array can be read (first 'array/00': The network takes 2 channels, which a picture "
        "cannot give it; Pictures have 1 channel (grey) or 3 (colours)). An image set needs one image or more that can "
        "be read. Check that these are images."
    )


def test_an_empty_array_is_refused() -> None:
    with pytest.raises(BadImages) as caught:
        open_images(torch.zeros(0, 3, 6, 5), COLOUR)
    assert str(caught.value) == ("Tensor holds no images. An image set needs one image or more. Check where it reads.")


def test_labels_may_stand_beside_an_array() -> None:
    labels = torch.tensor([2, 0, -1])
    images = open_images(PICTURES[:3], COLOUR, ("a", "b", "c"), labels=labels)
    assert images.labels.tolist() == [2, 0, -1] and images.labelling == "labels of the data set"


@pytest.mark.parametrize(("labels", "seen"), [([1, 2], "(2,) and type int64"), ([0.5] * 3, "(3,) and type float64")])
def test_labels_that_do_not_fit_are_refused(labels: list[float], seen: str) -> None:
    with pytest.raises(BadImages) as caught:
        open_images(PICTURES[:3], COLOUR, labels=labels)
    assert str(caught.value) == (
        f"The labels of ndarray have shape {seen}. Labels are whole numbers, one for each of its 3 images, -1 where "
        "unknown. Mend the labels."
    )


def test_one_other_number_gives_another_fingerprint() -> None:
    given = torch.zeros(4, 3, 6, 5)
    before = open_images(given.clone(), COLOUR).fingerprint
    assert open_images(given, COLOUR).fingerprint == before
    given[3, 2, 5, 4] = 1e-6
    assert open_images(given, COLOUR).fingerprint != before


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_an_archive_gives_images_labels_ids_and_classes(axes: tuple[int, ...], tmp_path: Path) -> None:
    source = archive(tmp_path, images=PICTURES.transpose(axes), labels=np.arange(12) % 3,
                     ids=[f"photo {i}" for i in range(12)], class_names=["x", "y", "z"])  # fmt: skip
    images = open_images(source, COLOUR)
    assert np.array_equal(whole(images), PICTURES)
    assert images.ids[11] == "photo 11" and images.class_names == ("x", "y", "z")
    assert images.labels.tolist() == [0, 1, 2] * 4 and images.source == "set.npz"


def test_an_archive_of_images_alone_has_no_labels(tmp_path: Path) -> None:
    images = open_images(archive(tmp_path, images=PICTURES[:, 0]), GREY)
    assert np.array_equal(whole(images), PICTURES[:, :1]) and not images.labelled
    assert images.ids[0] == "npz/00"


def test_an_archive_of_floating_point_is_prepared(tmp_path: Path) -> None:
    given = np.random.default_rng(0).normal(size=(4, 3, 6, 5))
    ((_, pixels),) = open_images(archive(tmp_path, images=given), COLOUR).batches(4)
    assert np.array_equal(pixels, given.astype(np.float32))


BAD_ARCHIVES = {
    "other names": ({"pixels": PICTURES}, f"set.npz holds pixels, and no `images`. {NPZ}. Write it with "
                    "numpy.savez(FILE, images=...)."),
    "objects": ({"images": np.array([{}, {}])}, "set.npz cannot be read (Object arrays cannot be loaded when "
                f"allow_pickle=False). {NPZ}; no Python objects. Write it with numpy.savez."),
    "few labels": ({"images": PICTURES, "labels": np.zeros(3, int)}, "The labels of set.npz have shape (3,) and type "
                   "int64. Labels are whole numbers, one for each of its 12 images, -1 where unknown. Mend the "
                   "labels."),
    "same ids": ({"images": PICTURES, "ids": ["a"] * 12}, "set.npz holds 1 different ids for 12 images. Every image "
                 "has an id of its own. Mend or leave out `ids`."),
    "few names": ({"images": PICTURES, "labels": np.arange(12), "class_names": ["x", "y"]}, "Labels go up to 11, "
                  "class names only to 1 (x, y). A label is the number of a class, from 0; -1 says that it is unknown. "
                  "Give as many names as classes."),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_ARCHIVES)
def test_an_archive_that_does_not_fit_is_refused(what: str, tmp_path: Path) -> None:
    arrays, message = BAD_ARCHIVES[what]
    with pytest.raises(BadImages) as caught:
        open_images(archive(tmp_path, **arrays), COLOUR)
    assert str(caught.value) == message


def test_a_missing_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImages) as caught:
        open_images(f"npz:{tmp_path / 'none.npz'}", COLOUR)
    assert str(caught.value) == f"There is no file {str(tmp_path / 'none.npz')!r}. {NPZ}. Check the path."


@pytest.mark.parametrize("content", [b"", b"dear", b"PK\3\4 and no more", b"\x93NUMPY\1\0\6\0{{{{{{"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(BadImages, match=r"set\.npz cannot be read \(.*; no Python objects\. Write it with numpy"):
        open_images(f"npz:{tmp_path / 'set.npz'}", COLOUR)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    source = archive(tmp_path, images=PICTURES)
    content = bytearray((tmp_path / "set.npz").read_bytes())
    content[400] ^= 255
    (tmp_path / "set.npz").write_bytes(bytes(content))
    with pytest.raises(BadImages, match=r"set\.npz cannot be read \(Bad CRC-32"):
        open_images(source, COLOUR)


def test_an_archive_that_asks_for_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 1000000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as packed:
        packed.writestr("images.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(BadImages, match=r"set\.npz cannot be read \("):
        open_images(f"npz:{tmp_path / 'set.npz'}", COLOUR)


def test_an_array_without_a_name_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", PICTURES)
    with pytest.raises(BadImages, match=r"set\.npy holds one array without a name, and no `images`\."):
        open_images(f"npz:{tmp_path / 'set.npy'}", COLOUR)
