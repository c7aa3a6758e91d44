"""A rectifier as a rotation: its identities, and the other activations."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from microtome.errors import UsageError
from microtome.formulas.rotation import (
    activation_turn,
    angle_of,
    gain_of,
    largest_leaky_angle,
    leaky_turn,
    orthant_angle,
    rotation_matrix,
    selective_rotation,
    spread_without_structure,
    turn_of_energies,
)

ACTIVATIONS = {
    "leaky": lambda x: F.leaky_relu(x, 0.1), "relu6": F.relu6, "gelu": F.gelu, "silu": F.silu,
    "hardswish": F.hardswish, "elu": F.elu, "tanh": torch.tanh, "minus": torch.neg,
}  # fmt: skip


def vectors(count: int = 300, entries: int = 9) -> np.ndarray:
    """Of independent normal entries; of both signs, or there is no plane to turn in."""
    drawn = np.random.default_rng(0).normal(size=(count, entries))
    return drawn[(drawn > 0).any(1) & (drawn < 0).any(1)]


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


def energies(values: np.ndarray, axis: int | tuple[int, ...] = -1) -> tuple[np.ndarray, np.ndarray]:
    return (relu(values) ** 2).sum(axis), (relu(-values) ** 2).sum(axis)


def test_the_angle_is_that_between_input_and_output() -> None:
    some = vectors()
    np.testing.assert_allclose(selective_rotation(some).angle, np.arccos(cosine(some, relu(some))), rtol=0, atol=1e-12)


def test_the_gain_is_the_share_of_the_length_and_the_cosine_of_the_angle() -> None:
    some = vectors()
    turn = selective_rotation(some)
    lengths = np.linalg.norm(relu(some), axis=-1) / np.linalg.norm(some, axis=-1)
    np.testing.assert_allclose(turn.gain, lengths, rtol=1e-12)
    np.testing.assert_allclose(turn.gain, np.cos(turn.angle), rtol=0, atol=1e-12)
    assert (turn.excess == 1).all()


@pytest.mark.parametrize("vector", vectors(20, 6), ids=str)
def test_a_relu_is_a_turn_and_a_shrinking(vector: np.ndarray) -> None:
    turn, matrix = selective_rotation(vector), rotation_matrix(vector)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(np.cos(turn.angle) * matrix @ vector, relu(vector), atol=1e-12)


def test_a_vector_without_negative_entries_is_not_turned() -> None:
    assert selective_rotation(np.array([2.0, 0, 1])).angle == 0
    assert rotation_matrix(np.array([2.0, 0, 1])).tolist() == np.eye(3).tolist()


def test_a_vector_without_positive_entries_is_turned_by_a_right_angle_and_lost() -> None:
    turn = selective_rotation(np.array([-2.0, 0, -1]))
    assert turn.angle == np.pi / 2 and turn.gain == 0 and np.isnan(turn.excess)
    with pytest.raises(UsageError) as caught:
        rotation_matrix(np.array([-2.0, 0, -1]))
    assert str(caught.value) == (
        "A vector of 3 entries without a positive one was given. A ReLU turns in the plane of what it keeps and of "
        "what it loses; it keeps nothing here. Ask `selective_rotation` for its angle, which is 90 degrees."
    )


def test_of_zeros_no_angle_is_told() -> None:
    zeros = np.zeros(4)
    for turn in (selective_rotation(zeros), activation_turn(zeros, zeros), turn_of_energies(*np.zeros((3, 1)))):
        assert np.isnan(turn.angle).all() and np.isnan(turn.gain).all()
    assert np.isnan(orthant_angle(zeros))


def test_no_vector_of_the_orthant_is_nearer_than_the_output() -> None:
    for vector in vectors(5, 4):
        others = relu(np.random.default_rng(1).normal(size=(10_000, 4))) + 1e-12
        nearest = np.arccos(cosine(others, vector)).min()
        found = orthant_angle(vector)
        assert found <= nearest + 1e-12
        assert nearest - found < 0.15  # ten thousand come as near as this


def test_behind_the_orthant_its_nearest_edge_counts() -> None:
    vector = np.array([-3.0, -1, -2])
    others = relu(np.random.default_rng(1).normal(size=(10_000, 3))) + 1e-12
    found = orthant_angle(vector)
    assert found == pytest.approx(np.arccos(cosine(vector, np.array([0.0, 1, 0]))), abs=1e-12)
    assert found <= np.arccos(cosine(others, vector)).min()


@pytest.mark.parametrize("parts", ["positions", "channels"])
def test_the_squared_cosine_of_a_map_is_the_weighted_mean_of_its_parts(parts: str) -> None:
    maps = np.random.default_rng(2).normal(size=(5, 7, 12))  # N, C, P
    along = 1 if parts == "positions" else 2
    kept, lost = energies(maps, along)
    weights = (kept + lost) / (kept + lost).sum(1, keepdims=True)
    mixed = (weights * np.cos(angle_of(kept, lost)) ** 2).sum(1)
    np.testing.assert_allclose(mixed, np.cos(selective_rotation(maps.reshape(5, -1)).angle) ** 2, rtol=1e-10)


def test_the_length_of_a_vector_does_not_matter_nor_the_order_of_its_entries() -> None:
    some = vectors()
    plain = selective_rotation(some).angle
    np.testing.assert_allclose(selective_rotation(1e-6 * some).angle, plain, rtol=1e-12)
    order = np.random.default_rng(3).permutation(9)
    np.testing.assert_allclose(selective_rotation(some[:, order]).angle, plain, rtol=1e-12)
    matrix = rotation_matrix(some[0])
    np.testing.assert_allclose(rotation_matrix(some[0, order]), matrix[np.ix_(order, order)], atol=1e-12)


@pytest.mark.parametrize("entries", [2, 64])
def test_of_normal_entries_half_of_the_energy_is_kept(entries: int) -> None:
    squares = selective_rotation(np.random.default_rng(4).normal(size=(40_000, entries))).gain ** 2
    assert squares.mean() == pytest.approx(0.5, abs=5 * squares.std() / 200)
    assert squares.std() == pytest.approx(spread_without_structure(entries), rel=0.03)


def test_a_small_angle_keeps_its_digits_in_float32() -> None:
    vector = np.array([3.0, 4.0, -1e-4, 0.0])
    single = vector.astype(np.float32)
    kept, lost = (np.square(relu(part)).sum(dtype=np.float32) for part in (single, -single))
    expected = np.arctan2(1e-4, 5.0)
    assert angle_of(kept, lost) == pytest.approx(expected, rel=1e-5)
    assert gain_of(kept, lost) == pytest.approx(1, abs=1e-7)
    assert turn_of_energies(kept + lost, kept, lost).angle == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_any_activation_turns_by_the_angle_between_input_and_output(name: str) -> None:
    some = vectors()
    after = ACTIVATIONS[name](torch.from_numpy(some)).numpy()
    turn = activation_turn(some, after)
    angle = np.arccos(np.clip(cosine(some, after), -1, 1))
    np.testing.assert_allclose(turn.angle, angle, rtol=0, atol=1e-7)
    np.testing.assert_allclose(turn.gain, np.linalg.norm(after, axis=1) / np.linalg.norm(some, axis=1), rtol=1e-12)
    ahead = np.cos(angle) > 0
    np.testing.assert_allclose((turn.excess * np.cos(turn.angle))[ahead], turn.gain[ahead], rtol=1e-12)
    assert np.isnan(turn.excess[~ahead]).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_three_energies_tell_the_same_turn(name: str) -> None:
    some = vectors()
    after = ACTIVATIONS[name](torch.from_numpy(some)).numpy()
    sums = (np.square(each).sum(1) for each in (some, after, some - after))
    found, expected = turn_of_energies(*sums), activation_turn(some, after)
    np.testing.assert_allclose(found.angle, expected.angle, rtol=0, atol=1e-7)
    np.testing.assert_allclose(found.gain, expected.gain, rtol=1e-12)


def test_only_a_relu_has_no_excess() -> None:
    some = vectors()
    assert np.allclose(activation_turn(some, relu(some)).excess, 1, rtol=0, atol=1e-12)
    for name in ("leaky", "gelu", "silu", "hardswish", "elu", "tanh"):
        turn = activation_turn(some, ACTIVATIONS[name](torch.from_numpy(some)).numpy())
        assert np.nanmax(np.abs(turn.excess - 1)) > 0.05, name


@pytest.mark.parametrize("slope", [0.01, 0.1, 0.5])
def test_a_leaky_relu_turns_as_its_closed_form_says(slope: float) -> None:
    some = vectors()
    expected = activation_turn(some, np.where(some > 0, some, slope * some))
    found = leaky_turn(*energies(some), slope)
    for field in ("angle", "gain", "excess"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=0, atol=1e-12)


def test_a_leaky_relu_without_slope_is_a_relu() -> None:
    kept, lost = energies(vectors())
    np.testing.assert_allclose(leaky_turn(kept, lost, 0).angle, angle_of(kept, lost), atol=1e-12)


@pytest.mark.parametrize("slope", [0.01, 0.1, 0.5])
def test_a_leaky_relu_turns_by_no_more_than_its_largest_angle(slope: float) -> None:
    lost = np.linspace(0, 1, 200_001)
    most = leaky_turn(1 - lost, lost, slope).angle.max()
    assert most == pytest.approx(largest_leaky_angle(slope), abs=1e-8)


def test_the_largest_angle_of_the_usual_leaky_relu() -> None:
    assert np.degrees(largest_leaky_angle(0.1)) == pytest.approx(54.9, abs=0.05)
