"""The most memory that one image of 50 million pixels takes: to decode, to find faces in it, to anonymize it.

python -m benchmarks.image_memory
"""

from collections.abc import Callable

import numpy as np

from benchmarks.support.report import table
from tests.support.memory import peak_bytes
from tests.support.pictures import bmp, encode, png
from visage.images.headers import read_header

SIDE = 7071
BLACK = np.zeros((SIDE, SIDE, 3), np.uint8)

KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encode(BLACK, "JPEG"),
    "JPEG, progressive 4:4:4": lambda: encode(BLACK, "JPEG", progressive=True, subsampling=0),
    "PNG": lambda: encode(BLACK, "PNG", compress_level=1),
    "PNG with alpha": lambda: png(SIDE, SIDE, 8, 6, bytes(SIDE * (4 * SIDE + 1))),
    "WebP": lambda: encode(BLACK, "WEBP", method=0),
    "BMP of run lengths": lambda: bmp(SIDE, SIDE, 8, 1, b"\0\1", bytes(1024)),
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
        peaks = [f"{peak_bytes(SETUP, code, data) / 1e6:.0f}" for code in TASKS.values()]
        rows.append([name, f"{read_header(data).decoding_bytes / 1e6:.0f}", *peaks])
    print(table(["kind, MB", "from the header", *TASKS], rows))


if __name__ == "__main__":
    main()
