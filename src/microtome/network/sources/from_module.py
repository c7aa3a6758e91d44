"""A module of one's own, with what one says that it expects."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from ...errors import BadModel
from ...images.preprocessing import Preprocessing
from ..model import Model

DEFAULT_SIDE = 224  # for a module of unknown input size
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std of what most colour networks were trained on


def wrap_module(
    module: nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] = (),
    origin: str = "open_model was given",
) -> Model:
    """A module as a Model; what is not said is 224 x 224 pixels and ImageNet's numbers, or 0 and 1 if not in colour.

    Raises: BadModel, beginning with `origin`, if what is said makes no sense.
    """
    first = next((m for m in module.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
    channels = first.in_channels if first is not None else 3
    if mean is not None or std is not None:
        channels = len(_numbers(mean if mean is not None else std, origin, positive=mean is None))
    usual = IMAGENET if channels == 3 else ((0.0,) * channels, (1.0,) * channels)
    means = _numbers(mean, origin) if mean is not None else usual[0]
    stds = _numbers(std, origin, positive=True) if std is not None else usual[1]
    if len(means) != len(stds):
        raise BadModel(f"{origin} {len(means)} means and {len(stds)} standard deviations",
                       "Both are one number a channel", "Give both with one number a channel")  # fmt: skip
    pair = _pair(size if size is not None else DEFAULT_SIDE, origin)
    given = [word for word, value in (("size", size), ("mean", mean), ("std", std)) if value is not None]
    return Model(
        module=module, name=type(module).__name__, source=f"module {type(module).__name__}", weights="as given",
        preprocessing=Preprocessing(size=pair, resize=min(pair), mean=means, std=stds),
        preprocessing_from=f"given: {', '.join(given)}" if given else "defaults (nothing was given)",
        class_names=_names(class_names, origin),
    )  # fmt: skip


def _pair(size: Any, origin: str) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise BadModel(f"{origin} the size {size!r}", "A size is one side in pixels, or rows and columns",
                       "Write for instance 224 or (224, 224)")  # fmt: skip
    return pair


def _numbers(values: Any, origin: str, *, positive: bool = False) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if not numbers or positive and min(numbers) <= 0:
        raise BadModel(f"{origin} the {'std' if positive else 'mean'} {values!r}",
                       "Mean and std are one number a channel of images in 0..1, and no std is 0 or less",
                       "Write for instance (0.5, 0.5, 0.5)")  # fmt: skip
    return numbers


def _names(names: Any, origin: str) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise BadModel(f"{origin} the class names {names!r}", "Class names are texts, in the order of outputs",
                       'Write for instance ("cat", "dog")')  # fmt: skip
    return tuple(names)
