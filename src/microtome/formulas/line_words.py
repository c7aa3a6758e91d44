"""Units behind the first layer in words: which line excites them most, where lines of two widths agree."""

from dataclasses import dataclass

import numpy as np

from .labels import INHIBITED, orientation_selectivity
from .templates import ANGLES, in_words

SELECTIVE = 0.3  # orientation selectivity for lines of both widths
APART = 22.5  # degrees between the angles that are best at the two widths, at most
ALIKE = 0.7  # correlation of the two tuning curves, at least


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What units answer to lines of one width. Shapes: response (U, A, O) by angle of `ANGLES` and offset, less that to
    black; offset (A, O) in widths of the line, from the middle of what they see.
    """

    response: np.ndarray
    offset: np.ndarray

    @property
    def inhibited(self) -> np.ndarray:
        """Which units lines silence rather than excite. Shapes: (U,) bool."""
        return np.asarray(-self.response.min((1, 2)) > INHIBITED * self.response.max((1, 2)))

    def of(self, inhibited: np.ndarray) -> np.ndarray:
        """The answers with the sign that counts, what is against it as 0. Shapes: (U,) bool -> (U, A, O)."""
        return np.maximum(np.where(inhibited[:, None, None], -self.response, self.response), 0)


def words_by_lines(narrow: Answers, wide: Answers) -> tuple[list[str], np.ndarray]:
    """Each unit's best line in words, `neg(...)` where its absence is what counts, "" where it has none; and how far
    the curves of the two widths agree, their correlation, 0 at least. Shapes: -> U texts, (U,).

    A unit has a best line if lines of both widths excite it (or silence it), much more at some angles than at others,
    and at the same ones. That is a description, whether or not it was learnt.
    """
    inhibited = narrow.inhibited
    answers = [each.of(inhibited) for each in (narrow, wide)]
    curves = [each.max(2) for each in answers]  # (U, A)
    agreement = np.maximum(_correlations(*curves), 0)
    words = []
    for unit in range(len(inhibited)):
        angle, offset = np.unravel_index(answers[0][unit].argmax(), answers[0][unit].shape)
        apart = abs(ANGLES[angle] - ANGLES[int(curves[1][unit].argmax())])
        selective = min(orientation_selectivity(curve[unit]) for curve in curves)
        if selective < SELECTIVE or min(apart, 180 - apart) > APART or agreement[unit] < ALIKE:
            words.append("")
            continue
        line = in_words("line", ANGLES[angle], float(narrow.offset[angle, offset]))
        words.append(f"neg({line})" if inhibited[unit] else line)
    return words, agreement


def _correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row, 0 for what is constant. Shapes: (U, A) twice -> (U,)."""
    one, other = (each - each.mean(1, keepdims=True) for each in (one, other))
    norm = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.divide((one * other).sum(1), norm, out=np.zeros(len(norm)), where=norm > 0)
