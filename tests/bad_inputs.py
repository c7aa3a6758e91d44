"""Everything that can be wrong with what users give, as they type it; `python tests/bad_inputs.py` writes the table.

Each case prepares a folder, is typed there, and stands with its exit code. What is said stands in
docs/bad-inputs.md, which is made of these cases; tests/test_bad_inputs.py holds one against the other.
"""

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keyboard import typed

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "bad-inputs.md"
NETWORK = "zoo:simpleconvnet_pruned"
HEADER = """# What happens to bad input

Every row is typed by a test (`tests/bad_inputs.py` writes this page, `tests/test_bad_inputs.py` holds the program
against it): what is said, the exit code (0 fine, 1 the run failed, 2 wrong use), and that no file was lost, changed or
left behind. Messages say what was given, what is allowed, and what to do next.

| input | typed | what is said | exit code |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Case:
    """What is wrong, in words; what is typed; what the folder holds; the exit code; what may be new afterwards.

    `says` picks the line that matters of a command that succeeds.
    """

    title: str
    words: str
    code: int = 2
    prepare: Callable[[Path], object] = lambda folder: None
    leaves: tuple[str, ...] = ()
    says: str = "error: "


def photos(folder: Path, count: int = 6, classes: tuple[str, ...] = ("cat", "dog")) -> None:
    """Small grey images in one folder a class."""
    import numpy as np
    from PIL import Image

    for place in range(count):
        home = folder / "photos" / classes[place % len(classes)]
        home.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(place).integers(0, 255, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(home / f"{place}.png")


def finished_run(folder: Path) -> None:
    """A run of the network on the photos."""
    photos(folder)
    assert typed(f"look {NETWORK} photos -o run --analyses filters --no-report -q", folder)[0] == 0


def compared(folder: Path) -> None:
    """A comparison of the network with itself."""
    photos(folder)
    words = f"compare {NETWORK} {NETWORK} --images photos -o run --no-report -q"
    assert typed(words, folder)[0] == 0


def change_json(name: str, **changes: object) -> Callable[[Path], None]:
    """A finished run whose description was changed."""

    def prepare(folder: Path) -> None:
        finished_run(folder)
        path = folder / "run" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return prepare


def write(name: str, content: bytes | str) -> Callable[[Path], None]:
    """A file, and the photos."""

    def prepare(folder: Path) -> None:
        photos(folder)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return prepare


def both(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    """One preparation after the other."""

    def prepare(folder: Path) -> None:
        for step in steps:
            step(folder)

    return prepare


def weights_of(name: str, cut: int | None = None, key: str = "") -> Callable[[Path], None]:
    """The weights of a zoo network in a file, cut short or without a key."""

    def prepare(folder: Path) -> None:
        from safetensors.torch import save_file

        from microtome import open_model

        photos(folder)
        state = open_model(f"zoo:{name}").module.state_dict()
        state.pop(key, None)
        save_file(state, folder / "w.safetensors")
        if cut is not None:
            (folder / "w.safetensors").write_bytes((folder / "w.safetensors").read_bytes()[:cut])

    return prepare


def pickled(folder: Path) -> None:
    """Weights in a file that would run code when it is read."""
    import pickle

    class Doing:
        def __reduce__(self) -> tuple[object, ...]:
            return (print, ("executed",))

    photos(folder)
    (folder / "w.pt").write_bytes(pickle.dumps({"state_dict": Doing()}))


def not_numbers(folder: Path) -> None:
    """Weights of which one is not a number."""
    from safetensors.torch import save_file

    from microtome import open_model

    photos(folder)
    state = open_model(NETWORK).module.state_dict()
    state["conv2.bias"][3] = float("nan")
    save_file(state, folder / "w.safetensors")


def arrays(**entries: object) -> Callable[[Path], None]:
    """An archive of arrays."""

    def prepare(folder: Path) -> None:
        import numpy as np

        np.savez(folder / "a.npz", **{name: np.asarray(values) for name, values in entries.items()})

    return prepare


def one_broken(folder: Path) -> None:
    """Photos of which one cannot be read."""
    photos(folder)
    (folder / "photos" / "cat" / "0.png").write_bytes(b"no image")


def all_broken(folder: Path) -> None:
    """Photos of which none can be read."""
    photos(folder)
    for path in (folder / "photos").rglob("*.png"):
        path.write_bytes(b"")


def locked(folder: Path) -> None:
    """A run that another process works on: its lock is held until this process ends."""
    from filelock import FileLock

    finished_run(folder)
    HELD.append(FileLock(folder / "run" / ".lock"))
    HELD[-1].acquire()


HELD: list[object] = []  # a lock that nobody holds is let go
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc, self.calls = nn.Conv2d(1, 4, 3), nn.Linear(4, 10), 0

    def forward(self, x):
        {forward}
        return self.fc(self.conv(x).relu().mean((2, 3)))

def make():
    return {made}
SIZE, MEAN, STD = 28, (0.5,), (0.5,)
"""
FINE, MADE = "pass", "Net()"
SOMETIMES = "x = x.sigmoid() if x[0, 0, 0, 0] > 0 else x"
MIDDLE = "self.calls += len(x)\n        if self.calls > 12: raise ValueError('the sensor is off')"


