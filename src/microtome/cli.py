"""The command line: words to settings, results to lines. No science."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .errors import MicrotomeError, UsageError
from .image_options import Classes, Decoders, Download, Source, Split, Strict, say_broken, say_images

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="A microscope for convolutional networks.")  # fmt: skip

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="torchvision:NAME or zoo:NAME, with weights torchvision:NAME@WEIGHTS")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file with an analysis of yours.")]
RunFolder = Annotated[Path | None, typer.Option("--out", "-o", help="The run's folder; default runs/MODEL-IMAGES.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="ANALYSIS.SETTING=VALUE, as often as you like.")]
Effort = Annotated[Literal["quick", "normal", "full"], typer.Option(help="How much work large analyses may do.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("microtome-demo"),
    images: Annotated[str, typer.Option(help="digits (comes with scikit-learn) or mnist:DIR.")] = "digits",
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    seeds: Annotated[int, typer.Option(help="Trainings, to say how much the accuracy varies.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Train a small CNN on real digits, look at it, write a report. Nothing is needed."""
    from .workflows.demo import demo as run_demo

    made = run_demo(out, images=images, seed=seed, seeds=seeds, progress=_progress(quiet))
    typer.echo(f"Trained {made.trained.model.name} on {images}; asked {len(made.run.names)} questions about it:")
    _say_findings(made.run)
    low, high = made.trained.interval
    typer.echo(f"Held-out accuracy {made.trained.accuracy:.2%} [{low:.2%}, {high:.2%}] on "
               f"{len(made.trained.held_out):,} images (95% interval over images, seed {seed})")  # fmt: skip
    if seeds > 1:
        mean, half = _mean_and_half(made.accuracies)
        typer.echo(f"Mean of {seeds} seeds: {mean:.2%} +- {half:.2%} (95% interval of the mean, t distribution)")
    typer.echo(f"Report: {made.page}")


@app.command()
def sites(
    model: ModelArgument,
    pattern: Annotated[str, typer.Argument(help="A glob, such as 'layer1.*'.")] = "*",
    json_: Json = False,
) -> None:
    """Every place one can look at: name, operation, shape, units and where they are read."""
    from .network.open import open_model

    opened = open_model(model)
    found = opened.sites.match(pattern)
    rows = [
        {"name": s.name, "operation": s.operation, "shape": s.shape, "parameters": s.parameters, "macs": s.macs,
         "units": s.units, "read": s.read}
        for s in found
    ]  # fmt: skip
    if json_:
        _print_json({"model": opened.source, "preprocessing": str(opened.preprocessing), "sites": rows})
        return
    typer.echo(f"{opened.name}: {opened.weights}; {opened.preprocessing} ({opened.preprocessing_from})")
    _print_table(
        ("site", "operation", "shape of one image", "parameters", "multiply-adds", "units", "units read at"),
        [(s.name, s.operation, " x ".join(map(str, s.shape)), s.parameters or "", s.macs or "", s.units or "",
          s.read or "") for s in found],
    )  # fmt: skip
    units = sum(site.units for site in found)
    typer.echo(f"{len(found)} sites, {sum(1 for site in found if site.units)} layers, {units:,} units")


@app.command()
def analyses(plugin: Plugins = None, json_: Json = False) -> None:
    """All analyses: the question each asks, and its settings."""
    import dataclasses

    from .analyses import registry

    found: list[dict[str, Any]] = [
        {"name": name, "question": cls.question, "requires": list(cls.requires), "settings": {
            item.name: {"default": item.default, "help": item.metadata.get("help", "")}
            for item in dataclasses.fields(cls)}}
        for name, cls in registry(plugin or ()).items()
    ]  # fmt: skip
    if json_:
        _print_json(found)
        return
    for entry in found:
        typer.echo(f"{entry['name']}: {entry['question']}")
        for name, about in entry["settings"].items():
            typer.echo(f"    {entry['name']}.{name} = {about['default']}  {about['help']}")


