"""Which preprocessing a network likes: planted in networks made so that they are right under one alone."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable
from microtome.images.collection import Images, wrap
from microtome.images.preprocessing import Preprocessing
from microtome.network.checkup.input_trials import Trial, Trials, alternatives, try_inputs
from toys import Plain, noise, opened, prepared, seeded

COLOUR = Preprocessing(size=(4, 4), resize=4, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
GREY = Preprocessing(size=(4, 4), resize=4, mean=(0.5,), std=(0.5,))


def images_for(preprocessing: Preprocessing) -> Images:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    pixels = pixels if preprocessing.channels == 3 else pixels[..., 0]
    return wrap("noise", pixels, np.zeros(6), ["a"], preprocessing)


def given_to_the_network(preprocessing: Preprocessing) -> dict[str, np.ndarray]:
    """What the network gets of the first image under every alternative."""
    ways = alternatives(preprocessing, images_for(preprocessing))
    return {name: way.normalise(torch.from_numpy(shown[0])[None])[0].numpy() for name, way, shown in ways}


def test_every_alternative_gives_the_numbers_that_its_name_says() -> None:
    pixels = images_for(COLOUR)[0].astype(np.float64)
    column = np.array([0.1, 0.2, 0.3])[:, None, None], np.array([0.5, 0.6, 0.7])[:, None, None]
    imagenet = np.array([0.485, 0.456, 0.406])[:, None, None], np.array([0.229, 0.224, 0.225])[:, None, None]
    expected = {
        "the given preprocessing": (pixels / 255 - column[0]) / column[1],
        "ImageNet's mean and std": (pixels / 255 - imagenet[0]) / imagenet[1],
        "mean 0.5, std 0.5 (-1..1)": pixels / 127.5 - 1,
        "no normalisation (0..1)": pixels / 255,
        "no normalisation (0..255)": pixels,
        "the given mean taken from 0..255": pixels - 255 * column[0],
    }
    found = given_to_the_network(COLOUR)
    assert list(found) == [*expected, *(f"{name}, blue first" for name in expected)]
    for name, numbers in expected.items():
        np.testing.assert_allclose(found[name], numbers, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(found[f"{name}, blue first"], numbers[::-1], rtol=1e-5, atol=1e-4)


def test_grey_images_have_no_order_of_channels_and_what_is_given_is_not_tried_twice() -> None:
    assert list(given_to_the_network(GREY)) == [
        "the given preprocessing", "MNIST's mean and std", "no normalisation (0..1)", "no normalisation (0..255)",
        "the given mean taken from 0..255",
    ]  # fmt: skip


def trials(by: str, *rows: dict[str, float]) -> Trials:
    made = (Trial(name=f"way {n}", images=100, **({"largest": 1.0} | row)) for n, row in enumerate(rows))
    return Trials(trials=tuple(made), by=by)


def share(accuracy: float) -> dict[str, float]:
    return {"accuracy": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.1}


@pytest.mark.parametrize(
    ("by", "rows", "verdict", "best", "sentence"),
    [
        ("accuracy", [share(0.8), share(0.3)], "looks right", "way 0",
         "The preprocessing looks right: 80.0% right [70.0%, 90.0%]"),
        ("accuracy", [share(0.8), share(0.85), share(0.3)], "looks right", "way 1",
         "The preprocessing looks right: 80.0% right [70.0%, 90.0%]; 100 images cannot tell it from way 1"),
        ("accuracy", [share(0.3), share(0.8), share(0.6)], "looks wrong", "way 1",
         "The preprocessing looks wrong: 30.0% right [20.0%, 40.0%], but 80.0% right [70.0%, 90.0%] with way 1"),
        ("accuracy", [share(0.3), share(0.35), share(0.25)], "cannot be decided", "way 1",
         "Whether the preprocessing is right cannot be decided: 30.0% right [20.0%, 40.0%], and no alternative differs "
         "by more than chance"),
        ("batch norm", [{"mismatch": 0.25}, {"mismatch": 0.2}, {"mismatch": 3.0}], "looks right", "way 1",
         "The preprocessing looks right: the first BatchNorm is off by 0.25 standard deviations; 100 images cannot "
         "tell it from way 1; without labels only the first BatchNorm decides, which is less"),
        ("batch norm", [{"mismatch": 0.9}, {"mismatch": 0.2}], "looks wrong", "way 1",
         "The preprocessing looks wrong: the first BatchNorm is off by 0.90 standard deviations, but the first "
         "BatchNorm is off by 0.20 standard deviations with way 1; without labels only the first BatchNorm decides, "
         "which is less"),
        ("entropy", [{"entropy": 1.0, "entropy_half": 0.2}, {"entropy": 3.0}], "looks right", "way 0",
         "The preprocessing looks right: answers with 1.00 bits of entropy; without labels only how sure the answers "
         "are decides, which is less"),
        ("entropy", [{"entropy": 3.0, "entropy_half": 0.2}, {"entropy": 1.0}], "looks wrong", "way 1",
         "The preprocessing looks wrong: answers with 3.00 bits of entropy, but answers with 1.00 bits of entropy with "
         "way 1; without labels only how sure the answers are decides, which is less"),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_the_numbers_and_says_what_it_rests_on(by, rows, verdict, best, sentence) -> None:
    found = trials(by, *rows)
    assert (found.verdict, found.best.name, found.sentence()) == (verdict, best, sentence)


def test_an_input_that_is_much_larger_makes_any_network_sure_and_does_not_count() -> None:
    found = trials("entropy", {"entropy": 2.0, "entropy_half": 0.1}, {"entropy": 0.0, "largest": 255.0}, {"entropy": 4})
    assert (found.verdict, found.best.name, found.alike) == ("looks right", "way 0", [])


def test_what_is_no_number_is_never_best() -> None:
    nan = float("nan")
    assert trials("batch norm", {"mismatch": 0.3}, {"mismatch": nan}).best.name == "way 0"
    assert trials("batch norm", {"mismatch": nan}, {"mismatch": 0.3}).verdict == "looks wrong"


class Brightness(nn.Module):
    """Answers 1 where red is above `threshold`, as it sees it; a scale so small that answers stay unsure."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.conv, self.threshold = nn.Conv2d(3, 3, 1, bias=False), threshold
        self.conv.weight.data = torch.eye(3)[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        red = self.conv(x).mean((2, 3))[:, 0] - self.threshold
        return torch.stack([-red, red], 1)


def shades(model: mt.Model) -> Images:
    """Pictures of one colour, half of them redder than 0.7."""
    levels = np.random.default_rng(0).uniform(0.4, 1, (60, 1, 1, 1))
    pixels = np.broadcast_to(levels * np.array([255, 128, 10]), (60, 12, 12, 3)).astype(np.uint8)
    return wrap("shades", pixels, (levels.ravel() > 0.7).astype(int), ["dark", "red"], model.preprocessing)


def tried(module: nn.Module, mean: float = 0.5, std: float = 0.5) -> Trials:
    model = mt.open_model(module.eval(), size=12, mean=(mean,) * 3, std=(std,) * 3)
    found = try_inputs(mt.Specimen(model=model, images=shades(model)))
    assert found is not None
    return found


def test_the_preprocessing_that_a_network_was_made_for_looks_right() -> None:
    found = tried(Brightness(0.4))  # 0.7 in -1..1
    assert (found.by, found.verdict, found.given.accuracy) == ("accuracy", "looks right", 1.0)


def test_a_wrong_mean_and_std_is_found_out_and_the_right_one_named() -> None:
    found = tried(Brightness(0.4), mean=0.0, std=1.0)
    assert (found.verdict, found.best.name) == ("looks wrong", "mean 0.5, std 0.5 (-1..1)")


def test_a_network_that_was_trained_with_blue_first_is_found_out() -> None:
    class Turned(Brightness):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.flip(1))

    found = tried(Turned(0.4))
    assert (found.verdict, found.best.name) == ("looks wrong", "the given preprocessing, blue first")


