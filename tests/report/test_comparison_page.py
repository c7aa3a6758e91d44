"""The pages of a comparison, in a browser: both networks, what was broken, and which units correspond."""

import pytest

import microtome as mt
from microtome.runs.run import Run
from pairs import changed, digits, never

pytestmark = pytest.mark.browser

PAGES = ["#/", "#/layer/conv2?sort=counterpart", "#/unit/conv2/3", "#/card/broken-images"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network for digits beside one that never answers 3."""
    model, images = digits()
    other = changed(model, never(3))
    found = mt.compare(model, other, images, out=tmp_path_factory.mktemp("compared") / "run")
    found.run.report()
    return found.run


@pytest.mark.parametrize("address", PAGES)
def test_a_page_opens_without_a_word_on_the_console(visitor, address) -> None:
    visitor.visit(address)
    assert visitor.complaints == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("address", PAGES)
def test_no_page_scrolls_sideways(visitor, address, width) -> None:
    visitor.page.set_viewport_size({"width": width, "height": 900})
    page = visitor.visit(address)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_first_page_names_both_networks_and_begins_with_the_verdict(visitor, run) -> None:
    page = visitor.visit("#/")
    assert page.locator("h1").inner_text() == "simpleconvnet beside simpleconvnet"
    assert page.locator(".facts b").all_inner_texts() == ["A", "B"]
    assert page.locator(".findings a").first.inner_text() == run["comparison"].conclusion()


def test_broken_images_are_shown_with_both_answers(visitor, run) -> None:
    page = visitor.visit("#/card/broken-images")
    card = page.locator("#card-broken-images")
    shown = min(24, run["comparison"].change.broken)
    assert card.locator("figure .crop").count() == shown
    assert card.locator("figcaption").first.inner_text().startswith("3 ")


def test_a_unit_page_names_its_counterpart_and_shows_both_beside_each_other(visitor, run) -> None:
    result = run["counterparts"]
    unit = int((result.match["conv2"] >= 0).argmax())
    page = visitor.visit(f"#/unit/conv2/{unit}")
    assert (
        f"in B: unit {result.match['conv2'][unit]} (r {result.r['conv2'][unit]:.2f}, "
        in page.locator("#page").inner_text()
    )
    assert (
        page.get_by_text("Strongest in A").count()
        == page.get_by_text("Strongest for its counterpart in B").count()
        == 1
    )