def network(forward: str = FINE, made: str = MADE) -> Callable[[Path], None]:
    """A network in a Python file, and the photos."""
    return write("net.py", NET.format(forward=forward, made=made))


def other_run(folder: Path) -> None:
    """A run of the network on photos of which one is gone."""
    finished_run(folder)
    (folder / "photos" / "cat" / "0.png").unlink()


def emptied_result(folder: Path) -> None:
    """A run whose result was cut short."""
    finished_run(folder)
    (result,) = (folder / "run" / "results").iterdir()
    result.write_bytes(result.read_bytes()[:100])


def misshapen(folder: Path) -> None:
    """A run whose result holds arrays of other shapes."""
    import numpy as np

    from microtome.store import read_tree, write_tree

    finished_run(folder)
    (result,) = (folder / "run" / "results").iterdir()
    stem = result.with_suffix("")
    tree = read_tree(stem)
    write_tree(stem, {name: np.zeros(3) if isinstance(value, dict) else value for name, value in tree.items()})


def linked(folder: Path) -> None:
    """A run with a link in it."""
    finished_run(folder)
    (folder / "secret").write_text("x")
    (folder / "run" / "images" / "extra.webp").symlink_to(folder / "secret")


def unfinished(folder: Path) -> None:
    """A run whose process was killed."""
    finished_run(folder)
    (folder / "run" / "run.json").unlink()


def forgetful(folder: Path) -> None:
    """A run begun by a program."""
    change_json("plan.json", call={})(folder)


