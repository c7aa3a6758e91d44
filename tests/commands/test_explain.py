"""`microtome explain` as a user types it."""

import json

import numpy as np
import pytest
from PIL import Image

import microtome as mt
from microtome import cli

NET = "zoo:simpleconvnet_pruned"


@pytest.fixture
def explain(capsys, monkeypatch, tmp_path):
    """Type `microtome explain ...` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["microtome", "explain", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
            raise SystemExit(0)
        said = capsys.readouterr()
        return stop.value.code or 0, said.out, said.err

    return run


def test_a_figure_is_written_and_the_shares_are_said(explain, tmp_path):
    code, out, _ = explain(NET, "stimulus:line:45", "--maps", "conv2", "-o", tmp_path / "new" / "sheet.png")
    sheet = mt.maps(NET, "line:45", "conv2")
    assert code == 0
    assert out.splitlines() == [
        "simpleconvnet_pruned, conv2 on line:45: 16 channels",
        f"relu_1:in: 14 x 14, {sheet.maps['before'].min():.3g} to {sheet.maps['before'].max():.3g}",
        f"relu_1: 14 x 14, 0 to {sheet.maps['after'].max():.3g}; the rectifier throws away "
        f"{sheet.share_lost('after'):.0%} of the energy",
        f"max_pool2d_1: 7 x 7, {sheet.maps['pool'].min():.3g} to {sheet.maps['pool'].max():.3g}; the pool throws away "
        f"{sheet.share_lost('pool'):.0%} of the energy",
        "(a rectifier throws away 50% of a signal that is symmetric around 0)",
        f"Figure: {tmp_path / 'new' / 'sheet.png'}",
    ]
    with Image.open(tmp_path / "new" / "sheet.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def test_without_a_name_the_figure_is_called_after_site_and_picture(explain, tmp_path):
    assert explain(NET, "dot", "--maps", "fc5")[1].endswith("Figure: fc5-dot.png\n")
    assert [path.name for path in tmp_path.iterdir()] == ["fc5-dot.png"]


def test_json_gives_the_numbers_and_writes_nothing_unasked(explain, tmp_path):
    told = json.loads(explain(NET, "line:45", "--maps", "conv2", "--json")[1])
    assert told == mt.maps(NET, "line:45", "conv2").numbers() | {"figure": None}
    assert list(tmp_path.iterdir()) == []


def test_json_and_a_figure_go_together(explain, tmp_path):
    assert json.loads(explain(NET, "dot", "--maps", "conv1", "--json", "-o", "a.png")[1])["figure"] == "a.png"
    assert (tmp_path / "a.png").is_file()


def test_one_channel_can_be_asked_for(explain):
    told = json.loads(explain(NET, "dot", "--maps", "conv1:5", "--json")[1])
    assert (told["channels"], told["stages"][0]["shape"]) == ([5], [1, 28, 28])


def test_a_photograph_can_be_given(explain, tmp_path):
    Image.fromarray(np.zeros((40, 30), np.uint8)).save(tmp_path / "photo.png")
    code, out, _ = explain(NET, "photo.png", "--maps", "conv1")
    assert (code, out.splitlines()[-1]) == (0, "Figure: conv1-photo.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "explain was not told what to explain. It takes --maps SITE. `microtome sites MODEL` lists the sites."),
        (("--maps", "conv7"), "Site 'conv7' does not exist. There are: conv1, relu, max_pool2d, conv2"),
        (("--maps", "conv1:8"), "Unit 8 of conv1 does not exist. Its units are 0 to 7."),
        (("--maps", "conv1:8x"), "Unit 'conv1:8x' cannot be read"),
        (("--maps", "conv1", "-o", "a.jpg"), "The picture is to be written to 'a.jpg'. It is a PNG file. Write -o "
                                             "NAME.png."),
    ],
)  # fmt: skip
def test_wrong_use_ends_with_code_2_and_leaves_nothing(explain, tmp_path, words, message):
    code, out, err = explain(NET, "dot", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []
