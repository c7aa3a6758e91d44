"""How pictures are grown: which canvas, which moves, how many steps; usual settings for small and large pictures."""

from dataclasses import dataclass

from ...checks import at_least
from .canvas import Kind
from .transforms import SMALL, Transforms, preset


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of the loop.

    `rate` is Adam's, which falls to 0 over the last share `cooling` of the steps; `variation` weighs the mean
    difference of neighbouring pixels, in half ranges; the first `warm` steps of a rectified unit raise the value before
    its rectifier; dead starts, and pictures that reach less than the data, are begun again `restarts` times; what was
    reached is measured on `copies` moved copies. `spread` says how little the strongest place of a map weighs beside
    its mean: much of it fills the picture, which a spectrum needs, whose numbers are about all places at once.
    """

    canvas: Kind
    transforms: Transforms
    steps: int
    rate: float
    variation: float
    cooling: float = 0.5
    spread: float = 0.0
    warm: int = 10
    restarts: int = 2
    copies: int = 16

    def __post_init__(self) -> None:
        for name in ("steps", "copies"):
            at_least(name, getattr(self, name), 1)
        for name in ("warm", "restarts"):
            at_least(name, getattr(self, name), 0)

    def rate_at(self, step: int) -> float:
        """Adam's rate at a step from 0."""
        return self.rate * min(1.0, (self.steps - step) / max(1e-9, self.cooling * self.steps))


def usual(size: tuple[int, int]) -> Recipe:
    """Pixels for small pictures; a spectrum for large ones, whose pixels alone would give noise."""
    if min(size) < SMALL:
        return Recipe(canvas="pixels", transforms=preset(size), steps=128, rate=0.3, variation=0.1)
    return Recipe(
        canvas="fourier", transforms=preset(size), steps=128, rate=0.075, variation=0.0, cooling=0.0, spread=0.5
    )
