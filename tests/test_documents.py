"""What README and CONTRIBUTING show is true: every snippet is executed."""

import json
import re
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from microtome import cli
from microtome.runs.run import open_run

ROOT = Path(__file__).parent.parent


def snippets(name: str, language: str) -> list[str]:
    """The code blocks of a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(), re.S | re.M)


def test_the_readmes_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = snippets("README.md", "python")
    code, count = re.subn(r"\.limit\(200\)", '.limit(40), effort="quick"', code)  # fewer images, and not as thoroughly
    assert count == 1
    (tmp_path / "readme.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(tmp_path / "readme.py"))
    assert names["page"].is_file()
    assert "units" in capsys.readouterr().out


def test_every_command_of_the_readme_exists():
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    used = set(re.findall(r"^microtome (\w+)", "\n".join(snippets("README.md", "")), re.M))
    assert used and used <= known


def test_the_links_of_the_documents_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
            assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"


@pytest.fixture(scope="module")
def bursts(tmp_path_factory):
    """The analysis of CONTRIBUTING, as a stranger would try it: one file, two commands."""
    folder = tmp_path_factory.mktemp("plugin")
    (code,) = snippets("CONTRIBUTING.md", "python")
    (folder / "bursts.py").write_text(code)
    words = ["look", "zoo:simpleconvnet", "digits", "--limit", "80", "--plugin", str(folder / "bursts.py"), "-q",
             "--analyses", "activity,bursts"]  # fmt: skip
    done = CliRunner().invoke(cli.app, [*words, "--set", "bursts.threshold=8", "-o", str(folder / "run")])
    assert done.exit_code == 0, done.output
    return folder, done.output


def page_data(folder: Path, name: str) -> object:
    text = (folder / "run" / "data" / f"{name}.js").read_text()
    return json.loads(text[text.index(", ") + 2 : text.rindex(");")])


def test_the_analysis_of_contributing_is_listed_by_the_command_line(bursts):
    said = CliRunner().invoke(cli.app, ["analyses", "--plugin", str(bursts[0] / "bursts.py")]).output
    assert "bursts: Which units are silent almost everywhere, but strong where they fire?" in said
    assert "bursts.threshold = 10.0" in said


def test_the_analysis_of_contributing_is_among_the_findings(bursts):
    folder, said = bursts
    assert "units burst: they reach more than 8 standard deviations" in said
    assert "units burst" in (folder / "run" / "index.html").read_text()


def test_the_analysis_of_contributing_sorts_the_layer_grid(bursts):
    columns = {column["name"]: column for column in page_data(bursts[0], "network")["columns"]}
    result = open_run(bursts[0] / "run", [bursts[0] / "bursts.py"])["bursts"]
    assert columns["burst"]["values"][1] == [float(f"{value:.4g}") for value in result.burst["conv2"]]


def test_the_analysis_of_contributing_is_on_the_layer_and_unit_pages(bursts):
    cards = page_data(bursts[0], "layer-1")
    assert [card["title"] for card in cards if not card["per_unit"] and card["title"] == "Bursts"]
    (unit_card,) = [card for card in cards if card["per_unit"] and card["title"] == "Burst"]
    assert len(unit_card["lines"]) == 64


def test_a_run_with_an_analysis_that_is_not_there_any_more_still_opens(bursts):
    assert "bursts" not in open_run(bursts[0] / "run").names
