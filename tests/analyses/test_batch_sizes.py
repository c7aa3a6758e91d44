"""Results do not depend on how the images were cut into batches, as far as the network itself does not."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microtome as mt
from microtome.analyses import registry
from microtome.analysis import Result
from microtome.runner import Look
from toys import seen

LIMIT = 60
SIZES = [1, 7, 100]  # against all at once


@functools.cache
def specimen(folder: Path) -> mt.Specimen:
    model = mt.open_model(f"zoo:resnet20@{folder / 'resnet20_cifar10.safetensors'}")
    return mt.Specimen(model=model, images=mt.open_images(folder / "cifar10" / "test", like=model).limit(LIMIT))


@functools.cache
def results(folder: Path, batch_size: int) -> dict[str, Result]:
    outcome = Look(specimen(folder), batch_size=batch_size).run([cls() for cls in registry().values()])
    assert not outcome.skipped
    return outcome.results


@functools.cache
def unchanged(folder: Path, batch_size: int) -> set[str]:
    """Layers where the network gives the very same numbers: in a batch of one image torch may round otherwise."""
    reading = specimen(folder).reading()
    model, images = specimen(folder).model, specimen(folder).images
    one, other = (seen(model, images, *reading.values(), batch_size=size) for size in (batch_size, LIMIT))
    return {layer for layer, (a,), (b,) in zip(reading, one, other, strict=True) if np.array_equal(a, b)}


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every array, number and text of a tree with its path."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    return [(path, value)]


@pytest.mark.data
@pytest.mark.parametrize("batch_size", SIZES)
@pytest.mark.parametrize("name", list(registry()))
def test_the_same_images_and_positions_and_sums_to_twelve_digits_at_every_batch_size(
    data_folder: Path, name, batch_size
) -> None:
    layers = set(specimen(data_folder).reading())
    exact = unchanged(data_folder, batch_size)
    assert "conv1" in exact
    pairs = zip(*(leaves(results(data_folder, size)[name].to_state()) for size in (batch_size, LIMIT)), strict=True)
    compared = 0
    for (path, mine), (_, known) in pairs:
        if set(path) & (layers - exact) or not set(path) & layers and exact != layers:
            continue
        compared += 1
        if isinstance(mine, np.ndarray | float) and np.asarray(mine).dtype.kind == "f":
            largest = np.nanmax(np.abs(known), initial=0)
            np.testing.assert_allclose(mine, known, rtol=1e-12, atol=1e-12 * largest, err_msg="/".join(path))
        else:
            assert np.array_equal(mine, known), "/".join(path)
    assert compared > 0 or exact != layers


@pytest.mark.data
@pytest.mark.parametrize("batch_size", SIZES)
def test_what_the_network_rounds_otherwise_stays_close(data_folder: Path, batch_size) -> None:
    one, other = (results(data_folder, size) for size in (batch_size, LIMIT))
    for layer in specimen(data_folder).reading():
        for field in ("mean", "std", "active", "largest", "top_value"):
            mine, known = (getattr(part["activity"], field)[layer] for part in (one, other))
            np.testing.assert_allclose(mine, known, rtol=1e-3, atol=1e-3, err_msg=f"{field} {layer}")
    np.testing.assert_array_equal(one["decisions"].predicted, other["decisions"].predicted)
