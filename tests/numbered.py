"""Images that are known in full, and take down when they are read."""

import numpy as np

from microtome.images.collection import Images

UNEVEN = np.repeat([0, 1, 2, 3], [100, 50, 30, 20])


def numbered(count: int, labels: np.ndarray | None = None, reads: list[int] | None = None) -> Images:
    """Images whose pixels are their own number; `reads` takes down every decoding."""

    def read(place: int) -> np.ndarray:
        if reads is not None:
            reads.append(place)
        return np.full((1, 2, 2), place, np.uint8)

    return Images(
        source="numbers", ids=tuple(f"n/{i:03d}.png" for i in range(count)), class_names=("a", "b", "c", "d"),
        labels=np.full(count, -1) if labels is None else labels, shape=(1, 2, 2), read=read,
    )  # fmt: skip


def shuffled_labels() -> np.ndarray:
    return np.random.default_rng(2).permutation(UNEVEN)
