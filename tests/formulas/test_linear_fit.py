"""Correlation and least squares from sums, against the samples themselves."""

import numpy as np
import pytest

from microtome.formulas.linear_fit import Sums, correlations, explained, least_squares, lines

COUNT, INPUTS, OUTPUTS = 400, 6, 3
PLAIN = np.array([0, 2, 4])


def sums_of(x: np.ndarray, t: np.ndarray) -> Sums:
    return Sums.of(len(x), PLAIN, {
        "x": x.sum(0), "xx": (x**2).sum(0), "t": t.sum(0), "tt": (t**2).sum(0), "xt": t.T @ x,
        "gram": x[:, PLAIN].T @ x[:, PLAIN],
    })  # fmt: skip


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(3, 2, (COUNT, INPUTS))
    return x, x @ random.normal(0, 1, (INPUTS, OUTPUTS)) + random.normal(0, 1, (COUNT, OUTPUTS))


def test_correlations_are_those_of_the_samples(samples) -> None:
    x, t = samples
    expected = np.corrcoef(x.T, t.T)[INPUTS:, :INPUTS]
    np.testing.assert_allclose(correlations(sums_of(x, t)), expected, atol=1e-12)


def test_a_constant_input_correlates_with_nothing_and_of_a_constant_output_nothing_is_known(samples) -> None:
    x, t = samples
    x[:, 1], t[:, 2] = 0.1, 7.3
    found = correlations(sums_of(x, t))
    assert (found[:2, 1] == 0).all() and np.isnan(found[2]).all() and not np.isnan(found[:2]).any()
    gain, bias = lines(sums_of(x, t), np.array([1, 0, 0]))
    assert gain[0] == 0 and bias[0] == pytest.approx(t[:, 0].mean()) and bias[2] == pytest.approx(7.3)


def test_lines_are_those_of_polyfit(samples) -> None:
    x, t = samples
    chosen = np.array([5, 0, 3])
    gain, bias = lines(sums_of(x, t), chosen)
    for output, place in enumerate(chosen):
        np.testing.assert_allclose((gain[output], bias[output]), np.polyfit(x[:, place], t[:, output], 1), rtol=1e-8)


def test_least_squares_and_what_it_explains_are_those_of_the_samples(samples) -> None:
    x, t = samples
    weight, bias = least_squares(sums_of(x, t))
    design = np.column_stack([x[:, PLAIN], np.ones(COUNT)])
    expected = np.linalg.lstsq(design, t, rcond=None)[0]
    np.testing.assert_allclose(weight, expected[:-1].T, rtol=1e-4)
    np.testing.assert_allclose(bias, expected[-1], rtol=1e-4)
    errors = ((t - x[:, PLAIN] @ weight.T - bias) ** 2).sum()
    r2 = 1 - errors / ((t - t.mean(0)) ** 2).sum()
    assert explained(sums_of(x, t), weight, bias) == pytest.approx(r2, abs=1e-10)


def test_on_other_samples_it_may_explain_less_than_nothing(samples) -> None:
    x, t = samples
    assert explained(sums_of(x, t), np.full((OUTPUTS, len(PLAIN)), 100.0), np.zeros(OUTPUTS)) < 0
    assert np.isnan(explained(sums_of(x, 0 * t), np.zeros((OUTPUTS, len(PLAIN))), np.zeros(OUTPUTS)))


def test_inputs_that_are_all_constant_give_the_means(samples) -> None:
    _, t = samples
    weight, bias = least_squares(sums_of(np.zeros((COUNT, INPUTS)), t))
    assert not weight.any() and np.allclose(bias, t.mean(0))
