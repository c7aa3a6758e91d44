"""How a network is gone back through: each rectifier, pool, normalisation and global operation, and what is left."""

from collections import Counter
from contextlib import ExitStack
from typing import Any

import torch

from ...errors import MicrotomeError, NotApplicable
from ..backward.tracing import Trace, going_back, tracing
from ..model import Model
from ..recording.inputs import like_parameters, smooth_images
from ..recording.untouched import untouched
from ..remarks import Remark, counted, listed
from .peers import remark_peers

MAX_POOLS = frozenset(("MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D"))
GLOBAL_MAXIMA = frozenset(("Amax", "Max"))
AVERAGE_POOLS = frozenset(("AvgPool2D", "AvgPool3D", "AdaptiveAvgPool2D", "AdaptiveAvgPool3D"))
GLOBAL_AVERAGES = frozenset(("Mean",))
BATCH_NORMS = frozenset(("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"))
OTHER_NORMS = frozenset(("NativeLayerNorm", "NativeGroupNorm"))
# Linear in what they take, so that their gradient is the transposed operation, whatever the values.
LINEAR = frozenset((
    "AccumulateGrad", "Add", "Alias", "AsStrided", "Cat", "Clone", "ConstantPadNd", "Copy",
    "CopySlices", "Cumsum", "Expand", "Flip", "Im2Col", "Index", "IndexPut", "IndexSelect", "MaskedFill", "Neg",
    "Permute", "PixelShuffle", "PixelUnshuffle", "ReflectionPad2D", "Repeat", "ReplicationPad2D", "ReshapeAlias",
    "Roll", "Select", "Slice", "Split", "SplitWithSizes", "Squeeze", "Stack", "Sub", "Sum", "T", "ToCopy", "Transpose",
    "Unbind", "Unfold", "UnsafeView", "Unsqueeze", "UpsampleBicubic2D", "UpsampleBilinear2D", "UpsampleNearest2D",
    "View", "Where",
))  # fmt: skip
# Linear as long as only one of their sides comes of the pixels, as with weights and constants.
PRODUCTS = frozenset(("Addmm", "Baddbmm", "Bmm", "Convolution", "Div", "Mm", "Mul"))


def remark_way_back(model: Model) -> list[Remark]:
    """What deconvnet and guided do with this network, and other libraries beside them; one made-up image is run."""
    with untouched(model.module) as module, ExitStack() as stack:
        images = like_parameters(smooth_images(model.preprocessing.shape)[:1], module)
        torch.manual_seed(0)  # peers run the same network again
        try:
            trace = stack.enter_context(tracing(model, images, model.sites.output))
            trace.back(torch.zeros_like(trace.activation))
        except MicrotomeError as error:
            return [_impossible(error.given)]
        except Exception as error:  # any error of the user's own code, or of a gradient that torch cannot take
            return [_impossible(f"{type(error).__name__}: {error}")]
        kinds = {node: _kind(node) for node in trace.nodes()}
        refused = None
        try:
            with going_back(trace, "deconvnet"):
                pass
        except NotApplicable as error:
            refused = error
        remarks = [_rectifiers(trace, refused), _pools(trace, kinds), _normalisations(kinds), _rest(trace, kinds)]
        peers = remark_peers(model, trace) if refused is None and trace.rectifiers else []
        return [*remarks, *peers]


def _impossible(why: str) -> Remark:
    return Remark(name="way_back", number=0, level="warning", sentence=f"Nobody can go back through it: {why}")


def _kind(node: Any) -> str:
    return str(node.name().rpartition("::")[2].partition("Backward")[0])


def _rectifiers(trace: Trace, refused: NotApplicable | None) -> Remark:
    nodes = trace.rectifiers
    called = {trace.census.nodes[name]: name for name in trace.census.rectifiers(trace.site.name, trace.nodes())}
    count = len({*nodes, *called})
    if not count and refused is None:
        return Remark(
            name="way_back", number=0, level="note",
            sentence="Going back, no rectifier is on the way: every method is the plain gradient",
        )  # fmt: skip
    if refused is not None:
        return Remark(
            name="way_back", number=len(nodes), level="note", places=trace.census.makers(nodes),
            sentence=f"Going back by deconvnet and guided is refused ({len(nodes)} of {count} rectifiers could be "
            f"handled): {refused.given}; {refused.next_step[0].lower()}{refused.next_step[1:]}",
        )  # fmt: skip
    return Remark(
        name="way_back", number=len(nodes), places=trace.census.makers(nodes),
        sentence=f"Going back, {len(nodes)} of {count} rectifiers are handled by deconvnet and guided",
    )  # fmt: skip


