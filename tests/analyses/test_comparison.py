"""What comparison says of two networks whose difference is planted, and of two trained ones."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from torch import nn

import microtome as mt
from microtome.analyses.comparison import Comparison, ComparisonResult
from microtome.cards import Card, Crops, Table
from microtome.runs.runner import Look
from pairs import answers_of, changed, digits, found, look, never, probabilities_of, unlabelled

PUSHED = 3


@pytest.fixture(scope="module")
def network() -> tuple[mt.Model, mt.Images]:
    model, images = digits()
    assert 0.6 < (answers_of(model, images) == images.labels).mean() < 0.99
    return model, images


@pytest.fixture(scope="module")
def pushed(network) -> ComparisonResult:
    """B never answers with one of the classes."""
    model, images = network
    return found(model, changed(model, never(PUSHED)), images, Comparison())


def card(result: ComparisonResult, title: str) -> Card:
    (one,) = [card for card in result.cards() if card.title == title]
    return one


def test_a_network_and_itself_break_and_fix_nothing(network) -> None:
    model, images = network
    result = found(model, model, images, Comparison())
    assert (result.change.broken, result.change.fixed, result.changed) == (0, 0, ())
    assert result.verdict == "the same answers"
    assert result.findings()[0].sentence == (
        "B breaks 0 and fixes 0 of 300 images (McNemar p = 1): every answer is the same"
    )
    assert {"Broken images", "Fixed images"} & {card.title for card in result.cards()} == set()


def test_a_copy_with_the_same_weights_is_the_same_network(network) -> None:
    model, images = network
    assert found(model, changed(model, lambda _: None), images, Comparison()).verdict == "the same answers"


def test_a_class_that_is_never_answered_breaks_exactly_its_images(network, pushed) -> None:
    model, images = network
    answers, label = answers_of(model, images), images.labels
    probability = probabilities_of(model, images)
    probability[:, PUSHED] = -1
    second = probability.argmax(1)
    broken = np.flatnonzero((answers == label) & (label == PUSHED))
    fixed = np.flatnonzero((answers == PUSHED) & (second == label))
    assert pushed.index[pushed.broken].tolist() == broken.tolist()
    assert pushed.index[pushed.fixed].tolist() == fixed.tolist()
    assert pushed.changed == tuple(images.ids[place] for place in np.flatnonzero(answers == PUSHED))
    assert len(broken) > 15 and len(fixed) > 0


def test_it_is_called_worse_with_mcnemars_p_and_what_equal_networks_would_do(pushed) -> None:
    change = pushed.change
    assert pushed.verdict == "worse"
    p = scipy.stats.binomtest(change.broken, change.changed).pvalue
    assert change.p == pytest.approx(p, rel=1e-9)
    first = pushed.findings()[0]
    assert first.sentence.startswith(f"B breaks {change.broken} and fixes {change.fixed} of 300 images (McNemar p ")
    assert first.sentence.endswith("): worse")
    low, high = (int(end) for end in scipy.stats.binom(change.changed, 0.5).interval(0.95))
    assert f"it would break {low} to {high} of the {change.changed} images" in first.control


def test_turned_round_it_is_better(network) -> None:
    model, images = network
    result = found(changed(model, never(PUSHED)), model, images, Comparison())
    assert result.verdict == "better"
    assert result.change.apart[1] > 0


def test_the_class_that_suffers_is_named_and_comes_first(pushed) -> None:
    finding = next(f for f in pushed.findings() if "classes" in f.sentence)
    points = pushed.classes[PUSHED][0].points()
    assert finding.sentence == f"B is worse in 1 of 10 classes: {PUSHED} ({points} points)"
    assert finding.weight > 0.9
    rows = card(pushed, "Class by class").content.rows
    assert rows[0][0] == str(PUSHED) and rows[0][3] == "0.0%"
    assert len(rows) == 10


def test_a_tolerance_decides_what_counts_as_worse(network, pushed) -> None:
    model, images = network
    _, low, high = pushed.change.apart
    for tolerance, verdict in ((-high - 0.1, "worse"), (-high + 0.1, "cannot tell"), (-low + 0.1, "not worse")):
        result = found(model, changed(model, never(PUSHED)), images, Comparison(tolerance=float(tolerance)))
        assert result.verdict == verdict


def test_few_images_cannot_tell_and_say_so(network, pushed) -> None:
    model, images = network
    few = images.take(pushed.index[pushed.broken][:3])
    result = found(model, changed(model, never(PUSHED)), few, Comparison())
    assert result.verdict == "cannot tell"
    assert "cannot tell, underpowered (a difference between " in result.conclusion()
    assert result.classes == {}


def test_broken_pictures_are_shown_with_both_answers_and_the_surest_first(network, pushed) -> None:
    shown = card(pushed, "Broken images").content
    assert isinstance(shown, Crops)
    place = int(shown.index[0])
    row = pushed.index.tolist().index(place)
    assert pushed.broken[row] and pushed.confidence[1, row] == pushed.confidence[1, pushed.broken].max()
    model, images = network
    a, b = probabilities_of(model, images)[place], probabilities_of(changed(model, never(PUSHED)), images)[place]
    assert shown.captions[0] == f"{PUSHED} {a.max():.0%} → {b.argmax()} {b.max():.0%}"


def test_both_networks_stand_side_by_side(pushed) -> None:
    table = card(pushed, "Side by side").content
    assert isinstance(table, Table)
    rows = {row[0]: row for row in table.rows}
    assert rows["network"][1:3] == ("simpleconvnet", "simpleconvnet")
    change = pushed.change
    assert rows["accuracy"][1].startswith(f"{(change.both + change.broken) / 300:.1%} [")
    assert rows["accuracy"][2].startswith(f"{(change.both + change.fixed) / 300:.1%} [")


def test_without_labels_it_speaks_of_agreement_alone_and_says_so(network, pushed) -> None:
    model, images = network
    result = found(model, changed(model, never(PUSHED)), unlabelled(images), Comparison())
    alike = 300 - len(pushed.changed)
    (finding,) = result.findings()
    assert finding.sentence == (
        f"A and B answer {alike} of 300 images alike; without labels nobody can say who is right"
    )
    assert "would agree on" in finding.control
    assert [card.title for card in result.cards()] == ["Side by side", "Answered otherwise", "Answers that changed"]
    assert len(card(result, "Answers that changed").content.header) == 3


def test_images_without_a_label_count_for_agreement_alone(network) -> None:
    model, images = network
    some = dataclasses.replace(images, labels=np.where(np.arange(300) < 100, -1, images.labels))
    result = found(model, changed(model, never(PUSHED)), some, Comparison())
    assert (result.change.images, len(result.index)) == (200, 300)
    assert (result.broken | result.fixed)[:100].sum() == 0


def test_images_that_cannot_be_read_are_left_out_of_both(network) -> None:
    model, images = network

    def read(place: int) -> np.ndarray:
        if place in (2, 5):
            raise OSError("broken")
        return images.read(place)

    torn = dataclasses.replace(images, read=read, _kept={}, _broken={})
    result = found(model, changed(model, never(PUSHED)), torn, Comparison())
    assert result.index.tolist() == [place for place in range(300) if place not in (2, 5)]


def test_one_network_alone_is_not_compared_and_says_how_it_would_be(network) -> None:
    model, images = network
    outcome = Look(mt.Specimen(model=model, images=images)).run([Comparison()])
    assert outcome.skipped["comparison"] == (
        "simpleconvnet is looked at by itself. Compared are two networks, on the same images. "
        "Compare with `microtome compare A B --images IMAGES`."
    )


class _Halved(nn.Module):
    """A network behind a halving of its pictures."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x[:, :, ::2, ::2])


