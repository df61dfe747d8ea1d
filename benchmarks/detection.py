"""Shows faces found, false positives and time of each `detail` and of single passes: `python -m benchmarks.detection`.

Faces and false positives are counted as `visage evaluate` does. Times are means in milliseconds per photo on one
thread, to be read as ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import visage.nets.detector
from benchmarks.support.scenes import SceneSet, load_sets
from tests.support.paths import SHARED
from visage.evaluation.evaluation import match
from visage.faces.merging import merge
from visage.faces.search import Detail, find_faces
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.packs.pack import FaceSpec, find_pack

Scheme = Callable[[NDArray[np.uint8]], Detections]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, default=SHARED / "data" / "scenes")
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    spec = find_pack(arguments.pack).face
    schemes = make_schemes(spec)
    print(f"OpenCV {cv2.__version__}, pack {arguments.pack}, confidence {spec.min_confidence}\n")
    print("| images | scheme | found | of | false positives | images | ms |\n|---|---|--:|--:|--:|--:|--:|")
    for scene_set in load_sets(arguments.scenes):
        for name, scheme in schemes.items():
            print(measure(scene_set, name, scheme, spec.min_confidence), flush=True)


def make_schemes(spec: FaceSpec) -> dict[str, Scheme]:
    """Every scheme by its name: one pass at several sizes, the same with official prior steps, and each detail."""
    detector = FaceDetector(spec)
    unit = max(spec.input)

    def one_pass(net: FaceDetector, side: int) -> Scheme:
        def detect(pixels: NDArray[np.uint8]) -> Detections:
            scale = side / max(pixels.shape[:2])
            size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
            return merge(net.detect(pixels, size))

        return detect

    def at(detail: Detail) -> Scheme:
        return lambda pixels: find_faces(detector, spec, pixels, detail)

    official = {}
    if visage.nets.detector.correct_prior_steps(spec.prototxt.read()) != spec.prototxt.read():
        official_detector = _official_detector(spec)
        official = {
            f"one pass at {side}, official prior steps": one_pass(official_detector, side) for side in (unit, 2 * unit)
        }
    return {
        **official,
        **{
            f"one pass at {round(factor * unit)}": one_pass(detector, round(factor * unit))
            for factor in (1, 1.5, 2, 8 / 3, 4)
        },
        **{f"`detail={detail.value}`": at(detail) for detail in Detail},
    }


def measure(scene_set: SceneSet, name: str, scheme: Scheme, min_confidence: float) -> str:
    """One row of the table."""
    found = false_positives = 0
    seconds = []
    for scene in scene_set.scenes:
        started = time.perf_counter()
        detections = scheme(scene.pixels)
        seconds.append(time.perf_counter() - started)
        faces = np.concatenate([scene.faces, scene.difficult])
        difficult = np.arange(len(faces)) >= len(scene.faces)
        pairs, wrong = match(detections.boxes[detections.confidences >= min_confidence], faces, difficult)
        found += sum(face < len(scene.faces) for face in pairs)
        false_positives += wrong
    milliseconds = 1000 * statistics.mean(seconds)
    return (
        f"| {scene_set.name} | {name} | {found} | {scene_set.face_count} | {false_positives} | {len(scene_set.scenes)} "
        f"| {milliseconds:.0f} |"
    )


def _official_detector(spec: FaceSpec) -> FaceDetector:
    """The detector without corrected prior steps."""
    correct = visage.nets.detector.correct_prior_steps
    visage.nets.detector.correct_prior_steps = lambda prototxt: prototxt
    try:
        return FaceDetector(spec)
    finally:
        visage.nets.detector.correct_prior_steps = correct


if __name__ == "__main__":
    main()
