"""Going back through max pools: by the gradient and by switches, against torch's unpooling and slow loops."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable, UnknownName
from microtome.network.backward.tracing import Handled, going_back, tracing
from microtome.network.backward.unpooling import added, overlaps, placed
from toys import opened, seeded

POOLS = [(2, 2, 0, 1), (3, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (3, 3, 1, 1), (2, 3, 0, 1), (2, 2, 1, 2), (3, 2, 1, 2)]


def noise(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(values: Tensor, switches: Tensor, size: tuple[int, ...], add: bool) -> Tensor:
    """One window after the other, in reading order."""
    out = values.new_zeros(*values.shape[:2], size[0] * size[1])
    for image, channel in itertools.product(*map(range, values.shape[:2])):
        pairs = zip(switches[image, channel].flatten().tolist(), values[image, channel].flatten(), strict=True)
        for where, value in pairs:
            out[image, channel, where] = value + (out[image, channel, where] if add else 0)
    return out.view(*values.shape[:2], *size)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), POOLS)
def test_values_go_where_their_maxima_stood_the_last_window_stands(
    kernel, stride, padding, dilation, ceil_mode
) -> None:
    x = noise(2, 3, 13, 12)
    pooled, switches = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True)
    values = noise(*pooled.shape, seed=3)
    assert torch.equal(placed(values, switches, (13, 12)), slow(values, switches, (13, 12), add=False))
    torch.testing.assert_close(
        added(values, switches, (13, 12)), slow(values, switches, (13, 12), add=True), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_placing_is_torchs_unpooling(kernel, stride, padding) -> None:
    x = noise(2, 3, 13, 12)
    pooled, switches = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
    values = noise(*pooled.shape, seed=3)
    expected = F.max_unpool2d(values, switches, kernel, stride, padding, output_size=x.shape[2:])
    assert torch.equal(placed(values, switches, (13, 12)), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_value_stands_however_the_work_is_divided(threads) -> None:
    switches = torch.zeros(1, 1, 300, 300, dtype=torch.int64)
    values = torch.arange(90_000.0).view(1, 1, 300, 300)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert placed(values, switches, (2, 2)).flatten().tolist() == [89_999, 0, 0, 0]
    finally:
        torch.set_num_threads(before)


def shared_positions(kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool, side: int) -> bool:
    """Whether any two windows have a place of the padded image in common, by listing them."""
    windows = F.max_pool2d(torch.zeros(1, 1, side, side), kernel, stride, padding, dilation, ceil_mode).shape[-1]
    places = [{w * stride - padding + dilation * k for k in range(kernel)} for w in range(windows)]
    return any(one & two for one, two in itertools.combinations(places, 2))


@pytest.mark.parametrize("side", [7, 12])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [*itertools.product((1, 2, 3), (1, 2, 3, 4), (1, 2, 3))])
def test_pools_whose_windows_overlap_are_known(kernel, stride, dilation, side) -> None:
    x = noise(1, 1, side, side).requires_grad_()
    for padding, ceil_mode in itertools.product(range(kernel // 2 + 1), (False, True)):
        pooled = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
        expected = shared_positions(kernel, stride, padding, dilation, ceil_mode, side)
        assert overlaps(pooled.grad_fn) == expected, (padding, ceil_mode)


@pytest.mark.parametrize(("places", "windows"), [*itertools.product(range(1, 8), range(1, 8))])
def test_adaptive_pools_whose_windows_overlap_are_known(places, windows) -> None:
    pooled = F.adaptive_max_pool2d(noise(1, 1, 1, places).requires_grad_(), (1, windows))
    ends = [(i * places // windows, -(-(i + 1) * places // windows)) for i in range(windows)]
    assert overlaps(pooled.grad_fn) == any(one[1] > two[0] for one, two in itertools.pairwise(ends))


class Pooled(nn.Module):
    """A pool of the given kind between two convolutions."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.one, self.two, self.pool = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 2), pool

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.pool(F.relu(self.one(x))))


