"""The last step of a face net without anchors: its maps become boxes and landmarks (Tian et al., "FCOS", 2019).

The net has one output layer for each stride, `stride_8` for the stride 8. Each cell of its map has 15 values: the logit
of the confidence, x and y of the box's centre, the logarithms of the box's width and height, and x and y of five
landmarks. Coordinates are relative to the centre of the cell; they and the sides are in units of the stride.

cv2.dnn runs one convolution with 15 channels in 0.85 of the time of three with 2, 4 and 10 and the layers of an SSD.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visage.nets.detections import LANDMARKS, Detections, suppress
from visage.nets.voting import vote_on_landmarks

Maps = NDArray[np.float32]

# Values of a cell: a logit, a box, landmarks.
CELL_VALUES = 1 + 4 + 2 * LANDMARKS

# Boxes up to this confidence are dropped. On the validation photos of WIDER FACE that leaves a tenth of the boxes from
# 0.01 on and the same average precision to 0.0002; non-maximum suppression then takes 0.25 ms.
_MIN_CONFIDENCE = 0.05
_MIN_LOGIT = math.log(_MIN_CONFIDENCE / (1 - _MIN_CONFIDENCE))

# At most this many boxes, the most confident, enter non-maximum suppression, whose time grows with their square.
_CANDIDATES = 2000

# From the first confidence on, landmarks are the mean of those of all cells that answer for a face: boxes below it are
# rarely shown, and there are many. Cells vote from the second confidence on; others weigh little. On the validation
# photos of WIDER FACE that lowers the error of the landmarks from 5.1 to 4.7 % of the width of a face.
_LIKELY, _VOTING = 0.3, 0.15

# The range of the logarithms of the sides, so that a wild value cannot overflow; training clamps them alike. A box has
# at most e^6 = 403 strides.
SIDE_LOGS = (-4, 6)


def layer_names(strides: Sequence[int]) -> list[str]:
    """The output layers of a net with these `strides`."""
    return [f"stride_{stride}" for stride in strides]


def decode_maps(maps: Sequence[Maps], strides: Sequence[int]) -> Detections:
    """Return the faces in `maps`, one (1, 15, rows, columns) for each of `strides`, in pixels of the net's input.

    Boxes have every confidence above 0.05, most confident first. They may reach beyond the input. From 0.3 on, the
    landmarks of a box are the mean of those of all cells that answer for its face.
    """
    found = _decode(maps, strides)
    found = found.select(np.argsort(-found.confidences, kind="stable")[:_CANDIDATES])
    kept = suppress(found.boxes, found.confidences)
    likely = int((found.confidences[kept] >= _LIKELY).sum())
    # The first cells vote, so the indices stay the same. The mean of the boxes gains nothing (docs/decisions.md).
    voted = vote_on_landmarks(found.select(found.confidences >= _VOTING), kept[:likely])
    return Detections.concatenate([voted, found.select(kept[likely:])])


def _decode(maps: Sequence[Maps], strides: Sequence[int]) -> Detections:
    """Return one detection for each cell of `maps` that is confident enough, in pixels of the net's input."""
    values, places, sizes = [], [], []
    for level, stride in zip(maps, strides, strict=True):
        cells = level[0].reshape(CELL_VALUES, -1)
        indices = np.flatnonzero(cells[0] > _MIN_LOGIT)
        values.append(cells[:, indices])
        places.append(np.divmod(indices, level.shape[3]))
        sizes.append(np.full(len(indices), stride, np.float32))
    # All levels at once: numpy takes longer to begin an operation than for the few cells of a level.
    chosen, units = np.concatenate(values, axis=1).T, np.concatenate(sizes)[:, None]
    centres = np.concatenate(places, axis=1)[::-1].T.astype(np.float32) + np.float32(0.5)
    middles = centres + chosen[:, 1:3]
    halves = np.exp(np.clip(chosen[:, 3:5], *SIDE_LOGS)) / 2
    points = centres[:, None] + chosen[:, 5:].reshape(-1, LANDMARKS, 2)
    return Detections(
        np.concatenate([middles - halves, middles + halves], axis=1) * units,
        1 / (1 + np.exp(-chosen[:, 0])),
        points * units[:, None],
    )
