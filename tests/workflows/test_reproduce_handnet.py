"""Networks built by hand beside trained ones: what is measured, and what the verdicts say of which numbers."""

import copy
import itertools
import json

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.formulas.paired import paired_interval
from microtome.network.training import accuracy
from microtome.network.zoo.handnet import HandNet2
from microtome.progress import Silent
from microtome.workflows.reproduce.dissection.handnet import (
    BY_HAND,
    DRAWS,
    RANDOM,
    TWO,
    answers,
    balanced,
    by_chance,
    changed,
    measure_handnet,
    noise_kernels,
    random_lines,
)  # fmt: skip
from microtome.workflows.reproduce.dissection.handnet_claims import (
    claims_of_handnet,
    falls,
    lines_of_handnet,
    on_par,
    turns,
)  # fmt: skip
from microtome.workflows.reproduce.dissection.networks import NETWORK, Settings, trained_nets
from microtome.workflows.reproduce.verdicts import HOLDS, IN_PART, NOT

TINY = Settings(epochs=1, seeds=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("by-hand")


@pytest.fixture(scope="module")
def nets(folder):
    return trained_nets("digits", TINY, folder, Silent())


@pytest.fixture(scope="module")
def numbers(nets, folder):
    return measure_handnet(nets, "digits", TINY, folder, Silent())


def test_what_is_measured_is_plain_and_complete(numbers) -> None:
    again = json.loads(json.dumps(numbers))
    assert again == numbers
    (seed,) = numbers["trained"]
    assert set(seed) == {"free", "controls", *BY_HAND, RANDOM}
    assert [len(draws) for draws in seed["controls"].values()] == [DRAWS, DRAWS]
    assert numbers["parameters"] == {"handnet2": 986, "handnet2_wide": 2566, "handnet3": 2698}
    assert numbers["beside"] == 13_618
    for name in (*BY_HAND, RANDOM):
        assert seed["free"] - seed[name]["lost"] + seed[name]["gained"] == seed[name]["tuned"]
        assert seed["free"] - seed[name]["raw_lost"] + seed[name]["raw_gained"] == seed[name]["by hand"]


def test_the_networks_that_are_kept_are_as_right_as_the_numbers_say(numbers, folder, nets) -> None:
    for name in BY_HAND:
        model = mt.open_model(f"zoo:{name}@{folder / 'handnets' / f'{name}-0.safetensors'}")
        share = accuracy(model.module, nets.held_out, model.preprocessing, torch.device("cpu"))
        assert round(share * numbers["tested"]) == numbers["trained"][0][name]["tuned"]
        found = changed(model.module.conv1)
        assert found["words"] == numbers["trained"][0][name]["words"]
    free = mt.open_model(f"{NETWORK}@{folder / 'net-0.safetensors'}")
    share = accuracy(free.module, nets.held_out, free.preprocessing, torch.device("cpu"))
    assert round(share * numbers["tested"]) == numbers["trained"][0]["free"]


def test_digits_are_told_by_hand_far_above_chance(numbers) -> None:
    assert numbers["trained"][0][TWO]["by hand"] > 0.6 * numbers["tested"]


def test_images_for_prototypes_are_balanced_and_drawn_by_seed() -> None:
    labels = np.repeat(np.arange(4), [5, 50, 3, 20])
    found = balanced(labels, 10, 0)
    assert np.bincount(labels[found]).tolist() == [5, 10, 3, 10] and len(set(found)) == len(found)
    np.testing.assert_array_equal(found, balanced(labels, 10, 0))
    assert set(found) != set(balanced(labels, 10, 1))


def test_words_that_stay_by_chance_are_the_mean_over_all_orders() -> None:
    asked, words = ["a", "b", "b", "c"], ["b", "b", "", "a"]
    orders = [sum(x == y for x, y in zip(asked, order, strict=True)) for order in itertools.permutations(words)]
    assert by_chance(asked, words) == pytest.approx(np.mean(orders))


def test_controls_are_lines_at_random_and_noise_of_the_same_norm() -> None:
    lines, again, other = random_lines(0, 0), random_lines(0, 0), random_lines(0, 1)
    assert torch.equal(lines.conv1.weight, again.conv1.weight)
    assert not torch.allclose(lines.conv1.weight, other.conv1.weight)
    theta, offset = lines.conv1.built[:, 0], lines.conv1.built[:, 1]
    assert theta.min() >= 0 and theta.max() < 180 and offset.abs().max() <= 2
    noise, ours = noise_kernels(0, 0), HandNet2.from_labels()
    kernels = noise.conv1.weight.detach()
    torch.testing.assert_close(kernels.square().sum((1, 2, 3)), ours.conv1.weight.detach().square().sum((1, 2, 3)))
    torch.testing.assert_close(kernels.mean((1, 2, 3)), torch.zeros(8), atol=1e-6, rtol=0)
    assert torch.equal(noise.conv1.bias, ours.conv1.bias)
    assert noise(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_answers_are_counted_image_by_image() -> None:
    net = torch.nn.Flatten()
    images, labels = torch.eye(10)[:, None, None], torch.arange(10).flip(0)
    assert answers(net, images, labels).sum() == 0 and answers(net, images, torch.arange(10)).all()


def test_a_fall_is_told_with_the_interval_of_pairs_and_lines_turn_by_the_shorter_way(numbers) -> None:
    tree = copy.deepcopy(numbers)
    tree["trained"][0][TWO].update(lost=30, gained=10)
    (fall,) = falls(tree, TWO)
    low, high = paired_interval(np.array(30), np.array(10), tree["tested"])
    assert fall == {"mean": 20 / tree["tested"], "low": float(low), "high": float(high)}
    assert turns({"built": [[0.0, 1], [135.0, 0]], "now": [[-170.0, 1], [140.0, 0]]}).tolist() == [10, 5]


def test_on_par_is_half_a_point_and_in_part_two() -> None:
    def of(*highs: float) -> str:
        return on_par([{"mean": 0, "low": -1, "high": high} for high in highs])

    assert [of(0.005, -0.1), of(0.005, 0.006), of(0.02), of(0.004, 0.021)] == [HOLDS, IN_PART, IN_PART, NOT]


def say(tree, name, **values) -> None:
    tree["trained"][0][name].update(values)


def everywhere(tree, **values) -> None:
    for name in BY_HAND:
        say(tree, name, **values)


@pytest.mark.parametrize(
    ("place", "change", "verdict"),
    [
        (0, lambda tree: say(tree, TWO, raw_lost=100, raw_gained=0), HOLDS),
        (0, lambda tree: say(tree, TWO, raw_lost=25, raw_gained=0), IN_PART),
        (0, lambda tree: say(tree, TWO, raw_lost=20, raw_gained=20), NOT),
        (1, lambda tree: (everywhere(tree, lost=200, gained=0), say(tree, TWO, lost=0, gained=9)), HOLDS),
        (1, lambda tree: (everywhere(tree, lost=200, gained=0), say(tree, TWO, lost=3, gained=1)), IN_PART),
        (1, lambda tree: everywhere(tree, lost=200, gained=0), NOT),
        (2, lambda tree: everywhere(tree, kept=7, of=8, kept_by_chance=1.0), HOLDS),
        (2, lambda tree: everywhere(tree, kept=5, of=8, kept_by_chance=1.0), IN_PART),
        (2, lambda tree: everywhere(tree, kept=5, of=8, kept_by_chance=3.0), NOT),
    ],
)
def test_a_claim_falls_with_its_numbers(numbers, place, change, verdict) -> None:
    tree = copy.deepcopy(numbers)
    change(tree)
    assert claims_of_handnet(tree)[place].verdict == verdict


def test_the_page_has_a_row_a_network_and_seed_and_every_line(numbers) -> None:
    text = "\n".join(lines_of_handnet(numbers))
    for name in (*BY_HAND, RANDOM):
        assert f"| {name} | " in text
    assert text.count("| conv1:") == 8 and "nan" not in text
    assert f"on {numbers['tested']} images held out" in text
