"""Boxes and labels on a copy of a photo: legible at 200 pixels and at 24 megapixels, on dark and on light ground.

Every length here is in pixels of the picture that is drawn on.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.faces.face import Face
from visage.images.boxes import Box

Colour = tuple[int, int, int]

# One fill a gender label, in the manifest's order, BGR: what M. Okabe and K. Ito ("Color Universal Design", 2008)
# found to stay apart in every common kind of colour blindness, without the two that are too dark for black text.
FILLS: tuple[Colour, ...] = (
    (233, 180, 86),  # sky blue
    (0, 159, 230),  # orange
    (115, 158, 0),  # bluish green
    (167, 121, 204),  # reddish purple
    (66, 228, 240),  # yellow
)
INK: Colour = (0, 0, 0)

# Measured on JPEGs of quality 60 and 80: at 5 pixels 6 and 8 run together, at 7 all digits stay apart; one to spare.
MIN_CAP_HEIGHT = 8

# What a spot costs is the share of each face that it hides. A label may hide this much of its own: brow or chin.
_OWN_FACE_FREE = 1 / 3
# Saying less costs this for each step, so that it is worth while where it uncovers a tenth of another face.
_SHORTER_TEXT = 0.1
# Costs that differ by less are equal: of equals the first spot is taken, whatever the rounding of a sum.
_NEXT_TO_NOTHING = 1e-6

_FONT = cv2.FONT_HERSHEY_DUPLEX
_FONT_CAP_HEIGHT = 21  # of the Hershey capitals at font scale 1 (A. V. Hershey, NWL report 1810, 1967)


@dataclass(frozen=True)
class Pen:
    """How large a face is annotated: its box's line, the dark outline of line and label, and the text's capitals."""

    line: int
    outline: int
    cap_height: int

    @property
    def font_scale(self) -> float:
        return self.cap_height / _FONT_CAP_HEIGHT

    @property
    def stroke(self) -> int:
        """Thinner than for a single line: Duplex draws its main strokes twice, side by side."""
        return max(1, self.cap_height // 11)

    @property
    def margin(self) -> int:
        """From the label's edge to the text, with room for descenders: a third of the cap height and half a stroke."""
        return self.outline + round(self.cap_height * 0.45)

    @property
    def label_height(self) -> int:
        return self.cap_height + 1 + 2 * self.margin


@dataclass(frozen=True)
class Label:
    """What is written about the face at the index `face`. `box` is filled whole; nothing is drawn outside it."""

    face: int
    text: str
    box: Box
    pen: Pen


def annotate(
    pixels: NDArray[np.uint8], faces: Sequence[Face], scale: float = 1.0, *, in_place: bool = False
) -> NDArray[np.uint8]:
    """A copy of `pixels`, (h, w, 3) uint8 BGR, with a box around each face and, where there is room, its label.

    `scale` is the size of `pixels` over that of the original, to which the boxes of `faces` refer. With `in_place` the
    copy, a third of the time and as much memory as the picture, is left out: for pixels that nobody needs afterwards.
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
    """The pen for a face in a picture of that size.

    It follows the picture, so that it reads the same when the picture is shrunk to a screen, and, in a crowd, the
    face: a label of 12 characters, `Female 25-32`, is then up to 1.5 times as wide as its box.
    """
    longer = max(width, height)
    smallest = max(MIN_CAP_HEIGHT, longer / 190)  # 8 pixels of a picture shown 1500 pixels wide
    largest = max(smallest, longer / 62)
    line = max(1, round(min(longer / 330, min(box.width, box.height) / 16)))
    return Pen(line, max(1, round(line / 3)), round(min(max(smallest, box.width / 8), largest)))


def place_labels(faces: Sequence[Face], width: int, height: int, scale: float = 1.0) -> tuple[Label, ...]:
    """The labels of a picture of that size: all inside it, no two overlapping, at most one a face, largest face first.

    Words (`Female 25-32`), unless initials (`F 25-32`) find room at more faces; then initials throughout, which is
    calmer than a mixture. A face without room for either gets less text, or none.
    """
    return _labels(faces, _frames(faces, width, height, scale), width, height)


def _frames(faces: Sequence[Face], width: int, height: int, scale: float) -> list[tuple[Box, Pen]]:
    """The box of each face in pixels of the picture, and its pen."""
    boxes = [_scaled(face.box, width, height, scale) for face in faces]
    return [(box, size_pen(box, width, height)) for box in boxes]


def _labels(faces: Sequence[Face], frames: Sequence[tuple[Box, Pen]], width: int, height: int) -> tuple[Label, ...]:
    in_words = [_texts(face) for face in faces]
    words = _place(frames, in_words, width, height)
    found = _first_choices(words, in_words)
    if found == len(faces):
        return words
    in_initials = [texts[1:] or texts for texts in in_words]
    initials = _place(frames, in_initials, width, height)
    return initials if _first_choices(initials, in_initials) > found else words


def _scaled(box: Box, width: int, height: int, scale: float) -> Box:
    """The box in pixels of the picture, inside it, at least one pixel wide and high."""
    x1 = min(max(round(box.x1 * scale), 0), width - 1)
    y1 = min(max(round(box.y1 * scale), 0), height - 1)
    x2 = max(min(round(box.x2 * scale), width), x1 + 1)
    y2 = max(min(round(box.y2 * scale), height), y1 + 1)
    return Box(x1, y1, x2, y2)


def _texts(face: Face) -> list[str]:
    """What a label may say, the most telling first: `Female 25-32`, `F 25-32`, `25-32`, `F`."""
    initial = _initial(face.gender, tuple(face.gender_probabilities))
    age = face.age.replace("(", "").replace(")", "")
    texts = (f"{face.gender} {age}".strip(), f"{initial} {age}".strip(), age, initial)
    return [text for text in dict.fromkeys(texts) if text]


@cache
def _initial(gender: str, genders: tuple[str, ...]) -> str:
    """As much of a label's beginning as no other label has."""
    starts = (gender[:length] for length in range(1, len(gender)))
    return next((start for start in starts if sum(other.startswith(start) for other in genders) == 1), gender)