def test_each_network_is_given_images_in_its_own_size(network, tmp_path) -> None:
    model, images = network
    for place in range(40):
        Image.fromarray(images[place][0].repeat(2, 0).repeat(2, 1)).save(tmp_path / f"{place}.png")
    own = {"mean": model.preprocessing.mean, "std": model.preprocessing.std}
    large = mt.open_model(_Halved(model.module).eval(), size=56, **own)
    result = found(large, model, mt.open_images(tmp_path, like=large), Comparison())
    assert result.size == (56, 56)
    for answers, alone in zip(result.answers, (large, model), strict=True):
        assert answers.tolist() == answers_of(alone, mt.open_images(tmp_path, like=alone)).tolist()


@pytest.mark.data
def test_a_network_trained_on_these_very_jpegs_is_better_on_them(data_folder: Path) -> None:
    first, second = (
        mt.open_model(f"zoo:resnet20@{data_folder / name}.safetensors")
        for name in ("resnet20_cifar10", "resnet20_cifar10jpeg")
    )
    images = mt.open_images(data_folder / "cifar10" / "test", like=first).limit(300)
    result = found(first, second, images, Comparison())
    change = result.change
    assert result.verdict == "better"
    assert 0.74 < (change.both + change.broken) / 300 < 0.86
    assert 0.83 < (change.both + change.fixed) / 300 < 0.93
    assert 0 < change.broken < change.fixed
    assert look(second, first, images, Comparison()).results["comparison"].verdict == "worse"
