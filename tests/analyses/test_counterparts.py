"""Which units correspond: planted permutations and missing channels are found, correlations are SciPy's."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import torch

import microtome as mt
from microtome.analyses.counterparts import Counterparts, CounterpartsResult
from microtome.cards import Table
from microtome.network.zoo.simpleconvnet import SimpleConvNet
from microtome.runs.runner import Look
from pairs import changed, digits, found, look
from toys import prepared, seeded

ORDER = [5, 2, 7, 0, 1, 6, 3, 4]  # conv2's channels in B


def permute(module) -> None:
    """Channels of conv2 in another order, and the layer behind them with them: the network does the same."""
    module.conv2.weight.copy_(module.conv2.weight[ORDER].clone())
    module.conv2.bias.copy_(module.conv2.bias[ORDER].clone())
    module.conv3.weight.copy_(module.conv3.weight[:, ORDER].clone())


@pytest.fixture(scope="module")
def network() -> tuple[mt.Model, mt.Images]:
    return digits()


@pytest.fixture(scope="module")
def permuted(network) -> CounterpartsResult:
    model, images = network
    return found(model, changed(model, permute), images, Counterparts())


@pytest.fixture(scope="module")
def unlike(network) -> tuple[mt.Model, CounterpartsResult]:
    """B has other random weights."""
    model, images = network
    with torch.random.fork_rng():
        torch.manual_seed(99)
        other = dataclasses.replace(model, module=SimpleConvNet((6, 8, 16, 32)).eval())
    return other, found(model, other, images, Counterparts())


def alive(result: CounterpartsResult, layer: str) -> np.ndarray:
    return np.flatnonzero(result.match[layer] >= 0)


def test_every_unit_of_a_network_is_its_own_counterpart(network) -> None:
    model, images = network
    result = found(model, model, images, Counterparts())
    for layer in ("conv1", "conv2", "conv3", "fc4", "fc5"):
        living = alive(result, layer)
        assert result.match[layer][living].tolist() == living.tolist()
        np.testing.assert_allclose(result.r[layer][living], 1, atol=1e-12)
    units = sum(len(alive(result, layer)) for layer in result.match)
    sentence = result.findings()[0].sentence
    assert sentence.startswith(f"{units} of 72 units of A have a counterpart in B (activation correlation > 0.9)")
    assert sentence.endswith(f"; of 72 in layers as wide in both, {units} are most like the one of their own number")
    assert "by chance 5 would have their own number most similar" in result.findings()[0].control


def test_a_permuted_layer_is_put_in_order_again_and_the_others_stay(permuted) -> None:
    living = alive(permuted, "conv2")
    assert len(living) >= 5
    assert [ORDER[unit] for unit in permuted.match["conv2"][living]] == living.tolist()
    np.testing.assert_allclose(permuted.r["conv2"][living], 1, atol=1e-5)
    for layer in ("conv1", "conv3", "fc4", "fc5"):
        assert permuted.match[layer][alive(permuted, layer)].tolist() == alive(permuted, layer).tolist()


def test_a_unit_and_its_counterpart_are_strongest_on_the_same_images(permuted) -> None:
    living = alive(permuted, "conv2")
    np.testing.assert_array_equal(permuted.top_index["conv2"][living], permuted.other_index["conv2"][living])
    np.testing.assert_array_equal(permuted.top_box["conv2"][living], permuted.other_box["conv2"][living])


def test_a_constant_unit_has_no_counterpart_and_is_counted_nowhere(network) -> None:
    model, images = network

    def kill(module) -> None:
        module.conv1.weight[2] = 0
        module.conv1.bias[2] = -1

    dead = changed(model, kill)
    result = found(dead, model, images, Counterparts())
    assert result.match["conv1"][2] == -1 and np.isnan(result.r["conv1"][2])
    assert (result.top_index["conv1"][2] == -1).all() and (result.other_index["conv1"][2] == -1).all()
    (headline,) = [c for c in result.cards() if c.layer == "conv1" and c.section == "headline"]
    assert headline.content.lines[2] == "in B: unknown, it is constant"
    back = found(model, dead, images, Counterparts())
    assert back.r["conv1"][2] < 0.999 and back.back["conv1"][2] == 0


def test_a_pruned_copy_has_counterparts_for_the_channels_that_stayed(network) -> None:
    model, images = network
    slim = mt.remove_channels(model, {"conv2": [0, 4]}).model
    result = found(model, slim, images, Counterparts())
    stayed = [unit for unit in range(8) if unit not in (0, 4)]
    assert (len(result.r["conv2"]), len(result.back["conv2"])) == (8, 6)
    assert set(result.own) == {"conv1", "conv3", "fc4", "fc5"}
    for unit in set(stayed) & set(alive(result, "conv2")):
        assert result.match["conv2"][unit] == stayed.index(unit)
        assert result.r["conv2"][unit] == pytest.approx(1, abs=1e-5)


def test_correlations_between_layers_without_positions_are_scipys(network, unlike) -> None:
    model, images = network
    other, result = unlike
    values = []
    for one in (model, other):
        handle = one.module.fc5.register_forward_pre_hook(lambda _, given: values.append(given[0].double().numpy()))
        with torch.no_grad():
            one.module(prepared(one, images))
        handle.remove()
    mine, theirs = values
    for unit in alive(result, "fc4")[:6]:
        known = [scipy.stats.pearsonr(mine[:, unit], column).statistic if column.std() else 0 for column in theirs.T]
        assert result.r["fc4"][unit] == pytest.approx(max(known), abs=1e-5)
        assert result.match["fc4"][unit] == np.argmax(known)


def test_with_shuffled_images_nothing_corresponds(unlike, permuted) -> None:
    _, result = unlike
    for each in (result, permuted):
        bound = np.sqrt(2 * np.log(32**2)) / np.sqrt(300)  # of the largest of 32 * 32 / 2 normal deviates
        assert 0 < each.shuffled["fc4"].max() < 1.5 * bound
        assert each.samples["conv2"] == 300 * 8
    assert np.nanmedian(result.r["conv2"]) > 3 * result.shuffled["conv2"].max()  # brightness is seen by all


def test_maps_of_another_extent_are_compared_by_their_means_and_it_says_so(network) -> None:
    model, images = network

    class Finer(SimpleConvNet):
        """conv1 leaves out the borders."""

        def __init__(self) -> None:
            super().__init__((6, 8, 16, 32))
            self.conv1 = torch.nn.Conv2d(1, 6, 5, padding=3)

    other = dataclasses.replace(model, module=seeded(Finer))
    other.module.conv1.load_state_dict(model.module.conv1.state_dict())
    result = found(model, other, images, Counterparts())
    assert (result.positions["conv1"], result.samples["conv1"]) == (False, 300)
    (table,) = [c for c in result.cards() if isinstance(c.content, Table)]
    assert "Means of images, because positions do not correspond: conv1, conv2." in table.how_to_read
    living = alive(result, "conv1")
    assert result.match["conv1"][living].tolist() == living.tolist()


def test_layers_that_only_one_has_are_named(network) -> None:
    model, images = network

    class More(SimpleConvNet):
        """A layer more at the end."""

        def __init__(self) -> None:
            super().__init__((6, 8, 16, 32))
            self.fc6 = torch.nn.Linear(10, 10)

        def forward(self, x):
            return self.fc6(super().forward(x))

    result = found(model, dataclasses.replace(model, module=seeded(More)), images, Counterparts())
    assert result.left_out == ("fc6",)
    (table,) = [c for c in result.cards() if isinstance(c.content, Table)]
    assert table.how_to_read.endswith("Not in both networks, or not read: fc6.")


def test_the_same_units_correspond_whatever_the_batches(network, permuted) -> None:
    model, images = network
    again = look(model, changed(model, permute), images, Counterparts(), batch_size=7).results["counterparts"]
    for layer in permuted.match:
        np.testing.assert_array_equal(again.match[layer], permuted.match[layer])
        np.testing.assert_allclose(again.r[layer], permuted.r[layer], atol=1e-6)


def test_one_network_alone_has_no_counterparts(network) -> None:
    model, images = network
    reason = Look(mt.Specimen(model=model, images=images)).run([Counterparts()]).skipped["counterparts"]
    assert reason.startswith("simpleconvnet is looked at by itself. Compared are two networks")
