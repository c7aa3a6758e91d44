"""The tutorial is true: its code runs and prints what it says, and its drawings show what was computed."""

import contextlib
import importlib.util
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import microtome.scratch as mts

HOME = Path(__file__).parent.parent / "docs" / "tutorials"
PAGE = HOME / "scratch.md"
TRACK = HOME / "track.md"
LARGEST = 100_000  # bytes of a picture
STALE = 6.0  # mean difference of two drawings, of 255, beyond that of fonts


@pytest.fixture(scope="module")
def draw():
    """The page's drawing functions, importable as the page imports them."""
    spec = importlib.util.spec_from_file_location("draw_scratch", HOME / "draw_scratch.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "draw_scratch", module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def executed(draw, tmp_path_factory):
    """Every block in order, in one namespace: what each printed, the names, and the folder with its drawings."""
    folder, names, printed = tmp_path_factory.mktemp("tutorial"), {}, []
    with contextlib.chdir(folder):
        for number, (code, _) in enumerate(draw.blocks(PAGE)):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(code, f"{PAGE.name}, block {number}", "exec"), names)
            printed.append(said.getvalue())
    return printed, names, folder


def linked() -> list[str]:
    return re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE.read_text())


def texts(figure, kind: str) -> dict[str, str]:
    """What is written in a drawing under marks of one kind, by mark."""
    found = [text for axes in figure.axes for text in axes.texts if (text.get_gid() or "").startswith(kind + ":")]
    return {text.get_gid().partition(":")[2]: text.get_text() for text in found}


def numbers(figure, kind: str, shape: tuple[int, int]) -> np.ndarray:
    drawn = texts(figure, kind)
    assert len(drawn) == np.prod(shape)
    return np.array([[float(drawn[f"{row},{column}"]) for column in range(shape[1])] for row in range(shape[0])])


def test_the_page_prints_what_it_says(draw, executed) -> None:
    blocks = draw.blocks(PAGE)
    assert len(blocks) == PAGE.read_text().count("```python\n") > 20
    assert sum(text is not None for _, text in blocks) == PAGE.read_text().count("```text\n") > 15
    for printed, (code, text) in zip(executed[0], blocks, strict=True):
        assert printed.strip() == (text or "").strip(), code


def test_the_page_on_following_a_training_prints_what_it_says(draw, tmp_path) -> None:
    blocks, names = draw.blocks(TRACK), {}
    assert len(blocks) == TRACK.read_text().count("```python\n") == 4
    with contextlib.chdir(tmp_path):
        for code, text in blocks:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(code, TRACK.name, "exec"), names)
            assert said.getvalue().strip() == (text or "").strip(), code


