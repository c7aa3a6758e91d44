"""`microtome explain`: how one picture's activations came about. Each way of explaining is an option of its own."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..checks import known
from ..errors import UsageError
from .console import MODEL_HELP, Quiet, progress_on

if TYPE_CHECKING:
    from ..sheets.explanation import Explanation

WAYS = ("--maps SITE", "--unit UNIT")  # what can be asked for; one is needed
BACK = ("deconvnet", "guided", "gradient")  # methods that lead a unit back to the pixels
METHODS = (*BACK, "gradcam", "occlusion", "dissect", "path", "preimage")
METHODS_HELP = (
    "How to explain the unit. What of the picture reached it: deconvnet, guided, gradient. Where the evidence lies: "
    "gradcam, or occlusion (cover place after place). What the channels below add to it: dissect. What stands behind a "
    "class, layer by layer: path. What the layer cannot tell from the picture: preimage (of a unit, or a whole layer)."
)
# Options that only some methods take.
TAKEN_BY = {
    "--at": (*BACK, "occlusion"), "--site": ("gradcam",), "--size": ("occlusion",), "--stride": ("occlusion",),
    "--fill": ("occlusion",), "--class": ("path",), "--images": ("path",), "--towards": ("preimage",),
}  # fmt: skip
UNIT_HELP = (
    "What to explain: channel 12 as SITE:12, one place of its map as SITE:12@ROW,COLUMN, class:NAME or class:NUMBER, "
    "or class for the network's own answer."
)
IMAGE_HELP = "An image file, or a drawn one: stimulus:line:45, stimulus:edge:0, stimulus:dot or stimulus:blank."
Maps = Annotated[
    str | None,
    typer.Option(metavar="SITE", help="Show every channel of a site, or of a module with several; SITE:12 shows one."),
]
At = Annotated[
    str | None,
    typer.Option(metavar="ROW,COLUMN", help="The place on the unit's map that is explained; default: its strongest."),
]
Site = Annotated[
    str | None, typer.Option(help="gradcam: the site whose channels are weighed; default: the last that has a map.")
]
Size = Annotated[
    int | None,
    typer.Option(help="occlusion: side of the square that covers the picture, in pixels; default: a seventh of it."),
]
Stride = Annotated[
    int | None,
    typer.Option(help="occlusion: by how many pixels the square moves; default: a fourteenth of the picture."),
]
Fill = Annotated[
    str | None, typer.Option(help="occlusion: what the square is filled with, mean (the default) or blur.")
]
Class = Annotated[
    str | None,
    typer.Option("--class", metavar="NAME", help="path: the class to follow down; default: the network's own answer."),
]
Images = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="path: images that say what is usual for each channel; default: a plain background."
    ),
]
Towards = Annotated[
    str | None,
    typer.Option(metavar="IMAGE", help="preimage: the picture that this one is moved towards; default: smooth noise."),
]


def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help=IMAGE_HELP)],
    maps: Maps = None,
    unit: Annotated[str | None, typer.Option(metavar="UNIT", help=UNIT_HELP)] = None,
    method: Annotated[str, typer.Option(help=METHODS_HELP)] = "deconvnet",
    at: At = None,
    site: Site = None,
    size: Size = None,
    stride: Stride = None,
    fill: Fill = None,
    class_: Class = None,
    images: Images = None,
    towards: Towards = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The PNG to write.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON for machines.")] = False,
    quiet: Quiet = False,
) -> None:
    """Show what a network makes of one picture."""
    if method == "path" and maps is None:
        unit = _class_of_path(unit, class_)
    if (maps is None) == (unit is None):
        told = "was not told what to explain" if maps is None else f"was told --maps {maps} and --unit {unit}"
        raise UsageError(f"explain {told}", f"It takes {' or '.join(WAYS)}",
                         "`microtome sites MODEL` lists the sites")  # fmt: skip
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"The picture is to be written to {out.name!r}", "It is a PNG file", "Write -o NAME.png")
    given = {"--at": at, "--site": site, "--size": size, "--stride": stride, "--fill": fill,
             "--class": class_, "--images": images, "--towards": towards}  # fmt: skip
    chosen = {name: value for name, value in given.items() if value is not None}
    if maps is not None:
        _check_options(chosen, "--maps", ())
        _explain_maps(model, image, maps, out, json_)
        return
    known("Method", method, METHODS, "Name one of them")
    _check_options(chosen, f"--method {method}", tuple(name for name in TAKEN_BY if method in TAKEN_BY[name]))
    assert unit is not None  # one of the two is given
    _explain_unit(model, image, unit, method, chosen, out, json_, progress_on(quiet or json_))


def _class_of_path(unit: str | None, class_: str | None) -> str:
    """Where a path starts, said as a unit or as a class."""
    if unit is not None and class_ is not None:
        raise UsageError(f"A path was told --unit {unit} and --class {class_}", "It starts at one class",
                         "Leave one of them out")  # fmt: skip
    return unit if unit is not None else "class" if class_ is None else f"class:{class_}"


def _check_options(chosen: dict[str, Any], way: str, taken: tuple[str, ...]) -> None:
    for name in chosen:
        if name not in taken:
            raise UsageError(f"{name} {chosen[name]} was given with {way}",
                             f"{name} belongs to --method {' or '.join(TAKEN_BY[name])}",
                             f"Leave {name} out, or name such a method")  # fmt: skip


def _explain_unit(
    model: str, image: str, unit: str, method: str, chosen: dict[str, Any], out: Path | None, as_json: bool,
    progress: Any,
) -> None:  # fmt: skip
    from ..network.open import open_model
    from ..sheets.explanation import parse_position

    at = parse_position(chosen["--at"]) if "--at" in chosen else None
    opened = open_model(model)
    found: Explanation
    if method == "gradcam":
        from ..sheets.evidence import grad_cam

        found = grad_cam(opened, image, unit, site=chosen.get("--site"))
    elif method == "occlusion":
        from ..sheets.occlusion import occlusion

        found = occlusion(
            opened, image, unit, at=at or "strongest", size=chosen.get("--size"), stride=chosen.get("--stride"),
            fill=chosen.get("--fill", "mean"), progress=progress,
        )  # fmt: skip
    elif method == "dissect":
        from ..sheets.dissection import dissect

        found = dissect(opened, image, unit)
    elif method == "preimage":
        from ..sheets.preimage import preimage

        found = preimage(opened, image, unit, towards=chosen.get("--towards"))
    elif method == "path":
        from ..api import open_images
        from ..sheets.decision import decision

        usual = open_images(chosen["--images"], opened) if "--images" in chosen else None
        found = decision(opened, image, unit, images=usual)
    else:
        found = _led_back(opened, image, unit, method, at)
    words = re.sub(r"[^\w.]+", "-", f"{method}-{unit}-{_stem(image)}")
    target = _write(found, out, as_json, f"{words}.png")
    if as_json:
        typer.echo(json.dumps(found.numbers() | {"figure": str(target) if target else None}, indent=1))
        return
    for line in [*found.sentences(), f"Figure: {target}"]:
        typer.echo(line)


def _led_back(opened: Any, image: str, unit: str, method: Any, at: tuple[int, int] | None) -> "Explanation":
    """A unit, or a class as the unit of the output that it is, led back to the pixels."""
    from ..images.picture import open_picture
    from ..sheets.explanation import aim_at
    from ..sheets.reconstruction import reconstruct

    aim = aim_at(opened, unit, open_picture(image, opened.preprocessing).pixels, at)
    return reconstruct(opened, image, f"{aim.site}:{aim.channel}", method=method, at=aim.at)


def _write(found: Any, out: Path | None, as_json: bool, name: str) -> Path | None:
    """The figure, where it was asked for or nothing else would be said."""
    target = out or (None if as_json else Path(name))
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        found.plot().savefig(target, dpi=120)
    return target


def _stem(image: str) -> str:
    return Path(image).stem.replace(":", "-")


def _explain_maps(model: str, image: str, where: str, out: Path | None, as_json: bool) -> None:
    from ..network.recording.addresses import parse_unit
    from ..sheets.activation import LOST_IN
    from ..sheets.activation import maps as sheet_of

    site, unit = parse_unit(where)[:2] if re.search(r":\d", where) else (where, None)
    found = sheet_of(model, image, site, unit)
    target = _write(found, out, as_json, f"{found.site}-{_stem(found.picture)}.png")
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
