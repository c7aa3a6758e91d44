"""Contrast: what is left of a picture without a constant and a plane."""

import numpy as np
import pytest

from microtome.formulas.contrast import contrast

ROWS, COLUMNS = np.mgrid[:12, :16].astype(float)


@pytest.mark.parametrize("plain", [np.full((12, 16), 0.7), 0.1 * ROWS - 0.05 * COLUMNS + 2])
def test_a_constant_and_a_plane_have_none(plain) -> None:
    assert contrast(plain[None]) == pytest.approx(0, abs=1e-12)


def test_stripes_from_end_to_end_have_all_and_a_plane_below_changes_nothing() -> None:
    stripes = np.where(COLUMNS % 2 == 0, 1.0, -1.0)
    alone = contrast(stripes[None])
    assert alone == pytest.approx(1, abs=0.01)
    assert contrast((stripes + 0.3 * ROWS - COLUMNS)[None]) == pytest.approx(alone)
    assert contrast(stripes[None] / 4) == pytest.approx(alone / 4)


def test_each_channel_counts_in_its_own_range() -> None:
    stripes = np.where(COLUMNS % 2 == 0, 1.0, -1.0)
    pictures = np.stack([np.stack([stripes, 2 * stripes, 3 * stripes]), np.zeros((3, 12, 16))])
    found = contrast(pictures, np.array([1.0, 2.0, 3.0]))
    assert found.shape == (2,)
    np.testing.assert_allclose(found, [contrast(stripes[None]), 0], atol=1e-12)
