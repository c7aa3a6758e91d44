"""Two networks of one specimen: which is the other, whether their answers mean the same, which layers they share."""

import re

from ..errors import BadModel, NotApplicable
from .model import Model
from .specimen import Specimen

OTHER = "B"  # what the second network is called, where it was given no name
FURTHER = "CDEFGHIJKLMNOPQRSTUVWXYZ"  # and what those beside it are called
CODE = re.compile(r"n?\d+")  # a class's number, or its WordNet id: no name that could be another one's


def other_of(specimen: Specimen) -> str:
    """The name of the other network: the only one, or B.

    Raises: NotApplicable if there is none, or if none of several is B.
    """
    if OTHER in specimen.others:
        return OTHER
    if len(specimen.others) != 1:
        beside = f"beside {', '.join(specimen.others)}" if specimen.others else "by itself"
        raise NotApplicable(
            f"{specimen.model.name} is looked at {beside}", "Compared are two networks, on the same images",
            "Compare with `microtome compare A B --images IMAGES`",
        )  # fmt: skip
    return next(iter(specimen.others))


def need_same_classes(specimen: Specimen) -> None:
    """Make sure that both networks answer with the same classes in the same order.

    Raises: NotApplicable if one gives no row of classes, or if the classes differ.
    """
    other = specimen.beside(other_of(specimen))
    specimen.need_classes()
    other.need_classes()
    allowed = "Answers are compared class by class, so both networks need the same classes in the same order"
    if specimen.classes != other.classes:
        raise NotApplicable(
            f"A ({specimen.model.name}) has {specimen.classes:,} classes and B ({other.model.name}) {other.classes:,}",
            allowed, "Give two networks for the same task",
        )  # fmt: skip
    mine, theirs = _spoken(specimen.model), _spoken(other.model)
    differ = [place for place, (one, two) in enumerate(zip(mine, theirs, strict=False)) if one != two]
    if differ:
        names = specimen.model.class_names, other.model.class_names
        raise NotApplicable(
            f"Class {differ[0]} is {names[0][differ[0]]!r} to A ({specimen.model.name}) and {names[1][differ[0]]!r} to "
            f"B ({other.model.name}), and {len(differ):,} of {specimen.classes:,} classes differ",
            allowed, "Give two networks for the same task, or, if only names differ, the same class_names to both",
        )  # fmt: skip


def refuse_other_classes(specimen: Specimen) -> None:
    """The same before anything is looked at.

    Raises: BadModel where `need_same_classes` raises NotApplicable.
    """
    try:
        need_same_classes(specimen)
    except NotApplicable as error:
        raise BadModel(error.given, error.allowed, error.next_step) from error


def _spoken(model: Model) -> tuple[str, ...]:
    """Names of classes as one would say them; none where there are none."""
    names = tuple(" ".join(name.casefold().replace("_", " ").split()) for name in model.class_names)
    return () if all(CODE.fullmatch(name) for name in names) else names


def shared_layers(specimen: Specimen) -> dict[str, bool]:
    """Layers whose units are read image by image in both networks, by name; whether their positions correspond.

    They do if both networks are given the same pictures and the units are read on maps of the same extent.
    Raises: NotApplicable if no name is there in both.
    """
    other = specimen.beside(other_of(specimen))
    mine, theirs = specimen.reading(), other.reading()
    same = specimen.images is other.images
    found = {
        layer: same and specimen.sites[mine[layer]].extent == other.sites[theirs[layer]].extent
        for layer in mine if layer in theirs
    }  # fmt: skip
    if not found:
        raise NotApplicable(
            f"No layer of {specimen.model.name} ({', '.join(list(mine)[:3])}, ...) has the name of one of "
            f"{other.model.name} ({', '.join(list(theirs)[:3])}, ...)",
            "Units are matched layer by layer, between layers of the same name",
            "Compare networks of one architecture, or a network with its pruned copy",
        )  # fmt: skip
    return found
