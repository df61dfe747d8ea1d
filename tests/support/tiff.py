"""TIFF files, tag by tag."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Tags (TIFF 6.0, section 8).
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIPS, ORIENTATION, SAMPLES, ROWS, STRIP_BYTES, PLANES, PREDICTOR = 273, 274, 277, 278, 279, 284, 317
COLOURS, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, EXTRA, FORMAT = 320, 322, 323, 324, 325, 338, 339

Tags = Mapping[int, int | bytes | Sequence[int]]


def directory(order: str, tags: Tags, at: int) -> bytes:
    """The directory at an offset: numbers as LONG, or as SHORT where they fit; bytes as UNDEFINED."""
    entries, more = [struct.pack(f"{order}H", len(tags))], b""
    rest = at + 6 + 12 * len(tags)
    for tag, value in sorted(tags.items()):
        values = [value] if isinstance(value, int) else value
        if isinstance(values, bytes):
            kind, content = 7, values
        else:
            kind = 3 if max(values, default=0) < 2**16 else 4
            content = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(content) > 4:
            content, more = struct.pack(f"{order}I", rest + len(more)), more + content
        entries.append(struct.pack(f"{order}HHI", tag, kind, len(values)) + content.ljust(4, b"\0"))
    return b"".join(entries) + bytes(4) + more


def tiff(parts: Sequence[bytes], tags: Tags, order: str = "<", *, tiled: bool = False) -> bytes:
    """A TIFF of strips or tiles. `tags` has all but their offsets and lengths, and replaces these."""
    starts, at = list[int](), 8
    for part in parts:
        starts.append(at)
        at += len(part)
    places = {TILES: starts, TILE_BYTES: [len(part) for part in parts]}
    if not tiled:
        places = {STRIPS: places[TILES], STRIP_BYTES: places[TILE_BYTES]}
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", at) + b"".join(parts) + directory(order, {**places, **tags}, at)


def tiff_of(
    stored: NDArray[np.uint8] | NDArray[np.uint16],
    photometric: int,
    order: str = "<",
    *,
    rows: int = 0,
    tile: tuple[int, int] | None = None,
    planar: bool = False,
    deflated: bool = False,
    more: Tags | None = None,
) -> bytes:
    """A TIFF of (h, w) or (h, w, samples) values as stored, in strips of `rows`, or in tiles (height, width)."""
    values: NDArray[Any] = stored if stored.ndim == 3 else stored[..., None]
    height, width, samples = values.shape
    values = values.astype(np.dtype(f"{order}u{stored.itemsize}"))
    planes = [values[..., sample : sample + 1] for sample in range(samples)] if planar else [values]
    down, across = tile or (rows or height, width)
    if tile:
        planes = [np.pad(plane, ((0, -height % down), (0, -width % across), (0, 0))) for plane in planes]
    parts = [
        plane[top : top + down, left : left + across].tobytes()
        for plane in planes
        for top in range(0, height, down)
        for left in range(0, width, across)
    ]
    tags: dict[int, int | bytes | Sequence[int]] = {
        WIDTH: width,
        HEIGHT: height,
        BITS: [8 * stored.itemsize] * samples,
        COMPRESSION: 8 if deflated else 1,
        PHOTOMETRIC: photometric,
        SAMPLES: samples,
        PLANES: 2 if planar else 1,
        **({TILE_WIDTH: across, TILE_HEIGHT: down} if tile else {ROWS: down}),
        **(more or {}),
    }
    return tiff([zlib.compress(part) for part in parts] if deflated else parts, tags, order, tiled=tile is not None)
