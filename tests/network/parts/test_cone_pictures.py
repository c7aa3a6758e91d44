"""The drawn cones are those of the arithmetic."""

import numpy as np

from microtome.network.parts.cone_pictures import INNER, SKETCHES, circulant, draw_cone, draw_states


def test_a_circulant_matrix_is_the_kernel_at_every_place() -> None:
    kernel, values = np.array([1.0, 0.5, -0.2]), np.array([3.0, 1.0, 2.0])
    wrapped = [sum(kernel[(j - i) % 3] * values[j] for j in range(3)) for i in range(3)]
    assert np.allclose(circulant(kernel) @ values, wrapped)


def test_edges_of_the_drawn_cone_are_zero_at_two_places_and_positive_at_the_third() -> None:
    kernel, bias = np.array([1.0, 0.35, -0.1]), -0.6
    axes = draw_cone(kernel, bias).axes[0]
    edges = [np.stack(line.get_data_3d(), 1) for line in axes.lines[1:]]
    assert len(edges) == 3
    for edge in edges:
        at_end = circulant(kernel) @ edge[1] + bias
        assert np.allclose(circulant(kernel) @ edge[0] + bias, 0), "the apex"
        assert sorted(np.round(at_end, 9) > 0) == [False, False, True] and np.isclose(at_end, 0).sum() == 2


def test_the_sketches_are_what_they_are_called() -> None:
    """A point beside the outer apex, and far away on an edge of the outer cone, is in the inner one or not."""

    def inside(point: np.ndarray, place: float, angle: float) -> bool:
        away = point - place
        turn = np.degrees(np.arccos(np.clip(away.sum() / np.sqrt(2) / np.linalg.norm(away), -1, 1)))
        return bool(turn <= angle if angle < 90 else turn >= angle)

    for state, (place, angle) in SKETCHES.items():
        apex_in = inside(np.full(2, place) + 1e-9, *INNER)
        turn = np.radians(45 + angle)
        edge_in = inside(np.full(2, place) + 50 * np.array([np.cos(turn), np.sin(turn)]), *INNER)
        wanted = {"OUT_PARTIAL_IN": (True, False), "OUT_FULL_IN": (True, True), "IN_PARTIAL_OUT": (False, True),
                  "IN_FULL_OUT": (False, False), "FACING": (True, False), "DISJOINT": (False, False)}  # fmt: skip
        assert (apex_in, edge_in) == wanted[state], state
    assert [axes.get_title() for axes in draw_states().axes] == list(SKETCHES)
