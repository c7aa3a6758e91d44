"""The small digit classifier of the third source document: three convolutions, two linear layers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDE = (32, 64, 128, 64)
PRUNED = (8, 16, 24, 16)


class SimpleConvNet(nn.Module):
    """(conv + relu + max-pool) x 3, flatten, two linear layers, log-softmax.

    Shapes: (N, 1, 28, 28) -> (N, 10) log-probabilities; widths of conv1, conv2, conv3 and fc4.
    Reference: Explainable MNIST classification: dissection of a ConvNet (2020).
    """

    def __init__(self, widths: tuple[int, int, int, int] = WIDE, classes: int = 10) -> None:
        super().__init__()
        first, second, third, hidden = widths
        self.conv1 = nn.Conv2d(1, first, 5, padding=2)
        self.conv2 = nn.Conv2d(first, second, 5, padding=2)
        self.conv3 = nn.Conv2d(second, third, 5)
        self.fc4 = nn.Linear(third, hidden)
        self.fc5 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (N, first, 14, 14)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, second, 7, 7)
        x = F.max_pool2d(F.relu(self.conv3(x)), 3)  # (N, third, 1, 1)
        x = F.relu(self.fc4(torch.flatten(x, 1)))
        return F.log_softmax(self.fc5(x), dim=1)
