"""All that decides the numbers: which networks are trained, on how much, for how long."""

from dataclasses import dataclass, replace

from ....network.training import Recipe
from ....network.zoo import ZOO

TRUE, RANDOM = "true", "random"
NOTHING, FIRST, ALL = "nothing", "first", "all"  # which convolutions stay as they were drawn
OWN = "own"  # the data set that is trained on, beside the others

# Memory of its gradient lets 900 steps of 64 go as far as thousands of the published ones; with a higher rate the
# first layer stays where its profile is along lambda.
QUICK = Recipe(epochs=14, batch_size=64, optimizer="sgd", rate=0.01, momentum=0.9, schedule="constant", drop_last=True)
PUBLISHED = ZOO["vgg11"].recipe


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the numbers. `seeds` networks of every kind are trained, from `seed` on; but `residual`
    ResNet20s and `random` VGGs with random labels, `fixed` with no convolution that learns, and `elsewhere` on every
    other data set. They learn from `images` (0: all), and are tested on `held_out`. `full`: VGGs as wide as published.

    `draws` are random labels of the linear network, and random banks of filters.
    """

    epochs: int = QUICK.epochs
    seeds: int = 3
    random: int = 2
    residual: int = 2
    fixed: int = 1
    elsewhere: int = 1
    seed: int = 0
    images: int = 4000
    held_out: int = 2000
    full: bool = False
    draws: int = 1000

    @property
    def recipe(self) -> Recipe:
        """How every network is trained; the seed is that of each."""
        return replace(PUBLISHED if self.full else QUICK, epochs=self.epochs)


def settings_of(*, full: bool = False, **said: int) -> Settings:
    """The default, or the published schedule, with what is said otherwise."""
    if full:
        said = {"epochs": PUBLISHED.epochs, "random": 3, "residual": 3, "images": 0, "held_out": 0} | said
    return Settings(full=full, **said)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training: which network, on which data set with which labels, and which convolutions do not learn."""

    network: str
    seed: int
    labels: str = TRUE
    fixed: str = NOTHING
    data: str = OWN

    @property
    def name(self) -> str:
        """What its file is called."""
        fixed = "" if self.fixed == NOTHING else f"-fixed-{self.fixed}"
        data = "" if self.data == OWN else f"-{self.data}"
        return f"{self.network}{data}-{self.labels}{fixed}-{self.seed}"
