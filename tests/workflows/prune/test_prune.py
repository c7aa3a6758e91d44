"""A pruning from end to end on scikit-learn's digits: certificate, resuming, commands, errors."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.analyses.certificate import CertificateResult
from microtome.errors import BadRun, RunFailed, UsageError
from microtome.network.training import Recipe
from microtome.workflows.prune.judging import difference, predictions
from microtome.workflows.prune.prune import Pruned, prune
from microtome.workflows.prune.settings import Settings
from microtome.workflows.train import train_zoo

NETWORK = "zoo:simpleconvnet_pruned"
BRIEF = Settings(rounds=3, target="conv1=4,conv2=8", images=60, climb=3, baselines=("random", "unpruned"))
TIMES = ("milliseconds", "time")  # measured anew

# A process that dies while the third round learns.
DIES = """
import os, sys
from microtome.workflows.prune import rounds
from tests_prune import go
right, calls = rounds.retrained, []
def dying(*words):
    calls.append(1)
    if len(calls) == 3:
        os._exit(9)
    return right(*words)
rounds.retrained = dying
go(sys.argv[1], sys.argv[2])
"""
GO = """
from microtome.workflows.prune.prune import prune
from microtome.workflows.prune.settings import Settings
import microtome as mt
def go(weights, out):
    settings = Settings(rounds=3, target="conv1=4,conv2=8", images=60, climb=3, baselines=("random", "unpruned"))
    return prune(mt.open_model(f"zoo:simpleconvnet_pruned@{weights}"), "digits", out=out, settings=settings, limit=400)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    train_zoo(NETWORK, "digits", Recipe(epochs=4, rate=4e-3), out=path)
    return path


@pytest.fixture(scope="module")
def model(weights) -> mt.Model:
    return mt.open_model(f"{NETWORK}@{weights}")


@pytest.fixture(scope="module")
def made(model, tmp_path_factory) -> Pruned:
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    found = prune(model, "digits", out=tmp_path_factory.mktemp("slim"), settings=BRIEF, limit=400)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())
    return found


def numbers(certificate: CertificateResult) -> dict[str, object]:
    return {name: value for name, value in certificate.to_state().items() if name not in TIMES}


def same(one: CertificateResult, other: CertificateResult) -> None:
    for name, value in numbers(one).items():
        theirs = numbers(other)[name]
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, theirs, equal_nan=True), name
        elif name == "pictures":
            assert all(map(np.array_equal, value, theirs))
        elif name == "widths":
            assert all(np.array_equal(value[key], theirs[key]) for key in value)
        else:
            assert value == theirs, name


def test_the_network_is_as_narrow_as_was_asked_and_opens_from_its_file(made, model):
    again = mt.open_model(f"{NETWORK}@{made.weights}")
    assert (again.module.conv1.out_channels, again.module.conv2.out_channels) == (4, 8)
    assert again.parameters == made.certificate.parameters[0, -1] == made.model.parameters
    test = mt.open_images("digits", again).limit(50)
    assert np.array_equal(predictions(again, test)[0], predictions(made.model, test)[0])


def test_the_certificate_holds_every_round_of_every_arm(made, model):
    of = made.certificate
    assert of.arms == ("criteria", "random", "unpruned")
    assert of.widths["conv1"][0].tolist() == [8, 6, 5, 4] and of.widths["conv2"][0].tolist() == [16, 13, 10, 8]
    assert of.parameters[0].tolist() == of.parameters[1].tolist() and (of.parameters[2] == 13_618).all()
    assert len(of.channels[0]) == 2 + 3 and len(of.why[0]) == len(of.pictures[0]) == 5
    assert len({name for names in of.channels for name in names}) == 4 + 8, "numbered as in the whole network"
    assert all(0 <= low <= value <= high <= 1 for value, low, high in of.after.reshape(-1, 3))
    assert of.stays == {"fc5": "it is an output of the network"}
    assert of.difference < 1e-5


def test_accuracies_are_those_of_the_networks_that_are_kept(made, model):
    folder = made.weights.parent
    learning = mt.open_images("digits", model, split="train")
    held_out, _ = learning.split("held-out", 0.25)
    for arm, row in (("criteria", 0), ("random", 1)):
        for number in (1, 3):
            kept = mt.open_model(f"{NETWORK}@{folder / 'rounds' / arm / str(number) / 'model.safetensors'}")
            answers, labels = predictions(kept, held_out)
            assert made.certificate.after[row, number, 0] == pytest.approx((answers == labels).mean())


def test_differences_are_of_the_same_images():
    ours, theirs = np.array([1, 1, 0, 1, 1, 0], bool), np.array([1, 0, 0, 0, 1, 1], bool)
    value, low, high = difference(ours, theirs)
    assert value == pytest.approx(100 * (2 - 1) / 6) and low < value < high


