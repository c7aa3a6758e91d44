"""The command line: words to settings, results to lines. No science; a file a command in `commands/`."""

import sys

import typer

from .commands.analyses import analyses
from .commands.compare import compare
from .commands.demo import demo
from .commands.doctor import doctor
from .commands.dream import dream
from .commands.explain import explain
from .commands.export import export
from .commands.look import look, merge
from .commands.prune import prune
from .commands.report import report
from .commands.reproduce import reproduce
from .commands.sites import sites
from .commands.train import train
from .errors import MicrotomeError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="A microscope for convolutional networks.")  # fmt: skip
for command in (
    demo,
    sites,
    analyses,
    doctor,
    look,
    merge,
    report,
    explain,
    dream,
    compare,
    prune,
    export,
    train,
    reproduce,
):
    app.command()(command)


def main() -> None:
    """Run the command line; our errors become one line each and their exit code."""
    try:
        app(standalone_mode=True)
    except MicrotomeError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(error.exit_code)
