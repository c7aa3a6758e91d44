"""How few connections carry the answers? All but some are cut, in three orders, and held-out images are asked again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting
from ..cards import Card, Chart, Circuit, Column, Finding, Table, card_link
from ..figures import new_figure, short
from ..formulas.proportions import wilson_interval
from ..images.collection import Images
from ..network.parts.contributions import contributions
from ..network.parts.feeders import feeders
from ..network.parts.linear_layers import LinearLayer, linear_layers, promising
from ..network.parts.pathways import Thinned, attributed, ranked
from ..network.specimen import Effort, Specimen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET: dict[Effort, float] = {"quick": 2e10, "normal": 3e11, "full": 1e13}  # multiply-adds of all passes
MOST, LEAST, FITTED = 256, 16, 64  # images that are asked again; on which means and orders are found
SHARES = (0.9, 0.75, 0.5, 0.25, 0.1, 0.03)  # of the connections that are left
ORDERS = ("contribution", "magnitude", "random")
BACK = 6  # what an image costs where orders are found: there and back, and sums over all pairs
LARGEST = 1 << 22  # connections of a layer; layers with more stay whole
KEPT = 0.9  # of the answers: with so many the connections are said to carry them
DRAWN = 48  # connections of the circuit
TITLE = "How few connections carry the answers"

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class PathwaysResult(Result):
    """Shapes: same, right by order (H, n) bool, whether each of n held-out images gets the network's own answer, and
    the true one (none in an unlabelled set), with a share of the connections left; whole (n,) bool, right with all of
    them; still (n,) bool, the own answer with none. Of the circuit, the c connections that do most: source, target
    (c, 2), place in `layers` and unit; effect (c,), mean change of the logit, typical that of all. left (U,) by layer:
    of the connections that are needed those into each unit, as a share of all it has. connections, by layer; needed, by
    order, the least share that was enough, 1 for more than all that were tried.
    """

    layers: tuple[str, ...]
    labelled: bool
    fitted: int
    same: ByLayer
    right: ByLayer
    whole: np.ndarray
    still: np.ndarray
    connections: dict[str, int]
    needed: dict[str, float]
    source: np.ndarray
    target: np.ndarray
    effect: np.ndarray
    typical: float
    left: ByLayer

    @property
    def images(self) -> int:
        """How many images were asked again."""
        return len(self.whole)

    @property
    def total(self) -> int:
        """All connections from channel to channel."""
        return sum(self.connections.values())

    def findings(self) -> list[Finding]:
        mine = self.needed["contribution"]
        said = f"{SHARES[0]:.0%} of the {self.total:,} connections are too few to carry {KEPT:.0%} of the answers"
        if mine < 1:
            kept = self.same["contribution"][SHARES.index(mine)]
            said = (
                f"{mine:.0%} of the {self.total:,} connections carry {kept.mean():.0%} {_interval(kept)} of the answers"
            )
        return [Finding(
            sentence=f"{said} on {self.images} held-out images, the others adding their mean",
            number=mine, weight=float(np.clip(0.5 * (1 - mine), 0.1, 0.5)), link=card_link(TITLE),
            control=f"by magnitude of their filters {self._needs('magnitude')} are needed, at random "
            f"{self._needs('random')}; with none {self.still.mean():.0%} keep their answer",
        )]  # fmt: skip

    def _needs(self, order: str) -> str:
        return f"{self.needed[order]:.0%}" if self.needed[order] < 1 else f"more than {SHARES[0]:.0%}"

    def columns(self) -> list[Column]:
        return [Column(name="on kept paths", kind="share", values=self.left,
                       how_to_read=f"Of the unit's connections to what feeds it, the share among the "
                       f"{self._needs('contribution')} that carry {KEPT:.0%} of the answers.")]  # fmt: skip

    def cards(self) -> list[Card]:
        whole = (
            f"With all connections: right {self.whole.mean():.0%} {_interval(self.whole)}. " if self.labelled else ""
        )
        series = tuple((order, np.array([1.0, *self.same[order].mean(1)])[::-1]) for order in ORDERS)
        curve = Card(
            title=TITLE,
            how_to_read=f"Share of {self.images} held-out images that keep the network's own answer while only some of "
            f"{self.total:,} connections from channel to channel are left, each other one always adding its mean: the "
            f"best ones by what they do for the answer (on {self.fitted} other images), by the magnitude of their "
            "filters, and at random.",
            content=Chart(kind="lines", x=100 * np.array((1.0, *SHARES))[::-1], series=series,
                          x_label="connections left (%)", y_label="answers kept"),
            control=f"{whole}With no connection left {self.still.mean():.0%} keep their answer. The random order is "
            "one draw.",
        )  # fmt: skip
        circuit = Card(
            title="The strongest paths", content=Circuit(
                layers=self.layers, source=self.source, target=self.target, value=self.effect, value_label="effect"),
            how_to_read=f"The {len(self.effect)} connections that do most for the answer: the mean change of its "
            "logit, above the mean of all classes, if what a connection adds were always its mean, to first order. "
            "Layers from left to right; a unit's picture leads to its page.",
            control=f"The weakest one drawn changes it by {short(float(self.effect[-1:].sum()))}, the mean of all "
            f"{self.total:,} by {short(self.typical)}.",
        )  # fmt: skip
        return [curve, self._table(), *([circuit] if len(self.effect) else [])]

    def _table(self) -> Card:
        head = ("connections left", "by contribution", "by magnitude", "at random")
        rows = [
            (f"{share:.0%} ({int(share * self.total):,})",
             *(f"{self.same[order][place].mean():.0%} {_interval(self.same[order][place])}"
               + (f", right {self.right[order][place].mean():.0%}" if self.labelled else "") for order in ORDERS))
            for place, share in enumerate(SHARES)
        ]  # fmt: skip
        return Card(
            title="Answers kept with few connections",
            how_to_read=f"Of {self.images} held-out images those with the network's own answer, with 95% interval"
            + (", and those with the true one." if self.labelled else "."),
            content=Table(header=head, rows=tuple(rows)),
            control=f"With no connection left: {self.still.mean():.0%}.",
        )  # fmt: skip

    def plot(self) -> "Figure":
        """Answers kept by the number of connections left, in three orders; intervals of 95%."""
        figure = new_figure(size=(6.0, 3.8))
        axes, count = figure.axes[0], self.total * np.array(SHARES)
        for order in ORDERS:
            hits = self.same[order]
            low, high = wilson_interval(hits.sum(1), np.full(len(hits), self.images))
            axes.plot(count, hits.mean(1), "o-", label=order)
            axes.fill_between(count, low, high, alpha=0.2)
        axes.axhline(float(self.still.mean()), linestyle="--", color="grey", label="no connection")
        axes.set_xscale("log")
        axes.set(ylim=(0, 1.02), xlabel="connections left", ylabel="answers kept")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Pathways(Analysis):
    """How few connections carry the network's answers?"""

    topic = "decisions"
    result = PathwaysResult

    images: int = setting(0, help="held-out images; 0: as many as effort and the network's cost allow")

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        images = specimen.need_images(self.name)
        order = np.argsort(images.hashes, kind="stable")
        fitted = images.readable(order[::2], min(FITTED, _affordable(specimen, BACK)))
        held = images.readable(order[1::2], self.images or _affordable(specimen, len(ORDERS) * len(SHARES) + 2))
        (found,) = yield Jobs(key=f"what connections do on {len(fitted)} images", items=("all",),
                              function=lambda some: [_scores(specimen, images, fitted)])  # fmt: skip
        scores = {order: {k: v[order] for k, v in found.items()} for order in ORDERS}
        total = sum(v["mean"].size for v in found.values())
        items = ((ORDERS[0], 1.0), *((order, share) for order in ORDERS for share in SHARES), (ORDERS[0], 0.0))

        rank = cache(lambda order: ranked(scores[order]))

        @cache
        def thinned() -> tuple[Thinned, np.ndarray]:
            means = {k: v["mean"].astype(np.float64) for k, v in found.items()}
            return Thinned(specimen.model, means), np.stack([images.pixels(int(place)) for place in held])

        def work(some: Sequence[tuple[str, float]]) -> list[np.ndarray]:
            cut, pixels = thinned()
            return [cut.answers({k: place < int(share * total) for k, place in rank(order).items()}, pixels).argmax(1)
                    for order, share in some]  # fmt: skip

        answers = yield Jobs(key=f"answers of {len(held)} images with few connections", items=items, function=work)
        return _told(specimen, images.labels[held], found, dict(zip(items, answers, strict=True)), len(fitted))

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        specimen.need_classes()
        promising(specimen.model)

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        left_out = [layer.name for layer in specimen.layers if layer.name not in promising(specimen.model)]
        return [Limit(f"{len(left_out)} of {len(specimen.layers)} layers stay whole: {', '.join(left_out[:3])}"
                      + (", ..." if len(left_out) > 3 else ""),
                      f"Layers of up to {LARGEST:,} connections that can be taken apart are cut",
        )] if left_out else []  # fmt: skip


