"""What each analysis says about itself before it runs: in full, approximately, or not at all."""

import dataclasses

import numpy as np
import pytest
from torch import Tensor, nn

import microtome as mt
from microtome.analyses import general, registry
from microtome.analysis import Fit, Pass, at
from microtome.statistics import Moments
from sketches import Sketch, SketchResult
from subjects import BESIDE, SUBJECTS
from toys import Plain, noise, opened, seeded


class Mixed(nn.Module):
    """A linear layer takes the images apart, so that the second layer has no row an image; GELU in between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.odd = nn.Conv2d(3, 4, 3), nn.GELU(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x)).mean((2, 3))
        return self.odd(x.reshape(-1, 1, 4)[:1])


def fit(name: str, specimen: mt.Specimen) -> Fit:
    return registry()[name]().fit(specimen)


def mixed() -> mt.Specimen:
    model = opened(seeded(Mixed))
    return mt.Specimen(model=model, images=noise(model, 40))


@pytest.mark.parametrize("name", general(registry()))
def test_digits_and_a_small_network_suit_every_analysis(name) -> None:
    assert fit(name, SUBJECTS["digits"]()) == Fit(verdict="full")


@pytest.mark.parametrize(
    ("name", "build", "reason", "instead"),
    [
        ("decisions", SUBJECTS["few"], "1 image(s) a class are too few to speak of single classes",
         "Give 5 images a class or more"),
        ("preferences", SUBJECTS["few"], "underpowered: 1 image(s) a class cannot show which classes units prefer",
         "Give 5 images a class or more"),
        ("twins", SUBJECTS["few"], "with 2 images, layers without positions have as few samples, and units that have "
         "nothing in common may look alike", "Give 30 images or more"),
        ("twins", mixed, "1 of 2 layers do not give one row an image and are left out: odd",
         "Look at the sites before them"),
        ("activity", mixed, "1 of 2 layers do not give one row an image and are left out: odd; no unit is read behind "
         "a ReLU: a share of positions above zero says little there, and only constant units are called dead",
         "Look at the sites before them; Compare units by mean and standard deviation"),
    ],
)  # fmt: skip
def test_what_holds_only_in_part_says_why_and_what_to_do(name, build, reason, instead) -> None:
    assert fit(name, build()) == Fit(verdict="approximate", reason=reason, instead=instead)


def test_images_without_a_label_are_counted() -> None:
    model = opened(seeded(Plain))
    images = noise(model, 40)
    labels = np.where(np.arange(40) < 7, -1, images.labels)
    found = fit("decisions", mt.Specimen(model=model, images=dataclasses.replace(images, labels=labels)))
    assert (found.verdict, found.reason) == ("approximate", "7 of 40 images have no label and are left out")


def test_a_layer_too_wide_to_compare_all_pairs_is_named() -> None:
    wide = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 4097)).eval()
    found = fit("filters", mt.Specimen(model=opened(wide)))
    assert found.reason == "1 of 2 layers have more than 4,096 units and are not searched for copies: 2"
    assert found.instead == "twins finds units that do the same by their responses"


def test_weights_without_spatial_extent_are_no_filters() -> None:
    found = fit("filters", mt.Specimen(model=opened(nn.Sequential(nn.Conv2d(3, 4, 1)).eval())))
    assert found.reason == "no layer has spatial extent: weights are shown as rows of squares, not as filters"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures(Sketch):
    """A stranger's analysis that says nothing about what it needs."""

    name = "measures"

    def steps(self, specimen):
        yield Pass(found=at(specimen.sites.output, Moments()))
        return SketchResult(found={})


def test_an_analysis_that_says_nothing_of_itself_is_asked_for_its_first_request() -> None:
    model = opened(seeded(Plain))
    assert Measures().fit(mt.Specimen(model=model, images=noise(model))) == Fit(verdict="full")
    refused = Measures().fit(mt.Specimen(model=model))
    assert (refused.verdict, refused.instead) == ("refused", "Give an image source")
    assert refused.reason == "measures was given no images. measures measures on images. Give an image source."


def test_what_needs_other_results_is_not_asked_before_they_are_there() -> None:
    class Needy(Measures):
        requires = ("activity",)

        def steps(self, specimen):
            yield specimen.results["activity"]

    model = opened(seeded(Plain))
    assert Needy().fit(mt.Specimen(model=model, images=noise(model))).verdict == "full"


@pytest.mark.parametrize(
    ("name", "subject", "reason"),
    [("comparison", "beside_unlabelled", "without labels it is said where both answer alike, but not who is right"),
     ("counterparts", "beside_few", "with 2 images, units that have nothing in common may look alike")],
)  # fmt: skip
def test_what_is_said_only_in_part_of_two_networks_says_why(name, subject, reason) -> None:
    found = fit(name, BESIDE[subject]())
    assert (found.verdict, found.reason) == ("approximate", reason)
