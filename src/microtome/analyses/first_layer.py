"""What the first layer has learnt: how its filters share their energy out over the principal axes of what they see."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from ..analysis import Analysis, Jobs, Pass, Result, Steps, at, setting
from ..cards import Card, Chart, Column, Finding, Pictures, Series, Table, Text, card_link, layer_link
from ..figures import new_figure
from ..formulas.first_filters import FirstFilters
from ..formulas.patch_frequency import Order
from ..network.parts.axis_pictures import axis_pictures, shares_picture, spectrum_picture
from ..network.parts.first_convolution import (
    SCALES,
    Scale,
    axes_of,
    begins_with_convolution,
    filter_bank,
    filters_before,
    first_convolution,
    normalised_behind,
)
from ..network.parts.likeness_of_places import FURTHEST, PATHS, images_compared, likeness_of_places
from ..network.specimen import Specimen
from ..statistics import PatchCovariance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE, PROFILE = "What the first layer has learnt", "Energy along the axes of its input"


@dataclass(frozen=True, kw_only=True)
class FirstLayerResult(FirstFilters, Result):
    """What was measured (see `FirstFilters`), and what there is to say of it.

    Shapes: places (4, distances + 1), how alike places are that lie so far apart, by PATHS.
    """

    places: np.ndarray

    def findings(self) -> list[Finding]:
        fit, null, whitening = self.fit, self.null, self.whitening
        if not self.filters.any():
            return [Finding(sentence=f"All {len(self.filters)} filters of {self.layer} are 0", number=0, weight=0.5,
                            link=layer_link(self.layer), control="filters that are initialised are not")]  # fmt: skip
        found = [
            Finding(
                sentence=f"The theory of linear networks predicts how the filters of {self.layer} share their energy "
                f"out over {self.basis.rank} axes with r {fit.r:.2f} (p {null.p_value(fit.r):.2g}, R² {fit.r2:.2f}); "
                f"{fit.whitened} axes are whitened",
                number=fit.r, weight=0.3 + 0.3 * (null.p_value(fit.r) < 0.05), link=layer_link(self.layer),
                control=f"random filters are fitted with r {null.quantile(0.5):.2f} (median) and below "
                f"{null.quantile(0.99):.2f} in 99 of 100; the axes' own deviations correlate {fit.r_deviation:.2f}",
            ),
            Finding(
                sentence=f"The answers of {self.layer} are spread over {whitening.rank_out:.1f} axes, what it sees "
                f"over {whitening.rank_in:.1f} of {len(self.variance)}", number=whitening.rank_out, weight=0.25,
                link=card_link(TITLE), control=f"perfect whitening {self.basis.rank}, random filters "
                f"{whitening.rank_in:.1f}",
            ),
        ]  # fmt: skip
        dead, pairs = int(self.responses.dead.sum()), len(self.responses.redundant())
        if dead or pairs:
            named = f"{pairs} {'pair' if pairs == 1 else 'pairs'}"
            found.append(Finding(
                sentence=f"{dead} of {len(self.responses.dead)} filters of {self.layer} hardly answer to these images, "
                f"and {named} of the others answer alike (|r| > 0.95)", number=dead, weight=0.35,
                link=layer_link(self.layer, "sort=response"), control="hardly: 5% of the median filter's deviation",
            ))  # fmt: skip
        for sentence in self.unsafe():
            found.append(Finding(sentence=f"Read {self.layer}'s profile with care: {sentence}", number=self.images,
                                 weight=0.4, link=card_link(TITLE), control="see its first card"))  # fmt: skip
        return found

    def columns(self) -> list[Column]:
        return [
            Column(name="response", values={self.layer: self.responses.deviation}, good="high",
                   how_to_read="Standard deviation of the filter's answers to the patches of these images."),
            Column(name="axis", values={self.layer: self.profile.centroid},
                   how_to_read="Mean number of the principal axes that the filter's energy lies along; 0 varies most."),
        ]  # fmt: skip

    def series(self) -> list[Series]:
        energy = {f"axis {place}": float(self.profile.energy[place]) for place in range(self.basis.rank)}
        fits = {"r": self.fit.r, "random filters, 99 of 100 below": float(self.null.quantile(0.99))}
        spread = {"answers": self.whitening.rank_out, "what it sees": self.whitening.rank_in}
        return [
            Series(name="energy along axes", values=dict(energy), how_to_read="Root mean square of what the filters "
                   "have in common with principal axes of the patches; axis 0 varies most."),
            Series(name="theory's fit", values=dict(fits), how_to_read="How the energy along all axes correlates with "
                   "the best fit of what theory predicts for linear networks."),
            Series(name="spread over axes", values=dict(spread), how_to_read="Over how many axes the answers are "
                   "spread (effective rank), and the patches that they are answers to."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        return [self._fits(), self._profile(""), self._profile(self.layer), *self._axes(), self._colours(),
                self._whitening(), self._places(), self._units()]  # fmt: skip

    def _fits(self) -> Card:
        rows = []
        for scale, fit in self.fits.items():
            ends = f" [{self.interval[0]:.2g}, {self.interval[1]:.2g}]" if scale == next(iter(self.fits)) else ""
            remark = "at an end" if fit.edge else "not to be known: too early" if fit.early else ""
            rows.append(
                (
                    f"{scale}{self.against}",
                    f"{fit.r:.3f}",
                    f"{self.null.p_value(fit.r):.2g}",
                    f"{fit.r2:.2f}",
                    f"{fit.r_deviation:.2f}",
                    f"{fit.r_rest:.2f}",
                    f"{fit.s:.3g}{ends}",
                    fit.whitened,
                    remark,
                )
            )
        null = ", ".join(f"{self.null.quantile(q):.2f} ({q:.0%})" for q in (0.5, 0.95, 0.99))
        unsafe = "".join(f" With care: {sentence}." for sentence in self.unsafe())
        how = "every patch" if self.exact else f"{self.patches:,} patches drawn"
        return Card(
            title=TITLE,
            how_to_read=f"Filters of {self.layer} on the principal axes of {how} of {self.images:,} images: how well "
            "the profile that a linear network would have after some time s (learning rate times steps) fits theirs. "
            "R² also sees an offset, which r does not. Also: how well the deviation of the patches alone correlates, "
            "and r without the first axis. Whitened: axes before the top of the fitted curve. Behind a batch norm a "
            f"filter's scale is free, so that all of these are as good.{unsafe}",
            content=Table(header=("filters", "r", "p", "R²", "r of deviation", "r without axis 0", "s [95%]",
                                  "whitened axes", ""), rows=tuple(rows)),
            control=f"s is chosen to fit, so random filters are fitted too: r {null}.",
        )  # fmt: skip

    def _profile(self, layer: str) -> Card:
        """By number on the first page, on logarithmic axes on the layer's."""
        used = self.basis.rank
        series = (
            ("its filters", self.profile.energy[:used]),
            (f"predicted, r {self.fit.r:.2f}", self.fit.predicted[:used]),
        )
        x, label = np.arange(used), "principal axis of the patches, most variance first"
        if layer:
            x, label = self.basis.deviation[:used], "standard deviation of the patches along the axis"
        return Card(
            title=f"{PROFILE}, on logarithmic axes" if layer else PROFILE, layer=layer,
            how_to_read="Root mean square of what the filters have in common with each axis, beside the best fit of "
            "what theory predicts" + ("; a slope of 1 follows the input, 0 is flat, -1 whitens." if layer else "."),
            content=Chart(kind="lines", x=x, series=series, x_label=label, y_label="energy", band=self.band[:, :used],
                          log="xy" if layer else ""),
            control="Band: 95% of as many random filters of the same norm.",
        )  # fmt: skip

    def _axes(self) -> list[Card]:
        found = []
        orders: tuple[Order, ...] = get_args(Order)
        for by in orders:
            pixels, captions = axis_pictures(self, by)
            found.append(Card(
                title=f"Axes by {by}", layer=self.layer, content=Pictures(pixels=pixels, captions=captions),
                how_to_read="Directions in which the patches vary independently, as small pictures (grey is 0): "
                "number, shares of the patches' variance and of the filters' energy, colour, cycles per pixel.",
            ))  # fmt: skip
        found.append(Card(
            title="Filters and axes", layer=self.layer,
            content=Pictures(pixels=shares_picture(self)[None], crisp=False),
            how_to_read="Where each filter's energy lies (row) along the axes (columns), sorted by its mean axis.",
        ))  # fmt: skip
        found.append(Card(
            title="What it answers to, by frequency", layer=self.layer,
            content=Pictures(pixels=spectrum_picture(self.filters, self.colours)[None], crisp=False),
            control="Random filters answer to all frequencies and colours alike.",
            how_to_read="Energy of the filters by spatial frequency (middle 0, edge half a cycle per pixel), a picture "
            "for each axis of colour; comparable between kernels of different sizes.",
        ))  # fmt: skip
        return found

    def _colours(self) -> Card:
        axes = self.components
        order = np.argsort(axes.frequency, kind="stable")[: self.basis.rank]
        light = self.light[order]
        energy = self.profile.energy[order]
        return Card(
            title="Brightness and colour", layer=self.layer,
            how_to_read="Energy along the axes by their spatial frequency, those of brightness and those of colour "
            "apart: an axis is one or the other, and their variances interleave.",
            content=Chart(kind="lines", x=axes.frequency[order], x_label="cycles per pixel", y_label="energy",
                          series=(("brightness", np.where(light, energy, np.nan)),
                                  ("colour", np.where(light, np.nan, energy)))),
            control="Random filters have the same energy along all of them.",
        )  # fmt: skip

    def _whitening(self) -> Card:
        of, answers = self.whitening, self.responses
        rows = (
            ("slope before the top of the fit", f"{of.slope_above:.2f}", "-1"),
            ("slope behind it", f"{of.slope_below:.2f}", "-1"),
            ("axes that variance is spread over, seen", f"{of.rank_in:.1f}", f"{of.rank_in:.1f}"),
            ("axes that variance is spread over, answered", f"{of.rank_out:.1f}", f"{self.basis.rank}"),
            ("unevenness of the whitened axes", f"{of.unevenness:.2f}", "0"),
            ("filters that hardly answer", str(int(answers.dead.sum())), ""),
            ("pairs that answer alike (|r| > 0.95)", str(len(answers.redundant())), ""),
        )
        return Card(
            title="Whitening", layer=self.layer, content=Table(header=("", "its filters", "if it whitened"), rows=rows),
            how_to_read="A layer that whitens answers as strongly along all axes. Slopes are of the energy on the "
            "deviation, both logarithmic; over all axes together a slope would hide the bump.",
            control="Random filters: slopes 0, variance as spread as what is seen.",
        )  # fmt: skip

    def _places(self) -> Card:
        return Card(
            title="How alike places are", layer=self.layer,
            how_to_read="Correlation of what the layer sees, and answers, at two places so many pixels apart, mean of "
            "beside and below; 0 from 1 pixel on would be white.",
            content=Chart(kind="lines", x=np.arange(FURTHEST + 1), x_label="pixels apart", y_label="correlation",
                          series=tuple(zip(PATHS, self.places, strict=True))),
            control="Random filters of the same number; and filters that whiten along the axes.",
        )  # fmt: skip

    def _units(self) -> Card:
        shares, answers = self.profile.shares, self.responses
        lines, names, colour = [], self.components.names, self.components.colour
        for unit, share in enumerate(shares):
            most = np.argsort(-share, kind="stable")[:3]
            told = ", ".join(f"axis {k} ({names[colour[k]]}, {self.components.frequency[k]:.2f} cycles per "
                             f"pixel) {share[k]:.0%}" for k in most)  # fmt: skip
            dead = " It hardly answers." if answers.dead[unit] else ""
            lines.append(
                f"Most of its energy: {told}. Its answers to patches have a standard deviation of "
                f"{answers.deviation[unit]:.3g} (median {np.median(answers.deviation):.3g}).{dead}"
            )
        return Card(
            title="Along the axes of its input", layer=self.layer, per_unit=True, section="made of",
            content=Text(lines=tuple(lines)),
            how_to_read="The principal axes of the patches with the largest shares of the filter's energy.",
            control=f"A random filter has {1 / len(self.variance):.1%} along each of {len(self.variance)} axes.",
        )  # fmt: skip

    def plot(self) -> "Figure":
        """The profile beside its fit and the band of random filters, by number and on logarithmic axes."""
        figure = new_figure(1, 2, size=(9, 3.6))
        used = self.basis.rank
        for axes, x in zip(figure.axes, (np.arange(used), self.basis.deviation[:used]), strict=True):
            axes.fill_between(x, *self.band[:, :used], color="0.85", label="random filters, 95%")
            axes.plot(x, self.profile.energy[:used], marker=".", label="its filters")
            axes.plot(x, self.fit.predicted[:used], ls="--", label=f"predicted, r {self.fit.r:.2f}")
            axes.set_ylabel("energy")
        figure.axes[0].set(xlabel="principal axis", title=self.layer)
        figure.axes[1].set_xlabel("standard deviation of the patches")
        if self.filters.any():
            figure.axes[1].set(xscale="log", yscale="log")
        figure.axes[0].legend(fontsize=7)
        return figure


