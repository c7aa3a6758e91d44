"""What follows from numbers of first layers: planted ones give the verdicts that they should."""

import numpy as np
import pytest

from microtome.formulas.linear_network import Averages, gap_profile, independence
from microtome.formulas.patch_frequency import colour_axes, described
from microtome.formulas.spectrum import Basis, principal_axes
from microtome.workflows.reproduce.first_layer import rules
from microtome.workflows.reproduce.first_layer.drawing import rings
from microtome.workflows.reproduce.first_layer.elsewhere import overlap, shared
from microtome.workflows.reproduce.first_layer.frozen import drawn_again
from microtome.workflows.reproduce.first_layer.growth import measure_growth
from microtome.workflows.reproduce.first_layer.linear import averages_of_mosaics, learnt_along, one_against_all
from microtome.workflows.reproduce.first_layer.pairs import (
    Bank,
    alike,
    bank_of,
    between,
    chance,
    rows_correlation,
    within,
)
from microtome.workflows.reproduce.first_layer.peaks import by_chance, humps_of, thirds
from microtome.workflows.reproduce.verdicts import HOLDS, IN_PART, NOT, UNKNOWN


def of(*r: float, low: float | None = None, high: float | None = None) -> dict:
    middle = float(np.mean(r)) if r else float("nan")
    return {"r": np.array(r), "mean": middle, "low": middle - 0.05 if low is None else low,
            "high": middle + 0.05 if high is None else high, "n": len(r)}  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        ([of(0.9, 0.95), of(0.85)], HOLDS),
        ([of(0.9, 0.79), of(0.9)], IN_PART),
        ([of(0.9), of(0.1)], IN_PART),
        ([of(0.4), of(0.1)], UNKNOWN),
        ([of(0.1), of(-0.4)], NOT),
        ([of()], UNKNOWN),
        ([of(0.9), of()], HOLDS),
    ],
)
def test_likeness_is_every_pairs_and_beyond_chance(kinds, verdict) -> None:
    assert rules.of_likeness(kinds, chance=0.4) == verdict


def test_unlikeness_is_within_chance() -> None:
    found = [rules.of_unlikeness([of(one), of(other)], 0.4) for one, other in ((0.1, 0.3), (0.1, 0.9), (0.6, 0.9))]
    assert found == [HOLDS, IN_PART, NOT] and rules.of_unlikeness([of()], 0.4) == UNKNOWN


def test_a_fit_has_to_beat_its_null_and_the_first_steps() -> None:
    fit = rules.of_fit
    assert fit([0.9, 0.95], [0.5, 0.5], [0.4, 0.6]) == HOLDS
    assert fit([0.9, 0.95], [0.5, 0.5], [0.4, 0.96]) == fit([0.7], [0.5], [0.1]) == IN_PART
    assert fit([0.9, 0.4], [0.5, 0.5], [0.1, 0.1]) == NOT


def test_several_measures_of_one_claim() -> None:
    several = rules.of_several
    assert several([HOLDS, HOLDS]) == HOLDS and several([NOT, NOT]) == NOT
    assert several([HOLDS, NOT]) == several([IN_PART, UNKNOWN]) == IN_PART and several([NOT, UNKNOWN]) == UNKNOWN


def test_peaks_are_those_of_all_colours_or_of_one() -> None:
    limit = np.full((2, 3), 0.1)
    up, down = np.full((2, 3), 0.2), np.full((2, 3), -0.4)
    one = np.where(np.arange(3) == 0, up, down)
    assert rules.of_peaks(up, up + 0.1, limit) == HOLDS and rules.of_peaks(one, one + 0.1, limit) == IN_PART
    assert rules.of_peaks(down, down + 0.1, limit) == NOT and rules.of_peaks(down, down + 0.5, limit) == UNKNOWN


def interval(low: float, high: float) -> dict:
    return {"mean": (low + high) / 2, "low": low, "high": high, "n": 9}


def test_growth_is_that_of_energy_and_of_s() -> None:
    up, level = interval(0.8, 1), interval(-0.2, 0.2)
    assert [rules.of_growth(up, up, level), rules.of_growth(up, level, level), rules.of_growth(up, up, up),
            rules.of_growth(level, level, level), rules.of_growth({"n": 0}, up, up)] == [
        HOLDS, IN_PART, IN_PART, NOT, UNKNOWN]  # fmt: skip


