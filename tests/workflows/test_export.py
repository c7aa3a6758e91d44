"""What leaves the house is what was found: bit by bit in arrays, to the last digit in tables, the same bytes again."""

import csv
import json
import math
import xml.etree.ElementTree as xml
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import microtome as mt
from microtome.cards import Column, Finding
from microtome.errors import UnknownName, UsageError
from microtome.workflows.export import Export, as_csv, as_npz, export, flatten, unit_rows
from sketches import SketchResult


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> mt.Run:
    """A real run, of the demo's network on digits."""
    folder = tmp_path_factory.mktemp("run")
    model = mt.open_model("zoo:simpleconvnet_pruned")
    return mt.look(model, mt.open_images("digits", model).limit(80), out=folder / "run")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Export:
    return mt.export(run, tmp_path_factory.mktemp("out") / "export")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arrays of a result by the names they should have, by a walk of our own."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= leaves(value, (*path, key))
        elif isinstance(value, np.ndarray):
            found["/".join((*path, key))] = value
    return found


def test_every_array_of_every_result_comes_back_bit_by_bit(run, exported) -> None:
    for name, result in run.results.items():
        expected = leaves(vars(result))
        with np.load(exported.folder / name / "arrays.npz") as file:
            found = dict(file)
        assert list(found) == list(expected)
        for key, array in expected.items():
            assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
            assert found[key].tobytes() == array.tobytes()
    assert "top_index/conv1" in leaves(vars(run["activity"]))


def test_a_table_has_a_row_a_unit_and_every_digit(run, exported) -> None:
    for name, result in run.results.items():
        columns = result.columns()
        if not columns:
            assert not (exported.folder / name / "units.csv").exists()
            continue
        rows = rows_of(exported.folder / name / "units.csv")
        assert list(rows[0]) == ["layer", "unit", *(column.name for column in columns)]
        covered = {layer for column in columns for layer in column.values}
        layers = {layer["name"]: layer["units"] for layer in run.info["layers"] if layer["name"] in covered}
        assert [(row["layer"], row["unit"]) for row in rows] == [
            (layer, str(unit)) for layer, units in layers.items() for unit in range(units)
        ]
        for column in columns:
            for row in rows:
                value = column.values[row["layer"]][int(row["unit"])].item()
                said = value if isinstance(value, str) else "" if value != value else repr(value)  # NaN: not known
                assert row[column.name] == said


def test_findings_come_back_as_they_were(run, exported) -> None:
    expected = [{"analysis": name, **asdict(f)} for name, r in run.results.items() for f in r.findings()]
    assert json.loads((exported.folder / "findings.json").read_text()) == expected
    rows = rows_of(exported.folder / "findings.csv")
    assert [{**row, "number": float(row["number"]), "weight": float(row["weight"])} for row in rows] == expected


def test_numbers_and_texts_stand_beside_the_arrays(run, exported) -> None:
    for name, result in run.results.items():
        facts = json.loads((exported.folder / name / "facts.json").read_text())
        plain = {key: value for key, value in vars(result).items() if isinstance(value, int | float | str)}
        assert plain.items() <= facts.items()
    facts = json.loads((exported.folder / "preferences" / "facts.json").read_text())
    assert facts["class_names"] == [str(digit) for digit in range(10)]
    assert facts["null/conv1"] == run["preferences"].null["conv1"]


def test_the_json_table_says_what_the_csv_says(run, exported) -> None:
    rows = rows_of(exported.folder / "activity" / "units.csv")
    objects = json.loads((exported.folder / "activity" / "units.json").read_text())
    assert [{key: str(value) for key, value in each.items()} for each in objects] == rows


