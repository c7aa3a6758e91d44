"""What every registered analysis must keep, on networks and images of all kinds."""

import dataclasses
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import microtome as mt
from microtome.analyses import filters, general, registry
from microtome.analysis import Analysis, Result
from microtome.cards import (
    Card,
    Chart,
    Crops,
    Pictures,
    Rows,
    Table,
    Text,
    Units,
    card_link,
    layer_link,
    unit_link,
)
from microtome.progress import Silent
from microtome.runs.runner import Outcome
from microtome.store import read_tree, write_tree
from microtome.workflows.doctor import fits_of
from subjects import BESIDE, COMPARING, SUBJECTS, looked
from toys import noise, opened

NAMES = list(general(registry()))


# classes cannot be spoken of without labels that number the outputs
WHY = {
    "unlabelled": "The images have no labels that fit the 3 outputs (labels of the data set). "
    "Speaking of classes needs labelled images. Give images in one folder a class.",
    "embedding": "The images are of 3 classes, with labels up to 2, and the network has 16 outputs (labels of the data "
    "set). Speaking of classes needs one output a class of the images, or outputs whose classes are named. "
    "If its outputs are classes, give open_model their class_names; else read the other analyses.",
    "u_net": "UNet gives no row of classes for an image, but 2 x 12 x 12 (at out). Speaking of classes needs a network "
    "that classifies whole images. Read the other analyses, or give a classifier.",
    "pyramid": "Pyramid gives no row of classes for an image, but 4 x 6 x 6 (at relu). Speaking of classes needs a "
    "network that classifies whole images. Read the other analyses, or give a classifier.",
}
NO_CLASSES = ("u_net", "pyramid")
SKIPPED = {(subject, name) for subject in WHY for name in ("decisions", "preferences", "pruning")}
SKIPPED |= {(subject, name) for subject in NO_CLASSES for name in ("effects", "pathways")}
SKIPPED.add(("beside_unlabelled", "calibrations"))
WHY["beside_unlabelled"] = WHY["unlabelled"]
# questions about networks of one kind, or about two, stand where these are
ASKED = {**dict.fromkeys(SUBJECTS, NAMES), "by_hand": [*NAMES, "handnet"], **dict.fromkeys(BESIDE, COMPARING)}
PAIRS = [(subject, name) for subject, names in ASKED.items() for name in names if (subject, name) not in SKIPPED]


