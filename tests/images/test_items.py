"""Items as they are fetched: by place, by one thread at a time, or all at once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from handed import COLOUR, PICTURES, Made, Stream, pil, whole
from microtome.errors import BadImages
from microtome.images import items as items_module
from microtome.images.sources import open_images


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_stream_is_read_once_into_memory(wrapped: bool) -> None:
    stream = Stream([(pil(i), i) for i in range(12)])
    images = open_images(DataLoader(stream, batch_size=3) if wrapped else stream, COLOUR)
    stream.items = []
    assert np.array_equal(whole(images), PICTURES) and images.labels.tolist() == list(range(12))
    assert images.notes[-1] == "Stream gives its images one after the other: they were read once, into memory"


def test_a_stream_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "KEPT_BYTES", 5 * 90)
    with pytest.raises(BadImages) as caught:
        open_images(Stream([pil(i) for i in range(6)]), COLOUR)
    assert str(caught.value) == (
        "The first 6 images of Stream take more than 450 bytes. A data set without places is read into memory, up to "
        "this size. Give a data set with __getitem__ and __len__, or fewer images."
    )
    assert len(open_images(Stream([pil(i) for i in range(5)]), COLOUR)) == 5


def test_a_stream_that_raises_is_refused() -> None:
    def items() -> Iterator[Image.Image]:
        yield pil(0)
        raise OSError("line cut")

    with pytest.raises(BadImages) as caught:
        open_images(Stream(items()), COLOUR)
    assert str(caught.value) == (
        "Stream raised OSError after 1 items (line cut). A data set without places is read from its beginning to its "
        "end. Read it yourself to see the error."
    )


def test_an_item_of_a_stream_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    pil(0).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-40])
    with Image.open(tmp_path / "a.png") as torn:
        images = open_images(Stream([pil(0), torn, "text", pil(1)]), COLOUR)
    assert [places.tolist() for places, _ in images.batches(9)] == [[0, 3]]
    assert list(images.broken) == ["dataset/1", "dataset/2"]


def test_items_are_asked_for_by_one_thread_at_a_time() -> None:
    inside, most = [], []

    def item(place: int) -> Image.Image:
        inside.append(place)
        found = pil(place).resize((400, 400)).resize((5, 6))
        most.append(len(inside))
        inside.remove(place)
        return found

    images = open_images(Made(60, item), COLOUR, decoders=6)
    assert sum(len(places) for places, _ in images.batches(12)) == 60
    assert max(most) == 1
