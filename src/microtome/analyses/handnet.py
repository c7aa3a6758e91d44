"""Networks built by hand: the numbers that their kernels are computed from, as built and as they are now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..analysis import Analysis, Result, Steps
from ..cards import Card, Column, Finding, Pictures, Table, Text, card_link, layer_link, unit_link
from ..errors import NotApplicable
from ..figures import signed_to_colour
from ..formulas.labels import label_kernels
from ..network.specimen import Specimen
from ..network.zoo.handnet_blocks import BuiltConv, LineConv

TITLE = "Built by hand"
STRONGEST = 3  # channels of a combination that are told
UNMOVED = 1e-6  # of a number, which rounding changes
NOTHING = "Nothing has changed since it was built"

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class HandnetResult(Result):
    """Everything by layer whose kernels are computed, U its units, n its `names` of numbers.

    Shapes: built, now (U, n), or (U, channels, n) where every channel has its own; likeness (U,), the cosine of the
    kernels as built and now; between: how alike two units were as built, the median over all pairs; pixels (U, 2, h, w,
    3) uint8 of kernels of one channel, as built and now. Of layers of lines: asked, words: U texts, what the kernels as
    built and now look for, "" for nothing; chance: how many of these would be the same if they were dealt out at
    random; shuffled: the share of kernels that have words with their weights shuffled.
    """

    names: dict[str, tuple[str, ...]]
    built: ByLayer
    now: ByLayer
    likeness: ByLayer
    between: dict[str, float]
    pixels: ByLayer
    asked: dict[str, tuple[str, ...]]
    words: dict[str, tuple[str, ...]]
    chance: dict[str, float]
    shuffled: dict[str, float]

    def kept(self, layer: str) -> int:
        """How many filters of a layer of lines still have the words that they had as built."""
        pairs = zip(self.asked[layer], self.words[layer], strict=True)
        return sum(bool(asked) and asked == words for asked, words in pairs)

    def changed(self, layer: str) -> np.ndarray:
        """Now less as built; angles by the shorter way. Shapes: as `now`."""
        found = self.now[layer] - self.built[layer]
        for place, name in enumerate(self.names[layer]):
            if name == "theta":
                found[..., place] = (found[..., place] + 90) % 180 - 90
        return found

    def findings(self) -> list[Finding]:
        found = []
        for layer in self.words:
            units, turned = len(self.words[layer]), np.abs(self.changed(layer)[:, 0])
            most = int(turned.argmax())
            how = (f"; lines have turned by {np.median(turned):.0f} degrees (median), {layer}:{most} the furthest, by "
                   f"{turned[most]:.0f}" if self._moved(layer) else f". {NOTHING}")  # fmt: skip
            found.append(Finding(
                sentence=f"{self.kept(layer)} of {units} filters of {layer} look for what they were built for{how}",
                number=self.kept(layer), weight=0.7 if self.kept(layer) < units else 0.4, link=layer_link(layer),
                control=f"with their words dealt out at random {self.chance[layer]:.1f} would; with their weights "
                f"shuffled {self.shuffled[layer]:.0%} of them have any words",
            ))  # fmt: skip
        rest = {k: each for k, each in self.likeness.items() if k not in self.words and self._moved(k)}
        if rest:
            least = min(rest, key=lambda layer: float(np.median(rest[layer])))
            found.append(Finding(
                sentence=f"Of the other layers built by hand, {least} has moved furthest from what it was built as: "
                f"its kernels are alike by {np.median(rest[least]):.2f} (median cosine)", weight=0.2,
                number=float(np.median(rest[least])), link=card_link(TITLE),
                control=f"1 if nothing had moved; two of its units as built are alike by {self.between[least]:.2f} "
                "(median)",
            ))  # fmt: skip
        return found

    def _moved(self, layer: str) -> bool:
        return bool((np.abs(self.changed(layer)) > UNMOVED * (1 + np.abs(self.built[layer]))).any())

    def columns(self) -> list[Column]:
        return [
            Column(name="like its build", values=self.likeness, good="high",
                   how_to_read="Cosine of the unit's kernels as they were built by hand and as they are now."),
            Column(name="built as", kind="text", values={k: np.array(v, dtype=str) for k, v in self.asked.items()},
                   how_to_read="What the filter looked for as it was built by hand."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple((
            layer, ", ".join(self.names[layer]), f"{np.median(likeness):.2f}", f"{likeness.min():.2f}",
            f"{self.kept(layer)} of {len(likeness)}" if layer in self.words else "–",
            f"{self.chance[layer]:.1f}" if layer in self.words else "–",
        ) for layer, likeness in self.likeness.items())  # fmt: skip
        cards = [Card(
            title=TITLE,
            how_to_read="Layers whose kernels are computed from a few numbers. Alike: cosine of the kernels as built "
            "and as they are now, 1 if nothing has moved. Same words: filters that are put into words as they were "
            "when they were built.",
            content=Table(header=("layer", "numbers of a kernel", "alike (median)", "alike (least)", "same words",
                                  "words at random"), rows=rows, links=tuple(map(layer_link, self.likeness))),
            control="Words at random: how many filters would keep their words if these were dealt out at random.",
        )]  # fmt: skip
        for layer in self.likeness:
            cards += [self._numbers(layer), *self._units(layer)]
        return cards

    def _numbers(self, layer: str) -> Card:
        """The numbers of every unit, or where each has some for every channel, how far they have moved."""
        names, built, now = self.names[layer], self.built[layer], self.now[layer]
        if built.ndim == 2:
            cells = [tuple(map(_from_to, *pair)) for pair in zip(built, now, strict=True)]
            said = self.words.get(layer, ("",) * len(now))
        else:
            moved = np.abs(self.changed(layer))  # (U, channels, n)
            cells = [tuple(f"{value:.2f}" for value in np.median(each, 0)) for each in moved]
            said = ("",) * len(now)
        rows = tuple((f"{layer}:{unit}", *each, said[unit]) for unit, each in enumerate(cells))
        told = "as built → now" if built.ndim == 2 else "how far each number has moved, median over the channels"
        return Card(
            title="Numbers of its kernels", layer=layer, content=Table(
                header=("unit", *names, "looks for"), rows=rows,
                links=tuple(unit_link(layer, unit) for unit in range(len(rows)))),
            how_to_read=f"One row a unit: {told}. Angles in degrees, counted from horizontal, 45 is /; places, offsets "
            "and widths in pixels of the layer's input, up and to the right.",
        )  # fmt: skip

    def _units(self, layer: str) -> list[Card]:
        names, pairs = self.names[layer], zip(self.built[layer], self.now[layer], strict=True)
        cards = [Card(
            title="As built by hand", layer=layer, per_unit=True, section="made of",
            content=Text(lines=tuple(_in_words(names, built, now) for built, now in pairs)),
            how_to_read="The numbers that its kernel is computed from, as built → now.",
        )]  # fmt: skip
        if layer in self.pixels:
            cards.append(Card(
                title="Its kernel, as built and now", layer=layer, per_unit=True, section="made of",
                content=Pictures(pixels=self.pixels[layer], captions=("as built", "now")),
                how_to_read="Blue is negative, orange positive, one scale a picture.",
            ))  # fmt: skip
        return cards


@dataclass(frozen=True, kw_only=True)
class Handnet(Analysis):
    """Do filters that were built by hand still look for what they were built for?"""

    topic = "units"
    general = False  # about networks of one kind: `all` would be told of every other network that it is none
    result = HandnetResult

    def check(self, specimen: Specimen) -> None:
        if not _blocks(specimen):
            raise NotApplicable(f"{specimen.model.name} has no layer that was built by hand",
                                "Such layers are LineConv, ComboConv and WindowConv, as in zoo:handnet2",
                                "Build a network of them to ask this")  # fmt: skip

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        random = np.random.default_rng(specimen.seed)
        found: dict[str, dict[str, Any]] = {layer: _of(block, random) for layer, block in _blocks(specimen).items()}
        return HandnetResult(**{name: {layer: each[name] for layer, each in found.items() if name in each} for name in
                                HandnetResult.__dataclass_fields__})  # fmt: skip


def _blocks(specimen: Specimen) -> dict[str, BuiltConv]:
    modules = dict(specimen.model.module.named_modules())
    named = {site.name: modules.get(site.call.path) for site in specimen.layers if site.call.leaf}
    return {name: module for name, module in named.items() if isinstance(module, BuiltConv)}


def _of(block: BuiltConv, random: np.random.Generator) -> dict[str, Any]:
    """What there is to say of one layer, as plain arrays."""
    before, after = (each.detach().double().cpu().numpy() for each in (block.as_built(), block.weight))
    flat = before.reshape(len(before), -1)
    found = {
        "names": block.columns, "built": block.built.double().cpu().numpy(),
        "now": block.numbers().detach().double().cpu().numpy(), "likeness": _cosine(flat, after.reshape(flat.shape)),
        "between": _between(flat),
    }  # fmt: skip
    if before.shape[1] == 1:
        found["pixels"] = np.stack([signed_to_colour(each[:, 0]) for each in (before, after)], 1)
    if isinstance(block, LineConv):
        mixed = random.permuted(after.reshape(flat.shape), axis=1).reshape(after.shape)
        asked, words, noise = (tuple(label.words for label in label_kernels(each[:, 0]))
                               for each in (before, after, mixed))  # fmt: skip
        found |= {"asked": asked, "words": words, "shuffled": sum(map(bool, noise)) / len(noise),
                  "chance": sum(words.count(each) for each in asked if each) / len(asked)}  # fmt: skip
    return found


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row, 0 where there is nothing to compare. Shapes: (U, D) twice -> (U,)."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: np.ndarray = np.divide((one * other).sum(1), norms, out=np.zeros(len(norms)), where=norms > 0)
    return found


def _between(flat: np.ndarray) -> float:
    """How alike two kernels of a layer are: the median over all pairs, 1 if there is only one. Shapes: (U, D)."""
    pairs = np.triu_indices(len(flat), 1)
    return float(np.median(_cosine(flat[pairs[0]], flat[pairs[1]]))) if len(pairs[0]) else 1.0


def _from_to(built: float, now: float) -> str:
    return f"{built:.3g} → {now:.3g}"


def _in_words(names: Sequence[str], built: np.ndarray, now: np.ndarray) -> str:
    """The numbers of one unit, of the strongest channels where each has its own. Shapes: (n,) or (channels, n)."""
    if built.ndim == 1:
        return ", ".join(f"{name} {_from_to(*pair)}" for name, *pair in zip(names, built, now, strict=True))
    strongest = np.argsort(-np.abs(now[:, 0]), kind="stable")[:STRONGEST]
    return "; ".join(f"channel {channel}: {_in_words(names, built[channel], now[channel])}" for channel in strongest)