def test_accuracy_entropy_confidence_mismatch_and_dead_units_are_what_their_definitions_say() -> None:
    model = opened(seeded(Plain))
    norm = model.module.bn
    norm.running_mean.data = torch.tensor([0.1, -0.2, 0.3, 0.0])
    norm.running_var.data = torch.tensor([1.0, 0.5, 2.0, 0.1])
    model.module.bn.bias.data[2] = -100.0  # never fires
    images = noise(model, 30)
    images = dataclasses.replace(images, labels=np.where(np.arange(30) < 4, -1, images.labels))
    found = try_inputs(mt.Specimen(model=model, images=images))
    with torch.no_grad():
        x = prepared(model, images)
        before = model.module.conv1(x)
        first = torch.relu(norm(before))
        second = torch.relu(model.module.conv2(first))
        answers = torch.softmax(model.module(x).double(), 1)
    given = found.given
    known = images.labels >= 0
    assert given.accuracy == (answers.argmax(1).numpy() == images.labels)[known].mean()
    assert given.confidence == pytest.approx(float(answers.max(1).values.mean()), rel=1e-6)
    assert given.entropy == pytest.approx(float(torch.special.entr(answers).sum(1).mean()) / math.log(2), rel=1e-6)
    mean, std = before.mean((0, 2, 3)), before.std((0, 2, 3), unbiased=False)
    spread = (norm.running_var + norm.eps).sqrt()
    distance = (((mean - norm.running_mean) ** 2 + (std - spread) ** 2).sqrt() / spread).mean()
    assert given.mismatch == pytest.approx(float(distance), rel=1e-4)
    logits = model.module(x).detach()
    fires = torch.cat([first.amax((0, 2, 3)), second.amax((0, 2, 3)), logits.amax(0)]) > 0
    assert given.dead == pytest.approx(1 - float(fires.float().mean()))
    assert given.dead > 0


def test_without_labels_the_first_batch_norm_decides_and_without_it_the_answers() -> None:
    model = opened(seeded(Plain))
    images = dataclasses.replace(noise(model, 8), labels=np.full(8, -1))
    assert try_inputs(mt.Specimen(model=model, images=images)).by == "batch norm"
    model = opened(Brightness(0.0).eval())
    assert try_inputs(mt.Specimen(model=model, images=images)).by == "entropy"


def test_a_network_that_neither_classifies_nor_normalises_cannot_be_tried() -> None:
    model = opened(nn.Sequential(nn.Conv2d(3, 2, 3)).eval())
    assert try_inputs(mt.Specimen(model=model, images=noise(model, 8))) is None


def test_without_images_nothing_can_be_tried() -> None:
    with pytest.raises(NotApplicable, match=r"^doctor was given no images\. doctor measures on images\."):
        try_inputs(mt.Specimen(model=opened(seeded(Plain))))


def test_no_more_than_two_hundred_images_are_tried() -> None:
    model = opened(seeded(Plain))
    assert try_inputs(mt.Specimen(model=model, images=noise(model, 230))).given.images == 200