LOOK = f"look {NETWORK} photos -o run --analyses filters -q"
CASES = [
    Case("a scheme for models that does not exist", "sites torchvison:resnet18"),
    Case("a model that does not exist", "sites torchvision:resnet19"),
    Case("a network that is not in the zoo", "sites zoo:resnet21"),
    Case("a file of weights that is not there", f"look {NETWORK}@w.safetensors photos", prepare=photos),
    Case("weights of another network", f"look {NETWORK}@w.safetensors photos", prepare=weights_of("resnet20")),
    Case("weights without one of the tensors", f"look {NETWORK}@w.safetensors photos",
         prepare=weights_of("simpleconvnet_pruned", key="conv2.bias")),
    Case("a file of weights that was cut short", f"look {NETWORK}@w.safetensors photos",
         prepare=weights_of("simpleconvnet_pruned", cut=500)),
    Case("a file of weights that claims a header of 8 exabytes", f"look {NETWORK}@w.safetensors photos",
         prepare=write("w.safetensors", (2**63 - 1).to_bytes(8, "little") + b"{}")),
    Case("weights in a pickle", f"look {NETWORK}@w.pt photos", prepare=pickled),
    Case("weights that are not numbers", f"look {NETWORK}@w.safetensors photos -o run --no-report --analyses filters",
         0, not_numbers, ("run",), "note: "),
    Case("a network without convolutions or linear layers",
         "look file:net.py:make photos -o run -q --no-report --analyses activity", 0, network(made="nn.Flatten()"),
         ("run",), "skipped "),
    Case("a Python file that is not there", "look file:net.py:make photos", prepare=photos),
    Case("a Python file without the factory", "look file:net.py:build photos", prepare=network()),
    Case("a factory that raises", "look file:net.py:make photos", prepare=network(made="1 / 0")),
    Case("a factory that makes no network", "look file:net.py:make photos", prepare=network(made="42")),
    Case("a network that raises at once", "look file:net.py:make photos -q", 1, network("raise ValueError('no')")),
    Case("a network that raises in the middle of the images",
         "look file:net.py:make photos -q -o run --batch-size 4 --analyses activity", 1,
         both(network(MIDDLE), lambda folder: photos(folder, 30))),
    Case("a network that calls other layers for some images",
         "look file:net.py:make photos -q -o run --batch-size 4 --analyses activity", 1,
         both(network(SOMETIMES), lambda folder: photos(folder, 30)), ("run",)),
    Case("a detector, which is no classifier", "sites torchvision:fasterrcnn_resnet50_fpn"),
    Case("timm where it is not installed", "sites timm:resnet18"),
    Case("a site that does not exist", f"sites {NETWORK} conv4"),
    Case("a unit that does not exist", f"{LOOK} --units conv2:99", prepare=photos),
    Case("an analysis that does not exist", f"look {NETWORK} photos --analyses activty", prepare=photos),
    Case("a setting that does not exist", f"look {NETWORK} photos --set activity.n=4", prepare=photos),
    Case("a setting that cannot be read", f"look {NETWORK} photos --set k=4", prepare=photos),
    Case("a plugin that is not there", f"look {NETWORK} photos --plugin mine.py", prepare=photos),
    Case("a plugin with an error in it", f"look {NETWORK} photos --plugin mine.py", prepare=write("mine.py", "1 / 0")),
    Case("a plugin without an analysis", f"look {NETWORK} photos --plugin mine.py", prepare=write("mine.py", "x = 1")),
    Case("a folder of images that is not there", f"look {NETWORK} photso"),
    Case("a folder without images", f"look {NETWORK} notes", prepare=write("notes/readme.txt", "no image")),
    Case("a scheme for images that does not exist", f"look {NETWORK} minst:data"),
    Case("MNIST where there is none", f"look {NETWORK} mnist:data"),
    Case("CIFAR-10 where there is none", f"look {NETWORK} cifar10:data"),
    Case("an archive that is not there", f"look {NETWORK} npz:a.npz"),
    Case("an archive without images", f"look {NETWORK} npz:a.npz", prepare=arrays(pictures=[[1.0]])),
    Case("an archive of pickled objects", f"look {NETWORK} npz:a.npz", prepare=arrays(images=[{}, None])),
    Case("prepared images of another size", f"look {NETWORK} npz:a.npz", prepare=arrays(images=[[[[0.5] * 9] * 9]])),
    Case("labels for some of the images only", f"look {NETWORK} npz:a.npz",
         prepare=arrays(images=[[[[0.5] * 28] * 28]] * 3, labels=[1])),
    Case("an image that cannot be read", f"{LOOK.replace('filters', 'activity')} --no-report", 0, one_broken, ("run",),
         "skipped "),
    Case("an image that cannot be read, with --strict", f"{LOOK.replace('filters', 'activity')} --strict",
         prepare=one_broken),
    Case("images of which none can be read", LOOK.replace("filters", "activity"), prepare=all_broken),
    Case("no images at all", f"look {NETWORK}"),
    Case("a limit below one", f"look {NETWORK} photos --limit -3", prepare=photos),
    Case("a class map that is no JSON", f"look {NETWORK} photos --classes map.json",
         prepare=write("map.json", "cat: 1")),
    Case("a class map with a folder that does not exist", f"look {NETWORK} photos --classes map.json",
         prepare=write("map.json", '{"bird": 3}')),
    Case("a class map with a class that does not exist", f"look {NETWORK} photos --classes map.json",
         prepare=write("map.json", '{"cat": 12}')),
    Case("class folders that match no classes of the network", f"{LOOK.replace('filters', 'preferences')} --no-report",
         0, photos, ("run",), says="skipped "),
    Case("a device that is not there", f"{LOOK} --device cuda:7", prepare=photos),
    Case("mixed precision without a GPU", f"{LOOK} --amp --device cpu", prepare=photos),
    Case("a folder that holds something else", LOOK, prepare=write("run/thesis.txt", "years of work")),
    Case("a folder that cannot be written", LOOK.replace("-o run", "-o file/run"), 1, write("file", "not a folder")),
    Case("a run of other images", LOOK, prepare=other_run),
    Case("a run of another network", LOOK.replace(NETWORK, "zoo:simpleconvnet"), prepare=finished_run),
    Case("a run that another process works on", LOOK, prepare=locked),
    Case("a run of a newer version", "report run", prepare=change_json("run.json", format=99)),
    Case("a plan of a newer version", LOOK, prepare=change_json("plan.json", format=99)),
    Case("a folder that is no run", "report photos", prepare=photos),
    Case("a run that is not finished", "report run", prepare=unfinished),
    Case("a run that names a file outside of its folder", "report run",
         prepare=change_json("run.json", files={"filters": "../../secret"})),
    Case("a run with a symbolic link", "report run", prepare=linked),
    Case("a run whose result was cut short", "report run", prepare=emptied_result),
    Case("a run whose result has other shapes", "report run", prepare=misshapen),
    Case("a run whose description lacks its layers", "report run", prepare=change_json("run.json", layers=None)),
    Case("going on with a run that a program began", "look run", prepare=forgetful),
    Case("going on with a run that names Python files", "look run",
         prepare=both(network(), lambda folder: typed(LOOK.replace(NETWORK, "file:net.py:make"), folder))),
    Case("a picture that is not there", f"explain {NETWORK} photo.png --maps conv2"),
    Case("a stimulus that there is not", f"explain {NETWORK} stimulus:lnie:45 --maps conv2"),
    Case("explaining nothing", f"explain {NETWORK} stimulus:line:45"),
    Case("explaining two things at once", f"explain {NETWORK} dot --maps conv2 --unit conv2:1"),
    Case("a way of explaining that there is not", f"explain {NETWORK} dot --unit conv2:1 --method smoothgrad"),
    Case("a unit that there is not", f"explain {NETWORK} dot --unit conv2:99 --method occlusion"),
    Case("a unit without its number", f"explain {NETWORK} dot --unit conv2 --method occlusion"),
    Case("a position that there is not", f"explain {NETWORK} dot --unit conv2:1 --method occlusion --at 40,0"),
    Case("a class that there is not", f"explain {NETWORK} dot --unit class:zebra --method gradcam"),
    Case("Grad-CAM of a unit that is no class", f"explain {NETWORK} dot --unit conv2:1 --method gradcam"),
    Case("Grad-CAM at a site without positions", f"explain {NETWORK} dot --unit class --method gradcam --site fc5"),
    Case("an option of another way of explaining", f"explain {NETWORK} dot --unit class --method gradcam --size 5"),
    Case("growing a picture for nothing", f"dream {NETWORK}"),
    Case("growing a picture for a unit that there is not", f"dream {NETWORK} --unit conv2:99"),
    Case("growing a picture at a position that there is not", f"dream {NETWORK} --unit conv2:1 --at 40,0"),
    Case("growing a picture in no steps", f"dream {NETWORK} --unit conv2:1 --steps 0"),
    Case("growing a picture for the network's own answer", f"dream {NETWORK} --unit class"),
    Case("pruning towards a target that cannot be read", f"prune {NETWORK} digits --target half"),
    Case("pruning a layer whose channels are the answers", f"prune {NETWORK} digits --target fc5=3"),
    Case("pruning to nothing", f"prune {NETWORK} digits --target macs=0%"),
    Case("pruning in no rounds", f"prune {NETWORK} digits --rounds 0"),
    Case("pruning beside a baseline that there is not", f"prune {NETWORK} digits --baselines luck"),
    Case("pruning with images that are not there", f"prune {NETWORK} nowhere"),
    Case("comparing networks of which one has more classes",
         f"compare file:net.py:make {NETWORK} --images photos",
         prepare=network(made="nn.Sequential(nn.Flatten(), nn.Linear(784, 4))")),
    Case("comparing with the folder of a run", f"compare run {NETWORK} --images photos", prepare=finished_run),
    Case("comparing on images that are not there", f"compare {NETWORK} {NETWORK} --images nowhere"),
    Case("going on with a comparison beside another network",
         f"compare {NETWORK} zoo:simpleconvnet --images photos -o run -q", prepare=compared),
    Case("following a training by an analysis that there is not", f"train {NETWORK} digits --track activty -q"),
    Case("following a training for no share of its time", f"train {NETWORK} digits --track filters --track-share 0 -q"),
    Case("following a training into a folder that holds something else", f"train {NETWORK} digits --track filters -q",
         prepare=write("net-track/thesis.txt", "years of work")),
    Case("following a training in NumPy", "train scratch:mnist-net digits --track filters -q"),
    Case("two classes for one path", f"explain {NETWORK} dot --method path --unit class:1 --class 2"),
    Case("a path from a class that there is not", f"explain {NETWORK} dot --method path --class zebra"),
    Case("a square larger than the picture", f"explain {NETWORK} dot --unit class --method occlusion --size 29"),
    Case("the preimage of a layer that there is not", f"explain {NETWORK} dot --unit conv9 --method preimage"),
    Case("exporting what is no run", "export photos", prepare=photos),
    Case("exporting in a format that there is not", "export run --format xlsx", prepare=finished_run),
    Case("exporting into a folder that holds something else", "export run -o photos", prepare=finished_run),
    Case("a shard that there is not", f"{LOOK} --shard 4/4", prepare=photos),
    Case("a shard by the environment where it says nothing", f"{LOOK} --shard auto", prepare=photos),
    Case("putting together what has not been measured", "merge run", 0,
         both(photos, lambda folder: typed(f"{LOOK.replace('filters', 'twins')} --shard 0/3", folder)),
         ("run",), "Stage 1: "),
]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, and where every link leads."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink()
    }  # fmt: skip


