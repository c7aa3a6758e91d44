"""What condemned a channel, as one small picture: its filter beside its superstimulus."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...figures import coloured, square

SIDE = 40  # pixels of a picture's side


def condemned(looked: Mapping[str, Any], gone: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """By layer, of every channel that goes its filter beside its superstimulus. Shapes: (k, side, 2 side, 3)."""
    filters, grown = looked.get("filters"), looked.get("superstimuli")
    found = {}
    for layer, channels in gone.items():
        pictures = np.full((len(channels), SIDE, 2 * SIDE, 3), 255, np.uint8)
        for number, channel in enumerate(channels):
            if filters is not None and layer in filters.pixels:
                pictures[number, :, :SIDE] = square(filters.pixels[layer][channel], SIDE)
            if grown is not None and layer in grown.units and channel in grown.units[layer]:
                place = int(np.flatnonzero(grown.units[layer] == channel)[0])
                picture = coloured(grown.pictures[layer][place][None])[0]
                pictures[number, :, SIDE:] = square(picture, SIDE)
        found[layer] = pictures
    return found
