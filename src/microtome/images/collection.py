"""Sets of images with stable ids, in the geometry of one network: 8-bit pictures, or tensors prepared for it."""

import dataclasses
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np

from ..checks import at_least
from ..errors import BadImages
from .preprocessing import Preprocessing

KEPT_BYTES = 1 << 30  # sets up to 1 GiB are decoded once and kept
DECODERS = 2  # threads; Pillow lets go of the interpreter while it decodes
AHEAD = 2  # batches decoded before they are asked for

Read = Callable[[int], np.ndarray]  # place in the set -> (C, H, W) uint8, or float32 that the network is given as it is
Display = Callable[[np.ndarray], np.ndarray]  # (C, H, W) float32 -> a picture of it, uint8
Batches = Iterator[tuple[np.ndarray, np.ndarray]]
Mark = Callable[[int], bytes]  # place in the set -> a few bytes that change with the image
Again = Callable[[Preprocessing], "Images"]  # the same images, opened once more in another geometry


def unmarked(_place: int) -> bytes:
    """The mark of images of whose content nothing is known."""
    return b""


@dataclass(frozen=True, kw_only=True)
class Images:
    """An ordered set of images: ids, labels, and a way to read each.

    `display` is there if the images are prepared for the network already, and makes pictures of them. An image that
    cannot be read is left out and said so in `broken`, or refused if the set is `strict`. `again` opens them for
    another network, where that can be done.
    Shapes: ids N; labels (N,) int64, -1 where unknown; `read(i)` gives (C, H, W) of the i-th image.
    """

    source: str
    ids: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    read: Read
    display: Display | None = None
    mark: Mark = unmarked
    labelling: str = "no labels"
    notes: tuple[str, ...] = ()
    strict: bool = False
    decoders: int = DECODERS
    again: Again | None = None
    _kept: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    _shuffled: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    _broken: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # shared by parts of a set

    def __post_init__(self) -> None:
        at_least("decoders", self.decoders, 1)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int) -> np.ndarray:
        """The display image at a place: (C, H, W) uint8.

        Raises: BadImages if it cannot be read.
        """
        pixels = self.pixels(place)
        return pixels if self.display is None else self.display(pixels)

    def pixels(self, place: int) -> np.ndarray:
        """What is normalised for the network, or is prepared already: (C, H, W) uint8 or float32.

        Raises: BadImages if the image cannot be read.
        """
        if place in self._kept:
            return self._kept[place]
        name = self.ids[place]
        if name in self._broken:
            raise self._unreadable(name)
        try:
            pixels = self.read(place)
        except MemoryError:
            raise  # the image may be well
        except Exception as error:  # whatever a decoder or somebody's data set raises
            self._broken.setdefault(name, _in_words(error))
            raise self._unreadable(name) from error
        if self._small:
            self._kept[place] = pixels
        return pixels

    @cached_property
    def _small(self) -> bool:
        item = np.dtype(np.uint8 if self.display is None else np.float32).itemsize
        return len(self) * int(np.prod(self.shape)) * item <= KEPT_BYTES

    @property
    def prepared(self) -> bool:
        """Whether the network is given these images as they are, without normalisation."""
        return self.display is not None

    @property
    def broken(self) -> dict[str, str]:
        """The images that could not be read so far, by id, and why; in the set's order."""
        return {name: self._broken[name] for name in self.ids if name in self._broken}

    def remember_broken(self, broken: Mapping[str, str]) -> None:
        """Take over which images could not be read, by id and reason, from when they were.

        Raises: BadImages if strict.
        """
        for name, reason in broken.items():
            self._broken.setdefault(name, reason)
        if self.strict and self.broken:
            raise self._unreadable(next(iter(self.broken)))

    def _unreadable(self, name: str) -> BadImages:
        rule = "A strict look needs every image" if self.strict else "Looks leave such images out"
        return BadImages(f"Image {name!r} of {self.source} cannot be read ({self._broken[name]})", rule,
                         "Mend or remove it" + (", or do without --strict" if self.strict else ""))  # fmt: skip

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
        """A short hash of each image's id, label and of what is known of its content: N."""
        texts = (f"{name}\n{label}\n".encode() for name, label in zip(self.ids, self.labels, strict=True))
        return tuple(
            hashlib.blake2b(text + self.mark(place), digest_size=8).hexdigest() for place, text in enumerate(texts)
        )

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of ids, labels and what is known of the content: sets with the same one count as the same."""
        return hashlib.blake2b("".join(self.marks).encode(), digest_size=8).hexdigest()

    def take(self, places: Sequence[int] | np.ndarray) -> "Images":
        """The images at these places, in this order."""
        chosen, again = np.asarray(places, dtype=np.int64), self.again
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            labels=self.labels[chosen],
            read=lambda place: self.pixels(int(chosen[place])),
            mark=lambda place: self.mark(int(chosen[place])),
            again=again and (lambda preprocessing: again(preprocessing).take(chosen)),
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

    def batches(self, size: int, places: Sequence[int] | np.ndarray | None = None) -> Batches:
        """Places (n,) and pixels (n, C, H, W) of one batch after the other; the next ones are decoded meanwhile.

        `places` says which images to go through, in which order. Batches are smaller by the images that cannot be
        read, and one without any is left out.
        Raises: BadImages if no image of the set can be read; if strict, at the first that cannot.
        """
        at_least("batch size", size, 1)
        wanted = np.arange(len(self)) if places is None else np.asarray(places, dtype=np.int64)
        groups = (wanted[start : start + size] for start in range(0, len(wanted), size))
        pool = ThreadPoolExecutor(self.decoders)
        decoding = (
            [pool.submit(self._read_all, share) for share in np.array_split(group, min(self.decoders, len(group)))]
            for group in groups
        )
        anything = False
        try:
            waiting = deque(islice(decoding, 1 + AHEAD))
            while waiting:
                found = [pair for share in waiting.popleft() for pair in share.result()]
                waiting.extend(islice(decoding, 1))
                if found:
                    anything = True
                    yield np.array([place for place, _ in found]), np.stack([pixels for _, pixels in found])
        finally:
            pool.shutdown(cancel_futures=True)
        if not anything and len(self):
            self.refuse_if_all_are_broken()

    def _read_all(self, places: np.ndarray) -> list[tuple[int, np.ndarray]]:
        found = []
        for place in places.tolist():
            try:
                found.append((place, self.pixels(place)))
            except BadImages:
                if self.strict:
                    raise
        return found

    def readable(self, places: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
        """The first `count` of these places whose images can be read: (n,) int64.

        Raises: BadImages if strict, at the first that cannot.
        """
        found = (place for place in np.asarray(places) if self._read_all(np.array([place])))
        return np.array(list(islice(found, count)), dtype=np.int64)

    def refuse_if_all_are_broken(self) -> None:
        """Raise BadImages if every image has been tried and none can be read."""
        broken = self.broken
        if set(broken) == set(self.ids):
            name, reason = next(iter(broken.items()))
            raise BadImages(
                f"None of the {len(self):,} images of {self.source} can be read (first {name!r}: {reason})",
                "An image set needs one image or more that can be read", "Check that these are images",
            )  # fmt: skip


def content_mark(array: np.ndarray) -> bytes:
    """A hash of an array's bytes: 8 bytes."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=8).digest()


