import numpy as np
import pytest

from microtome.network.surgery.codes import one_by_one, read_one, read_together, together


def shown(marks: np.ndarray, depends: list[list[int]]) -> np.ndarray:
    """A place shows a trial if any of the channels that it depends on is marked in it."""
    return np.stack([marks[:, channels].any(1) for channels in depends], 1)


@pytest.mark.parametrize("widths", [[1], [2, 3], [5, 16, 7], [64, 1, 33]])
def test_a_place_that_hangs_on_one_channel_number_is_told_which(widths):
    starts = np.cumsum([0, *widths])
    depends = [[starts[layer] + channel] for layer, width in enumerate(widths) for channel in range(width)]
    there, number = read_together(shown(together(widths), depends), widths)
    assert [int(np.flatnonzero(row)[0]) for row in there.T] == [
        k for k, width in enumerate(widths) for _ in range(width)
    ]
    assert number.tolist() == [channel for width in widths for channel in range(width)]


def test_channels_of_equal_number_in_several_layers_are_told_from_one_place():
    widths = [8, 8, 12]
    there, number = read_together(shown(together(widths), [[3, 8 + 3, 16 + 3], [8 + 5], [16 + 11]]), widths)
    assert there.T.tolist() == [[True, True, True], [False, True, False], [False, False, True]]
    assert number.tolist() == [3, 5, 11]


def test_a_place_that_hangs_on_two_numbers_is_told_by_spelling_layers_one_by_one():
    widths = [16, 32]
    depends = [[2, 16 + 10]]  # a shortcut whose channels are shifted by eight
    _, number = read_together(shown(together(widths), depends), widths)
    assert number.tolist() == [-1]
    seen = shown(one_by_one(widths, [0, 1]), depends)
    assert np.flatnonzero(read_one(seen[:8], 16)[:, 0]).tolist() == [2]
    assert np.flatnonzero(read_one(seen[8:], 32)[:, 0]).tolist() == [10]


def test_what_cannot_be_told_apart_is_taken_to_be_all_that_fits():
    seen = shown(one_by_one([8], [0]), [[1, 5], [0, 3], list(range(8))])
    fits = read_one(seen, 8)
    assert np.flatnonzero(fits[:, 0]).tolist() == [1, 5]  # one digit differs: exact
    assert np.flatnonzero(fits[:, 1]).tolist() == [0, 1, 2, 3]  # two differ: all four numbers that they spell
    assert fits[:, 2].all()


def test_a_place_that_hangs_on_nothing_shows_nothing():
    there, _ = read_together(shown(together([4, 4]), [[]]), [4, 4])
    assert not there.any()
    assert not read_one(np.zeros((4, 1), bool), 4).any()
