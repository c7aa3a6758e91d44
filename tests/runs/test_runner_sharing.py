"""Equal requests are measured once, passes that agree share one walk over the images, and typos cost nothing."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import microtome as mt
from microtome.analysis import Analysis, Jobs, Pass, Steps, at, each
from microtome.errors import UnknownName
from microtome.images.sources import open_images
from microtome.network import specimen as specimen_module
from microtome.network.open import Model
from microtome.runs.runner import Look
from microtome.statistics import Histogram, Moments, Rows
from microtome.statistics.statistic import Accumulator, Batch
from sketches import Sketch, SketchResult
from toys import Plain, noise, opened, prepared, seeded


def negative_log(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.nll_loss(outputs, labels, reduction="none")


@pytest.fixture(scope="module")
def digits() -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet")
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(20))


class Counting:
    """Counts the images that go through a network, and how often a statistic is fed."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images, self.updates = 0, 0
        _ = model.sites
        self.handle = model.module.register_forward_pre_hook(self._count)
        update = Accumulator.update

        def counted(accumulator: Accumulator, batch: Batch, *tensors: Tensor) -> None:
            self.updates += 1
            update(accumulator, batch, *tensors)

        monkeypatch.setattr(Accumulator, "update", counted)
        # the guess of how long a pass takes runs a few images of its own
        monkeypatch.setattr("microtome.runs.walk.Walk._seconds_an_image", lambda *_: None)

    def _count(self, _module: object, args: tuple[Tensor, ...]) -> None:
        self.images += len(args[0])


def asking(name: str, sites: tuple[str, ...] = ("conv2", "log_softmax"), **options: Any) -> Analysis:
    """An analysis of one pass that asks for moments at these sites."""

    @dataclass(frozen=True, kw_only=True)
    class Asking(Sketch):
        def steps(self, specimen: mt.Specimen) -> Steps:
            answers = yield Pass(some=each(sites, Moments()), **options)
            return SketchResult(found={site: answer.mean for site, answer in answers["some"].items()})

    Asking.name = name
    return Asking()


@pytest.fixture
def counting(digits, monkeypatch):
    counter = Counting(digits.model, monkeypatch)
    yield counter
    counter.handle.remove()


EDIT = mt.Edit.silence("conv1", 0)


@pytest.mark.parametrize(
    ("options", "passes", "updates"),
    [
        ([{}, {}], 1, 2),
        ([{"under": [EDIT]}, {"under": [mt.Edit.silence("conv1", 0)]}], 1, 2),
        ([{}, {"under": [EDIT]}], 2, 4),
        ([{}, {"loss": negative_log}, {"loss": negative_log}], 2, 4),
    ],
    ids=["equal", "equal edits", "edit and none", "loss and none"],
)
def test_equal_requests_are_measured_once_and_share_one_forward_pass(
    digits, counting, options, passes, updates
) -> None:
    outcome = Look(digits, batch_size=20).run([asking(f"a{i}", **given) for i, given in enumerate(options)])
    assert (outcome.passes, counting.images, counting.updates) == (passes, passes * 20, updates)
    for one, other in zip(options[:-1], options[1:], strict=True):
        if one == other:
            first, last = (outcome.results[f"a{options.index(given)}"].found for given in (one, other))
            assert all(np.array_equal(first[site], last[site]) for site in first)


@pytest.mark.parametrize(
    "measures",
    [
        {"a": at("conv2x", Moments())},
        {"a": each(["conv1", "fc6"], Moments())},
        {"a": at("conv1", Moments()), "under": [mt.Edit.silence("konv1", 0)]},
    ],
)
def test_a_typo_in_a_site_costs_no_forward_pass_of_any_analysis(digits, counting, measures) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Typo(Sketch):
        name = "typo"

        def steps(self, specimen: mt.Specimen) -> Steps:
            yield Pass(**measures)
            return SketchResult(found={})

    with pytest.raises(UnknownName, match="Did you mean '(conv2|fc4|fc5|conv1)'"):
        Look(digits).run([asking("fine"), Typo()])
    assert counting.images == 0


@dataclass(frozen=True, kw_only=True)
class Beside(Sketch):
    """Asks for the copy with shuffled weights: what its first layer holds, in order and as it stands."""

    name = "beside"

    def steps(self, specimen: mt.Specimen) -> Steps:
        weight = specimen.shuffled().module.conv1.weight.flatten()
        (found,) = yield Jobs(key="weights", items=(0,), function=lambda some: [weight.numpy().copy() for _ in some])
        return SketchResult(found={"weight": found})


@dataclass(frozen=True, kw_only=True)
class BesideToo(Beside):
    """The same once more."""

    name = "beside_too"


def test_all_analyses_of_a_look_share_one_copy_with_shuffled_weights_and_the_next_look_makes_its_own(
    digits, monkeypatch
) -> None:
    made, make = [], specimen_module.randomised
    monkeypatch.setattr(specimen_module, "randomised", lambda *words: made.append(words) or make(*words))
    own = mt.Specimen(model=opened(seeded(Plain)), images=digits.images)
    first = Look(own).run([Beside(), BesideToo()]).results
    assert len(made) == 1
    assert np.array_equal(first["beside"].found["weight"], first["beside_too"].found["weight"])
    with torch.no_grad():
        own.model.module.conv1.weight.mul_(2)
    second = Look(own).run([Beside()]).results
    assert len(made) == 2
    assert np.array_equal(second["beside"].found["weight"], 2 * first["beside"].found["weight"])


def test_other_models_of_a_specimen_are_measured_in_eval_mode_and_come_back_as_they_were() -> None:
    model, other = opened(seeded(Plain)), opened(seeded(Plain).train())
    other.module.conv1.weight.data.mul_(2)
    mean = other.module.bn.running_mean.clone()
    images = noise(model)
    specimen = mt.Specimen(model=model, images=images, others={"twice": other})
    sites = {"sites": ("bn", "fc")}
    found = Look(specimen).run([asking("here", **sites), asking("there", **sites, model="twice")]).results
    with torch.no_grad():
        expected = copy.deepcopy(other.module).eval()(prepared(other, images)).double().mean(0)
    np.testing.assert_allclose(found["there"].found["fc"], expected, atol=1e-6)
    assert not np.allclose(found["here"].found["fc"], expected, atol=1e-3)
    assert other.module.training
    assert torch.equal(other.module.bn.running_mean, mean)
    with pytest.raises(UnknownName, match="Model 'twcie' does not exist.*There are: twice.*Did you mean 'twice'"):
        Look(specimen).run([asking("there", **sites, model="twcie")])


def test_statistics_that_read_the_same_state_are_measured_once_and_each_reads_it_in_its_own_way(
    digits, counting
) -> None:
    statistics = (Histogram(positions=8), Rows(what="positions", positions=8), Histogram(bins=5, positions=8))

    @dataclass(frozen=True, kw_only=True)
    class Reading(Sketch):
        name = "reading"

        def steps(self, specimen: mt.Specimen) -> Steps:
            answers = yield Pass({str(place): at("conv2", statistic) for place, statistic in enumerate(statistics)})
            return SketchResult(found=answers)

    found = Look(digits, batch_size=20).run([Reading()]).results["reading"].found
    assert counting.updates == 1
    assert found["1"].values.shape == (20, 64, 8)
    assert (found["0"].counts.shape, found["2"].counts.shape) == ((64, 24), (64, 5))
    assert (found["0"].counts.sum(1) == 160).all() and (found["2"].counts.sum(1) == 160).all()
    np.testing.assert_array_equal(found["0"].high, found["1"].values.max((0, 2)))
