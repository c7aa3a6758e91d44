import numpy as np
import torch

from microtome.statistics import MeanMap, Taylor
from microtome.statistics.statistic import Batch


def batch(count: int, first: int = 0) -> Batch:
    index = np.arange(first, first + count)
    return Batch(index, np.zeros(count, np.int64), index.astype(np.uint64))


def test_taylor_is_the_mean_of_magnitudes_of_sums():
    torch.manual_seed(0)
    activation, gradient = torch.randn(6, 3, 4, 5), torch.randn(6, 3, 4, 5)
    slow = [[abs(sum(float(a) * float(g) for a, g in zip(x.flatten(), y.flatten(), strict=True)))
             for x, y in zip(one, other, strict=True)]
            for one, other in zip(activation.double(), gradient.double(), strict=True)]  # fmt: skip
    accumulator = Taylor().start()
    accumulator.update(batch(6), activation, gradient)
    assert np.allclose(accumulator.compute(), np.mean(slow, 0), rtol=1e-6)


def test_taylor_says_how_far_the_loss_moves_where_it_is_linear():
    """The loss is linear in what the unit gives, so taking it away moves it by exactly the product."""
    weight = torch.tensor([2.0, -3.0])
    activation = torch.rand(5, 2, requires_grad=True)
    loss = (activation * weight).sum()
    (gradient,) = torch.autograd.grad(loss, activation)
    accumulator = Taylor().start()
    accumulator.update(batch(5), activation, gradient)
    moved = [(activation[:, k] * weight[k]).abs().mean().item() for k in range(2)]
    assert np.allclose(accumulator.compute(), moved)


def test_sums_of_parts_are_those_of_all_images():
    torch.manual_seed(1)
    activation, gradient = torch.randn(7, 2, 3, 3), torch.randn(7, 2, 3, 3)
    for statistic, tensors in ((Taylor(), (activation, gradient)), (MeanMap(), (activation,))):
        whole, one, other = statistic.start(), statistic.start(), statistic.start()
        whole.update(batch(7), *tensors)
        one.update(batch(3), *(t[:3] for t in tensors))
        other.update(batch(4, 3), *(t[3:] for t in tensors))
        one.merge(other)
        assert np.allclose(one.compute(), whole.compute(), rtol=1e-12)


def test_a_mean_map_is_of_what_is_above_zero():
    activation = torch.tensor([[[[1.0, -1.0]]], [[[3.0, -2.0]]]])
    accumulator = MeanMap().start()
    accumulator.update(batch(2), activation)
    assert accumulator.compute().tolist() == [[2.0, 0.0]]
