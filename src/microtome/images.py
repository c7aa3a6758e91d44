"""Sets of images with stable ids: decoded to 8-bit display images, in the geometry of one network."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .checks import at_least
from .errors import BadImages
from .preprocessing import Preprocessing

KEPT_BYTES = 1 << 30  # sets up to 1 GiB of 8-bit pixels are decoded once and kept
DECODERS = 2  # threads; Pillow lets go of the interpreter while it decodes

Read = Callable[[int], np.ndarray]  # place in the source -> (C, H, W) uint8


@dataclass(frozen=True, kw_only=True)
class Images:
    """An ordered set of images: ids, labels, and a way to read each.

    Shapes: ids N; labels (N,) int64, -1 where unknown; `read(i)` gives (C, H, W) uint8 of the i-th image.
    """

    source: str
    ids: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    read: Read
    labelling: str = "no labels"
    notes: tuple[str, ...] = ()
    _kept: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    _shuffled: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int) -> np.ndarray:
        """The display image at a place: (C, H, W) uint8."""
        if place not in self._kept:
            pixels = self.read(place)
            if len(self) * int(np.prod(self.shape)) > KEPT_BYTES:
                return pixels
            self._kept[place] = pixels
        return self._kept[place]

    @property
    def labelled(self) -> bool:
        """Whether any image has a label."""
        return bool((self.labels >= 0).any())

    @cached_property
    def hashes(self) -> np.ndarray:
        """A 64-bit hash of every id, the same on any machine: (N,) uint64."""
        digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in self.ids)
        return np.frombuffer(digests, dtype="<u8").astype(np.uint64)

    @cached_property
    def _sorted_hashes(self) -> np.ndarray:
        return np.sort(self.hashes)

    def hash_limit(self, count: int) -> np.uint64:
        """The largest of the `count` lowest hashes: images up to it are a random sample, the same for everybody."""
        return self._sorted_hashes[min(count, len(self)) - 1]

    def shuffled_labels(self, seed: int) -> np.ndarray:
        """The labels, shuffled among the labelled images: (N,)."""
        if seed not in self._shuffled:
            shuffled, known = self.labels.copy(), self.labels >= 0
            shuffled[known] = np.random.default_rng(seed).permutation(self.labels[known])
            self._shuffled[seed] = shuffled
        return self._shuffled[seed]

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """A short hash of each image's id and label."""
        texts = (f"{name}\n{label}" for name, label in zip(self.ids, self.labels, strict=True))
        return tuple(hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in texts)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of ids and labels: two sets with the same one are taken for the same."""
        digest = hashlib.blake2b("\n".join(self.ids).encode(), digest_size=8)
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    def take(self, places: Sequence[int] | np.ndarray) -> "Images":
        """The images at these places, in this order."""
        chosen = np.asarray(places, dtype=np.int64)
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            labels=self.labels[chosen],
            read=lambda place: self[int(chosen[place])],
            _kept={},
            _shuffled={},
        )

    def limit(self, count: int, seed: int = 0) -> "Images":
        """At most `count` images, drawn by a seeded shuffle, from every class in proportion; in the set's order."""
        at_least("limit", count, 1)
        if count >= len(self):
            return self
        shuffled = np.random.default_rng(seed).permutation(len(self))
        rank_in_class = np.empty(len(self))
        for label in np.unique(self.labels):
            members = shuffled[self.labels[shuffled] == label]
            rank_in_class[members] = (np.arange(len(members)) + 0.5) / len(members)
        # ordered by their quantile within the class, any beginning of the list holds the classes in proportion
        order = shuffled[np.argsort(rank_in_class[shuffled], kind="stable")]
        return self.take(np.sort(order[:count]))

    def split(self, name: str, fraction: float, seed: int = 0) -> tuple["Images", "Images"]:
        """Two parts, the first of about `fraction`; each image's side is decided by a hash of its id alone."""
        keys = (hashlib.blake2b(f"{name}/{seed}/{i}".encode(), digest_size=8).digest() for i in self.ids)
        inside = np.array([int.from_bytes(key, "little") / 2**64 < fraction for key in keys])
        return self.take(np.flatnonzero(inside)), self.take(np.flatnonzero(~inside))

    def batches(self, size: int, places: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Places (n,) and pixels (n, C, H, W) of one batch after the other; the next is decoded meanwhile.

        All images in their order, or those at `places`.
        """
        wanted = np.arange(len(self)) if places is None else places
        with ThreadPoolExecutor(DECODERS) as pool:

            def order(start: int) -> tuple[np.ndarray, list[Future[list[np.ndarray]]]]:
                some = wanted[start : start + size]
                shares = np.array_split(some, min(DECODERS, len(some)))
                return some, [pool.submit(self._read_all, share) for share in shares]

            waiting = order(0) if len(wanted) else None
            start = 0
            while waiting is not None:
                some, shares = waiting
                start += size
                waiting = order(start) if start < len(wanted) else None
                yield some, np.stack([pixels for share in shares for pixels in share.result()])

    def _read_all(self, places: np.ndarray) -> list[np.ndarray]:
        return [self[int(place)] for place in places]


def wrap(
    source: str, pixels: np.ndarray, labels: np.ndarray, class_names: Sequence[str], preprocessing: Preprocessing
) -> Images:
    """An image set from an array in memory, brought to the network's geometry image by image.

    Shapes: pixels (N, H, W) or (N, H, W, 3) uint8; labels (N,).
    """
    from PIL import Image

    if len(pixels) == 0:
        raise BadImages(f"{source} holds no images", "An image set needs one image or more", "Check the path")
    digits = len(str(len(pixels) - 1))
    return Images(
        source=source,
        ids=tuple(f"{source.partition(':')[0]}/{i:0{digits}d}" for i in range(len(pixels))),
        labels=np.asarray(labels, dtype=np.int64),
        class_names=tuple(class_names),
        shape=preprocessing.shape,
        read=lambda place: preprocessing.geometry(Image.fromarray(pixels[place])),
        labelling="labels of the data set",
    )
