"""Looks at several networks: each with its own preprocessing, and a run is of these networks and no others."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.analysis import Pass, Steps, at
from microtome.errors import BadImages, BadRun, UnknownName
from microtome.runs.runner import Look
from sketches import Sketch, SketchResult
from toys import Everything, Plain, noise, opened, prepared, seeded

MORE = '''
from dataclasses import dataclass

from microtome import Pass, at
from microtome.statistics import Predictions
from sketches import Sketch, SketchResult


@dataclass(frozen=True, kw_only=True)
class Second(Sketch):
    """What does the second network say?"""

    def steps(self, specimen):
        answers = yield Pass(said=at("fc", Predictions(k=1)), model="second")
        return SketchResult(found={"answers": answers["said"].probability})
'''


@dataclass(frozen=True, kw_only=True)
class Said(Sketch):
    """What another network of the specimen gives."""

    name = "said"
    who: str = "second"

    def steps(self, specimen: mt.Specimen) -> Steps:
        answers = yield Pass(output=at("fc", Everything()), model=self.who)
        return SketchResult(found={"output": answers["output"][0]})


@pytest.fixture
def plugin(tmp_path) -> Path:
    path = tmp_path / "second.py"
    path.write_text(MORE)
    return path


def network(seed: int, **words) -> mt.Model:
    torch.manual_seed(seed)
    return mt.open_model(Plain().eval(), **({"size": 12, "mean": (0.5,) * 3, "std": (0.3,) * 3} | words))


def by_itself(model: mt.Model, images: mt.Images) -> np.ndarray:
    with torch.no_grad():
        return model.module(prepared(model, images)).numpy()


def test_another_network_gets_its_own_normalisation() -> None:
    first, second = network(0), network(1, mean=(0.1, 0.2, 0.3), std=(2, 2, 2))
    images = noise(first)
    found = Look(mt.Specimen(model=first, images=images, others={"second": second})).run([Said()])
    np.testing.assert_allclose(found.results["said"].found["output"], by_itself(second, images), atol=1e-6)


def test_another_network_gets_the_images_in_its_own_size() -> None:
    first, second = network(0), network(1, size=20)
    pixels = np.random.default_rng(0).integers(0, 255, (10, 3, 30, 30), dtype=np.uint8)
    specimen = mt.Specimen(model=first, images=mt.open_images(pixels, first), others={"second": second})
    found = Look(specimen).run([Said()]).results["said"].found["output"]
    np.testing.assert_allclose(found, by_itself(second, mt.open_images(pixels, second)), atol=1e-6)
    assert specimen.images_for("second").shape == (3, 20, 20)
    assert specimen.beside("second").images is specimen.images_for("second")


def test_images_that_are_the_same_for_both_are_opened_once() -> None:
    first, second = network(0), network(1, std=(1, 1, 1))
    specimen = mt.Specimen(model=first, images=noise(first), others={"second": second})
    assert specimen.images_for("second") is specimen.images_for("") is specimen.images


def test_a_network_that_is_not_there_is_told_of_the_others() -> None:
    first = network(0)
    specimen = mt.Specimen(model=first, images=noise(first), others={"second": network(1)})
    with pytest.raises(UnknownName, match="Model 'scond' does not exist. There are: second. Did you mean 'second'"):
        Look(specimen).run([Said(who="scond")])


def test_images_that_cannot_be_opened_for_the_other_are_refused_before_anything_is_written(tmp_path) -> None:
    first = network(0)
    images = dataclasses.replace(noise(first), again=None)
    with pytest.raises(BadImages, match="another takes them otherwise"):
        mt.look(first, images, out=tmp_path / "run", others={"second": network(1, size=20)}, analyses=["filters"])
    assert not (tmp_path / "run").exists()


def test_a_run_is_of_its_networks_and_no_others(plugin, tmp_path) -> None:
    first, out = network(0), tmp_path / "run"
    words = {"out": out, "analyses": ["second"], "plugins": [plugin]}
    images = noise(first)
    run = mt.look(first, images, others={"second": network(1)}, **words)
    again = mt.look(first, images, others={"second": network(1)}, **words)
    assert again.info["passes"] == 0
    assert np.array_equal(again["second"].found["answers"], run["second"].found["answers"])
    for others in ({"second": network(2)}, {"third": network(1)}, {}):
        with pytest.raises(BadRun) as caught:
            mt.look(first, images, others=others, **(words | {"analyses": ["filters"]}))
        assert caught.value.given == f"Folder {str(out)!r} holds a run beside another network, or beside none"


def test_a_run_of_one_network_does_not_become_one_of_two(tmp_path) -> None:
    first = opened(seeded(Plain))
    mt.look(first, noise(first), out=tmp_path / "run", analyses=["filters"])
    with pytest.raises(BadRun, match="beside another network, or beside none"):
        mt.look(first, noise(first), out=tmp_path / "run", analyses=["filters"], others={"second": network(1)})


def test_more_images_go_on_beside_the_same_network_alone(plugin, tmp_path) -> None:
    first, words = network(0), {"analyses": ["second"], "plugins": [plugin]}
    images = noise(first, 40)
    mt.look(first, images.take(range(30)), out=tmp_path / "run", others={"second": network(1)}, **words)
    with pytest.raises(BadRun, match="of other images and beside another network"):
        mt.look(first, images, out=tmp_path / "run", others={"second": network(2)}, **words)
    run = mt.look(first, images, out=tmp_path / "run", others={"second": network(1)}, **words)
    assert len(run["second"].found["answers"]) == 40


def test_a_run_says_which_networks_it_is_of(tmp_path) -> None:
    first = network(0)
    run = mt.look(first, noise(first), out=tmp_path / "run", analyses=["filters"], others={"second": network(1)})
    ((name, about),) = run.info["others"].items()
    assert (name, about["name"], about["parameters"]) == ("second", "Plain", first.parameters)
    assert run.info["fingerprints"]["others"].startswith("second ")


def test_a_run_of_before_there_were_others_has_none(tmp_path) -> None:
    first = network(0)
    mt.look(first, noise(first), out=tmp_path / "run", analyses=["filters"])
    path = tmp_path / "run" / "run.json"
    told = json.loads(path.read_text())
    assert told.pop("others") == {}
    path.write_text(json.dumps(told))
    assert mt.open_run(tmp_path / "run").info["others"] == {}
    path.write_text(json.dumps(told | {"others": [1]}))
    with pytest.raises(BadRun, match="has no proper others"):
        mt.open_run(tmp_path / "run")


def test_a_model_may_be_beside_itself_and_is_measured_once() -> None:
    first = network(0)
    specimen = mt.Specimen(model=first, images=noise(first), others={"second": first})
    outcome = Look(specimen).run([Said()])
    assert outcome.passes == 1
    np.testing.assert_allclose(outcome.results["said"].found["output"], by_itself(first, noise(first)), atol=1e-6)
