"""What is no window of fixed size sees the whole image: never less than the truth."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

import microtome as mt
from microtome.network.recording.receptive_field import Axis, ReceptiveField
from toys import opened, without_weights


class Broadcast(nn.Module):
    """A map of one row, or of one number, is added everywhere."""

    def __init__(self, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.gate, self.conv = nn.Conv2d(3, 3, kernel), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.gate(x)


class Stacked(nn.Module):
    """A map beside itself: on the right the left edge comes again."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], 3) * 2


class FirstRow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x[:, :, :1]


WHOLE = {
    "linear": nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 10 * 10, 4)),
    "global pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 2, 1)),
    "instance norm": nn.Sequential(nn.Conv2d(3, 2, 3), nn.InstanceNorm2d(2)),
    "group norm": nn.Sequential(nn.Conv2d(3, 2, 3), nn.GroupNorm(1, 2)),
    "batch statistics": nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)),
    "upsampling": nn.Sequential(nn.Conv2d(3, 2, 3), nn.Upsample(scale_factor=2)),
    "transposed": nn.Sequential(nn.ConvTranspose2d(3, 2, 2, stride=2)),
    "strides that differ": nn.Sequential(Broadcast((12, 12))),
    "one row for all": nn.Sequential(Broadcast((12, 1))),
    "first row for all": FirstRow(),
    "side by side": Stacked(),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_no_window_of_fixed_size_is_taken_to_see_the_whole_image(name) -> None:
    module = WHOLE[name].eval()
    model = opened(module)
    assert mt.Specimen(model=model).receptive_fields[model.sites.output] is None


def test_behind_a_squeeze_and_excitation_every_position_sees_the_whole_image() -> None:
    model = opened(without_weights("mobilenet_v3_small"), 64)
    fields = mt.Specimen(model=model).receptive_fields
    assert fields["features.1.block.0.0"] == ReceptiveField(Axis(4, -3, 3), Axis(4, -3, 3))
    assert model.sites["features.1.block.1.mul"].extent == (16, 16)
    assert fields["features.1.block.1.mul"] is None
    assert all(fields[site.name] is None for site in model.sites.layers[5:])


def test_behind_attention_every_token_sees_the_whole_image() -> None:
    with torch.device("cpu"):
        module = models.VisionTransformer(16, 8, num_layers=1, num_heads=1, hidden_dim=8, mlp_dim=8).eval()
    model = opened(module, 16)
    fields = mt.Specimen(model=model).receptive_fields
    assert fields["conv_proj"] == ReceptiveField(Axis(8, 0, 7), Axis(8, 0, 7))
    assert all(fields[name] is None for name in list(model.sites)[1:])
