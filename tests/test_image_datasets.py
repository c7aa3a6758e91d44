"""Images that users hand over: torch data sets, loaders, lists."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Normalize, ToTensor

from microtome import dataset_items as items_module
from microtome import image_datasets as datasets_module
from microtome.errors import BadImages
from microtome.image_sources import open_images
from microtome.images import Images
from microtome.preprocessing import Preprocessing

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
COLOUR = Preprocessing(size=(6, 5), resize=0, mean=MEAN, std=STD)
PICTURES = np.random.default_rng(0).integers(0, 256, (12, 3, 6, 5), dtype=np.uint8)
UNUSED = "the DataLoader's sampler and collate function are not used: its data set is read in its own order"


class Made(Dataset):
    """Items that a function makes of their place."""

    def __init__(self, count: int, item: Callable[[int], object], **facts: object) -> None:
        self.count, self.make, self.asked = count, item, []
        self.__dict__.update(facts)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> object:
        self.asked.append(place)
        return self.make(place)


class Stream(IterableDataset):
    def __init__(self, items: list[object]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[object]:
        return iter(self.items)


def pil(place: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(PICTURES[place % 12].transpose(1, 2, 0)))


def whole(images: Images) -> np.ndarray:
    return np.stack([images[place] for place in range(len(images))])


FORMS: dict[str, Callable[[int], object]] = {
    "PIL": pil,
    "uint8 tensor": lambda i: torch.from_numpy(PICTURES[i]),
    "array, channels last": lambda i: PICTURES[i].transpose(1, 2, 0),
    "prepared tensor": lambda i: COLOUR.normalise(torch.from_numpy(PICTURES[i][None]))[0],
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


def folder_of(tmp_path: Path, **how: object) -> ImageFolder:
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pil(number).save(tmp_path / name)
    return ImageFolder(str(tmp_path), **how)


def test_an_image_folder_gives_its_files_classes_and_labels(tmp_path: Path) -> None:
    images = open_images(folder_of(tmp_path), COLOUR)
    assert images.ids == ("cat/1.png", "cat/2.png", "dog/1.png") and images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 1] and np.array_equal(whole(images), PICTURES[:3])


def test_a_transform_of_ones_own_gives_prepared_images(tmp_path: Path) -> None:
    images = open_images(folder_of(tmp_path, transform=Compose([ToTensor(), Normalize(MEAN, STD)])), COLOUR)
    ((_, pixels),) = images.batches(3)
    expected = (PICTURES[:3] / 255 - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
    assert np.allclose(pixels, expected, atol=1e-6) and np.array_equal(whole(images), PICTURES[:3])


def test_a_part_of_a_data_set_keeps_its_ids_labels_and_classes(tmp_path: Path) -> None:
    images = open_images(Subset(folder_of(tmp_path), [2, 0]), COLOUR)
    assert images.ids == ("dog/1.png", "cat/1.png") and images.labels.tolist() == [1, 0]
    assert images.class_names == ("cat", "dog")
    assert open_images(Subset(Made(12, pil), [11, 3]), COLOUR).ids == ("dataset/11", "dataset/03")


def test_classes_are_matched_with_those_of_the_network(tmp_path: Path) -> None:
    images = open_images(folder_of(tmp_path), COLOUR, ("dog", "cow", "cat"))
    assert images.labels.tolist() == [2, 2, 0] and images.labelling == "labels by class name, 2 of 3 classes"


def test_classes_are_matched_by_a_map(tmp_path: Path) -> None:
    images = open_images(folder_of(tmp_path), COLOUR, ("x", "y", "z"), class_map={"dog": "y"})
    assert images.labels.tolist() == [-1, -1, 1] and images.labelling == "labels by the class map, 1 of 2 classes"


def test_a_list_of_labels_spares_reading_all_items() -> None:
    data = Made(1000, lambda i: (pil(i), i % 3), targets=[i % 3 for i in range(1000)])
    images = open_images(data, COLOUR)
    assert images.labels.tolist() == data.targets
    assert len(set(data.asked)) == datasets_module.SAMPLED


def test_a_list_of_labels_with_which_items_disagree_is_not_believed() -> None:
    data = Made(30, lambda i: (pil(i), 2 - i % 3), targets=[i % 3 for i in range(30)])
    assert open_images(data, COLOUR).labels.tolist() == [2 - i % 3 for i in range(30)]


def test_labels_are_those_after_the_transform_of_labels(tmp_path: Path) -> None:
    images = open_images(folder_of(tmp_path, target_transform=lambda label: 1 - label), COLOUR)
    assert images.labels.tolist() == [1, 1, 0]


def test_a_loader_is_read_in_the_order_of_its_data_set() -> None:
    loader = DataLoader(Made(12, lambda i: (pil(i), i)), batch_size=5, shuffle=True, drop_last=True)
    images = open_images(loader, COLOUR)
    assert images.labels.tolist() == list(range(12)) and np.array_equal(whole(images), PICTURES)
    assert images.notes == (UNUSED,)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_stream_is_read_once_into_memory(wrapped: bool) -> None:
    stream = Stream([(pil(i), i) for i in range(12)])
    images = open_images(DataLoader(stream, batch_size=3) if wrapped else stream, COLOUR)
    stream.items = []
    assert np.array_equal(whole(images), PICTURES) and images.labels.tolist() == list(range(12))
    assert images.notes[-1] == "Stream gives its images one after the other: they were read once, into memory"


def test_a_stream_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "KEPT_BYTES", 5 * 90)
    with pytest.raises(BadImages) as caught:
        open_images(Stream([pil(i) for i in range(6)]), COLOUR)
    assert str(caught.value) == (
        "The first 6 images of Stream take more than 450 bytes. A data set without places is read into memory, up to "
        "this size. Give a data set with __getitem__ and __len__, or fewer images."
    )
    assert len(open_images(Stream([pil(i) for i in range(5)]), COLOUR)) == 5


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


def test_items_are_asked_for_by_one_thread_at_a_time() -> None:
    inside, most = [], []

    def item(place: int) -> Image.Image:
        inside.append(place)
        found = pil(place).resize((400, 400)).resize((5, 6))
        most.append(len(inside))
        inside.remove(place)
        return found

    images = open_images(Made(60, item), COLOUR, decoders=6)
    assert sum(len(places) for places, _ in images.batches(12)) == 60
    assert max(most) == 1


def test_other_items_give_another_fingerprint() -> None:
    one, same, other = (open_images(Made(5, lambda i, k=k: PICTURES[(i + k) % 12]), COLOUR) for k in (0, 0, 1))
    assert one.fingerprint == same.fingerprint != other.fingerprint
