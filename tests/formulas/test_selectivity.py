import numpy as np

from microtome.formulas.selectivity import class_selectivity

# largest 3 and 1.5 on average otherwise: (3 - 1.5) / (3 + 1.5); silent; the same for all; one class alone
MEANS = np.array([[3.0, 0, 1, 0], [1, 0, 1, 5], [2, 0, 1, 0]])
BY_HAND = [1 / 3, 0.0, 0.0, 1.0]


def test_selectivity_is_what_one_calculates_by_hand() -> None:
    np.testing.assert_allclose(class_selectivity(MEANS), BY_HAND, rtol=1e-15)


def test_classes_without_images_do_not_count() -> None:
    with_gaps = np.insert(MEANS, [0, 2], np.nan, axis=0)
    np.testing.assert_allclose(class_selectivity(with_gaps), BY_HAND, rtol=1e-15)


def test_selectivity_does_not_depend_on_the_scale() -> None:
    np.testing.assert_allclose(class_selectivity(MEANS * 1e-6), BY_HAND, rtol=1e-12)


def test_one_class_alone_says_nothing() -> None:
    assert np.isnan(class_selectivity(MEANS[:1])).tolist() == [True] * 4


def test_means_are_left_as_they_were() -> None:
    means = MEANS.copy()
    class_selectivity(means)
    assert np.array_equal(means, MEANS)
