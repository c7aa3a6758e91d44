"""The cats of Yao (2020), on a handful of drawn ones; what the verdicts say of which numbers."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import microtome.scratch as mts
from microtome.cli import app
from microtome.errors import BadImages, BadModel, UnknownName
from microtome.formulas.specificity import concentration
from microtome.progress import Silent
from microtome.workflows.reproduce import verdicts
from microtome.workflows.reproduce.claims import claims_of
from microtome.workflows.reproduce.concentration import (
    MAP,
    UNIT,
    copied,
    fields_of,
    led_back,
    map_seed,
    reconstructions,
    rectified,
    shuffled,
    unit_seed,
    with_depth,
)  # fmt: skip
from microtome.workflows.reproduce.data import CAT, Part, read_cats, scaled, squeezed
from microtome.workflows.reproduce.dependence import falls, random_name
from microtome.workflows.reproduce.equality import layers_apart, reconstructions_apart
from microtome.workflows.reproduce.larger import STAGES, matching, put_together
from microtome.workflows.reproduce.scratch import reproduce
from microtome.workflows.reproduce.training import Settings, Twins, disturbed_run, initial_net, short_run, train_twins

TINY = Settings(side=16, widths=(2, 2, 2, 2), hidden=(4, 4), epochs=1, batch_size=6, aside=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Cats are bright on the left, others are not."""
    made, random = tmp_path_factory.mktemp("cats"), np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4)):
        for name, light in (("cat", 150), ("other", 0)):
            (made / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 100, (20, 24, 3))
                pixels[4:16, 2:12] += light
                Image.fromarray(pixels.astype(np.uint8)).save(made / part / name / f"{number}.png")
    return made


@pytest.fixture(scope="module")
def cats(folder):
    return read_cats(folder, TINY.side, TINY.aside, TINY.seed)


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    return reproduce(folder, tmp_path_factory.mktemp("out"), TINY)


def test_everything_is_written(made) -> None:
    names = {path.name for path in made.out.iterdir()}
    assert names == {"claims.md", "claims.json", "curve.png", "sheet.png", "reconstructions.png", "net.tnn", "twin.tnn"}
    page, kept = (made.out / "claims.md").read_text(), json.loads((made.out / "claims.json").read_text())
    assert [claim["verdict"] for claim in kept["claims"]] == [claim.verdict for claim in made.claims]
    assert all(f"| {claim.claim} | {claim.measured} | **{claim.verdict}** |" in page for claim in made.claims)
    assert kept["answers"]["accuracy"]["n"] == 8 and len(kept["history"]["loss"]) == 1
    assert max(map(len, page.splitlines()[:9])) < 240


def test_the_sheet_has_photographs_and_the_other_has_not(made) -> None:
    widths = []
    for name in ("sheet.png", "reconstructions.png"):
        with Image.open(made.out / name) as sheet:
            widths.append(sheet.width)
    assert widths[0] > widths[1] > 100
    assert (made.out / "reconstructions.png").stat().st_size < 300_000


def test_what_was_trained_is_used_again_with_the_same_settings_alone(made, cats) -> None:
    again = train_twins(cats, TINY, made.out, Silent())
    assert again.reused and again.history == made.numbers["history"]
    kept = mts.load(made.out / "net.tnn").state_dict()
    assert all(np.array_equal(kept[name], array) for name, array in again.net.state_dict().items())
    assert not np.array_equal(kept["conv1_1.weight"], initial_net(TINY).state_dict()["conv1_1.weight"])


def test_other_settings_or_images_train_anew(cats, folder, tmp_path) -> None:
    assert not train_twins(cats, TINY, tmp_path, Silent()).reused
    other = Settings(**{**vars(TINY), "lr": 0.02})
    assert not train_twins(cats, other, tmp_path, Silent()).reused
    assert train_twins(cats, other, tmp_path, Silent()).reused
    assert not train_twins(read_cats(folder, TINY.side, 1, 0), other, tmp_path, Silent()).reused


def test_what_is_held_aside_is_never_trained_on(cats, folder) -> None:
    assert len(cats.train) == 12 and len(cats.aside) == 4 and len(cats.validation) == 8
    assert set(cats.train.files) | set(cats.aside.files) == set((folder / "train").rglob("*.png"))
    assert not set(cats.train.files) & set(cats.aside.files)
    assert cats.aside.labels.tolist() == [0, 0, 1, 1]
    assert all(
        (file.parent.name == "cat") == label for file, label in zip(cats.train.files, cats.train.labels, strict=True)
    )
    assert read_cats(folder, TINY.side, 2, 1).aside.files != cats.aside.files
    assert len(read_cats(folder, TINY.side, 400, 0).aside) == 4  # at most a quarter


