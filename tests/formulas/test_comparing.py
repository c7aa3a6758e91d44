"""What changed between two classifiers: planted tables, SciPy's tests, and simulated networks of known goodness."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from microtome.formulas.comparing import (
    Change,
    chance_agreement,
    changes_by_class,
    criterion,
    independent_change,
    p_in_words,
)  # fmt: skip
from microtome.formulas.paired import paired_interval


def change(broken: int, fixed: int, images: int = 1000) -> Change:
    return Change(both=images - broken - fixed, broken=broken, fixed=fixed, neither=0)


def test_images_are_counted_by_who_is_right() -> None:
    right = np.array([[1, 1, 1, 0, 0, 1], [1, 0, 1, 1, 0, 1]], bool)
    found = Change.of(right)
    assert (found.both, found.broken, found.fixed, found.neither) == (3, 1, 1, 1)
    assert (found.images, found.changed) == (6, 2)


def test_the_difference_is_in_points_and_falls_where_b_is_worse() -> None:
    middle, low, high = change(40, 10).apart
    fall_low, fall_high = paired_interval(np.array([40]), np.array([10]), 1000)
    assert (middle, low, high) == (-3.0, -100 * fall_high[0], -100 * fall_low[0])
    assert low < middle < high < 0
    assert change(40, 10).points() == f"-3.0 [{low:+.1f}, {high:+.1f}]"
    assert change(10, 40).apart == pytest.approx((3.0, -high, -low))


@pytest.mark.parametrize(
    ("broken", "fixed", "tolerance", "verdict"),
    [(40, 10, 0, "worse"), (10, 40, 0, "better"), (12, 10, 0, "cannot tell"), (0, 0, 0, "cannot tell"),
     (40, 10, 1, "worse"), (40, 10, 3, "cannot tell"), (40, 10, 6, "not worse"), (12, 10, 2, "not worse"),
     (5, 0, 0, "cannot tell"), (6, 0, 0, "worse")],
)  # fmt: skip
def test_the_verdict_goes_by_the_interval_and_by_the_exact_test(broken, fixed, tolerance, verdict) -> None:
    assert change(broken, fixed).verdict(tolerance) == verdict


def test_five_broken_images_alone_show_nothing_although_the_interval_leaves_out_0() -> None:
    assert change(5, 0).apart[2] < 0
    assert change(5, 0).p == scipy.stats.binomtest(5, 5).pvalue == 0.0625


def test_two_equally_good_networks_are_seldom_called_worse() -> None:
    random = np.random.default_rng(0)
    draws = [change(*random.multinomial(200, [0.1, 0.1, 0.8])[:2], images=200).verdict(0) for _ in range(1000)]
    assert draws.count("worse") + draws.count("better") < 50
    assert draws.count("worse") > 5


@pytest.mark.parametrize(
    ("verdict", "tolerance", "words"),
    [("worse", 0, "worse"), ("worse", 1, "worse by more than 1 point"), ("better", 0, "better"),
     ("not worse", 2.5, "not worse by more than 2.5 points"), ("the same answers", 0, "every answer is the same")],
)  # fmt: skip
def test_the_conclusion_is_one_sentence(verdict, tolerance, words) -> None:
    expected = f"B breaks 1,200 and fixes 10 of 5,000 images (McNemar p < 0.0001): {words}"
    assert change(1200, 10, 5000).conclusion(verdict, tolerance) == expected


def test_where_nothing_can_be_told_the_conclusion_says_how_large_a_difference_may_be() -> None:
    _, low, high = change(12, 10).apart
    assert change(12, 10).conclusion("cannot tell", 0) == (
        f"B breaks 12 and fixes 10 of 1,000 images (McNemar p = 0.83): cannot tell, underpowered (a difference between "
        f"{low:+.1f} and {high:+.1f} points)"
    )


def test_the_criterion_names_the_tolerance() -> None:
    assert "lies below 0 points, and McNemar's exact p is below 0.05" in criterion(0.0)
    assert "lies below -1.5 points" in criterion(1.5)


@pytest.mark.parametrize(("p", "words"), [(1.0, "p = 1"), (0.0134, "p = 0.013"), (2e-9, "p < 0.0001")])
def test_p_in_words(p, words) -> None:
    assert p_in_words(p) == words


def planted(seed: int = 0, images: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Two networks whose errors have nothing to do with each other within a class."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 3, images)
    goodness = np.array([[0.9, 0.6, 0.3], [0.7, 0.8, 0.3]])
    return random.random((2, images)) < goodness[:, label], label


def test_networks_that_err_independently_change_as_many_images_as_is_said() -> None:
    right, label = planted()
    found = Change.of(right)
    expected = independent_change(right, label)
    counts = np.array([found.both, found.broken, found.fixed, found.neither])
    assert expected.sum() == pytest.approx(len(label))
    assert (np.abs(counts - expected) < 3 * np.sqrt(expected)).all()


def test_networks_that_err_alike_change_fewer() -> None:
    right, label = planted()
    alike = np.stack([right[0], right[0]])
    assert Change.of(alike).changed == 0
    assert independent_change(alike, label)[1] > 100


def test_classes_come_with_the_largest_fall_first_and_corrected_p() -> None:
    right, label = planted()
    found = changes_by_class(right, label)
    falls = [each.apart[0] for each, _ in found.values()]
    assert list(found)[0] == 0 and falls == sorted(falls)
    first, p = found[0]
    assert first.images == (label == 0).sum()
    assert p == pytest.approx(min(1, 3 * scipy.stats.binomtest(first.broken, first.changed).pvalue), rel=1e-6)


def test_agreement_by_chance_is_the_one_in_cohens_kappa() -> None:
    answers = np.random.default_rng(0).integers(0, 4, (2, 300)) ** 2 // 3
    agreed, chance = (answers[0] == answers[1]).mean(), chance_agreement(answers, 4)
    assert (agreed - chance) / (1 - chance) == pytest.approx(sklearn.metrics.cohen_kappa_score(*answers))
