"""The command line as a user types it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torchvision.models import resnet18
from torchvision.models.feature_extraction import get_graph_node_names
from typer.testing import CliRunner

from microtome import cli
from microtome.commands import image_options
from microtome.network.open import open_model
from microtome.runs.run import open_run

FEW = ("--analyses", "activity")  # where nothing is said of what the others find; all are asked in test_cli_json.py


def test_help_names_every_command():
    said = CliRunner().invoke(cli.app, ["--help"]).output
    assert all(name in said for name in ("demo", "sites", "analyses", "look", "report", "train", "doctor", "export"))


def test_sites_prints_the_names_of_torchvision(type_):
    code, out, _ = type_("sites", "torchvision:resnet18", "--json")
    names = [site["name"] for site in json.loads(out)["sites"]]
    assert (code, names) == (0, get_graph_node_names(resnet18().eval())[1][1:])


def test_sites_says_which_preprocessing_it_takes(type_):
    _, out, _ = type_("sites", "zoo:resnet20", "layer1.0.*")
    assert "mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225) (zoo entry resnet20)" in out


def test_a_typo_in_a_site_is_answered_with_the_right_one(type_):
    code, _, err = type_("sites", "zoo:resnet20", "layer1.0.conv7")
    assert code == 2
    assert "'layer1.0.conv7' does not exist" in err
    assert "Did you mean 'layer1.0.conv" in err


def test_an_unknown_scheme_is_refused_with_those_there_are(type_):
    code, _, err = type_("sites", "torchvison:resnet18")
    assert code == 2
    assert (
        "Model scheme 'torchvison' does not exist. There are: torchvision, timm, zoo, file, scratch. Did you mean "
        "'torchvision'?" in err
    )


@pytest.fixture
def pickled(tmp_path):
    """A whole network in a pickle, one of whose weights is no number."""
    module = open_model("zoo:simpleconvnet_pruned").module
    module.conv1.bias.data[0] = float("nan")
    torch.save(module, tmp_path / "net.pt")
    return f"zoo:simpleconvnet_pruned@{tmp_path / 'net.pt'}"


def test_sites_opens_a_pickle_only_if_it_is_trusted(type_, pickled):
    code, _, err = type_("sites", pickled)
    assert (code, "--trust-pickle" in err) == (2, True)
    assert type_("sites", pickled, "--trust-pickle")[0] == 0


def test_sites_says_that_a_weight_is_no_number(type_, pickled):
    note = "1 weights are NaN or infinite, in 1 (conv1.bias): what they reach means nothing"
    assert type_("sites", pickled, "--trust-pickle")[1].splitlines()[1] == f"note: {note}"
    assert json.loads(type_("sites", pickled, "--trust-pickle", "--json")[1])["notes"] == [note]


def test_look_opens_a_pickle_only_if_it_is_trusted_and_says_what_is_wrong_with_it(type_, pickled, tmp_path):
    words = ("look", pickled, "digits", "--limit", 40, "--analyses", "filters", "-o", tmp_path / "run", "--no-report")
    assert type_(*words)[0] == 2
    code, _, err = type_(*words, "--trust-pickle")
    assert code == 0
    assert "note: 1 weights are NaN or infinite, in 1 (conv1.bias)" in err
    assert len(open_run(tmp_path / "run").info["model"]["notes"]) == 1


def test_analyses_prints_questions_and_settings(type_):
    _, out, _ = type_("analyses")
    assert "activity: What makes each unit fire, and how often?" in out
    assert "activity.k = 9" in out


def test_look_writes_a_run_and_says_where_its_report_is(type_, tmp_path):
    code, out, _ = type_("look", "zoo:simpleconvnet", "digits", "--limit", 60, "-o", tmp_path / "run", "-q", *FEW)
    assert code == 0
    assert out.splitlines()[-1] == f"Report: {tmp_path / 'run' / 'index.html'}"


def test_look_prints_json_for_machines(type_, tmp_path):
    words = (
        "look",
        "zoo:simpleconvnet",
        "digits",
        "--limit",
        60,
        "-o",
        tmp_path / "run",
        "--json",
        "--no-report",
        *FEW,
    )
    found = json.loads(type_(*words)[1])
    assert {"sentence", "number", "weight", "link", "control"} == set(found["findings"][0])


def test_a_setting_changes_the_analysis(type_, tmp_path):
    out = tmp_path / "run"
    type_("look", "zoo:simpleconvnet", "digits", "--limit", 60, "-o", out, "-q", "--set", "activity.k=4", *FEW)
    assert open_run(out)["activity"].top_index["conv1"].shape == (32, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "activity.n=4"), "does not take these settings: n. Its settings are: k, positions."),
        (("--set", "activity"), "A setting is ANALYSIS.SETTING=VALUE"),
        (("--analyses", "activty"), "Analysis 'activty' does not exist. There are: decisions"),
        (("--plugin", "nowhere.py"), "There is no file 'nowhere.py'"),
    ],
)
def test_wrong_use_ends_with_code_2_and_says_what_is_right(type_, tmp_path, words, message):
    code, _, err = type_("look", "zoo:simpleconvnet", "digits", "--limit", 9, "-o", tmp_path / "run", "-q", *words)
    assert code == 2
    assert message in err


def test_a_folder_with_another_run_is_left_alone(type_, tmp_path):
    type_("look", "zoo:simpleconvnet", "digits", "--limit", 40, "-o", tmp_path / "run", "-q", "--no-report", *FEW)
    before = (tmp_path / "run" / "run.json").read_bytes()
    code, _, err = type_("look", "zoo:simpleconvnet", "digits", "--limit", 30, "-o", tmp_path / "run", "-q")
    assert code == 2
    assert "holds a run of other images. A run has one model and one image set. Choose another folder" in err
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_a_folder_with_something_else_in_it_is_left_alone(type_, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    code, _, err = type_("look", "zoo:simpleconvnet", "digits", "--limit", 9, "-o", tmp_path, "-q")
    assert code == 2
    assert "is not empty and no run. A run needs a folder of its own. Choose another folder" in err


def test_train_writes_weights_that_look_can_open(type_, tmp_path):
    weights = tmp_path / "net.safetensors"
    code, out, _ = type_("train", "zoo:simpleconvnet_pruned", "digits", "--epochs", 1, "-o", weights, "-q")
    assert code == 0
    assert "images not seen in training" in out
    assert type_("sites", f"zoo:simpleconvnet_pruned@{weights}")[0] == 0


def test_train_takes_the_networks_own_recipe_unless_options_say_otherwise(type_, tmp_path):
    words = ("--epochs", 1, "--no-flip", "--rate", 0.01, "-o", tmp_path / "net.safetensors")
    err = type_("train", "zoo:lenet9", "digits", *words)[2]
    assert err.splitlines()[0] == (
        "recipe: 1 epochs of batches of 100, SGD with momentum 0.9, rate 0.01 divided by 10 after 27%, 53%, 80%, "
        "weight decay 0.0005, shifted by up to 4 pixels, seed 0"
    )
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    assert (recipe["epochs"], recipe["flip"], recipe["rate"], recipe["batch_size"]) == (1, False, 0.01, 100)


def test_a_network_from_scratch_is_trained_in_numpy_and_looked_at(type_, tmp_path):
    net = tmp_path / "net.tnn"
    words = ("train", "scratch:mnist-net", "digits", "--epochs", 1, "--batch-size", 256, "-o", net)
    code, out, err = type_(*words)
    assert (
        code == 0 and "recipe: SGD at 0.02, momentum 0.9, weight decay 0.0, 1 epochs in batches of 256, seed 0" in err
    )
    assert "after 1 epochs of 1,313" in out and out.endswith(f"Network: {net}\n")
    assert "conv_2" in type_("sites", net)[1]
    told = json.loads(type_(*words, "--json", "-q")[1])
    assert (told["trained_on"], told["held_out"], len(told["epochs"])) == (1313, 484, 1)
    code, _, err = type_(*words[:3], "--schedule", "cosine")
    assert code == 2 and "--schedule was given for scratch:mnist-net. Networks from scratch learn by SGD" in err


def test_only_networks_of_the_zoo_are_trained(type_):
    code, _, err = type_("train", "torchvision:alexnet", "digits")
    assert (code, "'torchvision:alexnet' cannot be trained. Trained are: zoo:simpleconvnet" in err) == (2, True)


def test_a_report_can_be_written_again(type_, tmp_path):
    type_("look", "zoo:simpleconvnet", "digits", "--limit", 40, "-o", tmp_path / "run", "-q", "--no-report", *FEW)
    code, out, _ = type_("report", tmp_path / "run", "-o", tmp_path / "pages")
    assert (code, out) == (0, f"Report: {tmp_path / 'pages' / 'index.html'}\n")


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures in one flat folder, two of which cannot be read."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(folder / f"{number:02d}.png")
    (folder / "03.png").write_text("dear")
    (folder / "07.png").write_bytes(b"")
    return folder


BROKEN = {"03.png": "no image that Pillow can identify", "07.png": "the file is empty"}


def test_look_goes_on_without_labels_and_without_broken_images_and_says_which(type_, tmp_path, photos):
    words = ("look", "zoo:simpleconvnet", photos, "-o", tmp_path / "run", "-q", "--no-report")
    code, out, _ = type_(*words, "--analyses", "activity,preferences")
    assert code == 0
    assert (
        "skipped 2 images that cannot be read: 03.png (no image that Pillow can identify), 07.png (the file is empty)\n"
    ) in out
    run = open_run(tmp_path / "run")
    assert run.info["images"]["broken"] == BROKEN
    assert run["activity"].images == 10
    assert not set(run["activity"].top_index["conv1"].ravel()) & {3, 7}
    assert "preferences" in run.info["skipped"]


def test_many_broken_images_are_counted_and_the_first_are_named(capsys):
    image_options.say_broken({f"{letter}.png": "empty" for letter in "abcd"})
    expected = "skipped 4 images that cannot be read: a.png (empty), b.png (empty), c.png (empty), ...\n"
    assert capsys.readouterr().out == expected


def test_broken_images_stand_in_the_json(type_, tmp_path, photos):
    words = (
        "look",
        "zoo:simpleconvnet",
        photos,
        "-o",
        tmp_path / "run",
        "--json",
        "--no-report",
        "--analyses",
        "filters,activity",
    )
    assert json.loads(type_(*words)[1])["broken"] == BROKEN


@pytest.fixture
def ten_classes(tmp_path):
    """Sixty pictures in ten folders, of which one cannot be read."""
    random = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / "ten" / str(number % 10) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(path)
    (tmp_path / "ten" / "3" / "13.png").write_bytes(b"")
    return tmp_path / "ten"


@pytest.mark.parametrize("command", ["look", "train"])
def test_strict_refuses_broken_images(type_, tmp_path, ten_classes, command):
    where = tmp_path / "out.safetensors"
    code, _, err = type_(command, "zoo:simpleconvnet", ten_classes, "-o", where, "-q", "--strict")
    assert code == 2
    assert "Image '3/13.png' of ten cannot be read (the file is empty). A strict look needs every image." in err
    assert "Mend or remove it, or do without --strict." in err
    assert not where.exists()


def test_a_second_look_still_knows_which_images_it_skipped(type_, tmp_path, ten_classes):
    words = ("look", "zoo:simpleconvnet_pruned", ten_classes, "-o", tmp_path / "run", "-q", "--no-report", "--analyses")
    for analyses in ("activity", "filters", "activity"):
        assert "skipped 1 image that cannot be read: 3/13.png (the file is empty)\n" in type_(*words, analyses)[1]


def test_train_says_which_images_it_skipped(type_, tmp_path, ten_classes):
    out = tmp_path / "net.safetensors"
    code, said, _ = type_("train", "zoo:simpleconvnet_pruned", ten_classes, "--epochs", 1, "-o", out, "-q")
    assert code == 0
    assert "skipped 1 image that cannot be read: 3/13.png (the file is empty)\n" in said


def test_the_number_of_decoders_changes_no_result(type_, tmp_path, photos):
    found = []
    for decoders in (1, 4):
        out = tmp_path / str(decoders)
        type_("look", "zoo:simpleconvnet", photos, "-o", out, "-q", "--no-report", "--decoders", decoders, *FEW)
        found.append(next((out / "results").glob("activity-*.safetensors")).read_bytes())
    assert found[0] == found[1]


def test_a_factory_of_ones_own_is_looked_at(type_, tmp_path):
    code = "import torch\n\n\ndef make():\n    return torch.zeros(9, 1, 28, 28)\n"
    (tmp_path / "data.py").write_text(code)
    words = ("look", "zoo:simpleconvnet", f"file:{tmp_path / 'data.py'}:make", "-o", tmp_path / "run", "-q")
    assert type_(*words, "--no-report", *FEW)[0] == 0
    assert open_run(tmp_path / "run").info["images"]["notes"][0].startswith("floating point is taken as prepared")


@pytest.mark.parametrize(
    ("images", "words", "message"),
    [
        ("digits", ("--download",), "digits was given with --download. Fetched are: mnist:, fashionmnist:, cifar10:."),
        ("digits", ("--decoders", 0), "decoders is 0. It must be 1 or more."),
        ("npz:none.npz", (), "There is no file 'none.npz'. An .npz file holds `images`"),
        ("cifar10:none", (), "There is no CIFAR10 in 'none'. cifar10:DIR needs DIR/cifar-10-batches-py"),
    ],
)
def test_images_that_cannot_be_opened_end_with_code_2(type_, tmp_path, images, words, message):
    code, _, err = type_("look", "zoo:simpleconvnet", images, "-o", tmp_path / "run", "-q", *words)
    assert code == 2
    assert message in err


def test_the_split_is_chosen(type_, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "torchvision.datasets.MNIST.__init__",
        lambda self, root, train, download: asked.append((train, download)) or 1 / 0,
    )
    for words in ((), ("--split", "train"), ("--download",)):
        with pytest.raises(ZeroDivisionError):
            type_("look", "zoo:simpleconvnet", "mnist:none", "-o", tmp_path / "run", "-q", *words)
    assert asked == [(False, False), (True, False), (False, True)]
