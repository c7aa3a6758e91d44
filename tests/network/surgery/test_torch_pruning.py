"""What Torch-Pruning does where ours is exact: its graph of autograd's nodes does not see zero-padded shortcuts."""

import pytest
import torch

import microtome as mt
from microtome.errors import CannotRemove
from microtome.network.surgery.couplings import couplings
from microtome.network.surgery.removing import remove_channels

torch_pruning = pytest.importorskip("torch_pruning", reason="Torch-Pruning is not installed: needs the peers extra")


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_torch_pruning_breaks_the_stem_of_an_option_a_network_in_place_and_ours_cuts_it():
    model = mt.open_model("zoo:resnet20")
    theirs = mt.open_model("zoo:resnet20").module
    image = torch.randn(1, *model.preprocessing.shape, generator=torch.Generator().manual_seed(0))
    graph = torch_pruning.DependencyGraph().build_dependency(theirs, image)
    group = graph.get_pruning_group(theirs.conv1, torch_pruning.prune_conv_out_channels, [0, 1])
    assert graph.check_pruning_group(group), "it finds nothing wrong beforehand"
    group.prune()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied|must match the size"):
        theirs(image)
    assert theirs.conv1.out_channels == 14, "what it was given stays broken"
    found = remove_channels(model, {"conv1": [0, 1]})
    assert found.difference <= 1e-5 and found.model.module.conv1.out_channels == 14
    one_sided = next(g for g in couplings(model).groups if g.name == "layer2.0.conv2 and 5 more")
    with pytest.raises(CannotRemove):
        remove_channels(model, {"layer2.0.conv2": list(one_sided.channels["layer2.0.conv2"][0])})
    assert model.module.conv1.out_channels == 16