def _cuttable(specimen: Specimen) -> dict[str, LinearLayer]:
    return {k: v for k, v in linear_layers(specimen.model).items() if v.weight[:, :, 0, 0].numel() <= LARGEST}


def _affordable(specimen: Specimen, passes: int) -> int:
    each = passes * sum(site.macs for site in specimen.sites.values())
    return int(np.clip(BUDGET[specimen.effort] / max(1, each), LEAST, MOST))


def _scores(specimen: Specimen, images: Images, places: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Of every connection its mean, and what puts it in order: what it does, the norm of its filter, chance."""
    layers = _cuttable(specimen)
    mean = {k: v.mean for k, v in contributions(specimen.model, images, places.tolist(), layers).items()}
    effect = attributed(specimen.model, images, places.tolist(), mean)
    random = np.random.default_rng(specimen.seed)
    return {k: {"mean": mean[k].astype(np.float32), "contribution": effect[k].astype(np.float32),
                "magnitude": layer.weight.float().flatten(2).norm(dim=2).cpu().numpy(),
                "random": random.random(mean[k].shape, np.float32)} for k, layer in layers.items()}  # fmt: skip


def _told(
    specimen: Specimen, labels: np.ndarray, found: Mapping[str, Mapping[str, np.ndarray]],
    answers: Mapping[tuple[str, float], np.ndarray], fitted: int,
) -> PathwaysResult:  # fmt: skip
    own, still = answers[ORDERS[0], 1.0], answers[ORDERS[0], 0.0]
    by_order = {order: np.stack([answers[order, share] for share in SHARES]) for order in ORDERS}
    same = {order: each == own for order, each in by_order.items()}
    right = {order: specimen.labelled & (each == labels) for order, each in by_order.items()}
    needed = {order: _needed(kept) for order, kept in same.items()}
    scores = {k: v["contribution"] for k, v in found.items()}
    total = sum(v.size for v in scores.values())
    kept = {k: place < int(total * needed["contribution"]) for k, place in ranked(scores).items()}
    return PathwaysResult(
        layers=tuple(layer.name for layer in specimen.layers), labelled=specimen.labelled, fitted=fitted, same=same,
        right=right, whole=specimen.labelled & (own == labels), still=still == own, needed=needed,
        connections={k: v.size for k, v in scores.items()}, left={k: v.mean(1) for k, v in kept.items()},
        **_circuit(specimen, scores),
    )  # fmt: skip


def _needed(kept: np.ndarray) -> float:
    """The least share of connections down to which enough answers are kept, 1 if the largest is too small.

    Shapes: (H, n) bool.
    """
    enough = np.append(kept.mean(1) >= KEPT, False).argmin()
    return SHARES[enough - 1] if enough else 1.0


def _circuit(specimen: Specimen, scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The connections that do most, with the unit behind each."""
    layers, model = {layer.name: place for place, layer in enumerate(specimen.layers)}, specimen.model
    flat = np.concatenate([v.ravel() for v in scores.values()])
    starts = np.cumsum([0, *(v.size for v in scores.values())])
    opened, names = linear_layers(model), list(scores)
    behind = cache(lambda name: feeders(model, opened[name]))
    source, target, effect = [], [], []
    for place in np.argsort(-flat, kind="stable")[:DRAWN]:
        which = int(np.searchsorted(starts, place, side="right")) - 1
        unit, inner = divmod(int(place - starts[which]), scores[names[which]].shape[1])
        units = behind(names[which])[opened[names[which]].inputs_of(unit).start + inner]
        known = [(layers[layer], number) for layer, number in units if layer in layers]
        source.append(known[0] if known else (-1, -1))
        target.append((layers[names[which]], unit))
        effect.append(float(flat[place]))
    return {"source": np.array(source).reshape(-1, 2), "target": np.array(target).reshape(-1, 2),
            "effect": np.array(effect), "typical": float(flat.mean())}  # fmt: skip


def _interval(hits: np.ndarray) -> str:
    low, high = wilson_interval(hits.sum(), np.array(len(hits)))
    return f"[{float(low):.0%}, {float(high):.0%}]"
