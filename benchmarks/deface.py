"""Compares what deface and Visage cover in labelled photos: `python -m benchmarks.deface FOLDER`.

FOLDER is one of `visage evaluate`. deface 1.5 contains its net, and `make bench-deface` installs it. Both programs run
with their default options, in this process, with one thread and the same OpenCV: deface finds faces with CenterFace at
full size from a confidence of 0.2 on, Visage with `compact` and `detail=high`, as `visage anonymize` does. Visage also
runs with a lower confidence threshold.

A face is hidden if the masks cover at least nine tenths of its labelled box, corners of ellipses included. A mask is
without a face if it touches no labelled box. Photos are also turned by a quarter, by a half and by three quarters.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from deface.centerface import CenterFace
from numpy.typing import NDArray

from benchmarks.support.hidden_faces import count_hidden, count_without_face, cover
from benchmarks.support.report import table
from visage.anonymize.masks import Mask, mask_bounds
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.plan import plan_redaction
from visage.evaluation.labels import read_labels
from visage.faces.analyzer import Analyzer
from visage.images.boxes import Box
from visage.images.decoding import Photo
from visage.packs.pack import find_pack

Pixels = NDArray[np.uint8]
Masks = Callable[[Pixels], Sequence[Box]]
# Gets ready for the next photo.
Program = Callable[[], Masks]

# The defaults of `deface`: --thresh, and --mask-scale, by which a mask grows on each of its four sides.
DEFACE_CONFIDENCE, DEFACE_MASK_SCALE = 0.2, 1.3

# The confidence threshold for people who prefer masks on nothing to a face without one.
CAREFUL = 0.35


@dataclass
class Counts:
    """What a program did in all photos. `hidden` are numbers of faces by the quarters that photos were turned."""

    hidden: list[int] = field(default_factory=lambda: [0] * 4)
    without_face: int = 0
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    programs = {
        "deface 1.5": deface_masks,
        "Visage": visage_masks(AnonymizeOptions()),
        f"Visage from {CAREFUL}": visage_masks(AnonymizeOptions(min_confidence=CAREFUL)),
    }
    counts = {name: Counts() for name in programs}
    faces = 0
    for labelled in read_labels(arguments.folder).photos:
        boxes = np.array([face.box for face in labelled.faces if not face.difficult], np.float32).reshape(-1, 4)
        everything = np.array([face.box for face in labelled.faces], np.float32).reshape(-1, 4)
        pixels = np.asarray(cv2.imread(str(labelled.path)), np.uint8)
        faces += len(boxes)
        for turns in range(4):
            turned = np.ascontiguousarray(np.rot90(pixels, turns))
            for name, program in programs.items():
                program_masks = program()
                started = time.process_time()
                masks = program_masks(turned)
                seconds = time.process_time() - started
                covered = cover(masks, turned.shape[:2])
                upright = np.rot90(covered, -turns)
                counts[name].hidden[turns] += count_hidden(upright, boxes)
                if not turns:
                    counts[name].without_face += count_without_face(masks, everything)
                    counts[name].seconds.append(seconds)
    head = [
        "",
        "hidden",
        *(f"turned by {90 * turns}" for turns in (1, 2, 3)),
        "masks without a face",
        "median ms of one core",
    ]
    rows = [
        [
            name,
            *(f"{100 * hidden / faces:.1f}%" for hidden in each.hidden),
            str(each.without_face),
            f"{1000 * statistics.median(each.seconds):.0f}",
        ]
        for name, each in counts.items()
    ]
    print(f"{faces} faces\n\n{table(head, rows)}", end="")


def deface_masks() -> Masks:
    """The masks of deface, as its function `anonymize_frame` calculates them.

    The net is read again for every photo, before its time is measured. After a photo of another size, OpenCV 4.12 runs
    it wrongly: it then finds 1,643 faces in place of 2.
    """
    net = CenterFace(backend="opencv")
    grown = DEFACE_MASK_SCALE - 1

    def masks(pixels: Pixels) -> Sequence[Box]:
        height, width = pixels.shape[:2]
        # It reads photos as RGB.
        found, _ = net(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), threshold=DEFACE_CONFIDENCE)
        boxes = found[:, :4]
        sides = boxes[:, 2:] - boxes[:, :2]
        larger = np.rint(np.hstack([boxes[:, :2] - grown * sides, boxes[:, 2:] + grown * sides])).astype(int)
        corners = np.clip(larger, 0, [width - 1, height - 1] * 2).tolist()
        return [Box(*each) for each in corners]

    return masks


def visage_masks(options: AnonymizeOptions) -> Program:
    """The masks of `visage anonymize`."""
    analyzer = Analyzer(find_pack("compact"))

    def masks(pixels: Pixels) -> Sequence[Box]:
        height, width = pixels.shape[:2]
        plan = plan_redaction(analyzer, Photo(pixels, width, height, 1.0), options)
        return [mask_bounds(box, Mask().scale, width, height) for box in plan.boxes]

    return lambda: masks


if __name__ == "__main__":
    main()
