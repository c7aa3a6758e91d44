"""Commands as a user types them."""

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock


def typed(words: str | Sequence[object], folder: Path) -> tuple[int, str, str]:
    """Type a command in a folder: exit code, standard output, standard error."""
    from microtome import cli

    given = words.split() if isinstance(words, str) else [str(word) for word in words]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder), mock.patch.object(sys, "argv", ["microtome", *given]),
        contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
    ):  # fmt: skip
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()
