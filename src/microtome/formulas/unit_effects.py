"""Units that were silenced one by one: what was measured of each, and what it says in words."""

from dataclasses import dataclass

import numpy as np

from .effects import falls_by_class, losses, recalls, telling

NAMED = 2  # classes at each end

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class UnitEffects:
    """Everything by layer, m of its U units silenced one by one on n images; `learnt` others gave means and estimates.

    Shapes: label (n,) the image's class, or without labels the network's own answer; before (n,), after (m, n) answers;
    fall (m, n) of the label's logit above the mean of all; interval (m, 2), 95%, of its mean; units (m,), drawn (m,)
    bool those at random; estimate (U,), NaN where there is none; classes, moved (m, k): those whose logits move most,
    and by how much, root mean square. agreement (3, 4) is that of estimate and fall in all layers but
    the last, in the first half of these and in the second; see `effects.agreement`. `last` is the layer whose units are
    the classes themselves, or "".
    """

    class_names: tuple[str, ...]
    labelled: bool
    learnt: int
    last: str
    label: np.ndarray
    before: np.ndarray
    estimate: ByLayer
    units: ByLayer
    drawn: ByLayer
    after: ByLayer
    fall: ByLayer
    interval: ByLayer
    classes: ByLayer
    moved: ByLayer
    agreement: np.ndarray

    @property
    def images(self) -> int:
        """How many images the effects are measured on."""
        return len(self.label)

    @property
    def measured(self) -> list[str]:
        """The layers of which some units were silenced."""
        return [layer for layer, units in self.units.items() if len(units)]

    def mean_fall(self, layer: str) -> np.ndarray:
        """By how much the logit of the image's class falls. Shapes: (m,)."""
        found: np.ndarray = self.fall[layer].mean(1)
        return found

    def cost(self, layer: str, among: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The points of right answers that are lost net, without labels of the network's own, and their interval, wider
        if a unit is picked among several. Shapes: (m,), (m,), (m,).
        """
        cost, low, high = losses(self.before == self.label, self.after[layer] == self.label, among)
        return 100 * cost, 100 * low, 100 * high

    def certain(self, layer: str) -> np.ndarray:
        """Whether a unit alone costs answers, with intervals wider for all that were silenced. Shapes: (m,) bool."""
        found: np.ndarray = self.cost(layer, len(self.units[layer]))[1] > 0
        return found

    @property
    def points_of(self) -> str:
        """What the points of a cost are points of."""
        return "of accuracy" if self.labelled else "of the answers"

    @property
    def logit(self) -> str:
        """Which logit is followed."""
        return f"the logit of the image's {'class' if self.labelled else 'answer'}"

    def beside(self, layer: str, place: int) -> str:
        """What random units of the layer do."""
        others = self.drawn[layer] & (np.arange(len(self.drawn[layer])) != place)
        if not others.any():
            return "no other unit of its layer was silenced"
        return (f"a random unit of its layer {self.mean_fall(layer)[others].mean():z.2f} and "
                f"{self.cost(layer)[0][others].mean():z.1f} points (means of {others.sum()})")  # fmt: skip

    def compared(self) -> int:
        """Over how many units the agreement of estimate and fall is."""
        inner = [layer for layer in self.measured if layer != self.last]
        return sum(int(telling(self.estimate[k][self.units[k]], self.mean_fall(k)).sum()) for k in inner)

    def estimate_in_words(self) -> str:
        """How well the estimate ranks units, beside estimates of other units of the layer."""
        (rho, low, high, shuffled), *parts = self.agreement
        if not np.isfinite(self.agreement[0]).all():
            return "How well estimates to first order do cannot be told."
        halves = " and ".join(f"{each[0]:.2f}" for each in parts if np.isfinite(each[0]))
        halves = f" In the first and the second half of the layers: {halves}." if halves.count(" and ") else ""
        return (f"Estimates to first order rank {self.compared():,} units as measured at {rho:.2f} [{low:z.2f}, "
                f"{high:z.2f}] (rank correlation), shuffled within layers at {shuffled:.2f}.{halves}")  # fmt: skip

    def in_words(self, layer: str, k: int, below: int, others: int) -> str:
        """What silencing one unit does, in sentences."""
        right, after = self.before == self.label, self.after[layer][k] == self.label
        cost, low, high = (each[k] for each in self.cost(layer))
        words = [f"{'Accuracy' if self.labelled else 'Answers kept'}: {right.mean():.0%} before, {after.mean():.0%} "
                 f"after, a loss of {cost:z.0f} points [{low:z.0f}, {high:z.0f}]."]  # fmt: skip
        guess = self.estimate[layer][self.units[layer][k]]
        falls = f"{self.logit.capitalize()} falls by {between(self.mean_fall(layer)[k], self.interval[layer][k], 3)}"
        falls += "" if np.isnan(guess) else f", to first order {guess:z.3f}"
        words.append(falls + (f": further than with {below} of {others} other random units." if others else "."))
        if self.fall[layer][k].any():
            moved = (f"{self.class_names[c]} {by:.2f}"
                     for c, by in zip(self.classes[layer][k], self.moved[layer][k], strict=True))  # fmt: skip
            words.append(f"Logits that move most (root mean square): {', '.join(moved)}.")
            words += self._by_class(layer, k, right, after)
        return " ".join(words)

    def _by_class(self, layer: str, k: int, right: np.ndarray, after: np.ndarray) -> list[str]:
        """Which classes lose and gain most, as far as there are enough images of them."""
        falls, words = falls_by_class(self.label, self.fall[layer][k]), []
        told = [f"{self.class_names[c]} {-by:+.2f} ({count} images)" for c, by, count in falls]
        if len(told) > 1:
            words = [f"Classes whose own logit loses most: {', '.join(told[:NAMED])}; that lose least or gain: "
                     f"{', '.join(told[: -NAMED - 1 : -1])}."]  # fmt: skip
        changed = recalls(self.label, right, after) if self.labelled else []
        return words + [f"Recall of {self.class_names[c]}: {old} of {count} before, {new} after."
                        for c, old, new, count in dict.fromkeys((*changed[:1], *changed[-1:]))]  # fmt: skip


def between(value: float, ends: np.ndarray, digits: int) -> str:
    """A number with its interval, where there is one."""
    words = f"{value:z.{digits}f}"
    return words if np.isnan(ends).any() else f"{words} [{ends[0]:z.{digits}f}, {ends[1]:z.{digits}f}]"