def test_twins_take_the_same_steps_and_one_with_another_rate_does_not(cats) -> None:
    double = short_run(cats, TINY, 12, np.float64)
    assert max(double["losses_apart"], double["weights_apart"]) < 1e-13
    net, random = initial_net(TINY, np.float64), np.random.default_rng(0)
    before = net.state_dict()
    twins = Twins(net, TINY, random)
    for group in twins.optimiser.param_groups:
        group["lr"] *= 2
    twins.step(scaled(cats.train.images, np.float64), cats.train.labels)
    moved = max(np.abs(before[name] - array).max() for name, array in net.state_dict().items())
    assert twins.apart()[0] == pytest.approx(moved, rel=1e-9) and moved > 1e-6


def test_rounding_alone_parts_two_trainings(cats) -> None:
    found = disturbed_run(cats, TINY, 6)
    assert 0 < found["weights_apart"] < 0.01 and found["losses_apart"] >= 0


def test_layers_and_reconstructions_are_those_of_torch(cats) -> None:
    net = initial_net(TINY)
    found = layers_apart(net, cats.train)
    assert found["moved"] == 0 < found["gradients"]
    assert max(found[name] for name in ("outputs", "input_gradients", "parameter_gradients")) < 1e-12
    back = reconstructions_apart(net, shuffled(net), cats.validation)
    assert max(back["same_weights_apart"]) < 1e-12 and min(back["twins_cosines"]) < 0.9


def test_where_an_image_is_flat_rounding_chooses_a_place_and_noise_takes_its_choice_away() -> None:
    wide = initial_net(Settings(side=16, widths=(8, 8, 8, 8), hidden=(4, 4)))
    flat = Part(images=np.full((4, 3, 16, 16), 77, np.uint8), labels=np.array([0, 1, 0, 1]), files=())
    tied, apart = layers_apart(wide, flat), layers_apart(wide, flat, 1e-2)
    assert max(tied["outputs"], tied["parameter_gradients"], apart["input_gradients"]) < 1e-12
    assert apart["moved"] == 0 < tied["moved"]


def test_a_seed_is_led_back_as_by_the_deconvnet(cats) -> None:
    net, recorder = initial_net(TINY), mts.Recorder()
    x = scaled(cats.validation.images)
    net.eval().forward(x, watch=recorder)
    for layer in rectified(net):
        activation = recorder.data[layer]
        seed, place = unit_seed(activation)
        maps = led_back(net, layer, seed)
        for image, unit in enumerate(activation.max((2, 3)).argmax(1)):
            expected = mts.deconvnet(copied(net), x[image : image + 1], layer, int(unit))
            np.testing.assert_allclose(maps[image], expected.maps[0], rtol=1e-5, atol=1e-7 * abs(maps).max())
            assert divmod(place[image], activation.shape[3]) == tuple(expected.place[0])
        assert np.count_nonzero(map_seed(activation)) >= np.count_nonzero(seed)
    assert len(rectified(net)) == 10


def test_a_unit_is_led_back_into_what_it_sees(cats) -> None:
    net, side = initial_net(TINY), TINY.side
    fields = fields_of(net)
    assert [field.rows.high - field.rows.low + 1 for field in fields.values()] == [3, 5, 10, 14, 24, 32, 40, 60, 76, 92]
    shapes = net.shapes((3, side, side))
    for layer, units, _, place in reconstructions(net, cats.validation.images, rectified(net)[:4]):
        for map_, (top, left, bottom, right) in zip(
            units[0], fields[layer].boxes(place, shapes[layer][2], (side, side)), strict=True
        ):
            assert np.abs(map_).sum() == pytest.approx(np.abs(map_[:, top:bottom, left:right]).sum())


def test_what_grows_with_depth_correlates_with_it() -> None:
    layers = ["a", "b", "c"]
    values = {"a": np.array([1, 3, 2.0]), "b": np.array([2, 2, 2.0]), "c": np.array([5, 1, 2.0])}
    np.testing.assert_allclose(with_depth(layers, values), [1, -1, np.nan])
    assert np.isnan(with_depth(layers, values | {"b": np.full(3, np.nan)})).all()


