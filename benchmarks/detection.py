"""Recall, false boxes and time of every scheme to find faces: `python -m benchmarks.detection`.

A face counts as found if a box shares 30 % of their union; a box counts as false if it is on no face, not even on a
possible one. Times are milliseconds a photo on one thread, means, to be read as ratios between the schemes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import visage.nets
from benchmarks.scenes import SceneSet, load_sets
from benchmarks.service import ROOT
from training.scenes import Scene
from visage.face_search import Detail, find_faces, merge
from visage.nets import Detections, FaceDetector
from visage.packs import FaceSpec, find_pack

SHARED = ROOT.parent / "shared"

Scheme = Callable[[NDArray[np.uint8]], Detections]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, default=SHARED / "data" / "scenes")
    parser.add_argument("--pack", default=str(SHARED / "packs" / "reference"), help="name or path of a model pack")
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
    official = _official_detector(spec)
    unit = max(spec.input)

    def once(net: FaceDetector, side: int) -> Scheme:
        def look(pixels: NDArray[np.uint8]) -> Detections:
            scale = side / max(pixels.shape[:2])
            size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
            return merge(net.detect(pixels, size))

        return look

    def at(detail: Detail) -> Scheme:
        return lambda pixels: find_faces(detector, spec, pixels, detail)

    return {
        f"once at {unit}, official prior steps": once(official, unit),
        f"once at {2 * unit}, official prior steps": once(official, 2 * unit),
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
        hits, misses = score(detections.boxes[detections.confidences >= min_confidence], scene)
        found += hits
        wrong += misses
    milliseconds = 1000 * statistics.mean(seconds)
    return (
        f"| {scene_set.name} | {name} | {found} | {scene_set.face_count} | {wrong} | {len(scene_set.scenes)} "
        f"| {milliseconds:.0f} |"
    )


def score(boxes: NDArray[np.float32], scene: Scene) -> tuple[int, int]:
    """How many faces of `scene` the boxes find, and how many boxes are on no face."""
    on_face = overlaps(boxes, scene.faces, of_union=True) > 0.3
    on_perhaps = overlaps(boxes, scene.perhaps, of_union=False) > 0.3
    return int(on_face.any(axis=0).sum()), int((~on_face.any(axis=1) & ~on_perhaps.any(axis=1)).sum())


def overlaps(boxes: NDArray[np.float32], others: NDArray[np.float32], *, of_union: bool) -> NDArray[np.float32]:
    """Shared area of `boxes` (n, 4) with `others` (m, 4), over the united or the smaller area: (n, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None], (others[:, 2:] - others[:, :2]).prod(axis=1)[None]
    whole: NDArray[np.float32] = areas[0] + areas[1] - shared if of_union else np.minimum(*areas)
    shares: NDArray[np.float32] = shared / np.maximum(whole, np.float32(1e-9))
    return shares


def _official_detector(spec: FaceSpec) -> FaceDetector:
    """The detector without its prior steps mended."""
    mend = visage.nets.mend_prior_steps
    visage.nets.mend_prior_steps = lambda prototxt: prototxt
    try:
        return FaceDetector(spec)
    finally:
        visage.nets.mend_prior_steps = mend


if __name__ == "__main__":
    main()
