"""The first layers of all networks on one set of axes: profiles, how the formula fits them, and how they whiten."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....formulas.profile_fit import PEAK, Fit, Null, fit_profile, null_of_fits, s_interval
from ....formulas.spectrum import Basis
from ....formulas.whitening import effective_rank, whitening
from .architectures import DEEP, MIDDLE, RESIDUAL, SHALLOW
from .learning import first_seed
from .pairs import Bank, alike, bank_of, between, chance, within
from .settings import NOTHING, OWN, RANDOM, TRUE
from .trainings import Learnt

RAW, MOVED = "raw", "moved"  # the weights themselves, and less what they began with
QUANTILES = (0.5, 0.95, 0.99)


def chosen(
    learnt: Sequence[Learnt], network: str, labels: str = TRUE, fixed: str = NOTHING, data: str = OWN
) -> list[Learnt]:
    """The networks of one kind, by seed."""
    wanted = (network, labels, fixed, data)
    return [net for net in learnt if (net.job.network, net.job.labels, net.job.fixed, net.job.data) == wanted]


def free(learnt: Sequence[Learnt]) -> list[Learnt]:
    """The networks whose first layer has learnt, on the data set of all."""
    return [net for net in learnt if net.job.fixed == NOTHING and net.job.data == OWN]


def banks(nets: Sequence[Learnt], basis: Basis, kind: str) -> list[Bank]:
    """The last filters of networks on the axes."""
    return [
        bank_of(net.job.name, net.raw() if kind == RAW else net.moved(), basis, first_seed(net.job)) for net in nets
    ]


def measure_profiles(learnt: Sequence[Learnt], basis: Basis, draws: int, seed: int) -> dict[str, Any]:
    """Every network by itself, and pairs of them."""
    nets = free(learnt)
    counts = sorted({net.bank.shape[1] for net in nets})
    nulls = {count: null_of_fits(count, basis.variance, draws, seed) for count in counts}
    return {
        "variance": basis.variance, "rank": basis.rank,
        "null": {str(count): [null.quantile(share) for share in QUANTILES] for count, null in nulls.items()},
        "nets": [by_itself(net, basis, nulls[net.bank.shape[1]]) for net in nets],
        "pairs": {kind: _pairs(learnt, basis, kind) for kind in (RAW, MOVED)},
        "begun": _begun(nets, basis),
        "chance": {f"{one} {other}": chance((one, other), basis.rank, draws, seed)
                   for one in counts for other in counts if one <= other},
    }  # fmt: skip


def by_itself(net: Learnt, basis: Basis, null: Null) -> dict[str, Any]:
    """One network: its profiles and the fits to them after each of its moments.

    Shapes of what comes back, by raw and moved: energy (S, D); r, s, r_deviation, r_rest, r2, whitened (S,), NaN for
    weights that have not moved. rank_out, above, below (S,): how raw filters whiten.
    """
    found: dict[str, Any] = {"name": net.job.name, "network": net.job.network, "labels": net.job.labels,
                             "seed": net.job.seed, "filters": net.bank.shape[1], "steps": net.steps, "loss": net.loss,
                             "training": net.training, "right": float(net.right.mean())}  # fmt: skip
    for kind in (RAW, MOVED):
        weights = [net.raw(moment) if kind == RAW else net.moved(moment) for moment in range(len(net.steps))]
        of = [bank_of("", each, basis) for each in weights]
        fits = [fit_profile(bank.energy, basis.variance) if bank.squares.any() else None for bank in of]
        found[kind] = {
            "energy": np.stack([bank.energy for bank in of]),
            **{name: np.array([np.nan if fit is None else getattr(fit, name) for fit in fits])
               for name in ("r", "s", "r_deviation", "r_rest", "r2", "whitened")},
            "p": null.p_value(_last(fits).r), "s_interval": list(s_interval(of[-1].squares, basis.variance)),
            "predicted": _last(fits).predicted, "edge": _last(fits).edge, "early": _last(fits).early,
        }  # fmt: skip
    found |= _whitens(net, basis, found[RAW]["energy"], found[MOVED]["s"])
    found["movement"] = np.array([np.linalg.norm(net.moved(m)) for m in range(len(net.steps))]) / np.linalg.norm(
        net.raw(0))  # fmt: skip
    return found


def _last(fits: Sequence[Fit | None]) -> Fit:
    """The fit at the end, where every network that learns has moved."""
    (fit,) = fits[-1:]
    assert fit is not None
    return fit


def _whitens(net: Learnt, basis: Basis, energy: np.ndarray, s: np.ndarray) -> dict[str, Any]:
    """How evenly the answers of the raw filters are spread, at each moment, and the slopes on both sides of the top."""
    top = np.where(np.isnan(s), np.nan, PEAK / np.where(np.isnan(s), 1.0, s))
    last = top[-1]
    each = [whitening(energies, basis.variance, last) for energies in energy]
    moved = whitening(bank_of("", net.moved(), basis).energy, basis.variance, last)
    first, end = (bank_of("", weights, basis).again(0) for weights in (net.raw(0), net.raw()))  # the same filters
    gained = [effective_rank(basis.variance * after**2) - effective_rank(basis.variance * before**2)
              for before, after in zip(first, end, strict=True)]  # fmt: skip
    return {"rank_in": each[0].rank_in, "rank_out": np.array([of.rank_out for of in each]), "top": top,
            "gained": [float(end_) for end_ in np.quantile(gained, (0.025, 0.975))],
            "above": np.array([of.slope_above for of in each]), "below": np.array([of.slope_below for of in each]),
            "moved_above": moved.slope_above, "moved_below": moved.slope_below}  # fmt: skip


def _pairs(learnt: Sequence[Learnt], basis: Basis, kind: str) -> dict[str, Any]:
    """Every comparison that a claim is about, by name."""

    def of(network: str, labels: str = TRUE) -> list[Bank]:
        return banks(chosen(learnt, network, labels), basis, kind)

    deep, other, random = of(DEEP), of(RESIDUAL), of(DEEP, RANDOM)
    groups = {
        "seeds": within(deep), "seeds residual": within(other), "seeds random": within(random),
        "residual": between(deep, other), "depth": between(deep, [*of(MIDDLE), *of(SHALLOW)]),
        "labels": between(deep, random), "labels residual": between(other, of(RESIDUAL, RANDOM)),
    }  # fmt: skip
    return {name: alike(pairs, basis.rank) for name, pairs in groups.items()}


def _begun(nets: Sequence[Learnt], basis: Basis) -> dict[str, Any]:
    """Raw profiles beside those that the same networks began with, by labels, and beginnings beside each other."""
    found: dict[str, Any] = {}
    for labels in (TRUE, RANDOM):
        pairs = [(bank_of(f"{net.job.name} begun", net.raw(0), basis), bank_of(net.job.name, net.raw(), basis))
                 for net in nets if net.job.labels == labels]  # fmt: skip
        found[labels] = alike(pairs, basis.rank)
    deep = [net for net in nets if net.job.network == DEEP]
    return found | {"each other": alike(within([bank_of(net.job.name, net.raw(0), basis) for net in deep]), basis.rank)}
