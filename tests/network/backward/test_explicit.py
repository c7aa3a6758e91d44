"""The explicit deconvnet against the autograd route, against adjoints, and what it refuses."""

import itertools

import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable, UnknownName, UsageError
from microtome.network.backward.explicit import Deconvnet, deconvolution
from microtome.network.backward.tracing import going_back, tracing
from toys import opened, seeded

UNPOOLINGS = {"place": "switch", "add": "gradient"}  # what the two routes call them


def noise(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_equal(layers: nn.Sequential, images: Tensor, unpool: str = "place", last: str = "") -> None:
    """Both routes, for the layer's activation as a seed and for noise of both signs."""
    layers = layers.double().eval()
    net = deconvolution(layers, unpool)
    given = images.clone()
    activation = net.forward(images, last)
    assert torch.equal(images, given)
    model = mt.open_model(layers, size=tuple(images.shape[2:]), mean=(0.5,) * 3, std=(0.5,) * 3)
    site = last or next(reversed(net.layers))
    with tracing(model, images, site) as trace, going_back(trace, "deconvnet", UNPOOLINGS[unpool]):
        for seed in (activation, noise(*activation.shape, seed=5)):
            found, expected = net.back(seed), trace.back(seed)
            assert found.shape == images.shape and expected.abs().max() > 0
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def stack(kernel: int, stride: int, padding: int, pool: nn.Module, bias: bool, in_place: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 5, kernel, stride, padding, bias=bias), nn.ReLU(in_place), pool,
        nn.Conv2d(5, 6, 3, 1, 1, bias=bias), nn.ReLU(in_place), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3, 1, 1, bias=bias),
    )  # fmt: skip


POOLS = {
    "2/2": nn.MaxPool2d(2), "3/2": nn.MaxPool2d(3, 2), "3/3 padded": nn.MaxPool2d(3, 3, 1),
    "3/2 ceil": nn.MaxPool2d(3, 2, 1, ceil_mode=True), "2/2 ceil": nn.MaxPool2d(2, ceil_mode=True),
    "3/2 dilated": nn.MaxPool2d(3, 2, 1, dilation=2), "average": nn.AvgPool2d(3, 2, 1),
}  # fmt: skip


@pytest.mark.parametrize("unpool", UNPOOLINGS)
@pytest.mark.parametrize(("bias", "in_place", "count"), [(True, False, 1), (False, True, 2)])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(1, 1, 0), (2, 1, 1), (3, 1, 1), (3, 2, 0), (3, 2, 1), (3, 3, 1), (5, 2, 2), (7, 3, 3)],
)
def test_it_is_what_the_graph_gives(kernel, stride, padding, pool, bias, in_place, count, unpool) -> None:
    layers = seeded(stack, kernel, stride, padding, POOLS[pool], bias, in_place)
    assert_equal(layers, noise(count, 3, 26, 25), unpool)


@pytest.mark.parametrize(
    "first",
    [nn.Conv2d(3, 6, 3, dilation=2, padding=2), nn.Conv2d(3, 6, 3, 2, dilation=3, groups=3), nn.Conv2d(3, 6, (1, 4)),
     nn.Conv2d(3, 6, (4, 2), padding="same"), nn.Conv2d(3, 6, 2, padding="same", dilation=3),
     nn.Conv2d(3, 6, 3, padding="valid"), nn.Conv2d(3, 6, (3, 2), (2, 3), (2, 1)), nn.Conv2d(3, 6, 1, 4)],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_every_kind_of_convolution_has_its_transpose(first) -> None:
    assert_equal(nn.Sequential(first, nn.ReLU(), nn.Conv2d(6, 4, 2)), noise(2, 3, 18, 17))


WINDOWS = [(2, 2, 0), (3, 2, 1), (3, 3, 1), (2, 3, 1), (3, 1, 0), ((2, 3), (3, 2), (1, 0))]
AVERAGES = [
    {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil, "count_include_pad": counted}
    for (kernel, stride, padding), ceil, counted in itertools.product(WINDOWS, (False, True), (False, True))
]


@pytest.mark.parametrize("options", [*AVERAGES, {"kernel_size": 3, "divisor_override": 5}], ids=str)
def test_every_kind_of_average_pool_spreads_evenly(options) -> None:
    assert_equal(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(**options)), noise(2, 3, 16, 13))


def whole_network() -> nn.Sequential:
    """Nested, with scales of both signs, a rectifier used twice, and a head."""
    act = nn.ReLU(inplace=True)
    norms = [nn.BatchNorm2d(6), nn.BatchNorm2d(8, affine=False)]
    for norm in norms:
        norm.running_mean, norm.running_var = (
            torch.randn_like(norm.running_mean),
            torch.rand_like(norm.running_var) + 0.2,
        )
    nn.init.normal_(norms[0].weight)
    stem = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), norms[0], act, nn.MaxPool2d(3, 2))
    body = nn.Sequential(nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), norms[1]), act, nn.Dropout(), nn.AvgPool2d(2))
    head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 3 * 3, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 5, bias=False))
    return nn.Sequential(stem, body, head)


