"""`microtome demo`: nothing is needed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import Json, Quiet, print_json, progress_on, say_findings


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("microtome-demo"),
    images: Annotated[str, typer.Option(help="digits (comes with scikit-learn) or mnist:DIR.")] = "digits",
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    seeds: Annotated[
        int, typer.Option(help="Train so often, from different seeds, to see how much the accuracy varies.")
    ] = 1,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a small CNN on real digits, look at it, write a report. Nothing is needed."""
    from ..workflows.demo import demo as run_demo

    made = run_demo(out, images=images, seed=seed, seeds=seeds, progress=progress_on(quiet))
    low, high = made.trained.interval
    if json_:
        print_json({"run": str(out), "report": str(made.page), "images": images, "seed": seed,
                     "held_out": len(made.trained.held_out), "accuracy": made.trained.accuracy,
                     "interval": [low, high], "accuracies": made.accuracies.tolist(),
                     "findings": [vars(f) for r in made.run.results.values() for f in r.findings()]})  # fmt: skip
        return
    typer.echo(f"Trained {made.trained.model.name} on {images}; asked {len(made.run.names)} questions about it:")
    say_findings(made.run)
    typer.echo(f"Held-out accuracy {made.trained.accuracy:.2%} [{low:.2%}, {high:.2%}] on "
               f"{len(made.trained.held_out):,} images (95% interval over images, seed {seed})")  # fmt: skip
    if seeds > 1:
        mean, half = _mean_and_half(made.accuracies)
        typer.echo(f"Mean of {seeds} seeds: {mean:.2%} +- {half:.2%} (95% interval of the mean, t distribution)")
    typer.echo(f"Report: {made.page}")


def _mean_and_half(values: Any) -> tuple[float, float]:
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(half)
