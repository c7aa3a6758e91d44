"""Grad-CAM against the same numbers by hand: networks cut in two at the site, plain retain_grad, and Captum."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import CallOrderChanged, NotApplicable, UnknownName, UsageError
from microtome.network.backward.gradcam import default_site, enlarged, grad_cam
from toys import (
    Answers,
    Functional,
    InPlace,
    Plain,
    Reused,
    Shared,
    Skip,
    Tokens,
    UNet,
    opened,
    seeded,
    with_random_weights,
)

Part = Callable[[nn.Module, Tensor], Tensor]


def images(side: int = 12, count: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3), dtype=dtype)


def by_hand(module: nn.Module, x: Tensor, front: Part, back: Part, targets: list[int] | None = None) -> np.ndarray:
    """Equations 1 and 2, image by image, with the network cut in two."""
    found = []
    for place in range(len(x)):
        maps = front(module, x[place : place + 1].clone()).detach().requires_grad_()
        maps.retain_grad()
        logits = back(module, maps * 1.0)[0]
        logits[int(logits.argmax()) if targets is None else targets[place]].backward()
        heat = torch.zeros(maps.shape[2:], dtype=x.dtype)
        for slope, values in zip(maps.grad[0], maps.detach()[0], strict=True):
            heat += slope.sum() / slope.numel() * values
        found.append(heat.clamp(min=0).numpy())
    return np.stack(found)


def reused_front(m: nn.Module, x: Tensor) -> Tensor:
    x = m.block(m.stem(x)).clone()
    return x + m.block(m.block(x))


# The site that is chosen by itself, what comes before it, and what after.
CUTS: dict[type[nn.Module], tuple[str, Part, Part]] = {
    Plain: ("relu", lambda m, x: F.relu(m.conv2(m.act(m.bn(m.conv1(x))))), lambda m, a: m.fc(a.mean((2, 3)))),
    InPlace: (
        "act_1",
        lambda m, x: F.relu(m.conv2(F.relu(m.conv1(x))) + F.relu(m.conv1(x))),
        lambda m, a: m.fc(F.relu(a.mean((2, 3)))),
    ),
    Shared: (
        "first_1",
        lambda m, x: m.first(m.first(m.first(x).relu()).relu()),
        lambda m, a: m.head(a.amax((2, 3))),
    ),
    Functional: (
        "relu",
        lambda m, x: F.relu(F.batch_norm(F.conv2d(x, m.kernel), m.mean, m.variance)),
        lambda m, a: F.linear(a.mean((2, 3)), m.head),
    ),
    Reused: ("add", reused_front, lambda m, a: m.head(a.mean((2, 3)))),
    Skip: ("add", lambda m, x: m.conv(m.stem(x)) + m.stem(x), lambda m, a: m.fc(a.mean((2, 3)))),
}


@pytest.mark.parametrize("toy", CUTS)
def test_the_heat_is_that_of_the_network_cut_in_two(toy) -> None:
    site, front, back = CUTS[toy]
    model = opened(seeded(toy).double())
    found = grad_cam(model, images())
    last = model.sites[found.site]
    assert (last.operation, found.heat.dtype) == (model.sites[default_site(model)].operation, np.float64)
    assert found.site == site or toy is Shared
    expected = by_hand(model.module, images(), front, back)
    assert expected.max() > 0
    np.testing.assert_allclose(found.heat, expected, rtol=0, atol=1e-12 * expected.max())
    np.testing.assert_allclose(found.logits, model.module(images()).detach(), rtol=0, atol=1e-12)
    assert found.target.tolist() == found.logits.argmax(1).tolist()


@pytest.mark.parametrize("toy", [Plain, InPlace])
def test_a_class_can_be_asked_for_image_by_image(toy) -> None:
    _, front, back = CUTS[toy]
    model = opened(seeded(toy).double())
    found = grad_cam(model, images(), [2, 0, 1])
    expected = by_hand(model.module, images(), front, back, [2, 0, 1])
    np.testing.assert_allclose(found.heat, expected, rtol=0, atol=1e-12)
    assert found.target.tolist() == [2, 0, 1]


def test_what_an_in_place_rectifier_overwrites_is_read_as_it_was() -> None:
    model = opened(seeded(InPlace).double())
    found = grad_cam(model, images(), [0] * 3, "conv1")  # a ReLU in place comes next, then an addition in place

    def back(m: nn.Module, a: Tensor) -> Tensor:
        skip = F.relu(a)
        return m.fc(F.relu(F.relu(m.conv2(skip) + skip).mean((2, 3))))

    expected = by_hand(model.module, images(), lambda m, x: m.conv1(x), back, [0] * 3)
    assert expected.max() > 0
    np.testing.assert_allclose(found.heat, expected, rtol=0, atol=1e-12 * expected.max())


@pytest.mark.parametrize("site", ["act", "bn", "conv2"])
def test_any_site_of_a_plain_network_agrees_with_retain_grad(site) -> None:
    model = opened(seeded(Plain).double())
    kept = []
    handle = model.module.get_submodule(site).register_forward_hook(lambda _, args, out: kept.append(out))
    logits = model.module(images())
    handle.remove()
    kept[0].retain_grad()
    logits[:, 1].sum().backward()
    model.module.zero_grad(set_to_none=True)
    weights = kept[0].grad.mean((2, 3), keepdim=True)
    expected = (weights * kept[0]).sum(1).relu().detach()
    np.testing.assert_allclose(grad_cam(model, images(), [1] * 3, site).heat, expected, rtol=0, atol=1e-12)


def googlenet_front(m: nn.Module, x: Tensor) -> Tensor:
    for name, part in m.named_children():
        if name in ("avgpool", "aux1", "aux2"):
            continue
        if name in ("dropout", "fc"):
            break
        x = part(x)
    return x


def residual_front(m: nn.Module, x: Tensor) -> Tensor:
    return nn.Sequential(*list(m.children())[:-2])(x)


KNOWN: dict[str, tuple[str, Part, Part]] = {
    "resnet18": ("layer4.1.relu_1", residual_front, lambda m, a: m.fc(m.avgpool(a).flatten(1))),
    "googlenet": ("inception5b.cat", googlenet_front, lambda m, a: m.fc(m.avgpool(a).flatten(1))),
    "squeezenet1_0": ("classifier.2", lambda m, x: m.classifier[:3](m.features(x)),
                      lambda m, a: m.classifier[3](a).flatten(1)),
    "densenet121": ("relu", lambda m, x: F.relu(m.features(x)), lambda m, a: m.classifier(a.mean((2, 3)))),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_networks_agree_with_themselves_cut_in_two(name) -> None:
    site, front, back = KNOWN[name]
    module = with_random_weights(name).double()
    x = images(96, 1)
    found = grad_cam(opened(module, 96), x)
    assert found.site == site
    with torch.no_grad():
        maps = front(module, x)
    assert found.heat.shape[1:] == maps.shape[2:] and found.heat.size > 1
    expected = by_hand(module, x, front, back)
    assert expected.max() > 0
    np.testing.assert_allclose(found.heat, expected, rtol=0, atol=1e-10 * expected.max())


@pytest.mark.parametrize(
    ("name", "site"),
    [("vgg11_bn", "features.27"), ("mobilenet_v2", "features.18.2"), ("shufflenet_v2_x0_5", "conv5.2"),
     ("convnext_tiny", "features.7.2.add"), ("efficientnet_b0", "features.8.2")],
)  # fmt: skip
def test_the_site_chosen_is_the_last_one_with_positions_and_no_pool(name, site) -> None:
    assert default_site(opened(with_random_weights(name), 64)) == site


def test_a_network_that_ends_in_a_softmax_is_read_before_it() -> None:
    plain, ended = seeded(Plain).double(), seeded(Plain).double()
    log = opened(nn.Sequential(ended, nn.LogSoftmax(1)))
    np.testing.assert_array_equal(grad_cam(opened(plain), images()).heat, grad_cam(log, images()).heat)
    np.testing.assert_array_equal(grad_cam(opened(plain), images()).logits, grad_cam(log, images()).logits)


@pytest.mark.parametrize("kind", [dict, tuple])
def test_logits_inside_other_things_are_found(kind) -> None:
    found = grad_cam(opened(seeded(Answers, kind).double()), images()).heat
    np.testing.assert_array_equal(found, grad_cam(opened(seeded(Plain).double()), images()).heat)


def test_an_image_alone_gives_what_it_gives_in_company() -> None:
    model = opened(seeded(Plain).double())
    together, alone = grad_cam(model, images()).heat, grad_cam(model, images()[1:2]).heat
    np.testing.assert_allclose(alone[0], together[1], rtol=0, atol=1e-14)


def test_nothing_is_touched() -> None:
    model = opened(seeded(Plain))
    model.module.train()
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    x = images(dtype=torch.float32)
    kept = x.clone()
    with torch.no_grad():
        grad_cam(model, x)
    assert all(part.training and not part._forward_hooks for part in model.module.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())
    assert torch.equal(x, kept) and not x.requires_grad and x.grad is None


def test_frozen_parameters_and_inference_mode_do_not_matter() -> None:
    model = opened(seeded(Plain).double())
    expected = grad_cam(model, images()).heat
    model.module.requires_grad_(False)
    with torch.inference_mode():
        np.testing.assert_array_equal(grad_cam(model, images()).heat, expected)


class Idle(nn.Module):
    """A branch that leads nowhere, and one whose tensor is detached."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.aside, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.aside(x)
        return self.fc(self.conv(x).mean((2, 3)))


