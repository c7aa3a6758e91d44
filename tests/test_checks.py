import pytest

from microtome.checks import at_least, closest, known
from microtome.errors import UnknownName, UsageError

LAYERS = ["conv1", "conv2", "fc"]


def test_a_known_name_is_given_back() -> None:
    assert known("Site", "fc", LAYERS, "List them") == "fc"


def test_a_misspelt_name_is_told_the_closest_one() -> None:
    with pytest.raises(UnknownName) as caught:
        known("Site", "conv3", iter(LAYERS), "`microtome sites MODEL` lists them all")
    assert str(caught.value) == (
        "Site 'conv3' does not exist. There are: conv1, conv2, fc. "
        "Did you mean 'conv2'? `microtome sites MODEL` lists them all."
    )


def test_a_name_like_no_other_is_told_the_choices() -> None:
    with pytest.raises(UnknownName) as caught:
        known("Site", "xyz", LAYERS, "List them")
    assert str(caught.value) == "Site 'xyz' does not exist. There are: conv1, conv2, fc. List them."


def test_a_long_list_of_choices_is_cut_short() -> None:
    with pytest.raises(UnknownName) as caught:
        known("Site", "xyz", [str(number) for number in range(20)], "List them")
    assert caught.value.allowed == "There are: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more"


def test_no_choices_at_all_are_said_to_be_none() -> None:
    with pytest.raises(UnknownName) as caught:
        known("Site", "fc", [], "Give a model with layers")
    assert str(caught.value) == "Site 'fc' does not exist. There are: none. Give a model with layers."


@pytest.mark.parametrize(("name", "meant"), [("con2", "conv2"), ("fcc", "fc"), ("pool", None), ("", None)])
def test_the_closest_choice_is_the_one_that_looks_alike(name: str, meant: str | None) -> None:
    assert closest(name, LAYERS) == meant


@pytest.mark.parametrize("value", [3, 4])
def test_a_number_that_is_large_enough_is_given_back(value: int) -> None:
    assert at_least("k", value, 3) == value


def test_a_number_that_is_too_small_is_told_the_smallest() -> None:
    with pytest.raises(UsageError) as caught:
        at_least("k", 2, 3)
    assert str(caught.value) == "k is 2. It must be 3 or more. Give k a larger number."
