"""Write a run as a folder of pages: index.html, one style sheet, one script, and data a file per layer.

A page opened from disk may not fetch, so data are wrapped as scripts that hand themselves to the page.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

from ..analysis import Analysis, Result
from ..cards import TOPICS, Card, Column, Finding
from ..errors import BadRun
from ..runs.run import Run
from ..store import write_bytes
from .encode import encode_card, encode_column

# Joined in this order into one script.
SCRIPTS = (
    "data",
    "format",
    "pictures",
    "charts",
    "folds",
    "sheets",
    "rows",
    "circuit",
    "cards",
    "network",
    "layer",
    "unit",
    "main",
)

FIRST = 6  # findings that the first page shows unasked


def build_report(run: Run, out: Path) -> Path:
    """Write the pages of a run into `out` and return the path of index.html."""
    results = run.results
    layers = [layer["name"] for layer in run.info["layers"]]
    said = {name: _said(run, name, result) for name, result in results.items()}
    cards = [card for one in said.values() for card in one.cards]
    findings = sorted((finding for one in said.values() for finding in one.findings), key=lambda f: -f.weight)
    if out.resolve() != run.folder.resolve() and (run.folder / "images").exists():
        shutil.copytree(run.folder / "images", out / "images", dirs_exist_ok=True)
    data = out / "data"
    network = {
        "info": run.info,
        "images": run.image_index,
        "columns": [encode_column(column, layers) for one in said.values() for column in one.columns],
        "topics": _topics(run, said, data),
    }
    _write_data(data / "network.js", "network", network)
    for place, layer in enumerate(layers):
        chosen = [encode_card(card, data / f"layer-{place}-{n}") | {"per_unit": card.per_unit}
                  for n, card in enumerate(_scoped(cards, layer))]  # fmt: skip
        _write_data(data / f"layer-{place}.js", f"layer-{place}", chosen)
    _write_assets(out / "assets")
    write_bytes(out / "index.html", _first_page(run, findings).encode())
    return out / "index.html"


@dataclass(frozen=True)
class _Said:
    """What one result has to say."""

    cards: list[Card]
    columns: list[Column]
    findings: list[Finding]


def _said(run: Run, name: str, result: Result) -> _Said:
    """Raises: BadRun if the arrays of the result do not belong together."""
    try:
        return _Said(result.cards(), result.columns(), result.findings())
    except Exception as error:
        raise BadRun(
            f"The result {name!r} of run {run.folder.name} cannot be shown ({type(error).__name__}: {error})",
            "Its arrays must be those that its analysis found", f"Look again with `--analyses {name}`",
        ) from error  # fmt: skip


def _topics(run: Run, said: dict[str, _Said], data: Path) -> list[dict[str, Any]]:
    """The questions that were asked, by topic: the weightiest answer to each, and its cards of the whole network."""
    asked: dict[str, list[dict[str, Any]]] = {topic: [] for topic in TOPICS}
    made = count()

    def ask(name: str, **answered: Any) -> None:
        analysis = run.registry[name]
        topic = analysis.topic if analysis.topic in asked else Analysis.topic
        asked[topic].append({"question": analysis.question, **answered})

    for name, one in said.items():
        cards = [encode_card(card, data / f"network-{next(made)}") for card in _scoped(one.cards, "")]
        answer = max(one.findings, key=lambda finding: finding.weight, default=None)
        ask(name, answer=answer.sentence if answer else "", cards=cards)
    for name, why in run.info["skipped"].items():
        if name in run.registry:
            ask(name, answer="Not answered.", cards=[], skipped=why)
    return [{"key": key, "title": TOPICS[key], "questions": asked[key]} for key in TOPICS if asked[key]]


def _scoped(cards: list[Card], layer: str) -> Iterator[Card]:
    return (card for card in cards if card.layer == layer)


def _write_data(path: Path, name: str, content: Any) -> None:
    text = json.dumps(content, separators=(",", ":"), default=str).replace("</", "<\\/")
    write_bytes(path, f"microtome.receive({json.dumps(name)}, {text});\n".encode())


def _write_assets(folder: Path) -> None:
    ours = resources.files("microtome.report") / "assets"
    joined = "\n".join((ours / f"{name}.js").read_text() for name in SCRIPTS)
    write_bytes(folder / "report.js", f"'use strict';\nconst microtome = {{}};\n{joined}".encode())
    write_bytes(folder / "report.css", (ours / "report.css").read_bytes())


def _first_page(run: Run, findings: list[Finding]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("microtome.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    info = run.info
    questions = {name: run.registry[name].question for name in run.names}
    return environment.get_template("index.html").render(info=info, findings=findings, questions=questions, shown=FIRST)