def test_the_page_shows_what_went_and_why(made):
    page = (made.weights.parent / "index.html").read_text()
    assert "What did pruning cost" in page or "accuracy goes from" in page
    cards = {card.title: card for card in made.certificate.cards()}
    assert "Removed in round 3" in cards and "The architecture before and after" in cards
    rows = cards["What was cut"].content.rows
    assert len(rows) == 1 + 3 * 3
    assert made.run["certificate"].findings()[0].control.startswith("at random")


def test_a_killed_pruning_goes_on_to_the_same_certificate(made, weights, tmp_path):
    (tmp_path / "tests_prune.py").write_text(GO)
    killed = subprocess.run([sys.executable, "-c", DIES, str(weights), str(tmp_path / "slim")], cwd=tmp_path,
                            capture_output=True, text=True)  # fmt: skip
    assert killed.returncode == 9, killed.stderr
    rounds = tmp_path / "slim" / "rounds" / "criteria"
    assert (rounds / "2" / "round.safetensors").exists() and not (rounds / "3" / "round.safetensors").exists()
    first = (rounds / "1" / "round.safetensors").stat().st_mtime_ns
    model = mt.open_model(f"{NETWORK}@{weights}")
    again = prune(model, "digits", out=tmp_path / "slim", settings=BRIEF, limit=400)
    assert (rounds / "1" / "round.safetensors").stat().st_mtime_ns == first, "what was done is not done again"
    same(again.certificate, made.certificate)


def test_another_pruning_in_the_same_folder_is_refused(made, model):
    with pytest.raises(BadRun, match="holds another pruning"):
        prune(model, "digits", out=made.weights.parent, settings=Settings(rounds=2), limit=400)


def test_images_without_labels_are_refused(model, tmp_path):
    images = mt.open_images(np.zeros((8, 1, 28, 28), np.uint8), model)
    with pytest.raises(UsageError, match="has no labels. Pruning is judged by accuracy"):
        prune(model, images, images, out=tmp_path / "slim", settings=BRIEF)


COMMAND = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from microtome.network.sources.weights import load_pruned
from microtome.network.zoo import ZOO
path = Path(sys.argv[1])
module = load_pruned(ZOO["simpleconvnet_pruned"].build, path)
state = module.state_dict()
state["fc5.bias"] = state["fc5.bias"] + 0.125
save_file(state, path)
"""


def test_a_command_retrains_and_one_that_fails_loses_nothing(model, tmp_path):
    script, out = tmp_path / "tune.py", tmp_path / "slim"
    script.write_text(COMMAND)
    settings = {"rounds": 2, "target": "conv1=6", "images": 40, "climb": 2, "baselines": ()}
    command = f"{sys.executable} {script} {{checkpoint}}"
    script.write_text("import sys; print('no GPU here', file=sys.stderr); sys.exit(3)")
    with pytest.raises(RunFailed) as caught:
        prune(model, "digits", out=out, settings=Settings(command=command, **settings), limit=200)
    assert "ended with exit code 3: no GPU here" in str(caught.value)
    assert "it goes on at this round" in caught.value.next_step
    script.write_text("import sys; open(sys.argv[1], 'wb').write(b'nothing')")
    with pytest.raises(RunFailed, match="left weights that do not fit"):
        prune(model, "digits", out=out, settings=Settings(command=command, **settings), limit=200)
    script.write_text(COMMAND)
    found = prune(model, "digits", out=out, settings=Settings(command=command, **settings), limit=200)
    assert torch.allclose(found.model.module.fc5.bias, model.module.fc5.bias + 0.25)  # in two rounds
    assert found.model.module.conv1.out_channels == 6
    with pytest.raises(RunFailed, match="cannot be started"):
        prune(
            model,
            "digits",
            out=tmp_path / "other",
            settings=Settings(command="no-such-program x", **settings),
            limit=200,
        )


def test_the_command_line_prints_numbers_and_goes_on(type_, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("prune", f"{NETWORK}@{weights}", "digits", "--rounds", "1", "--target", "fc4=8", "--baselines", "",
             "--retrain-epochs", "0", "--criteria-images", "40", "--importance", "ablation",
             "--limit", "200", "-o", "slim", "--json", "-q")  # fmt: skip
    code, out, err = type_(*words)
    assert code == 0, err
    found = json.loads(out)
    assert found["parameters"][0][0] == 13_618 and found["parameters"][0][1] < 13_618
    assert Path(found["page"]).exists() and Path(found["weights"]).exists()
    assert json.loads(type_(*words)[1])["accuracy_cut"] == found["accuracy_cut"]
    looked = mt.open_run(tmp_path / "slim" / "rounds" / "criteria" / "1" / "look")
    assert looked["pruning"].by == "ablation"
    code, _, err = type_("prune", f"{NETWORK}@{weights}", "digits", "--importance", "magic", "-o", "x", "-q")
    assert code == 2 and "Importance 'magic' does not exist" in err
    code, _, err = type_("prune", f"{NETWORK}@{weights}", "digits", "--target", "conv9=3", "-o", "x", "-q")
    assert code == 2 and "names 'conv9', of which no channel can go" in err
