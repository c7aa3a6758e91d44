"""Inclusion against linear programs over whole images, and the funnel against inclusion."""

import numpy as np
import pytest
from scipy.optimize import linprog

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.funnel import Evidence, Sizes, evidence
from microtome.formulas.cones.inclusion import Inclusion, inclusion, inclusion_by_program
from microtome.formulas.cones.torus import placed
from microtome.formulas.cones.written_out import dual_rays, rows_of


def some(count: int, grid: tuple[int, int], seed: int, channels: int = 1, size: int = 3) -> ConeSet:
    random = np.random.default_rng(seed)
    kernels, biases = random.normal(size=(count, channels, size, size)), random.normal(size=count)
    return ConeSet(kernels=kernels, biases=biases, grid=grid)


def filtered(inner: ConeSet, filters: np.ndarray, room: np.ndarray) -> ConeSet:
    """Kernels y * w on the whole grid, biases that many above what inclusion needs. Shapes: filters (K, H, W)."""
    spectra = np.fft.fft2(placed(inner.kernels, inner.grid)) * np.fft.fft2(filters)[:, None]
    biases = inner.biases * filters.sum((1, 2)) + room
    return ConeSet(kernels=np.fft.ifft2(spectra).real, biases=biases, grid=inner.grid)


def lies_inside(inner: ConeSet, outer: ConeSet) -> bool:
    """By the least of the first facet of the outer cone over the inner one, of all pixels: no image is worse."""
    rows, facet = rows_of(inner), rows_of(outer)[0]
    found = linprog(facet, -rows, np.repeat(inner.biases, len(rows)), bounds=(None, None))
    assert found.status in (0, 2, 3, 4)
    if found.status == 0:
        return bool(found.fun + outer.biases >= -1e-7)
    if found.status == 3:
        return False
    empty = linprog(0 * facet, -rows, np.repeat(inner.biases, len(rows)), bounds=(None, None))
    return empty.status == 2  # of infeasible or unbounded


def sparse(random: np.random.Generator, count: int, grid: tuple[int, int]) -> np.ndarray:
    return random.uniform(0, 1, (count, *grid)) * (random.uniform(size=(count, *grid)) < 0.2) + 1e-3


def mixed(grid: tuple[int, int], channels: int = 1) -> tuple[ConeSet, ConeSet]:
    """120 pairs: inner cones in random ones, in filtered ones, and in nearly filtered ones."""
    random = np.random.default_rng(0)
    inner = some(120, grid, 1, channels)
    filters = sparse(random, 120, grid)
    filters[40:80, 1, 1] -= 0.8 * random.integers(0, 2, 40)
    outer = filtered(inner, filters, np.where(random.uniform(size=120) < 0.2, -0.1, 0.1))
    kernels = outer.kernels.copy()
    kernels[80:] = placed(some(40, grid, 2, channels).kernels, grid)
    return inner, ConeSet(kernels=kernels, biases=outer.biases, grid=grid)


def check(inner: ConeSet, outer: ConeSet) -> Inclusion:
    found = inclusion(inner, outer)
    wanted = [lies_inside(inner[place], outer[place]) for place in range(len(found.full))]
    np.testing.assert_array_equal(found.full, wanted)
    assert found.decided.all() and 15 < found.full.sum() < 100
    return found


def test_inclusion_of_slices_is_what_the_linear_program_over_all_pixels_says() -> None:
    inner, outer = mixed((5, 5))
    found = check(inner, outer)
    by_program = [inclusion_by_program(inner[place], outer[place]) for place in range(120)]
    np.testing.assert_array_equal(found.full, by_program)


def test_inclusion_of_filters_is_what_the_linear_program_over_all_pixels_says() -> None:
    inner, outer = mixed((4, 4), channels=2)
    found = check(inner, outer)
    assert not found.full[80:].any()  # other kernels: no y does for both channels


def test_random_slices_are_what_the_linear_program_says_and_hardly_ever_included() -> None:
    inner, outer = some(100, (5, 5), 3), some(100, (5, 5), 4)
    wanted = [lies_inside(inner[place], outer[place]) for place in range(100)]
    np.testing.assert_array_equal(inclusion(inner, outer).full, wanted)


def test_a_filtering_without_negative_weights_is_included_and_one_sign_turned_well_below_is_not() -> None:
    inner, random = some(50, (8, 8), 5), np.random.default_rng(6)
    filters = random.uniform(0.1, 1, (50, 8, 8))
    found = inclusion(inner, filtered(inner, filters, np.zeros(50)))  # equal apices
    assert found.full.all()
    np.testing.assert_allclose(found.multiplier, filters, atol=1e-7)
    filters[:, 3, 4] *= -1
    found = inclusion(inner, filtered(inner, filters, np.ones(50)))
    assert not found.full.any() and found.decided.all() and (found.margin < 0).all()


def test_an_apex_behind_the_outer_one_is_not_included() -> None:
    inner = some(50, (8, 8), 5)
    filters = np.random.default_rng(6).uniform(0.1, 1, (50, 8, 8))
    assert not inclusion(inner, filtered(inner, filters, np.full(50, -1e-3))).full.any()


