"""A run and its report, made once; and a browser that opens pages from the file system."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import microtome as mt
from microtome.runs.run import Run

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A look at a network with random weights: nothing but its pages is tested here."""
    model = mt.open_model("zoo:simpleconvnet")
    images = mt.open_images("digits", like=model).limit(100)
    made = mt.look(model, images, out=tmp_path_factory.mktemp("report") / "run", effort="quick")
    made.report()
    return made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the dev extra's Playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs Debian's chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """One page that remembers what the console said."""

    page: Any
    folder: Path
    complaints: list[str] = field(default_factory=list)

    def visit(self, address: str) -> Any:
        """Open an address of the report and wait until it is drawn."""
        self.page.goto(f"{(self.folder / 'index.html').as_uri()}{address}")
        self.page.wait_for_selector("#page:not([aria-busy])")
        return self.page


@pytest.fixture
def visitor(chromium: Any, run: Run) -> Iterator[Visitor]:
    """Somebody who opens the report."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    found = Visitor(context.new_page(), run.folder)
    found.page.on("console", lambda m: found.complaints.append(m.text) if m.type in ("error", "warning") else None)
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    yield found
    context.close()
