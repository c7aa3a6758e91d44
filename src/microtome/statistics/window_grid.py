"""Where a kernel stands on an image: how many windows it has, and which rows and columns they take."""

from dataclasses import dataclass

import numpy as np

from ..errors import RunFailed, UsageError

Pair = tuple[int, int]  # one number for rows, one for columns


@dataclass(frozen=True, kw_only=True)
class WindowGrid:
    """The windows of a convolution, as its kernel size, stride, padding and dilation lay them: (rows, columns) each.

    Raises: UsageError for anything but pairs of whole numbers that a convolution can have.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            given = getattr(self, name)
            whole = isinstance(given, tuple) and all(isinstance(number, int | np.integer) for number in given)
            if not whole or len(given) != 2 or min(given) < least:
                raise UsageError(
                    f"The {name} of windows is {given!r}",
                    f"It must be two whole numbers, for rows and columns, of {least} or more each",
                    f"Give {name}=({max(least, 1)}, {max(least, 1)}), say, or what the convolution at hand has",
                )

    @property
    def reach(self) -> Pair:
        """How far the last pixel of a window is from the first."""
        rows, columns = ((size - 1) * step for size, step in zip(self.kernel, self.dilation, strict=True))
        return rows, columns

    def counts(self, height: int, width: int) -> Pair:
        """How many windows stand below each other, and how many beside each other.

        Raises: RunFailed if the image is too small for one.
        """
        found = [
            (side + 2 * padding - reach - 1) // stride + 1
            for side, padding, reach, stride in zip((height, width), self.padding, self.reach, self.stride, strict=True)
        ]
        if min(found) < 1:
            needed = " x ".join(str(reach + 1) for reach in self.reach)
            raise RunFailed(
                f"Images of {height} x {width} pixels, padded by {self.padding[0]} and {self.padding[1]}, were given",
                f"A window takes {needed} pixels",
                "Give larger images or ask for a smaller kernel",
            )
        return found[0], found[1]

    def members(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows are the a-th of a window, and which columns are the e-th of one: padding is neither.

        Shapes: (kh, H), (kw, W), bool. Raises: RunFailed if the image is too small for one.
        """
        counts, sides = self.counts(height, width), (height, width)
        found = [np.zeros((size, side), bool) for size, side in zip(self.kernel, sides, strict=True)]
        for axis, member in enumerate(found):
            first = np.arange(counts[axis]) * self.stride[axis] - self.padding[axis]
            for offset, row in enumerate(member):
                places = first + offset * self.dilation[axis]
                row[places[(places >= 0) & (places < sides[axis])]] = True
        return found[0], found[1]
