"""Energies of what an activation keeps and loses, beside slow sums and the network's own tensors."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import microtome as mt
from feeding import LAYOUTS, cut, exact, feed, hashes_of
from microtome.formulas.rotation import activation_turn, angle_of, selective_rotation, turn_of_energies
from microtome.network.recording.addresses import Address
from microtome.network.recording.measure import measure
from microtome.network.recording.recorder import Probe
from microtome.network.recording.untouched import untouched
from microtome.statistics import Accumulator, Batch, Energies, PairEnergies
from microtome.statistics.energies import EnergiesAnswer, PairEnergiesAnswer
from toys import noise, opened, prepared, seeded


class Rectified(nn.Module):
    """A network with one rectifier between two layers, written in a way of one's own."""

    ways = {
        "module": nn.ReLU(), "in place": nn.ReLU(inplace=True), "function": F.relu, "function in place": torch.relu_,
        "method": lambda x: x.relu(), "method in place": lambda x: x.relu_(),
    }  # fmt: skip

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(3, 6, 3), self.ways[way], nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.conv(x)).mean((2, 3)))


class Gated(Rectified):
    """The same with a GELU."""

    ways = {"gelu": nn.GELU()}


def rectifier(model: mt.Model) -> str:
    return next(name for name, site in model.sites.items() if site.operation.lower().rstrip("_") in ("relu", "gelu"))


def measured(way: str) -> EnergiesAnswer:
    model = opened(seeded(lambda: Rectified(way)))
    probe = Probe((Address(rectifier(model), True),), Energies(positions=True))
    with untouched(model.module):
        return measure(model, noise(model, 10), [probe], batch_size=4)[0].compute()


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_energies_are_sums_of_squares_of_both_signs(layout: str, positions: bool) -> None:
    tensor = LAYOUTS[layout]()
    found = feed(Energies(positions=positions), tensor, cut(range(20), 7)).compute()
    values = exact(tensor)
    assert found.index.tolist() == list(range(20))
    np.testing.assert_allclose(found.kept, (np.maximum(values, 0) ** 2).sum(2), rtol=1e-5)
    np.testing.assert_allclose(found.lost, (np.minimum(values, 0) ** 2).sum(2), rtol=1e-5)


def test_the_mean_angle_is_over_positions_that_hold_something() -> None:
    tensor = LAYOUTS["maps"]()
    tensor[3, :, :4] = 0
    tensor[5] = 0
    found = feed(Energies(positions=True), tensor).compute()
    angles = selective_rotation(exact(tensor), axis=1).angle  # (N, P)
    expected = [np.mean([angle for angle in row if not np.isnan(angle)] or [np.nan]) for row in angles if len(row)]
    np.testing.assert_allclose(found.angle, expected, rtol=1e-6)
    np.testing.assert_allclose(found.empty, np.isnan(angles).mean(1), atol=1e-7)
    assert found.empty[3] == pytest.approx(4 / 9) and found.empty[5] == 1


def test_without_positions_no_mean_angle_is_told() -> None:
    assert np.isnan(feed(Energies(), LAYOUTS["maps"]()).compute().angle).all()


