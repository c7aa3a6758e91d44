"""The rectifiers of a network, modules and functions alike, by kind."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..recording.sites import Sites
from ..recording.witness import Step
from ..remarks import Remark, counted

# Every kind by the module's class and by the names of the functions that do the same.
KINDS: dict[str, tuple[str, ...]] = {
    "ReLU": ("relu", "relu_"),
    "ReLU6": ("relu6", "relu6_"),
    "LeakyReLU": ("leaky_relu", "leaky_relu_"),
    "PReLU": ("prelu",),
    "RReLU": ("rrelu", "rrelu_"),
    "ELU": ("elu", "elu_"),
    "CELU": ("celu", "celu_"),
    "SELU": ("selu", "selu_"),
    "GELU": ("gelu",),
    "SiLU": ("silu", "silu_"),
    "Mish": ("mish", "mish_"),
    "Hardswish": ("hardswish", "hardswish_"),
    "Hardtanh": ("hardtanh", "hardtanh_"),
    "Softplus": ("softplus",),
    "Threshold": ("threshold", "_threshold", "threshold_"),
    "clamp": ("clamp", "clamp_", "clamp_min", "clamp_min_"),  # a ReLU if its lower end is 0
}
KIND_OF = {name: kind for kind, functions in KINDS.items() for name in (kind, *functions)}
WITH_RULE = frozenset(("ReLU", "ReLU6", "LeakyReLU"))  # for which the deconvnet's backward pass is defined

ONE_SIDED = frozenset(("Hardtanh", "Threshold", "clamp"))  # they have one where their lower end is 0


@dataclass(frozen=True, kw_only=True)
class Rectifier:
    """One rectifier at work: where, of which kind, as a module or a function, and whether it overwrites its input."""

    site: str
    kind: str
    module: bool
    in_place: bool

    @property
    def has_rule(self) -> bool:
        """Whether a deconvnet knows how to go back through it."""
        return self.kind in WITH_RULE


def find_rectifiers(sites: Sites, steps: Iterable[Step]) -> list[Rectifier]:
    """Every rectifier in the order in which they run; `steps` are those of a pass with the same calls as `sites`."""
    return [
        Rectifier(site=site.name, kind=KIND_OF[site.operation], module=site.call.leaf, in_place=step.in_place)
        for site, step in zip(sites.values(), steps, strict=True)
        if site.operation in KIND_OF
    ]


def without_rule(sites: Sites) -> list[str]:
    """The kinds of rectifiers of a network for which the deconvnet's way back is not defined, in alphabetic order."""
    kinds = {KIND_OF[site.operation] for site in sites.values() if site.operation in KIND_OF}
    return sorted(kinds - WITH_RULE - ONE_SIDED)


def remark_rectifiers(found: list[Rectifier]) -> Remark:
    """How many there are of each kind, and how many have a deconvnet rule."""
    if not found:
        return Remark(name="rectifiers", sentence="No rectifier was found", number=0, level="note")
    parts = []
    for kind, count in Counter(each.kind for each in found).items():
        of_kind = [each for each in found if each.kind == kind]
        modules, in_place = sum(each.module for each in of_kind), sum(each.in_place for each in of_kind)
        parts.append(f"{count} {kind} ({modules} modules, {count - modules} functions; {in_place} in place)")
    ruled = sum(each.has_rule for each in found)
    return Remark(
        name="rectifiers", number=len(found), level="fine" if ruled == len(found) else "note",
        sentence=f"{counted(len(found), 'rectifier')}: {', '.join(parts)}; {ruled} of {len(found)} have a deconvnet "
        "rule (ReLU, ReLU6 and LeakyReLU)", places=tuple(each.site for each in found),
    )  # fmt: skip
