"""The nets of a pack in several wheels of OpenCV: `python -m benchmarks.wheels 4.12.0.88 4.13.0.92 4.14.0.94`.

Each wheel gets an environment of its own under --environments; the wheels take turns, so that all of them meet the
machine's good and bad minutes. Times are milliseconds a forward on one thread: the median of the rounds' medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path

from visage.packs import NetSpec, find_pack

# Runs inside each environment, with nothing but OpenCV and numpy.
TIMED = """
import json, statistics, sys, time
import cv2, numpy as np
cv2.setNumThreads(1)
def median(net, blob):
    times = []
    for _ in range(15):
        started = time.perf_counter()
        net.setInput(blob)
        net.forward()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
results = {}
for name, prototxt, weights, width, height in json.loads(sys.argv[1]):
    blob = np.random.default_rng(1).normal(size=(1, 3, height, width)).astype(np.float32)
    results[name] = median(cv2.dnn.readNetFromCaffe(prototxt, weights), blob)
print(json.dumps(results))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="+")
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    parser.add_argument("--environments", type=Path, default=Path("/tmp/visage-wheels"))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    pythons = {version: environment(arguments.environments / version, version) for version in arguments.versions}
    pack = find_pack(arguments.pack)
    width, height = pack.face.input
    nets: list[tuple[str, NetSpec, tuple[int, int]]] = [
        (f"face, {width} x {height}", pack.face, (width, height)),
        (f"face, {2 * width} x {2 * height}", pack.face, (2 * width, 2 * height)),
        ("gender, 1 face", pack.gender, pack.gender.input),
        ("age, 1 face", pack.age, pack.age.input),
    ]
    task = json.dumps([(name, str(spec.prototxt.path), str(spec.weights.path), *size) for name, spec, size in nets])
    rounds: dict[str, list[dict[str, float]]] = {version: [] for version in pythons}
    for _ in range(arguments.rounds):
        for version, python in pythons.items():
            printed = subprocess.run([python, "-c", TIMED, task], capture_output=True, text=True, check=True).stdout
            rounds[version].append(json.loads(printed))
    print("| net | " + " | ".join(pythons) + " |\n|---|" + "--:|" * len(pythons))
    for name, *_ in nets:
        times = [statistics.median(result[name] for result in rounds[version]) for version in pythons]
        print(f"| {name} | " + " | ".join(f"{time:.1f}" for time in times) + " |")


def environment(folder: Path, version: str) -> Path:
    """The interpreter of an environment that has this wheel; made where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        wheel = f"opencv-python-headless=={version}"
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, stdout=sys.stderr)
    return python


if __name__ == "__main__":
    main()
