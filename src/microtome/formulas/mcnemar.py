"""Whether of two classifiers one is better, judged by the images on which only one of them is right."""

import numpy as np
from scipy.special import bdtr, gammaln


def mcnemar_exact(lost: np.ndarray, gained: np.ndarray) -> np.ndarray:
    """McNemar's exact test, two-sided: how often a fair coin is at least as one-sided as (lost, gained).

    Shapes: lost, gained (...) numbers of images that only the one, and only the other, has right -> p (...), 1 where
    both are 0. Reference: McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages (1947), with the binomial distribution instead of its approximation.
    """
    lost, gained = np.asarray(lost, np.int64), np.asarray(gained, np.int64)
    return np.asarray(np.minimum(1.0, 2 * bdtr(np.minimum(lost, gained), lost + gained, 0.5)))


def fair_share(changed: int) -> tuple[int, int]:
    """Between which numbers of heads a fair coin ends, thrown `changed` times, in 95 of 100 cases or more."""
    heads = np.arange(changed + 1)
    below = np.cumsum(np.exp(gammaln(changed + 1) - gammaln(heads + 1) - gammaln(changed - heads + 1)
                             - changed * np.log(2)))  # fmt: skip
    low = int(np.searchsorted(below, 0.025, side="right"))
    return low, changed - low


def holm(p: np.ndarray) -> np.ndarray:
    """p-values of several tests, raised so that the chance of any false alarm among them stays what p says.

    Shapes: (m,) -> (m,). Reference: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(raised, 1.0)
    return found
