"""Networks and images on which every analysis must keep the contract."""

import dataclasses
from collections.abc import Callable

import numpy as np

import microtome as mt
from microtome.analyses import general, registry
from microtome.analyses.handnet import Handnet
from microtome.images.sources import open_images
from microtome.network.zoo.simpleconvnet import SimpleConvNet
from microtome.runs.runner import Look, Outcome
from toys import Embedding, InPlace, Plain, Pyramid, Shared, Tokens, UNet, noise, opened, seeded


def digits() -> mt.Specimen:
    """Enough images a class to speak of classes."""
    model = mt.open_model("zoo:simpleconvnet_pruned")
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(70))


def few() -> mt.Specimen:
    """Two images, of two of the three classes."""
    model = opened(seeded(InPlace))
    return mt.Specimen(model=model, images=noise(model, 2))


def unlabelled() -> mt.Specimen:
    model = opened(seeded(Shared))
    return mt.Specimen(model=model, images=dataclasses.replace(noise(model), labels=np.full(10, -1)))


def tokens() -> mt.Specimen:
    model = opened(seeded(Tokens))
    return mt.Specimen(model=model, images=noise(model, 20))


def all_dead() -> mt.Specimen:
    """A network of zeros: nothing fires, nothing differs, every answer is the same."""
    model = opened(seeded(InPlace))
    for parameter in model.module.parameters():
        parameter.data.zero_()
    return mt.Specimen(model=model, images=noise(model, 12))


def one_unit() -> mt.Specimen:
    """Layers of a single unit have no other unit to compare with."""
    model = mt.open_model(seeded(SimpleConvNet, (1, 1, 1, 1), 2), size=28)
    return mt.Specimen(model=model, images=noise(model, 12, classes=2))


def embedding() -> mt.Specimen:
    """Outputs that are no classes: the labels of the images have nothing to do with them."""
    model = opened(seeded(Embedding))
    return mt.Specimen(model=model, images=noise(model, 12))


def u_net() -> mt.Specimen:
    """Two numbers a pixel, and labelled images."""
    model = opened(seeded(UNet))
    return mt.Specimen(model=model, images=noise(model, 12))


def pyramid() -> mt.Specimen:
    """Several maps, and images without labels."""
    model = opened(seeded(Pyramid))
    return mt.Specimen(model=model, images=dataclasses.replace(noise(model), labels=np.full(10, -1)))


def double() -> mt.Specimen:
    model = opened(seeded(InPlace).double())
    return mt.Specimen(model=model, images=noise(model, 12))


def brain_half() -> mt.Specimen:
    """Weights of eight bits of precision."""
    model = opened(seeded(Plain).bfloat16())
    return mt.Specimen(model=model, images=noise(model, 12))


def by_hand() -> mt.Specimen:
    """Layers whose weights are computed."""
    model = mt.open_model("zoo:handnet2")
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(60))


SUBJECTS: dict[str, Callable[[], mt.Specimen]] = {
    build.__name__: build
    for build in (
        digits,
        few,
        unlabelled,
        tokens,
        all_dead,
        one_unit,
        embedding,
        u_net,
        pyramid,
        double,
        brain_half,
        by_hand,
    )
}


COMPARING = ("comparison", "calibrations", "counterparts", "first_layers")  # they are asked of two networks


def beside_another() -> mt.Specimen:
    """A network and another one with the same classes, a layer of which is narrower."""
    specimen = digits()
    other = dataclasses.replace(specimen.model, module=seeded(SimpleConvNet, (4, 7, 30, 20)))
    return dataclasses.replace(specimen, others={"B": other})


def beside_itself() -> mt.Specimen:
    specimen = digits()
    return dataclasses.replace(specimen, others={"B": specimen.model})


def beside_few() -> mt.Specimen:
    """Two images, and a network of zeros beside."""
    model = opened(seeded(InPlace))
    return mt.Specimen(model=model, images=noise(model, 2), others={"B": all_dead().model})


def beside_unlabelled() -> mt.Specimen:
    specimen = unlabelled()
    other = opened(seeded(Shared))
    other.module.head.weight.data.mul_(-1)
    return dataclasses.replace(specimen, others={"B": other})


def beside_larger() -> mt.Specimen:
    """Another network that takes the images in a size of its own."""
    model, other = opened(seeded(Plain)), opened(seeded(Plain), size=16)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 3, 20, 20), dtype=np.uint8)
    images = open_images(pixels, model.preprocessing, labels=np.arange(30) % 3)
    return mt.Specimen(model=model, images=images, others={"B": other})


BESIDE: dict[str, Callable[[], mt.Specimen]] = {
    build.__name__: build for build in (beside_another, beside_itself, beside_few, beside_unlabelled, beside_larger)
}


def looked(specimen: mt.Specimen, **options: object) -> Outcome:
    """What all analyses of one network, or of two, find with their default settings."""
    there = registry()
    special = ["handnet"] if Handnet().fit(specimen).verdict != "refused" else []  # `all` does not stand for it
    names = COMPARING if specimen.others else [*general(there), *special]
    return Look(specimen, **options).run([there[name]() for name in names])
