"""The command line: words to settings, results to lines. No science."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .commands.doctor import doctor
from .commands.explain import explain
from .commands.export import export
from .console import MODEL_HELP, ClassMap, Device, Json, ModelArgument, Plugins, Quiet, TrustPickle, TrustRun
from .console import print_json as _print_json
from .console import print_table as _print_table
from .console import progress_on as _progress
from .errors import MicrotomeError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="A microscope for convolutional networks.")  # fmt: skip


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("microtome-demo"),
    images: Annotated[str, typer.Option(help="digits (comes with scikit-learn) or mnist:DIR.")] = "digits",
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    seeds: Annotated[int, typer.Option(help="Trainings, to say how much the accuracy varies.")] = 1,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a small CNN on real digits, look at it, write a report. Nothing is needed."""
    from .workflows.demo import demo as run_demo

    made = run_demo(out, images=images, seed=seed, seeds=seeds, progress=_progress(quiet))
    low, high = made.trained.interval
    if json_:
        _print_json({"run": str(out), "report": str(made.page), "images": images, "seed": seed,
                     "held_out": len(made.trained.held_out), "accuracy": made.trained.accuracy,
                     "interval": [low, high], "accuracies": made.accuracies.tolist(),
                     "findings": [vars(f) for r in made.run.results.values() for f in r.findings()]})  # fmt: skip
        return
    typer.echo(f"Trained {made.trained.model.name} on {images}; asked {len(made.run.names)} questions about it:")
    _say_findings(made.run)
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
    trust_pickle: TrustPickle = False,
    json_: Json = False,
) -> None:
    """Every place one can look at: name, operation, shape, units and where they are read."""
    from .network.open import open_model

    opened = open_model(model, trust_pickle=trust_pickle)
    found = opened.sites.match(pattern)
    rows = [
        {"name": s.name, "operation": s.operation, "shape": s.shape, "parameters": s.parameters, "macs": s.macs,
         "units": s.units, "read": s.read}
        for s in found
    ]  # fmt: skip
    if json_:
        _print_json({"model": opened.source, "preprocessing": str(opened.preprocessing), "notes": opened.notes,
                     "sites": rows})  # fmt: skip
        return
    _say_model(opened, typer.echo)
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
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP}; or the folder of a run to go on with.")],
    images: Annotated[str | None, typer.Argument(help="A folder, mnist:DIR, or digits.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run's folder; default runs/MODEL-IMAGES.")
    ] = None,
    analyses: Annotated[str, typer.Option(help="Names with commas between, or all.")] = "all",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="ANALYSIS.SETTING=VALUE, as often as you like.")
    ] = None,
    plugin: Plugins = None,
    effort: Annotated[Literal["quick", "normal", "full"], typer.Option(help="How much work large analyses may do.")] = (
        "normal"
    ),
    classes: ClassMap = None,
    limit: Annotated[int, typer.Option(help="At most so many images, drawn in proportion to classes; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images a batch; 0: automatic.")] = 0,
    device: Device = "auto",
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision, on a GPU.")] = False,
    units: Annotated[
        list[str] | None, typer.Option(help="Units that large analyses work on besides, such as conv2:3 or 'layer1.*'.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="I/N: do one of N parts of the next stage; auto: as Slurm or torchrun say.")
    ] = None,
    trust_pickle: TrustPickle = False,
    trust_run: TrustRun = False,
    report: Annotated[bool, typer.Option(help="Write the pages.")] = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at a network with a set of images: run analyses, write a report. The same command goes on after a kill."""
    from .workflows.look import Call
    from .workflows.look import look as run_look

    sources = {name.rstrip("_"): context.get_parameter_source(name) for name in context.params}
    given = [name for name in Call.__annotations__ if getattr(sources[name], "name", "") == "COMMANDLINE"]
    asked = Call(
        model=model, images=images, analyses=analyses, set=tuple(set_ or ()), plugin=tuple(map(str, plugin or ())),
        effort=effort, classes=str(classes) if classes else None, limit=limit, seed=seed, units=tuple(units or ()),
    )  # fmt: skip
    progress = _progress(quiet or json_)
    try:
        found = run_look(asked, given, out=out, shard=shard, batch_size=batch_size or None, device=device, amp=amp,
                         trust_pickle=trust_pickle, trust_run=trust_run, progress=progress)  # fmt: skip
    except KeyboardInterrupt:
        typer.secho("Interrupted. What was measured is kept: the same command goes on from there.", err=True)
        raise typer.Exit(1) from None
    _say_run(found, report, json_)


@app.command()
def merge(
    run: Annotated[Path, typer.Argument(help="The folder that the shards worked in.")],
    trust_pickle: TrustPickle = False,
    trust_run: TrustRun = False,
    report: Annotated[bool, typer.Option(help="Write the pages.")] = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put the shards of a stage together; says which stage is next, or writes the report."""
    from .workflows.look import merge as run_merge

    found = run_merge(run, trust_pickle=trust_pickle, trust_run=trust_run, progress=_progress(quiet or json_))
    _say_run(found, report, json_)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write; default: the run's folder.")] = None,
    plugin: Plugins = None,
    json_: Json = False,
) -> None:
    """Write the pages of a run again."""
    from .run import open_run

    page = open_run(run, plugin or ()).report(out)
    if json_:
        _print_json({"run": str(run), "report": str(page)})
        return
    typer.echo(f"Report: {page}")


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="zoo:NAME")],
    images: Annotated[str, typer.Argument(help="mnist:DIR, digits, or a folder with one sub-folder a class.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")] = Path("net.safetensors"),
    test: Annotated[str | None, typer.Option(help="Test images; default: the source's own, else a quarter.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    optimizer: Annotated[Literal["adam", "sgd"] | None, typer.Option(help="AdamW, or SGD with momentum.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    momentum: Annotated[float | None, typer.Option(help="Of SGD.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    schedule: Annotated[
        Literal["cosine", "step", "constant"] | None, typer.Option(help="Of the learning rate.")
    ] = None,
    shift: Annotated[int | None, typer.Option(help="Shift images by up to so many pixels.")] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirror half of the images.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    device: Device = "auto",
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network of the zoo, by its own recipe unless options say otherwise; print its accuracy on new images."""
    import dataclasses

    from .workflows.train import recipe_of, train_zoo

    said: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "rate": rate, "momentum": momentum,
        "weight_decay": weight_decay, "schedule": schedule, "shift": shift, "flip": flip, "seed": seed,
    }  # fmt: skip
    recipe = dataclasses.replace(recipe_of(model), **{name: value for name, value in said.items() if value is not None})
    typer.echo(f"Recipe: {recipe}")
    made = train_zoo(model, images, recipe, test=test, out=out, device=device, progress=_progress(quiet))
    low, high = made.interval
    if json_:
        _print_json({"weights": str(out), "accuracy": made.accuracy, "interval": [low, high],
                     "held_out": len(made.held_out), "epoch": made.trained.best + 1, "epochs": epochs, "seed": seed,
                     "loss": made.trained.loss.tolist(), "validation": made.trained.validation.tolist()})  # fmt: skip
        return
    typer.echo(f"{made.accuracy:.2%} [{low:.2%}, {high:.2%}] of {len(made.held_out):,} images not seen in training; "
               f"epoch {made.trained.best + 1} of {recipe.epochs}, chosen on validation images")  # fmt: skip
    typer.echo(f"Weights: {out}")


app.command()(explain)
app.command()(doctor)
app.command()(export)


def main() -> None:
    """Run the command line; our errors become one line each and their exit code."""
    try:
        app(standalone_mode=True)
    except MicrotomeError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(error.exit_code)


def _say_run(found: Any, report: bool, json_: bool) -> None:
    from .api import Stage

    if isinstance(found, Stage):
        lines = "; ".join(found.missing)
        if json_:
            _print_json({"run": str(found.folder), "stage": found.number, "missing": found.missing})
        else:
            typer.echo(f"Stage {found.number}: {lines}")
            typer.echo(f"Once all shards of it are done: microtome merge {found.folder}")
        return
    page = found.report() if report else None
    if json_:
        _print_json({"run": str(found.folder), "report": str(page) if page else None, "skipped": found.info["skipped"],
                     "findings": [vars(f) for r in found.results.values() for f in r.findings()]})  # fmt: skip
        return
    _say_findings(found)
    for name, why in found.info["skipped"].items():
        typer.echo(f"skipped {name}: {why}")
    typer.echo(f"Report: {page}" if page else f"Run: {found.folder}")


def _say_model(opened: Any, say: Callable[[str], None]) -> None:
    say(f"{opened.name}: {opened.weights}; {opened.preprocessing} ({opened.preprocessing_from})")
    for note in opened.notes:
        say(f"note: {note}")


def _say_findings(run: Any) -> None:
    found = sorted((f for result in run.results.values() for f in result.findings()), key=lambda f: -f.weight)
    for finding in found[:10]:
        typer.echo(f"- {finding.sentence} ({finding.control})")


def _mean_and_half(values: Any) -> tuple[float, float]:
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(half)
