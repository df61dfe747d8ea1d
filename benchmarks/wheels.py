"""Shows the nets of packs in several wheels of OpenCV: `python -m benchmarks.wheels 4.12.0.88 4.14.0.94 dist/ours.whl`.

A wheel is a version on PyPI, or a file such as docker/build-opencv.sh makes. Each wheel gets an environment of its own
under --environments; they take turns, so that a change of the machine's speed affects all of them. Times are the
minimum milliseconds of processor time per forward pass, on one thread. The number in parentheses is the speed relative
to the first wheel. `OPENCV_CPU_DISABLE=AVX512-SKX` gives the times of a processor without AVX-512.
"""

import argparse
import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from visage.packs.enhance_spec import EnhanceSpec
from visage.packs.pack import NetSpec, Pack, find_pack

# Runs in each environment, which has OpenCV and numpy only.
TIMING_PROGRAM = """
import json, sys, time
import cv2, numpy as np
cv2.setNumThreads(1)
def least(net, blob):
    times = []
    for _ in range(25):
        started = time.process_time()
        net.setInput(blob)
        net.forward()
        times.append(time.process_time() - started)
    return 1000 * min(times)
results = {}
for name, prototxt, weights, channels, width, height in json.loads(sys.argv[1]):
    blob = np.random.default_rng(1).normal(size=(1, channels, height, width)).astype(np.float32)
    results[name] = least(cv2.dnn.readNetFromCaffe(prototxt, weights), blob)
print(json.dumps(results))
"""


@dataclass(frozen=True)
class Module:
    """A `cv2` to time, in the environment of an interpreter."""

    name: str
    python: Path

    def times(self, task: str) -> dict[str, float]:
        command = [str(self.python), "-c", TIMING_PROGRAM, task]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", nargs="+", help="versions on PyPI, or files")
    parser.add_argument("--packs", nargs="+", default=["compact"], help="names or paths of model packs")
    parser.add_argument("--environments", type=Path, default=Path("/tmp/visage-wheels"))
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    timed = [
        Module("compiled" if wheel.endswith(".whl") else wheel, environment(arguments.environments, wheel))
        for wheel in arguments.wheels
    ]
    nets = [net for pack in arguments.packs for net in nets_of(find_pack(pack))]
    task = json.dumps(nets)
    rounds: dict[Module, list[dict[str, float]]] = {module: [] for module in timed}
    for _ in range(arguments.rounds):
        for module, results in rounds.items():
            results.append(module.times(task))
    print("| net | " + " | ".join(module.name for module in timed) + " |\n|---|" + "--:|" * len(timed))
    for name, *_ in nets:
        first, *others = [min(result[str(name)] for result in rounds[module]) for module in timed]
        print(f"| {name} | {first:.2f} |" + "".join(f" {time:.2f} ({first / time:.2f}) |" for time in others))


def nets_of(pack: Pack) -> list[tuple[str | int, ...]]:
    """The nets of a pack with their input sizes, as arguments of the timing program."""
    width, height = pack.face.input
    nets = [
        net(f"{pack.name}, face, {width} x {height}", pack.face, 3, width, height),
        net(f"{pack.name}, gender, 1 face", pack.gender, 3, *pack.gender.input),
    ]
    # One net may give both.
    if pack.age.weights != pack.gender.weights:
        nets.append(net(f"{pack.name}, age, 1 face", pack.age, 3, *pack.age.input))
    if pack.enhancement and pack.enhancement.tile and pack.enhancement.prototxt:
        side = pack.enhancement.tile + 2 * pack.enhancement.overlap
        name = f"{pack.name}, enhance, {side} x {side}"
        nets.append(net(name, pack.enhancement, len(pack.enhancement.mean), side, side))
    return nets


def net(name: str, spec: NetSpec | EnhanceSpec, channels: int, width: int, height: int) -> tuple[str | int, ...]:
    """The arguments of the timing program for one net."""
    assert spec.prototxt is not None
    return name, str(spec.prototxt.path), str(spec.weights.path), channels, width, height


def environment(folder: Path, wheel: str) -> Path:
    """The interpreter of an environment below `folder` with this wheel, which is made if it is missing."""
    own = folder / Path(wheel).stem if wheel.endswith(".whl") else folder / wheel
    python = own / "bin" / "python"
    if not python.exists():
        venv.create(own, with_pip=True)
    # pip would not install a rebuilt file of the same version.
    asked = ["--force-reinstall", wheel] if wheel.endswith(".whl") else [f"opencv-python-headless=={wheel}"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *asked], check=True, stdout=sys.stderr)
    return python


if __name__ == "__main__":
    main()
