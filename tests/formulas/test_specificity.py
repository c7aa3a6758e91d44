"""Specificity against a slow loop over pairs, and where it is known."""

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.specificity import specificities, specificity


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def slow(maps: np.ndarray) -> list[float]:
    found = []
    for unit, one in enumerate(maps):
        others = [other for place, other in enumerate(maps) if place != unit and other.any()]
        if not one.any() or not others:
            found.append(np.nan)
            continue
        cosines = [
            abs(float((one * other).sum())) / np.sqrt(float((one**2).sum()) * float((other**2).sum()))
            for other in others
        ]
        found.append(1 - sum(cosines) / len(cosines))
    return found


@pytest.mark.parametrize("zeros", [[], [0], [1, 3], [0, 1, 2, 3], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("shape", [(3, 6, 7), (40,)])
def test_it_is_what_a_loop_over_pairs_finds(shape, zeros) -> None:
    maps = drawn(5, *shape)
    maps[zeros] = 0
    np.testing.assert_allclose(specificities(maps), slow(maps), atol=1e-14)
    beside = [specificity(one, np.delete(maps, unit, 0)) for unit, one in enumerate(maps)]
    np.testing.assert_allclose(beside, slow(maps), atol=1e-14)
    np.testing.assert_allclose(specificities(maps.astype(np.float32)), slow(maps), atol=1e-6)


def test_orthogonal_maps_are_fully_specific_and_multiples_of_one_are_not_at_all() -> None:
    assert specificities(np.eye(4).reshape(4, 2, 2)).tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(specificities(np.array([1.0, -2, 0.5])[:, None] * drawn(1, 30)), 0, atol=1e-15)


def test_neither_signs_nor_scales_of_maps_matter_however_large_or_small() -> None:
    maps = drawn(4, 3, 5, 5)
    scaled = maps * np.array([1, -1e300, 1e-300, -7])[:, None, None, None]
    np.testing.assert_allclose(specificities(scaled), specificities(maps), rtol=1e-12)


def test_without_another_map_there_is_nothing_to_compare_with() -> None:
    assert np.isnan(specificities(drawn(1, 8))).tolist() == [True]
    assert specificities(drawn(0, 8)).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value) -> None:
    maps = drawn(3, 8)
    maps[1, 2] = value
    with pytest.raises(UsageError) as caught:
        specificities(maps)
    assert str(caught.value) == (
        "1 of 3 maps hold NaN or infinity. Only finite maps have a direction. "
        "Look where the network stops being finite."
    )
