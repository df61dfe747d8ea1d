"""An enhanced image has the format of its upload, is upright, and keeps to the limits."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.runtime.enhancing import enhance, noise, pixels_of, png
from tests.support.pictures import as_stored, encode, encode_16_bit, exif, gradient
from visage.errors import EmptyImage, ImageTooLarge, QueueFull, UndecodableImage
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_the_result_has_the_format_of_the_input(luma: Settings, kind: str) -> None:
    enhanced = Enhancer(luma).enhance(encode(gradient(20, 30), kind))

    stored = Image.open(io.BytesIO(enhanced.picture))
    assert (stored.format, stored.size) == (kind, (90, 60))
    assert (enhanced.format.upper(), enhanced.width, enhanced.height, enhanced.scale) == (kind, 90, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_result_is_upright(luma: Settings, orientation: int) -> None:
    upright = gradient(24, 40)
    stored = encode(as_stored(upright, orientation), "PNG", exif=b"Exif\0\0" + exif(orientation))

    picture = Enhancer(luma).enhance(stored).picture

    assert np.array_equal(pixels_of(picture), enhance(luma, upright))
    assert not Image.open(io.BytesIO(picture)).getexif()


def test_transparent_pixels_become_white(luma: Settings) -> None:
    pixels = np.dstack([gradient(20, 20), np.zeros((20, 20), np.uint8)])

    picture = Enhancer(luma).enhance(png(pixels)).picture

    assert (pixels_of(picture)[3:-3, 3:-3] == 255).all()


def test_an_image_with_16_bits_per_channel_is_enhanced(luma: Settings) -> None:
    picture = Enhancer(luma).enhance(encode_16_bit(gradient(20, 30))).picture

    assert np.array_equal(pixels_of(picture), enhance(luma, gradient(20, 30)))


def test_an_image_above_the_pixel_limit_is_rejected(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=600))

    assert enhancer.enhance(png(gradient(20, 30))).width == 90
    with pytest.raises(ImageTooLarge, match="20 x 31 pixels; at most 600 in all"):
        enhancer.enhance(png(gradient(31, 20)))


@pytest.mark.parametrize(("kind", "longest"), [("PNG", 21_833), ("WEBP", 5_461)])
def test_a_side_too_long_for_the_format_of_the_result_is_rejected(luma: Settings, kind: str, longest: int) -> None:
    enhancer = Enhancer(luma)

    assert enhancer.enhance(encode(gradient(1, longest), kind)).width == 3 * longest
    with pytest.raises(ImageTooLarge, match=f"no side may be longer than {longest:,}"):
        enhancer.enhance(encode(gradient(1, longest + 1), kind))


@pytest.mark.parametrize(("data", "error"), [(b"", EmptyImage), (png(noise(30, 30))[:800], UndecodableImage)])
def test_bytes_that_are_no_image_are_rejected(luma: Settings, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Enhancer(luma).enhance(data)


def test_progress_is_called_before_the_first_tile_and_after_each(luma: Settings) -> None:
    calls: list[tuple[int, int]] = []

    Enhancer(replace(luma, tile=32)).enhance(png(noise(60, 60)), lambda done, tiles: calls.append((done, tiles)))

    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_steps_that_are_closed_release_their_place_for_the_next_image(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, tile=32, queue=0, wait_seconds=0))
    steps = enhancer.enhance_in_steps(png(noise(60, 60)))
    next(steps)
    with pytest.raises(QueueFull):
        enhancer.enhance(png(noise(9, 9)))

    steps.close()

    assert enhancer.enhance(png(noise(9, 9))).width == 27


def test_the_result_has_the_seconds_of_every_stage(luma: Settings) -> None:
    seconds = Enhancer(luma).enhance(png(noise(60, 60))).seconds

    assert set(seconds) == {"wait", "decode", "enlarge", "encode"}
    assert min(seconds.values()) >= 0


def test_an_exception_of_progress_ends_the_work_and_releases_the_slot(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, tile=32, queue=0, wait_seconds=0))

    def interrupt(_done: int, _tiles: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhancer.enhance(png(noise(60, 60)), interrupt)

    assert enhancer.enhance(png(noise(60, 60))).width == 180