def said(case: Case, out: str, err: str) -> str:
    """The line that matters."""
    lines = [line.strip() for line in (err + out).splitlines()]
    found = [line.removeprefix("error: ") for line in lines if line.startswith(case.says)]
    if not found:
        return f"(nothing that begins with {case.says!r}) {out} {err}"
    # how many there are, and how other libraries word their errors, changes with their versions
    return re.sub(r"and \d+ more", "and more", re.sub(r"Error while deserializing header: [a-z ]+", "...", found[0]))


def row(case: Case, text: str) -> str:
    """One row of the table."""
    text = re.sub(r"-[0-9a-f]{12}\.safetensors", "-....safetensors", text)  # results are named by their content
    cells = (case.title, f"`microtome {case.words}`", text, str(case.code))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


@contextlib.contextmanager
def prepared(case: Case) -> Iterator[Path]:
    """A folder as the case wants it."""
    with tempfile.TemporaryDirectory() as home:
        case.prepare(Path(home))
        yield Path(home)


def main() -> None:
    """Write the table."""
    rows = []
    for case in CASES:
        with prepared(case) as folder:
            code, out, err = typed(case.words, folder)
        text = said(case, out, err)
        if code != case.code:
            print(f"{case.title}: exit code {code}, not {case.code}: {out}{err}")
        rows.append(row(case, text))
    TABLE.write_text(HEADER + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