def test_the_runner_would_notice_another_text(draw, tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n```\n\n```text\n2\n```\n\nWords.\n\n```python\nx = 1\n```\n\nMore.\n\n```text\n3\n```\n"
    )
    assert draw.blocks(page) == [("print(1)\n", "2\n"), ("x = 1\n", None)]


def test_the_layer_of_the_page_ends_well(executed) -> None:
    printed, names, _ = executed
    assert "dx: WRONG" in printed[-2] and "passed: False" in printed[-2]
    assert mts.check_layer(names["MyLayer"]()).passed


def test_every_name_of_the_page_exists() -> None:
    used = set(re.findall(r"\bmts\.([A-Za-z_]\w*)", PAGE.read_text()))
    assert len(used) > 15
    assert {name for name in used if name not in mts.__all__} == set()


def test_every_picture_of_the_page_exists_is_small_and_is_what_the_page_draws(executed) -> None:
    assert sorted(linked()) == sorted(path.name for path in HOME.glob("*.png"))
    assert sorted(linked()) == sorted(path.name for path in executed[2].glob("*.png"))
    for name in linked():
        assert (HOME / name).stat().st_size < LARGEST
        kept, fresh = (np.asarray(Image.open(folder / name).convert("RGB"), float) for folder in (HOME, executed[2]))
        assert kept.shape == fresh.shape and np.abs(kept - fresh).mean() < STALE, f"run draw_scratch.py again: {name}"


def test_the_unrolled_matrix_is_drawn_as_it_is(draw) -> None:
    weights, image = np.array([[[[5.0, -2], [0.5, 7]]]]), np.arange(12.0)
    matrix = mts.unroll(weights, (1, 3, 4)).toarray()
    figure = draw.draw_unrolled(matrix, image)
    np.testing.assert_array_equal(numbers(figure, "W*", matrix.shape), matrix)
    np.testing.assert_array_equal(numbers(figure, "x", (12, 1))[:, 0], image)
    np.testing.assert_array_equal(numbers(figure, "y", (len(matrix), 1))[:, 0], matrix @ image)


def test_equal_numbers_of_the_filter_have_one_colour_each(draw) -> None:
    matrix = mts.unroll(np.array([[[[1.0, 2], [3, 4]]]]), (1, 3, 3)).toarray()
    (axes,) = draw.draw_unrolled(matrix, np.ones(9)).axes
    colours = {}
    for value, box in zip(matrix.ravel(), axes.patches, strict=False):  # the matrix is drawn first, row by row
        colours.setdefault(value, set()).add(box.get_facecolor())
    assert [len(each) for each in colours.values()] == [1] * 5 and len(set.union(*colours.values())) == 5


def test_grids_show_their_arrays_and_what_is_marked(draw) -> None:
    array = np.arange(6.0).reshape(2, 3)
    figure = draw.draw_grids({"a": array, "b": -array}, {"b": array > 3})
    np.testing.assert_array_equal(numbers(figure, "a", (2, 3)), array)
    np.testing.assert_array_equal(numbers(figure, "b", (2, 3)), -array)
    plain, marked = ([box.get_facecolor() for box in axes.patches] for axes in figure.axes)
    assert len(set(plain)) == 1
    assert [face != plain[0] for face in marked] == (array > 3).ravel().tolist()


def test_the_network_is_drawn_from_the_network(draw) -> None:
    net = mts.Net([mts.Conv2D("c", (3, 9, 7), 4, 3, 3), mts.ReLU("r"), mts.Flatten("f"), mts.Linear("l", 140, 5)])
    figure = draw.draw_network(net, (3, 9, 7))
    assert texts(figure, "shape") == {"image": "3×9×7", "c": "4×7×5", "r": "4×7×5", "f": "140", "l": "5"}
    assert texts(figure, "learnt") == {"c": "112", "l": "705"} and "817 are learnt" in figure.axes[0].get_title()
    heights = [bar.get_height() for bar in figure.axes[0].patches if (bar.get_gid() or "").startswith("size:")]
    np.testing.assert_allclose(10 ** np.array(heights), [189, 140, 140, 140, 5])


def test_the_workflow_names_calls_that_exist(draw) -> None:
    said = "\n".join(text.get_text() for text in draw.draw_workflow().axes[0].texts)
    calls = re.findall(r"mts\.([\w.]+)", said)
    assert len(calls) == len(draw.STEPS) == 3
    for call in calls:
        owner, _, method = call.partition(".")
        assert callable(getattr(getattr(mts, owner), method) if method else getattr(mts, owner))


def test_a_reconstruction_is_drawn_where_the_unit_looked(draw, executed) -> None:
    names = executed[1]
    figure = draw.draw_squares(names["shown"], names["found"], side=5)
    panels = np.array(figure.axes).reshape(2, 3, 8)
    for rows, made in zip(panels, names["found"].values(), strict=True):
        for number, (row, column) in enumerate(made.place):
            (box,) = rows[0, number].patches
            assert (box.get_x(), box.get_y(), box.get_width()) == (column - 0.5, row - 0.5, 5)
            inside = names["shown"][number, 0, row : row + 5, column : column + 5]
            np.testing.assert_array_equal(rows[1, number].images[0].get_array(), inside)
            outside = made.maps[number, 0].copy()
            outside[row : row + 5, column : column + 5] = 0
            assert not outside.any()  # nothing of the reconstruction is cut off


def test_whole_reconstructions_stand_below_their_digits(draw) -> None:
    digits, maps = np.zeros((2, 1, 3, 3)), np.zeros((2, 1, 3, 3))
    maps[1, 0, 0, 2], maps[1, 0, 2, 0] = 1, -1
    made = mts.Reconstruction(layer="l", unit=7, maps=maps, place=np.zeros((2, 2), int), activation=np.ones(2))
    panels = np.array(draw.draw_wholes(digits, {"mine": made}).axes).reshape(2, 2)
    assert "unit 7" in panels[1, 0].get_ylabel()
    silent, drawn = (np.asarray(axes.images[0].get_array(), int) for axes in panels[1])
    assert np.ptp(silent) == 0
    red, blue = drawn[..., 0], drawn[..., 2]
    assert (red - blue)[0, 2] > 0 > (red - blue)[2, 0] and (red == blue)[1, 1]
