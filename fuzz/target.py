"""Runs one target under libFuzzer, with its options: `python -m fuzz.target pictures corpus -max_total_time=60`."""

import importlib
import sys
from random import Random
from typing import Any

import atheris

# Imported before instrumentation, so that only the code under test guides the search.
import cv2
import gunicorn.config  # type: ignore[import-untyped]  # noqa: F401
import numpy  # noqa: F401


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["visage", "gunicorn.http"]):
        target: Any = importlib.import_module(f"fuzz.{name}")

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.3:
            return bytes(atheris.Mutate(data, max_size))
        mutated: bytes = target.mutate(random, data)
        return mutated[:max_size]

    cv2.setNumThreads(1)
    atheris.Setup(sys.argv, target.check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
