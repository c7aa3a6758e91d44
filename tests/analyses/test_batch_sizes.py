"""Results do not depend on how the images were cut into batches, as far as the network itself does not."""

import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microtome as mt
from microtome.analyses import general, registry
from microtome.analysis import Result
from microtome.runs.runner import Look
from toys import seen

LIMIT = 40
SETTINGS = {"superstimuli": {"units": 1, "climb": 5}, "deconvnet": {"images": 1}, "faithfulness": {"units": 1}}
FEWER = 10  # more sees no more of the batches


@functools.cache
def specimen(folder: Path) -> mt.Specimen:
    model = mt.open_model(f"zoo:resnet20@{folder / 'resnet20_cifar10.safetensors'}")
    return mt.Specimen(
        model=model, images=mt.open_images(folder / "cifar10" / "test", like=model).limit(LIMIT), effort="quick"
    )


@functools.cache
def results(folder: Path, batch_size: int) -> dict[str, Result]:
    analyses = [cls(**SETTINGS.get(name, {})) for name, cls in general(registry()).items()]
    with pytest.MonkeyPatch.context() as patch:
        for cls in general(registry()).values():
            budget = getattr(inspect.getmodule(cls), "BUDGET", {})
            patch.setitem(budget, "quick", budget.get("quick", 0.0) / FEWER)
        outcome = Look(specimen(folder), batch_size=batch_size).run(analyses)
    assert not outcome.skipped
    return outcome.results


@functools.cache
def unchanged(folder: Path, batch_size: int) -> bool:
    """Whether the network itself gives the very same numbers in these batches as all at once."""
    reading = specimen(folder).reading()
    model, images = specimen(folder).model, specimen(folder).images
    one, other = (seen(model, images, *reading.values(), batch_size=size) for size in (batch_size, LIMIT))
    return all(np.array_equal(a, b) for (a,), (b,) in zip(one, other, strict=True))


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every array, number and text of a tree with its path."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{path}/{key}")]
    return [(path, value)]


@pytest.mark.data
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("name", list(general(registry())))
def test_the_same_images_and_positions_and_sums_to_twelve_digits_at_every_batch_size(
    data_folder: Path, name, batch_size
) -> None:
    if not unchanged(data_folder, batch_size):
        pytest.skip("on this machine torch itself rounds otherwise in other batches")
    mine, known = (leaves(results(data_folder, size)[name].to_state()) for size in (batch_size, 2 * LIMIT))
    for (path, one), (_, other) in zip(mine, known, strict=True):
        if isinstance(one, np.ndarray | float) and np.asarray(one).dtype.kind == "f":
            known_to_all = np.abs(other)[np.isfinite(other)] if np.ndim(other) else np.nan_to_num(other)
            largest = np.max(known_to_all, initial=0)
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * largest, err_msg=path)
        else:
            assert np.array_equal(one, other), path
