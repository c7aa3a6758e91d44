"""Comparisons from end to end: notebooks, the command line, going on, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import microtome as mt
from microtome.errors import BadModel
from microtome.progress import Silent
from pairs import changed, digits, never, unlabelled

PUSHED = 3
NAMED = "zoo:simpleconvnet_pruned"


@pytest.fixture(scope="module")
def network() -> tuple[mt.Model, mt.Images]:
    return digits()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Weights of a network, of one that is worse, and of one for other classes; a folder of pictures by class."""
    home = tmp_path_factory.mktemp("compare")
    sites = mt.open_model(NAMED).sites
    model, images = digits(tuple(sites[name].units for name in ("conv1", "conv2", "conv3", "fc4")))
    save_file(model.module.state_dict(), home / "a.safetensors")
    save_file(changed(model, never(PUSHED)).module.state_dict(), home / "b.safetensors")
    for place in range(120):
        where = home / "digits" / str(images.labels[place])
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[place][0]).save(where / f"{place}.png")
    return home


def words(folder: Path, *more: object, a: str = "a", b: str = "b") -> list[object]:
    nets = [f"{NAMED}@{folder / name}.safetensors" for name in (a, b)]
    return ["compare", *nets, "--images", folder / "digits", "-q", *more]


def test_a_notebook_compares_two_models_and_reads_the_verdict(network) -> None:
    model, images = network
    found = mt.compare(model, changed(model, never(PUSHED)), images)
    assert (found.answers.verdict, found.worse, found.run, dict(found.skipped)) == ("worse", True, None, {})
    assert found.units.match["conv1"].shape == (6,)
    assert found.calibration.ece.shape == (2,)


def test_with_a_folder_the_comparison_is_a_run_with_a_report(network, tmp_path) -> None:
    model, images = network
    found = mt.compare(model, changed(model, never(PUSHED)), images, out=tmp_path / "run", tolerance=1)
    assert found.run.info["analyses"] == ["comparison", "calibrations", "counterparts", "first_layers"]
    assert found.run["comparison"].tolerance == 1
    again = mt.open_run(tmp_path / "run")["comparison"]
    assert again.conclusion() == found.answers.conclusion()
    page = found.run.report().read_text()
    assert "simpleconvnet beside simpleconvnet" in page
    assert found.answers.conclusion().replace("'", "&#39;").replace("<", "&lt;") in page


