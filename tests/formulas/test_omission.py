"""Verdicts on planted shares: each of the conditions alone decides."""

import numpy as np
import pytest

from microtome.formulas.omission import Trial, in_words, verdicts

COUNT = 100


def right(share: float) -> np.ndarray:
    return (np.arange(COUNT) < share * COUNT).astype(float)


def trial(copy: float, mean: float = 0.1, score: float = 0.8, **others: float) -> Trial:
    shares = {"copy": right(copy), **{kind: right(share) for kind, share in others.items()}}
    return Trial(copy_score=score, shares=shares | {"mean": right(mean)})


@pytest.mark.parametrize(("first", "words", "able"), [
    (trial(0.95), "replicates its input", True),
    (trial(0.95, score=0.5), "could be left out", True),
    (trial(0.92), "needed", False),
    (trial(0.95, mean=0.9), "does little: hardly more than its mean", False),
    (trial(0.95, mean=0.95), "does little: its mean is enough", False),
    (trial(0.5, **{"1x1": 0.94}), "a 1x1 map is enough", True),
    (trial(0.5, identity=0.94), "could be left out", True),
])  # fmt: skip
def test_a_verdict_holds_by_its_conditions(first: Trial, words: str, able: bool) -> None:
    found = verdicts(right(0.96), {"a": first, "b": trial(0.3)})["a"]
    assert (found.words, found.able) == (words, able)


def test_a_layer_replicates_only_if_the_copies_of_others_do_worse() -> None:
    found = verdicts(right(0.96), {"a": trial(0.95), "b": trial(0.9), "c": trial(0.92)})
    assert found["a"].words == "could be left out" and found["a"].kind == "copy"
    assert found["a"].lost == pytest.approx(0.01)
    assert verdicts(right(0.96), {"a": trial(0.95)})["a"].words == "replicates its input"


def test_nothing_is_said_of_few_images_or_of_a_network_that_is_always_wrong() -> None:
    few = Trial(copy_score=1.0, shares={"copy": np.ones(9), "mean": np.zeros(9)})
    assert verdicts(np.ones(9), {"a": few})["a"].words == "too few images to say"
    assert not verdicts(right(0.05), {"a": trial(0.05, mean=0.0)})["a"].able


def test_shares_come_with_their_interval() -> None:
    assert in_words(right(1.0)) == "100% [96, 100]" and in_words(np.zeros(0)) == "–"
