"""Tiles are sized by the settings, the pack and the memory limit."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.enhancing import UNTILED, noise, png
from tests.support.processes import peak, reset_peak, resident
from visage.errors import SettingsError
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


@pytest.mark.parametrize(
    ("changes", "tiles"),
    [
        # A net for luma with a reach of one pixel gets the smallest tiles that are chosen.
        ({}, 4),
        ({"tile": 120}, 1),
        ({"tile": 30}, 20),
        ({"overlap": 16}, 1),
        # The net needs 288 bytes per pixel.
        ({"overlap": 4, "tile_bytes": 2**20}, 6),
    ],
)
def test_tiles_are_sized_by_settings_overlap_and_memory(luma: Settings, changes: dict[str, Any], tiles: int) -> None:
    calls: list[int] = []

    Enhancer(replace(luma, **changes)).enhance(png(noise(120, 110)), lambda _, of: calls.append(of))

    assert calls[0] == tiles


def test_tiles_are_sized_by_the_pack(packs: dict[str, Path], tmp_path: Path) -> None:
    for file in packs["luma"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = tmp_path / "pack.toml"
    manifest.write_text(manifest.read_text() + "tile = 32\n")
    calls: list[int] = []

    Enhancer(Settings(enhance_pack=str(tmp_path))).enhance(png(noise(60, 60)), lambda _, of: calls.append(of))

    assert calls[0] == 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_a_large_tile_is_released(packs: dict[str, Path]) -> None:
    enhancer = Enhancer(Settings(enhance_pack=str(packs["bgr"]), tile=UNTILED))
    enhancer.enhance(png(noise(60, 60)))
    before = resident(os.getpid())
    reset_peak(os.getpid())

    enhancer.enhance(png(np.full((700, 700, 3), 127, np.uint8)))

    # In megabytes. A net that keeps the outputs of its layers has 200.
    assert peak(os.getpid()) - before > 250
    assert resident(os.getpid()) - before < 100


def test_a_tile_too_small_for_the_overlap_is_rejected(luma: Settings) -> None:
    with pytest.raises(SettingsError, match="VISAGE_TILE is 30; for an overlap of 8 it must be 32 or more"):
        Enhancer(replace(luma, tile=30, overlap=8))


def test_a_memory_limit_too_small_for_the_overlap_is_rejected(luma: Settings) -> None:
    with pytest.raises(SettingsError, match=r"VISAGE_TILE_BYTES is 1048576; for an overlap of 16 .* needs 1179648 or"):
        Enhancer(replace(luma, overlap=16, tile_bytes=2**20))

    assert Enhancer(replace(luma, overlap=16, tile_bytes=1179648)).enhance(png(noise(9, 9))).width == 27
