"""Milliseconds of each part on the way of a photo from socket to socket: `python -m benchmarks.parts`.

One thread, medians: what a setting of the JPEG encoder or a reduced reading gains and costs, and the part of the web.
"""

import argparse
import base64
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO

import cv2
import numpy as np
from werkzeug.formparser import FormDataParser

from benchmarks import photos
from benchmarks.load import multipart
from benchmarks.report import table
from visage.faces.analyzer import Options
from visage.faces.annotation import annotate
from visage.faces.results import as_json
from visage.images.decoding import decode, inspect
from visage.runtime.engine import Engine
from visage.settings import Settings
from visage.web.form_parser import PhotoFormParser

ENCODERS = {
    "quality 80": [cv2.IMWRITE_JPEG_QUALITY, 80],
    "quality 90": [cv2.IMWRITE_JPEG_QUALITY, 90],
    "quality 95": [cv2.IMWRITE_JPEG_QUALITY, 95],
    "quality 90, optimised": [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "quality 90, progressive": [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "quality 90, full colour": [
        cv2.IMWRITE_JPEG_QUALITY,
        90,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    pixels = photos.two_faces()
    encoders = [
        [name, f"{milliseconds(partial(cv2.imencode, '.jpg', pixels, options), rounds):.2f}", size(pixels, options)]
        for name, options in ENCODERS.items()
    ]
    print(f"## Encoding 1126 x 661\n\n{table(['encoder', 'ms', 'kB'], encoders)}")
    print(f"## The way of a photo\n\n{table(['part', 'ms'], way(photos.jpeg(pixels), rounds))}")
    print(f"## Reading large photos\n\n{table(['million pixels', 'reduction', 'ms'], readings(rounds // 3))}")


def way(photo: bytes, rounds: int) -> list[list[str]]:
    """What happens to a photo beside the nets."""
    engine = Engine(Settings())
    engine.warm_up()
    header = inspect(photo, 50_000_000)
    decoded = decode(photo, header)
    analysis = engine.analyze(photo, Options())
    picture = analysis.annotated or b""
    content = as_json(analysis, engine.pack)
    body, boundary = multipart(photo)
    parts: dict[str, Callable[[], object]] = {
        "multipart body to fields": lambda: _parse(PhotoFormParser(max_form_parts=32), body, boundary),
        "the same by werkzeug's own parser": lambda: _parse(FormDataParser(), body, boundary),
        "header": partial(inspect, photo, 50_000_000),
        "pixels": partial(decode, photo, header),
        "a copy of the pixels": decoded.pixels.copy,
        "annotated copy": partial(annotate, decoded.pixels, analysis.faces),
        "JSON without the picture": partial(json.dumps, content),
        "picture as base64": partial(base64.b64encode, picture),
        "JSON of it all, picture included": partial(json.dumps, content | {"p": base64.b64encode(picture).decode()}),
    }
    return [[name, f"{milliseconds(part, rounds):.2f}"] for name, part in parts.items()]


def readings(rounds: int) -> list[list[str]]:
    """Reading at a half, a quarter and an eighth."""
    rows = []
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    for megapixels in (2, 12, 24):
        data = np.frombuffer(photos.jpeg(photos.scene(megapixels)), np.uint8)
        rows += [
            [str(megapixels), f"1/{reduction}", f"{milliseconds(partial(cv2.imdecode, data, flag), rounds):.1f}"]
            for reduction, flag in flags.items()
        ]
    return rows


def _parse(parser: FormDataParser, body: bytes, boundary: bytes) -> None:
    parser.parse(BytesIO(body), "multipart/form-data", len(body), {"boundary": boundary.decode()})


def size(pixels: photos.Pixels, options: list[int]) -> str:
    return f"{len(cv2.imencode('.jpg', pixels, options)[1]) / 1000:.0f}"


def milliseconds(part: Callable[[], object], rounds: int) -> float:
    """Median of `rounds` calls."""
    times = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        part()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[2:])


if __name__ == "__main__":
    main()