def numbered_ids(name: str, places: Sequence[int], count: int) -> tuple[str, ...]:
    """Ids of images that have no names: their places in a set of `count`, with as many digits as the last needs."""
    digits = len(str(count - 1))
    return tuple(f"{name}/{place:0{digits}d}" for place in places)


def _in_words(error: Exception) -> str:
    """Why an image could not be read, without the path, which is another on every machine."""
    if isinstance(error, BadImages):
        return f"{error.given}; {error.allowed}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def wrap(
    source: str, pixels: np.ndarray, labels: np.ndarray, class_names: Sequence[str], preprocessing: Preprocessing
) -> Images:
    """An image set from an array in memory, brought to the network's geometry image by image.

    Shapes: pixels (N, H, W) or (N, H, W, 3) uint8; labels (N,).
    """
    from PIL import Image

    if len(pixels) == 0:
        raise BadImages(f"{source} holds no images", "An image set needs one image or more", "Check the path")
    return Images(
        source=source,
        ids=numbered_ids(source.partition(":")[0], range(len(pixels)), len(pixels)),
        labels=np.asarray(labels, dtype=np.int64),
        class_names=tuple(class_names),
        shape=preprocessing.shape,
        read=lambda place: preprocessing.geometry(Image.fromarray(pixels[place])),
        mark=lambda place: content_mark(pixels[place]),
        labelling="labels of the data set",
    )
