"""Channels taken out of a network: on a copy, and handed out only if it answers as the masked network does."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CannotRemove, MicrotomeError
from ..cutting.cuts import Cut, cut, cuts_of, in_words, joined, silence_inputs
from ..model import Model
from ..recording.calls import tensors_in
from ..recording.inputs import like_parameters, smooth_images
from ..recording.untouched import untouched
from .couplings import Couplings, couplings

EQUAL = 1e-5  # of the largest answer: what rounding in float32 may come to in a deep network
ROUNDING = 2e-6  # of the largest answer: what it usually comes to
TELLING = 0.1  # of what masking moves: a removal gone wrong moves answers about as far as the masking itself
NEXT = "Leave these channels in; `microtome doctor` says which groups can be cut"


@dataclass(frozen=True, kw_only=True)
class Removed:
    """A network without some channels.

    removed: by layer, which channels went, numbered as before. difference: from the masked network, as a share of its
    largest answer. moved: how far masking itself moved the answers, as the same share.
    """

    model: Model
    removed: dict[str, tuple[int, ...]]
    difference: float
    moved: float


def remove_channels(
    model: Model, channels: Mapping[str, Sequence[int]], *, known: Couplings | None = None, equal: float = EQUAL
) -> Removed:
    """Take channels out of layers, with all that hangs on them; `model` itself stays as it is.

    What comes out is compared with the network in which later layers' weights for these channels are 0. `known` saves
    probing again. Raises: CannotRemove, with the reason; UnknownName.
    """
    found = known or couplings(model)
    cells = found.cells({layer: tuple(map(int, which)) for layer, which in channels.items()})
    stays = [found.stays[int(cell)] for cell in cells if int(cell) in found.stays]
    if stays:
        raise CannotRemove(f"Some of these channels have to stay: {stays[0]}",
                           "Channels can go whose every taker is a layer that can be cut", NEXT)  # fmt: skip
    outs, ins = found.gone(cells)
    cuts = cuts_of(found.holders, outs, ins)
    masked, slim = _copied(model), _copied(model)
    silence_inputs(masked, cuts)
    cut(slim, cuts)
    pictures = _pictures(model)
    before, reference = _answers(model.module, pictures), _answers(masked, pictures)
    difference, moved = _compared(slim, pictures, reference), _apart(before, reference)
    equal = min(equal, max(ROUNDING, TELLING * moved))  # a network that hardly answers is looked at more closely
    if not difference <= equal:
        raise CannotRemove(
            f"Without them the network answers otherwise than with their weights at 0: by {difference:.1g} of its "
            "largest answer", f"A removal is taken that changes it by less than {equal:g}, which is rounding", NEXT,
        )  # fmt: skip
    removed = {layer: tuple(map(int, which)) for layer, which in outs.items()}
    whole = joined(model.cuts, cuts)
    made = replace(model, module=slim, cuts=whole, weights=in_words(model.weights, whole))
    return Removed(model=made, removed=removed, difference=difference, moved=moved)


def _copied(model: Model) -> nn.Module:
    try:
        return copy.deepcopy(model.module)
    except (RuntimeError, TypeError) as error:
        raise CannotRemove(f"{model.name} cannot be copied ({error})", "Channels are taken out of a copy",
                           "Give the network as it was built, before its first pass") from error  # fmt: skip


def _pictures(model: Model) -> Tensor:
    """Two smooth pictures and two of noise: what is compared must not all look alike."""
    smooth = smooth_images(model.preprocessing.shape)
    noise = torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([smooth, noise])


def _answers(module: nn.Module, pictures: Tensor) -> list[Tensor]:
    with untouched(module):
        output: Any = module(like_parameters(pictures.clone(), module))
    return [tensor.double().cpu() for tensor in tensors_in(output)]


def _compared(slim: nn.Module, pictures: Tensor, reference: list[Tensor]) -> float:
    try:
        answers = _answers(slim, pictures)
    except MicrotomeError:
        raise
    except Exception as error:  # whatever a network raises whose parts no longer fit
        text = str(error).partition("\n")[0][:200]
        raise CannotRemove(f"Without them the network's parts no longer fit ({type(error).__name__}: {text})",
                           "Code that names numbers of channels cannot follow", NEXT) from error  # fmt: skip
    return _apart(answers, reference)


def _apart(answers: list[Tensor], reference: list[Tensor]) -> float:
    """The largest difference as a share of the largest answer; infinite if they cannot be compared."""
    same = len(answers) == len(reference) and all(
        a.shape == r.shape for a, r in zip(answers, reference, strict=True)
    )  # fmt: skip
    if not same or not all(bool(torch.isfinite(r).all()) for r in reference):
        return float("inf")
    largest = max((float(r.abs().max()) for r in reference if r.numel()), default=0.0)
    apart = max((float((a - r).abs().max()) for a, r in zip(answers, reference, strict=True) if r.numel()), default=0.0)
    return apart / largest if largest else (0.0 if apart == 0 else float("inf"))


def counted(model: Model) -> dict[str, int]:
    """Parameters, and multiply-adds of one picture."""
    return {"parameters": model.parameters, "macs": int(np.sum([site.macs for site in model.sites.values()]))}


__all__ = ("Cut", "Removed", "counted", "remove_channels")
