"""The contract of an analysis: one question, asked in steps.

An analysis is a frozen dataclass of settings with one method, `steps(specimen)`: a generator that yields requests (a
`Pass` over the images, or independent `Jobs`), is sent their answers, and returns its `Result`. It has no side
effects and does nothing slow between requests, so that it can be run again from the top and fed stored answers.
"""

import dataclasses
import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from .cards import Card, Column, Finding, Series, Topic
from .errors import NotApplicable, UsageError
from .figures import through_layers
from .network.recording.edits import Edit
from .network.recording.measure import Loss
from .network.specimen import Specimen
from .statistics import Statistic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def setting(default: Any, *, help: str) -> Any:
    """A field of an analysis that users may set, with a sentence for `--help` and the reference page."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Measure:
    """A statistic at sites. `single` says that the answer is the one value instead of a dictionary by label."""

    where: Mapping[str, tuple[str, ...]]
    statistic: Statistic
    single: bool


def at(site: str | tuple[str, ...], statistic: Statistic) -> Measure:
    """Measure at one address (`SITE` or `SITE:in`), or at several together; the answer is the statistic's."""
    return Measure({"": (site,) if isinstance(site, str) else site}, statistic, True)


def each(sites: Iterable[str] | Mapping[str, str], statistic: Statistic) -> Measure:
    """Measure at many addresses, each by itself; the answer is a dictionary by label (the mapping's key)."""
    pairs = sites.items() if isinstance(sites, Mapping) else ((site, site) for site in sites)
    return Measure({label: (site,) for label, site in pairs}, statistic, False)


class Pass:
    """A request for statistics over all images; the answer is a dictionary with the names given here.

    `under` are Edits that hold during the pass; with a `loss` the statistics get activations and gradients; `model`
    names another model of the specimen.
    """

    def __init__(
        self,
        measures: Mapping[str, Measure] | None = None,
        *,
        under: Sequence[Edit] = (),
        loss: Loss | None = None,
        model: str = "",
        **named: Measure,
    ) -> None:
        self.under, self.loss, self.model = tuple(under), loss, model
        self.measures: dict[str, Measure] = {**(measures or {}), **named}

    @property
    def group(self) -> tuple[Any, ...]:
        """Passes with equal groups are served by one forward pass."""
        return (self.model, self.under, self.loss)


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """A request for independent pieces of work; the answer is a list, one entry an item.

    `function` takes a few items (at most `batch`) and returns as many answers, made of arrays, numbers and texts.
    `key` tells this work from other work of the analysis, so that answers are found again; `words` are what people
    read while it is done, the key where there are none.
    """

    key: str
    function: Callable[[Sequence[Any]], Sequence[Any]]
    items: tuple[Any, ...]
    batch: int = 1
    words: str = ""

    @property
    def title(self) -> str:
        """What is being done, for people."""
        return self.words or self.key


Request = Pass | Jobs


@dataclass(frozen=True, kw_only=True)
class Result(ABC):
    """Arrays, numbers and texts, and what they have to say. Fields may be nested in dictionaries and tuples."""

    def findings(self) -> list[Finding]:
        """Sentences for the first page."""
        return []

    def columns(self) -> list[Column]:
        """One value a unit each."""
        return []

    @abstractmethod
    def cards(self) -> list[Card]:
        """Everything there is to look at."""

    def series(self) -> list[Series]:
        """What is followed while a network learns; by default its columns, or the number of its first finding."""
        found = [Series.of(column) for column in self.columns() if column.kind != "text"]
        first = self.findings()[:1]
        return found or [Series(name="finding", values={"number": float(one.number)},
                                how_to_read=f'The number in "{one.sentence}".') for one in first]  # fmt: skip

    def plot(self) -> "Figure":
        """The most telling picture, for papers and notebooks; by default the first column of numbers, by layer.

        Raises: UsageError if there is no such column.
        """
        column = next((column for column in self.columns() if column.kind != "text"), None)
        if column is None:
            raise UsageError(f"{type(self).__name__} has no column of numbers", "The picture that results have by "
                             "themselves is of one", "Give it a `plot` of its own")  # fmt: skip
        return through_layers(column.values, column.name)

    def to_state(self) -> dict[str, Any]:
        """The fields, as a tree of dictionaries, lists, arrays, numbers and texts."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The result whose fields these are."""
        return cls(**state)


