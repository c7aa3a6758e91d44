"""What every channel of one site makes of one picture: the maps themselves, and what rectifier and pool throw away."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ..checks import at_least
from ..errors import UnknownName
from ..figures import columns_of, new_figure, sheet, short, signed_to_colour
from ..formulas.pooling import energy_share_lost
from ..images.collection import Images
from ..images.picture import Given, open_picture
from ..network.activations import activations
from ..network.open import Model, open_model
from ..network.specimen import Specimen
from ..network.stages import pool_loss, stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEPARATED = 150  # grey of the lines between the maps of a figure
LOST_IN = {"after": "rectifier", "pool": "pool"}  # whose doing the share beside a stage is
WORDS = {"before": "before the rectifier", "after": "after the rectifier", "pool": "after the pool"}
SMALLEST = 32  # pixels of a map's longer side in the figure
SHEET_INCHES = 6.0  # width and greatest height of one sheet in the figure


@dataclass(frozen=True, kw_only=True)
class ActivationSheet:
    """The maps of every channel, or of one unit, by stage: `before` the rectifier, `after` it, after the `pool`.

    Stages that there are not are left out; `after` is always there.
    Shapes: maps and sites by stage, (C, h, w) float32 and an address; lost by stage (C,), the share of energy (sum of
    squares) that this stage's operation threw away, NaN where there was none; channels (C,) which they are.
    """

    model: str
    picture: str
    site: str
    channels: np.ndarray
    maps: dict[str, np.ndarray]
    sites: dict[str, str]
    lost: dict[str, np.ndarray]

    @property
    def scale(self) -> float:
        """The largest magnitude over all stages: where colours are full."""
        return max(float(np.abs(maps).max()) for maps in self.maps.values())

    def share_lost(self, stage: str) -> float:
        """The mean share of energy lost at a stage over the channels that had any; NaN without."""
        known = self.lost[stage][~np.isnan(self.lost[stage])] if stage in self.lost else np.zeros(0)
        return float(known.mean()) if len(known) else float("nan")

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines: by stage, and by channel."""
        found = []
        for stage, maps in self.maps.items():
            energy = np.square(maps, dtype=np.float64).sum((1, 2))
            found.append({
                "stage": stage, "site": self.sites[stage], "shape": list(maps.shape), "lowest": float(maps.min()),
                "highest": float(maps.max()), "energy": energy.tolist(), "largest": maps.max((1, 2)).tolist(),
                "lost": [None if np.isnan(x) else float(x) for x in self.lost[stage]] if stage in self.lost else None,
            })  # fmt: skip
        return {"model": self.model, "picture": self.picture, "site": self.site, "channels": self.channels.tolist(),
                "stages": found}  # fmt: skip

    def plot(self) -> "Figure":
        """One sheet a stage, in one scale; white is 0, orange above, blue below, growing with the root of the value."""
        count = len(self.maps)
        columns = columns_of(len(self.channels))
        lines = -(-len(self.channels) // columns)
        figure = new_figure(1, count, size=(SHEET_INCHES * count, SHEET_INCHES * min(1.2, lines / columns) + 1.0))
        figure.suptitle(f"{self.model} · {self.site} · {self.picture}")
        for axes, (stage, maps) in zip(figure.axes, self.maps.items(), strict=True):
            levels = np.sign(maps) * np.sqrt(np.abs(maps) / (self.scale or 1.0))
            # one more value fixes the scale at 1, whatever the stage's own largest value is
            colours = signed_to_colour(np.append(levels.ravel(), 1.0)[None], per=0)[0, :-1].reshape(*maps.shape, 3)
            zoom = max(1, SMALLEST // max(maps.shape[1:]))  # or the lines would be as wide as the maps
            picture = sheet(colours.repeat(zoom, 1).repeat(zoom, 2), columns, background=SEPARATED)
            axes.imshow(picture, interpolation="antialiased")
            high = zoom * maps.shape[1] + 1
            axes.set_yticks(np.arange(lines) * high + high / 2 - 1, self.channels[::columns], fontsize=7)
            axes.set_xticks([])
            axes.tick_params(length=0)
            axes.set_title(self._title(stage), fontsize=10)
        return figure

    def _title(self, stage: str) -> str:
        words = WORDS[stage] if "before" in self.maps or stage == "pool" else "the maps"
        share = self.share_lost(stage)
        mean = " (mean of channels)" if len(self.channels) > 1 else ""
        lost = "" if np.isnan(share) else f"\n{share:.0%} of the energy thrown away{mean}"
        return f"{words} ({self.sites[stage]}), full colour at {short(self.scale)}{lost}"


def maps(
    model: Model | nn.Module | str, image: Given, site: str, unit: int | None = None, *, images: Images | None = None
) -> ActivationSheet:
    """What every channel of a site, or one unit, makes of one picture, before and after its rectifier and pool.

    `image` is a place in `images`, a path, a Pillow image, an array, or a stimulus such as "line:45"; `site` a layer,
    any other site, or a container.
    Raises: UnknownName for a site, unit or stimulus that does not exist; BadImages.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    found = stages(opened.sites, site)
    picture = open_picture(image, opened.preprocessing, images)
    answers = activations(opened, picture.pixels[None], found.addresses.values())
    seen = {stage: answers[address] for stage, address in found.addresses.items()}
    lost = {}
    if found.before:
        lost["after"] = energy_share_lost(seen["before"].energy[0], seen["after"].energy[0])
    if found.pool:
        lost["pool"] = pool_loss(Specimen(model=opened), found, seen["after"].values[0])
    count = seen["after"].values.shape[1]
    chosen = np.arange(count) if unit is None else np.array([_checked(unit, count, site)])
    return ActivationSheet(
        model=opened.name, picture=picture.name, site=opened.sites.resolve(site), channels=chosen,
        maps={stage: answer.values[0][chosen] for stage, answer in seen.items()}, sites=found.addresses,
        lost={stage: shares[chosen] for stage, shares in lost.items()},
    )  # fmt: skip


def _checked(unit: int, count: int, site: str) -> int:
    if 0 <= at_least("unit", unit, 0) < count:
        return unit
    raise UnknownName(
        f"Unit {unit} of {site} does not exist",
        f"Its units are 0 to {count - 1}",
        "Units count from 0: give one of them",
    )
