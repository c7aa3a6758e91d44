"""All that is asked of one set of points, and what it says in words."""

import dataclasses

import numpy as np
import pytest

from microtome.formulas.cone_report import ConeReport, cone_report
from microtome.formulas.cone_words import HEADER, cells, explained_in_words, nulls_in_words, number
from microtome.formulas.weight_cone import synthetic_cone


@pytest.fixture(scope="module")
def cone() -> ConeReport:
    return cone_report(synthetic_cone(150, np.random.default_rng(0)), 300, 99, (0,))


def test_a_cone_from_0_is_one_by_both_tests_and_keeps_its_controls(cone) -> None:
    assert cone.verdict == "cone" and cone.gathered and not cone.spread
    assert list(cone.controls) == ["rows of one length", "the same norms", "as sparse"]
    assert cone.robust == (max(cone.controls.values()) <= 0.01)


def test_the_corners_of_a_simplex_cancel_more_than_shuffled_entries() -> None:
    report = cone_report(np.eye(12) - 1 / 12, 12, 99, (0,))
    assert report.spread and not report.gathered
    assert report.verdict == "underpowered" and report.controls == {} and not report.robust


def test_a_report_comes_back_from_its_state(cone) -> None:
    again = ConeReport.from_state(dataclasses.asdict(cone))
    assert cells(again) == cells(cone) and again.controls == cone.controls


def test_two_points_allow_no_test() -> None:
    report = cone_report(np.eye(2), 2, 99, (0,))
    assert report.verdict == "underpowered" and nulls_in_words(report) == "2 points allow no test"


def test_cells_stand_under_the_words_of_the_header(cone) -> None:
    found = dict(zip(HEADER, cells(cone), strict=True))
    assert found["n x d"] == "150 x 3 of 300" and found["verdict"] == "cone"
    assert found["R"].endswith(" high") and found["p cloud"] == "0.01"
    assert number(float("nan")) == "–"


def test_words_name_the_controls_that_would_give_the_cone_too(cone) -> None:
    drawn = dataclasses.replace(cone, norms=np.ones(99))
    assert explained_in_words(drawn).startswith("which ") and "the same norms" in explained_in_words(drawn)
