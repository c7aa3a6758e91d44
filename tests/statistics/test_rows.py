import numpy as np
import pytest
import torch

from feeding import LAYOUTS, Whole, cut, exact, feed, hashes_of
from microtome.statistics import Batch, Rows

KEPT = np.sort(np.argsort(hashes_of(20))[:8])  # of 20 images the 8 with the lowest hashes

every_layout = pytest.mark.parametrize("layout", LAYOUTS)


@every_layout
def test_rows_of_means_average_over_positions(layout: str) -> None:
    values = exact(LAYOUTS[layout]())
    found = feed(Rows(what="mean"), LAYOUTS[layout]()).compute()
    np.testing.assert_allclose(found.values, values.mean(2), rtol=0, atol=1e-6 * np.abs(values).mean())


@every_layout
def test_rows_of_responses_average_what_is_above_zero(layout: str) -> None:
    found = feed(Rows(what="response"), LAYOUTS[layout]()).compute()
    np.testing.assert_allclose(found.values, np.maximum(exact(LAYOUTS[layout]()), 0).mean(2), rtol=2e-6)


@every_layout
def test_rows_of_largest_values_say_where_those_are(layout: str) -> None:
    values = exact(LAYOUTS[layout]())
    found = feed(Rows(what="largest"), LAYOUTS[layout]()).compute()
    assert np.array_equal(found.values, values.max(2))
    assert np.array_equal(found.place, values.argmax(2))


@every_layout
def test_rows_of_drawn_positions_hold_values_of_the_image(layout: str) -> None:
    values = exact(LAYOUTS[layout]())
    found = feed(Rows(what="positions", positions=4), LAYOUTS[layout]()).compute()
    assert found.values.shape == (20, 6, 4)
    assert (values[:, :, :, None] == found.values[:, :, None, :]).any(2).all()


@pytest.mark.parametrize("what", ["mean", "response", "positions"])
def test_only_rows_of_largest_values_have_a_place(what: str) -> None:
    assert (feed(Rows(what=what), LAYOUTS["maps"]()).compute().place == -1).all()


@pytest.mark.parametrize("what", ["mean", "response", "largest", "positions"])
@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("alone", [False, True])
def test_the_images_with_the_lowest_hashes_are_kept(what: str, size: int, alone: bool) -> None:
    found = feed(Rows(what=what, images=8), LAYOUTS["maps"](), cut(range(20), size), alone=alone).compute()
    assert np.array_equal(found.index, KEPT)


def test_which_images_are_kept_does_not_depend_on_their_values() -> None:
    assert np.array_equal(feed(Rows(images=8), -100 * LAYOUTS["rows"]()).compute().index, KEPT)


def test_a_kept_row_is_the_row_of_its_image() -> None:
    everything = feed(Rows(what="largest"), LAYOUTS["maps"]()).compute()
    some = feed(Rows(what="largest", images=8), LAYOUTS["maps"](), cut(range(20)[::-1], 3)).compute()
    assert np.array_equal(some.values, everything.values[KEPT])
    assert np.array_equal(some.place, everything.place[KEPT])


def test_of_images_with_one_hash_the_first_are_kept() -> None:
    found = feed(Rows(images=2), LAYOUTS["rows"](), cut(range(20)[::-1], 3), hashes=np.zeros(20, np.uint64)).compute()
    assert found.index.tolist() == [0, 1]


def test_fewer_images_than_the_limit_are_all_kept() -> None:
    assert feed(Rows(images=21), LAYOUTS["rows"]()).compute().index.tolist() == list(range(20))


def test_memory_does_not_grow_beyond_the_limit() -> None:
    state = feed(Rows(images=8), LAYOUTS["rows"](), cut(range(20), 3)).state()
    assert {len(array) for array in state.values()} == {8}


def test_a_batch_that_cannot_matter_is_not_reduced() -> None:
    whole = Whole(np.full(3, -1), np.array([1, 2, 3], np.uint64))
    late = Batch(np.array([2]), np.array([-1]), np.array([3], np.uint64), whole=whole)
    assert Rows(images=2).start().reduce(late, torch.ones(1, 3)) == {}


@pytest.mark.parametrize("count", [1, 8, 20, 21])
def test_a_batch_knows_which_of_its_images_have_low_hashes(count: int) -> None:
    hashes, lowest = hashes_of(20), np.argsort(hashes_of(20))[:count].tolist()
    batch = Batch(np.arange(5, 12), np.zeros(7, int), hashes[5:12], whole=Whole(np.zeros(20, int), hashes))
    assert batch.lowest(count).tolist() == [place - 5 for place in range(5, 12) if place in lowest]
