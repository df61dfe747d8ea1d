"""The nets of a pack in several wheels of OpenCV: `python -m benchmarks.wheels 4.12.0.88 4.14.0.94 dist/ours.whl`.

A wheel is a version on PyPI, or a file, such as docker/build-opencv.sh makes. Each gets an environment of its own under
--environments; they take turns, so that all of them meet the machine's good and bad minutes. Times are milliseconds a
forward on one thread: the median of the rounds' medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path

from visage.packs import NetSpec, find_pack
from visage.superres_spec import SuperresSpec

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
for name, prototxt, weights, channels, width, height in json.loads(sys.argv[1]):
    blob = np.random.default_rng(1).normal(size=(1, channels, height, width)).astype(np.float32)
    results[name] = median(cv2.dnn.readNetFromCaffe(prototxt, weights), blob)
print(json.dumps(results))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", nargs="+", help="versions on PyPI, or files")
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    parser.add_argument("--environments", type=Path, default=Path("/tmp/visage-wheels"))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    pythons = {name_of(wheel): environment(arguments.environments, wheel) for wheel in arguments.wheels}
    pack = find_pack(arguments.pack)
    width, height = pack.face.input
    nets = [
        net(f"face, {width} x {height}", pack.face, 3, width, height),
        net(f"face, {2 * width} x {2 * height}", pack.face, 3, 2 * width, 2 * height),
        net("gender, 1 face", pack.gender, 3, *pack.gender.input),
        net("age, 1 face", pack.age, 3, *pack.age.input),
    ]
    if pack.enlarging and pack.enlarging.tile and pack.enlarging.prototxt:
        side = pack.enlarging.tile + 2 * pack.enlarging.overlap
        nets.append(net(f"superres, {side} x {side}", pack.enlarging, len(pack.enlarging.mean), side, side))
    task = json.dumps(nets)
    rounds: dict[str, list[dict[str, float]]] = {wheel: [] for wheel in pythons}
    for _ in range(arguments.rounds):
        for wheel, python in pythons.items():
            printed = subprocess.run([python, "-c", TIMED, task], capture_output=True, text=True, check=True).stdout
            rounds[wheel].append(json.loads(printed))
    print("| net | " + " | ".join(pythons) + " |\n|---|" + "--:|" * len(pythons))
    for name, *_ in nets:
        times = [statistics.median(result[str(name)] for result in rounds[wheel]) for wheel in pythons]
        print(f"| {name} | " + " | ".join(f"{time:.1f}" for time in times) + " |")


def net(name: str, spec: NetSpec | SuperresSpec, channels: int, width: int, height: int) -> tuple[str | int, ...]:
    """What the timed program has to know of a net and of what it is fed."""
    assert spec.prototxt is not None
    return name, str(spec.prototxt.path), str(spec.weights.path), channels, width, height


def name_of(wheel: str) -> str:
    """The version, or the name of the file."""
    return Path(wheel).stem if wheel.endswith(".whl") else wheel


def environment(folder: Path, wheel: str) -> Path:
    """The interpreter of an environment below `folder` that has this wheel; made where it is missing."""
    own = folder / name_of(wheel)
    python = own / "bin" / "python"
    if not python.exists():
        venv.create(own, with_pip=True)
    # A file may have been made anew since.
    # A file may have been made anew since, and pip would take its version for that.
    asked = ["--force-reinstall", wheel] if wheel.endswith(".whl") else [f"opencv-python-headless=={wheel}"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *asked], check=True, stdout=sys.stderr)
    return python


if __name__ == "__main__":
    main()
