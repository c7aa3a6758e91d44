"""A network without some channels as a file: its weights, and which channels its constructor's network has to lose."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...errors import BadModel, CannotRemove
from ...store import write_bytes
from .cuts import Cut, cut

KEY, FORMAT = "microtome.removed", 1  # of the file's metadata


def save_cut(module: nn.Module, cuts: Iterable[Cut], path: Path, about: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors file with the weights, and the list of what was removed in its metadata.

    It is opened as weights of the whole network are: `open_model("zoo:resnet20@FILE")`, or `load_weights`.
    """
    from safetensors.torch import save

    removed = {"format": FORMAT, "cuts": [each.to_state() for each in cuts]}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    state = {name: tensor.clone() for name, tensor in state.items()}  # tensors may share memory, a file's may not
    write_bytes(path, save(state, metadata={**(about or {}), KEY: json.dumps(removed)}))


def cuts_in(path: Path) -> tuple[Cut, ...]:
    """What a .safetensors file says is removed; nothing if it does not say.

    Raises: BadModel if what it says cannot be read.
    """
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return ()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
    except SafetensorError:
        return ()  # reading the weights says what is wrong
    if text is None:
        return ()
    try:
        removed: dict[str, Any] = json.loads(text)
        if removed["format"] != FORMAT:
            raise ValueError(f"format {removed['format']!r}")
        return tuple(Cut.from_state(each) for each in removed["cuts"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadModel(f"The list of removed channels in {path.name} cannot be read ({error})",
                       f"It has format {FORMAT}, as `microtome prune` writes it",
                       "Open it with the version that wrote it") from error  # fmt: skip


def replay(module: nn.Module, cuts: Iterable[Cut], origin: str) -> None:
    """Take the same channels out of a fresh network of the same kind, in place.

    Raises: BadModel if they are not those of such a network.
    """
    state: Mapping[str, Tensor] = module.state_dict()
    for each in cuts:
        for name, axis, side in each.holder.axes:
            tensor, groups = state.get(name), each.holder.groups
            size = getattr(each.holder, side)
            sizes = {size, size // groups} if tensor is not None and tensor.ndim > 1 else {size}
            numbers = [*each.outs, *each.ins]
            if tensor is None or axis >= tensor.ndim or tensor.shape[axis] not in sizes or min(numbers, default=0) < 0:
                raise BadModel(
                    f"{origin} takes channels out of {name}, which is "
                    f"{'not there' if tensor is None else 'of shape ' + ' x '.join(map(str, tensor.shape))}",
                    "Removed channels are those of the network that was pruned",
                    "Check that the architecture and the file belong together",
                )  # fmt: skip
    try:
        cut(module, cuts)
    except (CannotRemove, IndexError, RuntimeError) as error:
        raise BadModel(f"{origin} cannot be cut as its list says ({error})",
                       "Removed channels are those of the network that was pruned",
                       "Check that the architecture and the file belong together") from error  # fmt: skip
