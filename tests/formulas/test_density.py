"""Density and axes of feature vectors, beside slow loops; partial rank correlation beside residuals."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from microtome.errors import UsageError
from microtome.formulas.density import (
    MEASURES,
    association,
    class_axis_angle,
    cone_axis_angle,
    density,
    typicality,
)


def angle(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))))


@pytest.fixture
def four() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal((7, 4)), np.arange(7) % 3, random.standard_normal((30, 4)), np.arange(30) % 3


def test_density_is_minus_the_angle_to_the_kth_nearest_of_the_same_group(four) -> None:
    points, groups, reference, others = four
    for k in (1, 4):
        wanted = [-sorted(angle(point, each) for each in reference[others == group])[k - 1]
                  for point, group in zip(points, groups, strict=True)]  # fmt: skip
        assert np.allclose(density(points, groups, reference, others, k), wanted)


def test_axes_are_means_of_points_of_length_1(four) -> None:
    points, groups, reference, others = four
    units = reference / np.linalg.norm(reference, axis=1, keepdims=True)
    wanted = [angle(point, units[others == group].mean(0)) for point, group in zip(points, groups, strict=True)]
    assert np.allclose(class_axis_angle(points, groups, reference, others), wanted)
    assert np.allclose(cone_axis_angle(points, reference), [angle(point, units.mean(0)) for point in points])


def test_lengths_do_not_matter(four) -> None:
    points, groups, reference, others = four
    longer = points * 5, groups, reference * np.linspace(1, 9, 30)[:, None], others
    assert np.allclose(density(*longer, 2), density(*four, 2))
    assert np.allclose(class_axis_angle(*longer), class_axis_angle(*four))


def test_a_group_with_too_few_references_has_no_density(four) -> None:
    points, groups, reference, others = four
    assert np.isnan(density(points, groups, reference, others, 11)).all()
    assert np.isnan(class_axis_angle(points, groups + 5, reference, others)).all()


def test_shapes_that_do_not_fit_are_refused(four) -> None:
    points, groups, reference, others = four
    with pytest.raises(UsageError, match=r"shapes \(7, 4\), \(6,\), \(30, 4\), \(30,\)"):
        density(points, groups[:6], reference, others)


def test_what_is_typical_is_told_of_images_that_are_no_reference() -> None:
    """Planted: two classes on two axes, and noise that makes images both untypical and unsure."""
    random = np.random.default_rng(1)
    noise = random.uniform(0.05, 1, (400, 1))
    points = np.eye(2)[np.arange(400) % 2] + noise * np.abs(random.standard_normal((400, 2)))
    found = typicality(points, 8 * points, seed=2)
    assert {len(values) for values in found.values()} == {200}
    links = {name: association(found[name], found["confidence"], found["norm"]) for name in MEASURES}
    nearer = links["angle to class axis"]
    assert nearer.value < -2 * nearer.shuffled
    axis = links["angle to cone axis"]  # the confidence of longer features is larger, too
    assert axis.value > 2 * axis.shuffled and axis.at_equal_norm > 0.8
    assert all(0.05 < link.shuffled < 0.25 and link.images == 200 for link in links.values())


def test_the_association_at_equal_norm_is_that_of_what_ranks_of_the_norm_leave() -> None:
    random = np.random.default_rng(3)
    norm = random.standard_normal(300)
    measure, confidence = norm + 0.5 * random.standard_normal(300), norm + 0.5 * random.standard_normal(300)
    found = association(measure, confidence, norm)
    ranks = [rankdata(each) for each in (measure, confidence, norm)]
    left = [each - np.polyval(np.polyfit(ranks[2], each, 1), ranks[2]) for each in ranks[:2]]
    assert found.value == pytest.approx(spearmanr(measure, confidence)[0])
    assert found.at_equal_norm == pytest.approx(np.corrcoef(*left)[0, 1])
    assert abs(found.at_equal_norm) < 0.15 < 0.6 < found.value
