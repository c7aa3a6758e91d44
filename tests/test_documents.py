"""What README and CONTRIBUTING show is true: every snippet is executed."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from microtome import cli

ROOT = Path(__file__).parent.parent


def snippets(name: str, language: str) -> list[str]:
    """The code blocks of a document."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / name).read_text(), re.S | re.M)
    return [code for kind, code in blocks if kind == language]


def test_the_readmes_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = snippets("README.md", "python")
    code, count = re.subn(r"\.limit\(200\)", '.limit(40), effort="quick"', code)  # fewer images, and not as thoroughly
    assert count == 1
    (tmp_path / "readme.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(tmp_path / "readme.py"))
    assert names["page"].is_file()
    assert "units" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "docs/runs.md", "docs/tutorials/scratch.md", "docs/tutorials/track.md"]
)
def test_every_command_and_option_of_the_documents_exists(name):
    known = typer.main.get_command(cli.app).commands
    lines = re.findall(r"^microtome (.*)$", "\n".join(snippets(name, "")), re.M)
    assert lines
    for line in lines:
        command, *words = shlex.split(line, comments=True)
        options = {option for parameter in known[command].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


def test_the_links_of_the_documents_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
            assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"


def test_contributing_shows_its_example_as_it_is():
    example = (ROOT / "examples" / "your_first_analysis.py").read_text()
    shown = snippets("CONTRIBUTING.md", "python")
    assert shown and all(code in example for code in shown)
    assert f"{len(example.splitlines())} lines" in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_commands_of_contributing_run_and_find(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    commands = [line.split()[1:] for block in snippets("CONTRIBUTING.md", "") for line in block.splitlines()
                if line.startswith("microtome ")]  # fmt: skip
    listing, look = commands
    said = CliRunner().invoke(cli.app, listing).output
    assert "brightness: Which units only say how bright a picture is?" in said
    assert "brightness.threshold = 0.9" in said
    done = CliRunner().invoke(cli.app, [*look, "--limit", "80", "-q"])
    assert done.exit_code == 0, done.output
    assert "units only say how bright a picture is (r > 0.8)" in done.output
    assert (tmp_path / "runs" / "brightness" / "index.html").is_file()