def both(pool: nn.Module, method: str = "deconvnet") -> tuple[Tensor, Tensor, list[Handled]]:
    """A reconstruction by each unpooling."""
    model = opened(seeded(Pooled, pool).double())
    found, handled = [], []
    with tracing(model, noise(2, 3, 12, 12), "two") as trace:
        for pools in ("gradient", "switch"):
            with going_back(trace, method, pools) as entered:
                found.append(trace.back(trace.activation))
                handled.append(entered)
    return *found, handled


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
@pytest.mark.parametrize(
    "pool",
    [nn.MaxPool2d(2), nn.MaxPool2d(3, 3, 1), nn.MaxPool2d(2, 3), nn.MaxPool2d(5, 5, ceil_mode=True),
     nn.AdaptiveMaxPool2d((4, 3)), nn.MaxPool3d((1, 2, 2)), nn.AdaptiveMaxPool3d((4, 3, 6))],
    ids=str,
)  # fmt: skip
def test_where_windows_do_not_overlap_both_are_equal_to_the_bit(pool, method) -> None:
    by_gradient, by_switch, handled = both(pool, method)
    assert by_gradient.any() and torch.equal(by_gradient, by_switch)
    assert handled == [
        Handled(rectifiers=1, pools=1, overlapping=0, unpooling=pools) for pools in ("gradient", "switch")
    ]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_where_windows_overlap_switches_place_what_gradients_add(kernel, stride, padding) -> None:
    pool = nn.MaxPool2d(kernel, stride, padding)
    by_gradient, by_switch, handled = both(pool)
    assert [(each.overlapping, each.unpooling) for each in handled] == [(1, "gradient"), (1, "switch")]
    network = seeded(Pooled, pool).double()
    with torch.no_grad():
        below = F.relu(network.one(noise(2, 3, 12, 12)))
        pooled, switches = F.max_pool2d(below, kernel, stride, padding, return_indices=True)
        seed = F.conv_transpose2d(network.two(pooled), network.two.weight)
        for found, add in ((by_gradient, True), (by_switch, False)):
            expected = F.conv_transpose2d(slow(seed, switches, (12, 12), add).relu(), network.one.weight, padding=1)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not torch.allclose(by_gradient, by_switch)


def test_adaptive_windows_that_overlap_are_placed_too() -> None:
    by_gradient, by_switch, handled = both(nn.AdaptiveMaxPool2d(5))
    assert handled[1].overlapping == 1 and not torch.allclose(by_gradient, by_switch)


def test_every_pool_is_counted_those_of_one_dimension_too() -> None:
    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.head = nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2), nn.Conv1d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.pool(self.pool(F.relu(self.conv(x))))
            return self.head(F.adaptive_max_pool1d(F.max_pool1d(x.flatten(2), 2), 1))

    model = opened(seeded(Line).double(), 20)
    with tracing(model, noise(1, 3, 20, 20), "head") as trace, going_back(trace, "guided", "switch") as handled:
        assert handled == Handled(rectifiers=1, pools=4, overlapping=2, unpooling="switch")
        assert trace.back(trace.activation).any()


def test_hooks_end_with_their_context() -> None:
    model = opened(seeded(Pooled, nn.MaxPool2d(3, 1)).double())
    with tracing(model, noise(1, 3, 12, 12), "two") as trace:
        before = trace.back(trace.activation)
        with going_back(trace, "gradient", "switch"):
            assert not torch.allclose(trace.back(trace.activation), before)
        assert torch.equal(trace.back(trace.activation), before)


def test_pools_without_known_switches_are_refused_by_switch_and_not_by_gradient() -> None:
    model = mt.open_model(seeded(Pooled, nn.FractionalMaxPool2d(2, 5)).double(), size=12)
    with tracing(model, noise(1, 3, 12, 12), "two") as trace:
        with going_back(trace, "deconvnet") as handled:
            assert (handled.pools, handled.overlapping) == (1, 1)
        with pytest.raises(NotApplicable) as caught, going_back(trace, "deconvnet", "switch"):
            pass
    assert str(caught.value) == (
        "The network pools by FractionalMaxPool2D. Switches are known of max_pool and adaptive_max_pool. "
        "Go back through the pools by their gradient."
    )


def test_an_unpooling_that_there_is_not_is_refused() -> None:
    model = opened(seeded(Pooled, nn.MaxPool2d(2)).double())
    with (
        tracing(model, noise(1, 3, 12, 12), "two") as trace,
        pytest.raises(UnknownName) as caught,
        going_back(trace, "deconvnet", "switches"),
    ):
        pass
    assert str(caught.value) == (
        "Unpooling 'switches' does not exist. There are: gradient, switch. Did you mean 'switch'? Name one of them."
    )