def _pools(trace: Trace, kinds: dict[Any, str]) -> Remark:
    groups = {
        "max pool": ("places values by its switches", "place values by their switches", MAX_POOLS),
        "maximum over a whole axis": ("by its switches", "maxima over a whole axis by their switches", GLOBAL_MAXIMA),
        "average pool": ("spreads values evenly", "spread values evenly", AVERAGE_POOLS),
        "global average": ("spreads values evenly", "spread values evenly", GLOBAL_AVERAGES),
    }
    parts, places = [], []
    for noun, (one, many, names) in groups.items():
        nodes = [node for node, kind in kinds.items() if kind in names]
        overlapping = trace.census.makers([node for node in nodes if _overlaps(node)])
        if nodes:
            parts.append(f"{counted(len(nodes), noun)} {one if len(nodes) == 1 else many}")
            places += nodes
        if overlapping and noun == "max pool":
            parts.append(
                f"where windows overlap, values that meet are added ({len(overlapping)}: {listed(overlapping)})"
            )
    return Remark(
        name="way_back_pools", number=len(places), places=trace.census.makers(places),
        sentence=f"Going back, {'; '.join(parts)}" if parts else "Going back, there is no pool",
    )  # fmt: skip


def _overlaps(node: Any) -> bool:
    size = getattr(node, "_saved_kernel_size", ())
    stride = getattr(node, "_saved_stride", ()) or size
    return any(step < side for step, side in zip(stride, size, strict=False))


def _normalisations(kinds: dict[Any, str]) -> Remark:
    batch = [node for node, kind in kinds.items() if kind in BATCH_NORMS]
    fixed = [node for node in batch if not getattr(node, "_saved_training", False)]
    moving = len(batch) - len(fixed) + sum(kind in OTHER_NORMS for kind in kinds.values())
    parts = []
    if fixed:
        verb = "multiplies by its scales" if len(fixed) == 1 else "multiply by their scales"
        parts.append(
            f"{counted(len(fixed), 'BatchNorm')} {verb}, and a negative one (see BatchNorm scales) turns signs"
        )
    if moving:
        parts.append(f"{counted(moving, 'normalisation')} by the image's own statistics: by the plain gradient")
    return Remark(
        name="way_back_normalisations", number=len(fixed) + moving, level="note" if moving else "fine",
        sentence=f"Going back, {'; '.join(parts)}" if parts else "Going back, there is no normalisation",
    )  # fmt: skip


def _rest(trace: Trace, kinds: dict[Any, str]) -> Remark:
    """What is neither linear nor one of those that have a rule: there every method is the plain gradient."""
    known = LINEAR | MAX_POOLS | GLOBAL_MAXIMA | AVERAGE_POOLS | GLOBAL_AVERAGES | BATCH_NORMS | OTHER_NORMS
    rectifiers = set(trace.rectifiers)
    found = {}
    for node, kind in kinds.items():
        sides = sum(following in kinds for following, _ in node.next_functions)
        if kind in known or node in rectifiers or kind in PRODUCTS and sides == 1:
            continue
        found[node] = f"{kind} of two branches" if kind in PRODUCTS else kind
    if not found:
        return Remark(name="way_back_gradient", number=0,
                      sentence="Going back, everything else is linear and transposed as it is")  # fmt: skip
    texts = [f"{kind} ({count})" for kind, count in Counter(found.values()).items()]
    return Remark(
        name="way_back_gradient", number=len(found), level="note", places=trace.census.makers(found),
        sentence=f"Going back, {counted(len(found), 'operation')} without a rule "
        f"{'follows' if len(found) == 1 else 'follow'} the plain gradient in every method: {listed(texts)}",
    )  # fmt: skip
