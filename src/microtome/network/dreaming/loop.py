"""The loop: pictures of many channels of one site climb together, and are scored by what they reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..model import Model
from .adam import Adam
from .canvas import Canvas, canvas
from .cut import Cut, cut
from .objective import Objective, likeness
from .palette import Palette
from .part import Part
from .recipe import Recipe, usual
from .scoring import Scores, interior, scored
from .transforms import moved

# Of all activations of a batch, which the way back needs. Larger batches are slower on a CPU: what they free goes back
# to the system, and every step asks for it again page by page.
ROW_BYTES = {"cpu": 90_000_000}
ELSEWHERE = 1 << 30
MOST_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class Superstimuli:
    """Pictures grown for units of one site, and what they are worth.

    Shapes, U units and n pictures each: pictures (U, n, C, H, W) uint8; reached (U, n), the activation, median over
    moved copies; other (U, n), what the unit makes of the picture of the one before it, NaN for one alone; data_max
    (U,), the largest of the data, NaN where unknown; contrast (U, n); plain, dead (U, n) bool; starts (U, n), how often
    a picture was begun. box: top, left, bottom, right of what the pictures are about.
    """

    objective: Objective
    pictures: np.ndarray
    reached: np.ndarray
    other: np.ndarray
    data_max: np.ndarray
    contrast: np.ndarray
    plain: np.ndarray
    dead: np.ndarray
    starts: np.ndarray
    box: tuple[int, int, int, int]

    @property
    def ratio(self) -> np.ndarray:
        """What was reached over the data's largest, NaN where that is unknown or not above 0. Shapes: (U, n)."""
        known = np.where(self.data_max > 0, self.data_max, np.nan)
        return self.reached / known[:, None]


def superstimuli(
    model: Model, objective: Objective, palette: Palette, recipe: Recipe | None = None, *, each: int = 1,
    seed: int = 0, data_max: np.ndarray | None = None, start: np.ndarray | None = None,
    after: Callable[[int], None] = lambda rows: None,
) -> Superstimuli:  # fmt: skip
    """Grow `each` pictures for every channel of an objective, from noise or from the data; the model stays as it is.

    Pictures that reach less than `data_max` are begun again, as dead ones are, and the better one is kept.
    Equal seeds give equal bits on a CPU. `after` is told of every step, for how many pictures.
    Shapes: data_max (U,); start (C, H, W), a picture as the network is given it.
    Raises: UnknownName, UsageError, CallOrderChanged.
    """
    objective.check(model)
    recipe = recipe or usual(model.preprocessing.size)
    device = next((p.device for p in model.module.parameters()), torch.device("cpu"))
    surface = canvas(recipe.canvas, palette, model.preprocessing.size, device)
    rows = [(channel, number) for channel in objective.channels for number in range(each)]
    largest = np.full(len(objective.channels), np.nan) if data_max is None else np.asarray(data_max, np.float64)
    box = interior(model, objective, recipe)  # it runs the network, so before it is cut
    with cut(model, objective.site) as network:
        images = torch.empty(len(rows), *model.preprocessing.shape, device=device)
        found = Scores.empty(len(rows))
        starts = np.zeros(len(rows), np.int64)
        waiting = np.arange(len(rows))
        for attempt in range(1 + recipe.restarts):
            starts[waiting] += 1
            for some in _batches(model, objective.site, waiting, each, device):
                part = Part(objective, tuple(rows[i] for i in some), each if not attempt else 1, seed, attempt)
                made = _grown(network, model, part, surface, recipe, start, after)
                worth = scored(network, model, part, made, palette, recipe, box)
                better = (objective.sign * worth.reached > objective.sign * found.reached[some]) | (attempt == 0)
                images[some[better]] = made[torch.from_numpy(better)]
                found.put(some, worth, better)
            waiting = np.flatnonzero(found.dead | _short(objective, found.reached, largest))
            if not len(waiting):
                break
    shape = (len(objective.channels), each)
    scores = {name: values.reshape(shape) for name, values in found.by_name().items()}
    scores["other"] = np.roll(scores["other"], 1, axis=0)
    return Superstimuli(
        objective=objective, pictures=found.shown(model, images).reshape(*shape, *images.shape[1:]),
        data_max=largest, **scores, starts=starts.reshape(shape), box=box,
    )  # fmt: skip


