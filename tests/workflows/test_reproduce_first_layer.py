"""What the first layer learns, on scikit-learn's digits in colour; what the verdicts say of which numbers."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from microtome.cli import app
from microtome.errors import BadImages, UsageError
from microtome.network.zoo import ZOO
from microtome.progress import Silent
from microtome.workflows.reproduce.first_layer import settings as settings_module
from microtome.workflows.reproduce.first_layer.data import gather
from microtome.workflows.reproduce.first_layer.experiment import reproduce
from microtome.workflows.reproduce.first_layer.settings import Settings
from microtome.workflows.reproduce.first_layer.trainings import jobs_of, train_all

TINY = Settings(epochs=1, seeds=2, random=2, residual=1, images=128, held_out=40, draws=40)
PICTURES = {f"{name}.png" for name in ("profiles", "steps", "frozen", "frequencies", "rings", "linear")}


def write_digits(folder, count: int, first: int = 0) -> None:
    """Real digits of 32 pixels, each in a colour of its own, a folder a class."""
    digits, random = load_digits(), np.random.default_rng(first)
    for number in range(first, first + count):
        small = Image.fromarray((digits.images[number] * 15.9).astype(np.uint8)).resize((32, 32))
        tint = random.uniform(0.2, 1, (2, 3))
        grey = np.asarray(small)[..., None] / 255
        colours = (255 * (grey * tint[0] + (1 - grey) * tint[1])).astype(np.uint8)
        path = folder / f"class{digits.target[number]}"
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours).save(path / f"{number:04}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("digits")
    write_digits(place / "train", 200)
    write_digits(place / "test", 60, 200)
    write_digits(place / "other", 60, 600)
    return place


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from safetensors.torch import save_file

    place, found = tmp_path_factory.mktemp("weights"), {}
    for name in ("resnet20", "resnet32"):
        torch.manual_seed(len(name))
        found[name] = place / f"{name}.safetensors"
        save_file(ZOO[name].build().state_dict(), found[name])
    return found


@pytest.fixture(scope="module")
def made(folder, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("first layer")
    return reproduce(folder, out, TINY, others={"more digits": folder / "other"}, weights=weights)


def test_everything_is_written(made) -> None:
    assert {path.name for path in made.out.iterdir() if path.is_file()} == {"claims.md", "claims.json"} | PICTURES
    page, kept = (made.out / "claims.md").read_text(), json.loads((made.out / "claims.json").read_text())
    assert [claim["verdict"] for claim in kept["claims"]] == [claim.verdict for claim in made.claims]
    assert all(f"| {claim.claim} | {claim.measured} | **{claim.verdict}** |" in page for claim in made.claims)
    assert f"{made.out}" not in page
    for name in PICTURES:
        with Image.open(made.out / name) as picture:
            assert picture.width > 200
        assert (made.out / name).stat().st_size < 100_000
