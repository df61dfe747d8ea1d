"""What the teachers say of a photo, and what a detector learns from it.

    python -m training.detection.labels --photos DIR --teachers DIR --out runs/labels [--worker 0 --workers 1]

DIR holds tars of photos. Each tar becomes one file of labels; files that exist are left as they are, so a run that was
interrupted continues. Two workers share the tars.
"""

import argparse
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detection.teachers import COLUMNS, CenterFace, Pixels, Rows, YuNet, mirrored
from visage.images.boxes import intersection_over_union

# Longer sides at which the teachers see a photo; the largest one is for photos with faces below `_SMALL_FACE` of the
# longer side. On WIDER FACE the merged answers have an average precision of 0.94 / 0.93 / 0.85 to 0.88.
_FIRST, _SECOND, _YUNET, _LARGE = 640, 704, 960, 1280
_SMALL_FACE = 0.04

# Detections are one face if they share this part of their union.
_SAME_FACE = 0.45


@dataclass(frozen=True)
class Labels:
    """`faces` (n, 14) float32: box and five landmarks in pixels. `ignored` (m, 4): boxes that are neither faces nor
    background, because the teachers disagree.
    """

    faces: NDArray[np.float32]
    ignored: NDArray[np.float32]


def label(centerface: CenterFace, yunet: YuNet, photo: Pixels) -> Labels:
    """What the teachers agree on in (h, w, 3) uint8 BGR `photo`."""
    plain = centerface(photo, _FIRST)
    second = yunet(photo, _YUNET)
    if not (plain[:, 0] >= 0.2).any() and not (second[:, 0] >= 0.25).any():
        return agreement(plain, plain, second)
    longer = max(photo.shape[:2])
    large = any(_has_small_faces(rows, longer) for rows in (plain, second))
    flipped = np.ascontiguousarray(photo[:, ::-1])
    mirror = mirrored(centerface(flipped, _LARGE if large else _SECOND), photo.shape[1])
    return agreement(plain, mirror, second)


def agreement(plain: Rows, mirror: Rows, second: Rows) -> Labels:
    """The faces that CenterFace sees with certainty or YuNet confirms; what either believes a little is ignored."""
    faces, best = _merge([plain, mirror, second])
    a, b, other = best.T
    first = np.maximum(a, b)
    sure = (
        ((first >= 0.5) & (other >= 0.3))
        | ((np.minimum(a, b) >= 0.4) & (other >= 0.5))
        | (np.minimum(a, b) >= 0.55)
        | (first >= 0.72)
    )
    doubtful = ~sure & ((first >= 0.35) | (other >= 0.5))
    return Labels(faces[sure], faces[doubtful, :4])


def _has_small_faces(rows: Rows, longer: int) -> bool:
    sides = (rows[:, 3:5] - rows[:, 1:3]).max(axis=1)
    return bool(((sides < _SMALL_FACE * longer) & (rows[:, 0] > 0.25)).any())


def _merge(passes: list[Rows]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The faces of all passes, boxes and landmarks averaged by score; and the best score of each pass (n, passes)."""
    rows = np.concatenate(passes)
    source = np.repeat(np.arange(len(passes)), [len(each) for each in passes])
    order = np.argsort(-rows[:, 0], kind="stable")
    rows, source = rows[order], source[order]
    shares = intersection_over_union(rows[:, 1:5], rows[:, 1:5])
    alive = np.ones(len(rows), bool)
    faces, best = [], []
    for index in range(len(rows)):
        if not alive[index]:
            continue
        group = alive & (shares[index] >= _SAME_FACE)
        group[index] = True
        alive &= ~group
        faces.append(np.average(rows[group, 1:], axis=0, weights=rows[group, 0]))
        best.append([rows[group & (source == number), 0].max(initial=0) for number in range(len(passes))])
    return (
        np.array(faces, np.float32).reshape(-1, COLUMNS - 1),
        np.array(best, np.float32).reshape(-1, len(passes)),
    )


@dataclass(frozen=True)
class LabelledPhoto:
    """A JPEG and its labels. The photo is decoded where it is needed: tens of thousands do not fit into memory."""

    jpeg: bytes
    labels: Labels

    def decode(self) -> Pixels:
        return decode(self.jpeg)


def decode(jpeg: bytes) -> Pixels:
    """(h, w, 3) uint8 BGR. Raises ValueError if `jpeg` is no picture."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("a photo of the training set cannot be decoded")
    return pixels.astype(np.uint8, copy=False)


def read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files in a tar."""
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                yield member.name, content.read()


def save(path: Path, labels: dict[str, Labels]) -> None:
    """Write the labels of one tar: whole or not at all. Half a pixel of a photo of 960 does not matter: 16-bit."""
    names = list(labels)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        names=np.array(names),
        faces=np.concatenate([labels[name].faces for name in names]).astype(np.float16),
        face_counts=np.array([len(labels[name].faces) for name in names], np.int32),
        ignored=np.concatenate([labels[name].ignored for name in names]).astype(np.float16),
        ignored_counts=np.array([len(labels[name].ignored) for name in names], np.int32),
    )
    partial = path.with_suffix(".partial")
    partial.write_bytes(content.getvalue())
    partial.replace(path)


def load(path: Path) -> dict[str, Labels]:
    """The labels of one tar by the name of the photo."""
    with np.load(path) as saved:
        faces = np.split(saved["faces"].astype(np.float32), np.cumsum(saved["face_counts"])[:-1])
        ignored = np.split(saved["ignored"].astype(np.float32), np.cumsum(saved["ignored_counts"])[:-1])
        return {str(name): Labels(*pair) for name, *pair in zip(saved["names"], faces, ignored, strict=True)}


def labels_of(tar: Path, folder: Path) -> Path:
    """Where the labels of `tar` lie in `folder`."""
    return folder / f"{tar.parent.name}_{tar.stem}.npz"


def read_photos(photos: Path, labels: Path) -> list[LabelledPhoto]:
    """All photos that have labels, in the order of their tars."""
    result = []
    for tar in sorted(photos.rglob("*.tar")):
        path = labels_of(tar, labels)
        if path.exists():
            known = load(path)
            result += [LabelledPhoto(content, known[name]) for name, content in read_tar(tar) if name in known]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/labels"))
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    centerface = CenterFace(arguments.teachers / "centerface.onnx")
    yunet = YuNet(arguments.teachers / "yunet_2023mar.onnx")
    # In an order that mixes the collections, so that the first labels are of all kinds.
    for tar in sorted(arguments.photos.rglob("*.tar"), key=lambda each: zlib.crc32(str(each).encode())):
        path = labels_of(tar, arguments.out)
        if path.exists() or zlib.crc32(path.name.encode()) % arguments.workers != arguments.worker:
            continue
        labels = {name: label(centerface, yunet, decode(content)) for name, content in read_tar(tar)}
        save(path, labels)
        faces = sum(len(each.faces) for each in labels.values())
        print(f"{path.name}: {len(labels)} photos, {faces} faces", flush=True)


if __name__ == "__main__":
    main()
