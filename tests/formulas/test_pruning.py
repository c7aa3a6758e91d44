import numpy as np
import pytest
from scipy.stats import percentileofscore

from microtome.formulas.pruning import TOGETHER, Measured, keep_ranks, lowest_first, percentile

UNITS = 8
NAN = float("nan")


def measured(**given: object) -> Measured:
    """Units that no criterion condemns, but for what is given."""
    usual = {
        "std": np.linspace(1, 2, UNITS), "active": np.full(UNITS, 0.5), "noise": np.full(UNITS, 0.01),
        "contrast": np.full(UNITS, 0.8), "stimuli": np.linspace(0.5, 0.9, UNITS), "maps": np.linspace(0.9, 0.5, UNITS),
        "importance": np.arange(UNITS, dtype=float), "redundancy": np.full(UNITS, 0.3),
        "twin": np.arange(UNITS)[::-1].copy(),
    }  # fmt: skip
    for name, values in given.items():
        usual[name] = usual[name].astype(float)
        for unit, value in values.items():  # type: ignore[attr-defined]
            usual[name][unit] = value
    return Measured(**usual)


def test_percentiles_are_ranks_without_the_unknown():
    values = np.array([3.0, NAN, 1.0, 3.0, 7.0])
    expected = [(percentileofscore([3, 1, 3, 7], v, "weak") + percentileofscore([3, 1, 3, 7], v, "strict")) / 200
                for v in (3, 1, 3, 7)]  # fmt: skip
    found = percentile(values)
    assert np.isnan(found[1])
    # both count ties in the middle; ours runs from 0 to 1 instead of from 1/2n to 1 - 1/2n
    assert np.allclose(found[[0, 2, 3, 4]], (np.array(expected) - 1 / 8) / (1 - 1 / 4))
    assert percentile(np.array([4.0])).tolist() == [0.5]


def test_keeping_is_the_mean_rank_over_what_is_known():
    ranks = keep_ranks([np.array([1.0, 2.0, 3.0]), np.array([9.0, NAN, 1.0]), np.full(3, NAN)])
    assert ranks.tolist() == [0.5, 0.5, 0.5]
    assert keep_ranks([np.full(2, NAN)]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"std": {3: 0.1}}, "varies little: standard deviation 0.1, median of its layer"),
        ({"active": {3: 0.0}}, "varies little: "),
        ({"noise": {3: 0.4}}, "like noise: p 0.40 of its filter beside random ones"),
        ({"contrast": {3: 0.02}}, "plain superstimulus: contrast 0.02 of its superstimulus"),
        (
            {"stimuli": {3: 0.01}, "maps": {3: 0.02}},
            "not selective: sparseness 0.01 over patterns, 0.02 over positions",
        ),
        ({"redundancy": {3: 0.99}}, "has a twin: r 0.99 with unit 4"),
    ],
)
def test_what_condemns_a_unit_is_said_with_its_number(given, words):
    of = measured(**given)
    assert of.reason(3).startswith(words)
    assert [name for name, flags in of.flags().items() if flags[3]] == [words.partition(":")[0]]
    assert not any(flags[5] for flags in of.flags().values())


def test_a_unit_that_nothing_condemns_is_told_by_its_lowest_rank():
    assert measured().reason(0) == f"{TOGETHER}, lowest by standard deviation 1, median of its layer 1.5"


def test_the_important_half_is_spared_unless_another_unit_does_the_same():
    assert measured().spared.tolist() == [False] * 4 + [True] * 4
    assert measured(redundancy={6: 0.97}).spared.tolist() == [False] * 4 + [True, True, False, True]


def test_the_least_worth_keeping_go_first_then_the_least_important_of_the_spared():
    keep = np.array([0.9, 0.1, 0.5, 0.2])
    spared = np.array([False, True, False, True])
    importance = np.array([0.0, 5.0, 0.0, 3.0])
    assert lowest_first(keep, spared, importance, {}, 1) == [2]
    assert lowest_first(keep, spared, importance, {}, 4) == [2, 0, 3, 1]


def test_of_two_that_do_the_same_one_stays_while_others_are_left():
    keep, nobody = np.array([0.1, 0.2, 0.8]), np.zeros(3, bool)
    assert lowest_first(keep, nobody, np.zeros(3), {0: 1, 1: 0}, 2) == [0, 2]
    assert lowest_first(keep, nobody, np.zeros(3), {}, 2) == [0, 1]