def test_a_site_on_which_no_logit_depends_is_cold() -> None:
    model = opened(seeded(Idle).double())
    assert not grad_cam(model, images(), site="aside").heat.any()
    assert default_site(model) == "conv"


class Towers(nn.Module):
    """Two towers; the second one begins behind a detach."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.cat([self.left(x).mean((2, 3)), self.right(x).mean((2, 3))], 1))


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).detach().mean((2, 3)))


def test_a_site_through_which_only_a_part_flows_has_to_be_named() -> None:
    model = opened(seeded(Towers).double())
    with pytest.raises(NotApplicable, match=r"^Towers has no site with positions through which all of its output "
                       r"flows\. Grad-CAM reads one site, such as the last convolution\. Name a site yourself, or use "
                       r"occlusion\.$"):  # fmt: skip
        grad_cam(model, images())
    assert grad_cam(model, images(), site="right").heat.any()


def test_a_gradient_that_the_network_cuts_is_said() -> None:
    model = opened(seeded(Detached).double().requires_grad_(False))
    with pytest.raises(NotApplicable, match=r"^The graph of Detached does not hold fc\."):
        grad_cam(model, images(), site="conv")


def refused(model: mt.Model, error: type[Exception], message: str, *arguments: object) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        grad_cam(model, images(model.preprocessing.size[0]), *arguments)


def test_what_cannot_be_is_refused() -> None:
    model = opened(seeded(Plain).double())
    refused(model, UsageError, "Site mean has no positions (shape of one image: 5). Grad-CAM needs maps", None, "mean")
    refused(model, UnknownName, "Site 'conv9' does not exist.", None, "conv9")
    refused(model, UnknownName, "Class 3 does not exist. The network's classes are 0 to 2.", [0, 3, 1])
    refused(model, UsageError, "2 targets were given for 3 images. There is one target an image.", [0, 1])
    refused(opened(seeded(UNet).double()), NotApplicable, "UNet gives no row of classes for an image, but 2 x 12 x 12")
    refused(opened(seeded(Tokens).double()), UsageError, "Site mix has no positions", None, "mix")


class Moody(nn.Module):
    """Takes another way for bright images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        return self.fc((maps.relu() if x.max() > 5 else maps.tanh()).mean((2, 3)))