def _short(objective: Objective, reached: np.ndarray, data_max: np.ndarray) -> np.ndarray:
    """Whether a picture excites its unit less than an image does. Shapes: (U * n,), (U,) -> (U * n,)."""
    known = np.repeat(data_max, len(reached) // len(data_max))
    return (reached < known) & (known > 0) & (objective.sign > 0)


def _batches(model: Model, site: str, rows: np.ndarray, each: int, device: torch.device) -> Sequence[np.ndarray]:
    """As many pictures at once as the activations on the way leave room for; those of a unit stay together."""
    bytes_each = 0
    for name, passed in model.sites.items():
        bytes_each += 4 * int(np.prod(passed.shape))
        if name == site:
            break
    most = max(1, min(MOST_ROWS, ROW_BYTES.get(device.type, ELSEWHERE) // max(1, bytes_each)))
    most = max(each, most - most % each)
    return [rows[at : at + most] for at in range(0, len(rows), most)]


def _grown(
    network: Cut, model: Model, part: Part, surface: Canvas, recipe: Recipe, start: np.ndarray | None,
    after: Callable[[int], None],
) -> Tensor:  # fmt: skip
    """Climb by Adam. Shapes: -> (rows, C, H, W), within the data's range."""
    numbers = _begun(part, surface, start)
    climb = Adam(numbers)
    random = np.random.default_rng([part.seed, part.attempt])
    largest = torch.zeros(len(numbers), device=surface.device)
    # a start that was dead takes longer before its rectifier the next time
    warm = min(recipe.steps // 2, recipe.warm * 4**part.attempt) if part.asked.rectified(model) else 0
    below = part.asked.sign < 0 and part.asked.rectified(model)
    mean = surface.finished(torch.zeros_like(numbers[:1])).mean((0, 2, 3)).view(-1, 1, 1)
    for step in range(recipe.steps):
        with torch.no_grad():
            images = surface.images(numbers)
        copies = images.requires_grad_()
        if part.asked.over_map:  # a position would not move along
            moves = recipe.transforms.draw(random, len(images))
            copies = moved(images, moves, recipe.transforms.pad, mean)
        seen = network.run(copies, before=below or step < warm)
        values = part.asked.sign * part.objective.value(seen, part.each, recipe.spread).float()
        largest = torch.maximum(largest, values.detach().abs())
        loss = -values.sum()  # what it is weighed against grows with it, so that no early step outweighs later ones
        if part.asked.diversity and part.each > 1:
            alike = likeness(seen.float(), part.each).repeat_interleave(part.each)
            loss = loss + part.asked.diversity * (largest * alike).sum()
        if not loss.requires_grad:
            break  # the site does not depend on the pixels
        (gradient,) = torch.autograd.grad(loss, [images])
        with torch.no_grad():
            if recipe.variation:
                gradient = gradient + (recipe.variation * largest).view(-1, 1, 1, 1) * _roughness(images, surface)
            climb.step(surface.pulled(images, gradient), recipe.rate_at(step))
            surface.settle(numbers)
        after(len(numbers))
    return surface.finished(numbers)


def _begun(part: Part, surface: Canvas, start: np.ndarray | None) -> Tensor:
    """Noise that depends on the seed, the channel and the number of the picture alone, on top of a start if given."""
    noises = [
        surface.noise(np.random.default_rng([part.seed, channel, number, part.attempt]))
        for channel, number in part.rows
    ]
    numbers = torch.from_numpy(np.stack(noises)).to(surface.device)
    if start is not None:
        given = torch.from_numpy(np.asarray(start, np.float32)[None]).to(surface.device)
        numbers += surface.numbers(given)
    surface.settle(numbers)
    return numbers


def _roughness(images: Tensor, surface: Canvas) -> Tensor:
    """The gradient of the mean difference of neighbouring pixels, in half ranges. Shapes: (N, C, H, W) -> the same."""
    out = torch.zeros_like(images)
    for axis in (2, 3):
        steps = images.diff(dim=axis).sign_()
        steps /= surface.half_range * max(1, steps[0].numel())
        length = images.shape[axis] - 1
        out.narrow(axis, 1, length).add_(steps)
        out.narrow(axis, 0, length).sub_(steps)
    return out
