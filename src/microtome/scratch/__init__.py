"""A convolutional network from scratch, in NumPy: to read from top to bottom, to teach with, and to check PyTorch by.

Nothing here needs torch, and nothing here is used by the rest of the package, whose torch code it checks. Read in this
order: `core` (a layer, a parameter), `layers`, `conv_direct` (a convolution as it is defined), `conv_unrolled` (the
same as one matrix), `conv_gemm` (the same, fast), `convolution`, `pooling`, `losses`, `optimisers`, `net`, `learner`,
`numeric` (the judge), `deconvolution` (back to the pixels), `files`, `bridge` (to PyTorch), `recipes`.

After: Yao, Implementing Deconvolution to Visualize and Understand Convolutional Neural Networks (Zurich, 2020).

>>> import microtome.scratch as mts
>>> net = mts.mnist_net()
>>> net.count()
1199882
"""

from .bridge import from_torch, to_torch
from .conv_unrolled import unroll
from .convolution import Conv2D
from .core import Layer, Parameter
from .deconvolution import Deconv2D, MaxUnpool2D, Reconstruction, deconvnet, to_bytes
from .layers import Dropout, Flatten, Linear, ReLU, Softmax
from .learner import Epoch, History, Learner
from .losses import mean_squared_error, one_hot, softmax_cross_entropy
from .net import Net, Recorder, load
from .normalisation import BatchNorm2D
from .numeric import Checked, check_layer, numeric_gradient
from .optimisers import SGD, Adam
from .pooling import AvgPool2D, MaxPool2D
from .recipes import cats_net, mnist_net

__all__ = [
    "SGD", "Adam", "AvgPool2D", "BatchNorm2D", "Checked", "Conv2D", "Deconv2D", "Dropout", "Epoch", "Flatten",
    "History", "Layer", "Learner", "Linear", "MaxPool2D", "MaxUnpool2D", "Net", "Parameter", "ReLU",
    "Reconstruction", "Recorder", "Softmax", "cats_net", "check_layer", "deconvnet", "from_torch", "load",
    "mean_squared_error", "mnist_net", "numeric_gradient", "one_hot", "softmax_cross_entropy", "to_bytes",
    "to_torch", "unroll",
]  # fmt: skip
