"""Cones in closed form against dense matrices, their inverses and pseudo-inverses, and convolutions by torch."""

import numpy as np
import pytest
import torch

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet, Status
from microtome.formulas.cones.layers import filter_cones, slice_cones
from microtome.formulas.cones.torus import spectra
from microtome.formulas.cones.written_out import dual_rays, nearest_apices, rows_of

GRIDS = ((4, 5), (5, 5), (6, 6), (8, 8), (7, 8))


def some(channels: int, grid: tuple[int, int], size: int = 3, count: int = 20, **more: tuple[int, int]) -> ConeSet:
    random = np.random.default_rng(hash((channels, *grid, size)) % 2**32)
    kernels, biases = random.normal(size=(count, channels, size, size)), random.normal(size=count)
    return ConeSet(kernels=kernels, biases=biases, grid=grid, **more)


def one(kernel: list[list[float]], bias: float, grid: tuple[int, int], **more: tuple[int, int]) -> ConeSet:
    return ConeSet(kernels=np.array([kernel], dtype=float), biases=np.array(bias), grid=grid, **more)


def angle(first: np.ndarray, second: np.ndarray) -> float:
    """Between two directions, accurate also where it is small (Kahan)."""
    a, b = first / np.linalg.norm(first), second / np.linalg.norm(second)
    return float(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def axis(cones: ConeSet, place: int) -> np.ndarray:
    return np.repeat(cones.sums[place], cones.places)


def convolved(cone: ConeSet, image: np.ndarray) -> np.ndarray:
    """By torch, with circular padding, which the matrix has to agree with. Shapes: (n, H, W) -> (rows,)."""
    (high, wide), (down, across) = cone.kernels.shape[-2:], cone.dilation
    padded = torch.nn.functional.pad(
        torch.from_numpy(image)[None], (0, (wide - 1) * across, 0, (high - 1) * down), mode="circular"
    )
    weights = torch.from_numpy(cone.kernels)[None]
    return torch.nn.functional.conv2d(padded, weights, stride=cone.stride, dilation=cone.dilation).numpy().ravel()


@pytest.mark.parametrize("more", [{}, {"stride": (2, 2)}, {"dilation": (2, 1)}, {"stride": (3, 1), "dilation": (1, 2)}])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_matrix_is_a_convolution_with_circular_padding(channels, more) -> None:
    cone = some(channels, (6, 8), count=1, **more)[0]
    image = np.random.default_rng(0).normal(size=(channels, 6, 8))
    np.testing.assert_allclose(rows_of(cone) @ image.ravel(), convolved(cone, image), atol=1e-13)
    assert len(rows_of(cone)) == cone.rows


def test_the_matrix_without_borders_is_a_convolution_without_padding() -> None:
    cone, image = some(2, (6, 8), count=1)[0], np.random.default_rng(0).normal(size=(2, 6, 8))
    wanted = torch.nn.functional.conv2d(torch.from_numpy(image)[None], torch.from_numpy(cone.kernels)[None])
    np.testing.assert_allclose(rows_of(cone, "valid") @ image.ravel(), wanted.numpy().ravel(), atol=1e-13)
    for _ in range(3):
        np.testing.assert_allclose(rows_of(cone, "valid") @ np.repeat(cone.apex, 48), -cone.biases, atol=1e-13)


@pytest.mark.parametrize(("size", "grid"), [(3, (6, 7)), (3, (4, 4)), (5, (4, 3)), (1, (5, 4)), (7, (2, 3))])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
def test_spectra_are_those_of_the_kernel_on_the_grid_also_where_it_meets_itself(size, grid, dilation) -> None:
    kernel = np.random.default_rng(1).normal(size=(2, size, size))
    canvas = np.zeros((2, *grid))
    for y, x in np.ndindex(size, size):
        canvas[:, y * dilation[0] % grid[0], x * dilation[1] % grid[1]] += kernel[:, y, x]
    np.testing.assert_allclose(spectra(kernel, grid, dilation), np.fft.rfft2(canvas), atol=1e-13)
    np.testing.assert_allclose(spectra(kernel, grid, dilation, half=False), np.fft.fft2(canvas), atol=1e-13)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_apex_of_a_slice_solves_the_dense_system(grid, size) -> None:
    cones = some(1, grid, size)
    for place in range(20):
        wanted = np.linalg.solve(rows_of(cones[place]), np.full(cones.places, -cones.biases[place]))
        off = np.abs(cones.apex[place] - wanted).max() / np.abs(wanted).max()
        assert off < 1e-14 * max(10, cones.condition[place])  # what the dense solve itself is good for
        assert cones.apex_distance[place] == pytest.approx(np.linalg.norm(wanted), rel=1e-12 * cones.condition[place])


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("grid", [(5, 5), (6, 6)])
def test_the_apex_of_a_filter_is_the_one_nearest_to_the_origin(channels, grid) -> None:
    cones = some(channels, grid)
    for place in range(20):
        wanted = np.linalg.pinv(rows_of(cones[place])) @ np.full(cones.places, -cones.biases[place])
        np.testing.assert_allclose(np.repeat(cones.apex[place], cones.places), wanted, atol=1e-12)
        assert cones.apex_distance[place] == pytest.approx(np.linalg.norm(wanted), rel=1e-12)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stride", [(2, 2), (3, 1), (1, 2)])
def test_with_a_stride_the_nearest_apex_repeats_with_it(channels, stride) -> None:
    cones = some(channels, (6, 6), stride=stride)
    for place in range(20):
        dense = rows_of(cones[place])
        wanted = np.linalg.pinv(dense) @ np.full(cones.rows, -cones.biases[place])
        np.testing.assert_allclose(nearest_apices(cones)[place].ravel(), wanted, atol=1e-12)
        assert cones.apex_distance[place] == pytest.approx(np.linalg.norm(wanted), rel=1e-12)
        np.testing.assert_allclose(dense @ np.repeat(cones.apex[place], 36), -cones.biases[place], atol=1e-12)
        values = np.linalg.svd(dense, compute_uv=False)
        assert cones.condition[place] == pytest.approx(values[0] / values[-1], rel=1e-10)
        ray, middle = dual_rays(cones)[place].ravel(), dense.T @ np.ones(cones.rows)
        np.testing.assert_allclose(ray, np.linalg.pinv(dense)[:, 0], atol=1e-11)
        assert cones.edge_angle[place] == pytest.approx(angle(ray, middle), abs=1e-12)
        assert cones.facet_angle[place] == pytest.approx(np.pi / 2 - angle(dense[3], axis(cones, place)), abs=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_facet_angle_is_the_angle_from_the_axis_to_every_row(channels, grid) -> None:
    cones = some(channels, grid)
    for place in range(20):
        for edges in ("circulant", "valid"):
            turns = [np.pi / 2 - angle(row, axis(cones, place)) for row in rows_of(cones[place], edges)]
            np.testing.assert_allclose(cones.facet_angle[place], turns, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_edge_angle_is_the_angle_from_the_axis_to_every_column_of_the_inverse(channels, grid) -> None:
    cones = some(channels, grid)
    rays = dual_rays(cones)
    for place in range(20):
        dense = rows_of(cones[place])
        inverse = np.linalg.pinv(dense)
        edges = [angle(column, axis(cones, place)) for column in inverse.T]
        np.testing.assert_allclose(cones.edge_angle[place], edges, rtol=0, atol=1e-12)
        np.testing.assert_allclose(rays[place].ravel(), inverse[:, 0], atol=1e-12 * cones.condition[place])
        answers = dense @ rays[place].ravel()
        np.testing.assert_allclose(answers, np.eye(cones.places)[0], atol=1e-12)
        values = np.linalg.svd(dense, compute_uv=False)
        assert cones.condition[place] == pytest.approx(values[0] / values[-1], rel=1e-10)
    assert (cones.facet_angle <= cones.edge_angle).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_what_the_kernel_does_not_see_is_as_large_as_the_rank_leaves(channels) -> None:
    box, edge, plain = np.ones((3, 3)), np.array([[1.0, -1.0]]), np.random.default_rng(2).normal(size=(3, 3))
    for kernel, grid in ((box, (6, 6)), (box, (3, 9)), (edge, (5, 4)), (plain, (5, 5)), (np.ones((2, 2)), (4, 6))):
        kernels = np.broadcast_to(kernel, (channels, *kernel.shape))
        for stride in ((1, 1), (grid[0], 1)):
            cone = ConeSet(kernels=kernels, biases=np.array(1.0), grid=grid, stride=stride)
            dense = rows_of(cone)
            assert cone.lineality_dim == dense.shape[1] - np.linalg.matrix_rank(dense)


def test_kappa_does_not_know_the_grid_and_the_facet_angle_follows_from_it() -> None:
    for grid in GRIDS:
        cones = some(1, grid)
        wanted = np.abs([k.sum() / np.sqrt((k**2).sum()) / 3 for k in cones.kernels])
        np.testing.assert_allclose(np.abs(cones.kappa), wanted, rtol=1e-13)
        np.testing.assert_allclose(np.sin(cones.facet_angle), wanted * 3 / np.sqrt(cones.places), rtol=1e-12)
        np.testing.assert_array_equal(np.sign(cones.kappa), cones.orientation)


@pytest.mark.parametrize("change", ["moved", "scaled", "turned"])
def test_moving_the_kernel_or_scaling_it_with_its_bias_changes_nothing_and_turning_it_only_the_orientation(
    change,
) -> None:
    cones = some(2, (8, 7))
    kernels, biases = cones.kernels, cones.biases
    if change == "moved":
        kernels = np.pad(kernels, ((0, 0), (0, 0), (1, 2), (3, 0)))
    else:
        scale = 3.7 if change == "scaled" else -1
        kernels, biases = scale * kernels, scale * biases
    other = ConeSet(kernels=kernels, biases=biases, grid=cones.grid)
    np.testing.assert_allclose(other.apex, cones.apex, rtol=1e-12)
    np.testing.assert_allclose(other.facet_angle, cones.facet_angle, rtol=1e-12)
    np.testing.assert_allclose(other.edge_angle, cones.edge_angle, rtol=1e-12)
    np.testing.assert_array_equal(other.orientation, cones.orientation * (-1 if change == "turned" else 1))


@pytest.mark.parametrize(("bias", "status"), [(0.5, Status.NO_APEX), (0.0, Status.SUBSPACE), (-0.5, Status.EMPTY)])
@pytest.mark.parametrize("kernel", [[[0.1, 0.2, -0.3]], [[0.0]], [[1.0, -1.0], [-1.0, 1.0]]])
def test_a_kernel_that_cancels_has_a_type_and_no_apex(kernel, bias, status) -> None:
    """0.1 + 0.2 - 0.3 is 5.6e-17 in floating point."""
    cone = one(kernel, bias, (4, 4))
    assert cone.status == status and cone.facet_angle == 0 and np.isnan(cone.edge_angle) and cone.kappa == 0
    assert np.isnan(cone.apex[0]) if bias else cone.apex[0] == 0
    assert np.isnan(cone.apex_distance) if bias else cone.apex_distance == 0


def test_with_a_stride_a_kernel_that_cancels_may_still_have_an_apex_off_the_identity_line() -> None:
    cone = one([[1.0, -1.0]], 0.5, (4, 4), stride=(1, 2))
    assert cone.status == Status.OK and np.isnan(cone.apex[0])
    np.testing.assert_allclose(rows_of(cone) @ nearest_apices(cone).ravel(), -0.5)


def test_a_box_on_an_even_grid_opens_to_a_right_angle_and_on_an_odd_one_does_not() -> None:
    box = [[1.0, 1.0], [1.0, 1.0]]
    assert one(box, 0.0, (4, 4)).edge_angle == np.pi / 2 and one(box, 0.0, (4, 4)).condition == np.inf
    assert one(box, 0.0, (5, 5)).edge_angle < np.pi / 2 - 0.01


def test_a_single_weight_is_the_orthant_on_every_grid() -> None:
    for grid in ((4, 4), (5, 9), (1, 1)):
        for weight in (0.3, -2.0):
            cone, size = one([[weight]], 0.7, grid), grid[0] * grid[1]
            assert cone.facet_angle == pytest.approx(np.arcsin(1 / np.sqrt(size)), abs=1e-14)
            assert cone.edge_angle == pytest.approx(np.arctan(np.sqrt(size - 1)), abs=1e-14)
            assert cone.apex[0] == pytest.approx(-0.7 / weight)


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (2, 2), (1, 3)])
def test_kernels_larger_than_half_the_grid_meet_themselves_as_the_matrix_says(grid) -> None:
    cones = some(1, grid, size=5)
    for place in range(20):
        dense = rows_of(cones[place])
        ends = np.linalg.inv(dense)[:, 0], axis(cones, place)
        assert cones.edge_angle[place] == pytest.approx(angle(*ends), abs=1e-11)
        assert cones.norms[place] == pytest.approx(np.linalg.norm(dense[0]))
        assert cones.facet_angle[place] == pytest.approx(np.pi / 2 - angle(dense[0], axis(cones, place)), abs=1e-12)


def test_dilation_spreads_the_weights() -> None:
    cones = some(2, (7, 8), dilation=(2, 2))
    kernels = np.zeros((20, 2, 5, 5))
    kernels[..., ::2, ::2] = cones.kernels
    other = ConeSet(kernels=kernels, biases=cones.biases, grid=(7, 8))
    for name in ("apex", "facet_angle", "edge_angle", "condition", "lineality_dim", "status"):
        np.testing.assert_allclose(getattr(cones, name), getattr(other, name), rtol=1e-12)


def test_depth_is_the_distance_of_the_mean_image_from_the_facets() -> None:
    cones, means = some(3, (5, 5)), np.array([0.2, -1.0, 0.4])
    for place in range(20):
        dense, image = rows_of(cones[place]), np.repeat(means, 25)
        distances = (dense @ image + cones.biases[place]) / np.linalg.norm(dense, axis=1)
        np.testing.assert_allclose(cones.depth(means)[place], distances, rtol=1e-12)


def test_many_cones_in_blocks_are_what_they_are_one_by_one(monkeypatch) -> None:
    random = np.random.default_rng(5)
    cones = slice_cones(random.normal(size=(6, 5, 3, 3)), random.normal(size=6), (6, 6))
    whole = cones.edge_angle
    monkeypatch.setattr("microtome.formulas.cones.cone_set.BLOCK", 100)
    np.testing.assert_allclose(cones[:].edge_angle, whole, rtol=1e-14)
    assert cones[2, 3].edge_angle == pytest.approx(whole[2, 3], rel=1e-14) and whole.shape == (6, 5)
    assert filter_cones(cones.kernels[:, :, 0], np.zeros(6), (6, 6)).edge_angle.shape == (6,)


def test_what_is_no_cone_is_refused() -> None:
    with pytest.raises(UsageError, match="grid has 5 x 6 places, and the stride is .2, 2.*multiple of the stride"):
        some(1, (5, 6), stride=(2, 2))
    with pytest.raises(UsageError, match="not finite.*Look for NaN"):
        one([[np.nan]], 0.0, (4, 4))
    with pytest.raises(UsageError, match="There are .20,. cones.*One cone is written out"):
        rows_of(some(1, (4, 4)))
    with pytest.raises(UsageError, match="matrix 'full' does not exist.*circulant, valid"):
        rows_of(some(1, (4, 4))[0], "full")
