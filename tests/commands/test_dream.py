"""`microtome dream` as a user types it."""

import json

import numpy as np
import pytest
from PIL import Image

import microtome as mt

NET = "zoo:simpleconvnet_pruned"


@pytest.fixture
def dream(type_, monkeypatch, tmp_path):
    """Type `microtome dream ...` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: type_("dream", *words)


def test_a_figure_is_written_and_what_was_reached_is_said(dream, tmp_path) -> None:
    words = ("--unit", "conv2:3", "--class", 7, "--images", "digits", "--limit", 40, "--steps", 4, "--negative", "-q")
    code, out, _ = dream(NET, *words, "-o", tmp_path / "new" / "sheet.png")
    assert code == 0
    images = mt.open_images("digits", mt.open_model(NET)).limit(40)
    sheet = mt.superstimuli(NET, ["conv2:3", "class:7"], images=images, steps=4, negative=True)
    assert out.splitlines() == [*sheet.sentences(), f"Figure: {tmp_path / 'new' / 'sheet.png'}"]
    with Image.open(tmp_path / "new" / "sheet.png") as picture:
        assert picture.format == "PNG" and np.asarray(picture.convert("L")).std() > 10


def test_without_a_name_the_figure_is_called_after_the_unit(dream, tmp_path) -> None:
    assert dream(NET, "--unit", "conv1:3@5,6", "--steps", 2, "-q")[1].endswith("Figure: dream-conv1-3-5-6.png\n")
    assert [path.name for path in tmp_path.iterdir()] == ["dream-conv1-3-5-6.png"]


def test_json_gives_the_numbers_and_writes_nothing_unasked(dream, tmp_path) -> None:
    told = json.loads(dream(NET, "--unit", "conv2:3", "--at", "2,3", "--n", 2, "--steps", 3, "--seed", 5, "--json")[1])
    expected = mt.superstimuli(NET, "conv2:3", at=(2, 3), n=2, steps=3, seed=5).numbers()
    assert told == json.loads(json.dumps(expected)) | {"figure": None} and list(tmp_path.iterdir()) == []


def test_nothing_to_grow_is_refused(dream) -> None:
    code, _, err = dream(NET)
    assert code == 2 and "It takes --unit UNIT and --class CLASS" in err
