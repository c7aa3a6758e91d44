"""How pictures are written: colours measured from images, both ways of writing, and the range of the data."""

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.errors import UnknownName
from microtome.images.collection import wrap
from microtome.images.sources import open_images
from microtome.network.dreaming.canvas import CANVASES, canvas
from microtome.network.dreaming.palette import IMAGES, PIXELS, assumed, measured, of_pixels
from toys import Plain, noise, opened, seeded

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return opened(seeded(Plain), 16)


def correlated(model: mt.Model, count: int = 80) -> mt.Images:
    """Images whose red and green go together, and whose blue goes against them."""
    random = np.random.default_rng(1)
    base = random.normal(0, 40, (count, 16, 16, 1))
    pixels = 120 + base * [1, 0.8, -0.5] + random.normal(0, [5, 10, 8], (count, 16, 16, 3))
    return wrap("correlated", pixels.clip(0, 255).astype(np.uint8), np.zeros(count, int), ["all"], model.preprocessing)


def test_the_axes_of_colour_multiply_to_the_covariance_of_the_images(model) -> None:
    images = correlated(model)
    palette = measured(model, images)
    pixels = model.preprocessing.normalise(torch.from_numpy(np.stack([images[i] for i in range(len(images))])))
    flat = pixels.double().movedim(1, 0).flatten(1).numpy()
    covariance = np.cov(flat)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    error = 4 / np.sqrt(IMAGES * PIXELS)  # four standard errors of a covariance of so many pixels
    assert (np.abs(palette.root @ palette.root.T - covariance) <= error * np.sqrt(2) * scale).all()
    assert np.abs(np.corrcoef(flat)[np.triu_indices(3, 1)]).min() > 0.8
    np.testing.assert_allclose(palette.mean, flat.mean(1), atol=4 * flat.std() / np.sqrt(IMAGES * PIXELS))
    np.testing.assert_allclose([palette.low, palette.high], [[-1] * 3, [1] * 3])


def test_sampled_pixels_give_their_own_covariance_to_the_last_digits() -> None:
    pixels = np.random.default_rng(0).normal(size=(3, 3)) @ np.random.default_rng(1).normal(size=(3, 500))
    palette = of_pixels(pixels, np.full(3, -9.0), np.full(3, 9.0))
    np.testing.assert_allclose(palette.root @ palette.root.T, np.cov(pixels, bias=True), rtol=1e-3, atol=1e-3)


def test_grey_photographs_leave_every_colour_within_reach() -> None:
    pixels = np.repeat(np.random.default_rng(0).normal(size=(1, 500)), 3, 0)
    palette = of_pixels(pixels, np.full(3, -9.0), np.full(3, 9.0))
    assert np.linalg.cond(palette.root) < 1000


def test_the_range_of_prepared_images_is_measured(model) -> None:
    tensors = np.random.default_rng(0).uniform(-3, 7, (20, 3, 16, 16)).astype(np.float32)
    images = open_images([torch.from_numpy(each) for each in tensors], model.preprocessing)
    palette = measured(model, images)
    assert not palette.shown
    np.testing.assert_allclose([palette.low.min(), palette.high.max()], [tensors.min(), tensors.max()])


@pytest.mark.parametrize("kind", CANVASES)
@pytest.mark.parametrize("size", [(16, 16), (15, 22)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_comes_back_from_its_numbers(model, kind, size, channels) -> None:
    palette = measured(model, correlated(model))
    if channels == 1:
        palette = of_pixels(np.random.default_rng(0).normal(size=(1, 500)) / 2, np.array([-1.0]), np.array([1.0]))
    surface = canvas(kind, palette, size, CPU)
    images = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0)) * 1.9 - 0.95
    numbers = surface.numbers(images)
    assert numbers.shape[1:] == surface.shape()
    torch.testing.assert_close(surface.images(numbers), images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", CANVASES)
def test_no_number_leaves_the_range_of_the_data(model, kind) -> None:
    palette = measured(model, correlated(model))
    surface = canvas(kind, palette, (16, 16), CPU)
    numbers = 100 * torch.randn(2, *surface.shape(), generator=torch.Generator().manual_seed(0))
    surface.settle(numbers)
    finished = surface.finished(numbers)
    low, high = (torch.tensor(ends, dtype=torch.float32).view(-1, 1, 1) for ends in (palette.low, palette.high))
    assert (finished >= low).all() and (finished <= high).all()
    assert finished.max() > 0.9 and finished.min() < -0.9
    torch.testing.assert_close(finished, surface.images(numbers), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", CANVASES)
def test_a_start_is_faint_noise_around_the_mean_colour(model, kind) -> None:
    palette = measured(model, correlated(model))
    surface = canvas(kind, palette, (16, 16), CPU)
    start = surface.finished(torch.from_numpy(surface.noise(np.random.default_rng(0))[None]))[0].flatten(1)
    np.testing.assert_allclose(start.mean(1).numpy(), palette.mean, atol=0.1)
    assert 0 < float(start.std(1).max()) < 0.3


def test_without_images_colours_are_taken_to_be_independent(model) -> None:
    palette = assumed(model)
    assert np.count_nonzero(palette.root) == 3 and not palette.mean.any()


def test_low_frequencies_move_farther_than_high_ones(model) -> None:
    surface = canvas("fourier", assumed(model), (16, 16), CPU)
    numbers = torch.zeros(2, *surface.shape())
    numbers[0, 0, 1, 0, 0] = numbers[1, 0, 8, 0, 0] = 0.1
    slow, fast = (surface.images(numbers) - surface.images(torch.zeros_like(numbers))).flatten(1).std(1)
    assert slow > 4 * fast


def test_a_canvas_that_does_not_exist_is_refused(model) -> None:
    with pytest.raises(UnknownName, match="pixels, fourier"):
        canvas("wavelets", assumed(model), (16, 16), CPU)


def test_noise_images_have_no_common_axis(model) -> None:
    root = measured(model, noise(model, 40)).root
    covariance = root @ root.T
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.1 * covariance.max()


@pytest.mark.parametrize("kind", CANVASES)
@pytest.mark.parametrize("size", [(16, 16), (15, 23), (1, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gradient_is_pulled_back_as_autograd_does_it(kind, size, channels) -> None:
    random = np.random.default_rng(2)
    pixels = random.normal(size=(channels, channels)) @ random.normal(size=(channels, 500)) / 2
    surface = canvas(kind, of_pixels(pixels, np.full(channels, -1.0), np.full(channels, 2.0)), size, CPU)
    numbers = torch.randn(2, *surface.shape(), generator=torch.Generator().manual_seed(0)).requires_grad_()
    images = surface.images(numbers)
    gradient = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    (expected,) = torch.autograd.grad(images, [numbers], gradient)
    pulled = surface.pulled(images.detach(), gradient)
    torch.testing.assert_close(pulled, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
