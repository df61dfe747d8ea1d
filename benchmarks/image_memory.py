"""The most memory that one image of 50 to 200 million pixels takes: to decode, to find faces in it, to anonymize it.

python -m benchmarks.image_memory
"""

from collections.abc import Callable

import numpy as np

from benchmarks.support.report import table
from tests.support.memory import peak_bytes
from tests.support.pictures import bmp, encode, png
from tests.support.tall_jpeg import photo_of_squares
from visage.faces.analyzer import MIN_DECODED_SIDE
from visage.images.headers import ImageHeader, read_header
from visage.settings import Settings

SIDE = 7071
BLACK = np.zeros((SIDE, SIDE, 3), np.uint8)

REDUCTIONS = (1, 2, 4, 8)

KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encode(BLACK, "JPEG"),
    "JPEG, progressive 4:4:4": lambda: encode(BLACK, "JPEG", progressive=True, subsampling=0),
    "PNG": lambda: encode(BLACK, "PNG", compress_level=1),
    "PNG with alpha": lambda: png(SIDE, SIDE, 8, 6, bytes(SIDE * (4 * SIDE + 1))),
    "WebP": lambda: encode(BLACK, "WEBP", method=0),
    "BMP of run lengths": lambda: bmp(SIDE, SIDE, 8, 1, b"\0\1", bytes(1024)),
    "JPEG, 108 million": lambda: photo_of_squares(12_000, 9_008, {}),
    "JPEG, 108 million, progressive 4:2:0": lambda: encode(
        np.zeros((9_000, 12_000, 3), np.uint8), "JPEG", progressive=True, subsampling=2
    ),
    "JPEG, 200 million": lambda: photo_of_squares(16_320, 12_240, {}),
}

SETUP = """
from visage.images.decoding import decode, inspect
from visage.runtime.engine import Engine
engine = Engine()
engine.warm_up()
"""

TASKS = {
    "decode": "decode(data, inspect(data, 50_000_000))",
    "predict": "engine.analyze(data)",
    "anonymize": "engine.anonymize(data)",
}


def main() -> None:
    rows = []
    for name, make in KINDS.items():
        data = make()
        header = read_header(data)
        enough = [each for each in REDUCTIONS if max(header.width, header.height) // each >= MIN_DECODED_SIDE]
        reduced = 1 if header.has_alpha else max(enough)
        from_header = f"{header.decoding_bytes / 1e6:.0f}", f"{header.reduced_decoding_bytes(reduced) / 1e6:.0f}"
        possible = tasks(header)
        peaks = [f"{peak_bytes(SETUP, TASKS[each], data) / 1e6:.0f}" if each in possible else "" for each in TASKS]
        rows.append([name, *from_header, *peaks])
    print(table(["kind, MB", "from the header", "reduced", *TASKS], rows))


def tasks(header: ImageHeader) -> tuple[str, ...]:
    """The tasks that the image is not too large for."""
    is_small = header.width * header.height <= Settings().max_redacted_pixels
    return tuple(TASKS) if is_small else ("predict",)


if __name__ == "__main__":
    main()