def test_shuffled_weights_are_the_same_numbers_elsewhere() -> None:
    net = initial_net(TINY)
    before, after = net.state_dict(), shuffled(net).state_dict()
    assert not np.array_equal(before["fc1.weight"], after["fc1.weight"])
    assert all(np.array_equal(np.sort(before[name], None), np.sort(after[name], None)) for name in before)
    assert all(np.array_equal(before[name], array) for name, array in net.state_dict().items())


class Left:
    """Calls an image a cat as far as its left half is bright."""

    def eval(self) -> "Left":
        return self

    def __call__(self, x: np.ndarray) -> np.ndarray:
        light = x[..., :8].mean((1, 2, 3))
        return np.stack([-light, light], 1)


def test_covering_what_matters_costs_more_than_random_areas_and_covering_the_rest_less(cats) -> None:
    seen = cats.validation.of(CAT).images
    right, wrong = np.zeros((2, len(seen), 16, 16))
    right[:, 4:12, 2:7], wrong[:, 4:12, 10:15] = 1, 1
    nothing = np.zeros_like(right)
    found = falls(Left(), seen, {"right": right, "wrong": wrong, "nothing": nothing})
    for by in found.values():
        assert (by["right"] > by[random_name("right")]).all()
        np.testing.assert_allclose(by["wrong"], 0, atol=1e-6)
        assert np.isnan(by["nothing"]).all() and np.isnan(by[random_name("nothing")]).all()
        assert (by["before"] > 0).all()
    left = 2 * (scaled(seen)[..., :8].mean((1, 2, 3)) - scaled(seen).mean((1, 2, 3)))
    np.testing.assert_allclose(found["mean colour"]["all"], left, rtol=1e-4)


def interval(low: float, high: float) -> dict[str, float]:
    return {"mean": (low + high) / 2, "low": low, "high": high, "n": 9, "hits": 3, "left_out": 0}


def test_verdicts_follow_from_intervals() -> None:
    up, down, open_ = interval(0.1, 0.2), interval(-0.2, -0.1), interval(-0.1, 0.1)
    nan = interval(float("nan"), float("nan"))
    holds, part, no, unknown = verdicts.HOLDS, verdicts.IN_PART, verdicts.NOT, verdicts.UNKNOWN
    assert [verdicts.beaten(each, [up]) for each in (up, down, open_, nan)] == [holds, no, unknown, unknown]
    assert verdicts.beaten(up, [up, open_]) == part
    shares = [interval(0.8, 0.9), interval(0.6, 0.7), interval(0.4, 0.6), interval(0.9, 1.0)]
    assert [verdicts.of_accuracy(each, 0.5, 0.85) for each in shares] == [holds, part, no, holds]
    document = interval(0.43, 0.82)
    assert verdicts.of_recall(interval(0.5, 0.8), interval(0.1, 0.3), document) == holds
    assert verdicts.of_recall(interval(0.5, 0.8), interval(0.4, 0.6), document) == part
    assert verdicts.of_recall(interval(0.9, 1.0), interval(0.1, 0.3), document) == part
    assert verdicts.of_recall(interval(0.9, 1.0), interval(0.8, 1.0), document) == no
    assert [verdicts.of_equality([1e-12], rest) for rest in (True, False)] == [holds, part]
    assert verdicts.of_equality([1e-12, 1e-3]) == no
    trends = [([up, up], [up]), ([up, up], [open_]), ([up, down], [up]), ([down, down], [up]), ([open_, down], [up])]
    assert [verdicts.of_trend(*each) for each in trends] == [holds, part, part, no, unknown]
    assert [verdicts.of_dependence(up, [up], part_) for part_ in (0.6, 0.4)] == [holds, part]
    assert verdicts.of_dependence(down, [up], 0.6) == no


def changed(numbers, path: str, value) -> list[str]:
    """The verdicts with one number changed."""
    tree = copy.deepcopy(numbers)
    *names, last = path.split("/")
    here = tree
    for name in names:
        here = here[name]
    here[last] = value
    return [claim.verdict for claim in claims_of(tree)]


