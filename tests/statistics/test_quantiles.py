import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from feeding import cut, exact, feed, hashes_of
from microtome.statistics import Quantiles


def tied(count: int) -> torch.Tensor:
    """Of three channels the last two are full of ties."""
    values = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    values[:, 1:] = torch.round(values[:, 1:])
    return values


def brute_force(values: np.ndarray, images: list[int], k: int) -> tuple[list, list, list]:
    """Values, images and places at the exact middles of k equal parts of the ranked images."""
    found = []
    for channel in range(values.shape[1]):
        rows = {image: values[image, channel].tolist() for image in images}
        ranked = sorted(images, key=lambda image: (max(rows[image]), image))
        levels = [1 - Fraction(2 * part + 1, 2 * k) for part in range(k)]
        chosen = [ranked[math.floor(level * len(images))] for level in levels]
        found.append([(max(rows[i]), i, rows[i].index(max(rows[i]))) for i in chosen])
    return tuple([[entry[part] for entry in channel] for channel in found] for part in range(3))


@pytest.mark.parametrize(("k", "count"), [(9, 100), (5, 10), (7, 70), (4, 4), (9, 4), (1, 1), (1, 8)])
def test_quantile_images_are_the_middles_of_equal_parts(k: int, count: int) -> None:
    found = feed(Quantiles(k=k), tied(count), cut(range(count), 6)).compute()
    values, index, place = brute_force(exact(tied(count)), list(range(count)), k)
    assert found.values.tolist() == values
    assert found.index.tolist() == index
    assert found.place.tolist() == place


def test_quantiles_are_read_off_the_images_with_the_lowest_hashes() -> None:
    kept = sorted(np.argsort(hashes_of(100))[:30].tolist())
    found = feed(Quantiles(k=5, images=30), tied(100)).compute()
    assert found.index.tolist() == brute_force(exact(tied(100)), kept, 5)[1]


def test_levels_fall_from_the_strongest_part_to_the_weakest() -> None:
    np.testing.assert_allclose(feed(Quantiles(k=4), tied(8)).compute().levels, [0.875, 0.625, 0.375, 0.125])