def test_whitening_spreads_answers_and_reaches_its_slope() -> None:
    more, same, less = [[0.1, 0.3]] * 2, [[-0.1, 0.3]] * 2, [[-0.3, -0.1]] * 2
    begun, white, nearer, up = (np.full(2, value) for value in (0.1, -0.9, -0.4, 0.5))
    verdict = rules.of_whitening
    assert [verdict(more, begun, white), verdict(more, begun, nearer), verdict(same, begun, nearer),
            verdict(less, begun, up), verdict(same, begun, up), verdict(same, begun[:0], begun[:0])] == [
        HOLDS, IN_PART, IN_PART, NOT, UNKNOWN, UNKNOWN]  # fmt: skip


def test_harm_can_only_be_ruled_out_where_it_could_be_seen() -> None:
    harm, none, wide = interval(-0.3, -0.2), interval(-0.01, 0.01), interval(-0.05, 0.03)
    assert [rules.of_harmless(none, harm), rules.of_harmless(harm, harm), rules.of_harmless(wide, harm),
            rules.of_harmless(none, none)] == [HOLDS, NOT, UNKNOWN, UNKNOWN]  # fmt: skip


def test_theorems_residuals_limits_and_axes() -> None:
    right, wrong = np.full(3, 0.99), np.full(3, 0.6)
    assert [rules.of_theorem(right, right, right), rules.of_theorem(right, wrong, wrong),
            rules.of_theorem(wrong, wrong, wrong)] == [HOLDS, IN_PART, NOT]  # fmt: skip
    exact, falls = np.full(3, 1e-14), np.array([1, 0.1, 0.001])
    assert [rules.of_vanishing(falls, exact), rules.of_vanishing(falls[:2], exact), rules.of_vanishing(right, exact),
            rules.of_vanishing(falls, right)] == [HOLDS, IN_PART, NOT, UNKNOWN]  # fmt: skip
    assert [rules.of_limit(-1, -0.9), rules.of_limit(-1, -0.5), rules.of_limit(0, 1)] == [HOLDS, IN_PART, NOT]
    random = np.random.default_rng(0).normal(0, 0.02, 200)
    small, large = np.full((2, 5), 0.05), np.full((2, 5), 0.3)
    permuted = np.abs(random) + 0.01
    assert [rules.of_independence(small / 50, permuted), rules.of_independence(small + 0.04, permuted),
            rules.of_independence(large, permuted)] == [HOLDS, IN_PART, NOT]  # fmt: skip
    assert [rules.of_axes(right, 0.5, right), rules.of_axes(right, 0.5, wrong), rules.of_axes(wrong, 0.7, right)] == [
        HOLDS, IN_PART, NOT]  # fmt: skip


def colour_basis() -> Basis:
    """Axes of smooth patches in three colours that have much in common."""
    places = np.stack(np.meshgrid(range(3), range(3), indexing="ij"), -1).reshape(9, 2)
    near = np.exp(-np.linalg.norm(places[:, None] - places, axis=-1))
    colours = np.full((3, 3), 0.8) + np.diag([0.2, 0.25, 0.3])
    return principal_axes(np.kron(colours, near), (3, 3, 3))


def test_a_hump_is_in_the_middle_third_of_a_colours_frequencies() -> None:
    basis = colour_basis()
    seen_ = described(basis.patterns, colour_axes((basis.axes * basis.variance) @ basis.axes.T, basis.shape))
    parts = thirds(seen_)
    assert [[len(axes) for axes in colour] for colour in parts] == [[3, 3, 3]] * 3
    for colour in parts:
        ends = [seen_.frequency[axes] for axes in colour]
        assert ends[0].max() <= ends[1].min() + 1e-9 and ends[1].max() <= ends[2].min() + 1e-9
    energy = np.ones(27)
    energy[parts[0][1]] = 2
    energy[parts[1][0]] = 3
    np.testing.assert_allclose(humps_of(energy[None], parts)[0], np.log([2, 1 / 3, 1]), atol=1e-12)
    limits = by_chance(16, parts, 27, 4000, 0)
    assert (limits[:, 0] < -0.1).all() and (limits[:, 1] > 0).all()
    assert np.isnan(humps_of(np.ones((1, 4)), [[np.array([], int)] * 3])).all()


