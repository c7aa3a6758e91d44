"""The same network here and in PyTorch: every layer's output and gradients, and reconstructions."""

import numpy as np
import torch

from ... import scratch as mts
from ...network.backward.projection import Projector, strongest
from ...network.backward.tracing import tracing
from ...network.open import open_model
from .concentration import copied, rectified
from .data import Part, scaled


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference in units of the largest number."""
    largest = float(np.abs(theirs).max())
    return float(np.abs(ours - theirs).max()) / largest if largest else float(np.abs(ours).max())


ROUNDING = 1e-10  # of the largest number
NOISE = 1e-4  # of pixels in 0..1: places of a pool's window that are exactly alike become different


def layers_apart(net: mts.Net, part: Part, noise: float = 0.0, seed: int = 0) -> dict[str, float]:
    """The largest relative differences, over all layers, of outputs, of the gradients by inputs and by parameters, in
    float64 on one batch, with noise of this deviation on its pixels.

    `moved` is how many gradients by inputs differ. In flat parts of a photograph places of a pool's window are equal up
    to rounding: which of them gets the gradient is then the rounding's choice, and parameters get the same.
    """
    net = copied(net).astype(np.float64).eval()
    module = mts.to_torch(net)
    x, recorder = scaled(part.images, np.float64), mts.Recorder()
    x += noise * np.random.default_rng(seed).standard_normal(x.shape)
    logits = net.forward(x, watch=recorder)
    _, gradient = mts.softmax_cross_entropy(logits, part.labels)
    net.backward(gradient, recorder)
    here = torch.from_numpy(x).requires_grad_()
    seen = [here]
    for each in module:
        here = each(here)
        here.retain_grad()
        seen.append(here)
    loss = torch.nn.functional.cross_entropy(here, torch.from_numpy(part.labels))
    loss.backward()  # type: ignore[no-untyped-call]
    names = [layer.name for layer in net]
    outputs = {name: tensor.detach().numpy() for name, tensor in zip(names, seen[1:], strict=True)}
    inputs = {name: _gradient(tensor) for name, tensor in zip(names, seen[:-1], strict=True)}
    learnt = []
    for name, parameter in net.parameters().items():
        theirs = _gradient(module.get_parameter(name))
        turned = theirs.T if isinstance(net[name.rpartition(".")[0]], mts.Linear) else theirs
        assert parameter.gradient is not None  # the way back was gone
        learnt.append(relative(parameter.gradient, turned))
    return {"outputs": max(relative(recorder.data[name], outputs[name]) for name in names),
            "input_gradients": max(relative(recorder.gradient[name], inputs[name]) for name in names),
            "parameter_gradients": max(learnt), "images": float(len(part)),
            "moved": float(sum(_moved(recorder.gradient[name], inputs[name]) for name in names)),
            "gradients": float(sum(inputs[name].size for name in names)), "layers": float(len(names))}  # fmt: skip


def _moved(ours: np.ndarray, theirs: np.ndarray) -> int:
    return int((np.abs(ours - theirs) > ROUNDING * np.abs(theirs).max()).sum())


def _gradient(tensor: torch.Tensor) -> np.ndarray:
    assert tensor.grad is not None  # the way back was gone
    array: np.ndarray = tensor.grad.numpy()
    return array


def reconstructions_apart(net: mts.Net, twin: mts.Net, part: Part) -> dict[str, list[float]]:
    """By layer, the strongest unit of the first image on every image: how far reconstructions here and by the torch
    route are apart (same weights, float64), and their cosines where PyTorch has trained the other network itself.

    Maps of zeros on both sides are left out.
    """
    ours, theirs = (copied(each).astype(np.float64).eval() for each in (net, twin))
    x, side = scaled(part.images, np.float64), part.images.shape[-1]
    opened = [open_model(mts.to_torch(each), size=side, mean=(0.0,) * 3, std=(1.0,) * 3) for each in (ours, theirs)]
    recorder, apart, cosines = mts.Recorder(), list[float](), list[float]()
    ours.forward(x, watch=recorder)
    for layer in rectified(net):
        unit = int(recorder.data[layer][0].max((1, 2)).argmax())
        maps = mts.deconvnet(ours, x, layer, unit).maps
        for model, found in zip(opened, (apart, cosines), strict=True):
            with tracing(model, torch.from_numpy(x), layer) as trace:
                units = strongest(trace, range(len(x)), [unit] * len(x))
                others = Projector(trace, "deconvnet").project(units).in_place().detach().numpy()
            pairs = [(a, b) for a, b in zip(maps, others, strict=True) if a.any() or b.any()]
            found += [relative(a, b) if found is apart else _cosine(a, b) for a, b in pairs]
    return {"same_weights_apart": apart, "twins_cosines": cosines}


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / norms if norms else 0.0
