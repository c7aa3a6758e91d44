"""Which of two networks knows better how sure to be: one that is twice as sure as it should be, and itself."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.calibrations import Calibrations
from microtome.cards import Chart, Table
from microtome.formulas.proportions import calibrated_error, calibration_apart, expected_calibration_error
from microtome.images.collection import wrap
from pairs import changed, digits, found, look, unlabelled

IMAGES = 250


class Planted(nn.Module):
    """Answers with the row of a table that the brightness of the first pixel names, as often sharpened as asked."""

    def __init__(self, logits: np.ndarray, sureness: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)  # so that there is a layer
        self.register_buffer("logits", torch.from_numpy(logits * sureness).float())

    def forward(self, x: Tensor) -> Tensor:
        row = (x[:, 0, 0, 0] * 255).round().long().clamp(0, IMAGES - 1)
        return torch.nn.functional.embedding(row, self.logits) + 0 * self.conv(x).sum()


@pytest.fixture(scope="module")
def planted():
    """A calibrated network, one that is three times as sure, and images whose labels are drawn as the first says."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (IMAGES, 5))
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(5, p=row) for row in probability])
    models = [mt.open_model(Planted(logits, sure).eval(), size=4, mean=(0,), std=(1,)) for sure in (1.0, 3.0)]
    pixels = np.arange(IMAGES, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    images = wrap("planted", pixels, labels, [str(k) for k in range(5)], models[0].preprocessing)
    return *models, images, probability.max(1), probability.argmax(1) == labels


def test_a_network_that_is_too_sure_is_calibrated_worse(planted) -> None:
    calm, sure, images, *_ = planted
    result = found(calm, sure, images, Calibrations())
    assert result.apart[1] > 0
    assert result.findings()[0].sentence.startswith("B is calibrated worse: expected calibration error ")
    assert found(sure, calm, images, Calibrations()).findings()[0].sentence.startswith("B is calibrated better")


def test_the_errors_are_those_of_each_network(planted) -> None:
    calm, sure, images, confidence, correct = planted
    result = found(calm, sure, images, Calibrations())
    np.testing.assert_allclose(result.confidence[0], confidence, atol=1e-6)
    np.testing.assert_array_equal(result.correct, [correct, correct])
    assert result.ece[0] == pytest.approx(expected_calibration_error(confidence, correct, 15), abs=1e-6)
    np.testing.assert_allclose(result.calibrated[0], calibrated_error(result.confidence[0], 15, 0))


def test_a_network_is_calibrated_no_otherwise_than_itself(planted) -> None:
    calm, _, images, *_ = planted
    result = found(calm, calm, images, Calibrations())
    assert result.apart.tolist() == [0, 0, 0]
    assert result.findings()[0].sentence.startswith("Neither is certain to be calibrated better")


def test_errors_above_ninety_percent_are_counted_beside_a_calibrated_networks(planted) -> None:
    calm, sure, images, *_ = planted
    result = found(calm, sure, images, Calibrations())
    (table,) = [card.content for card in result.cards() if isinstance(card.content, Table)]
    for row, confidence, correct in zip(table.rows, result.confidence, result.correct, strict=True):
        bold = confidence > 0.9
        assert row[4:] == ((~correct).sum(), (bold & ~correct).sum(), f"{(1 - confidence[bold]).sum():.0f}")
    (chart,) = [card.content for card in result.cards() if isinstance(card.content, Chart)]
    assert [name for name, _ in chart.series] == ["A", "B", "calibrated"]
    for confidence, (_, shown) in zip(result.confidence, chart.series, strict=False):
        counts = np.histogram(confidence, 15, (0, 1))[0]
        assert ((counts >= 10) == ~np.isnan(shown)).all()


def test_the_interval_of_the_difference_holds_the_truth_in_about_95_of_100_sets(planted) -> None:
    """Of two calibrated networks with other confidences neither is calibrated better."""
    random, held = np.random.default_rng(1), 0
    for seed in range(60):
        confidence = np.stack([random.uniform(0.5, 1, 400), random.uniform(0.5, 1, 400)])
        _, low, high = calibration_apart(confidence, random.random((2, 400)) < confidence, 15, seed)
        held += low <= 0 <= high
    assert held >= 54


def test_without_labels_it_says_why_not() -> None:
    model, images = digits()
    reason = look(model, changed(model, lambda _: None), unlabelled(images), Calibrations()).skipped["calibrations"]
    assert reason.startswith("The images have no labels that fit the 10 outputs")
