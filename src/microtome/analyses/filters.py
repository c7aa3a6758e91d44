"""What the weights of each unit look like, and which are copies of each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Limit, Result, Steps
from ..cards import Card, Column, Finding, Pictures, Table, Units, card_link, layer_link, ranked
from ..errors import NotApplicable
from ..figures import folded, new_figure, sheet, signed_to_colour, signed_to_rgb
from ..formulas.correlation import cosine_matrix, nearest
from ..network.specimen import Specimen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DUPLICATE = 0.95  # cosine from which two kernels are called near-duplicates
NEIGHBOURS = 4  # nearest kernels shown
FOLD = 16  # numbers a line for weights without spatial extent
LARGEST_COLUMN = 4096  # units; the cosine of all pairs of a larger layer would take too much memory

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class FiltersResult(Result):
    """Everything by layer.

    Shapes, U the layer's units: pixels (U, h, w, 3) uint8 picture of each unit's weights; kind how it was made; norm
    (U,) Euclidean; partner and cosine (U, 4) of the nearest other kernels; null one number a layer, the largest cosine
    among random kernels of the same shape; explained one number a layer, share of energy in the three colours.
    """

    pixels: ByLayer
    kind: dict[str, str]
    norm: ByLayer
    partner: ByLayer
    cosine: ByLayer
    null: dict[str, float]
    explained: dict[str, float]

    def findings(self) -> list[Finding]:
        compared = {k: v for k, v in self.cosine.items() if not np.isnan(self.null[k])}  # the others are too large
        if not compared:
            return []
        counts = {k: int((v[:, 0] > max(DUPLICATE, self.null[k])).sum()) for k, v in compared.items()}
        total, most = sum(counts.values()), max(counts, key=lambda layer: counts[layer])
        units = sum(len(v) for v in compared.values())
        control = f"random kernels of these shapes reach {max(self.null[k] for k in compared):.2f} at most"
        if not total:
            return [Finding(sentence=f"No kernel is a near-duplicate of another (cosine > {DUPLICATE})", number=0,
                            weight=0.05, link=card_link("Weights by layer"), control=control)]  # fmt: skip
        return [Finding(
            sentence=f"{total:,} of {units:,} kernels are near-duplicates (cosine > {DUPLICATE}), {counts[most]:,} of "
            f"them in {most}", number=total, weight=min(0.85, 0.3 + total / units), control=control,
            link=layer_link(most, "sort=cosine"),
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        return [
            Column(name="norm", values=self.norm, how_to_read="Euclidean norm of the unit's weights."),
            Column(name="cosine", values={k: v[:, 0] for k, v in self.cosine.items()}, good="low",
                   how_to_read="Cosine with the nearest other kernel of the layer."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple(
            (k, len(v), f"{np.median(v):.3g}", f"{np.quantile(self.cosine[k][:, 0], 0.9):.2f}", f"{self.null[k]:.2f}")
            for k, v in self.norm.items()
        )
        cards = [Card(
            title="Weights by layer",
            how_to_read="Norm of the kernels, and how close the closest pairs are: a nine-in-ten cosine far above the "
                        "last column means copies.",
            content=Table(header=("layer", "units", "norm (median)", "nearest cosine (90% point)", "random kernels"),
                          rows=rows, links=tuple(layer_link(k) for k in self.norm)),
            control="Last column: the largest cosine among random kernels of the same number and shape.",
        )]  # fmt: skip
        for layer, pixels in self.pixels.items():
            cards += self._layer_cards(layer, pixels)
        return cards

    def _layer_cards(self, layer: str, pixels: np.ndarray) -> list[Card]:
        how = self.kind[layer]
        return [
            Card(title="Kernels", layer=layer, how_to_read=f"All units in order. {how}",
                 content=Pictures(pixels=sheet(pixels, columns=max(8, int(np.sqrt(len(pixels) * 2))))[None])),
            Card(title="Norms", layer=layer, how_to_read="Units in order of the norm of their weights.",
                 content=ranked(self.norm[layer], "norm", "norm")),
            Card(title="Its weights", layer=layer, per_unit=True, section="made of", telling=1, how_to_read=how,
                 content=Pictures(pixels=pixels[:, None])),
            Card(title="Nearest kernel", layer=layer, per_unit=True, section="made of",
                 how_to_read="The units of this layer whose weights point in the most similar directions.",
                 content=Units(layer=layer, unit=self.partner[layer], value=self.cosine[layer],
                               value_label="cos"),
                 control=f"Among random kernels of this number and shape the largest is {self.null[layer]:.2f}."),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """The kernels of the first layer."""
        layer = next(iter(self.pixels))
        figure = new_figure(size=(6, 4))
        picture = sheet(self.pixels[layer], columns=max(8, int(np.sqrt(len(self.pixels[layer]) * 2))))
        figure.axes[0].imshow(picture, interpolation="nearest")
        figure.axes[0].set(title=layer, xticks=[], yticks=[])
        return figure


@dataclass(frozen=True, kw_only=True)
class Filters(Analysis):
    """What do the weights of each unit look like, and which are copies of each other?"""

    topic = "well"
    result = FiltersResult

    def check(self, specimen: Specimen) -> None:
        if not specimen.layers:
            raise NotApplicable(f"{specimen.model.name} has no layers", "Layers are convolutions and linear layers",
                                "Give a network that has some")  # fmt: skip

    def limits(self, specimen: Specimen) -> list[Limit]:
        large = [layer.name for layer in specimen.layers if layer.units > LARGEST_COLUMN]
        flat = all(specimen.model.weight(layer.name)[0, 0].numel() == 1 for layer in specimen.layers)
        found = []
        if large:
            found.append(Limit(
                f"{len(large)} of {len(specimen.layers)} layers have more than {LARGEST_COLUMN:,} units and are not "
                f"searched for copies: {', '.join(large[:3])}", "twins finds units that do the same by their responses",
            ))  # fmt: skip
        if flat:
            found.append(Limit("no layer has spatial extent: weights are shown as rows of squares, not as filters",
                               "activity shows what the units respond to"))  # fmt: skip
        return found

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        out: dict[str, dict[str, object]] = {}
        random = np.random.default_rng(specimen.seed)
        for site in specimen.layers:
            weight = specimen.model.weight(site.name).float().cpu().numpy()
            pixels, kind, explained = kernel_pictures(weight)
            flat = weight.reshape(len(weight), -1)
            partner, cosine, null = _nearest(flat, random)
            out[site.name] = {
                "pixels": pixels, "kind": kind, "explained": explained, "norm": np.linalg.norm(flat, axis=1),
                "partner": partner, "cosine": cosine, "null": null,
            }  # fmt: skip
        names = ("pixels", "kind", "norm", "partner", "cosine", "null", "explained")
        return FiltersResult(**{name: {layer: got[name] for layer, got in out.items()} for name in names})  # type: ignore[arg-type]


def kernel_pictures(weight: np.ndarray) -> tuple[np.ndarray, str, float]:
    """A picture of every unit's weights, how to read it, and the share of energy that it shows.

    Shapes: weight (U, C, rows, columns) or (U, n) -> (U, h, w, 3) uint8.
    """
    if weight.ndim == 4 and weight.shape[1] == 3 and weight[0, 0].size > 1:
        return signed_to_rgb(weight), "In colour, 0 is middle grey; every unit has its own scale.", 1.0
    if weight.ndim == 4 and weight.shape[1] == 1:
        return signed_to_colour(weight[:, 0]), "Blue is negative, orange positive, one scale a unit.", 1.0
    if weight.ndim == 4 and weight[0, 0].size > 1:
        maps, explained = three_factors(weight)
        return (
            signed_to_rgb(maps),
            (
                "Weights from all channels below, reduced to the layer's three main mixtures (principal components "
                f"shown as red, green, blue; 0 is grey); they hold {explained:.0%} of the weights' energy."
            ),
            explained,
        )
    flat = weight.reshape(len(weight), -1)
    width = min(FOLD, flat.shape[1])
    text = f"One square a channel below, in lines of {width}; blue negative, orange positive, one scale a unit."
    return signed_to_colour(folded(flat, width)), text, 1.0


def three_factors(weight: np.ndarray) -> tuple[np.ndarray, float]:
    """The spatial maps of a layer's three main mixtures of input channels, and their share of the energy.

    Shapes: weight (U, C, rows, columns) -> (U, 3, rows, columns). The sign of each mixture makes its sum positive.
    Reference: after Voss et al., Visualizing Weights (Distill, 2021), with principal components instead of NMF.
    """
    units, channels, rows, columns = weight.shape
    table = weight.transpose(0, 2, 3, 1).reshape(-1, channels).astype(np.float64)  # (U * rows * columns, C)
    values, vectors = np.linalg.eigh(table.T @ table)
    main = vectors[:, ::-1][:, :3]
    main = main * np.where(main.sum(0) < 0, -1.0, 1.0)
    maps = np.zeros((units, 3, rows, columns))
    maps[:, : main.shape[1]] = (table @ main).reshape(units, rows, columns, -1).transpose(0, 3, 1, 2)
    total = float(values.sum())
    return maps, float(values[::-1][:3].sum() / total) if total > 0 else 1.0


def _nearest(flat: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    if len(flat) > LARGEST_COLUMN:
        return np.full((len(flat), 1), -1), np.full((len(flat), 1), np.nan), float("nan")
    partner, cosine = nearest(cosine_matrix(flat), NEIGHBOURS)
    chance = nearest(cosine_matrix(random.standard_normal(flat.shape).astype(np.float32)))[1]
    return partner, cosine, float(chance.max(initial=0.0))
