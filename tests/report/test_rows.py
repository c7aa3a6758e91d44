"""Rows that lead on to other units: how they are written down, and a click from a unit down to what feeds it."""

import numpy as np
import pytest
from PIL import Image

from microtome.cards import Card, Rows
from microtome.report.encode import encode_card


def test_every_picture_lies_where_the_page_looks_for_it_and_every_text_is_kept_once(tmp_path) -> None:
    units, rows, each = 5, 3, 2
    pixels = np.broadcast_to(np.arange(units * rows * each).reshape(units, rows, each, 1, 1, 1), (5, 3, 2, 4, 6, 3))
    content = Rows(
        layers=("conv",), layer=np.zeros((units, rows), int), unit=np.tile([1, 2, -1], (units, 1)),
        words=(("one", "two", ""),) * units, headings=("share",), values=np.full((units, rows, 1), np.nan),
        pictures=("x", "a"), pixels=pixels.astype(np.uint8),
    )  # fmt: skip
    card = Card(title="Fed", layer="conv", per_unit=True, section="feeds", how_to_read="Look.", content=content)
    told = encode_card(card, tmp_path / "rows")
    assert (told["kind"], told["texts"], told["words"][4]) == ("rows", ["one", "two", ""], [0, 1, 2])
    assert told["values"][0] == [[None]] * 3 and told["index"] == []
    with Image.open(tmp_path / told["sprite"]) as opened:
        drawn = np.asarray(opened)
    for place in range(units * rows * each):
        top, left = place // told["columns"] * told["height"], place % told["columns"] * told["width"]
        assert (drawn[top : top + 4, left : left + 6] == place).all()


@pytest.mark.browser
def test_a_click_on_a_row_descends_to_the_unit_that_feeds_it(visitor, run) -> None:
    page = visitor.visit("#/unit/conv2/3")
    found = run["dissection"]
    rows = page.locator(".card.rows tbody tr")
    assert rows.count() == found.channel["conv2"].shape[1] + 1
    first = rows.first
    assert f"conv1:{found.unit['conv2'][3, 0]}" in first.inner_text()
    first.scroll_into_view_if_needed()
    first.locator("canvas[data-drawn]").first.wait_for()
    first.locator("td.figure").first.click()
    page.wait_for_function(f"location.hash === '#/unit/conv1/{found.unit['conv2'][3, 0]}'")
