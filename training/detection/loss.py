"""Which cell answers for which face (SimOTA: Ge et al., 2021), and what it should have said."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.detection.net import decode_boxes, decode_landmarks, flatten
from training.detection.pictures import Picture

# Weights in the cost of a cell for a face: the overlap of its box, and cells of a size that does not suit the face.
_OVERLAP_COST, _LEVEL_COST = 3.0, 1.5

# A face suits cells of which 2 to 8 go along its side; farther away, each doubling costs `_LEVEL_COST`.
_SUITING_LOG, _SUITING_RANGE = 2.0, 1.0

# Cells farther from the centre of a face than this many strides do not answer for it.
_NEAR = 1.5

# As many cells answer for a face as their best boxes' overlaps add up to, of this many.
_MOST_CELLS = 8

# The score that is asked of a cell is the overlap of its box, but never less than this.
_LEAST_TARGET = 0.05

_BOX_WEIGHT, _LANDMARK_WEIGHT = 2.0, 0.5

# Landmark errors are parts of the face's side; below this they count squared.
_LANDMARK_BETA = 0.04

# Landmarks of a face that the border cuts are not learned.
_WHOLE = 0.9


@dataclass(frozen=True)
class Losses:
    """The parts of the loss of a batch, and how many cells answered for a face."""

    scores: Tensor
    boxes: Tensor
    landmarks: Tensor
    positives: int

    @property
    def total(self) -> Tensor:
        return self.scores + _BOX_WEIGHT * self.boxes + _LANDMARK_WEIGHT * self.landmarks


def losses(outputs: list[Tensor], pictures: list[Picture], centres: Tensor, strides: Tensor) -> Losses:
    """Quality focal loss of the scores, EIoU loss of the boxes, smooth L1 loss of the landmarks."""
    logits, raw_boxes, raw_points = flatten(outputs)
    boxes = decode_boxes(raw_boxes, centres, strides)
    with torch.no_grad():
        pairs = [assign(*each, centres, strides) for each in zip(logits, boxes, pictures, strict=True)]
    faces_of_cells = torch.stack([faces for faces, _ in pairs])
    ignored = torch.stack([cells for _, cells in pairs])
    sample, cell = (faces_of_cells >= 0).nonzero(as_tuple=True)
    targets = torch.zeros_like(logits)
    box_loss = landmark_loss = logits.sum() * 0
    if len(sample):
        numbers = faces_of_cells[sample, cell]
        faces = torch.stack([pictures[i].faces[j] for i, j in zip(sample.tolist(), numbers.tolist(), strict=True)])
        visible = torch.stack([pictures[i].visible[j] for i, j in zip(sample.tolist(), numbers.tolist(), strict=True)])
        found = boxes[sample, cell]
        targets[sample, cell] = overlaps(found, faces[:, :4]).detach().clamp(_LEAST_TARGET, 1)
        box_loss = eiou(found, faces[:, :4]).mean()
        points = decode_landmarks(raw_points[sample, cell], centres[cell], strides[cell])
        landmark_loss = _landmark_loss(points, faces, visible >= _WHOLE)
    error = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    error = error * (targets - logits.sigmoid()).abs().pow(2)
    return Losses((error * ~ignored).sum() / max(1, len(sample)), box_loss, landmark_loss, len(sample))


def assign(logits: Tensor, boxes: Tensor, picture: Picture, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """For each cell the number of the face that it answers for, or -1; and whether the loss leaves the cell out."""
    answers = torch.full((len(centres),), -1)
    ignored = _inside_ignored(picture.ignored, centres, strides)
    if not len(picture.faces):
        return answers, ignored
    faces = picture.faces[:, :4]
    middles, sides = (faces[:, :2] + faces[:, 2:]) / 2, (faces[:, 2:] - faces[:, :2]).prod(1).sqrt()
    within = ((centres[:, None] > faces[:, :2]) & (centres[:, None] < faces[:, 2:])).all(-1)
    near = ((centres[:, None] - middles).abs() < strides[:, None, None] * _NEAR).all(-1)
    candidates = within & near
    candidates |= near & ~candidates.any(0)
    rows = candidates.any(1).nonzero()[:, 0]
    allowed = candidates[rows]
    shares = overlaps(boxes[rows][:, None], faces)
    level = (torch.log2(sides / strides[rows][:, None]) - _SUITING_LOG).abs().sub(_SUITING_RANGE).clamp(0)
    cost = -functional.logsigmoid(logits[rows])[:, None] - _OVERLAP_COST * shares.clamp(1e-6).log()
    cost = cost + _LEVEL_COST * level + 1e5 * ~allowed
    wanted = (shares * allowed).topk(min(_MOST_CELLS, len(rows)), 0).values.sum(0).int().clamp(min=1)
    chosen = torch.zeros_like(allowed)
    for face, count in enumerate(torch.minimum(wanted, allowed.sum(0)).tolist()):
        chosen[cost[:, face].topk(count, largest=False).indices, face] = True
    cheapest = torch.nn.functional.one_hot(cost.argmin(1), len(faces)).bool()
    chosen = torch.where((chosen.sum(1) > 1)[:, None], cheapest, chosen)
    taken = chosen.any(1)
    answers[rows[taken]] = chosen[taken].int().argmax(1)
    return answers, ignored & (answers < 0)


def _inside_ignored(ignored: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Cells in an ignored box, which is taken a tenth larger on each side, or right at its centre."""
    if not len(ignored):
        return torch.zeros(len(centres), dtype=torch.bool)
    margin = (ignored[:, 2:] - ignored[:, :2]) / 10
    inside = (centres[:, None] > ignored[:, :2] - margin) & (centres[:, None] < ignored[:, 2:] + margin)
    middles = (ignored[:, :2] + ignored[:, 2:]) / 2
    close = (centres[:, None] - middles).abs() < strides[:, None, None] * 0.75
    return (inside.all(-1) | close.all(-1)).any(1)


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4), which are broadcast."""
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).clamp(0).prod(-1) for each in (first, second)]
    return shared / (areas[0] + areas[1] - shared + 1e-6)


def eiou(found: Tensor, wanted: Tensor) -> Tensor:
    """Zhang et al., 2021: 1 - IoU, and the distances of centres, widths and heights in parts of the hull."""
    hull = torch.maximum(found[:, 2:], wanted[:, 2:]) - torch.minimum(found[:, :2], wanted[:, :2])
    centre = (found[:, :2] + found[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2
    sides = (found[:, 2:] - found[:, :2]) - (wanted[:, 2:] - wanted[:, :2]).clamp(min=1)
    distance = (centre**2).sum(1) / ((hull**2).sum(1) + 1e-6)
    return 1 - overlaps(found, wanted) + distance + ((sides / hull.clamp(min=1)) ** 2).sum(1)


def _landmark_loss(points: Tensor, faces: Tensor, whole: Tensor) -> Tensor:
    sides = (faces[:, 2:4] - faces[:, :2]).clamp(min=1).prod(1).sqrt()
    error = (points - faces[:, 4:].unflatten(-1, (5, 2))) / sides[:, None, None]
    each = functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=_LANDMARK_BETA)
    return (each.sum((1, 2)) * whole).sum() / whole.sum().clamp(min=1)
