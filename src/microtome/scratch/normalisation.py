"""Batch normalisation of maps."""

import numpy as np

from .core import DTYPE, Layer, expect


class BatchNorm2D(Layer):
    """Each channel with mean 0 and variance 1 over images and places, then scaled and shifted by what is learnt.

    In training the batch's own mean and variance are used, and a running mean of both is kept for later.
    Shapes: x (N, channels, H, W) -> the same. Reference: Ioffe and Szegedy (2015).
    """

    arguments = ("channels", "momentum", "epsilon")

    def __init__(
        self, name: str, channels: int, momentum: float = 0.1, epsilon: float = 1e-5,
        dtype: np.dtype[np.floating] = DTYPE,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.channels, self.momentum, self.epsilon = channels, momentum, epsilon
        self.weight = self.build_param(np.ones(channels, dtype))
        self.bias = self.build_param(np.zeros(channels, dtype))
        self.running_mean, self.running_var = np.zeros(channels, dtype), np.ones(channels, dtype)

    def buffers(self) -> dict[str, np.ndarray]:
        return {"running_mean": self.running_mean, "running_var": self.running_var}

    def forward(self, x: np.ndarray) -> np.ndarray:
        expect(self, x, (self.channels, None, None))
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
            count = x.size // self.channels
            for kept, now in ((self.running_mean, mean), (self.running_var, variance * count / max(1, count - 1))):
                kept += (self.momentum * (now - kept)).astype(kept.dtype)
        self.scale = 1 / np.sqrt(variance + x.dtype.type(self.epsilon))
        self.normalised = (x - mean[:, None, None]) * self.scale[:, None, None]
        self.from_batch = self.training
        return self.normalised * self.weight.tensor[:, None, None] + self.bias.tensor[:, None, None]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.weight.gradient = (dy * self.normalised).sum((0, 2, 3))
        self.bias.gradient = dy.sum((0, 2, 3))
        factor = (self.weight.tensor * self.scale)[:, None, None]
        if not self.from_batch:
            return dy * factor
        count = dy.size // self.channels  # mean and variance depend on every number of the channel
        shared = self.bias.gradient[:, None, None] + self.normalised * self.weight.gradient[:, None, None]
        return factor * (dy - shared / count)
