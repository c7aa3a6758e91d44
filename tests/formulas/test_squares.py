import numpy as np
import pytest

from microtome.formulas.squares import over_pixels, overlapping, squares


@pytest.mark.parametrize(
    ("extent", "size", "stride"), [((12, 12), 4, 2), ((11, 14), 4, 3), ((5, 7), 5, 9), ((3, 3), 1, 1)]
)
def test_squares_are_whole_inside_in_steps_and_cover_everything(extent, size, stride) -> None:
    boxes = squares(extent, size, stride)
    covered = np.zeros(extent, int)
    for top, left, bottom, right in boxes.reshape(-1, 4):
        assert min(top, left) >= 0 and bottom <= extent[0] and right <= extent[1]
        assert bottom - top == right - left == size
        covered[top:bottom, left:right] += 1
    assert stride > size or covered.all()
    for axis in (0, 1):
        starts = np.unique(boxes[..., axis])
        assert starts[0] == 0 and starts[-1] == extent[axis] - size
        assert (np.diff(starts)[:-1] == stride).all() and (np.diff(starts) <= stride).all()


def test_boxes_overlap_if_they_share_a_pixel() -> None:
    boxes, box = squares((9, 8), 3, 2), np.array([3, 4, 5, 6])
    wanted = np.zeros((9, 8), bool)
    wanted[3:5, 4:6] = True
    for place in np.ndindex(boxes.shape[:2]):
        top, left, bottom, right = boxes[place]
        assert overlapping(boxes, box)[place] == wanted[top:bottom, left:right].any()


def test_a_pixel_is_the_mean_of_the_boxes_over_it() -> None:
    boxes = squares((6, 6), 2, 3)
    values = np.arange(boxes.shape[0] * boxes.shape[1], dtype=float).reshape(boxes.shape[:2])
    found = over_pixels(values, boxes, (6, 6))
    for y, x in np.ndindex(6, 6):
        over = [
            value
            for value, (top, left, bottom, right) in zip(values.ravel(), boxes.reshape(-1, 4), strict=True)
            if top <= y < bottom and left <= x < right
        ]
        assert found[y, x] == np.mean(over) if over else np.isnan(found[y, x])
