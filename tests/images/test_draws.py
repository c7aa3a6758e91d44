"""Parts of image sets that are drawn: limits, splits, samples and shuffled labels."""

from collections import Counter

import numpy as np
import pytest

from microtome.errors import UsageError
from numbered import UNEVEN, numbered, shuffled_labels


@pytest.mark.parametrize("count", [1, 2, 7, 20, 55, 100, 199])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_limit_draws_from_every_class_in_proportion(count: int, seed: int) -> None:
    limited = numbered(200, shuffled_labels()).limit(count, seed)
    drawn = Counter(limited.labels.tolist())
    assert len(limited) == count
    for label, size in Counter(UNEVEN.tolist()).items():
        assert abs(drawn[label] - count * size / 200) <= 1


def test_a_limit_keeps_the_order_of_the_set() -> None:
    ids = numbered(200, shuffled_labels()).limit(60).ids
    assert list(ids) == sorted(ids) and len(set(ids)) == 60


def test_a_limit_with_the_same_seed_draws_the_same_images() -> None:
    images = numbered(200, shuffled_labels())
    assert images.limit(60, seed=4).ids == images.limit(60, seed=4).ids


def test_a_limit_with_another_seed_draws_other_images() -> None:
    images = numbered(200, shuffled_labels())
    assert images.limit(60, seed=4).ids != images.limit(60, seed=5).ids


def test_a_limit_of_images_without_labels_draws_from_all() -> None:
    places = [int(name[2:5]) for name in numbered(200).limit(50).ids]
    assert abs(np.mean(places) - 99.5) < 5 * 57.7 / np.sqrt(50)  # a uniform draw has deviation 57.7


@pytest.mark.parametrize("count", [200, 201])
def test_a_limit_that_is_no_limit_gives_the_set_itself(count: int) -> None:
    images = numbered(200)
    assert images.limit(count) is images


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        numbered(3).limit(0)
    assert str(caught.value) == "limit is 0. It must be 1 or more. Give limit a larger number."


def test_a_split_is_complete_and_disjoint() -> None:
    one, other = numbered(200).split("halves", 0.5)
    assert sorted(one.ids + other.ids) == list(numbered(200).ids)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_a_split_has_about_the_fraction_asked_for(fraction: float) -> None:
    one, _ = numbered(1000).split("part", fraction)
    assert abs(len(one) - 1000 * fraction) <= 4 * np.sqrt(1000 * fraction * (1 - fraction))


def test_an_image_in_a_subset_stays_on_its_side() -> None:
    images = numbered(200, shuffled_labels())
    side = set(images.split("halves", 0.5)[0].ids)
    subset = images.take(np.random.default_rng(0).permutation(200)[:80])
    assert set(subset.split("halves", 0.5)[0].ids) == side & set(subset.ids)


@pytest.mark.parametrize(("name", "seed"), [("other", 0), ("halves", 1)])
def test_another_name_or_seed_splits_otherwise(name: str, seed: int) -> None:
    images = numbered(200)
    both = set(images.split("halves", 0.5)[0].ids) & set(images.split(name, 0.5, seed)[0].ids)
    assert abs(len(both) - 50) < 5 * np.sqrt(200 * 0.25 * 0.75)  # independent: a quarter in both


@pytest.mark.parametrize("count", [1, 7, 20, 21])
def test_the_hash_limit_lets_through_as_many_images_as_asked_for(count: int) -> None:
    images = numbered(20)
    assert (images.hashes <= images.hash_limit(count)).sum() == min(count, 20)


def test_shuffled_labels_are_the_labels_in_another_order() -> None:
    images = numbered(200, shuffled_labels())
    shuffled = images.shuffled_labels(1)
    assert Counter(shuffled.tolist()) == Counter(images.labels.tolist())
    assert abs((shuffled == images.labels).mean() - 0.345) < 0.15  # chance agreement: 0.5^2 + 0.25^2 + ...


def test_images_without_a_label_get_none_by_shuffling() -> None:
    labels = np.where(np.arange(200) % 3 == 0, -1, UNEVEN)
    assert np.array_equal(numbered(200, labels).shuffled_labels(1) == -1, labels == -1)


def test_labels_are_shuffled_by_the_seed() -> None:
    one, other = numbered(200, UNEVEN), numbered(200, UNEVEN)
    assert np.array_equal(one.shuffled_labels(1), other.shuffled_labels(1))
    assert not np.array_equal(one.shuffled_labels(1), one.shuffled_labels(2))


def test_a_part_shuffles_its_own_labels() -> None:
    everything = numbered(200, UNEVEN)
    everything.shuffled_labels(1)
    part = everything.take(range(100, 160))
    assert Counter(part.shuffled_labels(1).tolist()) == Counter(UNEVEN[100:160].tolist())
