"""How far the landmarks of a pack are from those on which the teachers agree.

    python -m training.detection.landmarks --photos DIR --teachers DIR [--pack models/compact]

DIR holds JPEGs that were not trained on. The distance of a face is the mean over its five landmarks, relative to the
width of the teachers' box.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detection.labels import Labels, decode, label
from training.detection.teachers import CenterFace, YuNet
from visage.faces.search import Detail, find_faces
from visage.images.boxes import intersection_over_union
from visage.nets.detections import LANDMARKS, Detections
from visage.nets.detector import FaceDetector
from visage.packs.pack import read_pack

# Two boxes are one face from this intersection over union on.
_SAME_FACE = 0.5

# The widths of boxes in pixels from which faces are counted, one row each.
_LEAST_WIDTHS = (0, 20, 40, 80)


def distances(found: Detections, labels: Labels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (n,) distances and (n,) widths of the teachers' boxes in pixels, for the faces that both found.

    Raises:
        ValueError: `found` has no landmarks.
    """
    if found.landmarks is None:
        raise ValueError("the pack gives no landmarks")
    if not len(found.boxes) or not len(labels.faces):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    boxes = labels.faces[:, :4]
    shares = intersection_over_union(found.boxes, boxes)
    best = shares.argmax(axis=0)
    same = shares.max(axis=0) >= _SAME_FACE
    points = labels.faces[:, 4:].reshape(-1, LANDMARKS, 2)
    lengths = np.linalg.norm(found.landmarks[best] - points, axis=2).mean(axis=1)
    widths = boxes[:, 2] - boxes[:, 0]
    return (lengths / widths)[same].astype(np.float32), widths[same]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--pack", type=Path, default=Path("models/compact"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    centerface = CenterFace(arguments.teachers / "centerface.onnx")
    yunet = YuNet(arguments.teachers / "yunet_2023mar.onnx")
    face = read_pack(arguments.pack).face
    detector = FaceDetector(face)
    pairs = []
    for path in sorted(arguments.photos.rglob("*.jpg")):
        pixels = decode(path.read_bytes())
        found = find_faces(detector, face, pixels, Detail.AUTO)
        sure = found.select(found.confidences >= face.min_confidence)
        pairs.append(distances(sure, label(centerface, yunet, pixels)))
    lengths, widths = (np.concatenate(each) for each in zip(*pairs, strict=True))
    print("| width of the box | faces | mean | median |\n|---|--:|--:|--:|")
    for least in _LEAST_WIDTHS:
        chosen = lengths[widths >= least]
        print(f"| from {least} pixels | {len(chosen)} | {chosen.mean():.1%} | {np.median(chosen):.1%} |")


if __name__ == "__main__":
    main()
