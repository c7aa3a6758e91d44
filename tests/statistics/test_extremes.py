import numpy as np
import pytest
import torch

from feeding import LAYOUTS, cut, exact, feed, hashes_of
from microtome.statistics import Batch, Extremes
from microtome.statistics.extremes import ExtremesAnswer


def brute_force(values: np.ndarray, k: int) -> tuple[list, list, list]:
    """Values, images and places, each (C, k), by sorting all images of a channel in plain Python."""
    found = []
    for channel in range(values.shape[1]):
        rows = values[:, channel].tolist()
        ranked = sorted(range(len(rows)), key=lambda i: (-max(rows[i]), i))[:k]
        found.append([(max(rows[i]), i, rows[i].index(max(rows[i]))) for i in ranked])
    return tuple([[entry[part] for entry in channel] for channel in found] for part in range(3))


def assert_brute_force(found: ExtremesAnswer, tensor: torch.Tensor, k: int) -> None:
    values, index, place = brute_force(exact(tensor), k)
    assert found.index.tolist() == index
    assert found.values.tolist() == values
    assert found.place.tolist() == place


def tied() -> torch.Tensor:
    """50 images full of ties: any sign, all negative, zeros of both signs, and one value everywhere."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(-2, 3, (50, 4, 5, 5), generator=generator).float()
    coarse[:, 1] -= 10
    coarse[:, 2] = torch.where(torch.rand(50, 5, 5, generator=generator) < 0.5, 0.0, -0.0)
    coarse[:, 3] = -3.5
    return coarse


@pytest.mark.parametrize("k", [1, 9, 49, 50])
@pytest.mark.parametrize("size", [1, 8, 50])
def test_ties_are_ranked_as_a_plain_sort_ranks_them(k: int, size: int) -> None:
    assert_brute_force(feed(Extremes(k=k), tied(), cut(range(50), size)).compute(), tied(), k)


@pytest.mark.parametrize("layout", sorted(LAYOUTS.keys() - {"float64"}))
def test_every_layout_gives_what_a_plain_sort_gives(layout: str) -> None:
    assert_brute_force(feed(Extremes(k=6), LAYOUTS[layout]()).compute(), LAYOUTS[layout](), 6)


def test_double_precision_is_ranked_as_single() -> None:
    assert_brute_force(feed(Extremes(k=6), LAYOUTS["float64"]()).compute(), LAYOUTS["float64"]().float(), 6)


def test_all_images_of_one_value_come_in_their_order() -> None:
    order = np.random.default_rng(0).permutation(50)
    assert feed(Extremes(k=9), tied(), cut(order, 7)).compute().index[3].tolist() == list(range(9))


def test_a_negative_zero_is_as_large_as_a_zero() -> None:
    found = feed(Extremes(k=3), torch.tensor([[-0.0], [0.0], [-0.0]])).compute()
    assert found.index.tolist() == [[0, 1, 2]]


def test_infinite_values_are_ranked_and_kept() -> None:
    found = feed(Extremes(k=4), torch.tensor([[-torch.inf], [3.4e38], [torch.inf], [-3.4e38]])).compute()
    assert found.index.tolist() == [[2, 1, 3, 0]]
    assert found.values[0, [0, 3]].tolist() == [np.inf, -np.inf]


def test_the_smallest_numbers_are_told_apart() -> None:
    tiny = 2.0**-149
    found = feed(Extremes(k=4), torch.tensor([[-2 * tiny], [-tiny], [tiny], [0.0]])).compute()
    assert found.index.tolist() == [[2, 3, 1, 0]]


@pytest.mark.parametrize("size", [1, 4])
def test_what_is_not_a_number_is_never_among_the_strongest(size: int) -> None:
    tensor = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan], [2.0, torch.nan], [-1.0, 0.0]])
    found = feed(Extremes(k=3), tensor, cut(range(4), size)).compute()
    assert found.index.tolist() == [[2, 0, 3], [3, -1, -1]]


def test_fewer_images_than_places_leave_places_empty() -> None:
    found = feed(Extremes(k=4), torch.tensor([[1.0], [2.0]])).compute()
    assert found.index.tolist() == [[1, 0, -1, -1]]
    assert found.values.tolist()[0][:2] == [2.0, 1.0] and np.isnan(found.values[0, 2:]).all()


@pytest.mark.parametrize("k", [3, 6])
def test_shards_with_fewer_images_than_places_merge_exactly(k: int) -> None:
    merged = Extremes(k=k).start()
    for places in cut(range(6), 2):
        merged.merge(feed(Extremes(k=k), tied()[:6], [places]))
    assert_brute_force(merged.compute(), tied()[:6], k)


def test_places_in_a_set_of_billions_are_kept() -> None:
    index = np.array([2**32 - 1, 2**31, 5])
    accumulator = Extremes(k=3).start()
    accumulator.update(Batch(index, np.zeros(3, int), hashes_of(3)), torch.tensor([[1.0], [1.0], [-1.0]]))
    assert accumulator.compute().index.tolist() == [[2**31, 2**32 - 1, 5]]
