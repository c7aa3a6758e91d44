"""Against torchvision's own preset for classification, which works on colour images as its folder loader reads them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.functional import pil_to_tensor

from microtome.errors import BadImages
from microtome.images.preprocessing import Preprocessing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = {"landscape": (127, 83), "portrait": (83, 127), "square": (90, 90), "long": (301, 40), "small": (37, 29),
         "tall and small": (18, 53)}  # fmt: skip


def picture(mode: str = "RGB", size: tuple[int, int] = (127, 83)) -> Image.Image:
    """Noise: so that a shift by one pixel or another filter is seen everywhere."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(noise[..., 0]))
        return image
    return image.convert(mode)


def prepared(image: Image.Image, preprocessing: Preprocessing) -> torch.Tensor:
    """The one image as the network is given it, (C, H, W)."""
    return preprocessing.normalise(torch.from_numpy(preprocessing.geometry(image).copy())[None])[0]


def of_torchvision(image: Image.Image, preprocessing: Preprocessing) -> torch.Tensor:
    preset = ImageClassification(
        crop_size=preprocessing.size[0], resize_size=preprocessing.resize, mean=preprocessing.mean,
        std=preprocessing.std, interpolation=InterpolationMode(preprocessing.interpolation),
    )  # fmt: skip
    return preset(image)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("resize", [40, 64, 83])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("crop", [33, 64])
def test_images_of_any_form_come_out_as_from_torchvision(
    size: tuple[int, int], resize: int, interpolation: str, crop: int
) -> None:
    ours = Preprocessing(size=(crop, crop), resize=resize, mean=MEAN, std=STD, interpolation=interpolation)
    image = picture(size=size)
    assert torch.equal(prepared(image, ours), of_torchvision(image, ours))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA", "CMYK", "YCbCr", "I;16"])
def test_images_of_any_mode_come_out_as_colours(mode: str) -> None:
    ours = Preprocessing(size=(64, 64), resize=70, mean=MEAN, std=STD)
    image = picture(mode if mode != "I;16" else "L").convert(mode)
    assert torch.equal(prepared(image, ours), of_torchvision(image.convert("RGB"), ours))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_a_network_of_one_channel_is_given_grey(mode: str) -> None:
    ours = Preprocessing(size=(28, 28), resize=30, mean=(0.13,), std=(0.31,))
    assert torch.equal(prepared(picture(mode), ours), of_torchvision(picture(mode).convert("L"), ours))


@pytest.mark.parametrize("short_by", range(9))
@pytest.mark.parametrize("upright", [False, True])
def test_an_image_smaller_than_the_crop_is_padded_as_by_torchvision(short_by: int, upright: bool) -> None:
    image = picture(size=(40 - short_by, 51) if upright else (51, 40 - short_by))
    ours = Preprocessing(size=(40, 40), resize=0, mean=MEAN, std=STD)
    assert np.array_equal(ours.geometry(image), pil_to_tensor(CenterCrop(40)(image)).numpy())


@pytest.mark.parametrize("size", [(20, 30), (30, 20), (21, 31), (150, 20)])
def test_a_crop_need_not_be_square(size: tuple[int, int]) -> None:
    ours = Preprocessing(size=size, resize=0, mean=MEAN, std=STD)
    assert np.array_equal(ours.geometry(picture()), pil_to_tensor(CenterCrop(size)(picture())).numpy())


def test_without_resizing_an_image_of_the_right_size_stays_as_it_is() -> None:
    ours = Preprocessing(size=(83, 127), resize=0, mean=MEAN, std=STD)
    assert np.array_equal(ours.geometry(picture()), np.asarray(picture()).transpose(2, 0, 1))


def test_the_image_that_was_given_is_left_as_it_was() -> None:
    image = picture("P")
    Preprocessing(size=(20, 20), resize=30, mean=MEAN, std=STD).geometry(image)
    assert image.size == (127, 83) and image.mode == "P"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_display_image_is_a_writable_array_of_its_own(channels: int) -> None:
    shown = Preprocessing(size=(20, 20), resize=30, mean=(0.5,) * channels, std=(1.0,) * channels).geometry(picture())
    assert shown.shape == (channels, 20, 20) and shown.dtype == np.uint8
    assert shown.flags.writeable and shown.flags.c_contiguous


def test_the_shape_is_that_of_the_networks_input() -> None:
    grey = Preprocessing(size=(20, 30), resize=0, mean=(0.5,), std=(0.25,))
    assert (grey.channels, grey.shape) == (1, (1, 20, 30))


def test_normalised_numbers_are_those_of_the_formula() -> None:
    ours = Preprocessing(size=(1, 2), resize=0, mean=(0.5,), std=(0.25,))
    assert ours.normalise(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist() == [[[[-2.0, 2.0]]]]


def test_floating_point_is_prepared_and_passes_unchanged() -> None:
    given = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert Preprocessing(size=(4, 5), resize=0, mean=MEAN, std=STD).normalise(given) is given


def test_a_network_of_two_channels_takes_no_pictures() -> None:
    with pytest.raises(BadImages) as caught:
        Preprocessing(size=(4, 5), resize=0, mean=(0.0, 0.0), std=(1.0, 1.0)).geometry(picture())
    assert str(caught.value) == (
        "The network takes 2 channels, which a picture cannot give it. Pictures have 1 channel (grey) or 3 (colours). "
        "Give tensors of floating point, prepared for the network."
    )


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_of_any_kind_is_dropped(mode: str, channels: int, tmp_path: Path) -> None:
    transparency = {"P": bytes(range(256)), "L": 7, "RGB": (1, 2, 3)}[mode]
    picture(mode).save(tmp_path / "a.png", transparency=transparency)
    ours = Preprocessing(size=(83, 127), resize=0, mean=(0.0,) * channels, std=(1.0,) * channels)
    with Image.open(tmp_path / "a.png") as image:
        assert "transparency" in image.info
        assert np.array_equal(ours.geometry(image), ours.geometry(picture(mode)))


@pytest.mark.parametrize(
    ("resize", "text"),
    [
        (64, "resize 64 (bilinear), crop 56 x 48, 3 channels, mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225)"),
        (0, "crop 56 x 48, 3 channels, mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225)"),
    ],
)  # fmt: skip
def test_in_words_it_says_every_step(resize: int, text: str) -> None:
    assert str(Preprocessing(size=(56, 48), resize=resize, mean=MEAN, std=STD)) == text


@pytest.mark.data
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_photographs_come_out_as_from_torchvision(interpolation: str, data_folder: Path) -> None:
    ours = Preprocessing(size=(224, 224), resize=256, mean=MEAN, std=STD, interpolation=interpolation)
    for path in sorted((data_folder / "imagenet500").rglob("*.jpg"))[::80]:
        with Image.open(path) as image:
            assert torch.equal(prepared(image, ours), of_torchvision(image.convert("RGB"), ours))
