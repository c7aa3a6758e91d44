"""The classes of a network that classifies whole images: where their logits are, and what they are called."""

from ..checks import known
from ..errors import NotApplicable, UnknownName, UsageError
from .model import Model
from .recording.addresses import Address
from .specimen import Specimen

SOFTMAX = frozenset(("Softmax", "softmax", "LogSoftmax", "log_softmax"))
LISTED = 4  # classes of one name


def logits_address(model: Model) -> Address:
    """Where a row of logits an image is: the output, or what a softmax at the end is given.

    Raises: NotApplicable if the network gives no row of classes.
    """
    output = model.sites[model.sites.output]
    if not Specimen(model=model).classes:
        shape = " x ".join(map(str, output.shape)) or "one number"
        raise NotApplicable(
            f"{model.name} gives no row of classes for an image, but {shape} (at {output.name})",
            "A class is one number of the row that a classifier gives", "Explain a unit, SITE:CHANNEL, by occlusion",
        )  # fmt: skip
    return Address(output.name, inputs=output.operation in SOFTMAX)


def logits_site(model: Model) -> str:
    """The site that gives the logits: where a softmax at the end takes its input from, if a site gives it.

    Raises: NotApplicable if the network gives no row of classes.
    """
    address = logits_address(model)
    output = model.sites[address.site]
    givers = [name for name in output.inputs if model.sites[name].shape == output.shape] if address.inputs else []
    return givers[0] if givers else output.name


def class_number(model: Model, given: str | int) -> int:
    """The class that a number, or a name in any case of its letters, means.

    Raises: NotApplicable without classes; UnknownName; UsageError if several classes have that name.
    """
    count = model.sites[logits_address(model).site].shape[0]
    text = str(given)
    if text.isdigit():
        if int(text) < count:
            return int(text)
        raise UnknownName(f"Class {text} of {model.name} does not exist", f"Its classes are 0 to {count - 1}",
                          "Classes count from 0: give one of them")  # fmt: skip
    names = Specimen(model=model).class_names
    found = [place for place, name in enumerate(names) if name == text]
    found = found or [place for place, name in enumerate(names) if name.lower() == text.lower()]
    if not found:
        known("Class", text, names, "A class is a name, or a number counted from 0")
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} classes are called {text!r}: {', '.join(map(str, found[:LISTED]))}",
            "A name has to mean one class", "Give its number",
        )  # fmt: skip
    return found[0]


def class_words(model: Model, number: int) -> str:
    """A class as people read it: `tench (class 0)`, or `class 0` where names are unknown."""
    name = Specimen(model=model).class_names[number]
    return f"class {number}" if name == str(number) else f"{name} (class {number})"
