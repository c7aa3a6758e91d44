"""Going back through torchvision's networks: every rectifier is counted, and both routes give the same map."""

import pytest
import torch
from torch import Tensor

from microtome.network.backward.tracing import going_back, seeds, tracing
from second_route import second_route
from toys import opened, with_random_weights

# side of the image, rectifiers before the output, a convolution in the middle, rectifiers that lead to it (both numbers
# are counted by hand: GoogLeNet's stem has 3, each of three blocks 6, and the branch one before this convolution)
NETWORKS = {
    "googlenet": (64, 57, "inception4b.branch2.1.conv", 22),
    "inception_v3": (75, 94, "Mixed_6b.branch7x7_3.conv", 32),
    "mobilenet_v2": (64, 35, "features.7.conv.2", 14),
    "densenet121": (64, 121, "features.denseblock3.denselayer4.conv1", 46),
    "resnet18": (64, 17, "layer3.0.conv2", 10),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return request.param, opened(with_random_weights(request.param).double(), NETWORKS[request.param][0])


def image(side: int) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def cosine(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum() / one.norm() / other.norm())


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
@pytest.mark.parametrize("inside", [False, True], ids=["output", "inside"])
def test_both_routes_agree_and_count_the_same(network, inside, method) -> None:
    name, model = network
    side, at_output, convolution, before = NETWORKS[name]
    x = image(side)
    expected, unit, swapped = second_route(model, x, method, convolution if inside else "")
    with tracing(model, x, convolution if inside else model.sites.output) as trace:
        (seed,) = seeds(trace, [unit])
        plain = trace.back(seed)
        with going_back(trace, method) as handled:
            found = trace.back(seed)
    assert swapped == at_output
    assert handled.rectifiers == (before if inside else at_output)
    assert cosine(found, expected) >= 0.999999
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9 * float(expected.abs().max()))
    assert cosine(plain, expected) < 0.5, "else the plain gradient would nearly pass"