class Stopped(Silent):
    """A user who stops what is under way when a number of passes have begun."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed

    def bar(self, *about: object, **more: object):
        self.allowed -= 1
        if self.allowed < 0:
            raise KeyboardInterrupt
        return super().bar(*about, **more)


def test_a_comparison_that_was_stopped_goes_on_with_the_second_network(network, tmp_path) -> None:
    model, images = network
    other = changed(model, never(PUSHED))
    with pytest.raises(KeyboardInterrupt):
        mt.compare(model, other, images, out=tmp_path / "run", progress=Stopped(1))
    found = mt.compare(model, other, images, out=tmp_path / "run", progress=Stopped(1))
    assert found.run.info["passes"] == 1
    assert found.answers.conclusion() == mt.compare(model, other, images).answers.conclusion()


def test_modules_are_compared_as_they_are(network) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 224 * 224, 4)).eval()
    pixels = np.random.default_rng(0).integers(0, 255, (6, 3, 224, 224), dtype=np.uint8)
    found = mt.compare(module, module, pixels)
    assert found.answers.verdict == "the same answers"
    assert found.calibration is None and "calibrations" in found.skipped


def test_numbers_for_machines_are_json_with_and_without_labels(network) -> None:
    model, images = network
    worse = changed(model, never(PUSHED))
    told = json.loads(json.dumps(mt.compare(model, worse, images).numbers()))
    assert (told["verdict"], told["worse"], told["images"]) == ("worse", True, 300)
    assert len(told["broken"]) + len(told["fixed"]) <= len(told["changed"])
    places = [images.ids.index(name) for name in told["broken"]]
    assert (images.labels[places] == PUSHED).all()
    assert told["worse_classes"] == [str(PUSHED)]
    assert told["accuracy"][0][1] < told["accuracy"][0][0] < told["accuracy"][0][2]
    told = json.loads(json.dumps(mt.compare(model, worse, unlabelled(images)).numbers()))
    assert (told["verdict"], told["worse"], told["calibration"]) == (None, False, None)
    assert "broken" not in told and told["agreement"] < 1


def test_networks_of_other_classes_are_refused_before_anything_is_measured(network, tmp_path) -> None:
    model, images = network
    other = mt.open_model(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 7)), size=28, mean=[0], std=[1])
    with pytest.raises(BadModel) as caught:
        mt.compare(model, other, images, out=tmp_path / "run")
    assert caught.value.given == "A (simpleconvnet) has 10 classes and B (Sequential) 7"
    assert caught.value.allowed.startswith(
        "Answers are compared class by class, so both networks need the same classes"
    )
    assert caught.value.next_step == "Give two networks for the same task"
    assert not (tmp_path / "run").exists()


def test_the_command_says_what_was_broken_and_where_the_report_is(type_, folder, tmp_path) -> None:
    code, out, _ = type_(*words(folder, "-o", tmp_path / "run"))
    first, *_, last = out.splitlines()
    assert code == 0
    assert first.startswith("- B breaks ") and "): worse (were B as good as A, it would break " in first
    assert last == f"Report: {tmp_path / 'run' / 'index.html'}"
    assert (tmp_path / "run" / "index.html").is_file()


def test_only_if_asked_the_exit_code_tells_that_b_is_worse(type_, folder, tmp_path) -> None:
    out = ("-o", tmp_path / "run", "--no-report")
    assert type_(*words(folder, *out))[0] == 0
    assert type_(*words(folder, *out, "--fail-if-worse"))[0] == 1
    assert type_(*words(folder, *out, "--fail-if-worse", "--tolerance", 90))[0] == 0
    assert type_(*words(folder, "-o", tmp_path / "turned", "--fail-if-worse", a="b", b="a"))[0] == 0
    assert type_(*words(folder, "-o", tmp_path / "same", "--fail-if-worse", b="a"))[0] == 0


def test_the_command_speaks_json_and_its_exit_code_stays(type_, folder, tmp_path) -> None:
    code, out, _ = type_(*words(folder, "-o", tmp_path / "run", "--json", "--fail-if-worse"))
    told = json.loads(out)
    assert (code, told["verdict"], told["run"], told["unreadable"]) == (1, "worse", str(tmp_path / "run"), {})
    assert all(name.startswith(f"{PUSHED}/") for name in told["broken"])
    assert told["criterion"].endswith("lies below 0 points, and McNemar's exact p is below 0.05")


def test_typed_again_it_measures_nothing_and_with_another_b_it_is_another_run(type_, folder, tmp_path) -> None:
    out = ("-o", tmp_path / "run", "--no-report")
    assert type_(*words(folder, *out))[0] == 0
    assert type_(*words(folder, *out))[0] == 0
    assert mt.open_run(tmp_path / "run").info["passes"] == 0
    code, _, err = type_(*words(folder, *out, b="a"))
    assert code == 2
    assert "holds a run beside another network, or beside none" in err


def test_look_goes_on_with_a_comparison_and_knows_both_networks(type_, folder, tmp_path) -> None:
    assert type_(*words(folder, "-o", tmp_path / "run", "--no-report"))[0] == 0
    assert type_("look", tmp_path / "run", "--analyses", "activity", "-q")[0] == 0
    info = mt.open_run(tmp_path / "run").info
    assert info["analyses"] == ["comparison", "calibrations", "counterparts", "first_layers", "activity"]
    assert list(info["others"]) == ["B"]


def test_further_questions_may_be_asked_of_a(type_, folder, tmp_path) -> None:
    assert type_(*words(folder, "-o", tmp_path / "run", "--analyses", "activity", "--no-report"))[0] == 0
    names = {"activity", "comparison", "calibrations", "counterparts", "first_layers"}
    assert set(mt.open_run(tmp_path / "run").names) == names


def test_without_a_folder_it_is_named_after_both_and_the_images(type_, folder, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert type_(*words(folder, "--no-report"))[0] == 0
    assert (tmp_path / "runs" / "simpleconvnet_pruned-beside-simpleconvnet_pruned-digits" / "run.json").is_file()


def test_the_folder_of_a_run_is_no_network_to_compare(type_, folder, tmp_path) -> None:
    assert type_(*words(folder, "-o", tmp_path / "run", "--no-report"))[0] == 0
    code, _, err = type_("compare", tmp_path / "run", NAMED, "--images", folder / "digits")
    assert code == 2
    assert f"{str(tmp_path / 'run')!r} is the folder of a run. Compared are two networks. Go on with it by " in err


def test_a_look_at_one_network_says_nothing_of_comparisons(type_, folder, tmp_path) -> None:
    code, out, _ = type_("look", NAMED, folder / "digits", "--analyses", "filters", "-o", tmp_path / "run", "--json")
    assert (code, json.loads(out)["skipped"]) == (0, {})
    code, out, _ = type_(
        "look", NAMED, folder / "digits", "--analyses", "comparison", "-o", tmp_path / "other", "--json"
    )
    assert json.loads(out)["skipped"]["comparison"].startswith("simpleconvnet_pruned is looked at by itself")


def test_a_plan_that_names_a_python_file_as_the_other_runs_nothing_unasked(type_, folder, tmp_path) -> None:
    assert type_(*words(folder, "-o", tmp_path / "run", "--no-report"))[0] == 0
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    plan["call"]["other"] = "file:evil.py:make"
    (tmp_path / "run" / "plan.json").write_text(json.dumps(plan))
    code, _, err = type_("look", tmp_path / "run", "-q")
    assert (code, "runs Python files: file:evil.py:make" in err) == (2, True)
