"""What a small filter looks for, in words, with how sure that is: templates, tuning curves, and random filters beside.

Two kinds of evidence: the pattern that is most similar to the filter (`templates`), and the line that excites it most.
The first names it, the second is a second opinion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .templates import ANGLES, STEP, Bank, bank, distance, grid, in_words, offsets, unit

ALPHA = 0.05
RANDOM = 4000  # filters of the null, by size
COPIES, JITTER = 40, 0.15  # of a filter, with noise of a share of its norm a pixel: is the label the same?
INHIBITED = 1.5  # times more excited by the absence of lines than by lines: then it looks for their absence
RESIDUAL = 0.10  # of the filter's energy that a second pattern has to hold
SECOND_LINE, APART = 0.6, 45.0  # of the strongest response, and degrees away from it: a second line
DISAGREEING = 0.8  # what is left of confidence where the two kinds of evidence disagree
LINE = 2.0  # pixels: width of the lines of tuning curves, in filters of 5 x 5


@dataclass(frozen=True, kw_only=True)
class KernelLabel:
    """What one filter looks for: `words`, "" if that cannot be told from noise.

    `nearest` are the words of the most similar pattern, whether or not they can be trusted; r2 is the share of the
    filter's variance that it holds, p the share of random filters that are as similar to any pattern, stability the
    share of noisy copies with the same words, confidence (1 - p) x stability, less where `tuned`, the words by the
    strongest line, are others. `second` is a further function, "" for none. Shapes: tuning (A,), the largest response
    by angle of `ANGLES`; selectivity 0 (all angles alike) to 1.
    """

    words: str
    nearest: str
    theta: float
    offset: float
    r2: float
    p: float
    stability: float
    confidence: float
    tuned: str
    second: str
    selectivity: float
    tuning: np.ndarray


def label_kernels(
    kernels: np.ndarray, alpha: float = ALPHA, corrected: bool = True, seed: int = 0
) -> list[KernelLabel]:
    """The label of every filter of one layer. With `corrected`, p is judged by Benjamini and Hochberg's procedure, so
    that of all filters that are labelled at most a share of `alpha` is noise.

    Shapes: (N, K, K), K at least 2; a filter that is constant has p = 1. Random filters are drawn by `seed`.
    """
    side = kernels.shape[-1]
    patterns, found = bank(side), []
    best, score = _best(kernels, patterns)
    r2 = score**2
    null = null_r2(side, seed)
    p = 1 - np.searchsorted(null, r2, side="left") / len(null)
    passed = significant(p, alpha) if corrected else p <= alpha
    curves = line_tuning(kernels)
    for place, kernel in enumerate(kernels):
        nearest = _words(patterns, *best[:, place])
        stability = _stability(kernel, nearest, patterns, np.random.default_rng([seed, place]))
        tuned = _tuned(curves[place], side)
        agree = tuned == nearest or (_bare(tuned) == _bare(nearest))
        theta, offset = float(patterns.theta[best[0, place]]), float(patterns.offset[best[0, place]])
        confidence = (1 - p[place]) * stability * (1 if agree else DISAGREEING)
        strongest = np.maximum(curves[place].max(1), 0)
        found.append(KernelLabel(
            words=nearest if passed[place] else "", nearest=nearest, theta=theta, offset=offset, r2=float(r2[place]),
            p=float(p[place]), stability=stability, confidence=float(confidence), tuned=tuned,
            second=_second(kernel, best[:, place], nearest, patterns, curves[place]) if passed[place] else "",
            selectivity=orientation_selectivity(strongest), tuning=strongest,
        ))  # fmt: skip
    return found


def significant(p: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Which of many tests pass, if of those that do at most a share of `alpha` may be false.

    Shapes: (N,) -> (N,) bool. Reference: Benjamini and Hochberg, Controlling the false discovery rate (1995).
    """
    order = np.argsort(p, kind="stable")
    below = p[order] <= alpha * np.arange(1, len(p) + 1) / max(1, len(p))
    passed = np.zeros(len(p), bool)
    if below.any():
        passed[order[: int(np.flatnonzero(below)[-1]) + 1]] = True
    return passed


def line_tuning(kernels: np.ndarray) -> np.ndarray:
    """What a filter answers to a bright line on black, by angle and offset. Shapes: (N, K, K) -> (N, A, O)."""
    return np.einsum("nij,aoij->nao", kernels.astype(np.float64), _lines(kernels.shape[-1]))


def orientation_selectivity(strongest: np.ndarray) -> float:
    """How much responses depend on the angle: 0 if all angles are alike, 1 if only one excites; 0 without responses.

    Shapes: (A,) at evenly spaced angles over 180 degrees, not negative. Reference: circular variance, Ringach et al.
    (2002): |sum r exp(2 i theta)| / sum r.
    """
    turns = np.exp(2j * np.pi * np.arange(len(strongest)) / len(strongest))
    total = float(strongest.sum())
    return float(np.abs((strongest * turns).sum()) / total) if total > 0 else 0.0


