"""Export the trained nets as a model pack, and check that cv2.dnn returns what torch returns.

    python -m training.export --runs runs --faces FairFace --scenes SCENES --out models/compact

Weights are stored as float16. The check compares the exported files with torch nets of the same rounded weights, on 100
validation faces and 100 unseen photos.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training import caffe, models, resampling, tracing
from training.attributes import MEAN, SCALE, SIDE, to_tensor
from training.detector import RAW_LOGIT, flatten
from training.enhance import luma
from training.faces import AGE_RANGES, AGES, CROP_SCALE, GENDERS, plain_crops, read_faces
from training.models import LEVELS
from training.run import load_means
from training.scenes import read_scenes, split

# The checkpoint with the net of each role.
CHECKPOINTS = {"face": "detector.pt", "gender": "students.pt", "age": "students.pt", "superres": "superres.pt"}
ROLES = tuple(CHECKPOINTS)

# The largest difference between probabilities, box offsets and luma (0..1) of cv2.dnn and those of torch.
TOLERANCE = 1e-4

FACE_INPUT = 480
MIN_CONFIDENCE = 0.5

# Of 981 faces in the scenes, mosaics and crowd of 40 pixels of benchmarks.anonymize, redaction misses 42 at 0.25 (58
# false positives), 34 at 0.15 (98), and 30 at 0.1 (139).
REDACTION_CONFIDENCE = 0.15

# The side of the tiles that are enhanced fastest: `python -m benchmarks.enhance tiles`.
TILE = 128

# The detector finds nearly every face from this height on, the side of the smallest prior.
SMALLEST_FACE = LEVELS[0].sides[0]

FACE_TABLE = """\
name = "compact"
version = "2"
description = "Visage's own small nets: an SSD face detector, gender and age over FairFace's groups. See MODEL_CARD.md."

[face]
prototxt = "face.prototxt"
weights = "face.caffemodel"
sha256 = "{weights}"
prototxt_sha256 = "{prototxt}"
input = [{input}, {input}]
mean = [{mean}, {mean}, {mean}]
scale = {scale}
swap_rb = false
min_confidence = {min_confidence}
smallest_face = {smallest_face}
guard_confidence = {guard_confidence}
"""

CLASSIFIER_TABLE = """
[{role}]
prototxt = "{role}.prototxt"
weights = "{role}.caffemodel"
sha256 = "{weights}"
prototxt_sha256 = "{prototxt}"
input = [{side}, {side}]
mean = [{mean}, {mean}, {mean}]
scale = {scale}
swap_rb = false
crop_scale = {crop_scale}
labels = {labels}
"""

ENHANCE_TABLE = """
[superres]
prototxt = "superres.prototxt"
weights = "superres.caffemodel"
sha256 = "{weights}"
prototxt_sha256 = "{prototxt}"
scale = {scale}
colour = "luma"
white = 1.0
reach = {reach}
padding = {reach}
tile = {tile}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/compact"))
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=ROLES, help="the nets to write; the others stay")
    arguments = parser.parse_args()
    crops = plain_crops(read_faces(arguments.faces, "val", arguments.cache).chips[:100], SIDE)
    photos = [scene.pixels for scene in split(read_scenes(arguments.scenes))[1]["photo"]]
    for role in arguments.roles:
        state = load_means(arguments.runs / CHECKPOINTS[role], role)
        if role == "face":
            export_detector(state, photos, arguments.out)
        elif role == "superres":
            export_enhance(state, [luma(pixels) for pixels in photos], arguments.out)
        else:
            export_classifier(state, role, models.ROLE_OUTPUTS[role], crops, arguments.out)
    (arguments.out / "pack.toml").write_text(manifest(arguments.out))


def export_classifier(
    state: dict[str, torch.Tensor], role: str, part: slice, crops: NDArray[np.uint8], folder: Path
) -> None:
    """Export a student with the logits `part` of its role; it has further ones in training only."""
    model = models.student()
    model.load_state_dict(state)
    head = nn.Linear(model.head.in_features, part.stop - part.start)
    head.weight.data, head.bias.data = model.head.weight.data[part], model.head.bias.data[part]
    model.head = head
    folded = tracing.rounded(tracing.fold(model))
    net, outputs = tracing.trace(folded, f"visage_{role}", (SIDE, SIDE))
    net.add("Softmax", "probabilities", outputs)
    caffe.write(folder, role, net)
    reader = caffe.read(folder, role)
    blob = to_tensor(crops).contiguous()
    with torch.no_grad():
        expected = folded(blob).softmax(1).numpy()
    reader.setInput(blob.numpy())
    check_difference(role, reader.forward(), expected)


