"""What the user gives: a folder, SCHEME:PATH, a factory of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microtome.errors import BadImages, UnknownName, UsageError
from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import has_parts, open_images

COLOUR = Preprocessing(size=(8, 8), resize=0, mean=(0.0,) * 3, std=(1.0,) * 3)
SCHEMES = "digits:, mnist:, fashionmnist:, cifar10:, npz:, file:"


def fill(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / name)
    return folder


@pytest.mark.parametrize("kind", [str, Path])
def test_a_missing_folder_is_refused(kind: type, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(BadImages) as caught:
        open_images(kind(folder), COLOUR)
    assert str(caught.value) == (
        f"There is no folder {str(folder)!r}. Images come from a folder or from {SCHEMES}. Check the path."
    )


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    fill(tmp_path, "one.png")
    with pytest.raises(BadImages, match="There is no folder .*one.png"):
        open_images(str(tmp_path / "one.png"), COLOUR)


def test_an_unknown_source_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownName) as caught:
        open_images("minst:data", COLOUR)
    assert str(caught.value) == (
        "Image source 'minst' does not exist. There are: digits, mnist, fashionmnist, cifar10, npz, file, a folder. "
        "Did you mean 'mnist'? Give a folder, or SCHEME:PATH."
    )


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "old:photos", "1.png")
    monkeypatch.chdir(tmp_path)
    assert open_images("old:photos", COLOUR).ids == ("1.png",)


def test_a_path_is_opened_like_its_text(tmp_path: Path) -> None:
    fill(tmp_path, "1.png")
    assert open_images(tmp_path, COLOUR).fingerprint == open_images(str(tmp_path), COLOUR).fingerprint


def test_labels_do_not_go_with_a_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_images(str(fill(tmp_path, "1.png")), COLOUR, labels=[1])
    assert str(caught.value) == (
        f"{tmp_path} was given with labels. Labels go with tensors, arrays, lists and data sets. "
        "Leave them out, or give a class map."
    )


def test_a_factory_may_return_whatever_can_be_opened(tmp_path: Path) -> None:
    code = "import torch\n\n\ndef make():\n    return torch.arange(192, dtype=torch.uint8).view(1, 3, 8, 8)\n"
    (tmp_path / "data.py").write_text(code)
    images = open_images(f"file:{tmp_path / 'data.py'}:make", COLOUR)
    assert np.array_equal(images[0], np.arange(192).reshape(3, 8, 8))


def test_standard_sets_bring_a_part_to_test_on() -> None:
    assert has_parts("mnist:somewhere") and has_parts("cifar10:somewhere")
    assert not has_parts("digits") and not has_parts(Path("mnist:x"))
