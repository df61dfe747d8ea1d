"""Tiles leave no visible seams, and every pixel is enlarged in its place."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.runtime.enhancing import UNTILED, Pixels, enhance, noise
from tests.support.pictures import gradient
from visage.directories import BUNDLED_MODELS
from visage.enhance.net import EnhanceNet
from visage.packs.pack import read_pack
from visage.settings import Settings

# Single pixels, strips, and sizes with one pixel more than tiles of 32 pixels hold.
SIZES = [(1, 1), (1, 2), (7, 1000), (1000, 7), (33, 32), (64, 65), (97, 61), (150, 131)]


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_noise_has_no_visible_seams(packs: dict[str, Path], pack: str, width: int, height: int) -> None:
    settings = Settings(enhance_pack=str(packs[pack]))
    pixels = noise(width, height)

    tiled = enhance(settings, pixels, tile=32)
    untiled = enhance(settings, pixels, tile=UNTILED)

    assert tiled.shape == (3 * height, 3 * width, 3)
    assert abs(tiled - untiled).max() <= 1


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
@pytest.mark.parametrize("size", [(512, 512), (301, 257), (7, 500)])
def test_a_photo_has_no_visible_seams(
    packs: dict[str, Path], astronaut: Pixels, pack: str, size: tuple[int, int]
) -> None:
    settings = Settings(enhance_pack=str(packs[pack]))
    pixels = astronaut[: size[1], : size[0]]

    tiled = enhance(settings, pixels, tile=70)
    untiled = enhance(settings, pixels, tile=UNTILED)

    assert abs(tiled - untiled).max() <= 1


@pytest.mark.parametrize("earlier", ["a check", "a pixel"])
def test_earlier_inputs_of_a_net_do_not_change_its_output(astronaut: Pixels, earlier: str) -> None:
    spec = read_pack(BUNDLED_MODELS / "compact").enhance
    fresh, used = EnhanceNet(spec), EnhanceNet(spec)

    if earlier == "a check":
        used.check()
    else:
        used.enhance(np.zeros((1, 1, 3), np.uint8))

    # To the last bit: without Winograd's transform layers take half as long again, and the last bits differ.
    face = np.ascontiguousarray(astronaut[60:160, 180:260])
    assert used.enhance(face).tobytes() == fresh.enhance(face).tobytes()


def test_without_overlap_there_are_visible_seams(packs: dict[str, Path]) -> None:
    settings = Settings(enhance_pack=str(packs["bgr"]))
    pixels = noise(64, 64)

    difference = abs(enhance(settings, pixels, tile=32, overlap=0) - enhance(settings, pixels, tile=UNTILED))

    assert difference.max() > 10


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
def test_pixels_beyond_the_reach_do_not_change_the_result(packs: dict[str, Path], pack: str) -> None:
    spec = read_pack(packs[pack]).enhance
    net = EnhanceNet(spec)
    side = 2 * spec.reach + 1
    pixels = noise(side + 2, side + 2)
    other = pixels.copy()
    other[[0, -1]], other[:, [0, -1]] = 255 - other[[0, -1]], 255 - other[:, [0, -1]]

    middle = slice(3 * (spec.reach + 1), 3 * (spec.reach + 2))

    # Bicubic interpolation of chroma, beside a net for luma, reaches two pixels.
    first, second = (cv2.cvtColor(net.enhance(each), cv2.COLOR_BGR2GRAY) for each in (pixels, other))
    assert spec.reach < 2 or np.abs(first[middle, middle].astype(int) - second[middle, middle]).max() <= 1


def test_the_parts_of_a_pixel_are_in_the_right_places(luma: Settings) -> None:
    dark, bright = 100, 200
    pixels = np.full((5, 5, 3), dark, np.uint8)
    pixels[2, 2] = bright

    grey = enhance(luma, pixels)[..., 0]

    # The block of the bright pixel is darker everywhere but in its middle, because its neighbours are dark ...
    assert grey[7, 7] == bright
    assert (np.delete(grey[6:9, 6:9].ravel(), 4) == 175).all()
    # ... and the part of each neighbour beside it is slightly brighter.
    assert grey[5, 5] == grey[5, 7] == grey[7, 5] == grey[9, 7] == 125
    assert grey[4, 4] == grey[4, 7] == dark


def test_with_a_net_for_luma_chroma_is_interpolated_bicubically(luma: Settings) -> None:
    pixels = gradient(40, 60)

    found = cv2.cvtColor(enhance(luma, pixels).astype(np.uint8), cv2.COLOR_BGR2YCrCb)

    expected = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb), (180, 120), interpolation=cv2.INTER_CUBIC)
    # Colours outside the RGB range become the nearest colour inside.
    assert np.abs(found[..., 1:].astype(int) - expected[..., 1:])[9:-9, 9:-9].mean() < 1


@pytest.mark.parametrize("size", [(70, 50), (1, 1), (3, 90)])
def test_a_uniform_grey_image_stays_uniform_up_to_its_edges(packs: dict[str, Path], size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)

    grey = enhance(Settings(enhance_pack=str(packs["compact"])), pixels, tile=32)

    assert np.abs(grey - 90).max() <= 1
