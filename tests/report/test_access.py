"""Pages without a mouse, without good eyes, and on a phone."""

import pytest

pytestmark = pytest.mark.browser

PAGES = ["#/", "#/layer/conv2", "#/unit/conv2/3"]


@pytest.fixture(params=PAGES)
def page(visitor, request):
    """A page with everything unfolded and drawn."""
    shown = visitor.visit(request.param)
    if shown.locator("#unfold").count():
        shown.locator("#unfold").click()
    shown.wait_for_function("!document.querySelector('canvas[role=img]:not([data-drawn])')", timeout=15_000)
    return shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page, scheme) -> None:
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate(FAINT) == []


# Texts whose contrast is below 4.5 (WCAG 2.2 AA); those on coloured cells of matrices have a test of their own.
FAINT = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => rgb.slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const holder = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !holder.checkVisibility()) continue;
    if (holder.closest('script, noscript, title, option, .on-light, .on-dark')) continue;
    const style = getComputedStyle(holder);
    const [a, b] = [light(parse(holder.closest('svg') ? style.fill : style.color)), light(behind(holder))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.add(`${holder.tagName}.${holder.getAttribute('class')} ${ratio.toFixed(1)}`);
  }
  return [...faint];
}"""


def test_numbers_on_coloured_cells_stand_out(visitor) -> None:
    visitor.visit("#/")
    found = visitor.page.evaluate("""() => {
      const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      const light = (rgb) => rgb.match(/[\\d.]+/g).slice(0, 3).map((v) => linear(v / 255))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      return [...document.querySelectorAll('.on-light, .on-dark')].map((text) => {
        const [a, b] = [light(getComputedStyle(text).fill), light(getComputedStyle(text.previousElementSibling).fill)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      });
    }""")
    assert found and min(found) >= 4.5


def test_headings_leave_out_no_level_and_names_are_given_once(page) -> None:
    levels = page.locator("main :is(h1, h2, h3)").evaluate_all("all => all.map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    names = page.locator("[id]").evaluate_all("all => all.map((one) => one.id)")
    assert sorted(set(names)) == sorted(names)


def test_every_control_has_a_name_and_every_stop_of_the_tab_key_shows_that_it_is_there(page) -> None:
    wrong = page.evaluate("""() => [...document.querySelectorAll(
        'a[href], button, select, input, summary, [tabindex="0"]')]
      .filter((one) => one.checkVisibility() && one.tabIndex >= 0).filter((one) => {
        one.focus({ preventScroll: true });
        const named = one.getAttribute('aria-label') || one.closest('label') || one.textContent.trim();
        const unseen = one.matches(':focus-visible') && getComputedStyle(one).outlineStyle === 'none';
        return !named || document.activeElement !== one || unseen;
      }).map((one) => one.outerHTML.slice(0, 120))""")
    assert wrong == []


def test_nothing_scrolls_sideways_on_a_phone_when_all_is_unfolded(page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_grid_is_one_stop_of_the_tab_key_with_ends(visitor) -> None:
    page = visitor.visit("#/layer/conv2")
    assert page.locator(".cell[tabindex='0']").count() == 1
    page.locator("input[name=q]").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.querySelector('b').textContent") == "0"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.querySelector('b').textContent") == "63"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.querySelector('b').textContent") == "63"
    assert page.url.endswith("#/layer/conv2")


def test_the_lens_comes_with_the_focus_and_goes_with_escape(visitor, run) -> None:
    unit = int((~run["activity"].dead["conv1"]).argmax())
    page = visitor.visit(f"#/unit/conv1/{unit}")
    page.locator(".crop").first.focus()
    assert page.locator("#lens .frame").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#lens").is_visible()


def test_the_columns_of_the_map_are_links_of_a_list(visitor) -> None:
    page = visitor.visit("#/")
    assert page.get_by_role("listitem").filter(has=page.get_by_role("link", name="conv2, 64 units")).count() == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_a_table_is_a_stop_of_the_tab_key_only_where_it_scrolls(page, width) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(200)
    wrong = page.locator(".scroll").evaluate_all(
        "all => all.filter((one) => (one.scrollWidth > one.clientWidth) !== (one.tabIndex === 0)).length"
    )
    assert wrong == 0
