"""The orthant frame against linear programs, composed layers against layers one after the other by torch."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.frames import Convolution, composed, orthant
from microtome.formulas.cones.inclusion import inclusion
from microtome.formulas.cones.written_out import rows_of


def some(count: int, grid: tuple[int, int] = (5, 5)) -> ConeSet:
    """A third at random, a third mostly positive, a third of nearly one weight with negative ones around it."""
    random = np.random.default_rng(0)
    kernels = random.normal(size=(count, 1, 3, 3))
    kernels[::3] = random.uniform(-0.02, 1, (len(kernels[::3]), 1, 3, 3))
    kernels[1::3] = random.uniform(-0.2, 0.02, (len(kernels[1::3]), 1, 3, 3))
    kernels[1::3, :, 1, 1] += 2
    return ConeSet(kernels=kernels, biases=random.normal(0, 0.5, count), grid=grid)


def least(direction: np.ndarray, cone: ConeSet) -> float:
    """The least of a linear function over the cone."""
    rows = rows_of(cone)
    found = linprog(direction, -rows, np.repeat(cone.biases, len(rows)), bounds=(None, None))
    return found.fun if found.status == 0 else np.inf if found.status == 2 else -np.inf


def test_the_cone_lies_in_the_orthant_where_the_least_of_a_pixel_over_it_says_and_holds_it_where_rows_say() -> None:
    cones = some(200)
    found = orthant(cones)
    pixel = np.eye(25)[7]
    within = [least(pixel, cones[place]) >= -1e-7 for place in range(200)]
    corner = [linprog(rows_of(cones[p])[3], bounds=(0, None)) for p in range(200)]
    around = [each.status == 0 and each.fun + cones.biases[p] >= -1e-9 for p, each in enumerate(corner)]
    np.testing.assert_array_equal(found.within, within)
    np.testing.assert_array_equal(found.around, around)
    assert 10 < found.within.sum() < 100 and 10 < found.around.sum() < 100


def test_the_orthant_is_the_cone_of_a_single_weight() -> None:
    cones = some(60, (6, 7))
    point = ConeSet(kernels=np.ones((60, 1, 1, 1)), biases=np.zeros(60), grid=(6, 7))
    np.testing.assert_array_equal(orthant(cones).around, inclusion(point, cones).full)
    np.testing.assert_array_equal(orthant(cones).within, inclusion(cones, point).full)


def test_pulled_back_through_a_layer_that_misses_no_frequency_the_answer_stays() -> None:
    """The orthant becomes the cone of the layer itself, and its cones those of both kernels in one."""
    cones, first = some(60, (7, 7)), layer(1, 1, 3, 4)
    back = [
        composed(Convolution(weights=cones.kernels[p, None], biases=cones.biases[p, None]), first) for p in range(60)
    ]
    pulled = ConeSet(kernels=np.concatenate([b.weights for b in back]), biases=np.concatenate([b.biases for b in back]),
                     grid=(7, 7))  # fmt: skip
    layer_cones = ConeSet(kernels=np.repeat(first.weights, 60, 0), biases=np.repeat(first.biases, 60), grid=(7, 7))
    assert np.isfinite(layer_cones.condition).all()
    np.testing.assert_array_equal(inclusion(layer_cones, pulled).full, orthant(cones).around)
    np.testing.assert_array_equal(inclusion(pulled, layer_cones).full, orthant(cones).within)


def test_an_empty_cone_lies_in_the_orthant_and_everything_holds_it() -> None:
    nothing = ConeSet(kernels=np.zeros((2, 1, 3, 3)), biases=np.array([-1.0, 1.0]), grid=(4, 4))
    found = orthant(nothing)
    np.testing.assert_array_equal(found.within, [True, False])
    np.testing.assert_array_equal(found.around, [False, True])
    with pytest.raises(UsageError, match="2 channels and stride .1, 1.*Make slices of the layer"):
        orthant(ConeSet(kernels=np.ones((1, 2, 3, 3)), biases=np.zeros(1), grid=(4, 4)))


def layer(outputs: int, inputs: int, size: int, seed: int, **more: tuple[int, int]) -> Convolution:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(outputs, inputs, size, size))
    return Convolution(weights=weights, biases=random.normal(size=outputs), **more)


def run(layer_: Convolution, image: torch.Tensor, padding: tuple[int, int] = (0, 0)) -> torch.Tensor:
    weights, biases = torch.from_numpy(layer_.weights), torch.from_numpy(layer_.biases)
    how = {"stride": layer_.stride, "dilation": layer_.dilation, "padding": padding}
    return torch.nn.functional.conv2d(image, weights, biases, **how)


def image(side: int = 20) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(9).normal(size=(2, 3, side, side + 1)))


@pytest.mark.parametrize(
    "first", [{}, {"stride": (2, 1)}, {"dilation": (2, 3)}, {"stride": (3, 2), "dilation": (1, 2)}]
)
@pytest.mark.parametrize("second", [{}, {"stride": (2, 2)}, {"dilation": (1, 2)}])
def test_two_layers_composed_are_the_two_one_after_the_other(first, second) -> None:
    earlier, later = layer(4, 3, 3, 0, **first), layer(5, 4, 2, 1, **second)
    both = composed(later, earlier)
    wanted = run(later, run(earlier, image()))
    np.testing.assert_allclose(run(both, image()).numpy(), wanted.numpy(), atol=1e-11)


def test_gates_scale_what_each_channel_between_the_layers_lets_through() -> None:
    earlier, later, gates = layer(4, 3, 3, 0), layer(5, 4, 3, 1), np.array([0.0, 0.3, 1.0, 0.8])
    wanted = run(later, run(earlier, image()) * torch.from_numpy(gates)[:, None, None])
    np.testing.assert_allclose(run(composed(later, earlier, gates), image()).numpy(), wanted.numpy(), atol=1e-11)


@pytest.mark.parametrize("step", [1, 2])
def test_a_skip_joins_before_the_next_layer(step) -> None:
    earlier, later = layer(4, 3, 3, 0, stride=(step, step)), layer(5, 4, 3, 1)
    beside = layer(4, 3, 1, 2, stride=(step, step))
    padded = run(earlier, image(), (1, 1)) + run(beside, image()) - torch.from_numpy(beside.biases)[:, None, None]
    wanted = run(later, padded)
    found = run(composed(later, earlier, skip=beside.weights), image(), (1, 1))
    inside = wanted[..., 2:-2, 2:-2]
    extra = found.shape[-2] - wanted.shape[-2], found.shape[-1] - wanted.shape[-1]
    assert extra == (0, 0)
    np.testing.assert_allclose(found[..., 2:-2, 2:-2].numpy(), inside.numpy(), atol=1e-11)


def test_layers_and_skips_that_do_not_fit_are_refused() -> None:
    earlier, later = layer(4, 3, 3, 0), layer(5, 4, 3, 1)
    with pytest.raises(UsageError, match="The later layer takes 3 channels, and the earlier one has 5"):
        composed(earlier, later)
    for skip in (np.ones((4, 3, 2, 2)), np.ones((4, 4, 1, 1)), np.ones((4, 3, 5, 5))):
        with pytest.raises(UsageError, match=r"Give the identity as numpy.eye\(C\)"):
            composed(later, earlier, skip=skip)
