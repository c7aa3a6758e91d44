"""Grad-CAM of one picture: where the evidence for a class is, beside where that for the next best class is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..errors import UsageError
from ..figures import new_figure, short, show_over, show_picture
from ..formulas.correlation import correlation_matrix
from ..images.collection import Images
from ..images.picture import Given, open_picture
from ..network.backward.gradcam import default_site, enlarged
from ..network.backward.gradcam import grad_cam as heat_of
from ..network.classes import class_words, logits_site
from ..network.open import Model, open_model
from .explanation import CLASS, aim_at
from .map_truth import MapTruth, truth_of_map, with_truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOW_TO_READ = ("Orange: places whose activations, weighted by the mean slope of the logit, speak for the class; grey: "
               "they do not. The map is coarse and was enlarged: its borders are no borders of things.")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EvidenceSheet:
    """Where in a picture the evidence for a class is, and the control: where that for its strongest rival is.

    Shapes: pixels (C, H, W) uint8; heat and rival_heat (h, w) at the positions of the site, in units of the logit;
    logits (K,). `default` says whether the site was chosen here. `truth` tells whether the heat points at the pixels
    that matter; None without heat.
    """

    model: str
    picture: str
    pixels: np.ndarray
    site: str
    default: bool
    target: int
    words: str
    answer: str
    rival: str
    heat: np.ndarray
    rival_heat: np.ndarray
    logits: np.ndarray
    truth: MapTruth | None

    @property
    def enlarged(self) -> np.ndarray:
        """The heat in pixels of the picture: (H, W)."""
        height, width = self.pixels.shape[1:]
        whole: np.ndarray = enlarged(self.heat[None], (height, width))[0]
        return whole

    @property
    def probability(self) -> float:
        """The softmax of the logits at the class."""
        return float(torch.softmax(torch.from_numpy(self.logits).double(), 0)[self.target])

    @property
    def area_of_half(self) -> float:
        """The smallest share of the picture's area that holds half of the heat; NaN without heat."""
        falling = np.sort(self.enlarged.ravel())[::-1].cumsum(dtype=np.float64)
        return float(((falling < falling[-1] / 2).sum() + 1) / len(falling)) if falling[-1] > 0 else float("nan")

    @property
    def agreement(self) -> float:
        """Correlation of the heat with the rival's over positions; 0 where one of them is constant."""
        return float(correlation_matrix(np.stack([self.heat.ravel(), self.rival_heat.ravel()], axis=1))[0, 1])

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines."""
        return {
            "model": self.model, "picture": self.picture, "method": "gradcam", "site": self.site,
            "site_by_default": self.default, "class": self.target, "class_name": self.words,
            "logit": float(self.logits[self.target]), "probability": self.probability, "answer": self.answer,
            "heat": self.heat.tolist(), "area_of_half": self.area_of_half if self.heat.any() else None,
            "rival": self.rival, "agreement_with_rival": self.agreement,
            "truth": self.truth.numbers() if self.truth else None,
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """What was found, with its control."""
        own = "the network's answer" if self.answer == self.words else f"its answer is {self.answer}"
        why = "the last with positions through which all of the logit flows" if self.default else "as asked"
        extent = " x ".join(map(str, self.heat.shape))
        lines = [
            f"{self.model}, {self.words} on {self.picture}: logit {short(float(self.logits[self.target]))}, "
            f"probability {self.probability:.1%} ({own})",
            f"Grad-CAM at {self.site} ({extent}), {why}",
        ]  # fmt: skip
        if not self.heat.any():
            return [*lines, "No heat: nothing at this site speaks for the class"]
        return [
            *lines,
            f"Half of the heat lies in {self.area_of_half:.0%} of the picture (evenly spread it would be 50%)",
            f"Control: it correlates {self.agreement:.2f} with the heat of {self.rival} (at 1 it would say nothing "
            "about the class)",
            *([self.truth.sentence()] if self.truth else []),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """The picture, and the heat over it."""
        figure = new_figure(1, 2, size=(9.0, 4.6))
        first, second = figure.axes
        show_picture(first, self.pixels)
        first.set_title(self.picture, fontsize=10)
        show_over(second, self.pixels, self.enlarged, "heat (units of the logit)")
        second.set_title(f"{self.words}, at {self.site}", fontsize=10)
        figure.suptitle(f"{self.model} · Grad-CAM")
        figure.supxlabel(with_truth(HOW_TO_READ, self.truth), fontsize=8, wrap=True)
        return figure


def grad_cam(
    model: Model | nn.Module | str, image: Given, target: int | str = CLASS, *, site: str | None = None,
    images: Images | None = None,
) -> EvidenceSheet:  # fmt: skip
    """Grad-CAM of one picture, for a class or, unless one is given, for the network's answer.

    `image` is as for `maps`; `target` a class's number, "class:NAME" or "class:NUMBER"; `site` where to read, by
    default the last site with positions through which all of the logit flows.
    Raises: UnknownName, UsageError, BadImages; NotApplicable for a network without classes.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    picture = open_picture(image, opened.preprocessing, images)
    aim = aim_at(opened, target, picture.pixels)
    if aim.number is None and aim.site != opened.sites.output:
        raise UsageError(
            f"{aim.words} is a unit", "Grad-CAM explains a class: class, class:NAME or class:NUMBER",
            "Use occlusion, deconvnet, guided or gradient for units",
        )  # fmt: skip
    number = aim.channel
    where = default_site(opened) if site is None else site
    prepared = opened.preprocessing.normalise(torch.from_numpy(picture.pixels)[None])
    found = heat_of(opened, prepared, [number], where)
    logits = found.logits[0]
    best = logits.argsort(kind="stable")[::-1][:2].tolist()  # the answer, and the second best
    rival = next((other for other in best if other != number), number)
    against = heat_of(opened, prepared, [rival], where)
    size = opened.preprocessing.size
    heat = found.enlarged(size)[0]
    truth = truth_of_map(opened, picture.pixels, logits_site(opened), (number,), (0, 0, *size), heat)
    return EvidenceSheet(
        model=opened.name, picture=picture.name, pixels=picture.pixels, site=found.site, default=site is None,
        target=number, words=class_words(opened, number), answer=class_words(opened, int(best[0])),
        rival=class_words(opened, rival), heat=found.heat[0], rival_heat=against.heat[0], logits=logits, truth=truth,
    )  # fmt: skip
