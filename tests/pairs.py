"""Pairs of networks whose difference is planted, and looks at both."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

import microtome as mt
from microtome.analysis import Analysis, Result
from microtome.images.collection import Images
from microtome.network.model import Model
from microtome.network.zoo.simpleconvnet import SimpleConvNet
from microtome.runs.runner import Look, Outcome
from toys import prepared, seeded

FITTED, SEEN = 600, 300  # images on which the last layer is fitted, and others that both networks are compared on


def digits(widths: tuple[int, int, int, int] = (6, 8, 16, 32)) -> tuple[Model, Images]:
    """A network for digits, random but for its last layer, which is fitted by least squares; and other digits."""
    model = mt.open_model("zoo:simpleconvnet")
    model = dataclasses.replace(model, module=seeded(SimpleConvNet, widths))
    images = mt.open_images("digits", like=model)
    fitted, last = images.take(np.arange(FITTED)), model.module.fc5
    features = []
    handle = last.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    answers_of(model, fitted)
    handle.remove()
    columns = torch.cat([features[0], torch.ones(FITTED, 1)], 1).double()
    wanted = torch.nn.functional.one_hot(torch.from_numpy(fitted.labels), 10).double()
    solved = torch.linalg.lstsq(columns, 8 * wanted).solution.float()
    with torch.no_grad():
        last.weight.copy_(solved[:-1].T)
        last.bias.copy_(solved[-1])
    return model, images.take(np.arange(FITTED, FITTED + SEEN))


def probabilities_of(model: Model, images: Images) -> np.ndarray:
    """What the network answers, worked out without any of our machinery but the preprocessing. Shapes: -> (n, K)."""
    with torch.no_grad():
        return model.module(prepared(model, images)).double().softmax(1).numpy()


def answers_of(model: Model, images: Images) -> np.ndarray:
    """The class that it answers. Shapes: -> (n,)."""
    return probabilities_of(model, images).argmax(1)


def changed(model: Model, change: Callable[[nn.Module], object]) -> Model:
    """A copy of a network in which something was changed."""
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        change(module)
    return dataclasses.replace(model, module=module)


def never(answer: int) -> Callable[[nn.Module], object]:
    """The change after which a class is never answered."""
    return lambda module: module.fc5.bias[answer].sub_(1000)


def unlabelled(images: Images) -> Images:
    """The same images, of which nobody knows what they are."""
    return dataclasses.replace(images, labels=np.full(len(images), -1), labelling="no labels")


def look(first: Model, second: Model, images: Images, *analyses: Analysis, **options: object) -> Outcome:
    """What analyses find in two networks."""
    return Look(mt.Specimen(model=first, images=images, others={"B": second}), **options).run(analyses)


def found(first: Model, second: Model, images: Images, analysis: Analysis) -> Result:
    """What one of them finds."""
    return look(first, second, images, analysis).results[analysis.name]
