"""One target under libFuzzer: `python -m fuzz.target pictures corpus -max_total_time=60`, with libFuzzer's options."""

import importlib
import sys
from random import Random
from typing import Any

import atheris

# Loaded before anything is instrumented: only what is fuzzed shall guide the search.
import cv2
import gunicorn.config  # type: ignore[import-untyped]  # noqa: F401
import numpy  # noqa: F401


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["visage", "gunicorn.http"]):
        target: Any = importlib.import_module(f"fuzz.{name}")

    def changed(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        changed: bytes = target.changed(random, data)
        return changed[:most]

    cv2.setNumThreads(1)
    atheris.Setup(sys.argv, target.check, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
