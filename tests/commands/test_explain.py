"""`microtome explain` as a user types it."""

import json

import numpy as np
import pytest
from PIL import Image

import microtome as mt

NET = "zoo:simpleconvnet_pruned"


@pytest.fixture
def explain(type_, monkeypatch, tmp_path):
    """Type `microtome explain ...` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: type_("explain", *words)


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
        ((), "explain was not told what to explain. It takes --maps SITE or --unit UNIT. `microtome sites MODEL` lists "
             "the sites."),
        (("--maps", "conv1", "--unit", "conv1:2"), "explain was told --maps conv1 and --unit conv1:2. It takes --maps "
                                                   "SITE or --unit UNIT."),
        (("--unit", "conv1:2", "--method", "gradcan"), "Method 'gradcan' does not exist. There are: deconvnet, guided, "
                                                       "gradient, gradcam, occlusion, dissect, path, preimage. Did"),
        (("--unit", "conv1:2", "--method", "gradcam"), "conv1:2 is a unit. Grad-CAM explains a class"),
        (("--unit", "conv1:99", "--method", "occlusion"), "Unit 99 of conv1 does not exist. Its units are 0 to 7."),
        (("--unit", "class:12", "--method", "occlusion"), "Class 12 of simpleconvnet_pruned does not exist. Its "
                                                          "classes are 0 to 9."),
        (("--unit", "class", "--method", "gradcam", "--size", "3"), "--size 3 was given with --method gradcam. --size "
                                                                    "belongs to --method occlusion. Leave --size out"),
        (("--unit", "class", "--method", "gradcam", "--at", "1,1"), "--at 1,1 was given with --method gradcam. --at "
                                                                    "belongs to --method deconvnet or guided or"),
        (("--maps", "conv1", "--site", "conv2"), "--site conv2 was given with --maps. --site belongs to --method "
                                                 "gradcam."),
        (("--unit", "conv1:2", "--method", "occlusion", "--at", "3"), "Position '3' cannot be read."),
        (("--unit", "conv1:2", "--method", "occlusion", "--at", "3,99"), "Position 3,99 of relu does not exist. Its "
                                                                         "positions are 28 x 28."),
        (("--unit", "conv1:2", "--method", "occlusion", "--size", "0"), "size is 0. It must be 1 or more."),
        (("--method", "path", "--class", "zebra"), "Class 'zebra' does not exist."),
        (("--method", "path", "--unit", "class:1", "--class", "2"), "A path was told --unit class:1 and --class 2. It "
                                                                    "starts at one class. Leave one of them out."),
        (("--method", "path", "--unit", "conv1:2"), "Class 'conv1:2' does not exist."),
        (("--unit", "class", "--method", "gradcam", "--class", "2"), "--class 2 was given with --method gradcam. "
                                                                     "--class belongs to --method path."),
        (("--maps", "conv1", "--images", "digits"), "--images digits was given with --maps. --images belongs to"),
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


def test_grad_cam_says_what_it_chose_and_writes_its_figure(explain, tmp_path):
    code, out, _ = explain(NET, "line:45", "--unit", "class", "--method", "gradcam", "-o", "heat.png")
    assert (code, out.splitlines()) == (0, [*mt.grad_cam(NET, "line:45").sentences(), "Figure: heat.png"])
    with Image.open(tmp_path / "heat.png") as picture:
        assert picture.format == "PNG" and picture.width > 900


def test_grad_cam_reads_where_it_is_told(explain):
    words = (NET, "dot", "--unit", "class:3", "--method", "gradcam", "--site", "conv2", "--json")
    assert json.loads(explain(*words)[1]) == mt.grad_cam(NET, "dot", 3, site="conv2").numbers() | {"figure": None}


def test_occlusion_takes_its_squares_from_the_options(explain, tmp_path):
    words = (NET, "dot", "--unit", "conv2:3", "--method", "occlusion", "--at", "4,5", "--size", "6", "--stride", "5",
             "--fill", "blur")  # fmt: skip
    expected = mt.occlusion(NET, "dot", "conv2:3", at=(4, 5), size=6, stride=5, fill="blur")
    told = json.loads(explain(*words, "--json")[1])
    assert told == json.loads(json.dumps(expected.numbers())) | {"figure": None}
    assert list(tmp_path.iterdir()) == []
    code, out, _ = explain(*words, "--quiet")
    assert (code, out.splitlines()) == (0, [*expected.sentences(), "Figure: occlusion-conv2-3-dot.png"])
    assert [path.name for path in tmp_path.iterdir()] == ["occlusion-conv2-3-dot.png"]


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_a_unit_is_led_back_to_the_pixels(explain, tmp_path, method):
    reconstruction = pytest.importorskip("microtome.sheets.reconstruction", reason="reconstructions are not there yet")
    code, out, _ = explain(NET, "line:45", "--unit", "conv2:3", "--method", method, "--at", "4,5", "-o", "back.png")
    expected = reconstruction.reconstruct(mt.open_model(NET), "line:45", "conv2:3", method=method, at=(4, 5))
    assert (code, out.splitlines()) == (0, [*expected.sentences(), "Figure: back.png"])
    assert (tmp_path / "back.png").is_file()
    assert explain(NET, "line:45", "--unit", "class:3", "--method", method)[0] == 0


def test_a_path_is_followed_from_the_answer_or_a_class(explain, tmp_path):
    code, out, _ = explain(NET, "line:45", "--method", "path", "-o", "path.png")
    assert (code, out.splitlines()) == (0, [*mt.decision(NET, "line:45").sentences(), "Figure: path.png"])
    with Image.open(tmp_path / "path.png") as picture:
        assert picture.format == "PNG" and picture.width > 900
    model = mt.open_model(NET)
    expected = mt.decision(model, "line:45", 3, images=mt.open_images("digits", model))
    told = json.loads(explain(NET, "line:45", "--method", "path", "--class", "3", "--images", "digits", "--json")[1])
    assert told == json.loads(json.dumps(expected.numbers())) | {"figure": None}
    assert (told["class"], told["usual"]) == (3, "32 images of digits")
    assert [path.name for path in tmp_path.iterdir()] == ["path.png"]


def test_a_preimage_is_of_a_layer_or_a_unit_and_moves_towards_a_picture(explain, tmp_path):
    code, out, err = explain(NET, "stimulus:line:45", "--unit", "fc4", "--method", "preimage", "--towards", "dot")
    assert code == 0, err
    assert "Inputs with the same activation form a set of " in out
    assert " is read the same: the activation changes by " in out
    assert out.endswith("Figure: preimage-fc4-stimulus-line-45.png\n")
    assert (tmp_path / "preimage-fc4-stimulus-line-45.png").stat().st_size > 10_000
    told = json.loads(explain(NET, "dot", "--unit", "fc4:1", "--method", "preimage", "--json")[1])
    assert (told["method"], told["where"], told["outputs"], told["towards"]) == ("preimage", "fc4:1", 1, "noise")


def test_a_target_belongs_to_preimages_alone(explain):
    code, _, err = explain(NET, "dot", "--unit", "fc4:1", "--method", "gradient", "--towards", "dot")
    assert code == 2
    assert "--towards dot was given with --method gradient. --towards belongs to --method preimage" in err
