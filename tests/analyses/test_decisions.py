"""What decisions says of a classifier whose every answer is planted, and of a trained one."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.decisions import Decisions, DecisionsResult
from microtome.cards import Heat, Table
from microtome.images.collection import wrap
from microtome.runs.runner import Look

IMAGES = 240


class Planted(nn.Module):
    """Answers with the row of a table that the brightness of the first pixel names."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)  # so that there is a layer
        self.register_buffer("logits", torch.from_numpy(logits).float())

    def forward(self, x: Tensor) -> Tensor:
        row = (x[:, 0, 0, 0] * 255).round().long().clamp(0, IMAGES - 1)
        return torch.nn.functional.embedding(row, self.logits) + 0 * self.conv(x).sum()


def look(logits: np.ndarray, labels: np.ndarray, **settings: int) -> DecisionsResult:
    names = [f"class {k}" for k in range(logits.shape[1])]
    model = mt.open_model(Planted(logits).eval(), size=4, mean=(0,), std=(1,), class_names=names)
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    images = wrap("planted", pixels, labels, names, model.preprocessing)
    return Look(mt.Specimen(model=model, images=images)).run([Decisions(**settings)]).results["decisions"]


def table(classes: int = 7, sureness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from the softmax of the logits themselves: with sureness 1 a calibrated network."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (IMAGES, classes))
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(classes, p=row) for row in probability])
    return logits * sureness, labels


def test_accuracy_and_confusion_are_scikit_learns() -> None:
    logits, labels = table()
    result = look(logits, labels)
    assert result.accuracy == sklearn.metrics.accuracy_score(labels, logits.argmax(1))
    np.testing.assert_array_equal(result.confusion, sklearn.metrics.confusion_matrix(labels, logits.argmax(1)))
    assert result.in_top5.mean() == sklearn.metrics.top_k_accuracy_score(labels, logits, k=5)


def test_the_first_finding_is_accuracy_beside_always_answering_the_commonest_class() -> None:
    logits, labels = table()
    accuracy, finding = (logits.argmax(1) == labels).mean(), look(logits, labels).findings()[0]
    assert finding.number == accuracy
    assert finding.sentence.startswith(f"{accuracy:.1%} of 240 images are classified correctly [")
    assert finding.control == f"always answering the commonest class gives {np.bincount(labels).max() / IMAGES:.1%}"


@pytest.mark.parametrize("bins", [15, 4])
def test_the_calibration_error_is_that_of_a_slow_loop(bins) -> None:
    logits, labels = table(sureness=2.0)
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    sure, right = probability.max(1), probability.argmax(1) == labels
    error = 0.0
    for left in np.arange(bins) / bins:
        inside = (sure >= left) & (sure < left + 1 / bins)
        if inside.any():
            error += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    assert look(logits, labels, bins=bins).ece == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize(
    ("sureness", "sentence"),
    [(1.0, "Its confidence cannot be told from a calibrated network's"), (4.0, "It is too sure"),
     (0.3, "It is too cautious")],
)  # fmt: skip
def test_planted_calibration_is_told_from_too_much_and_too_little_confidence(sureness, sentence) -> None:
    result = look(*table(sureness=sureness))
    assert result.findings()[-1].sentence.startswith(f"{sentence}: ")
    assert 0 < result.calibrated[0] < result.calibrated[1]


def test_confident_errors_come_surest_first_and_beside_what_a_calibrated_network_makes() -> None:
    logits, labels = table(sureness=4.0)
    result = look(logits, labels)
    wrong = logits.argmax(1) != labels
    assert result.findings()[1].number == (result.confidence[wrong] > 0.9).mean()
    expected = (1 - result.confidence[result.confidence > 0.9]).sum()
    assert f"a calibrated network would make {expected:.0f} such errors" in result.findings()[1].control
    (card,) = [card for card in result.cards() if card.title == "Most confident errors"]
    assert not (labels[card.content.index] == logits.argmax(1)[card.content.index]).any()
    assert (np.diff(result.confidence[card.content.index]) <= 0).all()
    first = card.content.index[0]
    assert card.content.captions[0].startswith(f"class {labels[first]} → class {logits[first].argmax()}, ")


def test_a_network_without_errors_has_no_card_of_errors() -> None:
    labels = np.arange(IMAGES) % 5
    result = look(np.eye(5)[labels] * 20, labels)
    assert result.accuracy == 1
    assert "Most confident errors" not in [card.title for card in result.cards()]
    assert len(result.findings()) == 2


def test_many_classes_are_shown_as_a_list_of_repeated_mistakes() -> None:
    labels = np.arange(IMAGES) % 50
    answers = np.where(labels == 3, 9, labels)
    result = look(np.eye(50)[answers] * 20, labels)
    (card,) = [card for card in result.cards() if card.title == "Confusion"]
    assert isinstance(card.content, Table)
    assert card.content.rows == (("class 3", "class 9", int((labels == 3).sum())),)


def test_rows_of_the_confusion_card_add_up_to_one() -> None:
    (card,) = [card for card in look(*table()).cards() if card.title == "Confusion"]
    assert isinstance(card.content, Heat)
    np.testing.assert_allclose(card.content.values.sum(1), 1)


def test_a_few_images_a_class_say_nothing_about_single_classes() -> None:
    labels = np.arange(IMAGES) % 80
    result = look(np.eye(80)[labels], labels)
    (card,) = [card for card in result.cards() if card.title == "Accuracy"]
    assert card.how_to_read.endswith("Too few images a class to say anything about single classes.")
    assert [row[0] for row in card.content.rows] == [
        "all, right answer first",
        "all, right answer among the first five",
    ]


def accuracy_of(folder: Path, count: int, perturbed: bool) -> float:
    model = mt.open_model(f"zoo:resnet20@{folder / 'resnet20_cifar10.safetensors'}")
    if perturbed:  # the first layer's kernels change places
        model.module.conv1.weight.data = model.module.conv1.weight.data.roll(1, 0)
    images = mt.open_images(folder / "cifar10" / "test", like=model).limit(count)
    return Look(mt.Specimen(model=model, images=images)).run([Decisions()]).results["decisions"].accuracy


@pytest.mark.data
def test_a_trained_network_is_right_on_eight_of_ten_test_images(data_folder: Path) -> None:
    assert accuracy_of(data_folder, 1000, perturbed=False) == pytest.approx(0.81, abs=0.03)


@pytest.mark.data
def test_a_perturbed_checkpoint_is_found_out(data_folder: Path) -> None:
    assert accuracy_of(data_folder, 300, perturbed=True) < 0.6
