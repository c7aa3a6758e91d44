"""Labels of filters whose pattern was planted, of random filters, and of mirrored ones."""

import numpy as np
import pytest

from microtome.formulas.labels import label_kernels, line_tuning, null_r2, orientation_selectivity, significant
from microtome.formulas.templates import ANGLES, bank, distance, grid, in_words, unit

NAMES = {
    ("line", 0, 0): "horizontal line", ("line", 0, 1.5): "lower side of horizontal line",
    ("line", 0, -1.5): "upper side of horizontal line", ("line", 45, 0): "line at slope 45",
    ("line", 45, 1.5): "lower-right side of line at slope 45",
    ("line", 45, -1.5): "upper-left side of line at slope 45",
    ("line", 90, 0): "vertical line", ("line", 90, 1.5): "right side of vertical line",
    ("line", 90, -1.5): "left side of vertical line", ("line", 135, 0): "line at slope 135",
    ("line", 135, 1.5): "upper-right side of line at slope 135",
    ("line", 135, -1.5): "lower-left side of line at slope 135",
}  # fmt: skip


def line(theta: float, offset: float, side: int = 5) -> np.ndarray:
    return np.clip(1 - np.abs(distance(*grid(side), theta) - offset), 0, 1)


def planted(snr: float, copies: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Lines with noise: the standard deviation of the pattern is `snr` times that of the noise."""
    random = np.random.default_rng(seed)
    kernels, names = [], []
    for (_, theta, offset), name in NAMES.items():
        pattern = line(theta, offset)
        kernels.append(snr * pattern / pattern.std() + random.standard_normal((copies, 5, 5)))
        names += [name] * copies
    return np.concatenate(kernels), names


def test_coordinates_go_right_and_up() -> None:
    right, up = grid(3)
    assert right[0].tolist() == [-1, 0, 1] and up[:, 0].tolist() == [1, 0, -1]
    slash = line(45, 0)
    assert min(slash[0, -1], slash[-1, 0]) > 0.99 and slash[0, 0] == 0  # 45 degrees is /
    assert line(0, 1.0)[1].tolist() == [1] * 5  # above the middle
    np.testing.assert_allclose(line(90, 1.0)[:, 1], 1)  # left of it


@pytest.mark.parametrize(("pattern", "name"), NAMES.items())
def test_names_of_lines(pattern, name) -> None:
    assert in_words(*pattern) == name


def test_angles_between_go_to_the_axes_and_180_is_horizontal_from_the_other_side() -> None:
    found = [in_words("line", theta, 0) for theta in ANGLES]
    horizontal, vertical = "horizontal line", "vertical line"
    assert found == [
        horizontal,
        horizontal,
        "line at slope 45",
        vertical,
        vertical,
        vertical,
        "line at slope 135",
        horizontal,
    ]
    assert in_words("line", 157.5, 1.5) == in_words("line", 0, -1.5)


@pytest.mark.parametrize("snr", [4, 2])
def test_planted_lines_are_all_found(snr) -> None:
    kernels, names = planted(snr, 40)
    assert [each.words for each in label_kernels(kernels, corrected=False)] == names


@pytest.mark.parametrize("side", [5, 7])
def test_edges_are_named_by_their_bright_half_also_where_noise_makes_them_darker_than_bright(side) -> None:
    random = np.random.default_rng(2)
    kernels, names = [], []
    for theta in (0, 45, 90, 135):
        for bright in (1, -1):
            pattern = np.tanh(2 * bright * distance(*grid(side), theta))
            kernels.append(2 * pattern / pattern.std() + random.standard_normal((30, side, side)) - 0.3)
            names += [in_words("edge", theta, bright)] * 30
    assert [each.words for each in label_kernels(np.concatenate(kernels), corrected=False)] == names


def test_of_random_filters_as_many_are_labelled_as_alpha_says_and_hardly_any_of_a_layer_together() -> None:
    random = np.random.default_rng(7)
    layers = [label_kernels(random.standard_normal((300, 5, 5)), corrected=False) for _ in range(8)]
    share = np.mean([bool(each.words) for layer in layers for each in layer])
    assert 0.03 <= share <= 0.07
    together = [bool(each.words) for layer in range(8)
                for each in label_kernels(np.random.default_rng(layer).standard_normal((32, 5, 5)))]  # fmt: skip
    assert np.mean(together) <= 0.02


def swapped(words: str, pairs: dict[str, str]) -> str:
    """Words with parts exchanged, all at once."""
    for place, (one, other) in enumerate(pairs.items()):
        words = words.replace(one, f"<{place}a>").replace(other, f"<{place}b>")
    for place, (one, other) in enumerate(pairs.items()):
        words = words.replace(f"<{place}a>", other).replace(f"<{place}b>", one)
    return words


MIRRORS = {
    "left and right": (lambda k: k[..., ::-1], {"slope 45": "slope 135", "left": "right"}),
    "up and down": (lambda k: k[..., ::-1, :], {"slope 45": "slope 135", "upper": "lower"}),
    "transposed": (lambda k: np.swapaxes(k, -1, -2), {"horizontal": "vertical", "left": "upper", "right": "lower"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ["left and right", "up and down"])
def test_mirrors_change_words_as_geometry_says(name) -> None:
    mirror, pairs = MIRRORS[name]
    kernels, _ = planted(4, 4)
    before, after = label_kernels(kernels), label_kernels(mirror(kernels))
    for one, other in zip(before, after, strict=True):
        assert other.nearest == swapped(one.nearest, pairs)
        assert (other.r2, other.p) == (pytest.approx(one.r2), pytest.approx(one.p))


def test_transposing_swaps_horizontal_and_vertical_and_keeps_slashes() -> None:
    kernels = np.stack([line(theta, offset) for theta in (0, 90) for offset in (-1.5, 0, 1.5)])
    words = [each.nearest for each in label_kernels(kernels)]
    turned = [each.nearest for each in label_kernels(np.swapaxes(kernels, 1, 2))]
    assert turned == [swapped(each, MIRRORS["transposed"][1]) for each in words]
    back = line(135, 0)
    assert label_kernels(np.stack([back, back.T]))[1].nearest == "line at slope 135"
    assert [each.nearest for each in label_kernels(np.swapaxes(np.stack([line(45, 0)] * 2), 1, 2))] == [
        "line at slope 45"
    ] * 2


def test_a_filter_three_times_as_strong_has_the_same_label() -> None:
    kernels, _ = planted(1, 3)
    for one, other in zip(label_kernels(kernels), label_kernels(3 * kernels), strict=True):
        assert (one.words, one.p) == (other.words, other.p) and one.r2 == pytest.approx(other.r2)


def test_what_looks_for_the_absence_of_a_line_says_so_and_an_edge_is_its_bright_half() -> None:
    (absent,) = label_kernels(-line(45, 0)[None] - 0.1)
    assert absent.words == "neg(line at slope 45)"
    right, up = grid(5)
    (above, rightwards) = label_kernels(np.stack([np.sign(up), np.sign(right)]))
    assert above.words == "lower side of horizontal line" and rightwards.words == "left side of vertical line"
    (blob,) = label_kernels(np.exp(-(right**2 + up**2) / 1.3)[None])
    assert blob.words == "blob"


def test_a_second_line_at_another_angle_is_named_besides() -> None:
    (cross,) = label_kernels((line(45, 0) + 0.8 * line(135, 0))[None])
    assert (cross.words, cross.second) == ("line at slope 45", "line at slope 135")
    (alone,) = label_kernels(line(45, 0)[None])
    assert alone.second == ""


def test_a_constant_filter_has_no_label_and_a_clear_one_is_sure() -> None:
    flat, clear = label_kernels(np.stack([np.ones((5, 5)), line(90, 0)]))
    assert (flat.words, flat.r2, flat.p) == ("", 0, 1)
    assert clear.confidence > 0.9 and clear.stability == 1 and clear.p == 0


@pytest.mark.parametrize("side", [2, 3, 4, 7, 11])
def test_other_sizes_have_a_bank_and_a_null(side) -> None:
    patterns = bank(side).patterns
    np.testing.assert_allclose(np.linalg.norm(patterns, axis=(1, 2)), 1)
    np.testing.assert_allclose(patterns.mean((1, 2)), 0, atol=1e-12)
    assert 0 < null_r2(side, 0, 200)[0] <= null_r2(side, 0, 200)[-1] <= 1
    if side >= 5:
        assert label_kernels(line(45, 0, side)[None])[0].words == "line at slope 45"


def test_tuning_peaks_where_the_line_is_and_selectivity_tells_lines_from_blobs() -> None:
    curve = line_tuning(unit(line(45, 0)[None]))[0]
    assert ANGLES[int(np.unravel_index(curve.argmax(), curve.shape)[0])] == 45
    right, up = grid(5)
    blob = np.maximum(line_tuning(unit(np.exp(-(right**2 + up**2) / 2)[None]))[0].max(1), 0)
    assert orientation_selectivity(np.maximum(curve.max(1), 0)) > 2 * orientation_selectivity(blob)
    assert orientation_selectivity(np.ones(8)) == pytest.approx(0, abs=1e-12)
    assert orientation_selectivity(np.eye(8)[3]) == pytest.approx(1) and orientation_selectivity(np.zeros(8)) == 0


def test_many_tests_are_corrected_as_benjamini_and_hochberg_say() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.5])
    assert significant(p).tolist() == [True, True, True, True, False]  # .04 <= .05 x 4/5
    assert not significant(np.array([0.04, 0.9])).any() and significant(np.zeros(0)).shape == (0,)