def test_every_cone_lies_in_itself_moved_and_scaled_and_not_in_its_opposite() -> None:
    inner = some(50, (9, 8), 7)
    moved = np.pad(4.2 * inner.kernels, ((0, 0), (0, 0), (2, 0), (1, 3)))
    outer = ConeSet(kernels=moved, biases=4.2 * inner.biases, grid=(9, 8))
    assert inclusion(inner, outer).full.all() and inclusion(outer, inner).full.all()
    opposite = ConeSet(kernels=-inner.kernels, biases=-inner.biases, grid=(9, 8))
    assert not inclusion(inner, opposite).full.any()


@pytest.mark.parametrize("channels", [1, 2])
def test_the_margin_is_the_sine_between_the_worst_ray_and_the_worst_facet(channels) -> None:
    inner, outer = mixed((6, 6), channels)
    found, rays = inclusion(inner, outer), dual_rays(inner)
    for place in range(80 if channels == 2 else 120):
        facets = rows_of(outer[place])
        sines = facets @ rays[place].ravel() / np.linalg.norm(facets[0]) / np.linalg.norm(rays[place])
        assert found.margin[place] == pytest.approx(sines.min(), abs=1e-12)


def test_the_overlap_is_the_share_of_facets_that_random_points_are_in_front_of() -> None:
    inner, outer = some(40, (6, 6), 8), some(40, (6, 6), 9)
    found, random = inclusion(inner, outer), np.random.default_rng(10)
    off = []
    for place in range(40):
        rays = np.linalg.inv(rows_of(inner[place]))
        points = np.abs(random.normal(size=(4000, 36))) @ rays.T
        share = (points @ rows_of(outer[place]).T >= 0).mean()
        off.append(abs(share - found.overlap[place]))
    assert np.mean(off) < 0.01 and max(off) < 0.04
    assert found.overlap.min() < 0.1 and found.overlap.max() > 0.9


def test_what_the_inner_kernel_does_not_see_leaves_y_open_and_a_linear_program_decides() -> None:
    """A box of 2 x 2 on an even grid does not see checkerboards."""
    random, decided = np.random.default_rng(11), []
    box = np.ones((2, 2)) + np.outer([1, 1], [0.5, -0.5])  # both rows alike: sees no rows in turns
    for place in range(60):
        inner = ConeSet(kernels=box[None], biases=np.array(0.3), grid=(4, 4))
        filters = random.normal(0.3, 0.4, (1, 4, 4))
        if place % 3 == 0:
            filters = sparse(random, 1, (4, 4)) + np.indices((4, 4))[0] % 2 * -1.0  # as much of what is not seen
        outer = filtered(inner[None], filters, np.array([0.1]))[0]
        if place % 3 == 1:
            outer = some(1, (4, 4), place)[0]
        found, wanted = inclusion(inner, outer), lies_inside(inner, outer)
        assert inclusion_by_program(inner, outer) == wanted
        assert not found.decided or found.full == wanted
        decided.append(bool(found.decided))
    assert 0 < sum(decided) < 60


def test_an_empty_cone_lies_everywhere_and_a_cylinder_in_what_is_parallel() -> None:
    edge = np.array([[[1.0, -1.0]]])

    def cone(kernel: np.ndarray, bias: float) -> ConeSet:
        return ConeSet(kernels=kernel, biases=np.array(bias), grid=(3, 5))

    for inner, outer in [
        (cone(edge, -1.0), cone(edge, -3.0)), (cone(edge, 1.0), cone(edge, 2.0)), (cone(edge, 1.0), cone(edge, 0.5)),
        (cone(edge, 0.0), cone(2 * edge, 0.0)), (cone(edge, 1.0), cone(np.ones((1, 1, 1)), 5.0)),
        (cone(np.zeros((1, 2, 2)), 1.0), cone(edge, 5.0)), (cone(edge, 1.0), cone(np.zeros((1, 1, 1)), 0.0)),
        (cone(np.zeros((1, 2, 2)), -1.0), cone(edge, 5.0)), (cone(edge, 1.0), cone(np.zeros((1, 1, 1)), -1.0)),
        (cone(edge, 1.0), cone(-edge, 5.0)), (cone(edge, 1.0), cone(-edge, 3.9)),
    ]:  # fmt: skip
        wanted = lies_inside(inner, outer)
        assert inclusion_by_program(inner, outer) == wanted
        found = inclusion(inner, outer)
        assert not found.decided or found.full == wanted


