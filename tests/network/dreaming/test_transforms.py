"""Moves of pictures: where a pixel goes, what comes in from the border, and that a seed decides."""

import numpy as np
import pytest
import torch

from microtome.errors import UnknownName, UsageError
from microtome.network.dreaming.transforms import Moves, Transforms, margin, moved, preset


def moves(down=0, right=0, scale=1.0, degrees=0.0) -> Moves:
    given = {"down": down, "right": right, "scale": scale, "degrees": degrees}
    return Moves(**{name: np.atleast_1d(np.asarray(value)) for name, value in given.items()})


def dot(row: int, column: int, size: tuple[int, int] = (21, 21)) -> torch.Tensor:
    images = torch.zeros(2, 1, *size)
    images[:, 0, row, column] = 1
    return images


def brightest(picture: torch.Tensor) -> tuple[int, int]:
    return divmod(int(picture[0].argmax()), picture.shape[2])


@pytest.mark.parametrize("size", [(21, 21), (21, 31)])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, -3), (-1, 4)])
def test_a_shift_moves_every_pixel_down_and_to_the_right(size, down, right) -> None:
    out = moved(dot(8, 9, size), moves(down, right))
    assert brightest(out[0]) == brightest(out[1]) == (8 + down, 9 + right)
    warped = moved(dot(8, 9, size), moves(down, right, scale=1 + 1e-9))
    torch.testing.assert_close(warped, out, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(21, 21), (21, 31)])
def test_a_quarter_turn_is_counter_clockwise_about_the_middle(size) -> None:
    middle = size[0] // 2, size[1] // 2
    out = moved(dot(middle[0], middle[1] + 6, size), moves(degrees=90.0))
    assert brightest(out[0]) == (middle[0] - 6, middle[1])


def test_a_picture_enlarged_twice_has_its_pixels_twice_as_far_from_the_middle() -> None:
    assert brightest(moved(dot(13, 6), moves(scale=2.0))[0]) == (16, 2)


def test_scale_and_turn_come_before_the_shift() -> None:
    assert brightest(moved(dot(10, 13), moves(down=3, right=-2, scale=2.0, degrees=90.0))[0]) == (10 - 6 + 3, 10 - 2)


def test_pictures_may_move_each_by_itself() -> None:
    out = moved(dot(8, 9), moves([1, -2], [0, 3], [1.0, 1.0], [0.0, 0.0]))
    assert [brightest(each) for each in out] == [(9, 9), (6, 12)]
    warped = moved(dot(8, 9), moves([1, -2], [0, 3], [1.0, 1.0 + 1e-9], [0.0, 0.0]))
    torch.testing.assert_close(warped, out, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("pad", "expected"), [("reflect", [3, 2, 1, 2]), ("edge", [1, 1, 1, 2]), ("mean", [9, 9, 1, 2])]
)
def test_what_comes_in_is_the_mirror_the_edge_or_the_mean(pad, expected) -> None:
    row = torch.tensor([1.0, 2, 3, 4]).expand(1, 1, 4, 4)
    out = moved(row, moves(right=2), pad, torch.full((1, 1, 1), 9.0))
    assert out[0, 0, 0].tolist() == expected


def test_a_seed_decides_and_a_shared_draw_is_one() -> None:
    apart = Transforms(jitter=5, scale=(0.9, 1.1), degrees=10, shared=False)
    one, other = (apart.draw(np.random.default_rng(3), 400) for _ in range(2))
    for name in ("down", "right", "scale", "degrees"):
        assert np.array_equal(getattr(one, name), getattr(other, name)) and len(getattr(one, name)) == 400
    assert {one.down.min(), one.right.min()} == {-5} and {one.down.max(), one.right.max()} == {5}
    assert 0.9 <= one.scale.min() < 0.91 and 1.09 < one.scale.max() <= 1.1 and 9 < np.abs(one.degrees).max() <= 10
    assert len(Transforms(jitter=5).draw(np.random.default_rng(3), 400).down) == 1


def test_small_pictures_are_moved_by_a_pixel_or_two_and_large_ones_turned_and_scaled() -> None:
    for size in ((28, 28), (32, 32)):
        assert preset(size).jitter == 2 and preset(size).degrees == 0 and preset(size).scale == (1, 1)
    assert preset((7, 7)).jitter == 0 and preset((12, 12)).jitter == 1
    large = preset((224, 224))
    assert 8 <= large.jitter <= 16 and large.scale == (0.9, 1.1) and 5 <= large.degrees <= 10
    assert margin(preset((28, 28)), (28, 28)) == 2 and 16 < margin(large, (224, 224)) <= 56


def test_moves_have_a_gradient_as_good_as_their_picture() -> None:
    images = torch.rand(2, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for how in (moves(1, -2), moves(1, -2, 1.05, 7.0)):
        assert torch.autograd.gradcheck(lambda x, how=how: moved(x, how), [images[:1, :1, :6, :6]])


def test_moves_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="jitter -1"):
        Transforms(jitter=-1)
    with pytest.raises(UsageError, match="smallest and a largest factor"):
        Transforms(scale=(1.1, 0.9))
    with pytest.raises(UnknownName, match="reflect, edge, mean"):
        Transforms(pad="wrap")
