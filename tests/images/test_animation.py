"""Only the first frame of an animated WebP is decoded, at its place in the canvas."""

import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.images.photos import PHOTO, TRANSPARENT, assert_alike, on_white, read
from tests.support.pictures import Pixels, animation, encode
from visage.errors import UndecodableImage
from visage.images.webp import first_frame


def chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) & 1)


def animated(frame: Pixels, left: int, top: int, canvas: tuple[int, int], **options: Any) -> bytes:
    """An animated WebP with one frame of BGR or BGRA pixels at an even place in a canvas of (width, height)."""
    still = encode(frame, "WEBP", **options)
    parts = still[12:] if still[12:16] != b"VP8X" else still[30:]
    height, width = frame.shape[:2]
    place = b"".join(each.to_bytes(3, "little") for each in (left // 2, top // 2, width - 1, height - 1, 100))
    size = b"".join((each - 1).to_bytes(3, "little") for each in canvas)
    chunks = chunk(b"VP8X", b"\x12\0\0\0" + size) + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", place + b"\0" + parts)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


@pytest.mark.parametrize("options", [{"lossless": True, "exact": True}, {"quality": 100, "exact": True}])
def test_a_frame_that_is_smaller_than_the_canvas_lies_on_white(options: dict[str, Any]) -> None:
    pixels = read(animated(TRANSPARENT, 10, 20, (120, 100), **options)).pixels

    expected = np.full((100, 120, 3), 255, np.uint8)
    expected[20:81, 10:93] = on_white(TRANSPARENT)
    assert_alike(pixels, expected, 14)


def test_an_opaque_frame_is_decoded() -> None:
    assert_alike(read(animated(PHOTO, 0, 0, (83, 61), lossless=True)).pixels, PHOTO, 0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(animated(PHOTO, 2, 0, (83, 61)), id="frame beyond the canvas"),
        pytest.param(animated(PHOTO, 0, 0, (100, 100)).replace(b"ANMF", b"ANNN"), id="no frame"),
        pytest.param(animated(PHOTO, 0, 0, (100, 100)).replace(b"VP8 ", b"VP9 "), id="frame without pixels"),
        pytest.param(animated(PHOTO, 0, 0, (100, 100)).replace(b"\x52\0\0\x3c", b"\x53\0\0\x3c"), id="another size"),
        pytest.param(animation("WEBP", PHOTO, PHOTO[::-1])[:-1], id="cut in the second frame"),
    ],
)
def test_a_damaged_animation_is_rejected(data: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read(data)


def test_a_frame_of_many_chunks_takes_little_memory() -> None:
    tiny = b"".join(chunk(number.to_bytes(4, "big"), b"") for number in range(100_000))
    chunks = chunk(b"VP8X", b"\x12" + bytes(9)) + chunk(b"ANMF", bytes(16) + tiny)
    data = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks

    tracemalloc.start()
    with pytest.raises(UndecodableImage):
        first_frame(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 * len(data)
