"""How deep inside each filter's cone the data lie: where a unit's map is on, told from its weights and a mean."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Pass, Result, Steps, each, setting
from ..cards import Card, Chart, Column, Finding, Table, Text, card_link, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.cones.layers import filter_cones
from ..formulas.correlation import rank_correlation
from ..network.parts.layer_pairs import convolutions
from ..network.parts.linear_layers import LinearLayer, promising
from ..network.specimen import Specimen
from ..statistics import Firing, Moments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Depth inside the cone"
FEWEST = 8  # filters: of fewer, a rank correlation is 1 by chance too often

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class ConeDepthResult(Result):
    """Everything by layer, of a convolution's U filters, batch norms folded in.

    Shapes: depth (U,), how far the mean image lies inside the cone on which the filter is on everywhere, measured from
    its facets; gates (U,) share of positions at which it is on; kappa (U,) its sum beside its norm, -1 to 1; bias (U,);
    weights, how many each has; shuffled (draws,), rank correlations of depth and gates after shuffling.
    """

    images: int
    depth: ByLayer
    gates: ByLayer
    kappa: ByLayer
    bias: ByLayer
    weights: dict[str, int]
    shuffled: ByLayer

    def agreement(self, layer: str) -> float:
        """Rank correlation of depth and share of positions that are on; NaN where all are alike."""
        return rank_correlation(self.depth[layer], self.gates[layer])

    @property
    def agreements(self) -> dict[str, float]:
        """That of every layer in which it can be told."""
        found = {k: self.agreement(k) for k, v in self.depth.items() if len(v) >= FEWEST}
        return {k: v for k, v in found.items() if np.isfinite(v)}

    def findings(self) -> list[Finding]:
        found = self.agreements
        dark = {k: float((v < 0).mean()) for k, v in self.kappa.items()}
        most = max(dark, key=lambda k: dark[k])
        said = [Finding(
            sentence=f"Most filters of {most} open towards dark images: {dark[most]:.0%} have a negative sum "
            f"(over all layers {np.mean(np.concatenate(list(self.kappa.values())) < 0):.0%})",
            number=dark[most], weight=0.2 + 0.2 * (dark[most] > 0.75), link=layer_link(most, "sort=kappa"),
            control="random filters 50%",
        )] if dark[most] > 0.5 else []  # fmt: skip
        if not found:
            return said
        middle, most_by_chance = np.median(list(found.values())), np.quantile(np.concatenate(
            [self.shuffled[k] for k in found]), 0.95)  # fmt: skip
        return [Finding(
            sentence=f"How deep the mean image lies inside a filter's cone ranks the filters of a layer as their share "
            f"of positions that are on: {middle:.2f} (median rank correlation of {len(found)} layers)",
            number=float(middle), weight=0.3, link=card_link(TITLE),
            control=f"shuffled within layers below {most_by_chance:.2f} in 95 of 100; the bias alone gives "
            f"{self._other(self.bias):.2f}, the sum of weights alone {self._other(self.kappa):.2f}",
        ), *said]  # fmt: skip

    def _other(self, values: ByLayer) -> float:
        """The median over layers of the rank correlation of something else with the share."""
        found = [rank_correlation(values[k], self.gates[k]) for k in self.agreements]
        return float(np.nanmedian([0.0 if np.isnan(each) else each for each in found]))

    def columns(self) -> list[Column]:
        return [
            Column(name="depth", values=self.depth,
                   how_to_read="How far the mean image lies inside the cone on which the filter is on everywhere; "
                   "below 0: outside."),
            Column(name="kappa", values=self.kappa,
                   how_to_read="The sum of its weights beside their norm, -1 to 1: positive opens towards bright "
                   "images, negative towards dark ones."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple(
            (k, len(v), f"{np.median(v):.2f}", f"{np.median(self.gates[k]):.0%}", _number(self.agreement(k)),
             _number(rank_correlation(self.bias[k], self.gates[k])), f"{(self.kappa[k] < 0).mean():.0%}")
            for k, v in self.depth.items()
        )  # fmt: skip
        table = Card(
            title=TITLE, content=Table(header=("layer", "filters", "depth (median)", "on (median)", "depth and on",
                                               "bias and on", "kappa < 0"), rows=rows,
                                       links=tuple(layer_link(k) for k in self.depth)),
            how_to_read="A filter is on everywhere inside a cone of its input, whose depth at the mean image is "
            "(weights' sums times the means + bias) / norm. Rank correlations with the share of positions at which it "
            f"is on, over {self.images:,} images.",
            control="Bias and on: the same with the bias alone. Random filters have kappa < 0 in 50%.",
        )  # fmt: skip
        return [table, *(card for layer in self.depth for card in self._layer(layer))]

    def _layer(self, layer: str) -> list[Card]:
        order = np.argsort(self.depth[layer], kind="stable")
        edges = np.linspace(-1, 1, 21)
        width = 1 / np.sqrt(self.weights[layer])
        middles = (edges[1:] + edges[:-1]) / 2
        chance = np.exp(-0.5 * (middles / width) ** 2)
        chance *= len(order) / chance.sum()
        lines = tuple(
            f"The mean image lies {depth:.2f} {'inside' if depth >= 0 else 'outside'} the cone on which it is on "
            f"everywhere (median of its layer {np.median(self.depth[layer]):.2f}); it is on at {on:.0%} of positions. "
            f"It opens towards {'bright' if kappa >= 0 else 'dark'} images (kappa {kappa:+.2f})."
            for depth, on, kappa in zip(self.depth[layer], self.gates[layer], self.kappa[layer], strict=True)
        )
        return [
            Card(title="Depth and share that is on", layer=layer,
                 how_to_read="Filters from the shallowest to the deepest: the share of positions at which each is on.",
                 content=Chart(kind="lines", x=self.depth[layer][order], x_label="depth of the mean image",
                               y_label="on", series=(("filters", self.gates[layer][order]),)),
                 control=f"Rank correlation {_number(self.agreement(layer))}; shuffled below "
                 f"{np.quantile(self.shuffled[layer], 0.95):.2f} in 95 of 100."),
            Card(title="Which way filters open", layer=layer,
                 how_to_read="Filters by kappa: the sum of their weights beside their norm.",
                 content=Chart(kind="lines", x=middles, x_label="kappa", y_label="filters",
                               series=(("filters", np.histogram(self.kappa[layer], edges)[0]),
                                       ("random filters", chance))),
                 control="Random filters: normal, of variance 1 / weights."),
            Card(title="Its cone", layer=layer, per_unit=True, section="numbers", content=Text(lines=lines),
                 how_to_read="Where the data lie in the part of its input in which the filter is on everywhere."),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """Depth against the share that is on, the first, the middle and the last layer; kappa through the layers."""
        layers = list(self.depth)
        shown = dict.fromkeys(layers[place] for place in (0, len(layers) // 2, -1))
        figure = new_figure(1, len(shown), size=(3.6 * len(shown), 3.4))
        for axes, layer in zip(figure.axes, shown, strict=True):
            axes.plot(self.depth[layer], self.gates[layer], ".", markersize=4)
            axes.axvline(0, color="grey", lw=0.6)
            axes.set(title=f"{layer}, rank correlation {_number(self.agreement(layer))}", xlabel="depth of the mean",
                     ylabel="share of positions that are on")  # fmt: skip
            axes.title.set_fontsize(8)
        return figure


@dataclass(frozen=True, kw_only=True)
class ConeDepth(Analysis):
    """How deep inside each filter's cone do the data lie?"""

    topic = "units"
    result = ConeDepthResult

    draws: int = setting(200, help="shuffles of every layer, for the rank correlation that comes out by chance")

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        if not _readable(specimen):
            raise NotApplicable(f"{specimen.model.name} has no convolution that is read image by image",
                                "Cones are those of a convolution's filters",
                                "Give a network that has some")  # fmt: skip

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        names = _readable(specimen)
        layers = {layer.layer: layer for layer in convolutions(specimen.model) if layer.layer in names}
        reading = specimen.reading()
        answers = yield Pass(
            seen=each({name: f"{name}:in" for name in layers}, Moments()),
            firing=each({name: reading[name] for name in layers}, Firing()),
        )
        random = np.random.default_rng(specimen.seed)
        depth, kappa = {}, {}
        for name, layer in layers.items():
            depth[name], kappa[name] = _depth(layer, answers["seen"][name].mean)
        gates = {name: answers["firing"][name].share for name in layers}
        shuffled = {
            name: np.sort([rank_correlation(random.permutation(depth[name]), gates[name]) for _ in range(self.draws)])
            if np.isfinite(rank_correlation(depth[name], gates[name])) else np.zeros(1)
            for name in layers
        }  # fmt: skip
        images = specimen.need_images(self.name)
        return ConeDepthResult(
            images=len(images) - len(images.broken), depth=depth, gates=gates, kappa=kappa, shuffled=shuffled,
            bias={name: layer.bias.double().cpu().numpy() for name, layer in layers.items()},
            weights={name: layer.weight[0].numel() for name, layer in layers.items()},
        )  # fmt: skip


def _readable(specimen: Specimen) -> list[str]:
    """The convolutions whose filters are read image by image."""
    try:
        names = set(promising(specimen.model))
    except NotApplicable:
        return []
    return [name for name in specimen.reading() if name in names and len(specimen.sites[name].extent) == 2]


def _depth(layer: LinearLayer, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the mean image in every filter's cone, and kappa. Shapes: mean (C,) of what it sees -> (U,) twice."""
    weights = layer.weight.double().cpu().numpy()
    cones = filter_cones(weights, layer.bias.double().cpu().numpy(), (layer.shape[1], layer.shape[2]))
    means = np.stack([mean[list(layer.inputs_of(unit))] for unit in range(len(weights))])
    return np.nan_to_num(cones.depth(means)), cones.kappa


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
