"""Images that cannot be read: left out and said so, or refused; and odd ones that can be read."""

import dataclasses
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from microtome.errors import BadImages
from microtome.images.collection import Images
from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import open_images
from numbered import numbered

COLOUR = Preprocessing(size=(8, 8), resize=0, mean=(0.0,) * 3, std=(1.0,) * 3)
PICTURE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def jpeg(**how: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG", quality=95, **how)
    return stream.getvalue()


def broken(count: int, *places: int, **how: object) -> Images:
    """Numbered images, of which those at `places` raise."""
    images = numbered(count, **how)

    def read(place: int) -> np.ndarray:
        if place in places:
            raise ValueError(f"number {place} is bad")
        return images.read(place)

    return dataclasses.replace(images, read=read)


def seen(images: Images, size: int = 2) -> list[list[int]]:
    return [places.tolist() for places, _ in images.batches(size)]


@pytest.mark.parametrize("decoders", [1, 2, 5])
def test_batches_go_on_without_the_images_that_cannot_be_read(decoders: int) -> None:
    images = dataclasses.replace(broken(9, 1, 4, 5), decoders=decoders)
    assert seen(images) == [[0], [2, 3], [6, 7], [8]]
    assert all((pixels == places[:, None, None, None]).all() for places, pixels in images.batches(4))


@pytest.mark.parametrize("decoders", [1, 2, 5])
def test_broken_images_are_known_by_id_and_reason_in_the_sets_order(decoders: int) -> None:
    images = dataclasses.replace(broken(9, 7, 2), decoders=decoders)
    assert images.broken == {}
    seen(images, size=9)
    assert list(images.broken.items()) == [
        ("n/002.png", "ValueError: number 2 is bad"), ("n/007.png", "ValueError: number 7 is bad"),
    ]  # fmt: skip


def test_a_broken_image_is_tried_once() -> None:
    reads: list[int] = []
    images = numbered(3, reads=reads)

    def read(place: int) -> np.ndarray:
        images.read(place)
        raise ValueError("bad")

    failing = dataclasses.replace(images, read=read)
    for _ in range(2):
        with pytest.raises(BadImages):
            failing[1]
    assert reads == [1]


def test_a_broken_image_cannot_be_shown() -> None:
    with pytest.raises(BadImages) as caught:
        broken(3, 1)[1]
    assert str(caught.value) == (
        "Image 'n/001.png' of numbers cannot be read (ValueError: number 1 is bad). Looks leave such images out. "
        "Mend or remove it."
    )


@pytest.mark.parametrize("decoders", [1, 3])
def test_a_strict_set_refuses_at_the_first(decoders: int) -> None:
    images = dataclasses.replace(broken(9, 5, 4, 7), strict=True, decoders=decoders)
    batches = images.batches(2)
    assert [next(batches)[0].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(BadImages) as caught:
        next(batches)
    assert str(caught.value) == (
        "Image 'n/004.png' of numbers cannot be read (ValueError: number 4 is bad). A strict look needs every image. "
        "Mend or remove it, or do without --strict."
    )


def test_a_set_of_which_nothing_can_be_read_is_refused() -> None:
    with pytest.raises(BadImages) as caught:
        seen(broken(3, 0, 1, 2))
    assert str(caught.value) == (
        "None of the 3 images of numbers can be read (first 'n/000.png': ValueError: number 0 is bad). "
        "An image set needs one image or more that can be read. Check that these are images."
    )


def test_places_of_which_none_can_be_read_are_no_error_if_others_can() -> None:
    images = broken(4, 1, 2)
    assert list(images.batches(2, places=[1, 2])) == []


def test_a_part_knows_its_own_broken_images_only() -> None:
    images = broken(6, 1, 4)
    part = images.take([4, 5, 3])
    assert seen(part, size=9) == [[1, 2]]
    assert list(part.broken) == ["n/004.png"] and list(images.broken) == ["n/004.png"]
    seen(images)
    assert list(part.broken) == ["n/004.png"] and list(images.broken) == ["n/001.png", "n/004.png"]


def test_a_part_of_a_strict_set_is_strict() -> None:
    part = dataclasses.replace(broken(6, 4), strict=True, decoders=1).take([4, 5])
    assert part.strict and part.decoders == 1
    with pytest.raises(BadImages, match=r"'n/004\.png' of numbers cannot be read \(ValueError: number 4 is bad\)"):
        seen(part)


def test_too_little_memory_is_no_fault_of_the_image() -> None:
    def read(place: int) -> np.ndarray:
        raise MemoryError

    images = dataclasses.replace(numbered(3), read=read)
    with pytest.raises(MemoryError):
        seen(images)
    assert images.broken == {}


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: path.write_bytes(jpeg()[:-80]), "image file is truncated"),
    "a text": (lambda path: path.write_text("dear"), "no image that Pillow can identify"),
    "empty": (lambda path: path.write_bytes(b""), "the file is empty"),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "gone": (lambda path: None, "No such file or directory"),
    "a bomb": (
        lambda path: path.write_bytes(b"P5 30000 30000 255 "),
        "DecompressionBombError: Image size (900000000 pixels) exceeds limit",
    ),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_bad_file_is_left_out_with_its_reason_and_without_its_path(what: str, tmp_path: Path) -> None:
    write, reason = BAD_FILES[what]
    write(tmp_path / "bad.jpg")
    (tmp_path / "good.jpg").write_bytes(jpeg())
    images = open_images([tmp_path / "bad.jpg", tmp_path / "good.jpg"], COLOUR)
    assert seen(images) == [[1]]
    assert images.broken["bad.jpg"].startswith(reason) and str(tmp_path) not in images.broken["bad.jpg"]


def test_a_damaged_png_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[60] ^= 255
    (tmp_path / "a.png").write_bytes(bytes(content))
    Image.fromarray(PICTURE).save(tmp_path / "b.png")
    images = open_images(str(tmp_path), COLOUR)
    assert seen(images) == [[1]] and list(images.broken) == ["a.png"]


def test_strict_is_asked_for_when_a_set_is_opened(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("dear")
    with pytest.raises(BadImages, match=r"Image 'bad\.jpg' of .* cannot be read \(no image that Pillow can identify\)"):
        seen(open_images(str(tmp_path), COLOUR, strict=True))


def test_a_photograph_is_not_turned_by_its_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    (tmp_path / "turned.jpg").write_bytes(jpeg(exif=exif))
    (tmp_path / "plain.jpg").write_bytes(jpeg())
    plain, turned = open_images(str(tmp_path), COLOUR)[0], open_images(str(tmp_path), COLOUR)[1]
    assert np.array_equal(plain, turned)


def test_a_palette_with_transparency_is_read_without_a_warning_in_its_colours(tmp_path: Path) -> None:
    palette = Image.fromarray(PICTURE).quantize(16)
    palette.save(tmp_path / "p.png", transparency=bytes(range(0, 256, 16)))
    with Image.open(tmp_path / "p.png") as again:
        assert again.mode == "P" and isinstance(again.info["transparency"], bytes)
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(open_images(str(tmp_path), COLOUR)[0], expected)


def test_sixteen_bit_grey_is_cut_at_255(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 10
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(open_images(str(tmp_path), COLOUR)[0][1], np.minimum(grey, 255))


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_warning_of_pillow_changes_nothing(action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # 64 pixels: enough for a warning, not for an error
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        images = open_images(str(tmp_path), COLOUR)
        assert seen(images) == [[0]] and images.broken == {}


def test_files_are_not_completed_by_guessing() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
