"""What PyTorch can hand on of a network, it can hand on of the network without some channels."""

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.network.surgery.removing import remove_channels
from toys import opened, with_random_weights

CHANNELS = {
    "zoo:resnet20": {"conv1": [1, 4], "layer3.0.conv1": [0, 5, 6]},
    "squeezenet1_0": {"features.3.squeeze": [2], "features.3.expand1x1": [0, 1]},
    "mobilenet_v3_small": {"features.2.block.0.0": [3, 8]},
}


def slim(name: str):
    model = mt.open_model(name) if name.startswith("zoo:") else opened(with_random_weights(name), 64)
    return remove_channels(model, CHANNELS[name]).model


@pytest.mark.filterwarnings("ignore")  # of the exporters themselves
@pytest.mark.parametrize("name", CHANNELS)
def test_torch_export_gives_the_same_answers(name):
    model = slim(name)
    image = torch.randn(2, *model.preprocessing.shape, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(model.module, (image,))
    with torch.no_grad():
        assert torch.allclose(program.module()(image), model.module(image), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_answers(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: needs the dev extra")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: needs the dev extra")
    from onnx.reference import ReferenceEvaluator

    model = slim("zoo:resnet20")
    image = torch.randn(2, *model.preprocessing.shape, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(model.module, (image,), tmp_path / "slim.onnx", dynamo=True, verbose=False)
    graph = onnx.load(tmp_path / "slim.onnx")
    (answer,) = ReferenceEvaluator(graph).run(None, {graph.graph.input[0].name: image.numpy()})
    with torch.no_grad():
        assert np.allclose(answer, model.module(image).numpy(), rtol=1e-4, atol=1e-5)
