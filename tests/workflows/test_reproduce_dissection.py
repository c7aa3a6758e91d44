"""The small network of the MNIST dissection, on scikit-learn's digits; what the verdicts say of which numbers."""

import copy
import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import microtome as mt
from microtome.cli import app
from microtome.errors import BadImages, UsageError
from microtome.formulas.templates import bank
from microtome.network.parts.linear_layers import linear_layers
from microtome.network.trials.replacing import answers
from microtome.progress import Silent
from microtome.workflows.reproduce import verdicts
from microtome.workflows.reproduce.dissection import networks as networks_module
from microtome.workflows.reproduce.dissection.claims import claims_of
from microtome.workflows.reproduce.dissection.directions import (
    at_random,
    chance_of_all,
    covered,
    direction,
    random_words,
    repeats,
)  # fmt: skip
from microtome.workflows.reproduce.dissection.drawing import draw_directions
from microtome.workflows.reproduce.dissection.experiment import reproduce
from microtome.workflows.reproduce.dissection.filters import labelled
from microtome.workflows.reproduce.dissection.networks import (
    NETWORK,
    Settings,
    trained_nets,
    untrained_models,
)  # fmt: skip
from microtome.workflows.reproduce.dissection.row_claims import kinds, leads
from microtome.workflows.reproduce.dissection.rows import left_away, parted, table_of, without
from microtome.workflows.reproduce.dissection.words import each, networks
from microtome.workflows.reproduce.parts import Parts

TINY = Settings(epochs=1, seeds=2, untrained=3, images=24, omitted=24, fine_tune=2, random=400, rounds=2,
                wide_epochs=1, climb=2)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return reproduce("digits", tmp_path_factory.mktemp("dissection"), TINY)


@pytest.fixture(scope="module")
def digits():
    return mt.open_images("digits", mt.open_model(NETWORK))


def test_everything_is_written(made) -> None:
    names = {path.name for path in made.out.iterdir() if path.is_file()}
    pictures = {f"{name}.png" for name in ("filters", "directions", "dissection", "shares", "omission", "duality")}
    nets = {f"net-{seed}{end}.safetensors" for seed in (0, 1) for end in ("", "-about")}
    assert names == {"claims.md", "claims.json"} | pictures | nets
    page, kept = (made.out / "claims.md").read_text(), json.loads((made.out / "claims.json").read_text())
    assert [claim["verdict"] for claim in kept["claims"]] == [claim.verdict for claim in made.claims]
    assert all(f"| {claim.claim} | {claim.measured} | **{claim.verdict}** |" in page for claim in made.claims)
    assert kept["about"]["parameters"] == 13_618 and "13,618" in page
    assert f"{made.out}" not in page and "nan" not in page
    for name in pictures:
        with Image.open(made.out / name) as picture:
            assert picture.width > 200
        assert (made.out / name).stat().st_size < 300_000


def test_a_part_is_measured_once_until_its_key_changes_or_its_file_is_damaged(tmp_path) -> None:
    calls = []

    def work() -> dict:
        calls.append(len(calls))
        return {"x": np.arange(3.0), "n": len(calls)}

    first, other = Parts(tmp_path, {"a": 1}, Silent()), Parts(tmp_path, {"a": 2}, Silent())
    assert first("p", "", work)["n"] == first("p", "", work)["n"] == 1
    assert other("p", "", work)["n"] == 2 and first("p", "", work)["n"] == 3
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    assert first("p", "", work)["n"] == 4


def test_what_is_held_out_has_no_part_in_the_training(made) -> None:
    about = made.numbers["about"]
    assert about["learning"] + about["held_out"] == 1797
    assert [len(history["validation"]) for history in about["history"]] == [1, 1]
    rows = made.numbers["rows"]
    assert rows["measured"] == rows["tested"] == 24


def test_directions_are_read_off_words() -> None:
    words = ["line at slope 45", "neg(right side of vertical line)", "lower side of horizontal line", "blob", "",
             "upper-right side of line at slope 135", "neg(blob)"]  # fmt: skip
    assert [direction(each_) for each_ in words] == [45, 90, 0, None, None, 135, None]
    assert covered(words[:3]) == (0, 45, 90) and covered(["", "blob"]) == ()
    assert repeats(["a", "b", "a", "", "", "a"]) == 2


