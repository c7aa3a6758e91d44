import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from feeding import cut, feed, hashes_of
from microtome.statistics import PatchCovariance, patches_of
from microtome.statistics.drawn_windows import drawn_places, drawn_products, spread
from microtome.statistics.window_grid import WindowGrid

GRID = WindowGrid(kernel=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 3))


def images(count: int = 40) -> Tensor:
    return torch.randn((count, 3, 12, 10), generator=torch.Generator().manual_seed(0)).cumsum(3)


def drawing(windows: int) -> PatchCovariance:
    return PatchCovariance(kernel=(3, 3), method="windows", windows=windows)


def test_drawn_windows_are_those_of_the_image_at_the_drawn_places() -> None:
    """One by one: cut out with two loops, at places that count along rows first."""
    hashes = hashes_of(40)
    products, total, seen = drawn_products(images(), GRID, hashes, 5)
    padded = np.pad(images().double().numpy(), [(0, 0), (0, 0), (1, 1), (0, 0)])
    patches = []
    for image, places in zip(padded, drawn_places(hashes, 5, 6 * 7), strict=True):
        for place in places:
            row, column = 2 * (place // 7), place % 7
            patches.append(image[:, row : row + 3, column : column + 4 : 3].ravel())
    expected = np.stack(patches)
    assert seen == len(expected) == 200
    np.testing.assert_allclose(total, expected.sum(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(products, expected.T @ expected, rtol=1e-12, atol=1e-10)


def test_as_many_windows_as_there_are_count_every_patch() -> None:
    exact = patches_of(images(), PatchCovariance(kernel=(3, 3), method="bands"))
    found = patches_of(images(), drawing(40 * 80))
    assert found.count == exact.count == 40 * 80
    np.testing.assert_allclose(found.covariance, exact.covariance, rtol=0, atol=1e-12 * exact.covariance.max())
    assert patches_of(images(), drawing(10**9)).count == exact.count


def test_many_windows_approach_the_exact_covariance() -> None:
    """Of n windows from independent draws an entry is off by about the entry's size over the root of n."""
    pixels = images(3000)
    exact = patches_of(pixels, PatchCovariance(kernel=(3, 3), method="bands"))
    off = []
    for each in (2, 32):
        found = patches_of(pixels, drawing(3000 * each))
        assert found.count == 3000 * each
        off.append(np.abs(found.covariance - exact.covariance).max() / exact.covariance.max())
    assert off[0] < 4 / np.sqrt(3000 * 2)
    assert off[1] < 4 / np.sqrt(3000 * 32)


def test_every_place_is_as_likely_as_any_other() -> None:
    hashes = spread(np.arange(20_000, dtype=np.uint64))
    for count, places in ((3, 8), (7, 10), (1, 30)):
        drawn = drawn_places(hashes, count, places)
        counts = np.bincount(drawn.ravel(), minlength=places)
        expected = len(hashes) * count / places
        assert len(counts) == places and np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_draws_of_one_image_and_of_images_with_neighbouring_hashes_are_independent() -> None:
    drawn = drawn_places(np.arange(5000, dtype=np.uint64), 4, 4000) % 1000  # where in each quarter
    for one, other in ((drawn[:, 0], drawn[:, 1]), (drawn[:-1, 0], drawn[1:, 0]), (drawn[:-1, 1], drawn[1:, 0])):
        assert stats.pearsonr(one, other).pvalue > 1e-3
    assert stats.kstest(drawn.ravel(), stats.uniform(0, 1000).cdf).pvalue > 1e-3


@pytest.mark.parametrize("size", [1, 7, 40])
def test_an_image_gives_the_same_windows_in_any_batch(size: int) -> None:
    request = drawing(130)  # 3.25 an image: 4
    whole = feed(request, images()).compute()
    found = feed(request, images(), cut(np.random.default_rng(1).permutation(40), size)).compute()
    assert found.count == whole.count == 160
    np.testing.assert_allclose(found.covariance, whole.covariance, rtol=0, atol=1e-12 * whole.covariance.max())


def test_other_ids_draw_other_windows() -> None:
    request = drawing(130)
    one, other = (feed(request, images(), hashes=hashes).compute() for hashes in (hashes_of(40), hashes_of(41)[1:]))
    assert np.abs(one.covariance - other.covariance).max() > 1e-3


def test_how_much_is_taken_out_at_a_time_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    request = drawing(1000)
    whole = patches_of(images(), request).covariance
    for size in (1, 27 * 8 * 17, 27 * 8 * 60):
        monkeypatch.setattr("microtome.statistics.drawn_windows.DRAWN_BYTES", size)
        np.testing.assert_allclose(patches_of(images(), request).covariance, whole, rtol=0, atol=1e-12 * whole.max())
