"""Recall, false boxes and time of every scheme to find faces: `python -m benchmarks.detection`.

Faces are found and boxes are false as `visage evaluate` counts them. Times are milliseconds a photo on one thread,
means, to be read as ratios between the schemes.
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
from benchmarks.scenes import SceneSet, load_sets
from tests.support.paths import ROOT
from visage.evaluation.evaluation import match
from visage.faces.merging import merge
from visage.faces.search import Detail, find_faces
from visage.nets.detector import Detections, FaceDetector
from visage.packs.pack import FaceSpec, find_pack

SHARED = ROOT.parent / "shared"

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
    print("| pictures | scheme | found | of | false boxes | pictures | ms |\n|---|---|--:|--:|--:|--:|--:|")
    for scene_set in load_sets(arguments.scenes):
        for name, scheme in schemes.items():
            print(measure(scene_set, name, scheme, spec.min_confidence), flush=True)


def make_schemes(spec: FaceSpec) -> dict[str, Scheme]:
    """Every scheme by its name: one look at several sizes, as official and as mended, and the three details."""
    detector = FaceDetector(spec)
    unit = max(spec.input)

    def once(net: FaceDetector, side: int) -> Scheme:
        def look(pixels: NDArray[np.uint8]) -> Detections:
            scale = side / max(pixels.shape[:2])
            size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
            return merge(net.detect(pixels, size))

        return look

    def at(detail: Detail) -> Scheme:
        return lambda pixels: find_faces(detector, spec, pixels, detail)

    official = {}
    if visage.nets.detector.correct_prior_steps(spec.prototxt.read()) != spec.prototxt.read():
        unmended = _official_detector(spec)
        official = {f"once at {side}, official prior steps": once(unmended, side) for side in (unit, 2 * unit)}
    return {
        **official,
        **{f"once at {round(factor * unit)}": once(detector, round(factor * unit)) for factor in (1, 1.5, 2, 8 / 3, 4)},
        **{f"`detail={detail.value}`": at(detail) for detail in Detail},
    }


def measure(scene_set: SceneSet, name: str, scheme: Scheme, min_confidence: float) -> str:
    """One row of the table."""
    found = wrong = 0
    seconds = []
    for scene in scene_set.scenes:
        started = time.perf_counter()
        detections = scheme(scene.pixels)
        seconds.append(time.perf_counter() - started)
        faces = np.concatenate([scene.faces, scene.perhaps])
        perhaps = np.arange(len(faces)) >= len(scene.faces)
        pairs, false_boxes = match(detections.boxes[detections.confidences >= min_confidence], faces, perhaps)
        found += sum(face < len(scene.faces) for face in pairs)
        wrong += false_boxes
    milliseconds = 1000 * statistics.mean(seconds)
    return (
        f"| {scene_set.name} | {name} | {found} | {scene_set.face_count} | {wrong} | {len(scene_set.scenes)} "
        f"| {milliseconds:.0f} |"
    )


def _official_detector(spec: FaceSpec) -> FaceDetector:
    """The detector without its prior steps mended."""
    mend = visage.nets.detector.correct_prior_steps
    visage.nets.detector.correct_prior_steps = lambda prototxt: prototxt
    try:
        return FaceDetector(spec)
    finally:
        visage.nets.detector.correct_prior_steps = mend


if __name__ == "__main__":
    main()
