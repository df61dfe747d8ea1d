"""Test images: valid ones in every format, hand-written unusual ones, and damaged ones."""

import io
import struct
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

# Unsupported files. The service rejects them by their first bytes, so these are mostly only headers.
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08meta"
AVIF = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf\0\0\0\x08meta"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
PDF = b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n"
ZIP = b"PK\x03\x04" + bytes(22) + b"\1\0\0\0aPK\x05\x06" + bytes(18)


def encode(pixels: Pixels, kind: str, mode: str = "", **options: Any) -> bytes:
    """Encode (h, w) grey, (h, w, 3) BGR or (h, w, 4) BGRA uint8 with Pillow: `kind` is its format, `mode` its mode."""
    image = Image.fromarray(_red_first(pixels))
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def animation(kind: str, *frames: Pixels) -> bytes:
    """A lossless animated PNG or WebP of (h, w, 3) uint8 BGR `frames`."""
    first, *rest = [Image.fromarray(_red_first(frame)) for frame in frames]
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=rest, duration=100, lossless=True)
    return file.getvalue()


def encode_16_bit(pixels: Pixels) -> bytes:
    """A PNG with 16 bits per sample of uint8 BGR or BGRA pixels."""
    return cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes()


def _red_first(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def plain(height: int, width: int, colour: tuple[int, int, int]) -> Pixels:
    """(h, w, 3) uint8 BGR of one colour, with a little noise so that it does not compress too well."""
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    return np.abs(np.array(colour) - noise).astype(np.uint8)


def gradient(height: int, width: int) -> Pixels:
    """(h, w, 3) uint8 BGR, smooth and without symmetry."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x // width, 255 * y // height, 255 * (x + 2 * y) // (width + 2 * height)], -1).astype(
        np.uint8
    )


def as_stored(upright: Pixels, orientation: int) -> Pixels:
    """The pixels that a camera stores for an `upright` photo with this EXIF orientation (EXIF 2.3, 4.6.4)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation].copy()


def exif(orientation: int, order: str = "<", directory: int = 8, kind: int = 3) -> bytes:
    """An EXIF block with only an orientation. `order` is `<` for little endian and `>` for big endian."""
    entry = struct.pack(f"{order}HHIHxx", 0x0112, kind, 1, orientation)
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return magic + struct.pack(f"{order}IH", directory, 1) + entry + bytes(4)


def with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    """A JPEG with this EXIF block as its first segment."""
    return jpeg[:2] + jpeg_segment(0xE1, b"Exif\0\0" + tiff) + jpeg[2:]


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg_frame(height: int, width: int, marker: int = 0xC0) -> bytes:
    """The start-of-frame segment of a grey picture."""
    return jpeg_segment(marker, struct.pack(">BHHB3B", 8, height, width, 1, 1, 0x11, 0))


def many_scans_jpeg(scans: int, between: bytes = b"") -> bytes:
    """A grey progressive JPEG of 8 x 8 pixels with one DC scan and `scans` - 1 AC scans, all of them empty."""
    one_code = bytes([1] + [0] * 15)
    head = jpeg_segment(0xDB, bytes([0] + [1] * 64)) + jpeg_frame(8, 8, 0xC2)
    codes = jpeg_segment(0xC4, b"\x00" + one_code + b"\0") + jpeg_segment(0xC4, b"\x10" + one_code + b"\0")
    mean = jpeg_segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + b"\x7f"
    detail = jpeg_segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + b"\x7f"
    return b"\xff\xd8" + head + codes + mean + between + detail * (scans - 1) + b"\xff\xd9"


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *between: bytes) -> bytes:
    """A hand-written PNG. `rows` contains the filter bytes; `between` are chunks before the image data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *between, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def broken_animation() -> bytes:
    """An animated PNG with an unknown critical chunk after its first frame, which crashes OpenCV 4.12."""
    whole = animation("PNG", plain(64, 64, (255, 0, 0)), plain(64, 64, (0, 0, 255)))
    at = whole.index(b"fcTL", whole.index(b"IDAT")) - 4
    return whole[:at] + png_chunk(b"ABCD", b"?") + whole[at:]


def greedy_png(kind: bytes) -> bytes:
    """A PNG of 100 bytes with a chunk that claims a length of almost 2 GB."""
    whole = png(1, 1, 8, 2, b"\0\1\2\3")
    return whole[:33] + b"\x7f\xff\xff\0" + kind + whole[33:]


def bmp(width: int, height: int, depth: int, compression: int, content: bytes, palette: bytes = b"") -> bytes:
    """A BMP by hand, with a BITMAPINFOHEADER."""
    offset = 54 + len(palette)
    file = struct.pack("<2sI4xI", b"BM", offset + len(content), offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, len(content), 0, 0, 0, 0)
    return file + info + palette + content


def mutated(random: Random, picture: bytes, others: Sequence[bytes]) -> bytes:
    """`picture` with one to four damages, mostly near its start."""
    damaged = bytearray(picture)
    for _ in range(random.choice((1, 1, 2, 4))):
        near = random.choice((64, 256, len(damaged)))
        start = random.randrange(max(1, min(near, len(damaged))))
        run = damaged[start : start + random.randrange(1, 100)]
        match random.randrange(8):
            case 0:  # flip a bit
                damaged[start : start + 1] = bytes(each ^ 1 << random.randrange(8) for each in run[:1])
            case 1:  # any byte
                damaged[start : start + 1] = random.randbytes(1)
            case 2:  # cut the end off
                del damaged[max(start, random.randrange(len(damaged) + 1)) :]
            case 3:  # cut a hole
                del damaged[start : start + len(run)]
            case 4:  # zeros
                damaged[start : start + len(run)] = bytes(len(run))
            case 5:  # put something in
                damaged[start:start] = random.choice((run, random.randbytes(random.randrange(1, 32))))
            case 6:  # another length or size
                number = random.choice((0, 1, 2, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1))
                field = number.to_bytes(4, random.choice(("big", "little")))
                damaged[start : start + 4] = random.choice((field, field[:2], field[2:]))
            case _:  # the header of another picture
                other = random.choice(others)
                length = random.randrange(1, min(len(other), 200))
                damaged[:length] = other[:length]
    return bytes(damaged)
