"""The contract that every statistic keeps."""

import dataclasses

import numpy as np
import pytest
import torch

import microtome.statistics
from feeding import Whole, cut, feed, hashes_of, parts
from microtome.errors import RunFailed
from microtome.statistics import (
    Accumulator,
    Batch,
    ClassMeans,
    Confusion,
    Energies,
    Extremes,
    Firing,
    Histogram,
    Maps,
    MeanMap,
    Moments,
    PairEnergies,
    PatchBank,
    PatchCovariance,
    Predictions,
    Quantiles,
    Rows,
    Statistic,
    Taylor,
)

COUNT, CHANNELS = 230, 5
SHARDS = np.split(np.arange(COUNT), [61, 111, 181])  # 61, 50, 70 and 49 images: no multiples of 7

OF_MAPS: list[Statistic] = [
    Moments(), Firing(), ClassMeans(classes=4), ClassMeans(classes=4, shuffle=3),
    Extremes(), Extremes(k=3), Extremes(k=300),
    Rows(), Rows(images=40), Rows(what="response", images=40), Rows(what="largest", images=40),
    Rows(what="positions", positions=3, images=40), Quantiles(), Quantiles(k=4, images=41),
    Energies(images=40), Energies(images=300, positions=True), Histogram(), Histogram(bins=7, positions=2, images=40),
    Maps(places=(200, 5, 70, 120, 199)), Maps(places=(0, 61, 111, 229), side=4), MeanMap(),
    PatchCovariance(kernel=(3, 2)), PatchCovariance(kernel=(3, 3), stride=(2, 1), padding=(1, 0), method="bands"),
    PatchCovariance(kernel=(2, 2), dilation=(2, 1), method="windows", windows=2000), PatchBank(largest=(3, 4)),
]  # fmt: skip
OF_OUTPUTS: list[Statistic] = [Confusion(classes=CHANNELS), Predictions(), Predictions(k=2)]
EVERY = [*OF_MAPS, *OF_OUTPUTS]

every_statistic = pytest.mark.parametrize("statistic", EVERY, ids=lambda statistic: statistic.key())


def activations(statistic: Statistic) -> torch.Tensor:
    """Half of the channels are coarsely rounded: full of ties, of zeros and of negative zeros."""
    shape = (COUNT, CHANNELS) if statistic in OF_OUTPUTS else (COUNT, CHANNELS, 6, 7)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values[:, ::2] = torch.round(values[:, ::2] * 2) / 2
    return values


def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(-1, 4, COUNT)


def shown(
    statistic: Statistic, batches: list[np.ndarray] | None = None, into: Accumulator | None = None
) -> Accumulator:
    return feed(statistic, activations(statistic), batches, labels=labels(), into=into)


def assert_same(statistic: Statistic, got: Accumulator, expected: Accumulator) -> None:
    magnitude = float(activations(statistic).abs().mean())
    for name, array in parts(expected.compute()).items():
        other = parts(got.compute())[name]
        assert other.dtype == array.dtype and other.shape == array.shape
        np.testing.assert_allclose(other, array, rtol=0, atol=1e-12 * magnitude if array.dtype.kind == "f" else 0)


def test_every_public_statistic_is_in_this_contract() -> None:
    public = (getattr(microtome.statistics, name) for name in microtome.statistics.__all__)
    kinds = {item for item in public if isinstance(item, type) and issubclass(item, Statistic)} - {Statistic}
    kinds -= {Taylor, PairEnergies}  # of two tensors: test_importance.py, test_energies.py
    assert {type(statistic) for statistic in EVERY} == kinds


@every_statistic
@pytest.mark.parametrize("size", [1, 7, 100])
def test_batch_boundaries_do_not_matter(statistic: Statistic, size: int) -> None:
    assert_same(statistic, shown(statistic, cut(range(COUNT), size)), shown(statistic))


@every_statistic
def test_the_order_of_images_does_not_matter(statistic: Statistic) -> None:
    order = np.random.default_rng(5).permutation(COUNT)
    assert_same(statistic, shown(statistic, cut(order, 7)), shown(statistic))


