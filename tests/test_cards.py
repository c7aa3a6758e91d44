import dataclasses
import inspect
from typing import get_args

import numpy as np
import pytest

from microtome import cards
from microtome.cards import Card, Column, Crops, Finding, Series, Sheet, Text, card_link, layer_link, unit_link


def every_kind() -> list[type]:
    return [item for item in vars(cards).values() if inspect.isclass(item) and item.__module__ == cards.__name__]


def test_a_card_holds_any_of_the_kinds() -> None:
    assert set(get_args(cards.Content)) == set(every_kind()) - {Card, Finding, Column, Series, Sheet}


@pytest.mark.parametrize("kind", every_kind())
def test_every_kind_is_frozen_and_takes_keywords_only(kind: type) -> None:
    assert kind.__dataclass_params__.frozen and all(item.kw_only for item in dataclasses.fields(kind))


def test_a_card_belongs_to_the_network_unless_said() -> None:
    card = Card(title="Depth", how_to_read="Read it", content=Text(lines=("one",)))
    assert (card.layer, card.per_unit, card.section, card.control) == ("", False, "numbers", "")


def test_crops_need_no_captions() -> None:
    assert len(Crops(index=np.zeros((2, 3), int), boxes=np.zeros((2, 3, 4), int)).captions) == 0


def test_a_layer_has_an_address() -> None:
    assert layer_link("layer1.0.conv1") == "#/layer/layer1.0.conv1"


def test_a_layer_can_be_addressed_with_a_question() -> None:
    assert layer_link("fc", "sort=mean") == "#/layer/fc?sort=mean"


def test_a_unit_has_an_address() -> None:
    assert unit_link("features.7.expand3x3", 12) == "#/unit/features.7.expand3x3/12"


def test_a_card_is_addressed_by_the_letters_of_its_title() -> None:
    assert card_link("Most confident errors: 5%") == "#/card/most-confident-errors--5-"
