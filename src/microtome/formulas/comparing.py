"""Two classifiers on the same images: what changed, what two that err independently would change, and who is better."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .mcnemar import fair_share, holm, mcnemar_exact
from .paired import paired_interval

LEVEL = 0.05

Verdict = Literal["the same answers", "worse", "better", "not worse", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Numbers of images: those right in both, broken (right in A alone), fixed (right in B alone), wrong in both."""

    both: int
    broken: int
    fixed: int
    neither: int

    @classmethod
    def of(cls, right: np.ndarray) -> "Change":
        """From whether each image is right. Shapes: (2, n) bool."""
        first, second = right
        pairs = (first & second, first & ~second, ~first & second, ~first & ~second)
        both, broken, fixed, neither = (int(flags.sum()) for flags in pairs)
        return cls(both=both, broken=broken, fixed=fixed, neither=neither)

    @property
    def images(self) -> int:
        """How many there are."""
        return self.both + self.broken + self.fixed + self.neither

    @property
    def changed(self) -> int:
        """How many only one of them has right."""
        return self.broken + self.fixed

    @property
    def p(self) -> float:
        """McNemar's exact p: how surprising this is if both are equally good."""
        return float(mcnemar_exact(np.array(self.broken), np.array(self.fixed)))

    @property
    def apart(self) -> tuple[float, float, float]:
        """Accuracy of B minus that of A with its 95% interval (Tango 1998). Units: percentage points."""
        low, high = paired_interval(np.array([self.broken]), np.array([self.fixed]), self.images)
        middle = (self.fixed - self.broken) / max(1, self.images)
        return 100 * middle, -100 * float(high[0]), -100 * float(low[0])

    @property
    def if_equal(self) -> tuple[int, int]:
        """How many of the changed images would be broken if both were equally good: in 95 of 100 cases between."""
        return fair_share(self.changed)

    def verdict(self, tolerance: float) -> Verdict:
        """Who is better for certain; `tolerance` is the fall, in percentage points, that does not count as worse.

        Worse: the interval of the difference lies below -tolerance and McNemar's p is below 5%. Better: it lies above
        0, and p likewise. Not worse: it lies above a -tolerance other than 0.
        """
        _, low, high = self.apart
        certain = self.p < LEVEL
        if certain and high < -tolerance:
            return "worse"
        if certain and low > 0:
            return "better"
        return "not worse" if tolerance > 0 and low > -tolerance else "cannot tell"

    def points(self) -> str:
        """The difference with its interval in words: "+6.9 [+5.4, +8.5]"."""
        middle, low, high = self.apart
        return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"

    def conclusion(self, verdict: Verdict, tolerance: float) -> str:
        """What was broken and fixed, and what that shows, in one sentence."""
        _, low, high = self.apart
        within = f"{tolerance:g} {'point' if tolerance == 1 else 'points'}"
        words = {
            "worse": f"worse by more than {within}" if tolerance else "worse", "better": "better",
            "not worse": f"not worse by more than {within}", "the same answers": "every answer is the same",
            "cannot tell": f"cannot tell, underpowered (a difference between {low:+.1f} and {high:+.1f} points)",
        }  # fmt: skip
        return (f"B breaks {self.broken:,} and fixes {self.fixed:,} of {self.images:,} images (McNemar "
                f"{p_in_words(self.p)}): {words[verdict]}")  # fmt: skip


def criterion(tolerance: float) -> str:
    """When `Change.verdict` calls B worse, in words."""
    return (f"the 95% interval of the accuracy difference on the same images (Tango 1998) lies below "
            f"{-tolerance if tolerance else 0:g} points, and McNemar's exact p is below {LEVEL}")  # fmt: skip


def p_in_words(p: float) -> str:
    """A p-value as one reads it: "p = 0.013", "p < 0.0001"."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def changes_by_class(right: np.ndarray, label: np.ndarray) -> dict[int, tuple[Change, float]]:
    """What changed in every class, largest fall first, with McNemar's p after Holm's correction.

    Shapes: whether each image is right (2, n) bool; label (n,).
    """
    members = {int(k): Change.of(right[:, label == k]) for k in np.unique(label)}
    raised = holm(np.array([change.p for change in members.values()]))
    found = {k: (change, float(p)) for (k, change), p in zip(members.items(), raised, strict=True)}
    return dict(sorted(found.items(), key=lambda item: item[1][0].apart[0]))


def independent_change(right: np.ndarray, label: np.ndarray) -> np.ndarray:
    """How many images of each kind there would be if both were as good as they are in every class, but one's errors had
    nothing to do with the other's: both right, broken, fixed, both wrong.

    Shapes: whether each image is right (2, n) bool; label (n,) -> (4,).
    """
    found = np.zeros(4)
    for one in np.unique(label):
        member = label == one
        (a, b), count = right[:, member].mean(1), member.sum()
        found += count * np.array([a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)])
    return found


def chance_agreement(answers: np.ndarray, classes: int) -> float:
    """On which share of images two would agree that give every answer as often, but to any images.

    Shapes: answers (2, n). Reference: Cohen, A coefficient of agreement for nominal scales (1960).
    """
    shares = [np.bincount(each, minlength=classes) / len(each) for each in answers]
    return float(shares[0] @ shares[1])
