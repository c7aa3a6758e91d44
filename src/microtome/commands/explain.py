"""`microtome explain`: how one picture's activations came about. Each way of explaining is an option of its own."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError

WAYS = ("--maps SITE",)  # what can be asked for; one is needed


def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for `microtome look`.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A file, or a stimulus such as stimulus:line:45.")],
    maps: Annotated[
        str | None, typer.Option(metavar="SITE", help="Every channel of a layer, site or container; SITE:12 for one.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The PNG to write.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON for machines.")] = False,
) -> None:
    """Show what a network makes of one picture."""
    if maps is None:
        raise UsageError("explain was not told what to explain", f"It takes {' or '.join(WAYS)}",
                         "`microtome sites MODEL` lists the sites")  # fmt: skip
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"The picture is to be written to {out.name!r}", "It is a PNG file", "Write -o NAME.png")
    _explain_maps(model, image, maps, out, json_)


def _explain_maps(model: str, image: str, where: str, out: Path | None, as_json: bool) -> None:
    from ..activation_sheet import LOST_IN
    from ..activation_sheet import maps as sheet_of
    from ..network.addresses import parse_unit

    site, unit = parse_unit(where)[:2] if re.search(r":\d", where) else (where, None)
    found = sheet_of(model, image, site, unit)
    target = out or (None if as_json else Path(f"{found.site}-{Path(found.picture).stem.replace(':', '-')}.png"))
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        found.plot().savefig(target, dpi=120)
    if as_json:
        typer.echo(json.dumps(found.numbers() | {"figure": str(target) if target else None}, indent=1))
        return
    typer.echo(f"{found.model}, {found.site} on {found.picture}: {len(found.channels)} channels")
    for stage, maps in found.maps.items():
        share = found.share_lost(stage)
        lost = f"; the {LOST_IN[stage]} throws away {share:.0%} of the energy" if share == share else ""
        extent = " x ".join(str(length) for length in maps.shape[1:])
        typer.echo(f"{found.sites[stage]}: {extent}, {maps.min():.3g} to {maps.max():.3g}{lost}")
    if "before" in found.maps:
        typer.echo("(a rectifier throws away 50% of a signal that is symmetric around 0)")
    typer.echo(f"Figure: {target}")
