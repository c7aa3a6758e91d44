"""Contact sheets of maps: the file they are in, and how the page shows them."""

import re

import numpy as np
import pytest
from PIL import Image

from microtome.cards import Card, Sheet, Sheets
from microtome.figures import columns_of
from microtome.report.encode import encode_card


def card(*views: Sheet) -> Card:
    return Card(title="Maps", layer="conv", section="sees", how_to_read="Look.", content=Sheets(views=views))


def numbered(units: int, height: int, width: int, start: int = 0) -> np.ndarray:
    """Every unit's picture has a colour of its own."""
    colours = (start + np.arange(units))[:, None, None, None]
    return np.broadcast_to(colours, (units, height, width, 3)).astype(np.uint8)


def test_every_units_picture_lies_where_the_page_looks_for_it(tmp_path):
    views = [Sheet(pixels=numbered(7, 4, 5), caption="one"), Sheet(pixels=numbered(7, 2, 2, start=50), caption="two")]
    told = encode_card(card(*views), tmp_path / "sheet")
    with Image.open(tmp_path / told["sprite"]) as opened:
        pixels = np.asarray(opened)
    for start, view in zip((0, 50), told["views"], strict=True):
        for unit in range(7):
            left = unit % view["columns"] * (view["width"] + 1)
            top = view["top"] + unit // view["columns"] * (view["height"] + 1)
            assert (pixels[top : top + view["height"], left : left + view["width"]] == start + unit).all()


def test_a_sheet_says_where_it_belongs_what_it_shows_and_what_was_lost(tmp_path):
    lost = np.array([0.12345, np.nan])
    known = Sheet(pixels=numbered(2, 3, 3), caption="after", index=5, lost=lost)
    unknown = Sheet(pixels=numbered(2, 3, 3), caption="dot", lost=np.full(2, np.nan))
    told = encode_card(card(known, unknown), tmp_path / "sheet")
    assert (told["kind"], told["layer"], told["section"], told["units"]) == ("sheets", "conv", "sees", 2)
    assert [(view["caption"], view["image"], view["lost"]) for view in told["views"]] == [
        ("after", 5, [0.123, None]), ("dot", -1, None)]  # fmt: skip


@pytest.mark.parametrize("count", [*range(1, 40), 48, 64, 96, 128, 256, 1000])
def test_a_sheet_is_about_square_and_full_where_it_can_be(count):
    columns = columns_of(count)
    lines = -(-count // columns)
    assert (lines - 1) * columns < count <= lines * columns
    assert columns <= 1.5 * np.ceil(np.sqrt(count))
    assert lines <= columns + 1


@pytest.mark.parametrize(("count", "columns"), [(16, 4), (64, 8), (96, 12), (128, 16), (512, 32), (1000, 40)])
def test_usual_numbers_of_units_leave_no_empty_places(count, columns):
    assert columns_of(count) == columns


@pytest.mark.browser
def test_a_layer_page_shows_a_sheet_for_every_stage_and_picture(visitor, run):
    page = visitor.visit("#/layer/conv2")
    result = run["maps"]
    assert page.locator(".card.sheets .sheet canvas").count() == 3 * len(result.samples) + len(result.stimuli)
    shares = np.sort(result.lost["conv2"]["after"][0])
    caption = page.locator(".card.sheets figcaption.wide", has_text="after the rectifier").first.inner_text()
    median = float(re.search(r"(\d+(\.\d)?)% thrown away \(median unit\)", caption)[1])
    assert median == pytest.approx(100 * shares[(len(shares) - 1) // 2], abs=0.6)


@pytest.mark.browser
def test_a_click_on_a_picture_of_a_sheet_leads_to_its_unit(visitor):
    page = visitor.visit("#/layer/conv2")
    canvas = page.locator(".card.sheets .sheet canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 2.5 / 8, "y": box["height"] * 3.5 / 8})  # column 2, line 3 of 8
    page.wait_for_function("location.hash === '#/unit/conv2/26'")


@pytest.mark.browser
def test_a_unit_page_shows_the_units_own_pictures_beside_their_images(visitor, run):
    page = visitor.visit("#/unit/conv2/3")
    maps = page.locator("section[aria-label=sees] .card.sheets")
    result = run["maps"]
    count = 3 * len(result.samples) + len(result.stimuli)
    assert maps.locator("canvas[aria-label^='unit 3, ']").count() == count
    assert maps.locator(".crop").count() == len(result.samples)


@pytest.mark.browser
@pytest.mark.parametrize("address", ["#/layer/conv2", "#/unit/conv2/3"])
def test_sheets_fit_a_phone_in_their_proportions(visitor, address):
    visitor.page.set_viewport_size({"width": 390, "height": 900})
    page = visitor.visit(address)
    sizes = page.locator(".card.sheets canvas").evaluate_all(
        "all => all.map((c) => [c.clientWidth / c.clientHeight, c.width / c.height, c.getBoundingClientRect().right])"
    )
    assert sizes
    for shown, drawn, right in sizes:
        assert shown == pytest.approx(drawn, rel=0.05)
        assert right <= 390
    assert visitor.complaints == []
