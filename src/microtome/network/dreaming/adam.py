"""Adam for one tensor; torch's own would first import its compiler, which takes longer than many a picture."""

import torch
from torch import Tensor

MEAN, SQUARE, TINY = 0.9, 0.999, 1e-8


class Adam:
    """Steps against the gradient, at first as long as the rate in every number.

    Reference: Kingma, Ba, Adam: a method for stochastic optimization (2015), algorithm 1.
    """

    def __init__(self, numbers: Tensor) -> None:
        self.numbers, self.steps = numbers, 0
        self._mean, self._square = torch.zeros_like(numbers), torch.zeros_like(numbers)

    def step(self, gradient: Tensor, rate: float) -> None:
        """Change the numbers in place."""
        self.steps += 1
        with torch.no_grad():
            self._mean.lerp_(gradient, 1 - MEAN)
            self._square.mul_(SQUARE).addcmul_(gradient, gradient, value=1 - SQUARE)
            size = (self._square / (1 - SQUARE**self.steps)).sqrt_().add_(TINY)
            self.numbers.addcdiv_(self._mean, size, value=-rate / (1 - MEAN**self.steps))
