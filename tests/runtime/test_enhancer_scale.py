"""An image can be enlarged less than the net enlarges, without seams, and as long as the result is not too large."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.runtime.enhancing import UNTILED, Pixels, noise, pixels_of, png
from tests.support.pictures import encode, gradient
from visage.enhance.results import SCALES, EnhanceOptions
from visage.enhance.steps import finish
from visage.enhance.tiling import Tiling, enhance_in_tiles
from visage.errors import BadParameter, ImageTooLarge, Limit
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings

# Odd and even sides, single pixels and strips.
SIZES = [(1, 1), (2, 1), (7, 333), (64, 65), (101, 77)]

# Tiles with and without overlap and margin, down to single pixels.
TILINGS = [Tiling(32, 6, 2), Tiling(40, 8), Tiling(16, 4, 4), Tiling(4, 1, 1), Tiling(1, 0)]


class Repeating:
    """A net whose result is exactly known: each pixel becomes nine."""

    scale = 3

    def enhance(self, pixels: Pixels) -> Pixels:
        return np.repeat(np.repeat(pixels, 3, axis=0), 3, axis=1)


def shrunk(pixels: Pixels, tiling: Tiling, scale: float) -> Pixels:
    return finish(enhance_in_tiles(Repeating(), pixels, tiling, scale=scale, slot=nullcontext))  # type: ignore[arg-type]


def enlarge(settings: Settings, pixels: Pixels, scale: float | None) -> Pixels:
    return pixels_of(Enhancer(settings).enhance(png(pixels), options=EnhanceOptions(scale)).picture)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("tiling", TILINGS, ids=str)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tiles_make_the_same_pixels_as_one_piece(width: int, height: int, tiling: Tiling, scale: float) -> None:
    pixels = noise(width, height)

    tiled, whole = shrunk(pixels, tiling, scale), shrunk(pixels, Tiling(UNTILED, 6), scale)

    np.testing.assert_array_equal(tiled, whole)


@pytest.mark.parametrize(
    ("scale", "size", "expected"), [(1.5, (101, 77), (152, 116)), (2, (101, 77), (202, 154)), (1.5, (1, 2), (2, 3))]
)
def test_the_sides_of_the_result_are_rounded_up(
    luma: Settings, scale: float, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    enhanced = Enhancer(luma).enhance(png(noise(*size)), options=EnhanceOptions(scale))

    assert (enhanced.width, enhanced.height, enhanced.scale) == (*expected, scale)
    assert pixels_of(enhanced.picture).shape[1::-1] == expected


def test_each_pixel_is_the_mean_of_its_area(luma: Settings) -> None:
    pixels = noise(40, 30)

    threefold, double, half_more = (enlarge(luma, pixels, scale) for scale in (3, 2, 1.5))

    np.testing.assert_array_equal(double, cv2.resize(threefold, (80, 60), interpolation=cv2.INTER_AREA))
    np.testing.assert_array_equal(half_more, cv2.resize(threefold, (60, 45), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
@pytest.mark.parametrize("scale", [1.5, 2])
def test_a_photo_has_no_visible_seams(packs: dict[str, Path], astronaut: Pixels, pack: str, scale: float) -> None:
    settings = Settings(enhance_pack=str(packs[pack]))
    pixels = astronaut[:151, :133]

    tiled, whole = (enlarge(replace(settings, tile=tile), pixels, scale) for tile in (70, UNTILED))

    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_without_a_scale_the_net_decides(luma: Settings) -> None:
    pixels = noise(20, 20)

    np.testing.assert_array_equal(enlarge(luma, pixels, None), enlarge(luma, pixels, 3))


@pytest.mark.parametrize(
    ("pixels", "scale", "fits"),
    [(900, 3, True), (901, 3, False), (2025, 2, True), (2026, 2, False), (3600, 1.5, True), (3602, 1.5, False)],
)
def test_the_limit_is_the_size_of_the_result(luma: Settings, pixels: int, scale: float, fits: bool) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=900))
    photo, options = png(noise(1 if pixels % 2 else 2, pixels // (1 if pixels % 2 else 2))), EnhanceOptions(scale)

    assert enhancer.max_pixels(scale) == {3: 900, 2: 2025, 1.5: 3600}[scale]
    if fits:
        assert enhancer.enhance(photo, options=options).scale == scale
    else:
        with pytest.raises(ImageTooLarge, match=f"at most {enhancer.max_pixels(scale):,} in all are accepted"):
            enhancer.enhance(photo, options=options)


def test_a_photo_of_12_megapixels_can_be_enlarged_twice() -> None:
    enhancer = Enhancer(Settings())

    assert enhancer.max_pixels(3) == 5_500_000
    # Phones make photos of 4032 x 3024 and of 4080 x 3072 pixels, 24-megapixel ones of 5712 x 4284.
    assert 4032 * 3024 < enhancer.max_pixels(2) < 4080 * 3072
    assert 4080 * 3072 < enhancer.max_pixels(1.5) < 5712 * 4284


@pytest.mark.parametrize(
    ("height", "scale", "offered"), [(30, 3, 2), (45, 3, 1.5), (45, 2, 1.5), (80, 3, None), (80, 1.5, None)]
)
def test_the_error_offers_the_largest_scale_that_fits(
    luma: Settings, height: int, scale: float, offered: float | None
) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=500))

    with pytest.raises(ImageTooLarge) as caught:
        enhancer.enhance(png(gradient(height, 30)), options=EnhanceOptions(scale))

    assert caught.value.max_scale == offered
    offer = f", or choose scale={offered:g}." if offered else "Send a smaller version."
    assert str(caught.value).endswith(offer)


@pytest.mark.parametrize(("kind", "longest"), [("PNG", 32_750), ("WEBP", 8_191)])
def test_a_side_too_long_for_the_format_is_judged_at_the_scale(luma: Settings, kind: str, longest: int) -> None:
    enhancer = Enhancer(luma)

    assert enhancer.enhance(encode(gradient(1, longest), kind), options=EnhanceOptions(2)).width == 2 * longest
    with pytest.raises(ImageTooLarge, match=f"no side may be longer than {longest:,} to be enlarged 2") as caught:
        enhancer.enhance(encode(gradient(1, longest + 1), kind), options=EnhanceOptions(2))
    assert caught.value.max_scale == 1.5
    # No setting changes it.
    assert caught.value.limit is None


@pytest.mark.parametrize(("pixels", "size"), [(2000, 10**6), (10**6, 2000)], ids=["pixels", "memory"])
def test_the_limit_of_enhancement_is_named_for_an_image_that_is_too_large_for_anything(
    luma: Settings, pixels: int, size: int
) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=500, max_image_pixels=pixels, max_decode_bytes=size))

    with pytest.raises(ImageTooLarge) as caught:
        enhancer.enhance(png(gradient(60, 50)))

    assert str(caught.value) == (
        "The image has 50 x 60 pixels; at most 500 in all are accepted to be enlarged 3 times. Send a smaller version."
    )
    assert (caught.value.max_scale, caught.value.limit) == (None, Limit.PIXELS)


def test_a_scale_is_not_offered_to_an_image_that_is_too_large_for_anything(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=500, max_image_pixels=1000))

    with pytest.raises(ImageTooLarge, match="at most 500 in all are accepted to be enlarged 3 times") as caught:
        enhancer.enhance(png(gradient(30, 35)))

    assert caught.value.max_scale is None


def test_a_limit_for_every_image_is_named_if_it_is_the_smaller_one(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=500, max_image_pixels=300))

    with pytest.raises(ImageTooLarge, match=r"20 x 20 pixels; at most 300 in all are accepted\. Send"):
        enhancer.enhance(png(gradient(20, 20)))


def test_a_net_does_not_enlarge_more_than_it_can(luma: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    enhancer = Enhancer(luma)
    monkeypatch.setattr(enhancer, "_net", type("Double", (), {"scale": 2})())

    with pytest.raises(BadParameter, match=r"scale is 3; the net of .* enlarges 2 times at most"):
        enhancer.enhance(png(noise(9, 9)), options=EnhanceOptions(3))
