"""Voting: one face has many detections, and their mean is more accurate than the most confident one.

Gidaris and Komodakis (2015) vote so on boxes. `docs/decisions.md` has what it gains here, for boxes and for landmarks.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import intersection_over_union
from visage.nets.detections import LANDMARKS, Detections

# Two detections are of one face from this intersection over union on.
_MIN_IOU = 0.55

# Landmarks vote only if they lie, on average, at most this far from those of the most confident detection, in widths of
# its box. A pass on a turned photo may have named them in another order.
_MAX_LANDMARK_DISTANCE = 0.3

# Detections that are compared with all others at a time, which bounds the memory.
_BLOCK = 256


def vote(found: Detections, kept: NDArray[np.intp]) -> Detections:
    """Return the detections `kept`, each with the mean box and the mean landmarks of all `found` of its face.

    The means are weighted by confidence. `kept` (k,) are indices.
    """
    faces, voters = _of_one_face(found, kept)
    boxes = _means(found.boxes, found.confidences, faces, voters)
    return replace(_with_mean_landmarks(found, kept, faces, voters), boxes=boxes)


def vote_on_landmarks(found: Detections, kept: NDArray[np.intp]) -> Detections:
    """Return the detections `kept`, each with the mean landmarks of all `found` of its face, as `vote` does."""
    return _with_mean_landmarks(found, kept, *_of_one_face(found, kept))


def _with_mean_landmarks(
    found: Detections, kept: NDArray[np.intp], faces: NDArray[np.intp], voters: NDArray[np.intp]
) -> Detections:
    result = found.select(kept)
    if found.landmarks is None:
        return result
    first = kept[faces]
    widths = found.boxes[first, 2] - found.boxes[first, 0]
    distances = np.linalg.norm(found.landmarks[voters] - found.landmarks[first], axis=2).mean(axis=1)
    near = (distances <= _MAX_LANDMARK_DISTANCE * widths) | (voters == first)
    points = _means(found.landmarks.reshape(-1, 2 * LANDMARKS), found.confidences, faces[near], voters[near])
    return replace(result, landmarks=points.reshape(-1, LANDMARKS, 2))


def _of_one_face(found: Detections, kept: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs of a face, as its place in `kept`, and a detection of it, as its index in `found`."""
    faces: list[NDArray[np.intp]] = [np.zeros(0, np.intp)]
    voters: list[NDArray[np.intp]] = [np.zeros(0, np.intp)]
    for start in range(0, len(kept), _BLOCK):
        rows = kept[start : start + _BLOCK]
        same = intersection_over_union(found.boxes[rows], found.boxes) >= _MIN_IOU
        same[np.arange(len(rows)), rows] = True  # a box without an area does not overlap itself
        block, indices = np.nonzero(same)
        faces.append(block + start)
        voters.append(indices)
    return np.concatenate(faces), np.concatenate(voters)


def _means(
    values: NDArray[np.float32], confidences: NDArray[np.float32], faces: NDArray[np.intp], voters: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the mean of the rows `voters` of `values` (n, m) by confidence for each face, (k, m); `faces` ascend."""
    firsts = np.flatnonzero(np.diff(faces, prepend=-1))
    weights = np.maximum(confidences[voters, None], np.finfo(np.float32).tiny).astype(np.float64)
    sums = np.add.reduceat(weights * values[voters], firsts)
    means: NDArray[np.float32] = (sums / np.add.reduceat(weights, firsts)).astype(np.float32)
    return means
