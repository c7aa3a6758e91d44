"""The contract's small parts: settings, measures, passes, keys, and results as trees."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from microtome.analysis import Jobs, Pass, at, each, setting
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
