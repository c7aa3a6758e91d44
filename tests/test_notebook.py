"""The notebook is true: its cells run in order on few images, and again on another network by changing one line."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

import microtome as mt

PAGE = Path(__file__).parent.parent / "docs" / "tutorials" / "dissection.ipynb"
FEW = {"EPOCHS": 1, "LEARNT": 300, "SEEN": 40, "STEPS": 2}
MINE = "class Mine(torch.nn.Sequential):\n    pass\n\n\nMODEL = mt.open_model(Mine(torch.nn.Conv2d(3, 4, 3), \
torch.nn.ReLU(), torch.nn.Conv2d(4, 6, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), \
torch.nn.Linear(726, 10)), size=26)\n"


def cells(kind: str = "code") -> list[str]:
    found = json.loads(PAGE.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def with_few_images(code: str, folder: Path) -> str:
    """The cell of settings with small numbers, and a folder of its own."""
    for name, number in FEW.items():
        code, count = re.subn(rf"^({name} = )[\d_]+", rf"\g<1>{number}", code, flags=re.M)
        assert count == (name != "EPOCHS")
    return code + f"\nEPOCHS, OUT = {FEW['EPOCHS']}, {str(folder / 'looked')!r}\n"


def run(code: list[str], folder: Path, names: dict) -> list[str]:
    """What each cell prints; the value of its last expression is kept as `_`, as a notebook does."""
    printed = []
    with contextlib.chdir(folder):
        for number, text in enumerate(code):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(text, f"{PAGE.name}, cell {number}", "exec"), names)
            printed.append(said.getvalue())
    return printed


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Every cell in order, in one namespace, on scikit-learn's digits: what each printed, the names, the folder."""
    folder, names = tmp_path_factory.mktemp("notebook"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MICROTOME_DATA", raising=False)
        first, *others = cells()
        printed = run([with_few_images(first, folder), *others], folder, names)
    return printed, names, folder


def said(executed, needle: str) -> str:
    """What the one cell printed in which this stands."""
    (found,) = [text for code, text in zip(cells(), executed[0], strict=True) if needle in code]
    return found


def test_the_file_holds_no_outputs_and_names_no_place() -> None:
    text = PAGE.read_text()
    page = json.loads(text)
    assert len(text) < 60_000 and page["nbformat"] == 4
    code = [cell for cell in page["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in page["cells"]}) == len(page["cells"])
    assert not re.search(r"/(?:root|home|work|Users|tmp)/\w", text)


def test_both_ways_of_counting_stand_side_by_side(executed) -> None:
    assert "13,618 parameters" in said(executed, "torch.manual_seed")
    told = said(executed, "def both")
    assert "conv2: 16 outer and 8 inner channels, filters of 5 x 5: conv2_1 (conv2:0) to conv2_16 (conv2:15)" in told


def test_filters_are_told_with_their_control(executed) -> None:
    labels = executed[1]["run"]["labels"]
    told = said(executed, "def in_words")
    assert all(f"conv1_{unit + 1} (conv1:{unit}): {words}" in told for unit, words in enumerate(labels.words["conv1"]))
    assert f"{labels.labelled('conv1')} of 8 filters have words" in told and "without training: " in told


def test_rows_of_the_unit_for_lines_at_slope_135_add_up(executed) -> None:
    names = executed[1]
    sheet, tuning = names["sheet"], names["run"]["labels"].tuning["conv2"]
    assert sheet.dissection.layer == "conv2" and tuning[sheet.dissection.unit, 6] > 0
    assert names["held_out"].labels[names["zero"]] == 0 and sheet.dissection.error < 1e-5
    told = said(executed, "sheet = mt.dissect")
    assert told.startswith(f"article's number: conv2_{sheet.dissection.unit + 1} (conv2:{sheet.dissection.unit})")
    assert told.count("conv1:") >= 8


def test_layers_are_left_out_on_images_that_were_not_trained_on(executed) -> None:
    names = executed[1]
    omission = names["run"]["omission"]
    assert set(names["held_out"].ids).isdisjoint(names["learning"].ids)
    assert omission.steps == FEW["STEPS"] and len(omission.original) == FEW["SEEN"] // 2
    told = executed[0][[place for place, code in enumerate(cells()) if "def left_out" in code][0]]
    assert all(f"{layer}: copy score {omission.copy_score(layer):.2f}" in told for layer in ("conv1", "conv2", "conv3"))


def test_patterns_and_places_stand_beside_those_of_no_training(executed) -> None:
    names = executed[1]
    trained, untrained = (names[which]["duality"].medians("conv3") for which in ("run", "untrained"))
    told = said(executed, "def dual")
    lines = [f"conv3: pattern / place / both {' / '.join(f'{share:.0%}' for share in each)}"
             for each in (trained, untrained)]  # fmt: skip
    assert told.index(lines[0]) < told.index("without training") <= told.rindex(lines[1])


def test_figures_are_pictures(executed) -> None:
    names = executed[1]
    shown = names["Shown"](names["sheet"].plot())
    assert shown._repr_png_().startswith(b"\x89PNG")


def test_an_analysis_known_already_is_not_measured_again(executed) -> None:
    _, names, folder = executed
    with contextlib.chdir(folder):
        before = sorted(path.stat().st_mtime_ns for path in Path(names["OUT"]).rglob("answers/**/*.safetensors"))
        names["looked"](names["trained"], names["held_out"], "trained", names["STEPS"])
        after = sorted(path.stat().st_mtime_ns for path in Path(names["OUT"]).rglob("answers/**/*.safetensors"))
    assert before == after and before


def test_one_line_leads_to_ones_own_network(executed) -> None:
    _, names, folder = executed
    begin = [place for place, code in enumerate(cells()) if code.startswith("MODEL = ")]
    assert len(begin) == 1 and len(cells()[begin[0]].splitlines()) == 1
    printed = run([MINE, *cells()[begin[0] + 1 :]], folder, dict(names))
    assert "control: " in printed[1] and "4 filters have words" in printed[2]
    assert printed[3].startswith("2_") and "conv1" not in "".join(printed)
    assert "0: copy score" in printed[4] and "2: pattern / place / both" in printed[4]


@pytest.mark.data
def test_mnist_is_taken_where_it_is(data_folder, tmp_path) -> None:
    if not (data_folder / "MNIST").is_dir():
        pytest.skip("needs MNIST")
    names: dict = {}
    last = next(place for place, code in enumerate(cells()) if "torch.manual_seed" in code)
    first, *others = cells()[: last + 1]
    run([with_few_images(first, tmp_path), *others], tmp_path, names)
    assert names["held_out"].source.startswith("mnist") and len(names["held_out"]) == FEW["SEEN"]
    assert isinstance(names["trained"], mt.Model)
