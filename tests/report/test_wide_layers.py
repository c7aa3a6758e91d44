"""A layer of 512 units: what its page is made of, which is what makes it slow or fast."""

from pathlib import Path
from typing import Any

import pytest
import torch

import microtome as mt
from microtome.runs.run import Run

pytestmark = pytest.mark.browser

UNITS = 512

# What a page asks of the browser is counted before its first script runs.
COUNT = """
window.asked = { listeners: 0, elements: 0 };
const listen = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (...given) {
  window.asked.listeners += 1;
  return listen.apply(this, given);
};
const make = Document.prototype.createElement;
Document.prototype.createElement = function (...given) {
  window.asked.elements += 1;
  return make.apply(this, given);
};
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A look at a network whose only convolution has 512 units."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, UNITS, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(UNITS, 10),
    )  # fmt: skip
    model = mt.open_model(network.eval(), size=28, mean=(0.13,), std=(0.31,))
    images = mt.open_images("digits", like=model).limit(40)
    run = mt.look(model, images, analyses=["activity", "twins", "filters"], out=tmp_path_factory.mktemp("wide") / "run")
    run.report()
    return run


@pytest.fixture
def page(visitor: Any, wide: Run) -> Any:
    """Its page, and what it asked of the browser."""
    visitor.folder = Path(wide.folder)
    visitor.page.add_init_script(COUNT)
    return visitor.visit("#/layer/0")


def test_a_cell_is_five_elements_and_listens_to_nothing(page) -> None:
    assert page.locator(".cell").count() == UNITS
    assert page.locator(".grid *").count() <= 5 * UNITS
    asked = page.evaluate("window.asked")
    assert asked["listeners"] < 100
    assert asked["elements"] < 5 * UNITS + 400


def test_order_and_filter_move_cells_and_make_none(page) -> None:
    page.wait_for_function("!document.querySelector('canvas[role=img]:not([data-drawn])')", timeout=30_000)
    before = page.evaluate("window.asked.elements")
    page.locator("select[name=sort]").select_option("std")
    assert page.locator(".cell").first.inner_text() != "0"
    page.locator("input[name=q]").fill("77")
    assert page.locator(".cell").count() == 1
    page.locator("input[name=q]").fill("")
    page.locator("select[name=sort]").select_option("")
    assert page.locator(".cell").count() == page.locator(".cell canvas[data-drawn]").count() == UNITS
    assert page.evaluate("window.asked.elements") == before


# Types a letter and looks at once: a second later the grid has settled, on a busy machine before the next question.
TYPED = """() => {
  const box = document.querySelector('input[name=q]');
  box.value = '7';
  box.dispatchEvent(new Event('input', { bubbles: true }));
  return getComputedStyle([...document.querySelectorAll('.cell')].at(-1)).contentVisibility;
}"""


def test_only_what_is_on_the_screen_is_laid_out_while_one_types(page) -> None:
    page.wait_for_selector(".grid.settled")
    assert page.evaluate(TYPED) == "auto"
    page.wait_for_selector(".grid.settled")
    assert page.locator(".cell").last.evaluate("cell => getComputedStyle(cell).contentVisibility") == "visible"


def test_charts_of_many_units_are_one_outline(page) -> None:
    chart = page.locator("article", has=page.get_by_role("heading", name="Norms")).locator("svg")
    assert (chart.locator("polygon").count(), chart.locator("rect").count()) == (1, 0)