def test_chance_of_all_directions_is_that_of_draws() -> None:
    random = np.random.default_rng(0)
    for count in (3, 4, 8):
        drawn = random.integers(4, size=(100_000, count))
        share = np.all([(drawn == place).any(1) for place in range(4)], axis=0).mean()
        assert chance_of_all(count) == pytest.approx(share, abs=0.006)
    assert chance_of_all(3) == pytest.approx(0, abs=1e-12) and chance_of_all(8) == pytest.approx(0.6229, abs=1e-4)


def test_sets_at_random_cover_and_repeat_as_their_labels_allow() -> None:
    one = at_random(["vertical line"], 5, 0, 100)
    assert one["all"] == 0 and (one["repeats"] == 4).all()
    four = at_random(["horizontal line", "line at slope 45", "vertical line", "line at slope 135"], 8, 0, 20_000)
    assert four["all"] == pytest.approx(chance_of_all(8), abs=0.015)
    assert at_random([], 5, 0)["all"] == at_random(["blob"], 0, 0)["all"] == 0


def test_of_random_filters_about_a_twentieth_passes_for_a_pattern() -> None:
    assert 20 <= len(random_words(5, 3, 800)) <= 60
    assert random_words(5, 3, 80) == random_words(5, 3, 80)


def test_planted_filters_are_labelled_and_untrained_ones_hardly(digits) -> None:
    (model,) = untrained_models(1, 0)
    assert labelled(model)[0] <= 2
    patterns = bank(5)
    lines = [place for place, kind in enumerate(patterns.kinds) if kind == "line"][:: len(patterns.kinds) // 20][:8]
    with torch.no_grad():
        model.module.conv1.weight[:, 0] = torch.from_numpy(patterns.patterns[lines]).float()
    assert labelled(model).tolist() == [8, 8]


def test_untrained_networks_differ_and_come_again(digits) -> None:
    first, second = untrained_models(2, 5)
    again = next(untrained_models(1, 5))
    assert first.fingerprint == again.fingerprint != second.fingerprint


def test_a_row_replaced_by_its_mean_is_gone_and_the_model_stays(digits) -> None:
    model = mt.open_model(NETWORK)
    before = model.fingerprint
    places, _ = parted(digits, 16)
    table = table_of(model, digits, places)
    rows = np.zeros_like(table["share"], dtype=bool)
    rows[3, [1, 5]] = True
    changed = without(model, rows, table["mean"])
    x = torch.rand(2, 8, 14, 14)
    layer, other = (linear_layers(each_)["conv2"] for each_ in (model, changed))
    parts, y = layer.parts(x, 3), layer.output(x)[:, 3]
    expected = y - parts[:, 1] - parts[:, 5] + float(table["mean"][3, 1] + table["mean"][3, 5])
    np.testing.assert_allclose(other.output(x)[:, 3].detach(), expected.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(other.output(x)[:, 4].detach(), layer.output(x)[:, 4].detach())
    assert model.fingerprint == before
    np.testing.assert_allclose(table["share"].sum(1), 1, atol=1e-6)


def test_rows_left_away_are_the_weak_ones_and_as_many_others(digits) -> None:
    model = mt.open_model(NETWORK)
    measured, tested = parted(digits, 16)
    assert not set(measured) & set(tested) and len(measured) == len(tested) == 16
    table = table_of(model, digits, measured)
    found = left_away(model, digits, tested, table, 0)
    assert found["rows"] == kinds(table)["weak"].sum() and found["of"] == 128
    pixels = model.preprocessing.normalise(torch.from_numpy(np.stack([digits[int(place)] for place in tested])))
    np.testing.assert_array_equal(found["own"], answers(model, pixels) == digits.labels[tested])
    nothing = table | {"share": np.ones_like(table["share"])}
    np.testing.assert_array_equal(left_away(model, digits, tested, nothing, 0)["weak"], found["own"])


def test_leads_and_kinds_of_rows() -> None:
    table = {"share": np.array([[0.5, 0.3, 0.19, 0.01], [-0.6, 0.8, 0.7, 0.1]]),
             "rho": np.array([[0.9, -0.7, 0.2, 0.5], [0, 0, -0.5, 0]])}  # fmt: skip
    np.testing.assert_allclose(leads(table), [0.2, 0.1])
    found = kinds(table)
    assert found["weak"].tolist() == [[False, False, False, True], [False, False, False, True]]
    assert found["negated"].sum(1).tolist() == [1, 1] and found["passed on"].sum(1).tolist() == [2, 0]


def test_numbers_of_networks_in_words() -> None:
    assert [each([8, 8, 7]), each([8, 8]), each([1])] == ["8, 8 and 7", "8", "1"]
    assert [networks(1), networks(3)] == ["one network", "3 networks"]


def test_lines_are_drawn_at_the_angles_of_their_filters(made) -> None:
    found = {"words": ["vertical line", "line at slope 135", "", "blob"], "theta": [90.0, 135.0, 0.0, 0.0]}
    (axes,) = draw_directions([found], [0]).axes
    lines = [line.get_xydata() for line in axes.lines if line.get_linewidth() == 2]
    angles = [np.rad2deg(np.arctan2(*(line[1] - line[0])[::-1])) for line in lines]
    np.testing.assert_allclose(angles, [90, 135], atol=1e-6)
    assert "2 filters with a direction, 2 without" in axes.get_title()


def interval(low: float, high: float, hits: int = 3) -> dict[str, float]:
    return {"mean": (low + high) / 2, "low": low, "high": high, "n": 9, "hits": hits}


def test_verdicts_follow_from_intervals() -> None:
    holds, part, no = verdicts.HOLDS, verdicts.IN_PART, verdicts.NOT
    none, some = interval(0, 0.02), interval(0.3, 0.6)
    of = verdicts.of_labels
    assert [of(interval(0.7, 1, 9), none, 0.1), of(interval(0.7, 1, 8), none, 0.1), of(interval(0.7, 1, 9), some, 0.1),
            of(interval(0.5, 0.9), some, 0.1)] == [holds, part, part, no]  # fmt: skip
    of = verdicts.of_chance
    assert [of([True, True], [0.01, 0.02]), of([True, True], [0.01, 0.6]), of([True, False], [0, 0]),
            of([False], [0]), of([True], [float("nan")])] == [holds, part, part, no, part]  # fmt: skip
    of = verdicts.of_presence
    assert [of(some, interval(0.1, 0.2)), of(some, interval(-0.1, 0.2)), of(none, interval(0.1, 0.2))] == [
        holds, part, no]  # fmt: skip


def test_a_difference_of_samples_has_an_interval_around_it() -> None:
    random = np.random.default_rng(0)
    found = verdicts.difference_of(random.normal(1, 1, 400), random.normal(0, 1, 100))
    assert found["low"] < found["mean"] < found["high"] and 0.6 < found["mean"] < 1.4
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * np.sqrt(1 / 400 + 1 / 100), rel=0.2)
    assert np.isnan(verdicts.difference_of(np.ones(1), np.ones(5))["low"])
    assert verdicts.difference_of(np.array([1, np.nan, 2]), np.zeros(3))["n"] == 2


def changed(numbers, change) -> list[str]:
    tree = copy.deepcopy(numbers)
    change(tree)
    return [claim.verdict for claim in claims_of(tree)]


def say(tree, words) -> None:
    for found in tree["filters"]["trained"]:
        found["words"] = words
    tree["filters"]["untrained"] = np.array([0, 0, 0.01])
    for each_ in tree["filters"]["sets"]:
        each_.update(covered=list(covered(words)), repeats=repeats(words))


def untrained_as_good(tree) -> None:
    tree["filters"]["untrained"] = np.full(5, 0.8) + 0.01 * np.arange(5)


def alike(tree, shares) -> None:
    for table in tree["rows"]["tables"]:
        table["share"] = np.tile(shares, (16, 1)) + 0.001 * np.arange(16)[:, None]


def ablated(tree, weak, random) -> None:
    for left in tree["rows"]["left"]:
        left.update(own=np.ones(24), weak=1.0 * (np.arange(24) < weak), random=1.0 * (np.arange(24) < random))


def verdict_of_layers(tree, after, able) -> None:
    for net in tree["layers"]["trained"]:
        for layer in net["omission"]["layers"].values():
            layer.update(after=after, able=able)


def placed(tree, first, third, untrained) -> None:
    for nets, share in ((tree["layers"]["trained"], third), ([tree["layers"]["untrained"]], untrained)):
        for net in nets:
            shares = net["duality"]["shares"]
            shares["conv1"]["pattern"] = np.full(8, first) + 0.001 * np.arange(8)
            shares["conv1"]["position"] = 0.01 * np.arange(8)
            shares["conv3"]["position"] = np.full(24, share) + 0.001 * np.arange(24)


LINES = ["horizontal line", "vertical line", "line at slope 45", "line at slope 135"] * 2


@pytest.mark.parametrize(
    ("place", "change", "verdict"),
    [
        (0, lambda tree: say(tree, LINES), verdicts.HOLDS),
        (0, lambda tree: (say(tree, LINES), untrained_as_good(tree)), verdicts.NOT),
        (0, lambda tree: say(tree, [""] * 8), verdicts.NOT),
        (1, lambda tree: say(tree, ["blob", ""] + [""] * 6), verdicts.NOT),
        (2, lambda tree: say(tree, ["vertical line"] * 8), verdicts.NOT),
        (3, lambda tree: alike(tree, [1.8, *[-0.1] * 7]), verdicts.HOLDS),
        (3, lambda tree: alike(tree, [1 / 8] * 8), verdicts.NOT),
        (4, lambda tree: [table.update(rho=np.ones((16, 8))) for table in tree["rows"]["tables"]], verdicts.NOT),
        (4, lambda tree: [table.update(rho=-np.ones((16, 8))) for table in tree["rows"]["tables"]], verdicts.HOLDS),
        (5, lambda tree: [m.update(hits=20, tried=20) for m in tree["rows"]["matching"]], verdicts.HOLDS),
        (5, lambda tree: [m.update(hits=0, tried=20) for m in tree["rows"]["matching"]], verdicts.NOT),
        (5, lambda tree: [m.update(hits=0, tried=0) for m in tree["rows"]["matching"]], verdicts.UNKNOWN),
        (6, lambda tree: ablated(tree, 24, 6), verdicts.HOLDS),
        (6, lambda tree: ablated(tree, 24, 24), verdicts.IN_PART),
        (6, lambda tree: ablated(tree, 12, 20), verdicts.NOT),
        (7, lambda tree: verdict_of_layers(tree, "replicates its input", True), verdicts.HOLDS),
        (7, lambda tree: verdict_of_layers(tree, "a 1x1 map is enough", True), verdicts.IN_PART),
        (7, lambda tree: verdict_of_layers(tree, "needed", False), verdicts.NOT),
        (8, lambda tree: placed(tree, 0.9, 0.6, 0.2), verdicts.HOLDS),
        (8, lambda tree: placed(tree, 0.9, 0.6, 0.7), verdicts.IN_PART),
        (8, lambda tree: placed(tree, 0.2, 0.6, 0.2), verdicts.NOT),
    ],
)
def test_a_claim_falls_with_its_numbers(made, place, change, verdict) -> None:
    assert changed(made.numbers, change)[place] == verdict


def test_the_command_takes_its_options_and_refuses_those_of_the_other(tmp_path, monkeypatch, made) -> None:
    words = ["reproduce", "dissection", "--side", "16"]
    with pytest.raises(UsageError, match="--side was given to dissection. It belongs to scratch"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    with pytest.raises(UsageError, match="--seeds was given to scratch"):
        CliRunner().invoke(app, ["reproduce", "scratch", "--seeds", "2"], catch_exceptions=False)
    monkeypatch.delenv("MICROTOME_DATA", raising=False)
    with pytest.raises(BadImages, match="says where MNIST is"):
        CliRunner().invoke(app, ["reproduce", "dissection"], catch_exceptions=False)


def test_the_command_prints_its_claims_and_measures_nothing_twice(made, monkeypatch) -> None:
    monkeypatch.setattr(networks_module, "Settings", lambda **said: Settings(**{**vars(TINY), **said}))
    words = ["reproduce", "dissection", "--images", "digits", "--seeds", "2", "--epochs", "1", "-o", str(made.out)]
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found["seed"] == 0
    assert [claim["measured"] for claim in found["claims"]] == [claim.measured for claim in made.claims]
    assert done.stderr.count("used again") == 2 and done.stderr.count("known already") == 5


def test_other_settings_train_anew(made) -> None:
    other = Settings(**{**vars(TINY), "rate": 1e-3, "seeds": 1})
    assert not trained_nets("digits", other, made.out / "other", Silent()).trained[0].reused
    assert trained_nets("digits", other, made.out / "other", Silent()).trained[0].reused
    assert not trained_nets("digits", Settings(**{**vars(other), "rate": 3e-3}), made.out / "other",
                            Silent()).trained[0].reused  # fmt: skip
