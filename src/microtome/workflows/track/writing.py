"""The run of a training that was followed: its last network, looked at, and its history."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from ...analyses import Registry
from ...analyses.history import History, HistoryResult
from ...analysis import Analysis
from ...network.recording.measure import automatic_batch
from ...network.specimen import Specimen
from ...runs.plan import Plan
from ...runs.run import FORMAT, Run, fingerprints, write_run
from ...runs.runner import Outcome
from ...store import write_json


def write_tracked(
    folder: Path, specimen: Specimen, outcome: Outcome, history: HistoryResult, available: Registry,
    analyses: Sequence[Analysis], batch_size: int | None,
) -> Run:  # fmt: skip
    """Write a run of the last network with what its last snapshot found and the history of all.

    A plan is written with it, so that `mt.look` can ask the last network more.
    """
    settings = {analysis.name: analysis.key for analysis in (History(), *analyses)}
    first = next(specimen.model.module.parameters(), None)
    how = {
        "looked_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "took": round(history.spent, 1),
        "device": str(first.device) if first is not None else "cpu",
        "batch_size": batch_size or automatic_batch(specimen.sites),
        "settings": settings,
        "command": shlex.join(["microtome", *sys.argv[1:]]) if Path(sys.argv[0]).name == "microtome" else "",
    }
    (folder / "run.json").unlink(missing_ok=True)  # of an earlier end of the same training
    plan = Plan(fingerprints=fingerprints(specimen), settings=settings)
    write_json(folder / "plan.json", {"format": FORMAT, **asdict(plan)})
    return write_run(
        folder, specimen, replace(outcome, results={"history": history, **outcome.results}), available, how
    )
