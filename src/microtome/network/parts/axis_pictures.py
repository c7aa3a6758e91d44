"""Pictures of the axes that a first layer's input varies along, and of what its filters have in common with them."""

import numpy as np

from ...figures import as_pixels, new_figure, signed_to_colour, signed_to_rgb
from ...formulas.first_filters import FirstFilters
from ...formulas.patch_frequency import Order, frequency_response

SHOWN = 150  # axes: all of 7 x 7 in colour; those behind them are finer than one can see


def axis_pictures(of: FirstFilters, by: Order) -> tuple[np.ndarray, tuple[str, ...]]:
    """The axes as small pictures, grey where they are 0, and what each is. Shapes: -> (n, h, w, 3) uint8, n texts."""
    profile, axes = of.profile, of.components
    order = axes.order(by)[:SHOWN]
    patterns = of.basis.patterns[order]
    pixels = signed_to_rgb(patterns) if patterns.shape[1] == 3 else signed_to_colour(patterns.mean(1))
    whole = profile.energy @ profile.energy
    captions = [f"{k}: {of.basis.share[k]:.2g} of variance, {profile.energy[k] ** 2 / whole:.2g} of energy; "
                f"{axes.names[axes.colour[k]]}, {axes.frequency[k]:.2f}" for k in order]  # fmt: skip
    return pixels, tuple(captions)


def shares_picture(of: FirstFilters) -> np.ndarray:
    """Shares of each filter's energy along each axis, filters in order of their mean axis. Shapes: -> (H, W, 3)."""
    used = of.basis.rank
    figure = new_figure(size=(7.0, 3.6))
    axes = figure.axes[0]
    centre = np.nan_to_num(of.profile.centroid, nan=np.inf)
    drawn = axes.imshow(of.profile.shares[np.argsort(centre, kind="stable"), :used], aspect="auto", cmap="magma")
    axes.set(xlabel="principal axis", ylabel="filters, by mean axis")
    figure.colorbar(drawn, ax=axes, label="share of the filter's energy")
    return as_pixels(figure)


def spectrum_picture(of: FirstFilters) -> np.ndarray:
    """Energy of the filters by frequency, a panel for each axis of colour. Shapes: -> (H, W, 3) uint8."""
    spectra = frequency_response(of.filters, of.colours)
    figure = new_figure(1, len(spectra), size=(0.6 + 2.6 * len(spectra), 2.6))
    for axes, spectrum, name in zip(figure.axes, spectra, of.colours.names, strict=True):
        drawn = axes.imshow(spectrum, cmap="magma", extent=(-0.5, 0.5, 0.5, -0.5), vmin=0, vmax=spectra.max())
        axes.set(title=name, xlabel="cycles per pixel")
    figure.colorbar(drawn, ax=list(figure.axes), label="mean squared gain")
    return as_pixels(figure)
