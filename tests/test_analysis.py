"""The contract's small parts: settings, measures, passes, keys, and results as trees."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from microtome.analysis import Jobs, Pass, Result, at, each, setting
from microtome.cards import Card, Column
from microtome.errors import UsageError
from microtome.network.recording.edits import Edit
from microtome.network.specimen import Specimen
from microtome.statistics import Extremes, Moments
from sketches import Sketch, SketchResult


@dataclass(frozen=True, kw_only=True)
class Settled(Sketch):
    """An analysis with two settings."""

    name = "settled"
    site: str = setting("conv1", help="where to look")
    k: int = setting(3, help="how many")

    def steps(self, specimen: Specimen) -> SketchResult:
        return SketchResult(found={})


class AskedAgain(Sketch):
    """What does it find the second time?

    Further lines are for those who read the code.
    """

    steps = Settled.steps


class Silent(AskedAgain):
    """Asks what the one it is made of asks."""


def test_an_analysis_is_called_as_its_class_and_asks_the_first_line_of_its_docstring() -> None:
    assert (AskedAgain.name, AskedAgain.question) == ("asked_again", "What does it find the second time?")
    assert (Silent.name, Silent.question) == ("silent", AskedAgain.question)
    assert Settled.question == "Does it work?"


@dataclass(frozen=True, kw_only=True)
class Lengths(Result):
    """One number a unit, and a word before it."""

    length: dict[str, np.ndarray]

    def columns(self) -> list[Column]:
        words = {layer: np.array(["long"] * len(values)) for layer, values in self.length.items()}
        return [Column(name="word", kind="text", values=words, how_to_read="A word."),
                Column(name="length", values=self.length, how_to_read="A number.")]  # fmt: skip

    def cards(self) -> list[Card]:
        return []


def test_a_result_plots_its_first_column_of_numbers_by_itself() -> None:
    values = {"conv1": np.arange(11.0), "conv2": np.array([4.0, np.nan]), "fc": np.array([np.nan])}
    (axes,) = Lengths(length=values).plot().axes
    assert axes.get_ylabel() == "length"
    assert [text.get_text() for text in axes.get_xticklabels()] == list(values)
    np.testing.assert_equal(axes.lines[0].get_ydata(), [5, 4, np.nan])
    low, high = axes.collections[0].get_datalim(axes.transData).intervaly
    assert (low, high) == (1, 9)


def test_a_result_without_a_column_of_numbers_says_that_it_needs_a_picture_of_its_own() -> None:
    class Wordless(Lengths):
        def columns(self) -> list[Column]:
            return super().columns()[:1]

    with pytest.raises(UsageError) as caught:
        Wordless(length={"conv1": np.zeros(3)}).plot()
    assert str(caught.value) == (
        "Wordless has no column of numbers. The picture that results have by themselves is of one. "
        "Give it a `plot` of its own."
    )


def test_a_setting_is_a_field_with_a_default_and_a_sentence() -> None:
    site, k = dataclasses.fields(Settled)
    assert (site.default, site.metadata["help"]) == ("conv1", "where to look")
    assert (k.default, k.metadata["help"]) == (3, "how many")


def test_the_key_of_an_analysis_tells_its_name_and_settings() -> None:
    assert Settled().key == 'settled{"k": 3, "site": "conv1"}'
    assert Settled(k=4).key != Settled().key


def test_at_asks_for_one_answer_at_one_place_or_at_several_together() -> None:
    one, pair = at("conv1:in", Moments()), at(("conv1", "relu"), Moments())
    assert (one.where, one.single) == ({"": ("conv1:in",)}, True)
    assert (pair.where, pair.single) == ({"": ("conv1", "relu")}, True)


@pytest.mark.parametrize("sites", [["a", "b"], ("a", "b"), {"a": "a", "b": "b"}, iter(["a", "b"])])
def test_each_asks_for_one_answer_a_place(sites) -> None:
    wish = each(sites, Moments())
    assert (wish.where, wish.single) == ({"a": ("a",), "b": ("b",)}, False)


def test_each_of_a_mapping_answers_by_its_keys() -> None:
    assert each({"conv1": "relu", "conv2": "relu_1"}, Moments()).where == {"conv1": ("relu",), "conv2": ("relu_1",)}


def test_passes_agree_if_model_edits_and_loss_do() -> None:
    def loss(outputs, labels):
        return outputs.sum(1)

    def same(**options: object) -> Pass:
        return Pass(under=[Edit.silence("conv1", 1)], loss=loss, model="other", **options)

    assert same(a=at("conv1", Moments())).group == same(b=at("conv2", Extremes())).group
    assert len({same().group, Pass().group, Pass(loss=loss).group, Pass(model="other").group}) == 4
    assert Pass(under=[Edit.silence("conv1", 1)]).group != Pass(under=[Edit.silence("conv1", 2)]).group


@pytest.mark.parametrize("made", [Settled(), Jobs(key="k", function=list, items=()), SketchResult(found={})])
def test_what_is_asked_and_found_cannot_be_changed(made) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(made)[0].name, 1)


def test_a_result_is_the_tree_of_its_fields() -> None:
    result = SketchResult(found={"a": np.arange(3)})
    assert result.to_state() == {"found": result.found}
    assert SketchResult.from_state(result.to_state()) == result
    assert (result.findings(), result.columns(), result.cards()) == ([], [], [])
