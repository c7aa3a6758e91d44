"""Promise 1 when something breaks: at any site and in any call the model comes back bit for bit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import microtome as mt
from microtome.analysis import Pass, Steps, at
from microtome.errors import ModelFailed
from microtome.network.open import Model
from microtome.runs.runner import Look
from microtome.statistics import Accumulator, Arrays, Batch, Statistic
from portrait import differences, portrait
from sketches import Sketch
from toys import noise
from untouched_subjects import BUILDS, TOYS, lived_in, look, mixed, model_of, one_thread, summed

SMALL = (*TOYS, "resnet20")
ERRORS = (ValueError, KeyboardInterrupt)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with one_thread():
        yield


class Broken(Accumulator):
    """Raises what it is given as soon as it sees a tensor."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        raise self.error("at a site")

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return {}

    def compute(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Breaking(Statistic):
    """A statistic with a bug, or at which the user loses patience."""

    interrupted: bool

    def start(self) -> Broken:
        return Broken(ERRORS[self.interrupted])


@dataclass(frozen=True, kw_only=True)
class BreaksOff(Sketch):
    """Breaks off at a site: in a plain pass, under an edit, or with gradients."""

    name = "breaks_off"
    site: str
    interrupted: bool
    way: int

    def steps(self, specimen: mt.Specimen) -> Steps:
        edits = [mt.Edit.silence(specimen.sites.layers[0].name, 0)] if self.way == 1 else []
        loss = summed if self.way == 2 else None
        yield Pass(one=at(self.site, Breaking(interrupted=self.interrupted)), under=edits, loss=loss)


def sampled(things: Sequence, all_of_them: bool) -> Sequence:
    """All, or the first, the middle and the last."""
    return things if all_of_them else [things[0], things[len(things) // 2], things[-1]]


def opened(name: str) -> tuple[nn.Module, Model]:
    module = lived_in(name)
    mixed(module)
    return module, model_of(name, module)


@pytest.mark.parametrize("name", BUILDS)
def test_after_an_error_of_a_statistic_at_a_site_everything_is_as_it_was(name) -> None:
    module, model = opened(name)
    specimen = mt.Specimen(model=model, images=noise(model, 2, mt.Specimen(model=model).classes))
    before = portrait(module)
    sites = [site.name for site in specimen.sites.values() if site.batched]
    for place, site in enumerate(sampled(sites, name in SMALL)):
        for interrupted in (False, True):
            doomed = BreaksOff(site=site, interrupted=interrupted, way=(place + interrupted) % 3)
            with pytest.raises(ERRORS[interrupted], match="^at a site$"):
                Look(specimen, device="cpu").run([doomed])
            assert differences(before, portrait(module)) == [], site


def raising(error: type[BaseException]) -> Callable[..., None]:
    def hook(*_: object) -> None:
        raise error("of the network's own")

    return hook


@pytest.mark.parametrize("name", [name for name in BUILDS if name != "functional"])  # which has no leaves
def test_after_an_error_of_the_network_itself_everything_is_as_it_was(name) -> None:
    module, model = opened(name)
    assert len(model.receptive_fields) == len(model.sites)  # found while the network was whole
    leaves = list(dict.fromkeys(site.call.path for site in model.sites.values() if site.call.leaf))
    for place, leaf in enumerate(sampled(leaves, name in SMALL)):
        error = ERRORS[place % 2]
        handle = module.get_submodule(leaf).register_forward_hook(raising(error))
        before = portrait(module)
        for broken in (model, model_of(name, module)):  # in the passes, and when sites are found
            with pytest.raises(ModelFailed if error is ValueError else KeyboardInterrupt, match="of the network's own"):
                look(broken)
            assert differences(before, portrait(module)) == []
        handle.remove()


class Stumbling(TorchFunctionMode):
    """Raises at one of the torch functions that are called, whoever calls it."""

    def __init__(self, place: int = -1) -> None:
        super().__init__()
        self.place, self.calls = place, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        if self.calls == self.place:
            raise KeyboardInterrupt
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", SMALL)
def test_after_an_interrupt_in_any_torch_function_everything_is_as_it_was(name) -> None:
    module, model = opened(name)
    before = portrait(module)
    with Stumbling() as undisturbed:
        look(model, count=2)
    for place in range(1, undisturbed.calls, max(1, undisturbed.calls // 40)):
        with pytest.raises(KeyboardInterrupt), Stumbling(place):
            look(model_of(name, module), count=2)
        assert differences(before, portrait(module)) == [], f"call {place}"
