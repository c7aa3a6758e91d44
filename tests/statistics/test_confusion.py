import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import confusion_matrix

from feeding import cut, feed
from microtome.statistics import Confusion, Predictions

LABELS = np.random.default_rng(0).integers(-1, 6, 90)


def outputs() -> torch.Tensor:
    """Coarse, so that many classes are equally probable."""
    return torch.round(torch.randn(90, 6, generator=torch.Generator().manual_seed(0)) * 2)


def test_confusion_counts_like_scikit_learn() -> None:
    found = feed(Confusion(classes=6), outputs(), cut(range(90), 7), labels=LABELS).compute()
    known = LABELS >= 0
    expected = confusion_matrix(LABELS[known], outputs().numpy().argmax(1)[known], labels=range(6))
    assert found.tolist() == expected.tolist()


def test_confusion_without_any_label_is_empty() -> None:
    assert feed(Confusion(classes=6), outputs()).compute().tolist() == np.zeros((6, 6)).tolist()


def test_predicted_classes_are_ranked_with_the_first_of_equals_first() -> None:
    found = feed(Predictions(k=4), outputs(), cut(range(90), 7)).compute()
    assert found.classes.tolist() == np.argsort(-outputs().numpy(), axis=1, kind="stable")[:, :4].tolist()


def test_the_first_prediction_is_the_one_that_confusion_counts() -> None:
    first = feed(Predictions(k=1), outputs(), labels=LABELS).compute().classes[:, 0]
    counts = feed(Confusion(classes=6), outputs(), labels=LABELS).compute()
    assert counts.sum(0).tolist() == np.bincount(first[LABELS >= 0], minlength=6).tolist()


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_probabilities_are_the_softmax_of_the_outputs(scale: float) -> None:
    found = feed(Predictions(k=6), outputs() * scale).compute()
    expected = np.sort(softmax(outputs().double().numpy() * scale, axis=1), axis=1)[:, ::-1]
    np.testing.assert_allclose(found.probability, expected, rtol=1e-12, atol=1e-300)


def test_predictions_come_in_the_order_of_the_images_with_their_labels() -> None:
    found = feed(Predictions(), outputs(), cut(np.random.default_rng(1).permutation(90), 7), labels=LABELS).compute()
    assert found.index.tolist() == list(range(90))
    assert found.label.tolist() == LABELS.tolist()


def test_no_more_predictions_than_classes_are_given() -> None:
    assert feed(Predictions(k=50), outputs()).compute().classes.shape == (90, 6)