@app.command()
def look(
    model: ModelArgument,
    images: Source,
    out: RunFolder = None,
    analyses: Annotated[str, typer.Option(help="Names with commas between, or all.")] = "all",
    set_: Settings = None,
    plugin: Plugins = None,
    effort: Effort = "normal",
    classes: Classes = None,
    split: Split = "test",
    strict: Strict = False,
    download: Download = False,
    decoders: Decoders = 2,
    limit: Annotated[int, typer.Option(help="At most so many images, drawn in proportion to classes; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images a batch; 0: automatic.")] = 0,
    device: Device = "auto",
    report: Annotated[bool, typer.Option(help="Write the pages.")] = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at a network with a set of images: run analyses, write a report."""
    from .api import look as run_look
    from .api import open_images
    from .network.open import open_model

    opened = open_model(model)
    found = open_images(images, opened, split=split, class_map=_class_map(classes), strict=strict, download=download,
                        decoders=decoders)  # fmt: skip
    found = found.limit(limit, seed) if limit else found
    folder = out or Path("runs") / f"{opened.name}-{Path(found.source.partition(':')[0]).name}"
    progress = _progress(quiet or json_)
    progress.say(f"{opened.name}: {opened.weights}; {opened.preprocessing} ({opened.preprocessing_from})")
    say_images(found, progress)
    progress.say(f"analyses {analyses}, effort {effort}, seed {seed}, into {folder}")
    run = run_look(
        opened, found, out=folder, analyses=analyses.split(","), settings=_settings(set_ or ()), plugins=plugin or (),
        effort=effort, seed=seed, batch_size=batch_size or None, device=device, progress=progress,
    )  # fmt: skip
    page = run.report() if report else None
    if json_:
        findings = [vars(finding) for result in run.results.values() for finding in result.findings()]
        _print_json({"run": str(folder), "report": str(page) if page else None, "skipped": run.info["skipped"],
                     "broken": found.broken, "findings": findings})  # fmt: skip
        return
    _say_findings(run)
    for name, why in run.info["skipped"].items():
        typer.echo(f"skipped {name}: {why}")
    say_broken(found.broken)
    typer.echo(f"Report: {page}" if page else f"Run: {folder}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write; default: the run's folder.")] = None,
    plugin: Plugins = None,
) -> None:
    """Write the pages of a run again."""
    from .run import open_run

    typer.echo(f"Report: {open_run(run, plugin or ()).report(out)}")


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="zoo:NAME")],
    images: Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")] = Path("net.safetensors"),
    test: Annotated[str | None, typer.Option(help="Test images; default: the source's own, else a quarter.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 12,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 64,
    optimizer: Annotated[Literal["adam", "sgd"], typer.Option(help="AdamW, or SGD with momentum 0.9.")] = "adam",
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 0.0,
    schedule: Annotated[Literal["cosine", "constant"], typer.Option(help="Of the learning rate.")] = "cosine",
    shift: Annotated[int, typer.Option(help="Shift images by up to so many pixels.")] = 0,
    flip: Annotated[bool, typer.Option(help="Mirror half of the images.")] = False,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    strict: Strict = False,
    download: Download = False,
    decoders: Decoders = 2,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a network of the zoo; print its accuracy on images it has not seen."""
    from .network.training import Recipe
    from .workflows.train import train_zoo

    recipe = Recipe(epochs=epochs, batch_size=batch_size, optimizer=optimizer, rate=rate, schedule=schedule,
                    weight_decay=weight_decay, shift=shift, flip=flip, seed=seed)  # fmt: skip
    made = train_zoo(model, images, recipe, test=test, out=out, device=device, progress=_progress(quiet),
                     strict=strict, download=download, decoders=decoders)  # fmt: skip
    low, high = made.interval
    say_broken(made.broken)
    typer.echo(f"{made.accuracy:.2%} [{low:.2%}, {high:.2%}] of {made.tested:,} images not seen in training; "
               f"epoch {made.trained.best + 1} of {epochs}, chosen on validation images")  # fmt: skip
    typer.echo(f"Weights: {out}")


def main() -> None:
    """Run the command line; our errors become one line each and their exit code."""
    try:
        app(standalone_mode=True)
    except MicrotomeError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(error.exit_code)


def _progress(quiet: bool) -> Any:
    from .progress import Silent, Terminal

    return Silent() if quiet else Terminal()


def _say_findings(run: Any) -> None:
    found = sorted((f for result in run.results.values() for f in result.findings()), key=lambda f: -f.weight)
    for finding in found[:10]:
        typer.echo(f"- {finding.sentence} ({finding.control})")


def _settings(pairs: Iterable[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        analysis, dot, setting = name.partition(".")
        if not (equals and dot):
            raise UsageError(f"--set {pair}", "A setting is ANALYSIS.SETTING=VALUE", "Write for instance activity.k=4")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        found.setdefault(analysis, {})[setting] = parsed
    return found


def _class_map(path: Path | None) -> dict[str, int | str] | None:
    if path is None:
        return None
    try:
        found: dict[str, int | str] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error})", "A class map is a JSON object, folder to class",
                         'Write for instance {"n01440764": "tench"}') from error  # fmt: skip
    return found


def _mean_and_half(values: Any) -> tuple[float, float]:
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(half)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, default=str))


def _print_table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    texts = [tuple(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) for row in rows]
    widths = [max(len(line[place]) for line in (header, *texts)) for place in range(len(header))]
    numeric = [
        bool(rows) and all(isinstance(row[place], int) or not row[place] for row in rows)
        for place in range(len(header))
    ]
    for line in (header, *texts):
        cells = (cell.rjust(w) if n else cell.ljust(w) for cell, w, n in zip(line, widths, numeric, strict=True))
        typer.echo("  ".join(cells).rstrip())
