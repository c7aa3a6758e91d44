import numpy as np
import pytest
import torch

from feeding import LAYOUTS, cut, exact, feed, hashes_of
from microtome.statistics import Histogram


def rows() -> torch.Tensor:
    """One position an image: every sample of an image is its value."""
    return torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bins", [1, 7, 24])
def test_bins_are_those_of_numpy_between_smallest_and_largest(bins: int) -> None:
    found = feed(Histogram(bins=bins, positions=2), rows()).compute()
    expected = [np.histogram(channel, bins)[0] * 2 for channel in rows().T.double().numpy()]
    assert found.counts.tolist() == np.array(expected).tolist()


def test_the_range_is_that_of_the_values() -> None:
    found = feed(Histogram(), rows()).compute()
    assert found.low.tolist() == rows().amin(0).tolist()
    assert found.high.tolist() == rows().amax(0).tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_add_up_to_the_samples(layout: str) -> None:
    found = feed(Histogram(positions=5), LAYOUTS[layout](), cut(range(20), 6)).compute()
    assert found.counts.sum(1).tolist() == [20 * 5] * 6


def test_the_range_lies_within_the_values() -> None:
    values = exact(LAYOUTS["maps"]())
    found = feed(Histogram(), LAYOUTS["maps"]()).compute()
    assert (found.low >= values.min((0, 2))).all() and (found.high <= values.max((0, 2))).all()


def test_a_constant_channel_fills_the_first_bin() -> None:
    found = feed(Histogram(bins=4, positions=3), torch.full((10, 1, 2, 2), 0.7)).compute()
    assert found.counts.tolist() == [[30, 0, 0, 0]]


def test_only_the_images_with_the_lowest_hashes_are_counted() -> None:
    kept = np.argsort(hashes_of(60))[:25]
    limited = feed(Histogram(images=25), rows(), cut(range(60), 7)).compute()
    expected = [np.histogram(channel, 24)[0] * 8 for channel in rows()[kept].T.double().numpy()]
    assert limited.counts.tolist() == np.array(expected).tolist()
