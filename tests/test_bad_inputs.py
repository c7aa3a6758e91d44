"""Whatever is wrong with what users give: it is said in three parts, and nothing is lost or left behind."""

import pytest

from bad_inputs import CASES, HEADER, TABLE, Case, contents, prepared, row, said
from keyboard import typed


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_bad_input_is_answered_as_the_table_says_and_nothing_is_lost(case: Case) -> None:
    with prepared(case) as folder:
        before = contents(folder)
        code, out, err = typed(case.words, folder)
        after = contents(folder)
    text = said(case, out, err)
    assert code == case.code, out + err
    assert row(case, text) in TABLE.read_text().splitlines()
    assert {name: after.get(name) for name in before} == before
    new = {name for name in after.keys() - before.keys() if not name.startswith(tuple(f"{p}/" for p in case.leaves))}
    assert new == set()
    assert "Traceback" not in err


@pytest.mark.parametrize("case", [case for case in CASES if case.code], ids=lambda case: case.title)
def test_a_message_has_three_sentences_and_no_path_of_the_machine(case: Case) -> None:
    (line,) = [line for line in TABLE.read_text().splitlines() if line.startswith(f"| {case.title} |")]
    text = line.split(" | ")[2]
    assert len([part for part in text.split(". ") if part]) >= 3
    assert "/tmp" not in text and "home" not in text


def test_the_table_holds_these_cases_and_no_others() -> None:
    titles = [line.split(" | ")[0].removeprefix("| ") for line in TABLE.read_text().splitlines() if line[:2] == "| "][
        2:
    ]
    assert titles == [case.title for case in CASES]
    assert len(titles) == len(set(titles)) >= 30
    assert TABLE.read_text().startswith(HEADER)
