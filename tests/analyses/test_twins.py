"""Which units do the same: planted copies are found, and what is not planted is compared with SciPy."""

import numpy as np
import pytest
import scipy.stats
import torch

import microtome as mt
from microtome.analyses.twins import Twins, TwinsResult
from microtome.images.sources import open_images
from microtome.runs.runner import Look
from toys import prepared


def look(seed: int = 0, **settings: int) -> tuple[mt.Specimen, TwinsResult]:
    model = mt.open_model("zoo:simpleconvnet")
    with torch.no_grad():  # unit 20 of conv2 is three times unit 4
        model.module.conv2.weight[20] = 3 * model.module.conv2.weight[4]
        model.module.conv2.bias[20] = 3 * model.module.conv2.bias[4]
    specimen = mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(60), seed=seed)
    return specimen, Look(specimen).run([Twins(**settings)]).results["twins"]


@pytest.fixture(scope="module")
def looked() -> tuple[mt.Specimen, TwinsResult]:
    return look()


def test_a_planted_copy_is_each_others_nearest_twin(looked) -> None:
    _, result = looked
    assert (result.twin["conv2"][4, 0], result.twin["conv2"][20, 0]) == (20, 4)
    assert result.correlation["conv2"][[4, 20], 0].min() > 0.999


def test_correlations_of_a_layer_without_positions_are_scipys(looked) -> None:
    specimen, result = looked
    values = []
    handle = specimen.model.module.fc5.register_forward_pre_hook(lambda _, args: values.append(args[0]))
    with torch.no_grad():
        specimen.model.module(prepared(specimen.model, specimen.images))
    handle.remove()
    units = values[0].double().numpy()  # (N, 64), what fc4 gives behind its ReLU
    for unit in np.flatnonzero(units.std(0) > 1e-3)[:8]:
        others = [o for o in range(64) if o != unit and units[:, o].std() > 0]
        known = [scipy.stats.pearsonr(units[:, unit], units[:, other]).statistic for other in others]
        best = sorted(known, reverse=True)[:4]
        np.testing.assert_allclose(result.correlation["fc4"][unit], np.maximum(best, 0), atol=1e-4)


def test_shuffling_leaves_no_twins_but_chance(looked) -> None:
    _, result = looked
    bound = np.sqrt(2 * np.log(64**2)) / np.sqrt(result.samples)  # of the largest of 64 * 64 / 2 normal deviates
    assert result.samples == 60 * 8
    assert 0 < result.null["conv2"] < 1.5 * bound


def test_twins_are_a_finding_with_what_shuffling_gives(looked) -> None:
    _, result = looked
    counts = {layer: int((values[:, 0] > 0.95).sum()) for layer, values in result.correlation.items()}
    most = max(counts, key=counts.get)
    (finding,) = result.findings()
    assert finding.number == sum(counts.values()) >= 2
    assert finding.sentence == (
        f"{sum(counts.values())} of 298 units have a near-twin in their layer (activation correlation > 0.95), "
        f"{counts[most]} of them in {most}"
    )
    assert finding.control.endswith(f"{max(result.null.values()):.2f}")
    assert finding.link == f"#/layer/{most}?sort=twin"


def test_the_same_seed_shuffles_the_same_way_and_another_one_otherwise() -> None:
    (_, one), (_, again), (_, other) = look(seed=1, k=1), look(seed=1, k=1), look(seed=2, k=1)
    assert one.null == again.null != other.null
    np.testing.assert_array_equal(one.twin["conv1"], other.twin["conv1"])
