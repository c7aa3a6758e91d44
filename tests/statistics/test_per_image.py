import numpy as np
import pytest
import torch
from torch import Tensor

from feeding import LAYOUTS, exact, hashes_of
from microtome.statistics.per_image import PerImage

every_layout = pytest.mark.parametrize("layout", LAYOUTS)
POSITIONS = torch.arange(63.0).reshape(1, 1, 9, 7)  # every value is its own position


def per_image(tensor: Tensor) -> PerImage:
    return PerImage(tensor, hashes_of(len(tensor)), {})


@every_layout
def test_totals_are_sums_over_positions(layout: str) -> None:
    values = exact(LAYOUTS[layout]())
    bound = 1e-6 * np.abs(values).sum(2).max()
    np.testing.assert_allclose(per_image(LAYOUTS[layout]()).total, values.sum(2), rtol=0, atol=bound)


@every_layout
def test_squares_are_sums_of_squares(layout: str) -> None:
    np.testing.assert_allclose(per_image(LAYOUTS[layout]()).squares, (exact(LAYOUTS[layout]()) ** 2).sum(2), rtol=1e-6)


@every_layout
def test_active_counts_the_positions_above_zero(layout: str) -> None:
    assert np.array_equal(per_image(LAYOUTS[layout]()).active, (exact(LAYOUTS[layout]()) > 0).sum(2))


@every_layout
def test_response_sums_what_is_above_zero(layout: str) -> None:
    expected = np.maximum(exact(LAYOUTS[layout]()), 0).sum(2)
    np.testing.assert_allclose(per_image(LAYOUTS[layout]()).response, expected, rtol=2e-6)


@every_layout
def test_largest_is_the_largest_value(layout: str) -> None:
    assert np.array_equal(per_image(LAYOUTS[layout]()).largest, exact(LAYOUTS[layout]()).max(2))


@every_layout
@pytest.mark.parametrize("images", [range(20), [3, 4, 19]], ids=["all", "some"])
def test_place_is_the_row_major_position_of_the_largest_value(layout: str, images: list[int]) -> None:
    chosen = np.array(images)
    assert np.array_equal(per_image(LAYOUTS[layout]()).place(chosen), exact(LAYOUTS[layout]()).argmax(2)[chosen])


@every_layout
def test_places_of_chosen_pairs_are_those_of_all(layout: str) -> None:
    image, channel = np.array([4, 4, 19]), np.array([0, 5, 2])
    expected = exact(LAYOUTS[layout]()).argmax(2)[image, channel]
    assert np.array_equal(per_image(LAYOUTS[layout]()).place_of(image, channel), expected)


def test_of_equal_values_the_first_position_counts() -> None:
    coarse = torch.randint(0, 3, (8, 5, 6, 6), generator=torch.Generator().manual_seed(0)).float()
    expected = [[row.index(max(row)) for row in image] for image in exact(coarse).tolist()]
    assert per_image(coarse).place(np.arange(8)).tolist() == expected
    assert per_image(coarse).place_of(np.arange(5), np.arange(5)).tolist() == [expected[i][i] for i in range(5)]


def test_sums_do_not_depend_on_the_other_images_of_the_batch() -> None:
    """Several threads share a sum that gives a single number, and then round it differently."""
    torch.set_num_threads(2)
    tensor = torch.randn(4, 1, 300, 300, generator=torch.Generator().manual_seed(0))
    alone, together = [per_image(image[None]) for image in tensor], per_image(tensor)
    for name in ("total", "squares", "active", "response"):
        assert np.array_equal(np.concatenate([getattr(one, name) for one in alone]), getattr(together, name))


def test_memory_that_is_used_again_does_not_change_earlier_answers() -> None:
    scratch: dict[object, Tensor] = {}
    first = PerImage(torch.ones(2, 3, 4, 4), hashes_of(2), scratch)
    counted = first.active.copy()
    second = PerImage(-torch.ones(2, 3, 9, 9), hashes_of(2), scratch)
    assert not second.active.any()
    assert np.array_equal(first.active, counted) and counted.min() == 16


def test_a_smaller_tensor_after_a_larger_one_is_counted_alone() -> None:
    scratch: dict[object, Tensor] = {}
    assert PerImage(torch.ones(2, 3, 9, 9), hashes_of(2), scratch).active.min() == 81
    assert PerImage(torch.ones(1, 3, 2, 2), hashes_of(2), scratch).active.max() == 4


def test_all_channels_of_an_image_are_sampled_at_the_same_positions() -> None:
    sampled = per_image(POSITIONS.expand(10, 4, -1, -1)).sample(np.arange(10), 5)
    assert sampled.shape == (10, 4, 5)
    assert (sampled == sampled[:, :1]).all()


@pytest.mark.parametrize("images", [[3, 4, 21], [29], range(30)])
def test_sampled_positions_belong_to_the_image_not_to_the_batch(images: list[int]) -> None:
    maps, chosen = POSITIONS.expand(30, 1, -1, -1), np.array(images)
    expected = per_image(maps).sample(np.arange(30), 5)[chosen]
    assert np.array_equal(per_image(maps).sample(chosen, 5), expected)
    alone = PerImage(maps[: len(chosen)], hashes_of(30)[chosen], {})
    assert np.array_equal(alone.sample(np.arange(len(chosen)), 5), expected)


def test_samples_of_other_images_are_drawn_anew() -> None:
    seen = per_image(LAYOUTS["maps"]())
    expected = per_image(LAYOUTS["maps"]()).sample(np.arange(20), 5)
    assert np.array_equal(seen.sample(np.array([3, 4]), 5), expected[[3, 4]])
    assert np.array_equal(seen.sample(np.array([7, 9]), 5), expected[[7, 9]])


def test_every_position_is_sampled_about_equally_often() -> None:
    sampled = per_image(POSITIONS.expand(6300, 1, -1, -1)).sample(np.arange(6300), 8)
    hits = np.bincount(sampled.astype(int).ravel(), minlength=63)
    expected = 6300 * 8 / 63
    assert len(hits) == 63
    assert np.abs(hits - expected).max() < 5 * np.sqrt(expected)


def test_a_row_of_outputs_has_one_position() -> None:
    assert per_image(torch.ones(2, 3)).positions == 1
