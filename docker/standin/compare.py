#!/usr/bin/env python3
"""Compare two images of Visage, such as for x86-64 and ARM: `python docker/standin/compare.py IMAGE OTHER PHOTO…`.

podman runs both. Prints for each photo the largest difference of its pixels, of the outputs of each net, and of the
numbers in the answers, relative to numbers above 1. Ends with status 1 if anything but rounding differs.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The nets see the whole photo, squeezed: what they say does not matter here.
PROGRAM = """
import json, sys
import cv2, numpy as np
photo = cv2.imdecode(np.frombuffer(sys.stdin.buffer.read(), np.uint8), cv2.IMREAD_COLOR)
outputs = {"pixels": cv2.resize(photo, (160, 160), interpolation=cv2.INTER_AREA).ravel().tolist()}
for name, side in ("face", 320), ("gender", 72), ("age", 72):
    path = f"/app/models/compact/{name}"
    net = cv2.dnn.readNetFromCaffe(path + ".prototxt", path + ".caffemodel")
    net.setInput(cv2.dnn.blobFromImage(photo, 1.0, (side, side)))
    found = net.forward(net.getUnconnectedOutLayersNames())
    outputs[name] = np.concatenate([each.ravel() for each in found]).tolist()
print(json.dumps(outputs))
"""
# Of the nets, in floats of 32 bits; of the answers, whose numbers are rounded.
LIMITS = {"pixels": 0.0, "face": 1e-4, "gender": 1e-4, "age": 1e-4, "answer": 1e-2}


def run(image: str, photo: bytes, *command: str) -> Any:
    arguments = ["podman", "run", "--rm", "--interactive", "--no-healthcheck", "--network", "none", image, *command]
    return json.loads(subprocess.run(arguments, input=photo, stdout=subprocess.PIPE, check=True).stdout)


def leaves(value: object) -> Iterator[object]:
    """The values in JSON, without the times."""
    if isinstance(value, dict):
        value = [each for name, each in value.items() if name != "timings_ms"]
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def difference(one: object, other: object) -> float:
    """The largest difference of two numbers in JSON, relative to those above 1. Infinite if anything else differs."""
    values, others = list(leaves(one)), list(leaves(other))
    if len(values) != len(others):
        return math.inf
    largest = 0.0
    for a, b in zip(values, others, strict=True):
        if isinstance(a, int | float) and isinstance(b, int | float):
            largest = max(largest, abs(a - b) / max(1, abs(a)))
        elif a != b:
            return math.inf
    return largest


def main() -> None:
    image, other, *photos = sys.argv[1:]
    failed = False
    for path in photos:
        photo = Path(path).read_bytes()
        outputs = [run(each, photo, "python", "-c", PROGRAM) for each in (image, other)]
        answers = [run(each, photo, "python", "-m", "visage", "predict", "--json", "-") for each in (image, other)]
        differences = {name: difference(outputs[0][name], outputs[1][name]) for name in outputs[0]}
        differences["answer"] = difference(*answers)
        failed |= any(differences[name] > limit for name, limit in LIMITS.items())
        print(path, *(f"{name} {each:.1e}" for name, each in differences.items()))
    sys.exit(failed)


if __name__ == "__main__":
    main()
