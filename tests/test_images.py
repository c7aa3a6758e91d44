import dataclasses
import hashlib

import numpy as np
import pytest

from microtome import images as images_module
from microtome.errors import BadImages
from microtome.images import Images, wrap
from microtome.preprocessing import Preprocessing
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


def test_an_image_that_cannot_be_read_stops_the_batches() -> None:
    def read(place: int) -> np.ndarray:
        if place == 5:
            raise OSError("image 5 is broken")
        return np.zeros((1, 2, 2), np.uint8)

    batches = dataclasses.replace(numbered(9), read=read).batches(2)
    assert [next(batches)[0].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="image 5 is broken"):
        next(batches)


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
