"""scikit-learn's digits and the sets that torchvision reads; nothing here touches the network."""

import hashlib
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets

from microtome.errors import BadImages, UnknownName, UsageError
from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import open_images

COLOUR = Preprocessing(size=(32, 32), resize=0, mean=(0.0,) * 3, std=(1.0,) * 3)
GREY = Preprocessing(size=(28, 28), resize=0, mean=(0.0,), std=(1.0,))


def write_idx(folder: Path, name: str = "FashionMNIST", count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """The four files of MNIST's format, of random numbers; what the test part holds."""
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    for seed, part in enumerate(("train", "t10k")):
        random = np.random.default_rng(seed)
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        head = np.array([0x0803, count, 28, 28], ">i4").tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(np.array([0x0801, count], ">i4").tobytes() + labels.tobytes())
    return pixels, labels


def write_cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, list[int]]:
    """Files in CIFAR-10's format, with the checksums that torchvision wants of them; what the test part holds."""
    home = folder / "cifar-10-batches-py"
    home.mkdir()

    def write(name: str, content: dict[str, object]) -> str:
        (home / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((home / name).read_bytes()).hexdigest()

    pixels = np.random.default_rng(0).integers(0, 256, (11, 3, 32, 32), dtype=np.uint8)
    labels = (np.arange(11) % 10).tolist()
    entry: dict[str, object] = {"data": pixels.reshape(11, -1), "labels": labels}
    names: dict[str, object] = {"label_names": list("abcdefghij")}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", write("data_batch_1", entry)]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", write("test_batch", entry)]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": write("batches.meta", names)}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return pixels, labels


def test_digits_are_those_of_scikit_learn() -> None:
    images = open_images("digits", GREY)
    assert len(images) == 1797 and images.class_names == tuple("0123456789")
    assert images.labels.tolist() == load_digits().target.tolist()


def test_digits_are_enlarged_pictures_of_the_originals() -> None:
    images, originals = open_images("digits", GREY), load_digits().images
    for place in (0, 700, 1796):
        assert images[place].shape == (1, 28, 28)
        small = np.asarray(Image.fromarray(images[place][0]).resize((8, 8), Image.Resampling.BOX), float)
        assert np.corrcoef(small.ravel(), originals[place].ravel())[0, 1] > 0.97


def test_digits_keep_their_ids() -> None:
    ids = open_images("digits", GREY).ids
    assert (ids[0], ids[-1], len(set(ids))) == ("digits/0000", "digits/1796", 1797)


def test_mnist_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImages) as caught:
        open_images(f"mnist:{tmp_path}", GREY)
    assert str(caught.value) == (
        f"There is no MNIST in {str(tmp_path)!r}. mnist:DIR needs DIR/MNIST/raw with the four files of the data set. "
        "Give the folder that you gave to torchvision.datasets.MNIST, or fetch it with --download."
    )


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        open_images(f"mnist:{tmp_path}", GREY, split="tests")
    assert str(caught.value) == (
        "Split 'tests' does not exist. There are: train, test. Did you mean 'test'? Give the split as train or test."
    )


@pytest.mark.data
@pytest.mark.parametrize(("split", "prefix", "count"), [("test", "t10k", 10_000), ("train", "train", 60_000)])
def test_mnist_is_what_its_files_hold(split: str, prefix: str, count: int, data_folder: Path) -> None:
    raw = data_folder / "MNIST" / "raw"
    pixels = np.frombuffer((raw / f"{prefix}-images-idx3-ubyte").read_bytes(), np.uint8)[16:].reshape(-1, 1, 28, 28)
    labels = np.frombuffer((raw / f"{prefix}-labels-idx1-ubyte").read_bytes(), np.uint8)[8:]
    images = open_images(f"mnist:{data_folder}", GREY, split=split)
    assert len(images) == count and images.class_names == tuple("0123456789")
    assert images.labels.tolist() == labels.tolist()
    assert all(np.array_equal(images[place], pixels[place]) for place in range(0, count, 997))


def test_fashion_mnist_is_what_its_files_hold(tmp_path: Path) -> None:
    pixels, labels = write_idx(tmp_path)
    images = open_images(f"fashionmnist:{tmp_path}", GREY)
    assert images.labels.tolist() == labels.tolist() and images.class_names[:2] == ("T-shirt/top", "Trouser")
    assert all(np.array_equal(images[place][0], pixels[place]) for place in range(12))


def test_ids_say_the_part(tmp_path: Path) -> None:
    write_idx(tmp_path, "MNIST")
    test, train = (open_images(f"mnist:{tmp_path}", GREY, split=split) for split in ("test", "train"))
    assert (test.ids[0], train.ids[-1]) == ("mnist-test/00", "mnist-train/11")
    assert test.source == "mnist-test" and test.fingerprint != train.fingerprint


def test_cifar_is_what_its_files_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = write_cifar(tmp_path, monkeypatch)
    images = open_images(f"cifar10:{tmp_path}", COLOUR)
    assert images.labels.tolist() == labels and images.class_names == tuple("abcdefghij")
    assert images.ids[0] == "cifar10-test/00"
    assert all(np.array_equal(images[place], pixels[place]) for place in range(11))


def test_cifar_files_that_were_tampered_with_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(BadImages, match="There is no CIFAR10 in .* needs DIR/cifar-10-batches-py with the files"):
        open_images(f"cifar10:{tmp_path}", COLOUR)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\3" + b"\0\0\0\1" * 3)
    with pytest.raises(BadImages, match=r"FashionMNIST in '.*' cannot be read \(.*\)\. fashionmnist:DIR needs"):
        open_images(f"fashionmnist:{tmp_path}", GREY)


def test_classes_that_the_network_names_otherwise_are_matched_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, labels = write_cifar(tmp_path, monkeypatch)
    images = open_images(f"cifar10:{tmp_path}", COLOUR, tuple("jihgfedcbaz"))
    assert images.labels.tolist() == [9 - label for label in labels]
    assert images.labelling == "labels by class name, 10 of 11 classes"


def test_classes_of_which_the_network_knows_none_give_no_labels() -> None:
    images = open_images("digits", GREY, ("cat", "dog"))
    assert not images.labelled
    assert images.labelling == "no labels: 10 classes match neither names nor number of the 2 classes"


def test_sets_are_fetched_only_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.FashionMNIST, "download", lambda self: write_idx(Path(self.root)))
    with pytest.raises(BadImages, match="or fetch it with --download"):
        open_images(f"fashionmnist:{tmp_path}", GREY)
    assert len(open_images(f"fashionmnist:{tmp_path}", GREY, download=True)) == 12


@pytest.mark.parametrize("error", [URLError("no route to host"), RuntimeError("no route to host")])
def test_fetching_without_a_network_says_so(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: datasets.CIFAR10) -> None:
        raise error

    monkeypatch.setattr(datasets.CIFAR10, "download", download)
    with pytest.raises(BadImages) as caught:
        open_images(f"cifar10:{tmp_path}", COLOUR, download=True)
    assert str(caught.value) == (
        f"CIFAR10 could not be fetched into {str(tmp_path)!r} ({error}). --download needs a network and a folder that "
        "can be written. Fetch it elsewhere and copy it: cifar10:DIR needs DIR/cifar-10-batches-py with the files of "
        "the data set."
    )


def test_what_torchvision_does_not_fetch_is_refused_with_download() -> None:
    with pytest.raises(UsageError) as caught:
        open_images("digits", GREY, download=True)
    assert str(caught.value) == (
        "digits was given with --download. Fetched are: mnist:, fashionmnist:, cifar10:. Leave --download out."
    )
