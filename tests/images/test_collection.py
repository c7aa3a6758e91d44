import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from microtome.errors import BadImages, UsageError
from microtome.images import collection as images_module
from microtome.images.collection import Images, wrap
from microtome.images.preprocessing import Preprocessing
from numbered import UNEVEN, numbered, shuffled_labels

GREY = Preprocessing(size=(6, 5), resize=0, mean=(0.0,), std=(1.0,))


def test_an_image_is_read_by_its_place() -> None:
    assert [int(numbered(5)[place][0, 0, 0]) for place in (3, 0)] == [3, 0]


def test_an_image_is_decoded_once() -> None:
    reads: list[int] = []
    images = numbered(3, reads=reads)
    _ = images[1], images[1], images.take([1])[0]
    assert reads == [1]


def test_sets_that_are_too_large_are_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "KEPT_BYTES", 3 * 4 - 1)
    reads: list[int] = []
    images = numbered(3, reads=reads)
    _ = images[1], images[1]
    assert reads == [1, 1]


@pytest.mark.parametrize(("labels", "expected"), [([-1, -1], False), ([-1, 0], True), ([2, 1], True)])
def test_one_label_makes_a_set_labelled(labels: list[int], expected: bool) -> None:
    assert numbered(2, np.array(labels)).labelled is expected


def test_hashes_are_the_first_bytes_of_blake2b_of_the_ids() -> None:
    expected = [int.from_bytes(hashlib.blake2b(f"n/{i:03d}.png".encode(), digest_size=8).digest(), "little")
                for i in range(4)]  # fmt: skip
    assert numbered(4).hashes.tolist() == expected


def test_ids_labels_and_hashes_go_with_the_images_that_are_taken() -> None:
    everything = numbered(200, shuffled_labels())
    part = everything.take([7, 150, 3])
    assert part.ids == ("n/007.png", "n/150.png", "n/003.png")
    assert part.labels.tolist() == everything.labels[[7, 150, 3]].tolist()
    assert part.hashes.tolist() == everything.hashes[[7, 150, 3]].tolist()
    assert [int(part[place][0, 0, 0]) for place in range(3)] == [7, 150, 3]


def test_a_part_of_a_part_reads_the_same_images() -> None:
    part = numbered(9).take([8, 6, 4, 2]).take([3, 1])
    assert [int(part[place][0, 0, 0]) for place in range(2)] == [2, 6]


def test_a_part_keeps_its_own_images_in_memory() -> None:
    everything = numbered(4)
    part = everything.take([3, 2])
    for place in (0, 1):
        assert int(everything[place][0, 0, 0]) == place
        assert int(part[place][0, 0, 0]) == 3 - place


def test_a_fingerprint_stays_the_same() -> None:
    assert numbered(20, UNEVEN[:20]).fingerprint == numbered(20, UNEVEN[:20].copy()).fingerprint


@pytest.mark.parametrize("other", [numbered(19), numbered(20, UNEVEN[90:110]), numbered(20).take(range(20)[::-1])])
def test_other_ids_labels_or_order_have_another_fingerprint(other: Images) -> None:
    assert other.fingerprint != numbered(20).fingerprint


@pytest.mark.parametrize("size", [1, 4, 10, 15])
def test_batches_hold_what_direct_reading_gives(size: int) -> None:
    images = numbered(10)
    seen = []
    for places, pixels in images.batches(size):
        assert len(places) <= size and pixels.shape == (len(places), 1, 2, 2)
        assert np.array_equal(pixels, np.stack([images[place] for place in places]))
        seen += places.tolist()
    assert seen == list(range(10))


def test_an_empty_set_has_no_batches() -> None:
    assert list(numbered(3).take([]).batches(2)) == []


@pytest.mark.parametrize("places", [[3, 1, 1, 8, 0], np.array([5]), range(4, 9), []])
def test_batches_go_through_the_places_that_are_asked_for_in_their_order(places: Sequence[int]) -> None:
    found = list(numbered(9).batches(2, places))
    assert [place for batch, _ in found for place in batch.tolist()] == list(places)
    assert all((pixels == batch[:, None, None, None]).all() for batch, pixels in found)
    assert [len(batch) for batch, _ in found] == [2] * (len(places) // 2) + [1] * (len(places) % 2)


@pytest.mark.parametrize("decoders", [1, 3])
def test_only_a_few_batches_are_decoded_ahead(decoders: int) -> None:
    reads: list[int] = []
    batches = dataclasses.replace(numbered(60, reads=reads), decoders=decoders).batches(4)
    next(batches)
    next(batches)
    batches.close()
    assert len(reads) <= 4 * (2 + images_module.AHEAD)


def test_the_number_of_decoders_changes_nothing() -> None:
    one, many = (list(dataclasses.replace(numbered(23), decoders=n).batches(4)) for n in (1, 7))
    for (places, pixels), (others, same) in zip(one, many, strict=True):
        assert np.array_equal(places, others) and np.array_equal(pixels, same)


@pytest.mark.parametrize(("what", "value"), [("decoders", 0), ("batch size", 0)])
def test_fewer_than_one_is_refused(what: str, value: int) -> None:
    with pytest.raises(UsageError) as caught:
        list(numbered(3).batches(value)) if what == "batch size" else dataclasses.replace(numbered(3), decoders=value)
    assert str(caught.value) == f"{what} is 0. It must be 1 or more. Give {what} a larger number."


def test_other_content_has_another_fingerprint() -> None:
    pixels = np.zeros((3, 6, 5), np.uint8)
    before = wrap("noise", pixels.copy(), np.zeros(3), ["a"], GREY).fingerprint
    assert wrap("noise", pixels, np.zeros(3), ["a"], GREY).fingerprint == before
    pixels[2, 5, 4] = 1
    changed = wrap("noise", pixels, np.zeros(3), ["a"], GREY)
    assert changed.fingerprint != before
    whole = wrap("noise", np.zeros((3, 6, 5), np.uint8), np.zeros(3), ["a"], GREY)
    assert changed.take([2]).fingerprint != whole.take([2]).fingerprint
    assert changed.take([1]).fingerprint == whole.take([1]).fingerprint


def test_batches_may_be_left_early() -> None:
    for places, _ in numbered(50).batches(4):
        assert places.tolist() == [0, 1, 2, 3]
        break


def test_an_array_is_wrapped_in_the_geometry_of_the_network() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)
    images = wrap("noise:here", pixels, np.arange(12), ["a"] * 12, GREY)
    assert images.shape == (1, 6, 5)
    assert np.array_equal(np.stack([images[place] for place in range(12)]), pixels[:, None])


def test_wrapped_images_are_numbered_under_the_name_of_their_source() -> None:
    images = wrap("noise:here", np.zeros((11, 6, 5), np.uint8), np.zeros(11), ["a"], GREY)
    assert images.ids[0] == "noise/00" and images.ids[-1] == "noise/10"


def test_a_wrapped_colour_image_becomes_grey_for_a_grey_network() -> None:
    red = np.zeros((1, 6, 5, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    assert wrap("red", red, np.zeros(1), ["a"], GREY)[0].tolist() == [[[76] * 5] * 6]  # 0.299 * 255


def test_an_empty_array_is_refused() -> None:
    with pytest.raises(BadImages) as caught:
        wrap("noise", np.zeros((0, 6, 5), np.uint8), np.zeros(0), [], GREY)
    assert str(caught.value) == "noise holds no images. An image set needs one image or more. Check the path."
