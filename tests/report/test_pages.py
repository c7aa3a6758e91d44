"""The pages as a person meets them: in a browser, opened from the file system."""

import pytest

pytestmark = pytest.mark.browser

PAGES = ["#/", "#/layer/conv2", "#/unit/conv2/3", "#/layer/conv3?sort=twin", "#/card/activity-by-layer"]


@pytest.mark.parametrize("address", PAGES)
def test_a_page_opens_without_a_word_on_the_console(visitor, address):
    visitor.visit(address)
    assert visitor.complaints == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("address", PAGES[:3])
def test_no_page_scrolls_sideways(visitor, address, width):
    visitor.page.set_viewport_size({"width": width, "height": 900})
    page = visitor.visit(address)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_first_page_lists_findings_with_their_controls(visitor, run):
    page = visitor.visit("#/")
    sentences = {f.sentence for result in run.results.values() for f in result.findings()}
    assert {text.strip() for text in page.locator(".findings a").all_text_contents()} == sentences
    assert page.locator(".findings .control").count() == len(sentences)


def test_a_layer_page_shows_a_cell_for_every_unit(visitor):
    assert visitor.visit("#/layer/conv2").locator(".grid .cell").count() == 64


def test_pictures_are_drawn_when_they_come_into_view(visitor):
    page = visitor.visit("#/layer/conv1")
    page.wait_for_selector(".cell canvas[data-drawn=yes]")
    assert page.locator(".cell canvas[data-drawn=yes]").count() > 1
    assert page.locator(".cell canvas").first.evaluate("canvas => canvas.width") > 10


def test_the_order_of_the_grid_is_that_of_the_chosen_column(visitor, run):
    page = visitor.visit("#/layer/conv2?sort=twin")
    shown = [int(text) for text in page.locator(".cell .caption b").all_inner_texts()]
    twins = run["twins"].correlation["conv2"][:, 0]
    assert [round(float(twins[unit]), 3) for unit in shown] == sorted((round(float(t), 3) for t in twins), reverse=True)


def test_a_filter_keeps_only_flagged_units(visitor, run):
    page = visitor.visit("#/layer/conv2?filter=dead")
    assert page.locator(".grid .cell").count() == int(run["activity"].dead["conv2"].sum())


def test_the_choice_of_order_goes_into_the_address(visitor):
    page = visitor.visit("#/layer/conv2")
    page.locator("select[name=sort]").select_option("std")
    assert page.url.endswith("#/layer/conv2?sort=std")


def test_arrow_keys_move_over_the_grid_and_enter_opens_a_unit(visitor):
    page = visitor.visit("#/layer/conv2")
    page.locator(".cell").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#/unit/conv2/2'")
    assert page.locator("h1").inner_text() == "conv2:2"


def test_a_unit_page_shows_nine_strongest_images_and_nine_weaker_ones(visitor, run):
    unit = int((~run["activity"].dead["conv2"]).argmax())
    page = visitor.visit(f"#/unit/conv2/{unit}")
    assert page.locator("section[aria-label=sees] .card.crops .crop").count() == 18


def test_reconstructions_stand_below_the_images_that_they_are_of(visitor, run):
    page = visitor.visit("#/unit/conv1/2")
    card = page.locator("article.crops", has=page.get_by_role("heading", name="Strongest images"))
    figures = card.locator("figure")
    assert figures.count() == 9
    shown = run["deconvnet"].maps["conv1"].shape[1]
    assert [figures.nth(place).locator("canvas").count() for place in range(9)] == [2] * shown + [1] * (9 - shown)
    assert card.get_by_role("heading", name="Reconstructions").count() == 1
    assert "random areas" in card.inner_text() and "With shuffled weights" in card.inner_text()
    assert page.locator("article.pictures h3", has_text="Reconstructions").count() == 0


def test_a_grown_picture_says_what_it_reaches_and_a_unit_without_one_says_so(visitor, run):
    result = run["superstimuli"]
    units = result.units["conv2"].tolist()
    page = visitor.visit(f"#/unit/conv2/{units[0]}")
    card = page.locator("section[aria-label=dreams] article.pictures")
    assert card.locator("canvas, img").count() == 1
    assert card.locator("figcaption").inner_text() in {result._caption("conv2", 0)}
    others = sorted(set(range(result.widths["conv2"])) - set(units))
    if others:
        page = visitor.visit(f"#/unit/conv2/{others[0]}")
        assert "No picture" in page.locator("section[aria-label=dreams] article.pictures").inner_text()


def test_a_unit_page_says_what_happens_when_it_is_silenced(visitor, run):
    page = visitor.visit("#/unit/conv2/3")
    card = page.locator("section[aria-label=feeds] article", has_text="When it is silenced")
    (mine,) = [card for card in run["effects"].cards() if card.layer == "conv2"]
    assert mine.content.lines[3] in card.inner_text() and "Random units of the layer" in card.inner_text()


def test_pointing_at_a_crop_shows_where_it_lies_in_the_image(visitor, run):
    unit = int((~run["activity"].dead["conv1"]).argmax())
    page = visitor.visit(f"#/unit/conv1/{unit}")
    page.locator(".crop").first.hover()
    assert page.locator("#lens .frame").is_visible()


def test_the_next_unit_is_one_arrow_key_away(visitor):
    page = visitor.visit("#/unit/conv2/3")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash === '#/unit/conv2/4'")
    assert page.title().startswith("conv2:4")


@pytest.mark.parametrize(
    ("address", "words"),
    [("#/layer/conv9", 'no layer "conv9"'), ("#/unit/conv2/999", "units 0 to 63, not 999")],
)
def test_an_address_that_leads_nowhere_says_so(visitor, address, words):
    assert words in visitor.visit(address).locator("[role=alert]").inner_text()


def test_the_map_has_a_column_for_every_layer(visitor, run):
    page = visitor.visit("#/")
    assert page.locator(".strip a").count() == len(run.info["layers"])


def test_every_picture_and_control_has_a_name_for_those_who_cannot_see_it(visitor):
    for address in PAGES[:3]:
        page = visitor.visit(address)
        nameless = page.evaluate(
            """[...document.querySelectorAll('canvas:not([aria-hidden]), svg, select, input, button')].filter((e) =>
            !(e.getAttribute('aria-label') || e.closest('label') || e.textContent.trim())).length"""
        )
        assert nameless == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(visitor, scheme):
    visitor.page.emulate_media(color_scheme=scheme)
    page = visitor.visit("#/")
    ratios = page.evaluate(CONTRAST)
    assert min(ratios.values()) >= 4.5, ratios  # WCAG 2.2 AA


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (text) => parse(text).map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const paper = getComputedStyle(document.body).backgroundColor;
  const card = getComputedStyle(document.querySelector('.card')).backgroundColor;
  const colour = (selector) => getComputedStyle(document.querySelector(selector)).color;
  return { text: ratio(colour('h1'), paper), link: ratio(colour('.findings a'), paper),
    quiet: ratio(colour('.how'), paper), card: ratio(colour('.card .how'), card),
    control: ratio(colour('.findings .control'), paper) };
}"""


def test_every_card_begins_at_its_left_edge(visitor):
    """A class of a card's kind once met that of the numbers beside contact sheets."""
    for address in ("", "#/unit/conv1/2"):
        page = visitor.visit(address)
        aligned = page.eval_on_selector_all(
            "article.card", "cards => cards.map((card) => [card.className, getComputedStyle(card).textAlign, "
            "getComputedStyle(card).display])"
        )  # fmt: skip
        assert aligned and {tuple(found[1:]) for found in aligned} == {("start", "block")}, aligned