def test_where_rounding_decides_it_says_so() -> None:
    """On an even grid this kernel sees checkerboards by 1e-8 only, and y has to see them as much as it sees itself."""
    kernel = np.array([[[1.0, 1 - 1e-8]]])
    inner = ConeSet(kernels=kernel, biases=np.array(0.0), grid=(1, 6))
    outer = ConeSet(kernels=np.array([[[1.0, 1.0]]]), biases=np.array(0.0), grid=(1, 6))
    assert not inclusion(outer, outer).decided and inclusion_by_program(outer, outer)  # it does not see them at all
    tiny = ConeSet(kernels=np.array([[[1.0, 0.3, 0.2]]]), biases=np.array(0.0), grid=(1, 6))
    assert inclusion(tiny, tiny).decided and inner.condition > 1e7
    nearly = ConeSet(kernels=np.array([[[1.0, 2 - 1e-8, 1 - 1e-8]]]), biases=np.array(0.0), grid=(1, 6))
    assert not inclusion(inner, nearly).decided  # y is 1, 1, 0, 0, 0, 0


# --- the funnel


def pairs(seed: int) -> tuple[ConeSet, ConeSet]:
    """One thousand pairs on one of three grids; a third filtered, a third filtered and disturbed."""
    random = np.random.default_rng(seed)
    grid = ((5, 5), (8, 8), (4, 6))[seed % 3]
    inner = some(1000, grid, seed)
    filters = sparse(random, 1000, grid) * random.choice([0.2, 1, 5], (1000, 1, 1))
    filters[:, 2, 2] += random.choice([0, 20, 200], 1000)
    filters[::3] += random.normal(0, 0.02, (334, *grid))
    outer = filtered(inner, filters, random.choice([-0.1, 0, 0.5], 1000))
    kernels = outer.kernels.copy()
    kernels[1::3] = placed(random.normal(0.3, 1, (333, 1, 3, 3)), grid)
    narrow = random.normal(1, 0.1, (20, 1, *grid))  # nearly constant kernels: wide cones, which hold narrow ones
    kernels[:20] = narrow
    sharp = inner.kernels.copy()
    sharp[:20] = np.array([[0, 0, 0], [0.01, 1, 0.01], [0, 0.02, 0]])[None, None]
    inner = ConeSet(kernels=sharp, biases=inner.biases, grid=grid)
    return inner, ConeSet(kernels=kernels, biases=outer.biases, grid=grid)


def test_the_funnel_never_contradicts_the_exact_answer() -> None:
    counts = np.zeros(len(Evidence), int)
    for seed in range(6):
        inner, outer = pairs(seed)
        for one, other in ((inner, outer), (outer, inner)):
            exact, every = inclusion(one, other), np.arange(1000)
            found = evidence(Sizes(cones=one), Sizes(cones=other), every, every)
            says = np.isin(found, [code for code in Evidence if code.full])
            known = found != Evidence.UNDECIDED
            np.testing.assert_array_equal(says[known], exact.full[known])
            assert not exact.decided[~known].any()
            counts += np.bincount(found, minlength=len(Evidence))
    assert counts.sum() == 12_000 and counts[Evidence.FFT_TRUE] > 1000
    assert (counts[: Evidence.UNDECIDED] > 10).all()  # every reason but the last has been given


def test_a_certificate_is_given_where_the_round_cone_around_fits_into_the_one_inside() -> None:
    point = ConeSet(kernels=np.array([[[[1.0]]]]), biases=np.zeros(1), grid=(2, 2))  # the orthant: 30 and 60 degrees
    wide = ConeSet(kernels=np.array([[[[1.0, 0.9], [0.9, 0.9]]]]), biases=np.zeros(1), grid=(2, 2))
    zero = np.zeros(1, int)
    assert evidence(Sizes(cones=point), Sizes(cones=wide), zero, zero) == Evidence.CERTIFIED
    assert lies_inside(point[0], wide[0]) and Evidence.CERTIFIED.full and not Evidence.UNDECIDED.full


def test_the_funnel_says_what_it_cannot_decide() -> None:
    box = ConeSet(kernels=np.ones((1, 1, 2, 2)), biases=np.zeros(1), grid=(4, 4))
    wider = ConeSet(kernels=np.array([[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]]), biases=np.ones(1), grid=(4, 4))
    zero = np.zeros(1, int)
    found = evidence(Sizes(cones=box), Sizes(cones=wider), zero, zero)
    assert found == Evidence.UNDECIDED
    assert inclusion_by_program(box[0], wider[0]) == lies_inside(box[0], wider[0])


def test_pairs_that_cannot_be_compared_are_refused() -> None:
    one = some(3, (6, 6), 0)
    with pytest.raises(UsageError, match="are compared on the same grid"):
        inclusion(one, some(3, (6, 7), 0))
    with pytest.raises(UsageError, match="There are .3,. inner and .4,. outer cones.*Choose the pairs by an index"):
        inclusion(one, some(4, (6, 6), 0))
    with pytest.raises(UsageError, match="takes one of each, on up to 144 places"):
        inclusion_by_program(one, one)
    with pytest.raises(UsageError, match="on 169 places"):
        inclusion_by_program(some(1, (13, 13), 0)[0], some(1, (13, 13), 0)[0])
    with pytest.raises(UsageError, match="are compared on the same grid"):
        evidence(Sizes(cones=one), Sizes(cones=some(3, (6, 7), 0)), np.arange(3), np.arange(3))
