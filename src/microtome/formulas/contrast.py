"""How much there is to see in a picture, beside one grey and one slope."""

import numpy as np


def contrast(pictures: np.ndarray, half_range: np.ndarray | float = 1.0) -> np.ndarray:
    """Standard deviation of what no constant and no plane explains, over half the range that pixels may have.

    Stripes from end to end have 1; a constant, and a slope from side to side, have 0.
    Shapes: pictures (..., C, h, w), half_range one number or one a channel (C,) -> (...).
    """
    height, width = pictures.shape[-2:]
    rows, columns = np.mgrid[:height, :width].astype(np.float64).reshape(2, -1)
    basis = np.linalg.qr(np.stack([np.ones(height * width), rows, columns], 1))[0]
    flat = pictures.reshape(*pictures.shape[:-2], -1).astype(np.float64)
    rest = (flat - (flat @ basis) @ basis.T) / np.asarray(half_range, np.float64).reshape(-1, 1)
    return np.sqrt(np.square(rest).mean((-2, -1)))
