import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from microtome.formulas.correlation import best_matches, correlation_matrix, cosine_matrix, cross_correlation, nearest


def samples(kind: type = np.float64) -> np.ndarray:
    drawn = np.random.default_rng(0).normal(5, 3, (40, 6))
    drawn[:, 3] = -2 * drawn[:, 1]
    return drawn.astype(kind)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_correlations_are_those_of_numpy(kind: type) -> None:
    expected = np.corrcoef(samples(kind).astype(np.float64), rowvar=False)
    np.testing.assert_allclose(correlation_matrix(samples(kind)), expected, rtol=0, atol=1e-14)


def test_correlations_stay_within_minus_one_and_one() -> None:
    assert np.abs(correlation_matrix(samples())).max() <= 1


@pytest.mark.parametrize("count", [1, 3, 7, 40])
def test_constant_columns_correlate_with_nothing(count: int) -> None:
    """The mean of n times 0.1 is not exactly 0.1: what is left over must not count as a signal."""
    table = np.tile([0.1, 0.3, 0.7], (count, 1))
    assert not correlation_matrix(table).any()


def test_a_constant_column_leaves_the_others_as_they_are() -> None:
    with_constant = np.insert(samples(), 2, 0.1, axis=1)
    found = correlation_matrix(with_constant)
    assert not found[2].any() and not found[:, 2].any()
    rest = np.delete(np.delete(found, 2, 0), 2, 1)
    np.testing.assert_allclose(rest, np.corrcoef(samples(), rowvar=False), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_correlations_between_two_tables_are_those_of_numpy(kind: type) -> None:
    one, other = samples(kind)[:, :4], samples(kind)[:, 3:] ** 2
    expected = np.corrcoef(one.astype(np.float64), other.astype(np.float64), rowvar=False)[:4, 4:]
    np.testing.assert_allclose(cross_correlation(one, other), expected, rtol=0, atol=1e-14)


def test_between_two_tables_a_constant_column_correlates_with_nothing() -> None:
    found = cross_correlation(samples(), np.insert(samples(), 2, 0.1, axis=1))
    assert not found[:, 2].any() and found.any(0).sum() == 6


def test_the_best_match_is_the_largest_and_of_equal_ones_the_own_number_then_the_lowest() -> None:
    table = np.array([[0.9, 0.9 - 1e-12, 0.1], [0.9, 0.9, 0.1], [0.5, 0.5, 0.4], [0.2, 0.7, 0.7]])
    best, value = best_matches(table)
    assert best.tolist() == [0, 1, 0, 1]
    assert value.tolist() == [0.9, 0.9, 0.5, 0.7]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_cosines_are_those_of_scikit_learn(kind: type) -> None:
    expected = cosine_similarity(samples(kind).astype(np.float64))
    np.testing.assert_allclose(cosine_matrix(samples(kind)), expected, rtol=0, atol=1e-14)


def test_cosines_of_half_precision_rows_do_not_overflow() -> None:
    rows = np.full((2, 100), 60000, np.float16)
    np.testing.assert_allclose(cosine_matrix(rows), np.ones((2, 2)), rtol=0, atol=1e-14)


def test_a_row_of_zeros_has_cosine_zero() -> None:
    assert cosine_matrix(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_nearest_are_the_others_with_the_largest_values(k: int) -> None:
    similarity = np.round(correlation_matrix(samples()), 1)  # with ties
    partners, values = nearest(similarity, k)
    for unit, row in enumerate(similarity.tolist()):
        ranked = sorted((-number, other) for other, number in enumerate(row) if other != unit)[:k]
        assert partners[unit].tolist() == [other for _, other in ranked]
        assert values[unit].tolist() == [-number for number, _ in ranked]


def test_of_equally_near_ones_the_first_are_taken() -> None:
    assert nearest(np.full((4, 4), 0.5), 2)[0].tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_where_there_are_fewer_others_places_stay_empty() -> None:
    partners, values = nearest(np.array([[1.0, 0.25], [0.25, 1.0]]), 3)
    assert partners.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert values.tolist() == [[0.25, 0, 0], [0.25, 0, 0]]


def test_a_single_unit_has_no_nearest() -> None:
    partners, values = nearest(np.ones((1, 1)))
    assert (partners.tolist(), values.tolist()) == ([[-1]], [[0.0]])


def test_looking_for_the_nearest_leaves_the_matrix_as_it_was() -> None:
    similarity = np.eye(3)
    nearest(similarity)
    assert np.array_equal(similarity, np.eye(3))