def test_another_way_through_the_network_is_noticed() -> None:
    model = opened(seeded(Moody))
    with pytest.raises(CallOrderChanged, match=r"^Call 3 of the network was 'relu'\. When its sites were found it was "
                       r"'tanh'\."):  # fmt: skip
        grad_cam(model, 10 + images(dtype=torch.float32))


def test_heat_is_enlarged_bilinearly_border_on_border() -> None:
    heat = np.array([[[0.0, 4.0]]])
    assert enlarged(heat, (2, 4)).tolist() == [[[0, 1, 3, 4], [0, 1, 3, 4]]]
    model = opened(seeded(Plain).double())
    found = grad_cam(model, images())
    assert found.enlarged((12, 12)).shape == (3, 12, 12)
    assert found.enlarged((12, 12)).max() <= found.heat.max()


@pytest.mark.peer
@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer4"), ("squeezenet1_0", "features"), ("plain", "act")])
def test_captum_agrees_where_no_operation_in_place_follows(name, layer) -> None:
    attr = pytest.importorskip("captum.attr", reason="needs the peers extra")
    module = (seeded(Plain) if name == "plain" else with_random_weights(name)).double()
    side = 12 if name == "plain" else 64
    model, x = opened(module, side), images(side, 2)
    found = grad_cam(model, x, [1, 2], layer)
    theirs = attr.LayerGradCam(module, module.get_submodule(layer)).attribute(
        x, torch.tensor([1, 2]), relu_attributions=True
    )
    expected = theirs[:, 0].detach().numpy()
    assert expected.max() > 0
    np.testing.assert_allclose(found.heat, expected, rtol=0, atol=1e-12 * expected.max())
