"""The geometry of a classifier's rows: known simplices, and what cross-entropy does to their sum."""

import numpy as np
import pytest
import torch

from microtome.formulas.simplex import simplex


def corners(count: int, scale: float = 1.0) -> np.ndarray:
    return scale * (np.eye(count) - 1 / count)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_corners_of_a_simplex_sum_to_0_and_have_its_cosines(count) -> None:
    found = simplex(corners(count, 3.0))
    assert found.zero_sum == pytest.approx(0, abs=1e-12)
    assert found.target == -1 / (count - 1)
    assert np.allclose(found.pairs, found.target) and found.gap == pytest.approx(0, abs=1e-12)
    assert found.norm_spread == pytest.approx(0, abs=1e-12)


def test_independent_rows_have_a_sum_of_about_1_and_equal_rows_the_root_of_their_number() -> None:
    random = np.random.default_rng(0)
    assert np.mean([simplex(random.standard_normal((20, 50))).zero_sum for _ in range(50)]) == pytest.approx(
        1, abs=0.05
    )
    assert simplex(np.ones((16, 5))).zero_sum == pytest.approx(4)


def test_the_gradient_of_cross_entropy_sums_to_0_over_rows_and_behind_a_rectifier_it_does_not() -> None:
    """What the formula's module says about classifiers: why rows of one cannot come to lie in a cone from 0."""
    numbers = torch.Generator().manual_seed(0)
    features, labels = torch.randn(50, 8, generator=numbers).abs(), torch.randint(5, (50,), generator=numbers)
    weights = torch.randn(5, 8, generator=numbers).requires_grad_()
    sizes = []
    for rectify in (lambda x: x, torch.relu):
        (gradient,) = torch.autograd.grad(
            torch.nn.functional.cross_entropy(rectify(features @ weights.T), labels), weights
        )
        sizes.append(float(gradient.sum(0).norm()))
    assert sizes[0] < 1e-6 < 1e-3 < sizes[1]


def test_rows_of_zeros_have_no_geometry() -> None:
    assert np.isnan(simplex(np.zeros((3, 2))).zero_sum)
