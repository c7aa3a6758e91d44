"""`microtome train --track`."""

import json

import numpy as np
import torch
from safetensors.torch import load_file

import microtome as mt

WORDS = ("train", "zoo:simpleconvnet_pruned", "digits", "--epochs", 2, "-q")


def test_the_followed_training_gives_the_same_weights_and_a_page_beside_them(type_, tmp_path) -> None:
    plain, followed = tmp_path / "plain.safetensors", tmp_path / "net.safetensors"
    assert type_(*WORDS, "-o", plain)[0] == 0
    words = ("--track", "filters,decisions", "--probe", 50, "--track-share", 0.9)
    code, out, err = type_(*WORDS, "-o", followed, *words)
    assert code == 0, err
    one, other = load_file(plain), load_file(followed)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    page = tmp_path / "net-track" / "index.html"
    assert f"While it learnt: {page}" in out and page.is_file()
    history = mt.open_run(page.parent)["history"]
    assert f"took {history.spent / history.total:.1%} of the" in out
    assert (history.images, history.step[0], history.step[-1]) == (50, 0, 36)
    assert np.isfinite(history.facts["loss"][1:]).all() and history.facts["epoch"][-1] == 2
    assert list(history.curves) == ["decisions", "filters"]


def test_machines_are_told_where_the_page_is(type_, tmp_path) -> None:
    out = tmp_path / "net.safetensors"
    told = json.loads(type_(*WORDS, "-o", out, "--track", "filters", "--json")[1])
    assert told["track"] == str(tmp_path / "net-track" / "index.html")
    assert told["findings"][0].startswith("The network was followed through 36 steps")


def test_a_folder_that_was_tracked_into_is_not_written_over(type_, tmp_path) -> None:
    words = (*WORDS, "-o", tmp_path / "net.safetensors", "--track", "filters")
    assert type_(*words)[0] == 0
    before = (tmp_path / "net.safetensors").stat().st_mtime_ns
    code, _, err = type_(*words)
    assert (code, "holds a training that was tracked before" in err) == (2, True)
    assert (tmp_path / "net.safetensors").stat().st_mtime_ns == before
