"""The report's files, without a browser."""

import json
import re

import numpy as np

from microtome.report.encode import numbers
from microtome.runs.run import open_run
from page_data import read


def test_every_layer_has_a_data_file(run):
    names = {path.name for path in (run.folder / "data").glob("layer-*.js")}
    assert names == {f"layer-{place}.js" for place in range(len(run.info["layers"]))}


def test_the_summary_can_be_read_without_scripts(run):
    text = (run.folder / "index.html").read_text()
    assert all(f.control.split(",")[0] in text for f in run["activity"].findings())


def test_nothing_is_asked_from_a_network(run):
    text = "".join(p.read_text() for p in (run.folder / "index.html", *(run.folder / "assets").iterdir()))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_names_that_look_like_markup_stay_text(run, tmp_path, monkeypatch):
    run.info["model"]["name"] = "<script>alert(1)</script>"
    try:
        text = run.report(tmp_path / "elsewhere").read_text()
    finally:
        run.info["model"]["name"] = "simpleconvnet"
    assert "<script>alert" not in text


def test_a_report_in_another_folder_brings_its_images_along(run, tmp_path):
    page = run.report(tmp_path / "elsewhere")
    assert {p.name for p in (page.parent / "images").iterdir()} == {p.name for p in (run.folder / "images").iterdir()}


def test_a_report_written_twice_is_the_same(run, tmp_path):
    first, second = (run.report(tmp_path / name).parent / "data" / "layer-1.js" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_numbers_of_numpy_stay_numbers():
    made = numbers((np.float32(0.5), np.int64(3), np.bool_(True), float("nan"), "a", np.array([1.23456, np.nan])))
    assert made == [0.5, 3, True, None, "a", [1.235, None]]
    json.dumps(made)  # no default needed


def test_numbers_on_the_page_are_those_of_the_result(run):
    network = read(run.folder / "data" / "network.js")
    column = next(column for column in network["columns"] if column["name"] == "std")
    expected = [float(f"{value:.4g}") for value in run["activity"].std["conv2"]]
    assert column["values"][1] == expected


def test_an_opened_run_reports_the_same_findings(run):
    again = open_run(run.folder)
    assert again["activity"].findings() == run["activity"].findings()
