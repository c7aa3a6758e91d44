"""Training in NumPy from the command's side: what is written, what is said, what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import microtome as mt
import microtome.scratch as mts
from microtome.errors import BadImages, UnknownName
from microtome.scratch.recipes import RECIPES, Recipe
from microtome.workflows.train_scratch import arrays, normalisation, recipe_of, train_scratch

TINY = Recipe(
    build=lambda random: mts.cats_net(16, (2, 2, 2, 2), (4, 4), random=random), epochs=2, batch_size=8, rate=0.01
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty pictures of two classes, dark and bright; one of them broken."""
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    random = np.random.default_rng(0)
    for name, level in (("bright", 160), ("dark", 40)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(15):
            pixels = random.integers(level, level + 60, (20, 18, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    (tmp_path / "images" / "dark" / "0.png").write_bytes(b"no picture")
    return tmp_path


def test_the_file_holds_what_was_learnt_and_how_and_can_be_looked_at(folder: Path) -> None:
    out = folder / "deep" / "net.tnn"
    made = train_scratch("scratch:tiny", folder / "images", seed=3, out=out)
    assert made.trained_on + made.tested == 29 and len(made.broken) == 1 and len(made.epochs) == 2
    net = mts.load(out)
    assert net.about["class_names"] == ["bright", "dark"]
    training = net.about["training"]
    assert (training["seed"], training["done"], training["images"]) == (3, 2, made.trained_on)
    assert training["accuracy"] == made.accuracy and made.interval[0] <= made.accuracy <= made.interval[1]
    assert all(np.array_equal(array, made.net.state_dict()[name]) for name, array in net.state_dict().items())
    run = mt.look(str(out), folder / "images", out=folder / "run", analyses=["activity", "decisions"])
    assert run["activity"].findings()


def test_the_same_seed_gives_the_same_file(folder: Path) -> None:
    for name in ("a", "b"):
        train_scratch("scratch:tiny", folder / "images", seed=1, out=folder / f"{name}.tnn")
    assert (folder / "a.tnn").read_bytes() == (folder / "b.tnn").read_bytes()


def test_no_epochs_write_the_untrained_network(folder: Path) -> None:
    recipe = dataclasses.replace(TINY, epochs=0)
    train_scratch("scratch:tiny", folder / "images", recipe, seed=5, out=folder / "net.tnn")
    fresh = TINY.build(5).state_dict()
    assert all(np.array_equal(array, fresh[name]) for name, array in mts.load(folder / "net.tnn").state_dict().items())


def test_pixels_are_normalised_as_the_network_says_and_prepared_ones_are_left() -> None:
    net = mts.mnist_net()
    pixels = np.array([0, 255], np.uint8).reshape(1, 1, 1, 2)
    np.testing.assert_allclose(normalisation(net)(pixels).ravel(), [-0.1307 / 0.3081, 0.8693 / 0.3081], rtol=1e-5)
    np.testing.assert_array_equal(normalisation(net)(np.ones((1, 1, 1, 1), np.float64)), 1)


def test_images_without_labels_cannot_be_trained_on(folder: Path) -> None:
    model = mt.open_model("scratch:tiny")
    unlabelled = mt.open_images([folder / "images" / "dark" / f"{n}.png" for n in range(1, 5)], like=model)
    from microtome.progress import Silent

    with pytest.raises(BadImages, match="Training and testing need labelled images"):
        arrays(unlabelled, Silent())


def test_a_network_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownName, match="cats-net-64"):
        recipe_of("scratch:cat-net")
