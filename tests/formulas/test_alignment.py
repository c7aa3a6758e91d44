"""Alignment of layers against Gram matrices written out, and against what it must not depend on."""

from itertools import permutations

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.alignment import cka_of_filters, linear_cka
from spectra import turned


def answers(count: int, units: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(2, 1, (count, units)) * np.arange(1, units + 1)


def centred_gram(table: np.ndarray) -> np.ndarray:
    centring = np.eye(len(table)) - 1 / len(table)
    return centring @ table @ table.T @ centring


def without_bias(one: np.ndarray, other: np.ndarray) -> float:
    """HSIC as a mean over images that all differ, written as its definition is: a sum over quadruples."""
    k, m = one @ one.T, other @ other.T
    terms = [k[i, j] * (m[i, j] + m[p, q] - 2 * m[i, p]) for i, j, p, q in permutations(range(len(one)), 4)]
    return float(np.mean(terms))


def test_alignment_is_that_of_centred_gram_matrices() -> None:
    one, other = answers(30, 5), answers(30, 8, 1)
    other[:, 5:] += 3 * one[:, 2:]
    grams = centred_gram(one), centred_gram(other)
    wanted = np.sum(grams[0] * grams[1]) / np.linalg.norm(grams[0]) / np.linalg.norm(grams[1])
    assert linear_cka(one, other) == pytest.approx(wanted, rel=1e-12)
    assert 0.2 < wanted < 0.9


def test_without_bias_it_is_that_of_quadruples_of_images() -> None:
    one, other = answers(9, 3), answers(9, 2, 1)
    other[:, 0] += one[:, 0]
    wanted = without_bias(one, other) / np.sqrt(without_bias(one, one) * without_bias(other, other))
    assert linear_cka(one, other, debiased=True) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("debiased", [False, True])
def test_it_does_not_know_the_order_a_mixture_the_scale_or_the_mean_of_units(debiased) -> None:
    one, other = answers(40, 6), answers(40, 6, 1) + answers(40, 6)
    wanted = linear_cka(one, other, debiased)
    for changed in (other[:, ::-1], other @ turned(6), -3 * other, other + 7):
        assert linear_cka(one, changed, debiased) == pytest.approx(wanted, rel=1e-10)
    assert linear_cka(other, one, debiased) == pytest.approx(wanted, rel=1e-12)
    assert linear_cka(one, one @ turned(6), debiased) == pytest.approx(1, rel=1e-12)
    assert abs(linear_cka(one, other * np.arange(6), debiased) - wanted) > 0.01  # but that of single units, it does


def test_layers_that_have_nothing_in_common_are_at_zero_only_without_bias() -> None:
    pairs = [(np.random.default_rng(seed).normal(size=(2, 40, 60))) for seed in range(200)]
    biased = [linear_cka(*pair) for pair in pairs]
    fair = [linear_cka(*pair, debiased=True) for pair in pairs]
    assert min(biased) > 0.5
    assert abs(np.mean(fair)) < 3 * np.std(fair) / np.sqrt(200) and min(fair) < 0 < max(fair)


def test_constant_responses_are_like_nothing() -> None:
    assert np.isnan(linear_cka(np.full((7, 3), 0.1), answers(7, 3)))
    with_constant = np.insert(answers(9, 3), 1, 0.1, axis=1)
    assert linear_cka(with_constant, answers(9, 3)) == pytest.approx(1, rel=1e-12)


def test_responses_to_other_images_and_to_few_are_refused() -> None:
    with pytest.raises(UsageError, match="responses to 8 and to 9 images. Both layers answer to the same images, 4 or"):
        linear_cka(answers(8, 3), answers(9, 3))
    with pytest.raises(UsageError, match="responses to 3 and to 3 images"):
        linear_cka(answers(3, 3), answers(3, 3))


def test_of_filters_it_is_that_of_their_answers_to_the_patches():
    random = np.random.default_rng(3)
    patches = random.normal(size=(400, 12)) @ random.normal(size=(12, 12)) + 2
    one, other = random.normal(size=(5, 12)), random.normal(size=(7, 12))
    covariance = np.cov(patches.T, bias=True)
    answers = linear_cka(patches @ one.T, patches @ other.T)
    assert cka_of_filters(one, other, covariance) == pytest.approx(answers, rel=1e-10)
    assert cka_of_filters(one, 3 * one[::-1], covariance) == pytest.approx(1)
    assert np.isnan(cka_of_filters(np.zeros((2, 12)), other, covariance))
