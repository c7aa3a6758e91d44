"""`microtome analyses`: what can be asked."""

from typing import Any

import typer

from .console import Json, Plugins, print_json


def analyses(plugin: Plugins = None, json_: Json = False) -> None:
    """All analyses: the question each asks, and its settings."""
    import dataclasses

    from ..analyses import registry

    found: list[dict[str, Any]] = [
        {"name": name, "question": cls.question, "requires": list(cls.requires), "settings": {
            item.name: {"default": item.default, "help": item.metadata.get("help", "")}
            for item in dataclasses.fields(cls)}}
        for name, cls in registry(plugin or ()).items()
    ]  # fmt: skip
    if json_:
        print_json(found)
        return
    for entry in found:
        typer.echo(f"{entry['name']}: {entry['question']}")
        for name, about in entry["settings"].items():
            typer.echo(f"    {entry['name']}.{name} = {about['default']}  {about['help']}")