def test_the_manifest_lists_every_file_with_a_sentence_and_every_array(run, exported) -> None:
    manifest = json.loads((exported.folder / "manifest.json").read_text())
    there = {str(path.relative_to(exported.folder)) for path in exported.folder.rglob("*") if path.is_file()}
    assert {entry["path"] for entry in manifest["files"]} == there - {"manifest.json"}
    assert there == set(exported.files)
    assert all(entry["about"].endswith(".") and len(entry["about"]) > 20 for entry in manifest["files"])
    about = {entry["path"]: entry["about"] for entry in manifest["files"]}
    assert "Share of positions above zero." in about["activity/units.csv"]
    units = run.info["layers"][0]["units"]
    assert manifest["arrays"]["activity"]["mean/conv1"] == {"shape": [units], "dtype": "<f8"}
    assert (manifest["model"]["name"], manifest["images"]["count"]) == ("simpleconvnet_pruned", 80)


@pytest.mark.parametrize(("kind", "head"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_the_same_run_gives_the_same_bytes_in_every_format_of_figures(run, tmp_path, kind, head) -> None:
    one = mt.export(run, tmp_path / "one", figures=kind, analyses=["activity", "filters"])
    two = mt.export(run.folder, tmp_path / "two", figures=kind, analyses=["activity", "filters"])
    assert list(one.files) == list(two.files)
    for name in one.files:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name
    figure = one.folder / "activity" / f"figure.{kind}"
    assert figure.read_bytes().startswith(head)
    if kind == "svg":
        assert xml.parse(figure).getroot().tag.endswith("svg")
        assert b"<dc:date>" not in figure.read_bytes()
    if kind == "png":
        with Image.open(figure) as picture:
            assert min(picture.size) > 100


def test_only_what_is_asked_for_is_written(run, tmp_path) -> None:
    made = mt.export(run, tmp_path / "out", formats=["csv"], figures="none", analyses=["twins"])
    assert set(made.files) == {"findings.csv", "twins/units.csv", "manifest.json"}
    made = mt.export(run, tmp_path / "out", formats=["npz"], figures="none", analyses=["twins"])
    assert set(made.files) == {"twins/arrays.npz", "manifest.json"}


def test_an_earlier_export_is_replaced_and_other_files_in_it_stay(run, tmp_path) -> None:
    mt.export(run, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    mt.export(run, tmp_path / "out", formats=["csv"], figures="none", analyses=["twins"])
    there = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert there == {"findings.csv", "twins/units.csv", "manifest.json", "notes.txt"}


@pytest.mark.parametrize("manifest", [None, "{}", "[]", "nonsense", '{"kind": "microtome export"}', '{"files": []}'])
def test_a_folder_that_is_no_export_is_left_alone(run, tmp_path, manifest) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(UsageError) as raised:
        mt.export(run, tmp_path)
    assert str(raised.value) == (
        f"{str(tmp_path)!r} is not empty and no export. An export needs a folder of its own. "
        "Choose another folder with -o."
    )
    assert len(list(tmp_path.iterdir())) == 1 + (manifest is not None)


def test_a_file_in_the_way_is_left_alone(run, tmp_path) -> None:
    (tmp_path / "out").write_text("dear")
    with pytest.raises(UsageError, match="is not empty and no export"):
        mt.export(run, tmp_path / "out")


@pytest.mark.parametrize("path", ["../precious.txt", "link/precious.txt", "{absolute}"])
def test_a_manifest_cannot_have_files_outside_removed(run, tmp_path, path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious.txt"
    out.mkdir()
    precious.write_text("keep")
    (out / "link").symlink_to(tmp_path)
    listed = [{"path": path.format(absolute=precious), "about": ""}]
    (out / "manifest.json").write_text(json.dumps({"kind": "microtome export", "files": listed}))
    mt.export(run, out, formats=["csv"], figures="none", analyses=["twins"])
    assert precious.read_text() == "keep"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["xls"]}, "Format 'xls' does not exist. There are: csv, json, npz. "),
        ({"figures": "gif"}, "Figure format 'gif' does not exist. There are: svg, pdf, png, none. "),
        ({"analyses": ["twin"]}, "Did you mean 'twins'? Run run has no other results."),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_written(run, tmp_path, options, message) -> None:
    with pytest.raises(UnknownName) as raised:
        mt.export(run, tmp_path / "out", **options)
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_run_exports_itself_into_its_own_folder(tmp_path) -> None:
    model = mt.open_model("zoo:simpleconvnet_pruned")
    made = mt.look(model, mt.open_images("digits", model).limit(30), out=tmp_path / "run", analyses=["filters"])
    assert made.export(figures="none") == tmp_path / "run" / "export"
    assert mt.open_run(tmp_path / "run")["filters"].findings() == made["filters"].findings()
    assert (tmp_path / "run" / "export" / "filters" / "arrays.npz").is_file()


@dataclass(frozen=True, kw_only=True)
class Odd(SketchResult):
    """Columns of some layers only, texts with commas and quotes, values that are no numbers."""

    def columns(self) -> list[Column]:
        return [
            Column(name="a", how_to_read=".", values={"x": np.array([np.nan, np.inf, 0.1], np.float32)}),
            Column(name="b", how_to_read=".", kind="text", values={"y": np.array(['say "no", twice', "two\nlines"])}),
            Column(name="c", how_to_read=".", kind="flag", values={"x": np.array([True, False, True])}),
        ]

    def findings(self) -> list[Finding]:
        return [Finding(sentence="ä, b", number=float("inf"), weight=0.5, link="", control="")]


ODD = Odd(found={})


def test_cells_that_are_not_there_are_empty_and_texts_keep_their_commas_quotes_and_lines(tmp_path) -> None:
    header, rows = unit_rows(ODD)
    (tmp_path / "units.csv").write_bytes(as_csv([header, *rows]))
    found = [list(row.values()) for row in rows_of(tmp_path / "units.csv")]
    third = repr(float(np.float32(0.1)))
    assert found == [
        ["x", "0", "", "", "True"], ["x", "1", "inf", "", "False"], ["x", "2", third, "", "True"],
        ["y", "0", "", 'say "no", twice', ""], ["y", "1", "", "two\nlines", ""],
    ]  # fmt: skip
    assert np.float32(float(third)) == np.float32(0.1)


@dataclass(frozen=True)
class OddRun:
    """As much of a run as an export looks at."""

    folder: Path
    names = ("odd",)
    info = {"model": None}

    def __getitem__(self, name: str) -> Odd:
        return ODD


def test_values_that_json_has_not_are_null_or_text(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("microtome.workflows.export.Run", OddRun)
    export(OddRun(tmp_path), tmp_path / "out", figures="none")
    objects = json.loads((tmp_path / "out" / "odd" / "units.json").read_text())
    assert [each["a"] for each in objects] == [None, "inf", float(np.float32(0.1)), None, None]
    assert json.loads((tmp_path / "out" / "findings.json").read_text())[0]["number"] == "inf"


def test_names_are_joined_so_that_they_can_be_told_apart() -> None:
    tree = {"a": {"b/c": 1, "b": {"c": 2}, "%2F": 3}, "t": ("x", "y"), "n": [np.zeros(1), {"k": 4}], "e": {}, "l": ()}
    found = dict(flatten(tree))
    array = found.pop("n/0")
    assert array.shape == (1,)
    assert found == {"a/b%2Fc": 1, "a/b/c": 2, "a/%252F": 3, "t": ("x", "y"), "n/1/k": 4, "e": {}, "l": ()}


def test_an_array_may_have_any_name_kind_and_order(tmp_path) -> None:
    arrays = {
        "file": np.arange(3), "a/b": np.arange(6.0).reshape(2, 3).T, "0d": np.float32(2).reshape(()),
        "texts": np.array(["x", "yy"]), "empty": np.zeros((0, 4), np.uint8), "odd": np.array([np.nan, -0.0, np.inf]),
    }  # fmt: skip
    (tmp_path / "a.npz").write_bytes(as_npz(arrays))
    with np.load(tmp_path / "a.npz") as file:
        for name, array in arrays.items():
            assert (file[name].dtype, file[name].shape) == (array.dtype, array.shape)
            assert file[name].tobytes() == array.tobytes()
    assert math.copysign(1, arrays["odd"][1]) == -1
