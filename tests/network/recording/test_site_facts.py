"""What is known of a site: shape, channels, parameters, multiply-accumulates, units; containers and addresses."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import ModelFailed, UnknownName
from microtome.network.recording.addresses import Address
from toys import Plain, Shared, Tokens, opened, seeded, without_weights


def test_squeezenet_has_3976_units_in_26_convolutions() -> None:
    layers = opened(without_weights("squeezenet1_0"), 64).sites.layers
    assert (len(layers), sum(site.units for site in layers)) == (26, 3976)
    assert {site.operation for site in layers} == {"Conv2d"}


@pytest.mark.parametrize(
    ("layer", "shape", "parameters", "macs"),
    [
        (nn.Conv2d(3, 8, 5, stride=2, padding=1), (8, 5, 5), 8 * 3 * 25 + 8, 8 * 3 * 25 * 25),
        (nn.Conv2d(3, 6, 3, groups=3, bias=False), (6, 10, 10), 6 * 9, 6 * 1 * 9 * 100),
        (nn.Conv2d(3, 4, 3, dilation=2), (4, 8, 8), 4 * 3 * 9 + 4, 4 * 3 * 9 * 64),
        (nn.ConvTranspose2d(3, 5, 2, stride=2), (5, 24, 24), 3 * 5 * 4 + 5, 12 * 12 * 3 * 5 * 4),
        (nn.ConvTranspose2d(3, 6, 2, stride=2, groups=3), (6, 24, 24), 6 * 4 + 6, 12 * 12 * 6 * 4),
    ],
)
def test_parameters_and_multiply_accumulates_are_those_counted_by_hand(layer, shape, parameters, macs) -> None:
    (site,) = opened(nn.Sequential(layer)).sites.layers
    assert (site.shape, site.units, site.parameters, site.macs) == (shape, shape[0], parameters, macs)


def test_multiply_accumulates_of_a_linear_layer_on_tokens_count_every_token() -> None:
    sites = opened(seeded(Tokens)).sites
    assert [(site.name, site.units, site.macs) for site in sites.layers] == [
        ("embed", 6, 9 * 6 * 3 * 16), ("mix", 5, 9 * 6 * 5), ("head", 3, 5 * 3),
    ]  # fmt: skip


def test_channels_of_a_linear_layer_on_tokens_come_last_and_behind_it_too() -> None:
    sites = opened(seeded(Tokens)).sites
    known = {name: (sites[name].shape, sites[name].channels, sites[name].extent) for name in ("embed", "mix", "relu")}
    assert known == {"embed": ((6, 3, 3), 6, (3, 3)), "mix": ((9, 5), 5, (9,)), "relu": ((9, 5), 5, (9,))}


def test_channels_of_a_convolution_come_first_whatever_was_before_it() -> None:
    # the linear layer works along the columns of the maps, as if they were channels
    layers = [nn.Conv2d(3, 4, 1), nn.LayerNorm([4, 12, 10]), nn.Linear(10, 10), nn.Conv2d(4, 4, 1), nn.ReLU()]
    sites = mt.open_model(nn.Sequential(*layers), size=(12, 10)).sites
    assert [site.channels for site in sites.values()] == [4, 4, 10, 4, 4]
    assert sites["3"].units == 4


def test_a_functional_convolution_with_the_networks_own_weight_is_a_layer() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.zeros(7, 3, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(F.conv2d(x, self.kernel))

    model = opened(Functional())
    (site,) = model.sites.layers
    assert (site.name, site.units, site.weight, site.read) == ("conv2d", 7, "kernel", "relu")
    assert (site.parameters, site.macs) == (7 * 27, 7 * 27 * 100)
    assert model.weight("conv2d").data_ptr() == model.module.kernel.data_ptr()


def test_a_shared_layer_is_a_site_at_every_call_under_its_first_name() -> None:
    names = [site.name for site in opened(seeded(Shared)).sites.layers]
    assert names == ["first", "first_1", "first_2", "head"]


def test_the_output_of_the_network_is_a_site() -> None:
    assert opened(seeded(Plain)).sites.output == "fc"
    assert mt.open_model("zoo:simpleconvnet").sites.output == "log_softmax"


def test_a_tensor_without_one_row_an_image_is_marked() -> None:
    class Mixing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(0, 1).mean(0)

    sites = opened(Mixing()).sites
    assert {name: site.batched for name, site in sites.items()} == {"flatten": False, "mean": False}


def test_a_container_means_the_site_that_makes_its_output() -> None:
    sites = mt.open_model("zoo:resnet20").sites
    assert sites.resolve("layer1") == "layer1.2.relu_1"
    assert sites.resolve("layer2.0") == "layer2.0.relu_1"
    assert sites.address("layer1:in") == Address("layer1.2.relu_1", inputs=True)
    assert str(sites.address("layer1:in")) == "layer1.2.relu_1:in"


def test_a_glob_matches_sites_in_order_and_a_container_stands_for_its_output() -> None:
    sites = mt.open_model("zoo:resnet20").sites
    assert [site.name for site in sites.match("layer3.?.conv1")] == [f"layer3.{i}.conv1" for i in range(3)]
    assert [site.name for site in sites.match("layer3")] == ["layer3.2.relu_1"]


@pytest.mark.parametrize("look_up", [lambda sites: sites["layer1.0.covn1"], lambda sites: sites.match("layer1.0.covn1"),
                                     lambda sites: sites.address("layer1.0.covn1:in")])  # fmt: skip
def test_a_site_that_does_not_exist_brings_the_closest_one(look_up) -> None:
    with pytest.raises(UnknownName) as caught:
        look_up(mt.open_model("zoo:resnet20").sites)
    assert caught.value.given == "Site 'layer1.0.covn1' does not exist"
    assert caught.value.allowed.startswith("There are: conv1, bn1, relu, layer1.0.conv1, ")
    assert caught.value.next_step == "Did you mean 'layer1.0.conv1'? `microtome sites MODEL` lists them all"


def test_the_choices_of_a_small_network_are_all_named_and_none_is_empty() -> None:
    with pytest.raises(UnknownName) as caught:
        opened(nn.Sequential(nn.Conv2d(3, 3, 1))).sites.resolve("zzz")
    assert (caught.value.allowed, caught.value.next_step) == ("There are: 0", "`microtome sites MODEL` lists them all")


def test_a_network_that_raises_is_reported_with_the_last_site_that_worked() -> None:
    with pytest.raises(ModelFailed) as caught:
        opened(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(5, 4, 1))).sites  # noqa: B018
    assert caught.value.given.startswith("The network raised RuntimeError after 1: ")
    assert caught.value.allowed == "It was given images of shape (2, 3, 12, 12)"
    assert caught.value.next_step.startswith("Give the input size it was made for")
    assert caught.value.exit_code == 1
