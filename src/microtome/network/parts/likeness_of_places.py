"""How alike places of a picture are to a first layer: in what it sees, and in what filters make of it."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ...formulas.spectrum import Basis
from ...formulas.whitening import autocorrelation
from ..specimen import Specimen
from .first_convolution import filter_bank, seen_by_first

FURTHEST = 10  # pixels
SIDE = 64  # pixels of the middle of an image that are looked at
NUMBERS = 4e6  # at once, of filters as many as there are axes
FEWEST, MOST = 4, 128  # images
PATHS = ("what it sees", "its answers", "answers of random filters", "whitened")


def images_compared(basis: Basis) -> int:
    """On how many images places are compared, so that their maps take little room."""
    return int(np.clip(NUMBERS / (len(basis.variance) * SIDE**2), FEWEST, MOST))


def likeness_of_places(specimen: Specimen, chosen: Sequence[int], basis: Basis) -> np.ndarray:
    """Correlation of values at two places, by how many pixels they are apart (mean of beside and below).

    Of what the first layer sees, of its answers, of those of as many random filters, and of filters that whiten along
    the axes. Shapes: `chosen` places in the image set -> (4, FURTHEST + 1), NaN from where maps end.
    """
    images, model = specimen.need_images("first_layer"), specimen.model
    pixels = torch.from_numpy(np.stack([images.pixels(place) for place in chosen]))
    seen = seen_by_first(model, model.preprocessing.normalise(pixels))
    top, left = (max(0, (size - SIDE) // 2) for size in seen.shape[2:])
    seen = seen[:, :, top : top + SIDE, left : left + SIDE]
    filters = filter_bank(model)
    noise = np.random.default_rng(specimen.seed).normal(size=filters.shape)
    used = basis.rank
    white = (basis.axes[:, :used] / basis.deviation[:used]).T
    maps = [seen, *(_answers(seen, bank, basis) for bank in (filters, noise, white))]
    found = np.full((len(maps), FURTHEST + 1), np.nan)
    for row, each in enumerate(maps):
        furthest = min(FURTHEST, min(each.shape[2:]) - 1)
        found[row, : furthest + 1] = autocorrelation(each, furthest).mean
    return found


def _answers(seen: np.ndarray, bank: np.ndarray, basis: Basis) -> np.ndarray:
    weight = torch.from_numpy(bank.reshape(-1, *basis.shape))
    return F.conv2d(torch.from_numpy(seen), weight).numpy()
