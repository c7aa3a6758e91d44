"""Offsets between the cones of successive layers, against loops over all triples."""

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.cones import offsets
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.layers import slice_cones
from microtome.formulas.cones.offsets import (
    apex_offsets,
    mean_offsets,
    mean_rotations,
    opening_offsets,
    rotations,
)
from microtome.formulas.cones.rotation import rotation_between


def layers(grid: tuple[int, int] = (8, 7)) -> tuple[ConeSet, ConeSet]:
    random = np.random.default_rng(0)

    def layer(high: int, wide: int) -> ConeSet:
        return slice_cones(random.normal(size=(high, wide, 3, 3)), random.normal(size=high), grid)

    return layer(5, 4), layer(4, 3)


def test_every_offset_is_that_of_its_two_slices() -> None:
    out, into = layers()
    apex, opening, turned = apex_offsets(out, into), opening_offsets(out, into), rotations(out, into)
    for o, c, p in np.ndindex(5, 4, 3):
        one, other = out[o, c], into[c, p]
        far = -one.biases / one.kernels.sum() + other.biases / other.kernels.sum()
        assert apex[o, c, p] == pytest.approx(far * np.sqrt(56), rel=1e-10)
        assert opening[o, c, p] == pytest.approx(float(one.facet_angle - other.facet_angle), abs=1e-14)
        assert turned[o, c, p] == pytest.approx(float(rotation_between(one[None], other[None])[0, 0]), abs=1e-12)


def test_the_distance_along_the_identity_line_is_that_between_the_apices() -> None:
    out, into = layers()
    images = np.repeat(out.apex[..., None, :], 56, -1) - np.repeat(into.apex[None], 56, -1)
    np.testing.assert_allclose(np.abs(apex_offsets(out, into)), np.linalg.norm(images, axis=-1), rtol=1e-12)


def test_means_are_over_the_input_channels_whatever_the_blocks(monkeypatch) -> None:
    out, into = layers()
    for block in (1, 30, 1 << 20):
        monkeypatch.setattr(offsets, "BLOCK", block)
        found = mean_offsets(out, into)
        np.testing.assert_allclose(found.apex, np.abs(apex_offsets(out, into)).mean(-1), rtol=1e-12)
        np.testing.assert_allclose(found.opening, np.abs(opening_offsets(out, into)).mean(-1), rtol=1e-12)
    np.testing.assert_allclose(mean_rotations(out, into), rotations(out, into).mean(-1), atol=1e-6)
    np.testing.assert_allclose(mean_rotations(out, into, np.float64), rotations(out, into).mean(-1), rtol=1e-14)


def test_a_slice_without_an_apex_is_far_from_nothing() -> None:
    out, into = layers()
    kernels = out.kernels.copy()
    kernels[2, 1] = 0
    found = mean_offsets(ConeSet(kernels=kernels, biases=out.biases, grid=out.grid), into)
    assert np.isnan(found.apex[2, 1]) and np.isnan(found.apex).sum() == 1 and np.isfinite(found.opening).all()


def test_layers_that_do_not_follow_each_other_are_refused() -> None:
    out, into = layers()
    for ask in (mean_offsets, apex_offsets, opening_offsets, rotations, mean_rotations):
        with pytest.raises(UsageError, match="The later layer has .O, C. slices, and the earlier one .C, P."):
            ask(into, out)
