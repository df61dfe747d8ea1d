"""How well a detector ranks its boxes: average precision and recall, as WIDER FACE counts them.

Yang et al., "WIDER FACE: A Face Detection Benchmark", 2016. A detection belongs to the labelled face that it overlaps
most. If that is less than half of their union, or if another detection has that face already, the detection is a false
positive. If the face is not counted (it is outside the list that is scored), the detection is neither right nor wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import intersection_over_union

# The intersection over union from which a box is a face's.
MIN_OVERLAP = 0.5


@dataclass(frozen=True)
class ScoredPhoto:
    """`boxes` (n, 4) and `confidences` (n,) are what a detector returned; `faces` (m, 4) are the labelled boxes, of
    which those are counted where the mask `counted` (m,) is true. Boxes are x1 y1 x2 y2 in pixels, float32.
    """

    boxes: NDArray[np.float32]
    confidences: NDArray[np.float32]
    faces: NDArray[np.float32]
    counted: NDArray[np.bool_]


@dataclass(frozen=True)
class PrecisionRecall:
    """The curve of a detector: after each of its detections, the most confident first, how many of the `faces` are
    found and how many detections are false positives. Both (n,) int64.
    """

    found: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    faces: int

    @property
    def average_precision(self) -> float:
        """The area under the curve of precision over recall, with precision made monotonic; 0 without faces."""
        if not self.faces or not len(self.found):
            return 0.0
        precision = self.found / np.maximum(self.found + self.false_positives, 1)
        best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
        steps = np.diff(self.found, prepend=0) / self.faces
        return float((steps * best_from_here).sum())

    def recall(self, false_positives: int) -> float:
        """The part of the faces that is found while there are at most that many false positives; 0 without faces."""
        allowed = int(np.searchsorted(self.false_positives, false_positives, side="right"))
        return float(self.found[allowed - 1]) / self.faces if self.faces and allowed else 0.0


def precision_recall(photos: Sequence[ScoredPhoto]) -> PrecisionRecall:
    """The curve over all `photos` together."""
    outcomes = [_outcomes(photo) for photo in photos]
    confidences = np.concatenate([photo.confidences for photo in photos] or [np.zeros(0, np.float32)])
    right, wrong = (np.concatenate([each[kind] for each in outcomes] or [np.zeros(0, bool)]) for kind in (0, 1))
    order = np.argsort(-confidences, kind="stable")
    return PrecisionRecall(
        np.cumsum(right[order], dtype=np.int64),
        np.cumsum(wrong[order], dtype=np.int64),
        sum(int(photo.counted.sum()) for photo in photos),
    )


def _outcomes(photo: ScoredPhoto) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections are right, and which are false positives; those of faces that are not counted are neither."""
    right, wrong = (np.zeros(len(photo.boxes), bool) for _ in range(2))
    if not len(photo.faces):
        return right, ~wrong
    overlaps = intersection_over_union(photo.boxes, photo.faces)
    taken = np.zeros(len(photo.faces), bool)
    for index in np.argsort(-photo.confidences, kind="stable"):
        face = int(overlaps[index].argmax())
        if overlaps[index, face] < MIN_OVERLAP:
            wrong[index] = True
        elif photo.counted[face]:
            (wrong if taken[face] else right)[index] = True
            taken[face] = True
    return right, wrong