def test_the_angle_of_a_map_follows_from_its_channels() -> None:
    tensor = LAYOUTS["maps"]()
    found = feed(Energies(), tensor).compute()
    whole = selective_rotation(exact(tensor).reshape(20, -1)).angle
    np.testing.assert_allclose(angle_of(found.kept.sum(1), found.lost.sum(1)), whole, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("shape", [(20, 1, 40, 40), (20, 1), (20, 33, 7, 5), (20, 2, 300, 500)], ids=str)
@pytest.mark.parametrize("positions", [False, True])
def test_batch_boundaries_do_not_matter_whatever_the_shape(shape, size: int, positions: bool) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    whole = feed(Energies(positions=positions), tensor).compute()
    found = feed(Energies(positions=positions), tensor, cut(range(20), size)).compute()
    for name in ("kept", "lost", "angle"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-12)


def test_as_many_images_as_asked_for_are_kept_by_the_lowest_hashes() -> None:
    found = feed(Energies(images=6), LAYOUTS["maps"](), cut(range(20), 7)).compute()
    assert found.index.tolist() == sorted(np.argsort(hashes_of(20))[:6])


@pytest.mark.parametrize("statistic", [Energies(), PairEnergies()], ids=str)
def test_when_the_set_grows_rows_stay_with_their_images(statistic) -> None:
    accumulator = fed(statistic, range(20))
    before = accumulator.compute()
    accumulator.move(np.arange(20) * 2 + 1)
    assert accumulator.compute().index.tolist() == (before.index * 2 + 1).tolist()


@pytest.mark.parametrize("way", Rectified.ways)
def test_however_a_rectifier_is_written_its_energies_are_the_same(way: str) -> None:
    one, other = measured(way), measured("module")
    assert one.kept.tobytes() == other.kept.tobytes() and one.lost.tobytes() == other.lost.tobytes()
    assert (one.lost > 0).any() and one.angle.tobytes() == other.angle.tobytes()


def test_energies_of_a_network_are_those_of_its_own_tensors() -> None:
    found = measured("function in place")
    model = opened(seeded(lambda: Rectified("module")))
    with torch.no_grad():
        before = model.module.conv(prepared(model, noise(model, 10)))
    expected = selective_rotation(before.flatten(1).double().numpy()).angle
    np.testing.assert_allclose(angle_of(found.kept.sum(1), found.lost.sum(1)), expected, rtol=1e-6)


# Pairs


def fed(statistic: Energies | PairEnergies, order, size: int = 7) -> Accumulator:
    accumulator = statistic.start()
    before = LAYOUTS["maps"]()
    tensors = (before, F.gelu(before)) if isinstance(statistic, PairEnergies) else (before,)
    for places in cut(order, size):
        batch = Batch(places, np.zeros(len(places), int), hashes_of(20)[places])
        accumulator.update(batch, *(tensor[torch.from_numpy(places)] for tensor in tensors))
    return accumulator


def same(one: PairEnergiesAnswer, other: PairEnergiesAnswer) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_energies_of_a_pair_tell_the_turn_of_any_set_of_channels() -> None:
    found = fed(PairEnergies(), range(20)).compute()
    before = LAYOUTS["maps"]()[:, [1, 4]].flatten(1).double().numpy()
    after = F.gelu(LAYOUTS["maps"]()[:, [1, 4]]).flatten(1).double().numpy()
    sums = (values[:, [1, 4]].sum(1) for values in (found.before, found.after, found.apart))
    turn, expected = turn_of_energies(*sums), activation_turn(before, after)
    np.testing.assert_allclose(turn.angle, expected.angle, rtol=1e-9)
    np.testing.assert_allclose(turn.excess, expected.excess, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 20])
def test_pairs_do_not_depend_on_order_or_batches(size: int) -> None:
    order = np.random.default_rng(1).permutation(20)
    assert same(fed(PairEnergies(), order, size).compute(), fed(PairEnergies(), range(20)).compute())


def test_pairs_of_parts_merge_to_those_of_all_images() -> None:
    one, other = fed(PairEnergies(images=9), range(11)), fed(PairEnergies(images=9), range(11, 20))
    one.merge(other)
    whole = fed(PairEnergies(images=9), range(20)).compute()
    assert same(one.compute(), whole)
    assert whole.index.tolist() == sorted(np.argsort(hashes_of(20))[:9])


def test_a_pair_at_an_activation_of_a_network_is_its_input_and_output() -> None:
    model = opened(seeded(lambda: Gated("gelu")))
    site = rectifier(model)
    probe = Probe((Address(site, True), Address(site)), PairEnergies())
    with untouched(model.module):
        found = measure(model, noise(model, 10), [probe], batch_size=4)[0].compute()
    with torch.no_grad():
        before = model.module.conv(prepared(model, noise(model, 10)))
    turn = activation_turn(before.flatten(1).numpy(), F.gelu(before).flatten(1).numpy())
    sums = (values.sum(1) for values in (found.before, found.after, found.apart))
    np.testing.assert_allclose(turn_of_energies(*sums).angle, turn.angle, rtol=1e-5)
