"""The example of an analysis of one's own: through the command line it finds what is planted, and its pages show it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import microtome as mt
from house import ROOT
from microtome import cli
from microtome.runs.run import Run, open_run

PLUGIN = ROOT / "examples" / "your_first_analysis.py"
BRIGHT, EDGE, DEAD = 0, 1, 2  # units of conv1 that are planted


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A network whose first units are an average, an upright edge and nothing; what a look says about it."""
    folder = tmp_path_factory.mktemp("example")
    module = mt.open_model("zoo:simpleconvnet").module
    with torch.no_grad():
        module.conv1.weight[: DEAD + 1] = 0
        module.conv1.bias[: DEAD + 1] = 0
        module.conv1.weight[BRIGHT] = 1
        module.conv1.weight[EDGE, 0, :, 0], module.conv1.weight[EDGE, 0, :, -1] = 1, -1
    save_file(module.state_dict(), folder / "planted.safetensors")
    words = ["look", f"zoo:simpleconvnet@{folder / 'planted.safetensors'}", "digits", "--limit", "200", "--plugin",
             str(PLUGIN), "--analyses", "activity,brightness", "-q", "-o", str(folder / "run")]  # fmt: skip
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    return open_run(folder / "run", [PLUGIN]), done.output


def page_data(folder: Path, name: str) -> object:
    """What a page is given."""
    text = (folder / "data" / f"{name}.js").read_text()
    return json.loads(text[text.index(", ") + 2 : text.rindex(");")])


def test_the_planted_unit_is_found_and_the_others_are_not(looked) -> None:
    result = looked[0]["brightness"]
    r = result.r["conv1"]
    assert r[BRIGHT] > 0.95
    assert abs(r[EDGE]) < 0.7
    assert r[DEAD] == 0
    assert max(abs(result.shuffled["conv1"])) < 4 / np.sqrt(200)  # four standard errors


def test_the_correlation_is_numpys(looked) -> None:
    run = looked[0]
    model = mt.open_model("zoo:simpleconvnet")
    images = mt.open_images("digits", like=model).limit(200)
    pictures = model.preprocessing.normalise(torch.from_numpy(np.stack([images[n] for n in range(200)])))
    averages = torch.nn.functional.conv2d(pictures, torch.ones(1, 1, 5, 5), padding=2).relu().mean((1, 2, 3))
    expected = np.corrcoef(averages, pictures.mean((1, 2, 3)))[0, 1]
    assert run["brightness"].r["conv1"][BRIGHT] == pytest.approx(expected, abs=1e-4)


def test_it_is_among_the_findings_with_its_control(looked) -> None:
    run, said = looked
    (finding,) = run["brightness"].findings()
    assert finding.number == sum((r > 0.9).sum() for r in run["brightness"].r.values())
    assert f"{finding.sentence} ({finding.control})" in said
    assert f"{finding.number} units only say how bright a picture is" in (run.folder / "index.html").read_text()


def test_it_has_a_column_and_a_card_on_the_first_page(looked) -> None:
    run = looked[0]
    page = page_data(run.folder, "network")
    (column,) = [column for column in page["columns"] if column["name"] == "brightness"]
    assert column["values"][0] == [float(f"{value:.4g}") for value in run["brightness"].r["conv1"]]
    (topic,) = [topic for topic in page["topics"] if topic["key"] == "further"]
    (card,) = topic["questions"][0]["cards"]
    assert card["title"] == "Brightness by layer" and topic["questions"][0]["question"].startswith(
        "Which units only say"
    )
    assert [row[0] for row in card["rows"]] == list(run["brightness"].r)
    assert all(isinstance(cell, float) for row in card["rows"] for cell in row[1:])


def test_it_has_a_card_on_layer_pages_and_one_on_unit_pages(looked) -> None:
    run = looked[0]
    of_layer, of_units = (card for card in page_data(run.folder, "layer-0") if card["title"] == "Brightness")
    values = run["brightness"].r["conv1"]
    assert (of_layer["per_unit"], of_units["per_unit"]) == (False, True)
    assert of_layer["series"][0]["y"] == [float(f"{value:.4g}") for value in np.sort(values)[::-1]]
    assert of_units["lines"] == [f"r = {value:.2f}" for value in values]


def test_it_draws_a_figure_for_notebooks(looked) -> None:
    (axes,) = looked[0]["brightness"].plot().axes
    assert axes.get_ylabel() == "brightness"


def test_a_run_with_an_analysis_that_is_not_there_any_more_still_opens(looked) -> None:
    assert "brightness" not in open_run(looked[0].folder).names
