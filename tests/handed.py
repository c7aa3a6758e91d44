"""Data sets as users write them, of twelve small pictures."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

from microtome.images.collection import Images
from microtome.images.preprocessing import Preprocessing

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
COLOUR = Preprocessing(size=(6, 5), resize=0, mean=MEAN, std=STD)
PICTURES = np.random.default_rng(0).integers(0, 256, (12, 3, 6, 5), dtype=np.uint8)


class Made(Dataset):
    """Items that a function makes of their place."""

    def __init__(self, count: int, item: Callable[[int], object], **facts: object) -> None:
        self.count, self.make, self.asked = count, item, []
        self.__dict__.update(facts)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> object:
        self.asked.append(place)
        return self.make(place)


class Stream(IterableDataset):
    def __init__(self, items: Iterable[object]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[object]:
        return iter(self.items)


def pil(place: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(PICTURES[place % 12].transpose(1, 2, 0)))


def whole(images: Images) -> np.ndarray:
    return np.stack([images[place] for place in range(len(images))])
