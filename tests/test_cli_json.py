"""Every command speaks JSON: one value on standard output, nothing else there, progress on the error stream."""

import dataclasses
import inspect
import json
from typing import Any

import pytest
from safetensors.torch import save_file

from microtome import cli
from microtome.network.open import open_model
from microtome.workflows import demo as demo_module


@pytest.fixture
def spoken(type_):
    """The JSON that a command prints."""

    def run(*words) -> Any:
        code, out, _ = type_(*words, "--json")
        assert code == 0
        return json.loads(out)

    return run


@pytest.fixture
def run_folder(type_, tmp_path):
    folder = tmp_path / "run"
    words = ("look", "zoo:simpleconvnet_pruned", "digits", "--limit", 40, "-o", folder, "-q", "--no-report")
    assert type_(*words, "--analyses", "twins,filters")[0] == 0
    return folder


def test_every_command_has_the_option() -> None:
    without = [
        command.name or command.callback.__name__ for command in cli.app.registered_commands
        if "json_" not in inspect.signature(command.callback).parameters
    ]  # fmt: skip
    assert len(cli.app.registered_commands) >= 8
    assert without == []


def test_sites_and_analyses_speak_json(spoken) -> None:
    assert spoken("sites", "zoo:simpleconvnet_pruned")["sites"][0]["name"] == "conv1"
    assert {entry["name"] for entry in spoken("analyses")} >= {"activity", "filters"}


def test_look_speaks_json_and_its_progress_goes_to_the_error_stream(type_, tmp_path) -> None:
    words = ("look", "zoo:simpleconvnet_pruned", "digits", "--limit", 40, "-o", tmp_path / "run", "--json")
    code, out, err = type_(*words)
    found = json.loads(out)
    assert (code, found["run"], found["skipped"]) == (0, str(tmp_path / "run"), {})
    assert "40 images from digits" in err


def test_demo_speaks_json(spoken, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(demo_module, "RECIPE", dataclasses.replace(demo_module.RECIPE, epochs=1))
    monkeypatch.setattr(demo_module, "NETWORK", "zoo:simpleconvnet_pruned")  # the other is looked at in test_demo.py
    found = spoken("demo", "-o", tmp_path / "demo", "-q")
    assert found["report"] == str(tmp_path / "demo" / "index.html")
    low, high = found["interval"]
    assert low < found["accuracy"] < high
    assert found["accuracies"] == [found["accuracy"]]
    assert {"sentence", "number", "weight", "link", "control"} == set(found["findings"][0])


def test_train_speaks_json(spoken, tmp_path) -> None:
    weights = tmp_path / "net.safetensors"
    found = spoken("train", "zoo:simpleconvnet_pruned", "digits", "--epochs", 1, "-o", weights, "-q")
    assert (found["weights"], found["epochs"], weights.is_file()) == (str(weights), 1, True)
    assert len(found["loss"]) == len(found["validation"]) == 1
    assert found["validation"][found["epoch"] - 1] == max(found["validation"])


def test_report_speaks_json(spoken, run_folder) -> None:
    assert spoken("report", run_folder) == {"run": str(run_folder), "report": str(run_folder / "index.html")}


def test_export_speaks_json_and_lists_what_it_wrote(spoken, run_folder, tmp_path) -> None:
    found = spoken("export", run_folder, "-o", tmp_path / "out", "--format", "csv, npz", "--figures", "pdf")
    there = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert set(found["files"]) == there >= {"twins/units.csv", "twins/arrays.npz", "twins/figure.pdf"}
    assert "findings.json" not in there


def test_export_in_words_names_every_file_and_the_folder(type_, run_folder) -> None:
    code, out, _ = type_("export", run_folder, "--analyses", "filters", "--figures", "none")
    assert code == 0
    assert "filters/units.csv: One row a unit" in out.splitlines()
    assert out.splitlines()[-1] == f"Export: {run_folder / 'export'}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "xls"), "Format 'xls' does not exist. There are: csv, json, npz."),
        (("--analyses", "decisions"), "Result 'decisions' does not exist. There are: all, twins, filters."),
        (("-o", "."), "'.' is not empty and no export. An export needs a folder of its own. Choose another folder"),
    ],
)
def test_wrong_wishes_of_an_export_end_with_code_2(type_, run_folder, monkeypatch, words, message) -> None:
    monkeypatch.chdir(run_folder)
    code, out, err = type_("export", run_folder, *words, "--json")
    assert (code, out) == (2, "")
    assert message in err


def test_exporting_what_is_no_run_ends_with_code_2(type_, tmp_path) -> None:
    code, _, err = type_("export", tmp_path)
    assert code == 2
    assert "is no run" in err


def test_doctor_speaks_json(spoken, tmp_path) -> None:
    weights = tmp_path / "net.safetensors"
    save_file(open_model("zoo:simpleconvnet_pruned").module.state_dict(), weights)
    found = spoken("doctor", f"zoo:simpleconvnet_pruned@{weights}", "digits", "--limit", 30, "-q")
    assert found["analyses"]["filters"] == {"verdict": "full", "reason": "", "instead": ""}
    assert found["trials"]["table"][0]["images"] == 30


def test_doctor_without_images_says_what_they_would_be_needed_for(type_) -> None:
    code, out, _ = type_("doctor", "zoo:simpleconvnet_pruned", "-q")
    assert code == 0
    assert ["filters", "full"] in [line.split() for line in out.splitlines()]
    assert "activity was given no images." in out
    assert "Preprocessing" not in out.splitlines()


def test_a_typo_of_the_doctors_patient_ends_with_code_2(type_) -> None:
    code, out, err = type_("doctor", "zoo:simpleconvnett", "--json")
    assert (code, out) == (2, "")
    assert "Did you mean 'simpleconvnet'?" in err