@dataclass(frozen=True, kw_only=True)
class FirstLayer(Analysis):
    """What has the first layer learnt, and does theory predict it?"""

    topic = "units"
    result = FirstLayerResult

    initial: str = setting("", help="file of the weights that the training began with, which are subtracted")
    windows: int = setting(2_000_000, help="patches drawn of all images together, where these are large")

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        begins_with_convolution(specimen.model)

    def steps(self, specimen: Specimen) -> Steps:
        model, images = specimen.model, specimen.need_images(self.name)
        layer = first_convolution(model)
        kernel = (int(layer.weight.shape[2]), int(layer.weight.shape[3]))
        wanted = PatchCovariance(kernel=kernel, dilation=layer.dilation, windows=self.windows)
        answers = yield Pass(patches=at(f"{layer.layer}:in", wanted))
        patches = answers["patches"]
        basis = axes_of(patches)
        chosen: tuple[Scale, ...] = SCALES if normalised_behind(model) else SCALES[:2]
        bank = {str(scale): filter_bank(model, scale) for scale in chosen}
        if self.initial:
            bank = {"since": bank["raw"] - filters_before(model, Path(self.initial)), **bank}
        places = images.readable(np.argsort(images.hashes, kind="stable"), images_compared(basis))
        (alike,) = yield Jobs(
            key=f"how alike places are, {len(places)} images", items=(tuple(map(int, places)),),
            function=lambda some: [likeness_of_places(specimen, part, basis) for part in some],
        )  # fmt: skip
        return FirstLayerResult(
            layer=layer.layer, shape=patches.shape, bank=bank, covariance=patches.covariance, rounding=patches.rounding,
            mean=patches.mean, images=patches.images, patches=patches.count, exact=patches.exact,
            against=self.initial and Path(self.initial).name, seed=specimen.seed, places=alike,
        )  # fmt: skip
