"""An analysis of your own in one file: which units only say how bright a picture is?

microtome look zoo:simpleconvnet digits --plugin examples/your_first_analysis.py --analyses activity,brightness
"""

from dataclasses import dataclass

import numpy as np

from microtome import Analysis, Pass, Result, at, each, setting
from microtome.cards import Card, Column, Finding, Table, Text, layer_link, ranked
from microtome.formulas.correlation import correlation_matrix
from microtome.statistics import Rows


@dataclass(frozen=True, kw_only=True)
class BrightnessResult(Result):
    """Of every unit of a layer, (U,): how its mean goes with the picture's brightness, and with another picture's."""

    threshold: float
    images: int
    r: dict[str, np.ndarray]
    shuffled: dict[str, np.ndarray]

    def findings(self):
        found = {layer: int((r > self.threshold).sum()) for layer, r in self.r.items()}
        total, most = sum(found.values()), max(found, key=found.get)
        sentence = f"{total} units only say how bright a picture is (r > {self.threshold:g}), {found[most]} in {most}"
        control = f"with the pictures shuffled the largest r is {max(r.max() for r in self.shuffled.values()):.2f}"
        link = layer_link(most, "sort=brightness")  # that layer's page, the brightest units first
        return [Finding(sentence=sentence, number=total, weight=0.3, link=link, control=control)]

    def columns(self):
        how = f"Correlation of its mean activation with the picture's brightness, over {self.images:,} pictures."
        return [Column(name="brightness", values=self.r, how_to_read=how)]

    def cards(self):
        how = "1: it says how bright a picture is and nothing else; 0: brightness does not matter to it; -1: how dark."
        rows = tuple((k, np.median(r), r.max(), self.shuffled[k].max()) for k, r in self.r.items())
        table = Table(header=("layer", "median unit", "largest", "largest, pictures shuffled"), rows=rows)
        cards = [Card(title="Brightness by layer", how_to_read=how, content=table)]
        for layer, r in self.r.items():
            bars = ranked(r, "unit", "correlation with brightness")
            lines = Text(lines=tuple(f"r = {value:.2f}" for value in r))
            cards.append(Card(title="Brightness", layer=layer, how_to_read=how, content=bars))
            cards.append(Card(title="Brightness", layer=layer, per_unit=True, how_to_read=how, content=lines))
        return cards


@dataclass(frozen=True, kw_only=True)
class Brightness(Analysis):
    """Which units only say how bright a picture is?"""

    result = BrightnessResult
    threshold: float = setting(0.9, help="correlation from which a unit says little else")

    def steps(self, specimen):
        means = Rows(what="mean")  # of every image a row: the mean of every channel
        first = next(iter(specimen.sites))
        answers = yield Pass(picture=at(f"{first}:in", means), units=each(specimen.reading(), means))
        bright = answers["picture"].values.mean(1)
        shuffled = np.random.default_rng(specimen.seed).permutation(bright)
        r, by_chance = (
            {k: correlation_matrix(np.column_stack([one, rows.values]))[0, 1:] for k, rows in answers["units"].items()}
            for one in (bright, shuffled)
        )
        return BrightnessResult(threshold=self.threshold, images=len(bright), r=r, shuffled=by_chance)
