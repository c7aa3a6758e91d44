"""What other libraries return on a network, by running them on a copy: what ours does, the gradient, or neither."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ..backward.rules import Method
from ..backward.tracing import Trace, going_back
from ..model import Model
from ..recording.calls import first_tensor
from ..remarks import Remark

CLOSE = 1e-3  # norm of a difference that rounding explains, as a share of the map's


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A library with a method of its own for going back. `run` takes a network, images (1, C, H, W) and a class."""

    name: str
    module: str
    package: str
    title: str
    call: str
    method: Method
    run: Callable[[nn.Module, Tensor, int], Tensor]


def _captum(network: nn.Module, images: Tensor, unit: int) -> Tensor:
    from captum.attr import Deconvolution

    return Deconvolution(network).attribute(images.requires_grad_(), target=unit)


def _grad_cam(network: nn.Module, images: Tensor, unit: int) -> Tensor:
    from pytorch_grad_cam.guided_backprop import GuidedBackpropReLUModel

    array = GuidedBackpropReLUModel(network, device=images.device)(images, unit)  # (H, W, C)
    return torch.from_numpy(array).movedim(-1, 0)[None].to(images.device)


PEERS = (
    Peer(name="captum", module="captum", package="captum", title="Captum", call="Deconvolution", method="deconvnet",
         run=_captum),
    Peer(name="pytorch_grad_cam", module="pytorch_grad_cam", package="grad-cam", title="pytorch-grad-cam",
         call="GuidedBackpropReLUModel", method="guided", run=_grad_cam),
)  # fmt: skip


class _Watched(nn.Module):
    """A network whose first output is one row an image, and that notes which of its modules a peer has laid hands on.

    A module counts as touched if, while the peer runs the network, it has hooks that it had not, or is another one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.before = self._marks()
        self.touched: set[str] = set()

    def _marks(self) -> dict[str, tuple[Any, ...]]:
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        return {
            path: (part, *(len(getattr(part, kind, ())) for kind in hooks))
            for path, part in self.network.named_modules(remove_duplicate=False)
        }

    def forward(self, images: Tensor) -> Tensor:
        self.touched |= {path for path, mark in self._marks().items() if mark != self.before.get(path)}
        output = first_tensor(self.network(images))
        assert output is not None
        return output.reshape(len(images), -1)


def remark_peers(model: Model, trace: Trace) -> list[Remark]:
    """One remark a library that is installed: what it makes of the strongest output, beside ours and the gradient.

    The model itself is never handed to them: they hook, and even rebuild, what they are given.
    """
    return [_remark(peer, model, trace) for peer in PEERS if find_spec(peer.module) is not None]


def _remark(peer: Peer, model: Model, trace: Trace) -> Remark:
    title = _with_version(peer)
    try:
        watched = _Watched(copy.deepcopy(model.module).requires_grad_(False))
    except Exception as error:  # anything that a module can hold
        return Remark(
            name=peer.name, number=0, level="note", sentence=f"{title} was not tried: the network cannot be copied "
            f"({type(error).__name__}: {error})",
        )  # fmt: skip
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            theirs = peer.run(watched, trace.images.detach().clone(), _strongest(trace)).detach()
    except Exception as error:  # theirs, whatever it is
        return Remark(name=peer.name, number=0, level="note",
                      sentence=f"{title} fails on this network: {type(error).__name__}: {error}")  # fmt: skip
    return _compared(peer, title, model, trace, theirs, watched.touched)


def _compared(peer: Peer, title: str, model: Model, trace: Trace, theirs: Tensor, touched: set[str]) -> Remark:
    rectifiers = trace.rectifiers
    calls = [model.sites[name].call for name in trace.census.makers(rectifiers)]
    seen = sum(call.leaf and call.path in touched for call in calls)
    seed = torch.zeros(trace.activation.numel()).to(trace.activation)
    seed[_strongest(trace)] = 1
    seed = seed.reshape(trace.activation.shape)
    plain = trace.back(seed)
    with going_back(trace, peer.method):
        ours = trace.back(seed)
    given = f"{title} sees {seen} of {len(rectifiers)} rectifiers"
    if not all(bool(found.any()) and bool(found.isfinite().all()) for found in (plain, ours, theirs)):
        return Remark(
            name=peer.name, number=seen, level="note",
            sentence=f"{given}; its maps cannot be compared with ours here: some are 0 or not finite",
        )  # fmt: skip
    cosines = (
        f"(cosine {_cosine(theirs, ours):.4f} with {peer.method}, {_cosine(theirs, plain):.4f} with the gradient, for "
        "the strongest output of a made-up image)"
    )
    if _close(theirs, ours):
        return Remark(name=peer.name, number=seen, sentence=f"{given}: its {peer.call} is {peer.method} here {cosines}")
    what = "the plain gradient" if _close(theirs, plain) else f"neither {peer.method} nor the plain gradient"
    return Remark(name=peer.name, number=seen, level="note",
                  sentence=f"{given}: its {peer.call} returns {what} here {cosines}")  # fmt: skip


def _with_version(peer: Peer) -> str:
    try:
        return f"{peer.title} {version(peer.package)}"
    except PackageNotFoundError:  # it came under another name
        return peer.title


def _strongest(trace: Trace) -> int:
    return int(trace.activation.reshape(-1).argmax())


def _close(one: Tensor, other: Tensor) -> bool:
    return float((one - other).norm()) <= CLOSE * float(other.norm())


def _cosine(one: Tensor, other: Tensor) -> float:
    return float((one / one.norm() * (other / other.norm())).sum())
