"""Decoding takes no more memory than its header tells, and an image that would take too much is rejected."""

import numpy as np
import pytest

from tests.images.photos import LIMIT
from tests.support.memory import peak_bytes
from tests.support.pictures import Pixels, animation, encode, encode_16_bit, exif, png, png_chunk
from visage.errors import ImageTooLarge
from visage.images.decoding import decode_16_bit, inspect
from visage.images.headers import read_header

# Nine million pixels: so many that everything else that a process allocates is small.
BLACK = np.zeros((3000, 3000, 3), np.uint8)
CLEAR = np.zeros((3000, 3000, 4), np.uint8)

KINDS = {
    "JPEG": lambda: encode(BLACK, "JPEG"),
    "progressive JPEG": lambda: encode(BLACK, "JPEG", progressive=True, subsampling=0),
    "progressive CMYK JPEG": lambda: encode(BLACK, "JPEG", "CMYK", progressive=True, subsampling=0),
    "PNG": lambda: encode(BLACK, "PNG"),
    "16-bit PNG": lambda: encode_16_bit(BLACK),
    "PNG with alpha": lambda: encode(CLEAR, "PNG"),
    "wide PNG with alpha": lambda: encode(np.zeros((150, 60_000, 4), np.uint8), "PNG"),
    "16-bit PNG with alpha": lambda: encode_16_bit(CLEAR),
    "16-bit PNG of grey and alpha": lambda: png(3000, 3000, 16, 4, bytes(3000 * 12_001)),
    "WebP": lambda: encode(BLACK, "WEBP", method=0),
    "WebP with alpha": lambda: encode(CLEAR, "WEBP", method=0),
    "animated WebP": lambda: animation("WEBP", BLACK, BLACK + 255),
    "BMP": lambda: encode(BLACK, "BMP"),
}

SETUP = """
from visage.images.decoding import decode, inspect
from tests.support.pictures import encode, gradient

for kind in ("JPEG", "PNG", "WEBP"):
    small = encode(gradient(9, 9), kind)
    decode(small, inspect(small, 100))
"""


@pytest.mark.parametrize("name", KINDS)
def test_decoding_takes_no_more_memory_than_the_header_tells(name: str) -> None:
    data = KINDS[name]()

    peak = peak_bytes(SETUP, "decode(data, inspect(data, 10_000_000))", data)

    assert peak < read_header(data).decoding_bytes + 8_000_000


@pytest.mark.parametrize(
    ("name", "channel_bytes"),
    [("JPEG", 6), ("progressive JPEG", 9), ("PNG with alpha", 8), ("16-bit PNG with alpha", 16)],
)
def test_an_image_that_takes_too_much_memory_is_rejected_before_it_is_decoded(name: str, channel_bytes: int) -> None:
    data = KINDS[name]()
    enough = 9_000_000 * channel_bytes

    assert inspect(data, LIMIT, max_bytes=enough).width == 3000
    with pytest.raises(ImageTooLarge, match=rf"takes {enough / 1e6:.0f} MB of memory; at most .* MB are allowed"):
        inspect(data, LIMIT, max_bytes=enough - 1_000_000)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("pixels", [BLACK, CLEAR], ids=["opaque", "with alpha"])
def test_16_bits_are_not_decoded_if_that_takes_more_memory_than_allowed(pixels: Pixels, orientation: int) -> None:
    stored = encode_16_bit(pixels)
    data = stored[:33] + png_chunk(b"eXIf", exif(orientation)) + stored[33:]
    setup = SETUP + "from visage.images.decoding import decode_16_bit"
    code = """
header = inspect(data, 10_000_000)
photo = decode(data, header)
deep = decode_16_bit(data, header, 1_000_000_000)
"""

    peak = peak_bytes(setup, code, data)

    assert peak > 100_000_000
    assert decode_16_bit(data, inspect(data, LIMIT), peak - 4_000_000) is None
