"""Out of memory a pass starts again with half the batch; the answer is the same."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from microtome.errors import ModelFailed, RunFailed
from microtome.network.recording.measure import measure
from microtome.network.recording.recorder import Probe
from microtome.network.recording.untouched import untouched
from microtome.statistics import Moments
from toys import Plain, noise, opened, prepared, seeded, seen

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.OutOfMemoryError("no words"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
    MemoryError(),
]


class Hungry(nn.Module):
    """Raises for batches of more than `most` images, in the middle of the network.

    The sizes of batches are written down outside of it: the network itself comes back as it was.
    """

    sizes: ClassVar[list[int]] = []

    def __init__(self, most: int, error: BaseException) -> None:
        super().__init__()
        self.body, self.most, self.error = Plain(), most, error

    def forward(self, x: Tensor) -> Tensor:
        Hungry.sizes.append(len(x))
        x = self.body.act(self.body.conv1(x))
        if len(x) > self.most:
            raise self.error
        return self.body.fc(self.body.conv2(x).amax((2, 3)))


def hungry(most: int, error: BaseException) -> Hungry:
    module = seeded(Hungry, 99, error)
    return opened(module), module


@pytest.mark.parametrize("error", ERRORS, ids=["cuda", "torch", "cpu", "python"])
def test_a_batch_that_does_not_fit_is_halved_and_the_answer_stays(error) -> None:
    model, module = hungry(99, error)
    images = noise(model)
    expected = seen(model, images, "body.conv1", "amax", batch_size=10)
    module.most, Hungry.sizes = 4, []
    found = seen(model, images, "body.conv1", "amax", batch_size=10)
    assert Hungry.sizes == [10, 5, 3, 3, 3, 3]  # the last batch, of one image, is filled up
    for (values,), (known,) in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, known, atol=1e-6)


def test_no_image_is_counted_twice_when_memory_runs_out_in_a_later_batch() -> None:
    model, module = hungry(99, MemoryError())
    images, probe = noise(model), Probe((model.sites.address("body.conv2"),), Moments())

    class Filling(list):
        def append(self, size: int) -> None:
            super().append(size)
            module.most = 0 if len(self) == 2 else 99  # the second batch fails, once

    Hungry.sizes = Filling()
    with untouched(model.module):
        (found,) = measure(model, images, [probe], batch_size=4)
        assert list(Hungry.sizes) == [4, 4, 2, 2, 2, 2, 2]
    assert found.compute().count == len(images) * 5 * 5


@pytest.mark.parametrize("error", ERRORS, ids=["cuda", "torch", "cpu", "python"])
def test_one_image_that_does_not_fit_fails_the_run(error) -> None:
    model, module = hungry(99, error)
    images, _ = noise(model), model.sites
    module.most = 0
    with pytest.raises(RunFailed) as caught:
        seen(model, images, "amax", batch_size=3)
    assert caught.value.given == "One image alone needs more memory than there is"
    assert caught.value.allowed == "A batch holds one image or more"
    assert caught.value.next_step == "Measure fewer sites at once or use a machine with more memory"
    assert caught.value.__cause__ is error
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(("count", "batch_size", "sizes"), [(5, 1, [4] * 5), (9, 8, [8, 4]), (3, 100, [4])])
def test_a_small_batch_is_filled_with_copies_that_are_not_measured(count, batch_size, sizes) -> None:
    # in smaller ones CPU libraries choose other kernels, which round otherwise
    model, module = hungry(99, MemoryError())
    images = noise(model, count)
    with torch.no_grad():
        whole = model.module.body.conv1(prepared(model, images)).numpy()
    _ = model.sites
    Hungry.sizes = []
    (values,) = seen(model, images, "body.conv1", batch_size=batch_size)[0]
    assert Hungry.sizes == sizes
    np.testing.assert_allclose(values, whole, atol=1e-6)
    activations, gradients = seen(model, images, "body.conv1", batch_size=batch_size, loss=lambda out, _: out.sum(1))[0]
    assert activations.shape == gradients.shape == whole.shape


def test_any_other_error_of_the_network_is_raised_at_once_with_its_place_and_images() -> None:
    model, module = hungry(99, RuntimeError("a bug of mine"))
    images, _ = noise(model), model.sites
    module.most, Hungry.sizes = 4, []
    with pytest.raises(ModelFailed) as caught:
        seen(model, images, "amax", batch_size=10)
    assert Hungry.sizes == [10]
    assert caught.value.given == (
        "The network raised RuntimeError after body.act, on the 10 images from 'noise/0' to 'noise/9': a bug of mine"
    )
    assert caught.value.allowed == "A network must take every batch of its images"
    assert caught.value.next_step.startswith("Look at these images")
    assert caught.value.__cause__ is module.error


def test_an_error_of_a_statistic_is_not_blamed_on_the_network(monkeypatch) -> None:
    model, _ = hungry(99, MemoryError())
    images = noise(model)

    def broken(self: Moments, batch: object, *tensors: Tensor) -> None:
        raise ValueError("a bug of ours")

    monkeypatch.setattr(type(Moments().start()), "reduce", broken)
    with untouched(model.module), pytest.raises(ValueError, match="a bug of ours"):
        measure(model, images, [Probe((model.sites.address("amax"),), Moments())])