def export_enhance(state: dict[str, torch.Tensor], planes: Sequence[NDArray[np.uint8]], folder: Path) -> None:
    """Export the super-resolution net, and compare it with torch on luma `planes` (height, width)."""
    model = models.EnhanceNet()
    model.load_state_dict(state)
    model = tracing.rounded(model)
    height, width = planes[0].shape
    net, _ = tracing.trace(model, "visage_superres", (width, height), input_channels=1)
    caffe.write(folder, "superres", net)
    reader = caffe.read(folder, "superres")
    worst = []
    for plane in planes:
        blob = torch.from_numpy(plane.astype(np.float32))[None, None] / 255
        with torch.no_grad():
            expected = model(blob).numpy()
        reader.setInput(blob.numpy())
        worst.append(np.abs(reader.forward() - expected).max())
    check_difference("superres", np.array(worst), np.zeros(len(worst)))


def export_detector(state: dict[str, torch.Tensor], photos: list[NDArray[np.uint8]], folder: Path) -> None:
    """Export the face detector, and compare it with torch on `photos` (h, w, 3) uint8 BGR."""
    model = models.FaceNet()
    model.load_state_dict(state)
    for classes in model.classes:
        classes.bias.data[1::2] -= RAW_LOGIT
    folded = tracing.rounded(tracing.fold(model))
    net, outputs = tracing.trace(folded, "visage_face", (FACE_INPUT, FACE_INPUT))
    tracing.add_detection(net, outputs)
    caffe.write(folder, "face", net)
    reader = caffe.read(folder, "face")
    worst = []
    for pixels in photos:
        blob = to_tensor(pixels[None]).contiguous()
        with torch.no_grad():
            logits, offsets = flatten(folded(blob))
        reader.setInput(blob.numpy())
        expected = {"confidences": logits.softmax(2).numpy(), "offsets": offsets.numpy()}
        worst += [np.abs(reader.forward(name).ravel() - value.ravel()).max() for name, value in expected.items()]
    check_difference("face", np.array(worst), np.zeros(len(worst)))


def check_difference(role: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Compare the outputs of cv2.dnn and torch.

    Raises:
        SystemExit: they differ by more than `TOLERANCE`, or are not numbers.
    """
    difference = float(np.abs(found - expected).max())
    print(f"{role}: cv2.dnn differs from torch by at most {difference:.1e}")
    if not difference <= TOLERANCE:
        raise SystemExit(f"{role} was exported wrongly: the difference is larger than {TOLERANCE}.")


def manifest(folder: Path) -> str:
    """Return the `pack.toml` of the exported files in `folder`; the super-resolution net is optional."""
    face = FACE_TABLE.format(
        **_checksums(folder, "face"),
        input=FACE_INPUT,
        mean=MEAN,
        scale=SCALE,
        min_confidence=MIN_CONFIDENCE,
        smallest_face=SMALLEST_FACE,
        guard_confidence=REDACTION_CONFIDENCE,
    )
    classifiers = [
        CLASSIFIER_TABLE.format(
            **_checksums(folder, role),
            role=role,
            side=SIDE,
            mean=MEAN,
            scale=SCALE,
            crop_scale=CROP_SCALE,
            labels=_strings(labels),
        )
        for role, labels in (("gender", GENDERS), ("age", AGES))
    ]
    attributes = f"{face}{''.join(classifiers)}ranges = {[list(years) for years in AGE_RANGES]}\n"
    if not (folder / "superres.caffemodel").exists():
        return attributes
    enhance = ENHANCE_TABLE.format(
        **_checksums(folder, "superres"), scale=resampling.SCALE, reach=models.EnhanceNet().reach, tile=TILE
    )
    return attributes + enhance


def _checksums(folder: Path, role: str) -> dict[str, str]:
    return {
        kind: hashlib.sha256((folder / f"{role}.{suffix}").read_bytes()).hexdigest()
        for kind, suffix in (("weights", "caffemodel"), ("prototxt", "prototxt"))
    }


def _strings(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


if __name__ == "__main__":
    main()