@every_statistic
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_merged_shards_equal_one_pass(statistic: Statistic, order: tuple[int, ...]) -> None:
    merged = statistic.start()
    for shard in order:
        merged.merge(shown(statistic, cut(SHARDS[shard], 7)))
    assert_same(statistic, merged, shown(statistic))


@every_statistic
def test_merging_leaves_the_other_as_it_was(statistic: Statistic) -> None:
    first, second = shown(statistic, [SHARDS[0]]), shown(statistic, [SHARDS[1]])
    first.merge(second)
    shown(statistic, [SHARDS[2]], into=first)
    assert_same(statistic, second, shown(statistic, [SHARDS[1]]))


@every_statistic
def test_an_accumulator_that_saw_nothing_merges_as_nothing(statistic: Statistic) -> None:
    accumulator = shown(statistic)
    accumulator.merge(statistic.start())
    assert_same(statistic, accumulator, shown(statistic))


@every_statistic
def test_a_saved_state_goes_on_like_an_uninterrupted_pass(statistic: Statistic) -> None:
    first, second = cut(range(COUNT), 7)[:15], cut(range(COUNT), 7)[15:]
    interrupted = shown(statistic, first)
    state = interrupted.state()
    shown(statistic, second, into=interrupted)  # the saved state must not follow what it was taken from
    resumed = statistic.start()
    resumed.load(state)
    assert_same(statistic, shown(statistic, second, into=resumed), shown(statistic))


@every_statistic
def test_a_state_holds_only_arrays_of_numbers(statistic: Statistic) -> None:
    assert {array.dtype.kind for array in shown(statistic).state().values()} <= set("biuf")


@every_statistic
def test_asking_does_not_change_the_state(statistic: Statistic) -> None:
    accumulator = shown(statistic)
    before = {name: array.copy() for name, array in accumulator.state().items()}
    accumulator.compute()
    after = accumulator.state()
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("requests", [OF_MAPS, OF_MAPS[::-1]], ids=["in order", "backwards"])
def test_statistics_at_one_site_do_not_disturb_each_other(requests: list[Statistic]) -> None:
    accumulators = [statistic.start() for statistic in requests]
    for places in cut(range(COUNT), 100):
        batch = Batch(places, labels()[places], hashes_of(COUNT)[places], whole=Whole(labels(), hashes_of(COUNT)))
        tensor = activations(requests[0])[places]
        for accumulator in accumulators:
            accumulator.update(batch, tensor)
    for statistic, accumulator in zip(requests, accumulators, strict=True):
        assert_same(statistic, accumulator, shown(statistic))


@every_statistic
def test_an_answer_needs_an_image(statistic: Statistic) -> None:
    accumulator = statistic.start()
    with pytest.raises(RunFailed) as caught:
        accumulator.compute()
    assert str(caught.value) == (
        f"{type(accumulator).__name__} was asked for an answer before it had seen an image. "
        "An answer needs one image or more. Give an image set that is not empty."
    )


@every_statistic
def test_equal_settings_have_equal_keys(statistic: Statistic) -> None:
    assert dataclasses.replace(statistic).key() == statistic.key()


def test_different_settings_have_different_keys() -> None:
    assert len({statistic.key() for statistic in EVERY}) == len(EVERY)


def test_the_statistics_of_a_site_share_its_reductions() -> None:
    batch, tensor = Batch(np.arange(2), np.zeros(2, int), hashes_of(2)), torch.ones(2, 3, 4, 4)
    assert batch.per_image(tensor) is batch.per_image(tensor)


def test_a_tensor_that_was_overwritten_is_reduced_anew() -> None:
    batch, tensor = Batch(np.arange(2), np.zeros(2, int), hashes_of(2)), torch.ones(2, 3, 4, 4)
    assert batch.per_image(tensor).total[0, 0] == 16
    tensor.mul_(2)
    batch.forget()
    assert batch.per_image(tensor).total[0, 0] == 32
