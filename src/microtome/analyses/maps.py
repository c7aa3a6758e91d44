"""What each channel makes of one picture: its maps before the rectifier, after it, and after the pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..analysis import Analysis, Jobs, Measure, Pass, Result, Steps, at, each, setting
from ..cards import Card, Column, Crops, Finding, Pictures, Sheet, Sheets, Table, layer_link
from ..figures import levels_to_colour, new_figure, short, to_levels
from ..formulas.pooling import energy_share_lost
from ..formulas.stimuli import STIMULI, stimulus
from ..network.activations import activations
from ..network.specimen import Effort, Specimen
from ..network.stages import Stages, pool_loss, stages
from ..statistics import Moments
from ..statistics.maps import Maps as MapsOf
from ..statistics.maps import MapsAnswer, smaller

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES: dict[Effort, int] = {"quick": 1, "normal": 2, "full": 4}
SHOWN: dict[Effort, tuple[str, ...]] = {
    "quick": (),
    "normal": (*(name for name in STIMULI if name.startswith("line")), "dot", "blank"),
    "full": STIMULI,
}
SHEET_PIXELS = 20_000  # of all maps of a layer on one picture: a run of 4,000 units stays within a few megabytes
SMALLEST, LARGEST = 6, 28  # pixels of one map's longer side
SCALED = 0.999  # of a layer's values lie within its colour scale; one outlier must not make all others pale
SYMMETRIC = 0.5  # of its energy is what a signal that is symmetric around 0 loses in a rectifier
WORDS = {"before": "before the rectifier", "after": "after the rectifier", "pool": "after the pool"}
ALONE = "where its units are read"  # the one stage of a layer without rectifier
THUMBNAIL = 64  # pixels of a stimulus on the first page

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class MapsResult(Result):
    """Everything by layer, U its units.

    Shapes: samples, k places in the image set; names, their ids; stimuli, s names. maps: by stage (before, after,
    pool; where there is one) int8 (k, U, h, w), sign(x) sqrt(|x| / scale) 127, clipped at 127; drawn: the same after
    the rectifier on the stimuli, (s, U, h, w). Layers without positions have neither. lost: by stage, the share
    of energy that it threw away, (k, U), on the samples. discards (U,): the rectifier's share over all images, NaN
    without; discarded: the same for the layer as a whole. size (H, W) of the pictures.
    """

    samples: np.ndarray
    names: tuple[str, ...]
    stimuli: tuple[str, ...]
    maps: dict[str, ByLayer]
    drawn: ByLayer
    scale: dict[str, float]
    lost: dict[str, ByLayer]
    discards: ByLayer
    discarded: dict[str, float]
    images: int
    size: tuple[int, int]

    def findings(self) -> list[Finding]:
        known = {layer: share for layer, share in self.discarded.items() if not np.isnan(share)}
        if not known:
            return []
        worst = max(known, key=lambda layer: known[layer])
        return [Finding(
            sentence=f"The rectifier behind {worst} throws away {known[worst]:.0%} of its input's energy, the largest "
            f"share of any layer (median {np.median(list(known.values())):.0%})",
            number=known[worst], weight=0.1 + 0.5 * max(0.0, known[worst] - SYMMETRIC),
            link=layer_link(worst, "sort=rectifier+discards"),
            control=f"a signal that is symmetric around 0 would lose {SYMMETRIC:.0%}",
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        known = {layer: shares for layer, shares in self.discards.items() if not np.isnan(self.discarded[layer])}
        return [Column(name="rectifier discards", values=known, kind="share",
                       how_to_read="Share of the energy (sum of squares over all images) that the rectifier sets to "
                       "zero; half of a signal that is symmetric around 0.")] if known else []  # fmt: skip

    def cards(self) -> list[Card]:
        return [self._table(), *self._pictures(), *(self._sheets(layer) for layer in self.maps)]

    def _table(self) -> Card:
        rows = tuple(
            (layer, *(_percent(value) for value in (share, *_quartiles(self.discards[layer]))), self._pool_share(layer))
            for layer, share in self.discarded.items()
        )
        header = ("layer", "rectifier", "its units: lower quartile", "upper quartile", "pool, median map")
        return Card(
            title="What rectifiers and pools throw away",
            how_to_read=f"Shares of the energy (sum of squares). Rectifier: over {self.images:,} images. Pool: on the "
            "pictures below, what is neither a largest value of a window nor in the windows' means.",
            content=Table(header=header, rows=rows, links=tuple(layer_link(layer) for layer in self.discarded)),
            control=f"A rectifier throws away {SYMMETRIC:.0%} of a signal that is symmetric around 0.",
        )

    def _pool_share(self, layer: str) -> str:
        shares = self.lost.get(layer, {}).get("pool", np.zeros(0))
        return _percent(float(np.median(shares[~np.isnan(shares)]))) if (~np.isnan(shares)).any() else "–"

    def _pictures(self) -> list[Card]:
        if not self.maps:
            return []
        whole = np.tile([0, 0, *self.size], (len(self.samples), 1))
        cards = [Card(
            title="The pictures behind the maps",
            how_to_read="What the sheets of maps on the layer pages were made of; drawn by a hash of their ids.",
            content=Crops(index=self.samples, boxes=whole, captions=np.array(self.names)),
        )]  # fmt: skip
        if self.stimuli:
            drawn = [stimulus(name, (THUMBNAIL, THUMBNAIL), 3).transpose(1, 2, 0) for name in self.stimuli]
            cards.append(Card(
                title="The stimuli behind the maps", how_to_read="Drawn pictures whose content is known exactly.",
                content=Pictures(pixels=np.stack(drawn), captions=self.stimuli),
            ))  # fmt: skip
        return cards

    def _sheets(self, layer: str) -> Card:
        views: list[Sheet] = []
        alone = "before" not in self.maps[layer]
        for place, name in enumerate(self.names):
            for stage, maps in self.maps[layer].items():
                shares = self.lost[layer].get(stage)
                caption = f"{name} · {ALONE if alone and stage == 'after' else WORDS[stage]}"
                lost = None if shares is None else shares[place]
                views.append(Sheet(pixels=levels_to_colour(maps[place]), caption=caption, lost=lost,
                                   index=int(self.samples[place])))  # fmt: skip
        for place, name in enumerate(self.stimuli):
            caption = f"{name} · {ALONE if alone else WORDS['after']}"
            views.append(Sheet(pixels=levels_to_colour(self.drawn[layer][place]), caption=caption))
        half = f"A rectifier throws away {SYMMETRIC:.0%} of a signal that is symmetric around 0."
        return Card(
            title="Maps", layer=layer, section="sees", control="" if alone else half,
            how_to_read="What the units make of one picture, in order. White is 0, orange above, blue below; one scale "
            f"for the whole layer: full colour from {short(self.scale[layer])} on, half of it at a quarter. The share "
            "is what the last step threw away of the energy.",
            content=Sheets(views=tuple(views)),
        )  # fmt: skip

    def plot(self) -> "Figure":
        """What the rectifiers throw away through the layers: the layer as a whole, and the middle half of its units."""
        figure = new_figure(size=(max(5.0, 0.3 * len(self.discarded)), 3.6))
        axes, depth = figure.axes[0], np.arange(len(self.discarded))
        quartiles = np.array([_quartiles(shares) for shares in self.discards.values()])
        axes.fill_between(depth, quartiles[:, 0], quartiles[:, 1], alpha=0.25, label="middle half of units")
        axes.plot(depth, list(self.discarded.values()), "o", label="whole layer")
        axes.axhline(SYMMETRIC, linestyle="--", color="grey", label="symmetric signal")
        axes.set_xticks(depth, list(self.discarded), rotation=90, fontsize=7)
        axes.set(ylim=(0, 1), ylabel="share of energy the rectifier discards")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Maps(Analysis):
    """What does each channel make of one picture?"""

    topic = "units"
    result = MapsResult

    samples: int = setting(0, help="images of the set shown; 0: as many as the effort allows (1, 2 or 4)")

    def steps(self, specimen: Specimen) -> Steps:
        images = specimen.need_images(self.name)
        where = {layer: stages(specimen.sites, layer) for layer in specimen.reading()}
        shown = {k: found for k, found in where.items() if np.prod(specimen.sites[found.after].extent) > 1}
        count = min(self.samples or SAMPLES[specimen.effort], len(images))
        places = np.sort(images.readable(np.argsort(images.hashes, kind="stable"), count))
        stimuli = SHOWN[specimen.effort] if shown else ()
        answers = yield Pass(_wishes(specimen, where, shown, tuple(int(place) for place in places)))
        on_stimuli: list[ByLayer] = []
        if stimuli:
            on_stimuli = yield Jobs(
                key="maps of stimuli", items=stimuli,
                function=lambda names: [_on_stimulus(specimen, shown, name) for name in names],
            )  # fmt: skip
        layers = {k: _layer(specimen, k, found, answers, on_stimuli) for k, found in shown.items()}
        shares = {layer: _discards(specimen, layer, answers) for layer in where}
        by_name = {name: {k: got[name] for k, got in layers.items()} for name in ("maps", "drawn", "scale", "lost")}
        return MapsResult(
            samples=places, names=tuple(images.ids[place] for place in places), stimuli=stimuli, images=len(images),
            size=specimen.model.preprocessing.size, discards={layer: units for layer, (units, _) in shares.items()},
            discarded={layer: whole for layer, (_, whole) in shares.items()}, **by_name,
        )  # fmt: skip


def side_of(units: int) -> int:
    """The longer side of one map, so that the sheet of a layer stays small."""
    return int(np.clip(np.sqrt(SHEET_PIXELS / units), SMALLEST, LARGEST))


def _wishes(
    specimen: Specimen, where: Mapping[str, Stages], shown: Mapping[str, Stages], places: tuple[int, ...]
) -> dict[str, Measure]:
    """What to measure: the maps of every stage on the samples, and energies around rectifiers on all images."""
    wishes = {}
    for layer, found in shown.items():
        for stage, address in found.addresses.items():
            # what a pool throws away is read off whole maps
            side = 0 if stage == "after" and found.pool else side_of(specimen.sites[layer].units)
            wishes[f"{stage} {layer}"] = at(address, MapsOf(places=places, side=side))
    rectified = {layer: found for layer, found in where.items() if found.before}
    wishes["energy before"] = each({layer: str(found.before) for layer, found in rectified.items()}, Moments())
    wishes["energy after"] = each({layer: found.after for layer, found in rectified.items()}, Moments())
    return wishes


def _on_stimulus(specimen: Specimen, shown: Mapping[str, Stages], name: str) -> ByLayer:
    """The small maps after the rectifier on one stimulus, by layer: (U, h, w)."""
    preprocessing = specimen.model.preprocessing
    pixels = stimulus(name, preprocessing.size, preprocessing.channels)
    found = activations(specimen.model, pixels[None], [stages.after for stages in shown.values()])
    return {layer: _small(specimen, layer, found[stages.after].values)[0] for layer, stages in shown.items()}


def _layer(
    specimen: Specimen, layer: str, found: Stages, answers: Mapping[str, Any], on_stimuli: list[ByLayer]
) -> dict[str, Any]:
    """Maps of one layer in steps of colour, their scale, and what the stages threw away on the samples."""
    seen: dict[str, MapsAnswer] = {stage: answers[f"{stage} {layer}"] for stage in found.addresses}
    values = {stage: _small(specimen, layer, answer.values) for stage, answer in seen.items()}
    drawn = np.stack([maps[layer] for maps in on_stimuli]) if on_stimuli else np.zeros_like(values["after"][:0])
    magnitudes = np.abs(np.concatenate([part.ravel() for part in (*values.values(), drawn)]))
    scale = float(np.quantile(magnitudes, SCALED)) or float(magnitudes.max()) or 1.0
    lost = {}
    if found.before:
        lost["after"] = energy_share_lost(seen["before"].energy, seen["after"].energy)
    if found.pool:
        lost["pool"] = np.stack([pool_loss(specimen, found, maps) for maps in seen["after"].values])
    levels = {stage: to_levels(maps, scale) for stage, maps in values.items()}
    return {"maps": levels, "drawn": to_levels(drawn, scale), "scale": scale, "lost": lost}


def _small(specimen: Specimen, layer: str, maps: np.ndarray) -> np.ndarray:
    return smaller(torch.from_numpy(maps), side_of(specimen.sites[layer].units)).numpy()


def _discards(specimen: Specimen, layer: str, answers: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """Share of energy that the rectifier throws away over all images: (U,) by unit, and of the whole layer."""
    if layer not in answers["energy before"]:
        return np.full(specimen.sites[layer].units, np.nan), float("nan")
    moments = [answers[name][layer] for name in ("energy before", "energy after")]
    before, after = (found.mean**2 + found.std**2 for found in moments)
    return energy_share_lost(before, after), float(energy_share_lost(before.sum(), after.sum()))


def _quartiles(shares: np.ndarray) -> tuple[float, float]:
    known = shares[~np.isnan(shares)]
    low, high = np.quantile(known, (0.25, 0.75)) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{share:.0%}"
