"""What can be measured at a site. Knows tensors and images' places; knows no models."""

from .confusion import Confusion, Predictions
from .covariance import PatchCovariance, patches_of
from .energies import Energies, PairEnergies
from .extremes import Extremes
from .histogram import Histogram
from .importance import Taylor
from .maps import Maps
from .mean_map import MeanMap
from .moments import ClassMeans, Firing, Moments
from .patch_bank import PatchBank
from .patches import Patches
from .quantiles import Quantiles
from .rows import Rows
from .statistic import Accumulator, Arrays, Batch, Statistic

__all__ = [
    "Accumulator",
    "Arrays",
    "Batch",
    "ClassMeans",
    "Confusion",
    "Energies",
    "Extremes",
    "Firing",
    "Histogram",
    "Maps",
    "MeanMap",
    "Moments",
    "PairEnergies",
    "PatchBank",
    "PatchCovariance",
    "Patches",
    "Predictions",
    "Quantiles",
    "Rows",
    "Statistic",
    "Taylor",
    "patches_of",
]
