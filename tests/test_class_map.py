"""Labels by a map from folder to class."""

import json

import numpy as np
import pytest
from PIL import Image

from microtome.errors import BadImages
from microtome.images.labels import map_labels
from microtome.images.sources import open_images
from microtome.network.zoo import CIFAR

NAMES = ("a/1.png", "a/2.png", "b/1.png", "c/1.png")


def test_folders_get_the_class_that_the_map_names():
    labels, how = map_labels(NAMES, ("cat", "dog"), {"a": "dog", "b": 0})
    assert labels.tolist() == [1, 1, 0, -1]
    assert how == "labels by the class map, 2 of 3 folders"


@pytest.mark.parametrize("entry", [{"z": "cat"}, {"a": "cow"}, {"a": 2}, {"a": -1}])
def test_an_entry_that_leads_nowhere_is_refused(entry):
    with pytest.raises(BadImages, match=r"The class map sends '.'.*It maps folders \(a, b, c\).*0 to 1\. Mend"):
        map_labels(NAMES, ("cat", "dog"), entry)


def test_of_many_folders_the_first_are_named():
    names = [f"{letter}/1.png" for letter in "abcdefgh"]
    with pytest.raises(BadImages, match=r"It maps folders \(a, b, c, d, e, f, \.\.\.\)"):
        map_labels(names, ("cat", "dog"), {"z": "cat"})


def test_a_map_overrides_the_folders_own_order(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / folder / "1.png")
    images = open_images(str(tmp_path), CIFAR, ("cat", "dog"), class_map=json.loads('{"x": "dog", "y": "cat"}'))
    assert images.labels.tolist() == [1, 0]
