"""Receptive fields against what a network of positive weights really sees: each row and column made huge in turn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

import microtome as mt
from microtome.network.recording.receptive_field import Axis, ReceptiveField
from toys import opened, without_weights

HUGE = 1e6  # large enough to show through twenty averages of three


def averaging(module: nn.Module) -> nn.Module:
    """The same network with convolutions that average, so that nothing cancels and nothing overflows."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data.fill_(1 / part.weight[0].numel())
            if part.bias is not None:
                part.bias.data.zero_()
        elif isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
            part.reset_parameters()
    return module.eval()


def seen_by(module: nn.Module, sites: list[str], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Shapes: -> (h, w, 4) by site: first row, first column, last row + 1, last column + 1 that change a position."""
    height, width = size
    images = (torch.rand(1, 3, height, width, dtype=torch.float64) + 1).repeat(1 + height + width, 1, 1, 1)
    for row in range(height):
        images[1 + row, :, row] = HUGE
    for column in range(width):
        images[1 + height + column, :, :, column] = HUGE
    with torch.no_grad():
        maps = create_feature_extractor(module.double(), sites, suppress_diff_warning=True)(images)
    module.float()
    found = {}
    for site, values in maps.items():
        changed = (values[1:] != values[:1]).any(1).numpy()  # (H + W, h, w)
        rows, columns = changed[:height], changed[height:]
        last = [height - rows[::-1].argmax(0), width - columns[::-1].argmax(0)]
        found[site] = np.stack([rows.argmax(0), columns.argmax(0), *last], axis=-1)
    return found


def computed(module: nn.Module, sites: list[str], size: tuple[int, int]) -> dict[str, np.ndarray]:
    model = mt.open_model(module, size=size)
    fields = mt.Specimen(model=model).receptive_fields
    found = {}
    for site in sites:
        height, width = model.sites[site].extent
        found[site] = fields[site].boxes(np.arange(height * width), width, size).reshape(height, width, 4)
    return found


def assert_exact(module: nn.Module, sites: list[str], size: tuple[int, int]) -> None:
    found, true = computed(module, sites, size), seen_by(module, sites, size)
    for site in sites:
        np.testing.assert_array_equal(found[site], true[site], err_msg=site)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 5, padding=2)
        self.short = nn.Conv2d(3, 4, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x))) + self.short(x)


class Concatenation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(4, 2, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.c(torch.cat([F.relu(self.a(x)), F.relu(self.b(x))], 1))


class Slices(nn.Module):
    """Padding on one side, every second row, every third column, and a piece cut out."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(self.a(x), (2, 0, 1, 3), value=1.0)
        return self.a(F.pad(x[:, :, ::2, 2::3], (0, 0, 0, 0, 0, 1)))[..., 1:, :-1]


class Cropped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(self.a(x), (-1, -2, -3, -1)) * 2


TOYS = {
    "kernel": nn.Sequential(nn.Conv2d(3, 2, (3, 5))),
    "stride": nn.Sequential(nn.Conv2d(3, 2, 5, stride=(2, 3)), nn.Conv2d(2, 2, 3, padding=1)),
    "dilation": nn.Sequential(nn.Conv2d(3, 2, 3, dilation=(2, 1), padding=(2, 1)), nn.Conv2d(2, 2, 2)),
    "padding": nn.Sequential(nn.Conv2d(3, 2, 3, padding=(0, 2)), nn.Conv2d(2, 2, 3, padding="same")),
    "groups": nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1)),
    "max-pool 3/2": nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(3, 2, padding=1), nn.MaxPool2d(2, dilation=2)),
    "ceil": nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(3, 2, 3)),
    "average pool": nn.Sequential(nn.AvgPool2d(3, 2, padding=1), nn.BatchNorm2d(3), nn.SiLU(), nn.AvgPool2d(2)),
    "activations": nn.Sequential(nn.Conv2d(3, 2, 3), nn.PReLU(), nn.Hardswish(), nn.Dropout(), nn.ELU(), nn.GELU()),
    "residual": Residual(),
    "concatenation": Concatenation(),
    "crop": Cropped(),
}


