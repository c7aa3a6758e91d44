"""What the first layer learns, on scikit-learn's digits in colour; what the verdicts say of which numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn
from typer.testing import CliRunner

from microtome.cli import app
from microtome.errors import BadImages, UsageError
from microtome.images.sources import open_images
from microtome.network.training import Recipe, train
from microtome.network.zoo import CIFAR_PROFILES, PROFILES_RECIPE, ZOO
from microtome.progress import Silent
from microtome.store import read_tree
from microtome.workflows.reproduce.first_layer import experiment, trainings
from microtome.workflows.reproduce.first_layer import settings as settings_module
from microtome.workflows.reproduce.first_layer.architectures import DEPTHS, RESIDUAL, build, first_of
from microtome.workflows.reproduce.first_layer.claims import claims_of
from microtome.workflows.reproduce.first_layer.data import Pictures, gather, read_pictures
from microtome.workflows.reproduce.first_layer.experiment import reproduce, seen
from microtome.workflows.reproduce.first_layer.learning import hold, labels_of, learn, moments
from microtome.workflows.reproduce.first_layer.pairs import alike
from microtome.workflows.reproduce.first_layer.settings import ALL, FIRST, OWN, RANDOM, Job, Settings, settings_of
from microtome.workflows.reproduce.verdicts import UNKNOWN

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


class Lines(Silent):
    """What is said, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_second_call_trains_and_measures_nothing(made, folder, weights) -> None:
    (made.out / "networks" / "vgg3-true-0.safetensors").write_bytes(b"damaged")
    progress = Lines()
    again = reproduce(folder, made.out, TINY, progress, others={"more digits": folder / "other"}, weights=weights)
    assert [claim.measured for claim in again.claims][:-1] == [claim.measured for claim in made.claims][:-1]
    trained = [line for line in progress.lines if line.endswith(" left")]
    assert [line.split(":")[0] for line in trained] == ["vgg3-true-0"]
    assert sum("known already" in line for line in progress.lines) == 10  # eight parts, and the pixels of two sets
    assert any("17 networks, 16 of them trained already" in line for line in progress.lines)


def test_other_settings_train_anew(made, folder) -> None:
    data = gather(folder, {}, TINY, made.out / "others", Silent())
    assert len(jobs_of_kind(data, TINY, "vgg8")) == 7 and jobs_of_kind(data, TINY, "resnet20") == ["resnet20-true-0"]
    more = gather(folder, {}, replace(TINY, images=100), made.out / "others", Silent())
    assert more.mark != data.mark and len(more[OWN].pixels) == 100


def jobs_of_kind(data, settings, network) -> list[str]:
    return [job.name for job in trainings.jobs_of(settings, data) if job.network == network]


def test_frozen_layers_stay_and_others_move(made) -> None:
    for name, moves in (("vgg8-true-0", True), ("vgg8-true-fixed-first-0", False), ("vgg8-true-fixed-all-0", False)):
        found = read_tree(made.out / "networks" / name)["found"]
        assert (found["bank"][0] != found["bank"][-1]).any() == moves
        assert found["steps"].tolist() == [0, 2] and len(found["bank"]) == 2
    begun = [read_tree(made.out / "networks" / f"{name}-0")["found"]["bank"][0] for name in
             ("vgg8-true", "vgg8-true-fixed-first", "vgg3-true", "vgg8-random")]  # fmt: skip
    np.testing.assert_array_equal(begun[0], begun[1])
    np.testing.assert_array_equal(begun[0], begun[2])  # so that pairs of one seed say nothing
    assert (begun[0] != begun[3]).any()


@pytest.fixture(scope="module")
def pictures(folder, tmp_path_factory) -> Pictures:
    known = tmp_path_factory.mktemp("pixels")
    return read_pictures(gather(folder, {}, TINY, known, Silent()).files[OWN])


def test_it_learns_what_the_packages_own_trainer_learns(pictures, folder) -> None:
    recipe = Recipe(epochs=1, batch_size=32, optimizer="sgd", rate=0.01, schedule="constant", drop_last=True)
    found = learn(Job(network="vgg3", seed=5), pictures, recipe, False, torch.device("cpu"))
    images = open_images(folder / "train", CIFAR_PROFILES).limit(TINY.images)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = build("vgg3", 10, False)
    kept = []
    train(module, images, images, CIFAR_PROFILES, replace(recipe, seed=5),
          after_step=lambda step, *_: kept.append(first_of(module).filters().numpy()))  # fmt: skip
    moved, apart = kept[-1] - found["bank"][0], found["bank"][-1] - kept[-1]
    assert len(kept) == 4 and np.abs(moved).max() > 1e-3
    assert np.abs(apart).max() < 0.02 * np.abs(moved).max()  # flat pictures: rounding chooses among a pool's equals


def test_another_process_learns_the_same(folder, tmp_path) -> None:
    data, job = gather(folder, {}, TINY, tmp_path / "parts", Silent()), Job(network="vgg3", seed=3)
    here, there = tmp_path / "here", tmp_path / "there"
    given = (job, data.files[OWN], TINY.recipe, False, "cpu")
    seconds = trainings.train_one(*given, here, "key")
    ((found, elsewhere),) = trainings.at_once({job: (*given, there, "key")}, 1)
    assert found == job and seconds > 0 and elsewhere > 0
    for name in ("bank", "right", "curve"):
        one, other = (read_tree(stem)["found"][name] for stem in (here, there))
        np.testing.assert_array_equal(one, other)


