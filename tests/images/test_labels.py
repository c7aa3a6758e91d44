"""Labels of images in folders: each rule, and what happens where none fits."""

from pathlib import Path

import numpy as np
import pytest

from microtome.errors import BadImages
from microtome.images.labels import match_labels, read_labels
from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import open_images

CLASSES = ["tench", "great_white_shark", "Tiger cat"]
SMALL = Preprocessing(size=(32, 32), resize=32, mean=(0.0,) * 3, std=(1.0,) * 3)


def labels(names: list[str], classes: list[str]) -> tuple[list[int], str]:
    found, rule = read_labels(names, classes)
    assert found.dtype == np.int64
    return found.tolist(), rule


def test_folders_named_like_the_classes_give_the_labels() -> None:
    names = ["great white shark/1.png", "tiger_cat/1.png", "tiger_cat/2.png"]
    assert labels(names, CLASSES) == ([1, 2, 2], "labels by folder name, 2 of 3 classes")


def test_names_of_folders_come_before_numbers_of_files() -> None:
    assert labels(["tench/2_a.png"], CLASSES) == ([0], "labels by folder name, 1 of 3 classes")


def test_a_folder_below_the_class_folder_does_not_matter() -> None:
    assert labels(["tench/more/1.png", "Tiger cat/1.png"], CLASSES)[0] == [0, 2]


def test_class_indices_in_front_of_the_file_names_give_the_labels() -> None:
    names = ["n01/0002_tiger_cat.jpg", "n02/0000_tench.jpg", "n02/0_tench.jpg"]
    expected = "labels by the class index in front of the file names, 2 of 3 classes"
    assert labels(names, CLASSES) == ([2, 0, 0], expected)


@pytest.mark.parametrize(
    "names",
    [
        ["n01/2_a.jpg", "n02/a.jpg"],
        ["n01/2_a.jpg", "n02/3_a.jpg"],
        ["n01/0_a.jpg", "n01/1_a.jpg", "n02/1_a.jpg"],
        ["n01/2-a.jpg", "n02/1-a.jpg"],
    ],
    ids=["a file without", "beyond the classes", "two in one folder", "no underscore"],
)
def test_class_indices_that_do_not_fit_give_no_labels(names: list[str]) -> None:
    expected = "no labels: 2 folders match neither names nor number of the 3 classes"
    assert labels(names, CLASSES) == ([-1] * len(names), expected)


def test_as_many_folders_as_classes_are_taken_in_alphabetical_order() -> None:
    names = ["b/1.png", "a/1.png", "c/1.png", "b/2.png"]
    assert labels(names, CLASSES) == ([1, 0, 2, 1], "labels by folder in alphabetical order, 3 classes")


def test_without_classes_folders_are_taken_in_alphabetical_order() -> None:
    names = ["n02/1_a.png", "n01/0_b.png"]
    assert labels(names, []) == ([1, 0], "labels by folder in alphabetical order, 2 classes")


@pytest.mark.parametrize("names", [["b/1.png", "a/1.png"], ["tench/1.png", "a/1.png"]], ids=["no name", "one name"])
def test_two_folders_of_three_classes_give_no_labels(names: list[str]) -> None:
    expected = "no labels: 2 folders match neither names nor number of the 3 classes"
    assert labels(names, CLASSES) == ([-1, -1], expected)


@pytest.mark.parametrize("names", [["1.png", "2.png"], ["tench/1.png", "2.png"]], ids=["flat", "mixed"])
def test_images_beside_the_folders_give_no_labels(names: list[str]) -> None:
    assert labels(names, CLASSES) == ([-1, -1], "no labels: the images do not lie in one folder a class")


def matched(numbers: list[int], classes: list[str], names: list[str], **how: object) -> tuple[list[int], str]:
    found, rule = match_labels(np.array(numbers), classes, names, **how)
    return found.tolist(), rule


def test_numbers_without_names_on_either_side_are_labels() -> None:
    assert matched([2, 0, -5], [], CLASSES) == ([2, 0, -1], "labels of the data set")
    assert matched([2, 0, -5], CLASSES, []) == ([2, 0, -1], "labels of the data set")


def test_numbers_of_classes_with_the_networks_names_are_renumbered() -> None:
    found = matched([0, 1, -1], ["tiger cat", "Tench"], CLASSES)
    assert found == ([2, 0, -1], "labels by class name, 2 of 3 classes")


def test_names_that_stand_twice_are_no_trouble_in_the_same_order() -> None:
    assert matched([0, 1, 2], ["crane", "dog", "crane"], ["crane", "dog", "crane"])[0] == [0, 1, 2]


def test_as_many_classes_of_other_names_are_taken_in_their_order() -> None:
    assert matched([2, 1], ["a", "b", "c"], CLASSES) == ([2, 1], "labels of the data set")


def test_classes_of_other_names_and_number_give_no_labels() -> None:
    expected = "no labels: 2 classes match neither names nor number of the 3 classes"
    assert matched([1, 0], ["tench", "b"], CLASSES) == ([-1, -1], expected)


def test_numbers_are_matched_by_a_map_of_classes() -> None:
    found = matched([0, 1, 1, -1], ["x", "y"], CLASSES, class_map={"y": "tench"})
    assert found == ([-1, 0, 0, -1], "labels by the class map, 1 of 2 classes")


def test_a_map_of_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadImages) as caught:
        matched([0, 1], ["x", "y"], CLASSES, class_map={"z": 1})
    assert str(caught.value) == (
        "The class map sends 'z' to 1. It maps classes (x, y) to class names or numbers from 0 to 2. Mend this entry."
    )


def test_unknown_labels_alone_are_no_labels() -> None:
    assert matched([-1, -1], ["x"], CLASSES) == ([-1, -1], "no labels")


@pytest.mark.data
def test_labels_of_imagenet_are_the_numbers_in_the_file_names(data_folder: Path) -> None:
    class_names = (data_folder / "imagenet_classes.txt").read_text().split()
    images = open_images(str(data_folder / "imagenet500"), SMALL, class_names)
    assert len(images) == 500 and images.labelling.startswith("labels by the class index in front of the file names")
    for name, label in zip(images.ids, images.labels, strict=True):
        assert int(name.split("/")[1][:4]) == label
        assert class_names[label].startswith(name.split("/")[0] + "_")  # n01440764_tench


@pytest.mark.data
def test_labels_of_cifar_are_the_names_of_the_folders(data_folder: Path) -> None:
    class_names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    images = open_images(str(data_folder / "cifar10" / "test"), SMALL, class_names)
    assert images.labelling == "labels by folder name, 10 of 10 classes"
    assert all(class_names[label] == name.split("/")[0] for name, label in zip(images.ids, images.labels, strict=True))
