"""Annotation: draw boxes and labels on a photo, legible from 200 pixels to 24 megapixels and on any background.

All lengths are in pixels of the image that is drawn on.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.faces.face import Face
from visage.images.boxes import Box, box_inside

Colour = tuple[int, int, int]

# One BGR colour for each gender label, in the order of the manifest. M. Okabe and K. Ito ("Color Universal Design",
# 2008) chose them to differ in every common kind of colour blindness; the two that are too dark for black text are left
# out.
FILLS: tuple[Colour, ...] = (
    (233, 180, 86),  # sky blue
    (0, 159, 230),  # orange
    (115, 158, 0),  # bluish green
    (167, 121, 204),  # reddish purple
    (66, 228, 240),  # yellow
)
INK: Colour = (0, 0, 0)

# On JPEGs of quality 60 and 80 the digits 6 and 8 look the same at 5 pixels. At 7 all digits differ; 1 is margin.
MIN_CAP_HEIGHT = 8

# A position costs the share of each face that the label hides. Up to this share of its own face, brow or chin, is free.
_FREE_OWN_SHARE = 1 / 3
# Cost of each step to a shorter text: it pays if it hides a tenth less of another face.
_SHORTER_TEXT_COST = 0.1
# Costs that differ by less are equal, whatever the rounding of sums; the first position wins.
_COST_TOLERANCE = 1e-6

_FONT = cv2.FONT_HERSHEY_DUPLEX
# Height of the Hershey capitals at font scale 1 (A. V. Hershey, NWL report 1810, 1967).
_FONT_CAP_HEIGHT = 21


@dataclass(frozen=True)
class Pen:
    """The sizes of an annotation: width of the box's line, width of the dark outline around it, height of capitals."""

    line: int
    outline: int
    cap_height: int

    @property
    def font_scale(self) -> float:
        return self.cap_height / _FONT_CAP_HEIGHT

    @property
    def stroke(self) -> int:
        """Width of a stroke. The Duplex font draws its main strokes twice, side by side, so they are thin."""
        return max(1, self.cap_height // 11)

    @property
    def margin(self) -> int:
        """Distance from the label's edge to the text. Descenders take a third of the cap height and half a stroke."""
        return self.outline + round(self.cap_height * 0.45)

    @property
    def label_height(self) -> int:
        return self.cap_height + 1 + 2 * self.margin


@dataclass(frozen=True)
class Label:
    """The label of the face at the index `face`. It fills `box` and nothing else."""

    face: int
    text: str
    box: Box
    pen: Pen


def annotate(
    pixels: NDArray[np.uint8], faces: Sequence[Face], scale: float = 1.0, *, in_place: bool = False
) -> NDArray[np.uint8]:
    """Draw a box around each face and its label, if there is room, on a copy of `pixels`, (h, w, 3) uint8 BGR.

    `scale` is the size of `pixels` over that of the original, to which the boxes of `faces` refer. With `in_place` the
    function draws on `pixels` and returns them. The copy takes a third of the time and as much memory as the image.
    """
    canvas = pixels if in_place else pixels.copy()
    height, width = canvas.shape[:2]
    frames = _frames(faces, width, height, scale)
    fills = [_fill(face) for face in faces]
    for (box, pen), fill in zip(frames, fills, strict=True):
        _draw_frame(canvas, box, pen, fill)
    for label in _labels(faces, frames, width, height):
        _draw_label(canvas, label, fills[label.face])
    return canvas


def size_pen(box: Box, width: int, height: int) -> Pen:
    """Return the pen for a face in `box` in an image of `width` by `height` pixels.

    Sizes follow the image, so that text is legible when a screen shows the image smaller. In a crowd they follow the
    face: a label of 12 characters, `Female 25-32`, is up to 1.5 times as wide as its box.
    """
    longer = max(width, height)
    smallest = max(MIN_CAP_HEIGHT, longer / 190)  # 8 pixels if the image is shown 1500 pixels wide
    largest = max(smallest, longer / 62)
    line = max(1, round(min(longer / 330, min(box.width, box.height) / 16)))
    return Pen(line, max(1, round(line / 3)), round(min(max(smallest, box.width / 8), largest)))


def place_labels(faces: Sequence[Face], width: int, height: int, scale: float = 1.0) -> tuple[Label, ...]:
    """Place the labels in an image of `width` by `height` pixels, those of the largest faces first.

    Labels are inside the image and do not overlap, and each face has at most one. Labels have words (`Female 25-32`),
    unless more faces have room for initials (`F 25-32`); then all have initials. A face without room gets a shorter
    text or none.
    """
    return _labels(faces, _frames(faces, width, height, scale), width, height)


def _frames(faces: Sequence[Face], width: int, height: int, scale: float) -> list[tuple[Box, Pen]]:
    """Return the box of each face in pixels of the image, and its pen."""
    boxes = [box_inside((scale * edge for edge in face.box.corners), width, height) for face in faces]
    return [(box, size_pen(box, width, height)) for box in boxes]


def _labels(faces: Sequence[Face], frames: Sequence[tuple[Box, Pen]], width: int, height: int) -> tuple[Label, ...]:
    in_words = [_texts(face) for face in faces]
    words = _place(frames, in_words, width, height)
    found = _longest_texts(words, in_words)
    if found == len(faces):
        return words
    in_initials = [texts[1:] or texts for texts in in_words]
    initials = _place(frames, in_initials, width, height)
    return initials if _longest_texts(initials, in_initials) > found else words


def _texts(face: Face) -> list[str]:
    """Return the texts that a label may have, longest first: `Female 25-32`, `F 25-32`, `25-32`, `F`."""
    initial = _initial(face.gender, tuple(face.gender_probabilities))
    age = face.age.replace("(", "").replace(")", "")
    texts = (f"{face.gender} {age}".strip(), f"{initial} {age}".strip(), age, initial)
    return [text for text in dict.fromkeys(texts) if text]


@cache
def _initial(gender: str, genders: tuple[str, ...]) -> str:
    """Return the shortest prefix of `gender` that no other of `genders` has, or all of it."""
    starts = (gender[:length] for length in range(1, len(gender)))
    return next((start for start in starts if sum(other.startswith(start) for other in genders) == 1), gender)


def _longest_texts(labels: Sequence[Label], texts: Sequence[Sequence[str]]) -> int:
    return sum(label.text == texts[label.face][0] for label in labels)


def _place(
    frames: Sequence[tuple[Box, Pen]], texts: Sequence[Sequence[str]], width: int, height: int
) -> tuple[Label, ...]:
    """Give each face, largest first, the free position with the lowest cost; of equals, the first.

    `texts` are the possible texts of each face, longest first.
    """
    labels: list[Label] = []
    for face in sorted(range(len(frames)), key=lambda face: -frames[face][0].area):
        if not texts[face]:
            continue
        box, pen = frames[face]
        first = _label_width(texts[face][0], pen)
        # Only faces and labels within reach can overlap. A label that touches another face seems to belong to that one.
        reach = _grown(box, first + pen.margin, pen.label_height + pen.margin)
        faces = [_grown(other, pen.margin) for other, _ in frames if other is not box and _overlap(other, reach)]
        taken = [label.box for label in labels if _overlap(label.box, reach)]
        position = next(_positions(box, first, pen, width, height), None)
        # Most faces have room at the first position.
        if position and not any(_overlap(position, each) for each in (box, *faces, *taken)):
            labels.append(Label(face, texts[face][0], position, pen))
            continue
        positions = (_positions(box, _label_width(text, pen), pen, width, height) for text in texts[face])
        found = _lowest_cost(positions, box, faces, taken)
        if found is not None:
            labels.append(Label(face, texts[face][found[0]], found[1], pen))
    return tuple(labels)


def _lowest_cost(
    positions: Iterable[Iterable[Box]], box: Box, faces: Sequence[Box], taken: Sequence[Box]
) -> tuple[int, Box] | None:
    """Return the index of the text and its position with the lowest cost, or None without a free position.

    `positions` are those of each text for the face in `box`; `taken` are the labels of other faces.
    """
    best, lowest = None, math.inf
    for text, candidates in enumerate(positions):
        for position in candidates:
            if any(_overlap(position, each) for each in taken):
                continue
            own = _intersection(position, box) / box.area
            cost = _SHORTER_TEXT_COST * text + (own if own > _FREE_OWN_SHARE else 0)
            cost += sum(_intersection(position, each) / each.area for each in faces)
            if cost < lowest - _COST_TOLERANCE:
                best, lowest = (text, position), cost
                if cost <= _SHORTER_TEXT_COST * text:
                    break
        # Shorter texts cannot cost less than the cost of their text.
        if lowest <= _SHORTER_TEXT_COST * (text + 1) + _COST_TOLERANCE:
            break
    return best


def _positions(box: Box, label_width: int, pen: Pen, width: int, height: int) -> Iterator[Box]:
    """Yield the positions of a label in order of preference: above, below, inside; aligned left, right, centred."""
    above, below = box.y1 - pen.label_height, box.y2
    rightmost, lowest = width - label_width, height - pen.label_height
    if rightmost < 0 or lowest < 0:
        return
    tops = [top for top in (above, below) if 0 <= top <= lowest]
    # If there is too little room outside the box, the label is at the edge of the image.
    tops += [0 if above < 0 else min(box.y1, lowest), lowest if below > lowest else max(box.y2 - pen.label_height, 0)]
    left, right = box.x1 - pen.outline, box.x2 + pen.outline - label_width
    for top in tops:
        for x in (left, right, (left + right) // 2):
            x1 = min(max(x, 0), rightmost)
            yield Box(x1, top, x1 + label_width, top + pen.label_height)


def _label_width(text: str, pen: Pen) -> int:
    return cv2.getTextSize(text, _FONT, pen.font_scale, pen.stroke)[0][0] + 2 * pen.margin


def _grown(box: Box, sideways: int, upwards: int | None = None) -> Box:
    upwards = sideways if upwards is None else upwards
    return Box(box.x1 - sideways, box.y1 - upwards, box.x2 + sideways, box.y2 + upwards)


def _overlap(one: Box, other: Box) -> bool:
    return one.x1 < other.x2 and other.x1 < one.x2 and one.y1 < other.y2 and other.y1 < one.y2


def _intersection(one: Box, other: Box) -> int:
    if not _overlap(one, other):
        return 0
    return (min(one.x2, other.x2) - max(one.x1, other.x1)) * (min(one.y2, other.y2) - max(one.y1, other.y1))


def _fill(face: Face) -> Colour:
    return FILLS[list(face.gender_probabilities).index(face.gender) % len(FILLS)]


def _draw_frame(canvas: NDArray[np.uint8], box: Box, pen: Pen, fill: Colour) -> None:
    """Draw the line inside the box, with an outline on both sides; at the edge of the image on the inner side only."""
    for outset, depth, colour in ((pen.outline, pen.line + 2 * pen.outline, INK), (0, pen.line, fill)):
        left, top = max(box.x1 - outset, 0), max(box.y1 - outset, 0)
        area = canvas[top : box.y2 + outset, left : box.x2 + outset]
        for side in (area[:depth], area[-depth:], area[:, :depth], area[:, -depth:]):
            cv2.rectangle(side, (0, 0), side.shape[1::-1], colour, cv2.FILLED)  # five times faster than numpy


def _draw_label(canvas: NDArray[np.uint8], label: Label, fill: Colour) -> None:
    box, pen, edge = label.box, label.pen, label.pen.outline
    cv2.rectangle(canvas, (box.x1, box.y1), (box.x2 - 1, box.y2 - 1), INK, cv2.FILLED)
    cv2.rectangle(canvas, (box.x1 + edge, box.y1 + edge), (box.x2 - 1 - edge, box.y2 - 1 - edge), fill, cv2.FILLED)
    # Hershey letters start at the middle of a stroke, and end a stroke before their width does.
    start = (box.x1 + pen.margin + pen.stroke // 2, box.y2 - pen.margin - 1)
    cv2.putText(canvas, label.text, start, _FONT, pen.font_scale, INK, pen.stroke, cv2.LINE_AA)