Steps = Generator[Request, Any, Result] | Result


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How far an analysis holds for a specimen: in full, approximately or not at all; why, and what to do instead."""

    verdict: Literal["full", "approximate", "refused"]
    reason: str = ""
    instead: str = ""


def without(name: str, reason: str) -> str:
    """Why an analysis is skipped that needs the result of another, which is skipped for this reason."""
    return f"It needs the result of {name}, which was skipped: {reason}"


@dataclass(frozen=True)
class Limit:
    """Something that an analysis says only in part about a specimen, and what to do about it."""

    reason: str
    instead: str


def unread_layers(specimen: Specimen) -> list[Limit]:
    """The limit of every analysis that reads units image by image: layers in which images are mixed."""
    left_out = [layer.name for layer in specimen.layers if layer.name not in specimen.reading()]
    if not left_out:
        return []
    return [Limit(
        f"{len(left_out)} of {len(specimen.layers)} layers do not give one row an image and are left out: "
        f"{', '.join(left_out[:3])}" + (", ..." if len(left_out) > 3 else ""),
        "Look at the sites before them",
    )]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Analysis(ABC):
    """One question about a network.

    `name` is what users type: the class's, in small letters. `question` is the sentence that a curious reader would
    ask: the first line of the class's docstring. Either may be said otherwise. `result` is the class it returns.
    `topic` is the heading of the first page under which the question stands. One that is not `general` is for
    specimens of its own kind, and is asked by its name alone.
    """

    name: ClassVar[str]
    question: ClassVar[str] = ""
    result: ClassVar[type[Result]]
    requires: ClassVar[tuple[str, ...]] = ()
    topic: ClassVar[Topic] = "further"
    general: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        own = vars(cls)
        if "name" not in own:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        first = inspect.cleandoc(own.get("__doc__") or "").partition("\n")[0]
        if "question" not in own and first.endswith("?"):
            cls.question = first

    @abstractmethod
    def steps(self, specimen: Specimen) -> Steps:
        """Yield requests, return the result; an analysis of weights alone returns it at once.

        Raises: NotApplicable if nothing can be said about this specimen.
        """

    def check(self, specimen: Specimen) -> None:
        """Do nothing where `steps` has something to say, without its work: asked for its first request, if it has any.

        Raises: NotApplicable, as `steps` would.
        """
        if self.requires or not inspect.isgeneratorfunction(type(self).steps):
            return  # it would compute, or ask for results that are not there yet
        steps = self.steps(specimen)
        assert isinstance(steps, Generator)
        first = next(steps, None)
        steps.close()
        if isinstance(first, Pass):
            specimen.need_images(self.name)

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        """What holds only in part on a specimen on which `check` passes; by default nothing."""
        return ()

    def fit(self, specimen: Specimen) -> Fit:
        """How far this analysis holds for a specimen, told without running it."""
        try:
            self.check(specimen)
        except NotApplicable as error:
            return Fit(verdict="refused", reason=str(error), instead=error.next_step)
        limits = self.limits(specimen)
        if not limits:
            return Fit(verdict="full")
        return Fit(verdict="approximate", reason="; ".join(limit.reason for limit in limits),
                   instead="; ".join(dict.fromkeys(limit.instead for limit in limits)))  # fmt: skip

    @property
    def key(self) -> str:
        """Name and settings, the same in every process."""
        return f"{self.name}{json.dumps(dataclasses.asdict(self), sort_keys=True)}"
