"""Whether small faces are told better when they are enlarged first: `python -m benchmarks.enhanced_faces LABELLED`.

LABELLED is a folder of faces as `visage evaluate` takes it, such as the `faces` of `training.folders`. Each is shrunk
until its box is so many pixels high, and judged as it is and enlarged by the net of the pack.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import table
from visage.enhancer import Enhancer
from visage.evaluation import evaluate
from visage.face_search import Detail
from visage.labels import LabelledPhoto, read_labels
from visage.packs import Pack, find_pack
from visage.scores import Scores, score
from visage.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--pack", default="compact", help="name or path of a pack with nets for faces")
    parser.add_argument("--superres-pack", default="compact", help="name or path of a pack that enlarges")
    parser.add_argument("--faces", type=int, default=5000)
    parser.add_argument("--heights", type=int, nargs="+", default=(16, 24, 32, 48), help="of the faces, in pixels")
    arguments = parser.parse_args()
    photos = [photo for photo in read_labels(arguments.labelled).photos if len(photo.faces) == 1][: arguments.faces]
    pack = find_pack(arguments.pack)
    enhancer = Enhancer(replace(Settings(), superres_pack=arguments.superres_pack))
    rows: list[list[str]] = []
    for height in arguments.heights:
        with tempfile.TemporaryDirectory() as folder:
            shrunk = [shrink(photo, height, Path(folder, f"{index}.png")) for index, photo in enumerate(photos)]
            enlarged = [enlarge(photo, enhancer, Path(folder, f"{photo.path.stem}-large.png")) for photo in shrunk]
            rows.append([f"{height} pixels", *figures(judge(pack, shrunk))])
            rows.append([f"{height} pixels, enlarged", *figures(judge(pack, enlarged))])
    print(f"{len(photos)} faces\n")
    print(table(["height of the face", "gender right", "age group right", "within one group", "years off"], rows))


def shrink(photo: LabelledPhoto, height: int, path: Path) -> LabelledPhoto:
    """The photo at which its face is so many pixels high, written to `path`."""
    (face,) = photo.faces
    pixels = cv2.imread(str(photo.path))
    if pixels is None:
        raise FileNotFoundError(photo.path)
    scale = height / float(face.box[3] - face.box[1])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    cv2.imwrite(str(path), cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    seen = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]] * 2, np.float32)
    return LabelledPhoto(path, (replace(face, box=face.box * seen),))


def enlarge(photo: LabelledPhoto, enhancer: Enhancer, path: Path) -> LabelledPhoto:
    """The photo enlarged, written to `path`."""
    enhanced = enhancer.enhance(photo.path.read_bytes())
    path.write_bytes(enhanced.picture)
    return LabelledPhoto(path, tuple(replace(face, box=face.box * enhanced.scale) for face in photo.faces))


def judge(pack: Pack, photos: Sequence[LabelledPhoto]) -> Scores:
    """What gender and age nets make of the labelled boxes."""
    (evaluation,) = evaluate([pack], photos, Detail.FAST)
    return score(evaluation.given)


def figures(scores: Scores) -> list[str]:
    parts = (scores.gender, scores.age, scores.within_one)
    return [*("" if part is None else f"{part:.1%}" for part in parts), f"{scores.years or 0:.2f}"]


if __name__ == "__main__":
    main()
