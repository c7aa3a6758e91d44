"""How parameters move against their gradients."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from .core import Parameter


class Optimiser(Protocol):
    """Changes parameters in place; it remembers them by the order in which they come."""

    def step(self, parameters: Iterable[Parameter]) -> None:
        """One step."""
        ...


class SGD:
    """p <- p - lr v with v <- momentum v + g, g with weight_decay p added; the first v is the first g.

    With `nesterov` the step is taken along g + momentum v. Reference: Sutskever et al. (2013), as PyTorch has it.
    """

    def __init__(self, lr: float, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> None:
        self.lr, self.momentum, self.weight_decay, self.nesterov = lr, momentum, weight_decay, nesterov
        self.velocities: dict[int, np.ndarray] = {}

    def step(self, parameters: Iterable[Parameter]) -> None:
        for place, parameter in enumerate(parameters):
            gradient = _decayed(parameter, self.weight_decay)
            if gradient is None:
                continue
            if self.momentum:
                velocity = self.velocities.get(place)
                velocity = gradient.copy() if velocity is None else self.momentum * velocity + gradient
                self.velocities[place] = velocity
                gradient = gradient + self.momentum * velocity if self.nesterov else velocity
            parameter.tensor -= parameter.tensor.dtype.type(self.lr) * gradient


class Adam:
    """Steps of about lr, by the running mean of the gradient over the root of that of its square.

    Reference: Kingma and Ba (2015).
    """

    def __init__(
        self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.lr, self.betas, self.epsilon, self.weight_decay = lr, betas, epsilon, weight_decay
        self.means: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.steps = 0

    def step(self, parameters: Iterable[Parameter]) -> None:
        self.steps += 1
        first, second = self.betas
        for place, parameter in enumerate(parameters):
            gradient = _decayed(parameter, self.weight_decay)
            if gradient is None:
                continue
            mean, square = self.means.get(place, (np.zeros_like(gradient), np.zeros_like(gradient)))
            mean = first * mean + (1 - first) * gradient
            square = second * square + (1 - second) * gradient * gradient
            self.means[place] = mean, square
            root = np.sqrt(square / (1 - second**self.steps)) + self.epsilon
            change = self.lr / (1 - first**self.steps) * mean / root
            parameter.tensor -= change.astype(parameter.tensor.dtype)


def _decayed(parameter: Parameter, decay: float) -> np.ndarray | None:
    """The gradient with the pull towards 0; None for what is not learnt."""
    if not parameter.requires_grad or parameter.gradient is None:
        return None
    return parameter.gradient + parameter.tensor.dtype.type(decay) * parameter.tensor if decay else parameter.gradient
