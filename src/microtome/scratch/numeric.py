"""Derivatives by trying: the judge of every way back."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import UsageError
from .core import Layer, Parameter
from .layers import Dropout

Form = Literal["right", "two"]
STEP, TOLERANCE = 1e-5, 1e-6
SHORT = {"weight": "dw", "bias": "db"}  # what gradients by parameters are called


def numeric_gradient(
    function: Callable[[np.ndarray], float], x: np.ndarray, step: float = STEP, form: Form = "two"
) -> np.ndarray:
    """The derivative of a number by each entry of x: (f(x + step) - f(x - step)) / 2 step, or, one-sided ("right"),
    (f(x + step) - f(x)) / step.

    The two-sided form is exact for parabolas, and wrong by the order of step squared else. `function` may look at x in
    place: entries are changed and put back. Shapes: -> as x, float64.
    """
    if not np.issubdtype(x.dtype, np.floating):
        raise UsageError(f"x is of type {x.dtype}", "Its entries are changed a little, which takes floating point",
                         "Give x.astype(float)")  # fmt: skip
    out, flat = np.zeros(x.shape), x.reshape(-1)
    if not np.shares_memory(flat, x):
        raise UsageError("x is not contiguous", "Its entries are changed in place", "Give np.ascontiguousarray(x)")
    here = function(x)
    for place, value in enumerate(flat.copy()):
        flat[place] = value + step
        above = function(x)
        flat[place] = value - step
        below = function(x) if form == "two" else here
        flat[place] = value
        out.flat[place] = (above - below) / (2 * step if form == "two" else step)
    return out


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that was checked: forward, dx, dw, db, ...; where it is furthest off, and what stands there.

    `kinks` entries were left out, because the function bends there and has no derivative.
    """

    name: str
    passed: bool
    error: float
    where: tuple[int, ...]
    got: float
    expected: float
    kinks: int = 0
    remark: str = ""

    def sentence(self) -> str:
        """What a student reads."""
        if self.remark:
            return f"{self.name}: {'right' if self.passed else 'WRONG'}, {self.remark}"
        left_out = f" ({self.kinks} entries at a kink left out)" if self.kinks else ""
        if self.passed:
            return f"{self.name}: right, to {self.error:.1e}{left_out}"
        at = ", ".join(map(str, self.where))
        return f"{self.name}: WRONG at [{at}], it is {self.got:.6g} and should be {self.expected:.6g}{left_out}"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What `check_layer` found, part by part."""

    layer: str
    parts: tuple[Part, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is right."""
        return all(part.passed for part in self.parts)

    def __str__(self) -> str:
        return "\n".join([f"{self.layer}", *(f"  {part.sentence()}" for part in self.parts)])


def check_layer(
    layer: Layer, x: np.ndarray | None = None, reference: Callable[[np.ndarray], np.ndarray] | None = None,
    seed: int = 0, tolerance: float = TOLERANCE,
) -> Checked:  # fmt: skip
    """Check a layer's way forward against a reference, and its way back against numeric derivatives, in float64.

    Without a reference, a layer that has the name and parameters of one of ours is compared with ours. `x` is random
    unless given; its shape is then taken from `in_shape`, or from a weight matrix. The layer itself is not changed.
    Raises: UsageError if the shape of x cannot be told.
    """
    layer = _in_double(layer)
    random = np.random.default_rng(seed)
    x = random.standard_normal(_shape(layer)) if x is None else np.array(x, np.float64)
    given = x.copy()
    y = np.array(layer.forward(x), np.float64)
    if isinstance(layer, Dropout) and layer.factor is not None:
        layer.mask = layer.factor > 0  # the same numbers are dropped from now on
    parts = [_forward(layer, x, given, y, reference or _ours(layer))]
    dy = random.standard_normal(y.shape)
    layer.forward(x)
    dx = layer.backward(dy.copy())
    gradients = {name: parameter.gradient for name, parameter in layer.parameters().items()}

    def value() -> float:
        return float((layer.forward(x) * dy).sum())

    parts.append(_derivative("dx", dx, value, x, tolerance))
    for name, parameter in layer.parameters().items():
        short = SHORT.get(name, f"d{name}")
        parts.append(_derivative(short, gradients[name], value, parameter.tensor, tolerance))
    return Checked(layer=f"{layer.type} {layer.name!r} on {x.shape}", parts=tuple(parts))


