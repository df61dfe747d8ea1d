"""Shows time and memory of `/enhance` against its limits, in ten minutes: `python -m benchmarks.enhance`.

    python -m benchmarks.enhance [--width 1000 --height 800]
    python -m benchmarks.enhance tiles [--pack compact]
    python -m benchmarks.enhance overlaps --pack PACK
    python -m benchmarks.enhance formats

`tiles` prints time and memory by the side of a tile. `overlaps` prints by how many grey levels an image enhanced in
tiles differs from one enhanced at once, by overlap. `formats` prints the cost of the largest image that is enhanced by
default in each format. Every run is a process of its own, on one thread; time is processor time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.support import edsr, photos
from benchmarks.support.report import table
from tests.support.paths import ROOT
from tests.support.processes import peak, reset_peak, resident
from visage.enhance.results import EnhanceOptions
from visage.runtime.allocator import tune_allocator
from visage.runtime.engine import Engine
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings

# Pixels: more than any image here has on a side.
UNTILED = 8000

SIDES = (48, 64, 96, 128, 160, 180, 256, 384, 512, UNTILED)
OVERLAPS = (0, 1, 2, 4, 6, 7, 8, 12, 16, 24)

FORMATS = ("jpg", "png", "webp", "bmp")

# Just below the default of `VISAGE_MAX_ENHANCE_PIXELS`, and four times as large, which is the most at scale 1.5.
LARGEST = ("--width", "2700", "--height", "2037")
LARGEST_AT_LESS = ("--width", "5400", "--height", "4074", "--scale", "1.5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["limits", "tiles", "overlaps", "formats", "run"], default="limits")
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--tile", type=int)
    parser.add_argument("--overlap", type=int)
    parser.add_argument("--scale", type=float, help="by default that of the net")
    parser.add_argument("--format", choices=FORMATS, default="jpg", help="format of the image")
    parser.add_argument("--at-once", type=int, default=0, help="images enhanced at once, on two slots")
    parser.add_argument("--out", type=Path, help="file for the enhanced image")
    arguments = parser.parse_args()
    match arguments.what:
        case "run":
            print(json.dumps(run(arguments)))
        case "limits":
            print(limits(arguments.width, arguments.height))
        case "tiles":
            print(tiles(arguments))
        case "overlaps":
            print(overlaps(arguments))
        case "formats":
            print(formats())


def limits(width: int, height: int) -> str:
    """The figures and their limits."""
    size = ("--width", str(width), "--height", str(height))
    with tempfile.TemporaryDirectory() as folder:
        pack = str(edsr.write_pack(Path(folder, "edsr")))
        files = Path(folder, "tiled.png"), Path(folder, "untiled.png")
        tiled = measure("--pack", pack, "--out", str(files[0]), *size)
        untiled = measure("--pack", pack, "--tile", str(UNTILED), "--out", str(files[1]), *size)
        levels = difference(*(cv2.imread(str(file)) for file in files))  # type: ignore[arg-type]
    compact = measure(*size)
    # The minimum of three runs each, because peaks vary.
    two, four = (min(measure("--at-once", str(count), *size)["peak"] for _ in range(3)) for count in (2, 4))
    shape = f"EDSR's shape, {width} x {height}"
    return table(
        ["", "measured", "must be at most"],
        [
            [f"{shape}: {tiled['tiles']} tiles, MB and seconds", f"{tiled['peak']:.0f}, {tiled['seconds']:.0f}", ""],
            [f"{shape}: untiled, MB and seconds", f"{untiled['peak']:.0f}, {untiled['seconds']:.0f}", ""],
            [f"{shape}: peak memory, tiled over untiled", f"{tiled['peak'] / untiled['peak']:.2f}", "0.45"],
            [f"{shape}: time, tiled over untiled", f"{tiled['seconds'] / untiled['seconds']:.2f}", "1.10"],
            [f"{shape}: grey levels between the two", str(levels), "1"],
            [f"compact, {width} x {height}: MB of the whole process", f"{compact['peak']:.0f}", "200"],
            [f"compact, {width} x {height}: seconds", f"{compact['seconds']:.2f}", ""],
            ["four at once on two slots, MB", f"{four:.0f}", f"{two:.0f} (two at once)"],
        ],
    )


def tiles(arguments: argparse.Namespace) -> str:
    """Time and memory by the side of a tile."""
    size = ("--pack", arguments.pack, "--width", str(arguments.width), "--height", str(arguments.height))
    rows = []
    for side in SIDES:
        result = measure(*size, "--tile", str(side))
        name = "at once" if side == UNTILED else str(side)
        rows.append([name, str(result["tiles"]), f"{result['seconds']:.2f}", f"{result['peak']:.0f}"])
    return table(["side", "tiles", "seconds", "peak, MB"], rows)


def overlaps(arguments: argparse.Namespace) -> str:
    """The grey levels by which an image in two tiles differs from one tile, by overlap."""
    settings = replace(Settings(), enhance_pack=arguments.pack)
    picture = png(photos.portrait()[60:156, 150:310])
    whole = pixels_of(Enhancer(replace(settings, tile=UNTILED)).enhance(picture).picture)
    rows = []
    for overlap in OVERLAPS:
        enhanced = Enhancer(replace(settings, tile=100, overlap=overlap)).enhance(picture)
        rows.append([str(overlap), str(difference(pixels_of(enhanced.picture), whole))])
    return table(["overlap", "grey levels"], rows)


def formats() -> str:
    """The memory of the largest image beside that of the engine, and the seconds of its encoder."""
    rows = []
    for size, scale in ((LARGEST, "3"), (LARGEST_AT_LESS, "1.5")):
        for name in FORMATS:
            result = measure(*size, "--format", name)
            above = f"{result['peak'] - result['before']:.0f}"
            rows.append([name, scale, above, f"{result['encode']:.1f}", f"{result['seconds']:.1f}"])
    return table(["format", "scale", "peak over before, MB", "encoder, seconds", "all, seconds"], rows)


def measure(*arguments: str) -> dict[str, Any]:
    """The result of `run` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.enhance", "run", *arguments]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    return found


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Enhance a photo with the engine of a service, which has loaded all its nets.

    Returns the number of tiles, the seconds of the processor and of the encoder, and the megabytes of this process
    before and at the peak.
    """
    tune_allocator()
    slots = 2 if arguments.at_once else 1
    settings = replace(Settings(), enhance_pack=arguments.pack, slots=slots, wait_seconds=3600.0)
    engine = Engine(replace(settings, tile=arguments.tile, overlap=arguments.overlap))
    engine.warm_up()
    pixels = cv2.resize(photos.two_faces(), (arguments.width, arguments.height)).astype(np.uint8)
    photo = photos.jpeg(pixels) if arguments.format == "jpg" else encode(pixels, arguments.format)
    del pixels
    tile_counts: list[int] = []
    before, encoder = resident(os.getpid()), 0.0
    reset_peak(os.getpid())
    began = time.process_time()
    if arguments.at_once:
        enhance_at_once(engine, [photo] * arguments.at_once)
    else:
        enhanced = engine.enhance(
            png(pixels_of(photo)) if arguments.out else photo,
            lambda _, of: tile_counts.append(of),
            EnhanceOptions(arguments.scale),
        )
        encoder = enhanced.seconds["encode"]
        if arguments.out:
            arguments.out.write_bytes(enhanced.picture)
    seconds = time.process_time() - began
    found = {"tiles": max(tile_counts, default=0), "seconds": seconds, "encode": encoder}
    return found | {"before": before, "peak": peak(os.getpid())}


def enhance_at_once(engine: Engine, pictures: Sequence[bytes]) -> None:
    """Enhance all images in parallel and raise the first failure. Results are not kept, to save memory."""
    with ThreadPoolExecutor(len(pictures)) as pool:
        for call in [pool.submit(lambda photo: engine.enhance(photo).width, photo) for photo in pictures]:
            call.result()


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """The largest difference between two images, in grey levels."""
    return int(np.abs(first.astype(np.int16) - second).max())


def png(pixels: NDArray[np.uint8]) -> bytes:
    return encode(pixels, "png")


def encode(pixels: NDArray[np.uint8], format: str) -> bytes:
    return cv2.imencode(f".{format}", pixels)[1].tobytes()


def pixels_of(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    main()
