"""Units in words by the line that they answer most, where lines of two widths agree."""

import numpy as np
import pytest

from microtome.formulas.line_words import Answers, words_by_lines
from microtome.formulas.templates import ANGLES

OFFSETS = np.arange(-3.0, 3.5)


def answers(*tuned: tuple[float, float, float]) -> Answers:
    """Units that answer to an angle at an offset, so much; the neighbouring angles half as much."""
    response = np.zeros((len(tuned), len(ANGLES), len(OFFSETS)))
    for unit, (theta, offset, strength) in enumerate(tuned):
        angle, place = ANGLES.index(theta), OFFSETS.tolist().index(offset)
        for step, share in ((-1, 0.4), (0, 1.0), (1, 0.4)):
            response[unit, (angle + step) % len(ANGLES), place] = share * strength
    return Answers(response=response, offset=np.tile(OFFSETS, (len(ANGLES), 1)))


def test_a_line_is_named_from_the_side_on_which_the_unit_is() -> None:
    same = answers((45.0, 0.0, 1.0), (0.0, 2.0, 3.0), (90.0, 0.0, -2.0))
    words, agreement = words_by_lines(same, same)
    assert words == ["line at slope 45", "lower side of horizontal line", "neg(vertical line)"]
    assert agreement == pytest.approx(1)


def test_lines_of_two_widths_have_to_agree_on_the_angle() -> None:
    words, agreement = words_by_lines(answers((45.0, 0.0, 1.0)), answers((135.0, 0.0, 1.0)))
    assert words == [""] and agreement[0] < 0.1


def test_a_unit_that_wide_lines_excite_at_every_angle_has_no_words() -> None:
    narrow = answers((45.0, 0.0, 1.0))
    flat = Answers(response=5 + narrow.response, offset=narrow.offset)
    words, agreement = words_by_lines(narrow, flat)
    assert words == [""] and agreement[0] == pytest.approx(1)


def test_a_unit_that_no_line_excites_has_no_words() -> None:
    silent = answers((45.0, 0.0, 0.0))
    words, agreement = words_by_lines(silent, silent)
    assert words == [""] and agreement.tolist() == [0.0]
