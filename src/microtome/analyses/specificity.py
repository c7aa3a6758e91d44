"""Do reconstructions depend on their unit, and on what was learnt? A picture that does not explains neither."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting
from ..cards import Card, Finding, Table, card_link, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.resampling import bootstrap_mean
from ..network.backward.reconstructing import worth
from ..network.backward.rectifiers import without_rule
from ..network.backward.rules import Method
from ..network.model import Model
from ..network.sampling import channels_first, drawn_channels, spread_over_depth
from ..network.specimen import Effort, Specimen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS: tuple[Method, ...] = ("deconvnet", "guided", "gradient")
IMAGES: dict[Effort, int] = {"quick": 4, "normal": 8, "full": 100}
OTHERS = 8  # units beside which a unit is called specific
LAYERS = 8  # of the network, spread over its depth
HARDLY, IN_PART = 0.2, 0.6  # below: pictures hardly depend on the unit, or in part
NOTHING = (float("nan"), float("nan"))  # of a network that could not be copied
TITLE = "What reconstructions are worth"

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class SpecificityResult(Result):
    """How much reconstructions depend on their unit, by method and layer.

    Shapes: specific, focused (n,), specificity and share of energy in the strongest tenth of the receptive field on n
    images, one unit each, NaN where it is silent; specific_shuffled, focused_shuffled: the same of the network with
    shuffled weights, NaN if it cannot be copied. `order` are all layers whose units can be led back.
    """

    specific: dict[str, ByLayer]
    specific_shuffled: dict[str, ByLayer]
    focused: dict[str, ByLayer]
    focused_shuffled: dict[str, ByLayer]
    order: tuple[str, ...]
    images: int

    @property
    def layers(self) -> list[str]:
        """The layers that were measured, in order of depth."""
        return list(next(iter(self.specific.values()), {}))

    def line(self, layer: str, method: str) -> tuple[str, str]:
        """A sentence for under a picture, and its control; of a layer not measured, those of the nearest one."""
        if method not in self.specific or layer not in self.order or not self.layers:
            return "", ""
        place = self.order.index(layer)
        nearest = min(self.layers, key=lambda other: abs(self.order.index(other) - place))
        of = f" (of {nearest})" if nearest != layer else ""
        beside = interval(self.specific_shuffled[method][nearest]).replace("–", "not known")
        return f"Specificity {interval(self.specific[method][nearest])}{of}.", f"With shuffled weights: {beside}."

    def rectified_or_masked(self) -> tuple[float, float, float]:
        """Deconvnet's specificity minus the gradient's, mean over layers and images, and its interval over images."""
        return self._difference(self.specific)

    def _difference(self, of: dict[str, ByLayer]) -> tuple[float, float, float]:
        if not {"deconvnet", "gradient"} <= of.keys() or not self.layers:
            return float("nan"), float("nan"), float("nan")
        differences = np.stack([of["deconvnet"][layer] - of["gradient"][layer] for layer in self.layers])
        known = differences[:, ~np.isnan(differences).all(0)]  # (layers, images): those of one image go together
        return bootstrap_mean(np.nanmean(known, axis=0))

    def verdict(self) -> str:
        """Whether rectified reconstructions depend more on their unit than masked ones; "" without both."""
        mean, low, high = self.rectified_or_masked()
        if np.isnan(mean):
            return ""
        pairs = [
            mean_of(np.concatenate([part[method][layer] for layer in self.layers]))[0]
            for part in (self.specific, self.specific_shuffled) for method in ("deconvnet", "gradient")
        ]  # fmt: skip
        said = "more" if low > 0 else "less" if high < 0 else "neither more nor less, for all that is known,"
        control = self._difference(self.specific_shuffled)[0]
        same = not low <= 0 <= high and control * mean > 0 and abs(control) > abs(mean) / 2
        why = ": most of it is the method's, not what the network has learnt" if same else ""
        return (
            f"Deconvnet pictures depend {said} on their unit than those of the gradient: specificity {pairs[0]:.2f} "
            f"against {pairs[1]:.2f}, a difference of {mean:+.2f} [{low:+.2f}, {high:+.2f}] (with shuffled weights "
            f"{pairs[2]:.2f} against {pairs[3]:.2f}{why})."
        )

    def findings(self) -> list[Finding]:
        method = next(iter(self.specific), "")
        means = {layer: mean_of(values)[0] for layer, values in self.specific.get(method, {}).items()}
        known = {layer: value for layer, value in means.items() if not np.isnan(value)}
        if not known:
            return []
        worst = min(known, key=lambda layer: known[layer])
        control = mean_of(self.specific_shuffled[method][worst])[0]
        said = "hardly depend" if known[worst] < HARDLY else "depend in part" if known[worst] < IN_PART else "depend"
        return [Finding(
            sentence=f"{method.capitalize()} pictures of {worst} {said} on which of its units is asked for: "
            f"specificity {known[worst]:.2f} of 1, the least of {len(known)} layers",
            number=known[worst], weight=0.1 + 0.6 * max(0.0, 0.5 - known[worst]), link=card_link(TITLE),
            control=f"with shuffled weights {control:.2f}",
        )]  # fmt: skip

    def cards(self) -> list[Card]:
        parts = [(name, of[method]) for method in self.specific
                 for name, of in ((method, self.specific), ("shuffled", self.specific_shuffled))]  # fmt: skip
        method = next(iter(self.specific))
        parts += [(f"energy, {method}", self.focused[method]), ("shuffled", self.focused_shuffled[method])]
        return [Card(
            title=TITLE,
            how_to_read="Specificity: 1 - mean |cosine| between a unit's reconstruction and those of "
            f"{OTHERS} other units of the layer at the same position; 0: all give the same picture. Energy: share of "
            f"the sum of squares in the strongest tenth of the receptive field. Means and 95% intervals over "
            f"{self.images:,} images, one unit each. {self.verdict()}".strip(),
            content=Table(
                header=("layer", *(name for name, _ in parts)), links=tuple(layer_link(layer) for layer in self.layers),
                rows=tuple((layer, *(interval(part[layer]) for _, part in parts)) for layer in self.layers),
            ),
            control="The same with the weights of every layer shuffled; a flat picture has 10% in a tenth.",
        )]  # fmt: skip

    def plot(self) -> "Figure":
        """Specificity through the layers by method, with those of shuffled weights dashed."""
        figure = new_figure(size=(max(5.0, 0.7 * len(self.layers)), 3.6))
        axes, depth = figure.axes[0], np.arange(len(self.layers))
        for place, method in enumerate(self.specific):
            for part, style, words in (
                (self.specific, "o-", ""),
                (self.specific_shuffled, "s--", ", weights shuffled"),
            ):
                means = np.array([mean_of(values) for values in part[method].values()])
                axes.errorbar(depth, means[:, 0], yerr=[means[:, 0] - means[:, 1], means[:, 2] - means[:, 0]],
                              fmt=style, markersize=4, capsize=3, color=f"C{place}", label=method + words)  # fmt: skip
        axes.set_xticks(depth, self.layers, rotation=30, ha="right", fontsize=7)
        axes.set(ylim=(0, 1), ylabel="specificity")
        axes.legend(fontsize=7, ncols=2)
        return figure


@dataclass(frozen=True, kw_only=True)
class Specificity(Analysis):
    """Do reconstructions depend on which unit is asked for, and on what the network has learnt?"""

    topic = "trust"
    result = SpecificityResult

    images: int = setting(0, help="images, one unit of each layer on each; 0: by effort (4, 8 or 100)")

    def steps(self, specimen: Specimen) -> Steps:
        images, methods = specimen.need_images(self.name), _methods(specimen)
        where = channels_first(specimen)
        layers = spread_over_depth(list(where), LAYERS)
        chosen = np.argsort(images.hashes, kind="stable")
        chosen = np.sort(images.readable(chosen, min(self.images or IMAGES[specimen.effort], len(images))))
        found = []
        for shuffled in (False, True):
            found.append((yield _jobs(specimen, shuffled, [where[k] for k in layers], methods, chosen)))
        trained, control = found

        def gathered(answers: Sequence[Any], which: int) -> dict[str, ByLayer]:
            return {method: {layer: np.array([answer[where[layer]][method][which] for answer in answers])
                             for layer in layers} for method in methods}  # fmt: skip

        return SpecificityResult(
            specific=gathered(trained, 0), specific_shuffled=gathered(control, 0), focused=gathered(trained, 1),
            focused_shuffled=gathered(control, 1), order=tuple(where), images=len(chosen),
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        channels_first(specimen)

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        smooth = without_rule(specimen.sites)
        if not smooth:
            return []
        reason = f"{specimen.model.name} has {', '.join(smooth)}, for which deconvnet and guided have no rule"
        return [Limit(reason, "Read the gradient's numbers")]


def _methods(specimen: Specimen) -> tuple[Method, ...]:
    return ("gradient",) if without_rule(specimen.sites) else METHODS


def _jobs(
    specimen: Specimen, shuffled: bool, sites: Sequence[str], methods: Sequence[Method], chosen: np.ndarray
) -> Jobs:
    images = specimen.need_images(Specificity.name)

    @cache
    def network() -> Model | None:
        """The network, or its control if it can be copied; made when it is needed."""
        try:
            return specimen.shuffled() if shuffled else specimen.model
        except NotApplicable:
            return None

    def work(some: Sequence[int]) -> list[Any]:
        answers, model = [], network()
        for place in some:
            channels = {site: drawn_channels(specimen, site, OTHERS + 1, place) for site in sites}
            found: Mapping[str, Mapping[Method, tuple[float, float]]] = (
                worth(model, images[place], channels, methods) if model
                else dict.fromkeys(sites, dict.fromkeys(methods, NOTHING))
            )  # fmt: skip
            answers.append({site: {m: list(pair) for m, pair in of.items()} for site, of in found.items()})
        return answers

    words = "shuffled weights" if shuffled else "trained"
    return Jobs(key=f"worth of {', '.join(methods)}, {words}", items=tuple(map(int, chosen)), function=work,
                words="reconstructions of units compared" + ", with shuffled weights" * shuffled)  # fmt: skip


def mean_of(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and interval of what is known."""
    return bootstrap_mean(values[~np.isnan(values)])


def interval(values: np.ndarray) -> str:
    """A mean with its interval in words, "–" for what is not known."""
    mean, low, high = mean_of(values)
    return "–" if np.isnan(mean) else f"{mean:.2f}" if np.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"