def _forward(
    layer: Layer, x: np.ndarray, given: np.ndarray, y: np.ndarray, reference: Callable[[np.ndarray], np.ndarray] | None
) -> Part:
    nothing = {"name": "forward", "error": 0.0, "where": (), "got": 0.0, "expected": 0.0}
    if not np.array_equal(x, given):
        return Part(**nothing, passed=False, remark="it changes its input")  # type: ignore[arg-type]
    if not np.array_equal(layer.forward(x), y):
        return Part(**nothing, passed=False, remark="it gives something else the second time")  # type: ignore[arg-type]
    if reference is None:
        return Part(**nothing, passed=True, remark="as far as can be told without a reference")  # type: ignore[arg-type]
    return _compared("forward", y, np.array(reference(given.copy())), TOLERANCE)


def _derivative(
    name: str, got: np.ndarray | None, value: Callable[[], float], array: np.ndarray, tolerance: float
) -> Part:
    two = numeric_gradient(lambda _: value(), array)
    right = numeric_gradient(lambda _: value(), array, form="right")
    left = 2 * two - right
    kinks = np.abs(right - left) > 1e-3 * np.maximum(1, np.abs(two))
    return _compared(name, got, two, tolerance, kinks)


def _compared(
    name: str, got: np.ndarray | None, expected: np.ndarray, tolerance: float, but: np.ndarray | None = None
) -> Part:
    shape = None if got is None else np.shape(got)
    if got is None or shape != expected.shape:
        why = "there is none" if got is None else f"its shape is {shape}, not {expected.shape}"
        return Part(name=name, passed=False, error=np.inf, where=(), got=np.nan, expected=np.nan, remark=why)
    but = np.zeros(expected.shape, bool) if but is None else but
    errors = np.where(but, 0, np.abs(got - expected))  # a difference has two signs: without abs half of them pass
    errors = np.nan_to_num(errors, nan=np.inf) / max(1.0, float(np.abs(expected[~but]).max(initial=0)))
    where = tuple(int(i) for i in np.unravel_index(errors.argmax(), errors.shape)) if errors.size else ()
    worst = float(errors.max(initial=0))
    stands = [float(array[where]) if errors.size else 0.0 for array in (got, expected)]
    return Part(name=name, passed=worst <= tolerance, error=worst, where=where, kinks=int(but.sum()), got=stands[0],
                expected=stands[1])  # fmt: skip


def _in_double(layer: Layer) -> Layer:
    layer = copy.deepcopy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, Parameter):
            value.tensor = value.tensor.astype(np.float64)
        elif name in layer.buffers():
            setattr(layer, name, value.astype(np.float64))
    return layer


def _shape(layer: Layer) -> tuple[int, ...]:
    if hasattr(layer, "in_shape"):
        return (2, *layer.in_shape)
    weight = layer.parameters().get("weight")
    if weight is not None and weight.tensor.ndim == 2:
        return (2, weight.tensor.shape[0])
    raise UsageError(f"What {layer.type} {layer.name!r} takes cannot be told", "A check needs an input",
                     "Give one: check_layer(layer, x)")  # fmt: skip


def _ours(layer: Layer) -> Callable[[np.ndarray], np.ndarray] | None:
    """A layer of this package with the same name of its class, settings and parameters, if there is one."""
    from .files import LAYERS

    words = layer.type.removeprefix("My")
    cls = LAYERS.get(words)
    if cls is None or type(layer) is cls:
        return None
    try:
        same = cls(layer.name, **{name: getattr(layer, name) for name in cls.arguments if hasattr(layer, name)})
    except TypeError:
        return None
    mine = same.parameters()
    if {name: p.tensor.shape for name, p in mine.items()} != {k: p.tensor.shape for k, p in layer.parameters().items()}:
        return None
    for name, parameter in layer.parameters().items():
        mine[name].tensor = parameter.tensor.copy()
    return same.forward
