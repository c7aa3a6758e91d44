"""The covariance of patches beside one of patches that are really taken out."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from feeding import cut, feed
from microtome.errors import RunFailed, UsageError
from microtome.statistics import Accumulator, PatchCovariance, Patches, patches_of

IMAGES, HEIGHT, WIDTH = 40, 12, 10


def images(channels: int = 3, count: int = IMAGES, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Smooth ones, so that patches have large and small variances, around other means by channel."""
    noise = torch.randn((count, channels, height + 2, width + 2), generator=torch.Generator().manual_seed(0))
    return functional.avg_pool2d(noise, 3, stride=1) + torch.arange(channels).float()[:, None, None] / 4


def unfolded(pixels: Tensor, request: PatchCovariance) -> np.ndarray:
    """All patches, taken out one by one: (P, D)."""
    patches = functional.unfold(pixels.double(), request.kernel, request.dilation, request.padding, request.stride)
    return patches.movedim(1, 2).flatten(0, 1).numpy()


def assert_patches_are(found: Patches, patches: np.ndarray, rtol: float = 1e-12) -> None:
    """Equal, relative to the largest entry; with NumPy's covariance as the other opinion."""
    expected = np.cov(patches.T, bias=True).reshape(patches.shape[1], -1)
    np.testing.assert_allclose(found.covariance, expected, rtol=0, atol=rtol * np.abs(expected).max())
    np.testing.assert_allclose(found.mean, patches.mean(0), rtol=0, atol=rtol * np.abs(patches).max())


def batch_by_batch(request: PatchCovariance, pixels: Tensor, size: int, into: Accumulator | None = None) -> Accumulator:
    return feed(request, pixels, cut(range(len(pixels)), size), into=into)