def _first_choices(labels: Sequence[Label], texts: Sequence[Sequence[str]]) -> int:
    return sum(label.text == texts[label.face][0] for label in labels)


def _place(
    frames: Sequence[tuple[Box, Pen]], texts: Sequence[Sequence[str]], width: int, height: int
) -> tuple[Label, ...]:
    """Gives each face in turn, the largest first, the cheapest spot that is left; of equals, the first.

    `texts` are those of each face, the longest first.
    """
    labels: list[Label] = []
    for face in sorted(range(len(frames)), key=lambda face: -frames[face][0].area):
        if not texts[face]:
            continue
        box, pen = frames[face]
        first = _label_width(texts[face][0], pen)
        # What lies farther off is in no spot's way. A label that touches another face's box seems to belong to it.
        reach = _grown(box, first + pen.margin, pen.label_height + pen.margin)
        faces = [_grown(other, pen.margin) for other, _ in frames if other is not box and _touch(other, reach)]
        taken = [label.box for label in labels if _touch(label.box, reach)]
        spot = next(_spots(box, first, pen, width, height), None)
        # Most faces have room there: what follows is for the others.
        if spot and not any(_touch(spot, each) for each in (box, *faces, *taken)):
            labels.append(Label(face, texts[face][0], spot, pen))
            continue
        spots = (_spots(box, _label_width(text, pen), pen, width, height) for text in texts[face])
        found = _cheapest(spots, box, faces, taken)
        if found is not None:
            labels.append(Label(face, texts[face][found[0]], found[1], pen))
    return tuple(labels)


def _cheapest(
    spots: Iterable[Iterable[Box]], box: Box, faces: Sequence[Box], taken: Sequence[Box]
) -> tuple[int, Box] | None:
    """The index of the text and the spot for it that cost least; None where every spot is `taken` or there is none.

    `spots` are those of each text for the face in `box`.
    """
    best, least = None, math.inf
    for text, places in enumerate(spots):
        for spot in places:
            if any(_touch(spot, each) for each in taken):
                continue
            own = _shared_area(spot, box) / box.area
            cost = _SHORTER_TEXT * text + (own if own > _OWN_FACE_FREE else 0)
            cost += sum(_shared_area(spot, each) / each.area for each in faces)
            if cost < least - _NEXT_TO_NOTHING:
                best, least = (text, spot), cost
                if cost <= _SHORTER_TEXT * text:
                    break
        # Nothing that follows can be cheaper than its text.
        if least <= _SHORTER_TEXT * (text + 1) + _NEXT_TO_NOTHING:
            break
    return best


def _spots(box: Box, label_width: int, pen: Pen, width: int, height: int) -> Iterator[Box]:
    """Where a label could stand, in order of preference: above, below, inside; flush left, flush right, centred."""
    above, below = box.y1 - pen.label_height, box.y2
    rightmost, lowest = width - label_width, height - pen.label_height
    if rightmost < 0 or lowest < 0:
        return
    tops = [top for top in (above, below) if 0 <= top <= lowest]
    # Where the picture's edge leaves too little room outside the box, the label leans on that edge.
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


def _touch(one: Box, other: Box) -> bool:
    return one.x1 < other.x2 and other.x1 < one.x2 and one.y1 < other.y2 and other.y1 < one.y2


def _shared_area(one: Box, other: Box) -> int:
    if not _touch(one, other):
        return 0
    return (min(one.x2, other.x2) - max(one.x1, other.x1)) * (min(one.y2, other.y2) - max(one.y1, other.y1))


def _fill(face: Face) -> Colour:
    return FILLS[list(face.gender_probabilities).index(face.gender) % len(FILLS)]


def _draw_frame(canvas: NDArray[np.uint8], box: Box, pen: Pen, fill: Colour) -> None:
    """The line lies inside the box, an outline on either side of it, or on the inner where the picture ends."""
    for outset, depth, colour in ((pen.outline, pen.line + 2 * pen.outline, INK), (0, pen.line, fill)):
        left, top = max(box.x1 - outset, 0), max(box.y1 - outset, 0)
        area = canvas[top : box.y2 + outset, left : box.x2 + outset]
        for side in (area[:depth], area[-depth:], area[:, :depth], area[:, -depth:]):
            cv2.rectangle(side, (0, 0), side.shape[1::-1], colour, cv2.FILLED)  # five times faster than numpy


def _draw_label(canvas: NDArray[np.uint8], label: Label, fill: Colour) -> None:
    box, pen, edge = label.box, label.pen, label.pen.outline
    cv2.rectangle(canvas, (box.x1, box.y1), (box.x2 - 1, box.y2 - 1), INK, cv2.FILLED)
    cv2.rectangle(canvas, (box.x1 + edge, box.y1 + edge), (box.x2 - 1 - edge, box.y2 - 1 - edge), fill, cv2.FILLED)
    # Hershey's letters begin with the middle of their stroke, and end a stroke before their width does.
    start = (box.x1 + pen.margin + pen.stroke // 2, box.y2 - pen.margin - 1)
    cv2.putText(canvas, label.text, start, _FONT, pen.font_scale, INK, pen.stroke, cv2.LINE_AA)
