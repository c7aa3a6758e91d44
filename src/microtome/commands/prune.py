"""`microtome prune`: channels out, retrain, certificate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .console import Json, ModelArgument, Quiet, TrustPickle, print_json, progress_on
from .image_options import Decoders, Download, Source, Strict

if TYPE_CHECKING:
    from ..workflows.prune.prune import Pruned

Test = Annotated[
    str | None,
    typer.Option(help="Images that judge; default: the test part of the source, else a quarter held out."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the pruning; default: runs/NAME-slim.")]
Target = Annotated[str, typer.Option(help="What is left: parameters=25%, macs=70%, or last widths: conv1=8,conv2=16.")]
Rate = Annotated[float, typer.Option(help="Learning rate of retraining; 0: as the network's kind needs.")]
Retrain = Annotated[str, typer.Option(help='Retrain with a command instead, such as "python tune.py {checkpoint}".')]
Importance = Annotated[
    str, typer.Option(help="What is spared: by taylor (to first order) or ablation (each unit silenced; slower).")
]
CriteriaImages = Annotated[int, typer.Option(help="Images that criteria are measured on.")]


def prune(
    model: ModelArgument,
    images: Source,
    test: Test = None,
    out: Out = None,
    rounds: Annotated[int, typer.Option(help="Rounds of removing and retraining.")] = 7,
    target: Target = "parameters=25%",
    retrain_epochs: Annotated[int, typer.Option(help="Epochs of retraining after each round; 0: none.")] = 1,
    last_epochs: Annotated[int, typer.Option(help="Further epochs after the last round.")] = 0,
    rate: Rate = 0.0,
    retrain: Retrain = "",
    baselines: Annotated[str, typer.Option(help="What runs beside it; empty: nothing.")] = "magnitude,random,unpruned",
    criteria_images: CriteriaImages = 1000,
    importance: Importance = "taylor",
    limit: Annotated[int, typer.Option(help="At most so many images to learn from; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    strict: Strict = False,
    download: Download = False,
    decoders: Decoders = 2,
    trust_pickle: TrustPickle = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cut a network down: remove channels for real in rounds, retrain, and certify what it cost, beside baselines.

    A pruning that was stopped goes on at its round with the same command.
    """
    from ..network.open import open_model
    from ..workflows.prune.prune import prune as run
    from ..workflows.prune.settings import Settings

    named: Any = tuple(name.strip() for name in baselines.split(",") if name.strip())
    if retrain and last_epochs:
        raise UsageError("--last-epochs was given with --retrain", "Epochs are of our own trainer",
                         "Let the command train as long as it should")  # fmt: skip
    settings = Settings(
        rounds=rounds, target=target, epochs=retrain_epochs, last=last_epochs, command=retrain, baselines=named,
        images=criteria_images, importance=importance, rate=rate, seed=seed,
    )  # fmt: skip
    opened = open_model(model, trust_pickle=trust_pickle)
    folder = out or Path("runs") / f"{opened.name}-slim"
    progress = progress_on(quiet)
    progress.say(f"{opened.name}: {opened.weights}; into {folder}")
    made = run(opened, images, test, out=folder, settings=settings, progress=progress, limit=limit,
               opening={"strict": strict, "download": download, "decoders": decoders})  # fmt: skip
    if json_:
        print_json(_numbers(made, folder / "index.html"))
        return
    for finding in made.certificate.findings():
        typer.echo(finding.sentence)
        typer.echo(f"  beside it: {finding.control}")
    typer.echo(f"Weights: {made.weights} (open them as {model.partition('@')[0]}@{made.weights})")
    typer.echo(f"Page: {folder / 'index.html'}")


def _numbers(made: "Pruned", page: Path) -> dict[str, Any]:
    of = made.certificate
    return {
        "weights": str(made.weights), "page": str(page), "images": of.images, "arms": list(of.arms),
        "parameters": of.parameters.tolist(), "macs": of.macs.tolist(), "milliseconds": of.milliseconds.tolist(),
        "time_of_whole": of.time.tolist(),
        "accuracy_cut": of.before.tolist(), "accuracy_retrained": of.after.tolist(),
        "difference_points": of.apart[1:].tolist(), "stays": of.stays,
    }  # fmt: skip
