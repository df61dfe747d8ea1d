"""BMPs of all kinds are decoded to their colours, or rejected by name."""

import struct

import numpy as np
import pytest

from tests.images.photos import PHOTO, TRANSPARENT, assert_alike, on_white, read
from tests.support.pictures import Pixels, bmp
from visage.errors import UndecodableImage, UnsupportedType
from visage.images.headers import is_image, read_header

# Masks of red, green and blue, and maybe alpha.
RGB_565 = (0xF800, 0x07E0, 0x001F)
RGB_555 = (0x7C00, 0x03E0, 0x001F)
BGR_444 = (0x000F, 0x00F0, 0x0F00)
RGBA_4444 = (0x0F00, 0x00F0, 0x000F, 0xF000)
XRGB = (0xFF0000, 0xFF00, 0xFF)
XBGR = (0xFF, 0xFF00, 0xFF0000)
RGBX = (0xFF000000, 0xFF0000, 0xFF00)
RGB_10 = (0x3FF00000, 0xFFC00, 0x3FF)
BGRA = (0xFF00, 0xFF0000, 0xFF000000, 0xFF)
ARGB = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def with_masks(pixels: Pixels, depth: int, masks: tuple[int, ...], header_size: int, compression: int = 3) -> bytes:
    """A BMP of BGR or BGRA pixels, with masks of red, green, blue and maybe alpha, its first row at the top."""
    stored = np.zeros(pixels.shape[:2], np.uint64)
    for channel, mask in zip((2, 1, 0, 3), masks, strict=False):
        shift = (mask & -mask).bit_length() - 1
        largest = mask >> shift
        value = (pixels[..., channel].astype(np.uint64) * np.uint64(largest) + np.uint64(127)) // np.uint64(255)
        stored |= value << np.uint64(shift)
    padded = np.zeros((len(stored), -(-stored.shape[1] * depth // 32) * 32 // depth), f"<u{depth // 8}")
    padded[:, : stored.shape[1]] = stored
    height, width = stored.shape
    info = struct.pack("<IiiHHIIiiII", header_size, width, -height, 1, depth, compression, 0, 0, 0, 0, 0)
    rest = struct.pack(f"<{len(masks)}I", *masks).ljust(header_size - 40, b"\0")
    offset = 14 + len(info) + len(rest)
    return struct.pack("<2sI4xI", b"BM", offset + padded.nbytes, offset) + info + rest + padded.tobytes()


@pytest.mark.parametrize("header_size", [40, 52, 56, 108, 124])
@pytest.mark.parametrize(
    ("depth", "masks", "tolerance"),
    [
        pytest.param(16, RGB_565, 5, id="16 bits, 5-6-5"),
        pytest.param(16, RGB_555, 5, id="16 bits, 5-5-5"),
        pytest.param(16, BGR_444, 9, id="16 bits, 4-4-4, blue first"),
        pytest.param(32, XRGB, 0, id="32 bits"),
        pytest.param(32, XBGR, 0, id="32 bits, blue first"),
        pytest.param(32, RGBX, 0, id="32 bits, shifted"),
        pytest.param(32, RGB_10, 1, id="10 bits per channel"),
    ],
)
def test_channels_are_found_by_their_masks(
    header_size: int, depth: int, masks: tuple[int, ...], tolerance: int
) -> None:
    assert_alike(read(with_masks(PHOTO, depth, masks, header_size)).pixels, PHOTO, tolerance)


@pytest.mark.parametrize(("header_size", "compression"), [(56, 3), (108, 3), (124, 3), (40, 6)])
@pytest.mark.parametrize(("depth", "masks", "tolerance"), [(16, RGBA_4444, 18), (32, BGRA, 1), (32, ARGB, 1)])
def test_alpha_is_blended_with_white(
    depth: int, masks: tuple[int, ...], tolerance: int, header_size: int, compression: int
) -> None:
    data = with_masks(TRANSPARENT, depth, masks, header_size, compression)

    assert read_header(data).has_alpha
    assert_alike(read(data).pixels, on_white(TRANSPARENT), tolerance)


def test_alpha_that_is_zero_everywhere_is_ignored() -> None:
    clear = np.dstack([PHOTO, np.zeros_like(PHOTO[..., 0])])

    assert_alike(read(with_masks(clear, 32, ARGB, 124)).pixels, PHOTO, 0)


def test_rows_from_the_bottom_are_turned() -> None:
    data = bytearray(with_masks(PHOTO, 16, RGB_565, 56))
    struct.pack_into("<i", data, 22, len(PHOTO))

    assert_alike(read(bytes(data)).pixels, PHOTO[::-1], 5)


def test_a_bmp_with_masks_that_lacks_pixels_is_rejected() -> None:
    with pytest.raises(UndecodableImage, match="cut short"):
        read(with_masks(PHOTO, 16, RGB_565, 56)[:-1])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(bmp(9, 9, 24, 4, b""), "24 bits per pixel and compression 4", id="JPEG in a BMP"),
        pytest.param(bmp(9, 9, 2, 0, b""), "2 bits per pixel and compression 0", id="2 bits"),
        pytest.param(bmp(9, 9, 64, 0, b""), "64 bits per pixel and compression 0", id="64 bits"),
        pytest.param(with_masks(PHOTO, 16, RGB_565, 64), "16 bits per pixel and compression 3", id="OS/2"),
        pytest.param(with_masks(PHOTO, 16, (0xF0F0, 0x0F00, 0x000F), 56), "such masks", id="a mask with a gap"),
    ],
)
def test_rare_kinds_are_rejected_by_name(data: bytes, sentence: str) -> None:
    with pytest.raises(UnsupportedType, match=f"^A BMP with {sentence} is not accepted; save it with 24 bits"):
        read(data)
    assert is_image(data)
