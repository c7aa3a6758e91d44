"""Keys of statistics with special settings; that of every statistic is in the contract."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pytest

from microtome.statistics import Accumulator, Extremes, Rows, Statistic
from microtome.statistics.moments import MomentsAccumulator


def test_a_key_is_the_name_and_the_settings() -> None:
    assert Rows(what="largest", images=3).key() == 'Rows{"images": 3, "positions": 1, "what": "largest"}'


def test_a_number_of_numpy_has_the_key_of_the_number() -> None:
    assert Extremes(k=np.int64(4)).key() == Extremes(k=4).key()


@dataclass(frozen=True, kw_only=True)
class Projected(Statistic):
    """A statistic with an array among its settings."""

    basis: np.ndarray

    def start(self) -> Accumulator:
        return MomentsAccumulator()


BASIS = np.arange(6.0).reshape(2, 3)


def test_an_array_enters_the_key_by_a_hash_of_its_contents() -> None:
    digest = hashlib.blake2b(BASIS.tobytes(), digest_size=16).hexdigest()
    assert Projected(basis=BASIS).key() == f'Projected{{"basis": "float64(2, 3){digest}"}}'


def test_the_memory_layout_of_an_array_does_not_enter_the_key() -> None:
    assert Projected(basis=np.asfortranarray(BASIS)).key() == Projected(basis=BASIS).key()


@pytest.mark.parametrize(
    "other",
    [BASIS + 1e-9, BASIS.reshape(3, 2), BASIS[:1], BASIS.view(np.int64)],
    ids=["values", "shape", "part", "type"],
)
def test_another_array_has_another_key(other: np.ndarray) -> None:
    assert Projected(basis=other).key() != Projected(basis=BASIS).key()


def test_a_number_and_an_array_of_that_one_number_have_different_keys() -> None:
    assert Projected(basis=np.array(2.0)).key() != Projected(basis=np.array([2.0])).key()


def test_a_setting_without_contents_that_last_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot be part of a statistic's key"):
        Projected(basis=object()).key()