def test_random_labels_keep_how_often_each_class_comes() -> None:
    labels = np.repeat(np.arange(4), [5, 6, 7, 8])
    assert labels_of(Job(network="vgg3", seed=0), labels, 4) is labels
    permuted = labels_of(Job(network="vgg3", seed=0, labels=RANDOM), labels, 4)
    assert np.bincount(permuted).tolist() == [5, 6, 7, 8] and (permuted != labels).any()
    each = labels_of(Job(network="vgg3", seed=0, labels=RANDOM), np.arange(50), 10)
    assert np.bincount(each).tolist() == [5] * 10


def test_names_of_one_image_each_are_not_learnt() -> None:
    few = Pictures(pixels=np.zeros((50, 3, 2, 2), np.uint8), labels=np.arange(50), names=tuple(map(str, range(50))),
                   held_out=np.zeros((0, 3, 2, 2), np.uint8), held_out_labels=np.zeros(0, int))  # fmt: skip
    assert (few.classes, few.labels_to_learn) == (10, RANDOM)
    assert replace(few, names=("a", "b")).labels_to_learn == "true"


@pytest.mark.parametrize("network", [*DEPTHS, RESIDUAL])
def test_networks_have_the_layers_that_their_names_say(network: str) -> None:
    for wide in (False, True):
        module = build(network, 7, wide)
        assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
        if network in DEPTHS:
            assert sum(isinstance(part, nn.Conv2d) for part in module.modules()) == DEPTHS[network]
            assert first_of(module).filters().shape == (64, 3, 3, 3)
    hold(module, FIRST)
    held = [not part.weight.requires_grad for part in module.modules() if isinstance(part, nn.Conv2d)]
    assert held == [True] + [False] * (len(held) - 1)
    hold(module, ALL)
    assert not any(part.weight.requires_grad for part in module.modules() if isinstance(part, nn.Conv2d))


def test_the_folded_first_layer_answers_like_both_layers() -> None:
    torch.manual_seed(0)
    module = build("vgg3", 10, False)
    norm = first_of(module).norm
    for values in (norm.weight.data, norm.bias.data, norm.running_mean):
        values.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, 8, 8)
    folded, offset = first_of(module).folded()
    layer = first_of(module).convolution
    wanted = norm.eval()(layer(x))
    torch.testing.assert_close(torch.conv2d(x, folded, offset, padding=1), wanted, rtol=1e-4, atol=1e-4)


def test_moments_begin_at_0_and_end_at_the_last_step() -> None:
    assert moments(868)[0] == 0 and moments(868)[-1] == 868 and 10 in moments(868) and len(moments(868)) == 14
    assert moments(3) == [0, 3]


def test_the_published_schedule_is_that_of_the_zoo() -> None:
    full = settings_of(full=True)
    assert full.recipe == PROFILES_RECIPE and (full.images, full.held_out, full.seeds) == (0, 0, 3)
    assert settings_of(full=True, epochs=2).recipe.epochs == 2 and settings_of() == Settings()


def test_a_folder_without_both_parts_is_refused(folder, tmp_path) -> None:
    with pytest.raises(BadImages, match="There is no folder 'test' in"):
        write_digits(tmp_path / "train", 3)
        gather(tmp_path, {}, TINY, tmp_path / "parts", Silent())
    write_digits(tmp_path / "test", 2)
    with pytest.raises(BadImages, match="hold other classes"):
        gather(tmp_path, {}, TINY, tmp_path / "parts", Silent())


def test_the_command_takes_its_options_and_refuses_those_of_others(tmp_path, monkeypatch) -> None:
    with pytest.raises(UsageError, match="--full was given to dissection. It belongs to first-layer"):
        CliRunner().invoke(app, ["reproduce", "dissection", "--full"], catch_exceptions=False)
    with pytest.raises(UsageError, match="--side was given to first-layer. It belongs to scratch"):
        CliRunner().invoke(app, ["reproduce", "first-layer", "--side", "16"], catch_exceptions=False)
    monkeypatch.delenv("MICROTOME_DATA", raising=False)
    with pytest.raises(BadImages, match="says where CIFAR-10 is"):
        CliRunner().invoke(app, ["reproduce", "first-layer"], catch_exceptions=False)


def test_the_command_prints_its_claims_and_measures_nothing_twice(made, folder, weights, monkeypatch) -> None:
    monkeypatch.setattr(settings_module, "settings_of", lambda **said: replace(TINY, seeds=said["seeds"]))
    monkeypatch.setattr(experiment, "shared_sets", lambda: {"more digits": folder / "other"})
    monkeypatch.setattr(experiment, "shared_weights", lambda: weights)
    words = ["reproduce", "first-layer", "--images", str(folder), "--seeds", "2", "-o", str(made.out), "--json"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    found = json.loads(done.stdout)["claims"]
    assert [claim["measured"] for claim in found] == [claim.measured for claim in made.claims]
    assert "17 networks, 17 of them trained already" in done.stderr and done.stderr.count("known already") == 10


def test_without_other_sets_and_networks_their_claims_are_left_out(made) -> None:
    numbers = made.numbers | {"elsewhere": {"sets": {}}, "pretrained": {"nets": {}, "alike": alike([], 27)}}
    claims = claims_of(numbers)
    assert len(claims) == len(made.claims) - 3
    assert [claim.measured for claim in claims if claim.verdict == UNKNOWN][0] == "Their weights are not here"


def test_pixels_are_seen_as_the_networks_were_trained(pictures) -> None:
    wanted = (pictures.pixels[:2] / 255 - np.reshape(CIFAR_PROFILES.mean, (3, 1, 1))) / np.reshape(
        CIFAR_PROFILES.std, (3, 1, 1))  # fmt: skip
    np.testing.assert_allclose(seen(pictures.pixels[:2]).numpy(), wanted, atol=1e-5)