WITH_GAPS = {
    "dilation": nn.Sequential(nn.Conv2d(3, 2, 3, dilation=(2, 1), padding=2), nn.Conv2d(2, 2, 3, dilation=3)),
    "slices": Slices(),
}


@pytest.mark.parametrize("name", TOYS)
def test_every_position_of_a_toy_sees_exactly_its_receptive_field(name) -> None:
    module, size = averaging(TOYS[name]), (21, 26)
    assert_exact(module, [mt.open_model(module, size=size).sites.output], size)


@pytest.mark.parametrize("name", WITH_GAPS)
def test_where_a_window_with_gaps_meets_the_border_the_field_is_never_too_small(name) -> None:
    module, size = averaging(WITH_GAPS[name]), (21, 26)
    site = mt.open_model(module, size=size).sites.output
    found, true = computed(module, [site], size)[site], seen_by(module, [site], size)[site]
    inside = (found > 0).all(-1) & (found < np.array([21, 26, 21, 26])).all(-1)
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(found[inside], true[inside])
    assert (found[..., :2] <= true[..., :2]).all()
    assert (found[..., 2:] >= true[..., 2:]).all()


def test_every_position_of_resnet18_sees_exactly_its_receptive_field() -> None:
    sites = ["maxpool", "layer1.0.conv2", "layer1.1.relu_1", "layer2.0.add", "layer2.1.bn2"]
    assert_exact(averaging(without_weights("resnet18")), sites, (56, 40))


def test_every_position_of_squeezenet_sees_exactly_its_receptive_field() -> None:
    sites = ["features.0", "features.2", "features.3.cat", "features.7.expand3x3", "features.8.cat"]
    assert_exact(averaging(without_weights("squeezenet1_0")), sites, (59, 51))  # every window fits


def test_every_position_of_the_zoos_resnet_sees_exactly_its_receptive_field() -> None:
    sites = [
        "relu",
        "layer1.2.add",
        "layer2.0.getitem",
        "layer2.0.pad",
        "layer2.0.add",
        "layer2.2.conv2",
        "layer3.0.bn1",
    ]
    assert_exact(averaging(mt.open_model("zoo:resnet20").module), sites, (32, 32))


def test_a_network_without_parameters_and_one_of_doubles_have_receptive_fields() -> None:
    for module in (nn.Sequential(nn.MaxPool2d(2)), nn.Sequential(nn.Conv2d(3, 3, 2, stride=2)).double()):
        assert mt.Specimen(model=opened(module)).receptive_fields["0"] == ReceptiveField(Axis(2, 0, 1), Axis(2, 0, 1))


def test_boxes_end_at_the_border_of_the_image_and_no_place_gives_the_whole() -> None:
    field = ReceptiveField(Axis(4, -3, 5), Axis(2, 0, 1))
    boxes = field.boxes(np.array([[0, 7, -1], [21, 3, 8]]), 7, (16, 14))
    assert boxes.tolist() == [
        [[0, 0, 6, 2], [1, 0, 10, 2], [0, 0, 16, 14]], [[9, 0, 16, 2], [0, 6, 6, 8], [1, 2, 10, 4]]
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "side", "stride"), [("vgg16", 212, 32), ("alexnet", 195, 32)])
def test_the_receptive_field_of_a_well_known_network_is_the_published_one(name, side, stride) -> None:
    # Araujo, Norris, Sim (2019), table 1
    with torch.device("meta"):
        features = models.get_model(name).features
    model = opened(features.to_empty(device="cpu").eval(), 96)
    field = mt.Specimen(model=model).receptive_fields[model.sites.output]
    assert (field.rows.stride, field.rows.high - field.rows.low + 1) == (stride, side)
    assert field.columns == field.rows
