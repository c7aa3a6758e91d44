"""What a data set says of itself: files, classes, labels."""

from pathlib import Path

import numpy as np
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Normalize, ToTensor

from handed import COLOUR, MEAN, PICTURES, STD, Made, pil, whole
from microtome.images import datasets as datasets_module
from microtome.images.sources import open_images


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
