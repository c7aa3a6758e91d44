"""What pooling throws away, against slow loops and the null space of torch's own pooling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from microtome.formulas.pooling import Windows, energy_share_lost, lost_by_average, lost_by_max

# kernel, stride, padding
POOLS = [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (1, 1, 0), (3, 4, 0), (9, 9, 0)]
APART = [pool for pool in POOLS if pool[1] >= pool[0]]


def maps() -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=(4, 9, 10)).astype(np.float32)
    drawn[1] = np.maximum(drawn[1], 0)
    drawn[2] = np.round(drawn[2])  # full of ties
    return drawn


def windows(pool: tuple[int, int, int], size: tuple[int, int] = (9, 10)) -> Windows:
    kernel, stride, padding = pool
    found = []
    for length in size:
        starts = np.arange((length + 2 * padding - kernel) // stride + 1) * stride - padding
        found.append(np.stack([np.maximum(starts, 0), np.minimum(starts + kernel, length)], 1))
    return found[0], found[1]


def null_space_share(x: np.ndarray, pool: tuple[int, int, int], function) -> float:
    """Energy of x beside the row space of the pooling's Jacobian, by autograd and a dense projection."""
    kernel, stride, padding = pool
    jacobian = torch.autograd.functional.jacobian(
        lambda value: function(value[None, None], kernel, stride, padding).flatten(), torch.from_numpy(x).double()
    )
    rows = jacobian.reshape(len(jacobian), -1).numpy()
    kept = np.linalg.pinv(rows) @ rows @ x.ravel().astype(float)
    return 1 - (kept**2).sum() / (x.astype(float) ** 2).sum()


@pytest.mark.parametrize("pool", POOLS)
def test_max_pooling_loses_what_a_slow_loop_finds(pool) -> None:
    rows, columns = windows(pool)
    for channel, found in zip(maps(), lost_by_max(maps(), (rows, columns)), strict=True):
        kept = set()
        for top, bottom in rows:
            for left, right in columns:
                inside = [(r, c) for r in range(top, bottom) for c in range(left, right)]
                kept.add(max(inside, key=lambda place: channel[place]))
        energy = {(r, c): float(channel[r, c]) ** 2 for r in range(9) for c in range(10)}
        assert found == pytest.approx(1 - sum(energy[place] for place in kept) / sum(energy.values()), abs=1e-12)


@pytest.mark.parametrize("pool", POOLS)
def test_max_pooling_loses_the_null_space_of_torchs(pool) -> None:
    channels = maps()[[0, 3]]  # without ties
    expected = [null_space_share(channel, pool, F.max_pool2d) for channel in channels]
    np.testing.assert_allclose(lost_by_max(channels, windows(pool)), expected, atol=1e-12)


@pytest.mark.parametrize("pool", APART)
def test_average_pooling_loses_the_null_space_of_torchs(pool) -> None:
    expected = [null_space_share(channel, pool, F.avg_pool2d) for channel in maps()]
    np.testing.assert_allclose(lost_by_average(maps(), windows(pool)), expected, atol=1e-12)


def test_overlapping_averages_are_not_judged() -> None:
    assert np.isnan(lost_by_average(maps(), windows((3, 2, 1)))).all()


def test_nothing_is_lost_of_one_value_a_window_or_of_constants() -> None:
    sparse = np.zeros((1, 9, 10), np.float32)
    sparse[0, ::2, ::2] = np.random.default_rng(0).uniform(1, 2, (5, 5))
    assert lost_by_max(sparse[:, :8], windows((2, 2, 0), (8, 10)))[0] == 0
    assert lost_by_average(np.full((1, 8, 10), 0.3), windows((2, 2, 0), (8, 10)))[0] == pytest.approx(0, abs=1e-12)


def test_a_map_of_zeros_loses_nothing_that_could_be_named() -> None:
    zeros = np.zeros((1, 9, 10))
    assert np.isnan(lost_by_max(zeros, windows((2, 2, 0)))).all()
    assert np.isnan(lost_by_average(zeros, windows((2, 2, 0)))).all()


def test_a_rectifier_throws_half_of_a_symmetric_signal_away() -> None:
    signal = np.random.default_rng(0).normal(size=200_000)
    lost = energy_share_lost((signal**2).sum(), (np.maximum(signal, 0) ** 2).sum())
    assert lost == pytest.approx(0.5, abs=0.01)


def test_the_share_of_no_energy_is_not_known() -> None:
    np.testing.assert_array_equal(energy_share_lost([0.0, 4.0, 4.0], [0.0, 1.0, 4.0]), [np.nan, 0.75, 0])
