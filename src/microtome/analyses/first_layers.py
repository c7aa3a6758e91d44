"""Whether several networks have learnt the same first layer: their filters on the axes of the same patches."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Pass, Result, Steps, at, setting
from ..cards import Card, Chart, Finding, Heat, Pictures, Table, Text, card_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.alignment import cka_of_filters
from ..formulas.first_filters import FirstFilters
from ..formulas.patch_frequency import SIDE
from ..formulas.spectrum import normalised, profile_correlation
from ..network.model import Model
from ..network.parts.axis_pictures import spectrum_picture
from ..network.parts.first_convolution import (
    SCALES,
    Scale,
    axes_of,
    begins_with_convolution,
    filter_bank,
    first_convolution,
    in_words,
    normalised_behind,
)
from ..network.specimen import Specimen
from ..statistics import PatchCovariance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWS = 1000  # of as many random filters, for the correlation that comes out by chance
TITLE, PROFILES = "First layers side by side", "Energy along the same axes"


@dataclass(frozen=True, kw_only=True)
class FirstLayersResult(Result):
    """Filters of several networks on the axes of the patches that the first one sees.

    Shapes, M networks: names, of (M,), the fields of `FirstFilters`; chance (draws,) correlations of the profiles of
    as many random filters, rising; left_out are sentences about networks with other kernels, others by name the
    filters (K, C, kh, kw) of those that look at as many channels.
    """

    names: tuple[str, ...]
    of: tuple[dict[str, Any], ...]
    chance: np.ndarray
    left_out: tuple[str, ...]
    others: dict[str, np.ndarray]

    @cached_property
    def filters(self) -> tuple[FirstFilters, ...]:
        """By network."""
        return tuple(FirstFilters(**each) for each in self.of)

    @property
    def all_filters(self) -> dict[str, np.ndarray]:
        """By network, those with other kernels too. Shapes: (K, C, kh, kw)."""
        return {name: each.filters for name, each in zip(self.names, self.filters, strict=True)} | self.others

    @cached_property
    def energies(self) -> np.ndarray:
        """The profiles of the filters as they are. Shapes: (M, D)."""
        return np.stack([each.profile.energy for each in self.filters])

    @cached_property
    def r(self) -> np.ndarray:
        """Correlation of the profiles of every pair. Shapes: (M, M)."""
        return profile_correlation(self.energies)

    @cached_property
    def cka(self) -> np.ndarray:
        """Linear CKA of their answers to the patches. Shapes: (M, M)."""
        covariance = self.filters[0].covariance
        return np.array([[cka_of_filters(one.bank["raw"], other.bank["raw"], covariance) for other in self.filters]
                         for one in self.filters])  # fmt: skip

    @property
    def pairs(self) -> np.ndarray:
        """The correlations of all pairs. Shapes: (M (M - 1) / 2,)."""
        return np.asarray(self.r[np.triu_indices(len(self.names), 1)])

    def findings(self) -> list[Finding]:
        low, high = self.pairs.min(), self.pairs.max()
        between = f"{low:.2f}" if len(self.pairs) == 1 else f"{low:.2f} to {high:.2f}"
        middle, most = np.quantile(self.chance, (0.5, 0.99))
        cka = self.cka[np.triu_indices(len(self.names), 1)]
        alike = f"; linear CKA of their answers {cka.min():.2f} or more" if np.isfinite(cka).all() else ""
        return [Finding(
            sentence=f"The energy profiles of {len(self.names)} first layers, on the axes of the same patches, "
            f"correlate {between}", number=float(low), weight=0.45, link=card_link(TITLE),
            control=f"random filters {middle:z.2f} (median), below {most:.2f} in 99 of 100{alike}",
        )]  # fmt: skip

    def cards(self) -> list[Card]:
        covered = self.filters[0].basis.rank
        series = tuple(zip(self.names, normalised(self.energies, "max")[:, :covered], strict=True))
        found = [
            Card(
                title=TITLE, content=self._heat(self.r),
                how_to_read="Correlation of the energy profiles of every pair, on the principal axes of the patches "
                f"that {self.names[0]} sees.",
                control=f"Profiles of random filters: below {np.quantile(self.chance, 0.99):.2f} in 99 of 100.",
            ),
            Card(
                title="Their answers side by side", content=self._heat(self.cka),
                how_to_read="Linear CKA of the answers to the patches: whether the same pairs of patches are answered "
                "alike, whatever filters do it. 1 the same, 0 nothing in common.",
                control="Where most variance is along one axis, the mean brightness, CKA is high for any filters that "
                "answer to it: random ones too.",
            ),
            Card(
                title=PROFILES, how_to_read="Energy by axis, each network's largest 1.",
                content=Chart(kind="lines", x=np.arange(covered), x_label="principal axis, most variance first",
                              y_label="energy", series=series),
                control="Of random filters it is the same along all axes, but for chance.",
            ),
            self._fits(),
            *(Card(title=f"By frequency, {name}", how_to_read="Energy of the filters by spatial frequency and colour, "
                   "which can be compared whatever the size of the kernels.",
                   content=Pictures(pixels=spectrum_picture(each, self.filters[0].colours)[None], crisp=False))
              for name, each in self.all_filters.items()),
        ]  # fmt: skip
        if self.left_out:
            found.append(Card(title="First layers of other kernels", content=Text(lines=self.left_out),
                              how_to_read="Profiles are compared along axes of one kernel size."))  # fmt: skip
        return found

    def _heat(self, values: np.ndarray) -> Heat:
        return Heat(values=values, rows=self.names, columns=self.names, row_label="network", column_label="network",
                    signed=True)  # fmt: skip

    def _fits(self) -> Card:
        rows = [(name, scale, f"{fit.r:.3f}", f"{each.null.p_value(fit.r):.2g}", f"{each.null.quantile(0.99):.2f}",
                 f"{fit.r2:.2f}", f"{fit.s:.3g}", fit.whitened, int(each.responses.dead.sum()))
                for name, each in zip(self.names, self.filters, strict=True)
                for scale, fit in each.fits.items()]  # fmt: skip
        return Card(
            title="What theory predicts of each", content=Table(rows=tuple(rows), header=(
                "network", "filters", "r", "p", "r of random, 99%", "R²", "s", "whitened axes", "dead")),
            how_to_read="How well the profile that a linear network would have after some time s fits; see the "
            "analysis first_layer.", control="p is of random filters, to which s is fitted too.",
        )  # fmt: skip

    def plot(self) -> "Figure":
        """Profiles over each other, and how they correlate."""
        figure = new_figure(1, 2, size=(9, 3.6))
        lines, matrix = figure.axes
        for name, energy in zip(self.names, normalised(self.energies, "max"), strict=True):
            lines.plot(energy, marker=".", label=name)
        lines.set(xlabel="principal axis", ylabel="energy, largest 1")
        lines.legend(fontsize=7)
        drawn = matrix.imshow(self.r, vmin=-1, vmax=1, cmap="RdBu_r")
        places = range(len(self.names))
        matrix.set_xticks(places, self.names, rotation=90, fontsize=7)
        matrix.set_yticks(places, self.names, fontsize=7)
        figure.colorbar(drawn, ax=matrix, label="correlation of profiles")
        return figure


@dataclass(frozen=True, kw_only=True)
class FirstLayers(Analysis):
    """Have several networks learnt the same first layer?"""

    topic = "units"
    general = False
    result = FirstLayersResult

    windows: int = setting(2_000_000, help="patches drawn of all images together, where these are large")

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        _of_one_size(specimen)

    def steps(self, specimen: Specimen) -> Steps:
        kept, left_out, others = _of_one_size(specimen)
        layer = first_convolution(specimen.model)
        size = tuple(layer.weight.shape[1:])
        wanted = PatchCovariance(kernel=(size[1], size[2]), dilation=layer.dilation, windows=self.windows)
        answers = yield Pass(patches=at(f"{layer.layer}:in", wanted))
        patches = answers["patches"]
        basis = axes_of(patches)
        shared = {
            "shape": patches.shape, "covariance": patches.covariance, "rounding": patches.rounding,
            "mean": patches.mean, "images": patches.images, "patches": patches.count, "exact": patches.exact,
            "against": "", "seed": specimen.seed,
        }  # fmt: skip
        of = tuple({"layer": first_convolution(model).layer, "bank": _banks(model), **shared}
                   for model in kept.values())  # fmt: skip
        counts = [len(each["bank"]["raw"]) for each in of]
        random = np.random.default_rng(specimen.seed)
        by_chance = [np.sqrt(random.chisquare(count, (DRAWS, len(basis.variance))))
                     for count in (min(counts), max(counts))]  # fmt: skip
        chance = np.array([np.corrcoef(*pair)[0, 1] for pair in zip(*by_chance, strict=True)])
        names = tuple(name if name == model.name else f"{name} ({model.name})" for name, model in kept.items())
        return FirstLayersResult(names=names, of=of, chance=np.sort(chance), left_out=left_out,
                                 others=others)  # fmt: skip


def _banks(model: Model) -> dict[str, np.ndarray]:
    chosen: tuple[Scale, ...] = SCALES if normalised_behind(model) else SCALES[:2]
    return {str(scale): filter_bank(model, scale) for scale in chosen}


def _of_one_size(specimen: Specimen) -> tuple[dict[str, Model], tuple[str, ...], dict[str, np.ndarray]]:
    """The networks whose first filters are as large as A's, sentences about the others, and filters of those of them
    that look at as many channels.

    Raises: NotApplicable if there is nothing to compare.
    """
    networks = {"A": specimen.model, **specimen.others}
    if len(networks) < 2:
        raise NotApplicable(f"{specimen.model.name} is looked at by itself", "First layers of several are compared",
                            "Compare with `microtome compare A B --images IMAGES`")  # fmt: skip
    size = begins_with_convolution(specimen.model)[1]
    kept, left_out, others = {}, [], {}
    for name, model in networks.items():
        try:
            _, here = begins_with_convolution(model)
        except NotApplicable as error:
            left_out.append(f"{name}: {error.given}")
            continue
        if here == size:
            kept[name] = model
            continue
        left_out.append(f"{name}: {model.name} has first filters of {in_words(here)}, A of {in_words(size)}")
        if here[0] == size[0] and max(here[1:]) <= SIDE:
            others[f"{name} ({model.name})"] = filter_bank(model).reshape(-1, *here)
    if len(kept) < 2:
        raise NotApplicable(left_out[0], "Profiles are compared along axes of one kernel size",
                            "Compare networks whose first kernels have the same size")  # fmt: skip
    return kept, tuple(left_out), others
