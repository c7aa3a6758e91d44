"""`microtome compare`: two networks side by side; did a fix break anything?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import MODEL_HELP, Device, Json, Quiet, TrustPickle, print_json, progress_on, say_findings
from .image_options import SOURCES, Classes, Decoders, Download, Split, Strict, say_broken

if TYPE_CHECKING:
    from ..workflows.compare import Compared

INTERRUPTED = "Interrupted. What was measured is kept: the same command goes on from there."
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write; default: runs/A-beside-B-IMAGES.")]
Also = Annotated[
    list[str] | None,
    typer.Option(metavar="NETWORK", help="A further network whose first layer is compared; may be repeated."),
]
Besides = Annotated[
    str, typer.Option(help="Further questions to ask of A, such as activity: names with commas between, or all.")
]
Tolerance = Annotated[
    float, typer.Option(min=0, help="A fall in accuracy that does not count as worse, in percentage points.")
]
FailIfWorse = Annotated[
    bool,
    typer.Option(
        "--fail-if-worse",
        help="Exit code 1 if B is worse for certain: the 95% interval of the difference in accuracy on the same images "
        "lies below 0 (or minus the tolerance), and McNemar's exact p is below 0.05.",
    ),
]


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=f"The network as it was. {MODEL_HELP}.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The network that may replace it, named likewise.")],
    images: Annotated[str, typer.Option(help=SOURCES)],
    also: Also = None,
    out: Out = None,
    tolerance: Tolerance = 0.0,
    fail_if_worse: FailIfWorse = False,
    analyses: Besides = "",
    classes: Classes = None,
    split: Split = "test",
    strict: Strict = False,
    download: Download = False,
    decoders: Decoders = 2,
    limit: Annotated[int, typer.Option(help="At most so many images, drawn in proportion to classes; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images in a batch; 0: chosen automatically.")] = 0,
    device: Device = "auto",
    trust_pickle: TrustPickle = False,
    report: Annotated[bool, typer.Option(help="Write the report's pages.")] = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two networks: what B breaks and fixes, whether it is worse, which units do the same.

    The same command goes on after a kill.
    """
    from ..workflows.compare import compare_asked
    from ..workflows.look import Call, Ways

    asked = Call(
        model=a, other=b, also=tuple(also or ()), images=images, analyses=analyses,
        classes=str(classes) if classes else None, split=split, strict=strict, limit=limit, seed=seed,
    )  # fmt: skip
    ways = Ways(
        batch_size=batch_size or None, device=device, decoders=decoders, download=download, trust_pickle=trust_pickle,
        progress=progress_on(quiet),
    )  # fmt: skip
    try:
        found = compare_asked(asked, ways, out=out, tolerance=tolerance)
    except KeyboardInterrupt:
        typer.secho(INTERRUPTED, err=True)
        raise typer.Exit(1) from None
    _say(found, report, json_)
    if fail_if_worse and found.worse:
        raise typer.Exit(1)


def _say(found: "Compared", report: bool, json_: bool) -> None:
    assert found.run is not None
    page = found.run.report() if report else None
    broken = found.run.info["images"]["broken"]
    if json_:
        print_json({"run": str(found.run.folder), "report": str(page) if page else None, "unreadable": broken,
                    **found.numbers()})  # fmt: skip
        return
    say_findings(found.run)
    for name, why in found.skipped.items():
        typer.echo(f"skipped {name}: {why}")
    say_broken(broken)
    typer.echo(f"Report: {page}" if page else f"Run: {found.run.folder}")
