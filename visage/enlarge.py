"""A picture enlarged tile by tile, so that a net needs memory for a tile alone, and what is answered of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from visage.images import Pixels
from visage.packs import Pack
from visage.results import origin_as_json
from visage.superres_net import SuperresNet
from visage.tiles import Tile

# Told how many tiles of how many are done: none as yet, and then one more after each.
Progress = Callable[[int, int], object]

# Entered for as long as there is something to compute.
Turn = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class EnlargeOptions:
    """What can be chosen of how a picture is enlarged: nothing so far."""


@dataclass(frozen=True)
class Enhanced:
    """A picture enlarged `scale` times.

    `picture` is a file of the input's `format` (JPEG, PNG, WebP or BMP), `width` and `height` upright, that was made
    from pixels alone. `seconds` tells where the time went: `wait`, `decode`, `enlarge`, `encode`.
    """

    width: int
    height: int
    format: str
    scale: int
    picture: bytes
    seconds: Mapping[str, float]


def no_progress(_done: int, _tiles: int) -> None: ...


def enlarge(
    net: SuperresNet, pixels: Pixels, tiles: Sequence[Tile], margin: int, *, turn: Turn, progress: Progress
) -> Pixels:
    """(h, w, 3) uint8 BGR pixels as (scale h, scale w, 3), each of `tiles` by itself, in a `turn` of its own.

    The tiles were cut with that `margin`, in which the picture's outermost pixels are repeated. `progress` is told
    before the first and after each.
    """
    height, width = pixels.shape[:2]
    scale = net.scale
    enlarged = np.empty((scale * height, scale * width, 3), np.uint8)
    padded = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE).astype(
        np.uint8, copy=False
    )
    progress(0, len(tiles))
    for done, tile in enumerate(tiles, 1):
        rows, columns = tile.rows, tile.columns
        with turn():
            part = net.enlarge(_shown(padded, tile, margin))
        top, left = scale * rows.start, scale * columns.start
        kept_rows = slice(scale * rows.kept_start, scale * rows.kept_end)
        kept_columns = slice(scale * columns.kept_start, scale * columns.kept_end)
        enlarged[kept_rows, kept_columns] = part[_shifted(kept_rows, top), _shifted(kept_columns, left)]
        progress(done, len(tiles))
    return enlarged


def as_json(enhanced: Enhanced, pack: Pack) -> dict[str, Any]:
    """The answer without its picture, as plain data."""
    return {
        "image": {"width": enhanced.width, "height": enhanced.height, "format": enhanced.format},
        "scale": enhanced.scale,
        **origin_as_json(pack, enhanced.seconds),
    }


def _shown(padded: Pixels, tile: Tile, margin: int) -> Pixels:
    rows, columns = tile.rows, tile.columns
    return padded[rows.start + margin : rows.end + margin, columns.start + margin : columns.end + margin]


def _shifted(kept: slice, start: int) -> slice:
    return slice(kept.start - start, kept.stop - start)
