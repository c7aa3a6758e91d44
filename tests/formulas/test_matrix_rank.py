"""Ranks by singular values and by random projections, beside NumPy's."""

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.matrix_rank import FIRST, rank_by_projections, rank_of


def of_rank(rank: int, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    numbers = np.random.default_rng(seed)
    return numbers.standard_normal((shape[0], rank)) @ numbers.standard_normal((rank, shape[1]))


@pytest.mark.parametrize(("rank", "shape"), [(0, (5, 7)), (1, (9, 4)), (4, (9, 4)), (17, (60, 40)), (40, (40, 200))])
def test_a_rank_is_the_one_of_numpy_and_the_one_it_was_made_with(rank: int, shape: tuple[int, int]) -> None:
    matrix = of_rank(rank, shape)
    found = rank_of(matrix)
    assert found.known
    assert found.lowest == np.linalg.matrix_rank(matrix) == rank
    assert found.gap > 1e6


@pytest.mark.parametrize(("rank", "shape"), [(0, (5, 7)), (17, (60, 70)), (100, (150, 400)), (40, (40, 200))])
def test_random_projections_find_the_same_rank_from_products_alone(rank: int, shape: tuple[int, int]) -> None:
    matrix = of_rank(rank, shape)
    asked: list[int] = []

    def times(vectors: np.ndarray) -> np.ndarray:
        asked.append(len(vectors))
        return vectors @ matrix.T

    found = rank_by_projections(times, shape, most=1000, largest=min(shape))
    assert (found.lowest, found.highest, found.method) == (rank, rank, "random projections")
    assert sum(asked) <= max(FIRST, 2 * rank)  # no more than twice as many as there are directions


def test_too_few_projections_give_a_lower_bound_and_no_more() -> None:
    matrix = of_rank(90, (120, 200))
    found = rank_by_projections(lambda vectors: vectors @ matrix.T, matrix.shape, most=50, largest=120)
    assert (found.lowest, found.highest, found.known) == (50, 120, False)


def test_a_singular_value_below_rounding_counts_as_nothing() -> None:
    matrix = np.diag([1.0, 1e-3, 1e-12, 1e-17])
    found = rank_of(matrix)
    assert found.lowest == 3
    assert found.tolerance == pytest.approx(4 * 2.220446049250313e-16)
    assert found.gap == pytest.approx(1e5)


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UsageError, match="1 of 4 numbers of a matrix are not finite. A rank is that of finite numbers"):
        rank_of(np.array([[1.0, np.nan], [0, 1]]))