def test_pairs_that_began_alike_are_left_out_and_r_is_pearsons() -> None:
    random, basis = np.random.default_rng(0), colour_basis()
    banks = [bank_of(f"{number}", random.standard_normal((16, 3, 3, 3)), basis, number % 2) for number in range(4)]
    assert [(one.name, other.name) for one, other in between(banks[:2], banks[2:])] == [("0", "3"), ("1", "2")]
    assert len(within(banks)) == 6
    found = alike(within(banks), 27)
    wanted = [np.corrcoef(one.energy, other.energy)[0, 1] for one, other in within(banks)]
    np.testing.assert_allclose(found["r"], wanted, atol=1e-12)
    assert found["low"] < found["mean"] < found["high"] and found["n"] == 6
    rest = np.corrcoef(banks[0].energy[1:], banks[1].energy[1:])[0, 1]
    assert found["rest"][0] == pytest.approx(rest)
    assert alike([], 27)["n"] == 0


def test_chance_is_what_random_banks_do() -> None:
    random, basis = np.random.default_rng(1), colour_basis()
    banks = [bank_of("", random.standard_normal((16, 27)), basis).energy for _ in range(600)]
    drawn = rows_correlation(np.array(banks[:300]), np.array(banks[300:]))
    found = chance((16, 16), 27, 4000, 0)
    assert found["median"] == pytest.approx(np.median(drawn), abs=0.05)
    assert found["q975"] == pytest.approx(np.quantile(drawn, 0.975), abs=0.06)


def test_an_interval_of_frozen_layers_covers_what_was_planted() -> None:
    random = np.random.default_rng(0)
    apart = random.choice([-1, 0, 1], p=[0.15, 0.75, 0.1], size=(3, 2000))
    found = drawn_again(apart)
    assert found["low"] < -0.05 < found["high"] and found["high"] - found["low"] < 0.08
    assert found["mean"] == pytest.approx(apart.mean())


def test_s_of_a_planted_course_grows_and_that_of_walks_does_not() -> None:
    variance = np.geomspace(10, 1e-3, 27)
    s = np.geomspace(0.1, 10, 8)
    energy = (1 - np.exp(-s[:, None] * variance)) / np.sqrt(variance)
    steps = np.concatenate([[0], np.geomspace(10, 900, 8)])
    net = {"steps": steps, "filters": 16, "labels": "true",
           "moved": {"energy": np.vstack([np.zeros(27), energy]), "s": np.concatenate([[np.nan], s])}}  # fmt: skip
    found = measure_growth([net], variance, 0)
    assert found["energy"] == pytest.approx([1]) and found["s"] == pytest.approx([1]) and found["factor"][0] > 2
    assert abs(found["walks"].mean()) < 0.3


def test_the_linear_network_learns_along_the_axes_what_the_closed_form_says() -> None:
    random, basis = np.random.default_rng(0), colour_basis()
    points, targets = random.standard_normal((50, 27)), random.standard_normal((50, 2))
    averages = Averages.of(points, targets)
    found = learnt_along(averages.cross, averages.second, basis, 0.1, 7)
    for number in range(2):
        wanted = gap_profile(basis.axes, averages.second, 0.1, 7, averages.cross[number : number + 1])
        np.testing.assert_allclose(np.abs(found[number]), wanted, rtol=1e-9)


def test_mosaics_are_of_independent_patches() -> None:
    random = np.random.default_rng(0)
    pixels = random.standard_normal((200, 3, 8, 8)) + random.standard_normal((200, 3, 1, 1))  # each of one tone
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3), (2, 3)).transpose(0, 2, 3, 1, 4, 5)
    basis = principal_axes(np.cov(patches.reshape(-1, 27).T, bias=True), (3, 3, 3))
    average = averages_of_mosaics(pixels, basis, random)
    ratio = independence(Averages.of(average, np.zeros((len(average), 0))).second, basis, 100)
    np.testing.assert_allclose(ratio, 1, atol=0.12)
    np.testing.assert_allclose(one_against_all(np.array([0, 1, 1, 4])).sum(1), 0, atol=1e-12)


def test_the_same_axes_overlap_whatever_their_order_within_a_group() -> None:
    axes = np.eye(4)
    one = Basis(variance=np.array([10.0, 1, 0.9, 0.1]), axes=axes, shape=(1, 2, 2))
    two = Basis(variance=one.variance, axes=axes[:, [0, 2, 1, 3]], shape=(1, 2, 2))
    assert overlap(one, two).tolist() == [1, 0, 0, 1] and shared(one, two).tolist() == [1, 1, 1, 1]


def test_rings_of_a_flat_response_are_flat() -> None:
    np.testing.assert_allclose(rings(np.full((2, 32, 32), 3.0)), 3)
    bank = Bank(name="", squares=np.ones((4, 5)))
    np.testing.assert_allclose(bank.again(0), 1)