KERNELS = [((1, 1), 1), ((3, 3), 1), ((3, 3), 2), ((5, 5), 1), ((5, 5), 2), ((7, 7), 2), ((3, 3), 3), ((2, 5), 1),
           ((4, 1), 2), ((1, 7), 3)]  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_bands_count_every_patch(kernel: tuple[int, int], stride: int, padding: int, channels: int) -> None:
    request = PatchCovariance(kernel=kernel, stride=(stride, stride), padding=(padding, padding))
    found = patches_of(images(channels), request)
    patches = unfolded(images(channels), request)
    assert_patches_are(found, patches)
    assert (found.count, found.images, found.shape) == (len(patches), IMAGES, (channels, *kernel))
    assert found.exact and found.method == "bands"


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 3)])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [((3, 3), (1, 1), (2, 2)), ((3, 3), (2, 1), (2, 2)), ((2, 4), (3, 2), (2, 1)), ((3, 2), (1, 1), (1, 4)),
     ((5, 3), (1, 2), (2, 3))],
)  # fmt: skip
def test_bands_follow_stride_padding_and_dilation_of_rows_and_columns(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: tuple[int, int]
) -> None:
    request = PatchCovariance(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    assert_patches_are(patches_of(images(), request), unfolded(images(), request))


@pytest.mark.parametrize(("kernel", "padding"), [((12, 10), (0, 0)), ((11, 3), (0, 0)), ((14, 3), (1, 4))])
def test_bands_go_as_far_as_the_image(kernel: tuple[int, int], padding: tuple[int, int]) -> None:
    request = PatchCovariance(kernel=kernel, padding=padding)
    assert_patches_are(patches_of(images(), request), unfolded(images(), request))


@pytest.mark.parametrize("width", [1, 5, 23, 90])
def test_bands_count_every_patch_of_narrow_and_of_wide_images(width: int) -> None:
    pixels, request = images(width=width), PatchCovariance(kernel=(3, 1 if width == 1 else 3))
    assert_patches_are(patches_of(pixels, request), unfolded(pixels, request))


@pytest.mark.parametrize("method", ["bands", "windows"])
@pytest.mark.parametrize(
    "layout", [torch.Tensor.half, torch.Tensor.double, lambda x: x.contiguous(memory_format=torch.channels_last),
               lambda x: x.movedim(1, 3).contiguous().movedim(3, 1), lambda x: x[..., ::2], lambda x: (9 * x).int()],
    ids=["float16", "float64", "channels last", "moved", "every second column", "whole numbers"],
)  # fmt: skip
def test_patches_may_come_in_any_layout(layout: object, method: str) -> None:
    pixels = layout(images())
    request = PatchCovariance(kernel=(3, 3), method=method)
    assert_patches_are(patches_of(pixels, request), unfolded(pixels, request))


def test_more_images_than_are_worked_on_at_a_time_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    request = PatchCovariance(kernel=(3, 3))
    monkeypatch.setattr("microtome.statistics.row_bands.LAID_BYTES", 1)
    one_by_one = patches_of(images(), request)
    monkeypatch.setattr("microtome.statistics.row_bands.LAID_BYTES", 12 * 14 * 3 * 8 * 7)  # 7 images, the last 5
    assert_patches_are(one_by_one, unfolded(images(), request))
    assert_patches_are(patches_of(images(), request), unfolded(images(), request))


REQUESTS = [
    PatchCovariance(kernel=(3, 3)),
    PatchCovariance(kernel=(3, 2), stride=(2, 1), padding=(1, 1)),
    PatchCovariance(kernel=(3, 3), method="windows", windows=1200),
]
each_request = pytest.mark.parametrize("request_", REQUESTS, ids=["bands", "strided", "windows"])


@each_request
@pytest.mark.parametrize("size", [1, 7, 40])
def test_batches_shards_and_merging_come_to_the_same(request_: PatchCovariance, size: int) -> None:
    whole = feed(request_, images()).compute()
    shards = [request_.start() for _ in range(3)]
    for shard, places in zip(shards, np.split(np.arange(IMAGES), [9, 10]), strict=True):
        feed(request_, images(), [places[part] for part in cut(range(len(places)), size)], into=shard)
    shards[2].merge(shards[0])
    shards[2].merge(shards[1])
    for found in (batch_by_batch(request_, images(), size).compute(), shards[2].compute()):
        assert (found.count, found.images) == (whole.count, IMAGES)
        np.testing.assert_allclose(found.mean, whole.mean, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.covariance, whole.covariance, rtol=0, atol=1e-12 * whole.covariance.max())


def test_a_convolution_with_an_eigenvector_has_its_eigenvalue_as_variance() -> None:
    found = patches_of(images(), PatchCovariance(kernel=(3, 3)))
    variances, vectors = np.linalg.eigh(found.covariance)
    filters = torch.from_numpy(vectors.T.reshape(-1, *found.shape).copy())
    outputs = functional.conv2d(images().double(), filters).movedim(1, 0).flatten(1)
    np.testing.assert_allclose(outputs.var(1, correction=0), variances, rtol=1e-10)
    np.testing.assert_allclose(torch.cov(outputs, correction=0), np.diag(variances), atol=1e-12 * variances[-1])


def test_channels_come_first_in_a_patch_as_in_a_filter() -> None:
    """Filters made of eigenvectors as if channels came last do not separate the outputs."""
    found = patches_of(images(), PatchCovariance(kernel=(3, 3)))
    variances, vectors = np.linalg.eigh(found.covariance)
    wrong = torch.from_numpy(vectors.T.reshape(-1, 3, 3, 3).transpose(0, 3, 1, 2).copy())
    outputs = functional.conv2d(images().double(), wrong).movedim(1, 0).flatten(1)
    assert np.abs(outputs.var(1, correction=0).numpy() / variances - 1).max() > 0.5


@pytest.mark.parametrize(("offset", "rtol"), [(10, 1e-12), (1e4, 1e-6)])
def test_an_offset_costs_no_more_than_the_digits_it_takes(offset: float, rtol: float) -> None:
    """Squares are summed about zero: of 16 digits 2 log10(mean / deviation) go, 0.6 of them for pixels in 0..1."""
    pixels = images().double()
    request = PatchCovariance(kernel=(3, 3))
    moved = patches_of(pixels + offset, request)
    expected = patches_of(pixels, request).covariance
    np.testing.assert_allclose(moved.covariance, expected, rtol=0, atol=rtol * expected.max())
    np.testing.assert_array_less(np.abs(moved.covariance - expected), moved.rounding)


def test_sums_of_many_pixels_keep_their_digits() -> None:
    """Beside NumPy's sum by halves, of five million squares that are all above zero."""
    pixels = torch.rand((20_000, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    sums = feed(PatchCovariance(kernel=(1, 1)), pixels).state()
    assert sums["products"].item() == pytest.approx(np.square(pixels.double().numpy()).sum(), rel=1e-14)


def test_what_is_rounding_is_below_what_a_patch_says_of_it() -> None:
    """Grey pictures stored in colours, each scaled and moved in float32: two thirds of the eigenvalues are rounding."""
    request = PatchCovariance(kernel=(3, 3))
    scale, offset = torch.tensor([[0.9], [1.1], [1.3]]), torch.tensor([[5.0], [-2.1], [0.3]])
    grey = patches_of(images(1) * scale[..., None] + offset[..., None], request)
    variances = np.linalg.eigvalsh(grey.covariance)[::-1]
    assert variances[8] > 1e6 * grey.rounding and np.abs(variances[9:]).max() < grey.rounding
    constant = patches_of(torch.full((9, 3, 8, 8), 0.3), request)
    assert np.abs(np.linalg.eigvalsh(constant.covariance)).max() < constant.rounding


def test_large_images_are_drawn_from_unless_bands_are_asked_for() -> None:
    cifar, imagenet = (3, 32, 32), (3, 224, 224)
    assert [PatchCovariance(kernel=(k, k)).draws_from(cifar) for k in (3, 7)] == [False, False]
    assert [PatchCovariance(kernel=(k, k)).draws_from(imagenet) for k in (3, 7)] == [True, True]
    assert PatchCovariance(kernel=(3, 3), method="windows").draws_from(cifar)
    assert not PatchCovariance(kernel=(3, 3), method="bands").draws_from(imagenet)
    pixels = images(1, count=2, height=500, width=400)
    drawn = patches_of(pixels, PatchCovariance(kernel=(3, 3), windows=1001))
    assert (drawn.method, drawn.count) == ("windows", 2 * 501)
    exact = PatchCovariance(kernel=(3, 3), method="bands")
    assert patches_of(pixels, exact).method == "bands"
    assert_patches_are(patches_of(pixels, exact), unfolded(pixels, exact))


def test_only_what_does_not_depend_on_the_size_of_the_set_grows() -> None:
    grows = {method: PatchCovariance(kernel=(3, 3), method=method).grows for method in ("auto", "bands", "windows")}
    assert grows == {"auto": False, "bands": True, "windows": False}


def refused(pixels: Tensor, request: PatchCovariance) -> str:
    with pytest.raises(RunFailed) as caught:
        patches_of(pixels, request)
    return str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("method", ["bands", "windows"])
def test_pixels_that_are_not_finite_are_refused(value: float, method: str) -> None:
    pixels = images()
    pixels[3, 1, 0, 0] = pixels[17, 2, 4, 5] = value
    assert refused(pixels, PatchCovariance(kernel=(3, 3), method=method, windows=40)) == (
        "2 of 14,400 pixels are NaN or infinite, the first of them in image 3. A covariance needs finite numbers. "
        "Look at that image (images count from 0) and at the preprocessing."
    )


@pytest.mark.parametrize("method", ["bands", "windows"])
def test_images_smaller_than_a_window_are_refused(method: str) -> None:
    request = PatchCovariance(kernel=(3, 5), dilation=(1, 3), padding=(1, 1), method=method)
    assert refused(images(), request) == (
        "Images of 12 x 10 pixels, padded by 1 and 1, were given. A window takes 3 x 13 pixels. "
        "Give larger images or ask for a smaller kernel."
    )


def test_one_patch_has_no_covariance() -> None:
    assert refused(images(count=1), PatchCovariance(kernel=(12, 10))) == (
        "1 patch was seen, in 1 image. A covariance needs 2 patches or more. Give more images, or larger ones."
    )


def test_what_is_no_image_is_refused() -> None:
    assert refused(torch.ones(4, 3), PatchCovariance(kernel=(3, 3))) == (
        "Patches were asked for where tensors have the shape (4, 3). A patch is taken from images, channels, rows and "
        "columns. Measure at the input of a convolution over two axes, such as conv1:in."
    )


def test_images_of_two_sizes_are_refused() -> None:
    request = PatchCovariance(kernel=(3, 3))
    accumulator = feed(request, images())
    for channels, width in ((3, 11), (1, 10)):
        other = feed(request, images(channels, width=width))
        other.merge(feed(request, images(channels, width=width)))
        with pytest.raises(RunFailed) as caught:
            other.merge(accumulator)
            other.compute()
        shapes = sorted([(3, 12, 10), (channels, 12, width)])
        assert str(caught.value) == (
            f"Images of {shapes[0]} and of {shapes[1]} were given, as channels, rows and columns. "
            "Patches are put together from images of one shape. Bring the images to one size."
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"kernel": (0, 3)},
      "The kernel of windows is (0, 3). It must be two whole numbers, for rows and columns, of 1 or more each. "
      "Give kernel=(1, 1), say, or what the convolution at hand has."),
     ({"kernel": (3, 3), "padding": "same"},
      "The padding of windows is 'same'. It must be two whole numbers, for rows and columns, of 0 or more each. "
      "Give padding=(1, 1), say, or what the convolution at hand has."),
     ({"kernel": (3, 3), "stride": (1, 2, 3)},
      "The stride of windows is (1, 2, 3). It must be two whole numbers, for rows and columns, of 1 or more each. "
      "Give stride=(1, 1), say, or what the convolution at hand has."),
     ({"kernel": (3, 3), "dilation": (1, 0.5)},
      "The dilation of windows is (1, 0.5). It must be two whole numbers, for rows and columns, of 1 or more each. "
      "Give dilation=(1, 1), say, or what the convolution at hand has."),
     ({"kernel": (3, 3), "method": "fft"},
      "The method is 'fft'. There are: auto, bands, windows. Give \"auto\" unless you know better."),
     ({"kernel": (3, 3), "windows": 0},
      "0 windows were asked for. It must be 1 or more. Give a larger number, such as 2,000,000.")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        PatchCovariance(**settings)
    assert str(caught.value) == message