@lru_cache
def null_r2(side: int, seed: int = 0, count: int = RANDOM) -> np.ndarray:
    """How similar random filters are to the pattern that is most similar, ascending. Shapes: -> (count,)."""
    kernels = np.random.default_rng([seed, side]).standard_normal((count, side, side))
    return np.asarray(np.sort(_best(kernels, bank(side))[1] ** 2))


@lru_cache
def _lines(side: int) -> np.ndarray:
    """Shapes: -> (A, O, side, side)."""
    right, up = grid(side)
    width = LINE * max(1.0, side / 5)
    return np.stack([
        np.stack([np.clip(width / 2 + 0.5 - np.abs(distance(right, up, theta) - offset), 0, 1)
                  for offset in offsets(side)]) for theta in ANGLES
    ])  # fmt: skip


def _best(kernels: np.ndarray, patterns: Bank) -> tuple[np.ndarray, np.ndarray]:
    """The place of the most similar pattern, whether the filter looks for its absence, and whether the pattern is taken
    upside down: (3, N); and the cosine (N,).
    """
    flat = unit(kernels).reshape(len(kernels), -1)
    responses = line_tuning(kernels).reshape(len(kernels), -1)
    absent = -responses.min(1) > INHIBITED * responses.max(1)
    cosines = np.where(absent, -1, 1)[:, None] * (flat @ patterns.patterns.reshape(len(patterns.patterns), -1).T)
    both = np.where(patterns.signed, np.abs(cosines), cosines)
    best = both.argmax(1)
    rows = np.arange(len(kernels))
    return np.stack([best, absent, cosines[rows, best] < 0]), both[rows, best].clip(min=0)


def _words(patterns: Bank, best: int, absent: int, upside_down: int) -> str:
    kind = patterns.kinds[best]
    offset = float(patterns.offset[best])
    if kind == "edge":  # named by its bright half, wherever the border is; the absence of an edge is one too
        return in_words(kind, float(patterns.theta[best]), 1.0 if upside_down == absent else -1.0)
    words = in_words(kind, float(patterns.theta[best]), offset)
    return f"neg({words})" if absent else words


def _bare(words: str) -> str:
    return words.removeprefix("neg(").removesuffix(")")


def _stability(kernel: np.ndarray, words: str, patterns: Bank, random: np.random.Generator) -> float:
    noise = random.standard_normal((COPIES, *kernel.shape)) * JITTER * np.linalg.norm(kernel) / kernel.shape[-1]
    best, _ = _best(kernel + noise, patterns)
    return float(np.mean([_words(patterns, *best[:, copy]) == words for copy in range(COPIES)]))


def _tuned(curve: np.ndarray, side: int) -> str:
    """The line that excites most, or whose absence does."""
    absent = -curve.min() > INHIBITED * curve.max()
    angle, offset = np.unravel_index((-curve if absent else curve).argmax(), curve.shape)
    words = in_words("line", ANGLES[int(angle)], float(offsets(side)[int(offset)]))
    return f"neg({words})" if absent else words


def _second(kernel: np.ndarray, best: Sequence[int] | np.ndarray, words: str, patterns: Bank, curve: np.ndarray) -> str:
    """What else: the pattern most similar to what the first leaves over, or a strong line at quite another angle."""
    side = kernel.shape[-1]
    z, pattern = unit(kernel[None])[0], patterns.patterns[best[0]]
    rest = z - float((z * pattern).sum()) * pattern
    again, _ = _best(rest[None], patterns)
    other = _words(patterns, *again[:, 0])
    share = float((z * patterns.patterns[again[0, 0]]).sum()) ** 2
    if _bare(other) != _bare(words) and share >= RESIDUAL:
        return other
    angle = int(np.unravel_index(curve.argmax(), curve.shape)[0])
    away = np.abs((np.array(ANGLES) - ANGLES[angle] + 90) % 180 - 90) >= APART
    if not away.any() or curve.max() <= 0:
        return ""
    left = np.where(away[:, None], curve, -np.inf)
    if left.max() < SECOND_LINE * curve.max():
        return ""
    place = np.unravel_index(left.argmax(), left.shape)
    line = in_words("line", ANGLES[int(place[0])], float(offsets(side)[int(place[1])]))
    return line if _bare(line) != _bare(words) else ""


__all__ = [
    "ALPHA", "STEP", "KernelLabel", "label_kernels", "line_tuning", "null_r2", "orientation_selectivity", "significant",
]  # fmt: skip