@pytest.mark.parametrize("unpool", UNPOOLINGS)
@pytest.mark.parametrize("last", ["0.0", "0.1", "0.2", "0.3", "1.0.1", "1.3", "2.0", "2.1", "2.4", ""])
def test_a_whole_network_can_be_gone_back_through_from_any_layer(last, unpool) -> None:
    network = seeded(whole_network)
    assert list(deconvolution(network).layers)[:6] == ["0.0", "0.1", "0.2", "0.3", "1.0.0", "1.0.1"]
    assert_equal(network, noise(2, 3, 17, 17), unpool, last)


def test_a_layer_that_comes_twice_is_gone_through_twice() -> None:
    conv, act = nn.Conv2d(3, 3, 3), nn.ReLU()
    layers = nn.Sequential(conv, act, conv, act, nn.Conv2d(3, 2, 1))
    assert list(deconvolution(layers).layers) == ["0", "1", "2", "3", "4"]
    assert_equal(layers, noise(1, 3, 12, 12))


def test_what_the_first_convolution_gives_back_may_be_negative() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 1, 2, bias=False), nn.ReLU()).double()
    layers[0].weight.data = torch.tensor([[[[1.0, -2.0], [-3.0, 4.0]]]], dtype=torch.float64)
    net = deconvolution(layers)
    image = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]], dtype=torch.float64)
    assert net.forward(image).item() == 4
    assert net.back(net.forward(image)).tolist() == [[[[4.0, -8.0], [-12.0, 16.0]]]]
    assert net.back(-net.forward(image)).tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]  # a negative seed is rectified


def test_the_bias_plays_no_part_on_the_way_down() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)).double()
    net, seed = deconvolution(layers), noise(1, 2, 6, 6)
    found = []
    for bias in (0.0, 5.0):
        for layer in layers:
            layer.bias.data.fill_(bias)
        net.forward(noise(1, 3, 10, 10))
        found.append(net.back(seed))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.Conv2d(3, 6, 2, 3, dilation=2, groups=3, bias=False),
     nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.MaxPool2d(3, 2, 1)],
    ids=str,
)  # fmt: skip
def test_the_way_down_is_the_adjoint_and_not_the_inverse(layer) -> None:
    """<W x, y> = <x, W^T y>; pools are linear around their input, and values that are shared have to be added."""
    net, x = deconvolution(nn.Sequential(layer).double(), "add"), noise(2, 3, 11, 10)
    y = noise(*net.forward(x).shape, seed=7)
    torch.testing.assert_close((net.forward(x) * y).sum(), (x * net.back(y)).sum())
    assert not torch.allclose(net.back(net.forward(x)), x)


class Odd(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


class MyConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


KINDS = "The explicit route knows Sequential, Conv2d, ReLU, MaxPool2d, AvgPool2d, BatchNorm2d, Dropout, Flatten, Linear"
GRAPH = "Go back through the graph, which knows any network."


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.GELU())), f"1.0 is a GELU. {KINDS}. {GRAPH}"),
        (nn.Sequential(Odd(nn.Conv2d(3, 3, 3, padding=1))), f"0 is a Odd. {KINDS}. {GRAPH}"),
        (nn.Sequential(MyConv(3, 3, 3)), f"0 is a MyConv. {KINDS}. {GRAPH}"),
        (nn.ModuleList([nn.ReLU()]), f"The network is a ModuleList. {KINDS}. {GRAPH}"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")),
         f"0 is a Conv2d with reflect padding. The explicit route knows zeros. {GRAPH}"),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)),
         "1 is a BatchNorm2d in training mode. It has to stay the same. Call eval() on the network."),
        (nn.Sequential(nn.Dropout()),
         "0 is a Dropout in training mode. It has to stay the same. Call eval() on the network."),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False).eval()),
         f"0 is a BatchNorm2d without running statistics. It has to be the same for all images. {GRAPH}"),
        (nn.Sequential(nn.Sequential()),
         "The network has no layers. A deconvnet needs one at least. Give a network that has some."),
    ],
)  # fmt: skip
def test_what_has_no_place_in_it_is_refused_by_name(layers, message) -> None:
    with pytest.raises(NotApplicable) as caught:
        deconvolution(layers)
    assert str(caught.value) == message


def small() -> Deconvnet:
    return deconvolution(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).double())


def test_a_layer_or_an_unpooling_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownName) as caught:
        small().forward(noise(1, 3, 8, 8), "2")
    assert str(caught.value) == "Layer '2' does not exist. There are: 0, 1. Name one of them."
    with pytest.raises(UnknownName) as caught:
        deconvolution(nn.Sequential(nn.ReLU()), "added")
    assert caught.value.given == "Unpooling 'added' does not exist"


def test_a_seed_needs_a_forward_pass_and_its_shape() -> None:
    net = small()
    with pytest.raises(UsageError) as caught:
        net.back(noise(1, 4, 6, 6))
    assert str(caught.value) == (
        "The seed has shape (1, 4, 6, 6). Nothing went forward. Seed the layer that forward went to."
    )
    net.forward(noise(1, 3, 8, 8), "0")
    with pytest.raises(UsageError) as caught:
        net.back(noise(1, 4, 6, 5))
    assert caught.value.allowed == "The layer's shape is (1, 4, 6, 6)"


def test_gradients_are_neither_needed_nor_left_behind() -> None:
    net = small()
    image = noise(1, 3, 8, 8).requires_grad_()
    assert not net.back(net.forward(image)).requires_grad
    assert image.grad is None and all(layer.grad is None for layer in net.layers["0"].parameters())
    assert opened(nn.Sequential(*net.layers.values())).sites
