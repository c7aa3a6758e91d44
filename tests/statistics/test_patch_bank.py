import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from feeding import cut, feed
from microtome.errors import RunFailed, UsageError
from microtome.statistics import PatchBank

GIVEN = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}


def images() -> Tensor:
    return torch.randn((40, 3, 12, 10), generator=torch.Generator().manual_seed(0)).cumsum(3)


@pytest.fixture(scope="module")
def bank() -> object:
    return feed(PatchBank(largest=(7, 7)), images(), cut(range(40), 16)).compute()


@pytest.mark.parametrize(
    ("kernel", "others"),
    [((k, k), {"stride": (s, s)}) for k, s in ((1, 1), (3, 1), (3, 2), (5, 2), (7, 1), (7, 2), (7, 3))]
    + [((2, 5), {"padding": (1, 2)}), ((7, 1), {"stride": (2, 3)}), ((3, 3), {"padding": (1, 1)}),
       ((3, 3), {"dilation": (2, 3)}), ((4, 2), {"dilation": (2, 6), "stride": (1, 2), "padding": (2, 3)})],
)  # fmt: skip
def test_one_pass_answers_for_every_kernel(bank, kernel: tuple[int, int], others: dict[str, tuple[int, int]]) -> None:
    found = bank.patches(kernel, **others)
    ways = GIVEN | others
    unfolded = functional.unfold(images().double(), kernel, ways["dilation"], ways["padding"], ways["stride"])
    patches = unfolded.movedim(1, 2).flatten(0, 1).numpy()
    expected = np.cov(patches.T, bias=True)
    np.testing.assert_allclose(found.covariance, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_allclose(found.mean, patches.mean(0), rtol=0, atol=1e-12 * np.abs(patches).max())
    assert (found.count, found.images, found.shape, found.exact) == (len(patches), 40, (3, *kernel), True)


def test_a_bank_has_the_means_of_the_pixels_and_of_their_products(bank) -> None:
    pixels = images().double().numpy()
    np.testing.assert_allclose(bank.pixels, pixels.mean(0), rtol=1e-12, atol=1e-12)
    product = (pixels[:, 2, 4, 7] * pixels[:, 0, 6, 4]).mean()  # 2 rows below, 3 columns to the left
    assert bank.products[2, 4, 7, 6 - 3, 2, 0] == pytest.approx(product, rel=1e-12)
    assert bank.products[2, 4, 1, 6 - 3].tolist() == np.zeros((3, 3)).tolist()  # outside of the image


@pytest.mark.parametrize(("kernel", "dilation", "size"), [((8, 3), (1, 1), "8 x 3"), ((3, 3), (3, 4), "7 x 9")])
def test_a_window_larger_than_the_banks_is_refused(
    bank, kernel: tuple[int, int], dilation: tuple[int, int], size: str
) -> None:
    with pytest.raises(UsageError) as caught:
        bank.patches(kernel, dilation=dilation)
    assert str(caught.value) == (
        f"A window of {size} pixels was asked for. This bank has kept what windows up to 7 x 7 need. "
        "Measure a PatchBank with a larger `largest`."
    )


def test_a_window_larger_than_the_images_is_refused() -> None:
    bank = feed(PatchBank(largest=(7, 7)), images()[:, :, :5]).compute()
    with pytest.raises(RunFailed, match="^Images of 5 x 10 pixels, padded by 0 and 0, were given. A window takes 6 x "):
        bank.patches((6, 3))
    assert bank.patches((6, 3), padding=(1, 0)).count == 40 * 2 * 8


def test_images_too_large_to_keep_are_refused() -> None:
    with pytest.raises(RunFailed) as caught:
        feed(PatchBank(), torch.zeros(1, 3, 224, 224))
    assert str(caught.value) == (
        "A bank for windows up to (7, 7) of images of 224 x 224 pixels and 3 channels takes 329 MB. "
        "It may take 268 MB. Measure a PatchCovariance for each kernel, or a bank of smaller windows."
    )


def test_a_bank_of_no_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^The kernel of windows is \(0, 1\)\. "):
        PatchBank(largest=(0, 1))
