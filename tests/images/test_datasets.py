"""Images that users hand over: torch data sets, loaders, lists."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from handed import COLOUR, PICTURES, Made, Stream, pil, whole
from microtome.errors import BadImages
from microtome.images.sources import open_images

UNUSED = "the DataLoader's sampler and collate function are not used: its data set is read in its own order"


FORMS: dict[str, Callable[[int], object]] = {
    "PIL": pil,
    "uint8 tensor": lambda i: torch.from_numpy(PICTURES[i]),
    "array, channels last": lambda i: PICTURES[i].transpose(1, 2, 0),
    "prepared tensor": lambda i: COLOUR.normalise(torch.from_numpy(PICTURES[i][None]))[0],
    "prepared array, channels last": lambda i: FORMS["prepared tensor"](i).numpy().transpose(1, 2, 0),
    "image and label": lambda i: (pil(i), i % 3),
    "list with more": lambda i: [pil(i), np.int64(i % 3), "more"],
    "label as tensor": lambda i: (pil(i), torch.tensor(i % 3)),
}


@pytest.mark.parametrize("form", FORMS)
def test_items_of_any_form_give_their_pictures(form: str) -> None:
    images = open_images(Made(12, FORMS[form]), COLOUR)
    assert np.array_equal(whole(images), PICTURES)
    assert images.labels.tolist() == ([i % 3 for i in range(12)] if "label" in form or "more" in form else [-1] * 12)
    assert images.ids[:2] == ("dataset/00", "dataset/01") and images.source == "Made"


def test_prepared_items_go_to_the_network_as_they_are() -> None:
    given = torch.randn(12, 3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = open_images(TensorDataset(given, torch.arange(12)), COLOUR)
    ((_, pixels),) = images.batches(12)
    assert images.prepared and np.array_equal(pixels, given.float().numpy())
    assert images.notes[0].startswith("floating point is taken as prepared")


def test_a_grey_array_without_channels_is_a_picture() -> None:
    images = open_images(Made(3, lambda i: PICTURES[i][0]), COLOUR)
    assert np.array_equal(images[2], np.repeat(PICTURES[2][:1], 3, 0))


def test_a_list_of_pictures_is_opened_with_labels_beside_it() -> None:
    images = open_images([pil(i) for i in range(12)], COLOUR, labels=[i % 2 for i in range(12)])
    assert np.array_equal(whole(images), PICTURES) and images.labels.tolist() == [0, 1] * 6


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (None, "no labels: its items are images alone"),
        (torch.zeros(3), "no labels: second in its items is a Tensor, not a whole number"),
        ("cat", "no labels: second in its items is a str, not a whole number"),
        (0.5, "no labels: second in its items is a float, not a whole number"),
        (True, "no labels: second in its items is a bool, not a whole number"),
    ],
)
def test_what_is_no_label_is_said(second: object, why: str) -> None:
    images = open_images(Made(3, lambda i: (pil(i), second) if second is not None else pil(i)), COLOUR)
    assert not images.labelled and images.labelling == why


def test_a_loader_is_read_in_the_order_of_its_data_set() -> None:
    loader = DataLoader(Made(12, lambda i: (pil(i), i)), batch_size=5, shuffle=True, drop_last=True)
    images = open_images(loader, COLOUR)
    assert images.labels.tolist() == list(range(12)) and np.array_equal(whole(images), PICTURES)
    assert images.notes == (UNUSED,)


@pytest.mark.parametrize("given", [Stream([]), [], Made(0, pil)])
def test_a_data_set_without_items_is_refused(given: object) -> None:
    with pytest.raises(BadImages) as caught:
        open_images(given, COLOUR)
    assert str(caught.value) == (
        f"{type(given).__name__} holds no images. An image set needs one image or more. Check where it reads."
    )


@pytest.mark.parametrize("given", [3, {"images": 1}, None])
def test_what_is_no_images_is_refused(given: object) -> None:
    with pytest.raises(BadImages) as caught:
        open_images(given, COLOUR)
    assert str(caught.value) == (
        f"{type(given).__name__} cannot be opened as images. Images are a path, a torch Dataset or DataLoader, a "
        "tensor or array (N, C, H, W), or a list of PIL images or paths. Give one of these."
    )


def failing(*places: int) -> Made:
    def item(place: int) -> object:
        if place in places:
            raise RuntimeError("disk gone")
        return pil(place), place % 3

    return Made(12, item)


def test_an_item_that_raises_is_left_out() -> None:
    images = open_images(failing(0, 5), COLOUR)
    assert [place for places, _ in images.batches(4) for place in places.tolist()] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert images.broken == {"dataset/00": "RuntimeError: disk gone", "dataset/05": "RuntimeError: disk gone"}
    assert images.labels[:3].tolist() == [-1, 1, 2]


def test_a_strict_set_refuses_an_item_that_raises() -> None:
    with pytest.raises(
        BadImages, match=r"Image 'dataset/05' of Made cannot be read \(RuntimeError: disk gone\)\. A st"
    ):
        open_images(failing(5), COLOUR, strict=True)


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: Stream([data[i][:1] for i in range(2)])])
def test_a_data_set_of_which_nothing_fits_says_why(wrap: Callable[[Made], object]) -> None:
    given = wrap(Made(2, lambda i: (torch.zeros(3, 8, 5), 0)))
    with pytest.raises(BadImages) as caught:
        open_images(given, COLOUR)
    assert str(caught.value) == (
        f"None of the 2 images of {type(given).__name__} can be read (first 'dataset/0': A prepared image has shape "
        "(3, 8, 5); The network takes (3, 6, 5), channels first). An image set needs one image or more that can be "
        "read. Check that these are images."
    )


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"image": 1}, "An image is a dict; It is a PIL image, a uint8 tensor or array, or a tensor of floating point "
         "prepared for the network"),
        (torch.zeros(3, 6, 5, dtype=torch.int64), "An image holds numbers of type int64; uint8 is a picture; floating "
         "point is prepared for the network"),
        (np.zeros((4, 6, 5), np.uint8), "A picture has shape (4, 6, 5); Pictures are (C, H, W) or (H, W, C) with 1 or "
         "3 channels"),
        (torch.zeros(3, 6, 5), "An image of float32 is among images of uint8; All are pictures, or all are prepared"),
    ],
)  # fmt: skip
def test_an_item_of_another_kind_is_left_out(item: object, why: str) -> None:
    images = open_images(Made(5, lambda i: item if i == 3 else pil(i)), COLOUR)
    assert [places.tolist() for places, _ in images.batches(9)] == [[0, 1, 2, 4]]
    assert images.broken == {"dataset/3": why}


def test_a_random_transform_is_noted() -> None:
    random = np.random.default_rng(0)
    images = open_images(Made(5, lambda i: random.integers(0, 256, (3, 6, 5), dtype=np.uint8)), COLOUR)
    assert images.notes == (
        "Made gives another image when it is asked again: its transform is random, and results and pictures will not "
        "repeat",
    )


def test_other_items_give_another_fingerprint() -> None:
    one, same, other = (open_images(Made(5, lambda i, k=k: PICTURES[(i + k) % 12]), COLOUR) for k in (0, 0, 1))
    assert one.fingerprint == same.fingerprint != other.fingerprint
