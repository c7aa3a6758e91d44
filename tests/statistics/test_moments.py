import numpy as np
import pytest
import torch

from feeding import LAYOUTS, Whole, cut, exact, feed, hashes_of
from microtome.statistics import ClassMeans, Firing, Moments

every_layout = pytest.mark.parametrize("layout", LAYOUTS)
LABELS = np.array([0, 2, -1, 2, 0] * 4)


@every_layout
def test_the_mean_is_that_of_all_images_and_positions(layout: str) -> None:
    values = exact(LAYOUTS[layout]())
    found = feed(Moments(), LAYOUTS[layout]()).compute()
    np.testing.assert_allclose(found.mean, values.mean((0, 2)), rtol=0, atol=1e-6 * np.abs(values).mean())


@every_layout
def test_the_standard_deviation_is_that_of_all_images_and_positions(layout: str) -> None:
    found = feed(Moments(), LAYOUTS[layout]()).compute()
    np.testing.assert_allclose(found.std, exact(LAYOUTS[layout]()).std((0, 2)), rtol=1e-6)


def test_the_count_is_images_times_positions() -> None:
    assert feed(Moments(), LAYOUTS["maps"]()).compute().count == 20 * 9 * 7


def test_a_constant_channel_has_no_deviation() -> None:
    assert feed(Moments(), torch.full((4, 1, 7, 7), 5.0)).compute().std == [0.0]


def test_the_deviation_of_a_far_off_channel_is_that_of_float32() -> None:
    """Sums of squares lose digits with (mean / deviation)^2 times the 6e-8 of float32."""
    far = torch.randn(50, 2, 8, 8, generator=torch.Generator().manual_seed(0)) + 20
    np.testing.assert_allclose(feed(Moments(), far).compute().std, exact(far).std((0, 2)), rtol=400 * 6e-8)


@every_layout
def test_the_firing_share_counts_positions_above_zero(layout: str) -> None:
    found = feed(Firing(), LAYOUTS[layout]()).compute()
    assert np.array_equal(found.share, (exact(LAYOUTS[layout]()) > 0).mean((0, 2)))


@every_layout
def test_firing_knows_the_largest_value(layout: str) -> None:
    found = feed(Firing(), LAYOUTS[layout]()).compute()
    assert np.array_equal(found.largest, exact(LAYOUTS[layout]()).max((0, 2)))


def test_zero_and_negative_zero_do_not_fire() -> None:
    assert feed(Firing(), torch.tensor([[0.0, -0.0, 1e-30]])).compute().share.tolist() == [0, 0, 1]


@every_layout
def test_class_means_average_the_positive_part_over_the_images_of_a_class(layout: str) -> None:
    response = np.maximum(exact(LAYOUTS[layout]()), 0).mean(2)
    found = feed(ClassMeans(classes=4), LAYOUTS[layout](), labels=LABELS).compute()
    expected = np.stack([response[LABELS == 0].mean(0), response[LABELS == 2].mean(0)])
    np.testing.assert_allclose(found.mean[[0, 2]], expected, rtol=2e-6)


def test_class_means_leave_out_images_without_a_label() -> None:
    assert feed(ClassMeans(classes=4), LAYOUTS["maps"](), labels=LABELS).compute().images.tolist() == [8, 0, 8, 0]


def test_a_class_without_images_has_no_mean() -> None:
    found = feed(ClassMeans(classes=4), LAYOUTS["maps"](), labels=LABELS).compute()
    assert np.isnan(found.mean).all(1).tolist() == [False, True, False, True]


def test_shuffled_class_means_are_those_of_shuffled_labels() -> None:
    tensor, shuffled = LAYOUTS["maps"](), Whole(LABELS, hashes_of(20)).shuffled_labels(3)
    found = feed(ClassMeans(classes=4, shuffle=3), tensor, cut(range(20), 3), labels=LABELS).compute()
    np.testing.assert_allclose(
        found.mean, feed(ClassMeans(classes=4), tensor, labels=shuffled).compute().mean, rtol=1e-12
    )