@pytest.mark.parametrize(
    ("place", "path", "value", "verdict"),
    [
        (0, "answers/accuracy", interval(0.8, 0.9), verdicts.HOLDS),
        (0, "answers/accuracy", interval(0.6, 0.7), verdicts.IN_PART),
        (0, "answers/accuracy", interval(0.3, 0.7), verdicts.NOT),
        (1, "answers/recall", interval(0.0, 0.1), verdicts.NOT),
        (2, "twins/layers/outputs", 1e-3, verdicts.NOT),
        (3, "twins/agreement", interval(0.5, 0.9), verdicts.IN_PART),
        (3, "twins/short/float64", {"steps": 3, "losses_apart": 1e-3, "weights_apart": 0.0}, verdicts.NOT),
        (4, "twins/same_weights_apart", 0.1, verdicts.NOT),
        (4, "twins/cosine", interval(0.2, 0.4), verdicts.IN_PART),
        (5, "focus/edges_lost/trained", interval(-0.4, -0.2), verdicts.NOT),
        (6, "focus/trend/trained", dict.fromkeys(("unit", "map", "unit in its field"), interval(-0.4, -0.2)),
         verdicts.NOT),
        (8, "dependence/blur/beyond_random/trained unit", interval(-2, -1), verdicts.NOT),
        (8, "dependence/blur/beyond_random/trained unit", interval(-1, 1), verdicts.UNKNOWN),
    ],
)  # fmt: skip
def test_a_claim_falls_with_its_number(made, place, path, value, verdict) -> None:
    assert changed(made.numbers, path, value)[place] == verdict


def test_layers_of_the_larger_network_match_in_depth() -> None:
    sites = matching([0, 2, 4, 7, 9], 10)
    assert [STAGES[site] for site in sites] == sorted(STAGES[site] for site in sites)
    assert STAGES[sites[0]] <= 3 and sites[-1] == "features.12.cat"


def test_maps_are_put_together_to_a_coarser_grid() -> None:
    map_ = np.zeros((3, 8, 8))
    map_[:, :4, :2] = 2.0
    found = put_together(map_, 4)
    np.testing.assert_allclose(found[0, :2, 0], np.sqrt(12))
    assert np.count_nonzero(found) == 2 and concentration(found, 0.125) == pytest.approx(1)


def test_what_is_no_such_folder_is_said(folder, tmp_path, monkeypatch) -> None:
    with pytest.raises(BadImages, match="no images in train/other .*train/cat, train/other, val/cat"):
        read_cats(tmp_path, 16, 1, 0)
    with pytest.raises(BadImages, match="side of 8 pixels"):
        read_cats(folder, 8, 1, 0)
    (tmp_path / "cat.png").write_bytes(b"no picture")
    with pytest.raises(BadImages, match=r"cat\.png cannot be read"):
        squeezed(tmp_path / "cat.png", 16)
    with pytest.raises(BadModel, match="There is no file 'nothing"):
        reproduce(folder, tmp_path, TINY, squeezenet=tmp_path / "nothing.safetensors")
    monkeypatch.delenv("MICROTOME_DATA", raising=False)
    with pytest.raises(BadImages, match="Neither --images nor MICROTOME_DATA"):
        CliRunner().invoke(app, ["reproduce", "scratch"], catch_exceptions=False)
    with pytest.raises(UnknownName, match="Experiment 'dogs'"):
        CliRunner().invoke(app, ["reproduce", "dogs"], catch_exceptions=False)


def test_the_command_takes_its_options(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MICROTOME_DATA", raising=False)
    words = ["reproduce", "scratch", "--images", str(folder), "--side", "16", "--epochs", "1", "--seed", "3",
             "-o", str(tmp_path / "out"), "--json", "--quiet"]  # fmt: skip
    found = json.loads(CliRunner().invoke(app, words, catch_exceptions=False).stdout)
    assert found["seed"] == 3 and len(found["claims"]) == 9
    settings = mts.load(tmp_path / "out" / "net.tnn").about["settings"]
    assert (settings["side"], settings["epochs"], settings["seed"]) == (16, 1, 3)


@pytest.mark.data
def test_real_cats_and_squeezenet(data_folder, tmp_path) -> None:
    weights = data_folder / "squeezenet1_0_imagenet.safetensors"
    if not (data_folder / "cats1200").is_dir() or not weights.is_file():
        pytest.skip("needs cats1200 and SqueezeNet's weights")
    for part, count in (("train", 8), ("val", 2)):
        for name in ("cat", "other"):
            (tmp_path / part / name).mkdir(parents=True)
            for file in sorted((data_folder / "cats1200" / part / name).glob("*.jpg"))[:count]:
                (tmp_path / part / name / file.name).write_bytes(file.read_bytes())
    found = reproduce(tmp_path, tmp_path / "out", Settings(**{**vars(TINY), "side": 32}), squeezenet=weights)
    assert len(found.claims) == 10
    shares = found.numbers["larger"]["shares"]
    assert all(0.1 <= share["mean"] <= 1 for kind in (UNIT, MAP) for share in shares[kind].values())
    assert found.numbers["twins"]["layers"]["outputs"] < 1e-12
