"""`microtome sites`: where one can look."""

from typing import Annotated

import typer

from .console import Json, ModelArgument, TrustPickle, print_json, print_table, say_model


def sites(
    model: ModelArgument,
    pattern: Annotated[str, typer.Argument(help="Only sites whose names match, such as 'layer1.*'.")] = "*",
    trust_pickle: TrustPickle = False,
    json_: Json = False,
) -> None:
    """Every place one can look at: name, operation, shape, units and where they are read."""
    from ..network.open import open_model

    opened = open_model(model, trust_pickle=trust_pickle)
    found = opened.sites.match(pattern)
    rows = [
        {"name": s.name, "operation": s.operation, "shape": s.shape, "parameters": s.parameters, "macs": s.macs,
         "units": s.units, "read": s.read}
        for s in found
    ]  # fmt: skip
    if json_:
        print_json({"model": opened.source, "preprocessing": str(opened.preprocessing), "notes": opened.notes,
                     "sites": rows})  # fmt: skip
        return
    say_model(opened, typer.echo)
    print_table(
        ("site", "operation", "shape of one image", "parameters", "multiply-adds", "units", "units read at"),
        [(s.name, s.operation, " x ".join(map(str, s.shape)), s.parameters or "", s.macs or "", s.units or "",
          s.read or "") for s in found],
    )  # fmt: skip
    units = sum(site.units for site in found)
    typer.echo(f"{len(found)} sites, {sum(1 for site in found if site.units)} layers, {units:,} units")