class Heard(Silent):
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def bar(self, title: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        self.lines.append(title)
        yield lambda count: None


SAID: dict[str, list[str]] = {}


@functools.cache
def outcome_of(subject: str) -> tuple[mt.Specimen, Outcome]:
    specimen, heard = {**SUBJECTS, **BESIDE}[subject](), Heard()
    outcome = looked(specimen, batch_size=8, progress=heard)
    SAID[subject] = heard.lines
    return specimen, outcome


@pytest.fixture(params=PAIRS, ids="-".join)
def found(request) -> tuple[mt.Specimen, Result]:
    """A specimen, and what one analysis found in it."""
    subject, name = request.param
    specimen, outcome = outcome_of(subject)
    return specimen, outcome.results[name]


def same(one: Any, other: Any) -> bool:
    """Equality of nested values that takes NaN for equal to itself."""
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and same(vars(one), vars(other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def arrays_of(card: Card) -> list[np.ndarray | tuple[str, ...]]:
    """What has one entry a unit on a unit card."""
    content = card.content
    if isinstance(content, Text):
        return [content.lines]
    if isinstance(content, Crops):
        return [content.index, content.boxes, *([content.captions] if content.captions.size else [])]
    if isinstance(content, Pictures):
        return [content.pixels]
    if isinstance(content, Chart):
        return [values for _, values in content.series] + ([content.x] if content.x.ndim > 1 else [])
    if isinstance(content, Rows):
        optional = [part for part in (content.pixels, content.index) if part.size]
        return [content.layer, content.unit, content.words, content.values, *optional]
    assert isinstance(content, Units), type(content)
    return [content.unit, content.value]


@pytest.mark.parametrize("cls", registry().values(), ids=registry())
def test_settings_are_frozen_keyword_only_and_explained(cls: type[Analysis]) -> None:
    parameters = cls.__dataclass_params__
    assert parameters.frozen
    for field in dataclasses.fields(cls):
        assert field.kw_only
        assert field.default is not dataclasses.MISSING
        assert field.metadata["help"].strip()


@pytest.mark.parametrize("cls", registry().values(), ids=registry())
def test_an_analysis_asks_one_question(cls: type[Analysis]) -> None:
    assert cls.question == inspect.getdoc(cls).splitlines()[0]
    assert cls.question.endswith("?")
    assert cls.name.isidentifier()
    assert issubclass(cls.result, Result)
    assert all(name in NAMES for name in cls.requires)


@pytest.mark.parametrize("subject", ASKED)
def test_what_is_said_while_looking_is_words_not_code(subject) -> None:
    outcome_of(subject)
    assert len(SAID[subject]) > (len(NAMES) if subject in SUBJECTS else 0)
    said = [functools.reduce(lambda line, name: line.replace(name, ""), registry(), line) for line in SAID[subject]]
    assert [line for line in said if re.search(r"\w\(|[={}\[\]]|None|True|False|_", line)] == []


def test_a_result_cannot_be_changed(found) -> None:
    result = found[1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, dataclasses.fields(result)[0].name, 0)


def test_a_result_comes_back_from_a_file_as_it_went_in(found, tmp_path: Path) -> None:
    result = found[1]
    write_tree(tmp_path / "result", result.to_state())
    again = type(result).from_state(read_tree(tmp_path / "result"))
    assert same(again, result)
    for part in ("cards", "findings", "columns"):
        assert same(getattr(again, part)(), getattr(result, part)()), part


def test_a_finding_has_a_sentence_a_number_a_weight_and_a_control(found) -> None:
    result = found[1]
    for finding in result.findings():
        assert finding.sentence
        assert finding.control
        assert math.isfinite(finding.number)
        assert 0 <= finding.weight <= 1
        assert "nan" not in finding.sentence + finding.control


def test_links_lead_to_layers_units_and_cards_that_are_there(found) -> None:
    result = found[1]
    cards = {card_link(card.title) for card in result.cards() if not card.layer}
    layers = {layer_link(site.name) for site in found[0].layers}
    units = {unit_link(site.name, unit) for site in found[0].layers for unit in range(site.units)}
    tables = [card.content for card in result.cards() if isinstance(card.content, Table)]
    links = [finding.link for finding in result.findings()] + [link for table in tables for link in table.links if link]
    assert {link.partition("?")[0] for link in links} <= cards | layers | units


def test_a_card_says_how_to_read_it(found) -> None:
    for card in found[1].cards():
        if card.section != "headline":
            assert card.title
            assert card.how_to_read.endswith((".", "?")), card.title
        assert not card.per_unit or card.layer


def test_cards_of_units_have_one_entry_a_unit(found) -> None:
    units = {site.name: site.units for site in found[0].layers}
    for card in found[1].cards():
        if card.per_unit:
            assert [len(array) for array in arrays_of(card)] == [units[card.layer]] * len(arrays_of(card)), card.title


def test_tables_have_as_many_cells_as_headers_and_as_many_links_as_rows(found) -> None:
    for card in found[1].cards():
        if isinstance(card.content, Table):
            assert {len(row) for row in card.content.rows} <= {len(card.content.header)}
            assert len(card.content.links) in (0, len(card.content.rows))


def test_columns_have_one_value_a_unit_of_their_layers_and_a_name_of_their_own(found) -> None:
    units = {site.name: site.units for site in found[0].layers}
    columns = found[1].columns()
    for column in columns:
        assert {layer: len(values) for layer, values in column.values.items()}.items() <= units.items()
        assert column.how_to_read.endswith(".")
    assert len({column.name for column in columns}) == len(columns)


def test_crops_show_images_that_are_there_within_their_borders(found) -> None:
    specimen = found[0]
    for card in found[1].cards():
        if isinstance(card.content, Crops):
            index, boxes = card.content.index, card.content.boxes
            assert boxes.shape == (*index.shape, 4)
            assert ((index >= -1) & (index < len(specimen.images))).all()
            top, left, bottom, right = np.moveaxis(boxes, -1, 0)
            height, width = specimen.model.preprocessing.size
            assert ((top >= 0) & (top < bottom) & (bottom <= height)).all()
            assert ((left >= 0) & (left < right) & (right <= width)).all()


def test_a_result_plots_a_figure(found) -> None:
    figure = found[1].plot()
    assert isinstance(figure, Figure)
    assert figure.axes[0].has_data()
    figure.draw_without_rendering()


@pytest.mark.parametrize("subject", ASKED)
def test_columns_of_different_analyses_have_different_names(subject) -> None:
    names = [column.name for result in outcome_of(subject)[1].results.values() for column in result.columns()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("subject", ASKED)
def test_what_is_skipped_says_why_and_everything_else_has_a_result(subject) -> None:
    _, outcome = outcome_of(subject)
    assert {(subject, name) for name in outcome.skipped} == {pair for pair in SKIPPED if pair[0] == subject}
    assert set(outcome.results) | set(outcome.skipped) == set(ASKED[subject])
    assert {type(result) for result in outcome.results.values()} == {
        registry()[name].result for name in outcome.results
    }
    for reason in outcome.skipped.values():
        assert reason == WHY[subject]


def test_without_images_an_analysis_of_weights_still_works_and_the_others_say_why_not() -> None:
    outcome = looked(mt.Specimen(model=mt.open_model("zoo:simpleconvnet_pruned")))
    assert "filters" in outcome.results
    assert set(outcome.results) | set(outcome.skipped) == set(NAMES)
    assert all("images" in reason for reason in outcome.skipped.values())


@pytest.mark.parametrize("subject", ASKED)
def test_what_a_fit_refuses_is_what_a_look_skips_and_for_the_same_reason(subject) -> None:
    specimen, outcome = outcome_of(subject)
    fits = fits_of(specimen, {name: registry()[name] for name in ASKED[subject]})
    assert {name: fit.reason for name, fit in fits.items() if fit.verdict == "refused"} == outcome.skipped
    assert all((fit.verdict == "full") == (fit.reason == "") == (fit.instead == "") for fit in fits.values())


def test_without_images_a_fit_refuses_what_a_look_skips() -> None:
    specimen = mt.Specimen(model=mt.open_model("zoo:simpleconvnet_pruned"))
    fits = fits_of(specimen, general(registry()))
    assert {name: fit.reason for name, fit in fits.items() if fit.verdict == "refused"} == looked(specimen).skipped
    assert fits["filters"].verdict == "full"


def test_a_network_without_layers_is_refused_by_all_that_read_units() -> None:
    model = opened(torch.nn.Sequential(torch.nn.Flatten()).eval())
    specimen = mt.Specimen(model=model, images=noise(model, 4))
    fits = fits_of(specimen, general(registry()))
    assert {name: fit.reason for name, fit in fits.items() if fit.verdict == "refused"} == looked(specimen).skipped
    assert fits["filters"].reason == (
        "Sequential has no layers. Layers are convolutions and linear layers. Give a network that has some."
    )


def test_a_fit_runs_no_forward_pass_and_computes_no_result(monkeypatch) -> None:
    specimen = SUBJECTS["digits"]()
    assert specimen.sites
    for cls in general(registry()).values():
        monkeypatch.setattr(cls, "result", None)
    monkeypatch.setattr(type(specimen.model.module), "__call__", lambda *_: pytest.fail("the network was called"))
    monkeypatch.setattr(filters, "kernel_pictures", lambda *_: pytest.fail("weights were drawn"))
    assert all(cls().fit(specimen).verdict != "refused" for cls in general(registry()).values())
