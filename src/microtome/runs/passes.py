"""Serve passes: those that agree share one walk over the images, and what is known is not measured again."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..analysis import Pass
from ..checks import known
from ..errors import UsageError
from ..network.open import Model
from ..network.recording.addresses import Address
from ..network.recording.edits import Edit
from ..network.recording.measure import Loss
from ..network.recording.recorder import Probe
from ..network.specimen import Specimen
from ..progress import Progress
from ..statistics.statistic import Arrays
from .answers import Answers, Share
from .walk import How, Walk


class Passes:
    """Serves the passes of a stage."""

    def __init__(self, specimen: Specimen, answers: Answers, how: How, progress: Progress) -> None:
        self.specimen, self.answers, self.how, self.progress = specimen, answers, how, progress
        self.walked = 0  # forward passes over the images
        self.seconds: dict[str, float] = {}

    def serve(self, requests: Mapping[str, Pass], share: Share | None) -> tuple[dict[str, Any], list[str]]:
        """The answers by analysis, and what is still missing; without a share nothing is measured."""
        # every address is resolved before any compute, so that a typo costs nothing
        wanted = {name: _probes(request, self._model(request.model)) for name, request in requests.items()}
        groups: dict[Any, list[str]] = {}
        for name, request in requests.items():
            model, under, loss = request.group
            edits = tuple(edit.on(self._model(model).sites) for edit in under)
            groups.setdefault((model, edits, loss), []).append(name)
        answers: dict[str, Any] = {}
        missing: list[str] = []
        for (model, edits, loss), names in groups.items():
            started = time.perf_counter()
            walk = self._walk(model, edits, loss, ", ".join(names))
            probes = list(dict.fromkeys(probe for name in names for probe in wanted[name].values()))
            states, still = walk.states({probe.key: probe for probe in probes}, share)
            self.walked += walk.measured
            missing += still
            if not still:
                answers |= {name: _arrange(requests[name], wanted[name], states) for name in names}
            for name in names:
                self.seconds[name] = self.seconds.get(name, 0.0) + (time.perf_counter() - started) / len(names)
        return answers, missing

    def _walk(self, model: str, edits: Sequence[Edit], loss: Loss | None, names: str) -> Walk:
        self.specimen.need_images(names)
        images = self.specimen.images_for(model)
        assert images is not None
        if loss is not None and not self.specimen.labelled:
            raise UsageError(f"{names} asks for a loss", "A loss needs labelled images", "Give labelled images")
        return Walk(self._model(model), images, edits, loss, names, self.answers, self.how, self.progress)

    def _model(self, name: str) -> Model:
        if not name:
            return self.specimen.model
        return self.specimen.others[known("Model", name, self.specimen.others, "The specimen holds models by name")]


Place = tuple[str, str]  # name of the measure, label of the site


def _probes(request: Pass, model: Model) -> dict[Place, Probe]:
    """Every statistic that a pass asks for, with its addresses resolved."""
    resolve: Callable[[str], Address] = model.sites.address
    probes = {}
    for name, wish in request.measures.items():
        for label, where in wish.where.items():
            probes[name, label] = Probe(tuple(resolve(text) for text in where), wish.statistic)
    return probes


def _arrange(request: Pass, wanted: Mapping[Place, Probe], states: Mapping[str, Arrays]) -> dict[str, Any]:
    """The answers to one pass, in the shape in which it was asked."""
    answers: dict[str, Any] = {}
    for name, wish in request.measures.items():
        by_label = {label: _computed(wanted[name, label], states) for label in wish.where}
        answers[name] = by_label[""] if wish.single else by_label
    return answers


def _computed(probe: Probe, states: Mapping[str, Arrays]) -> Any:
    accumulator = probe.statistic.start()
    accumulator.load(states[probe.key])
    return accumulator.compute()
