"""The first page in its order: what was found, then what was asked, by topic, in folds; and the contents of pages."""

import pytest

from microtome.cards import TOPICS
from microtome.report.build import FIRST, build_report
from microtome.runs.run import Run
from page_data import read


def findings(run: Run) -> list:
    return sorted((f for result in run.results.values() for f in result.findings()), key=lambda f: -f.weight)


def test_every_question_stands_once_under_its_topic_with_its_weightiest_answer(run) -> None:
    topics = read(run.folder / "data" / "network.js")["topics"]
    told = {one["question"]: (topic["key"], one["answer"]) for topic in topics for one in topic["questions"]}
    assert sum(len(topic["questions"]) for topic in topics) == len(told) == len(run.results)
    for name, result in run.results.items():
        first = max(result.findings(), key=lambda f: f.weight, default=None)
        assert told[run.registry[name].question] == (run.registry[name].topic, first.sentence if first else "")
    assert [topic["key"] for topic in topics] == [key for key in TOPICS if key in {place for place, _ in told.values()}]


def test_every_card_of_the_network_stands_under_its_question(run) -> None:
    topics = read(run.folder / "data" / "network.js")["topics"]
    told = {one["question"]: [card["title"] for card in one["cards"]] for topic in topics for one in topic["questions"]}
    for name, result in run.results.items():
        assert told[run.registry[name].question] == [card.title for card in result.cards() if not card.layer]


@pytest.mark.parametrize("topic", ["further", "spelt wrong"])
def test_a_plugin_without_a_topic_of_the_page_stands_under_the_last(run, tmp_path, monkeypatch, topic) -> None:
    monkeypatch.setattr(run.registry["twins"], "topic", topic)
    build_report(run, tmp_path)
    last = read(tmp_path / "data" / "network.js")["topics"][-1]
    assert (last["key"], [one["question"] for one in last["questions"]]) == (
        "further",
        [run.registry["twins"].question],
    )


def test_a_question_that_was_skipped_says_why(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(run.info, "skipped", {"twins": "There is but one unit."})
    build_report(run, tmp_path)
    topics = read(tmp_path / "data" / "network.js")["topics"]
    (why,) = [one["skipped"] for topic in topics for one in topic["questions"] if "skipped" in one]
    assert why == "There is but one unit."


@pytest.mark.browser
def test_the_weightiest_findings_are_seen_at_once_and_the_others_unfolded(visitor, run) -> None:
    page = visitor.visit("#/")
    sentences = [finding.sentence for finding in findings(run)]
    links = page.locator(".findings a")
    assert [link.is_visible() for link in links.all()] == [True] * FIRST + [False] * (len(sentences) - FIRST)
    assert links.all_text_contents() == sentences
    page.get_by_text(f"{len(sentences) - FIRST} further findings").focus()
    page.keyboard.press("Enter")
    assert all(link.is_visible() for link in links.all())


@pytest.mark.browser
def test_the_first_page_is_a_few_screens_long(visitor) -> None:
    visitor.page.set_viewport_size({"width": 1240, "height": 900})
    page = visitor.visit("#/")
    assert page.evaluate("document.documentElement.scrollHeight") < 5 * 900


@pytest.mark.browser
def test_the_contents_lead_to_every_part_of_the_first_page(visitor) -> None:
    page = visitor.visit("#/")
    places = page.locator("main section[id^=part-]").evaluate_all("all => all.map((one) => one.id.slice(5))")
    links = page.locator(".contents a").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    assert links == [f"#/part/{place}" for place in places]
    page.locator(".contents a", has_text="How far can").click()
    assert page.evaluate("document.activeElement.id") == "part-trust"
    assert page.locator("#part-trust details[open]").count() == 1


@pytest.mark.browser
@pytest.mark.parametrize("fresh", [True, False])
def test_a_link_to_a_folded_card_opens_its_fold(visitor, fresh) -> None:
    page = visitor.page if fresh else visitor.visit("#/")
    address = "#/card/pattern-or-place"
    if fresh:
        visitor.visit(address)
    else:
        page.evaluate(f"location.hash = '{address}'")
    page.wait_for_function("document.activeElement.id === 'card-pattern-or-place'")
    assert page.locator("#card-pattern-or-place").is_visible()
    assert page.locator("#card-pattern-or-place").bounding_box()["y"] > 80  # not below what sticks to the top


@pytest.mark.browser
def test_what_was_unfolded_stays_so_when_one_goes_to_another_part(visitor) -> None:
    page = visitor.visit("#/")
    fold = page.locator("#part-well details").last
    fold.locator("summary").click()
    page.locator(".contents a").last.click()
    page.wait_for_function("document.activeElement.id === 'part-made'")
    assert fold.get_attribute("open") is not None
    assert page.locator("#part-made details").get_attribute("open") is not None


@pytest.mark.browser
def test_one_button_unfolds_all_and_folds_all(visitor) -> None:
    page = visitor.visit("#/")
    button, folded = page.locator("#unfold"), page.locator("main details:not([open])")
    assert folded.count() > 5
    button.click()
    assert (folded.count(), button.inner_text()) == (0, "fold all")
    button.click()
    assert page.locator("main details[open]").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize(
    ("address", "part"),
    [("#/layer/conv2", "card-kernels"), ("#/unit/conv2/3", "part-made-of"), ("#/unit/conv2/3", "part-numbers")],
)
def test_layers_and_units_have_contents_too_and_their_parts_addresses(visitor, address, part) -> None:
    page = visitor.visit(address)
    link = page.locator(f".contents a[href$='at={part.split('-', 1)[1]}']")
    link.click()
    page.wait_for_function(f"document.activeElement.id === '{part}'")
    visitor.visit(f"{address}?at={part.split('-', 1)[1]}")
    assert page.evaluate("document.activeElement.id") == part


@pytest.mark.browser
@pytest.mark.parametrize("address", ["#/", "#/layer/conv2", "#/unit/conv2/3"])
def test_all_pictures_are_drawn_soon_after_a_page_is_opened(visitor, address) -> None:
    page = visitor.visit(address)
    page.wait_for_function("!document.querySelector('canvas[role=img]:not([data-drawn])')", timeout=15_000)
    assert page.locator("canvas[data-drawn]").count() > 5


@pytest.mark.browser
def test_paper_has_no_folds(visitor) -> None:
    page = visitor.visit("#/")
    before = page.locator("main details[open]").count()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("main details:not([open])").count() == 0
    page.wait_for_function("!document.querySelector('canvas[role=img]:not([data-drawn])')", timeout=15_000)
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("main details[open]").count() == before
