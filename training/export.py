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
from torch import Tensor, nn

from training import caffe, models, resampling, tracing
from training.attributes import MEAN, SCALE, SIDE, to_tensor
from training.detection import export as detection
from training.detection.net import LARGE, STRIDES, FaceNet
from training.enhance import luma
from training.faces import AGE_RANGES, AGES, CROP_SCALE, CROP_SHIFT, GENDERS, plain_crops, read_faces
from training.run import load_means
from training.scenes import read_scenes, split

# The checkpoint with the net of each role.
CHECKPOINTS = {"face": "face.pt", "attributes": "attributes.pt", "superres": "superres.pt"}
ROLES = tuple(CHECKPOINTS)

# The largest difference between probabilities and luma (0..1) of cv2.dnn and those of torch, and between the values of
# the face net, which are up to some ten strides.
TOLERANCE, FACE_TOLERANCE = 1e-4, 1e-3

# Width and height in pixels: 3 to 2 as most photos, with the area and the longer side at which YuNet is usually run.
FACE_INPUT = (640, 427)
MIN_CONFIDENCE = 0.5

# The logit that the pack calls 0.5.
LOGIT_SHIFT = 0.35

# As for attributes: `python -m benchmarks.anonymize`.
REDACTION_CONFIDENCE = MIN_CONFIDENCE

# The side of the tiles that are enhanced fastest: `python -m benchmarks.enhance tiles`.
TILE = 128

# The detector finds nearly every face from this height on: two cells of the smallest stride.
SMALLEST_FACE = 2 * STRIDES[0]

FACE_TABLE = """\
name = "compact"
version = "7"
description = "Visage's own small nets: faces with landmarks, gender, age over FairFace's groups. See MODEL_CARD.md."

[face]
prototxt = "face.prototxt"
weights = "face.caffemodel"
sha256 = "{weights}"
prototxt_sha256 = "{prototxt}"
input = {input}
mean = [{mean}, {mean}, {mean}]
scale = {scale}
swap_rb = false
min_confidence = {min_confidence}
smallest_face = {smallest_face}
strides = {strides}
redaction_confidence = {redaction_confidence}
"""

CLASSIFIER_TABLE = """
[{role}]
prototxt = "attributes.prototxt"
weights = "attributes.caffemodel"
sha256 = "{weights}"
prototxt_sha256 = "{prototxt}"
output = "{role}"
input = [{side}, {side}]
mean = [{mean}, {mean}, {mean}]
scale = {scale}
swap_rb = false
crop_scale = {crop_scale}
crop_shift = {crop_shift}
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
            export_attributes(state, crops, arguments.out)
    (arguments.out / "pack.toml").write_text(manifest(arguments.out))


class _Served(nn.Module):
    """A student with a head for each role; in training it has the logits of races, too."""

    def __init__(self, student: models.AttributeNet) -> None:
        super().__init__()
        self.trunk, self.pool = student.trunk, student.pool
        self.logits = nn.ModuleDict({role: _part(student.head, part) for role, part in models.ROLE_OUTPUTS.items()})

    def forward(self, crops: Tensor) -> list[Tensor]:
        values = self.pool(self.trunk(crops))
        return [head(values) for head in self.logits.values()]


def _part(head: nn.Linear, part: slice) -> nn.Linear:
    result = nn.Linear(head.in_features, part.stop - part.start)
    result.weight.data, result.bias.data = head.weight.data[part], head.bias.data[part]
    return result


def export_attributes(state: dict[str, Tensor], crops: NDArray[np.uint8], folder: Path) -> None:
    """Export the student, with an output for each role, and compare it with torch on (n, side, side, 3) uint8 BGR."""
    model = models.student()
    model.load_state_dict(state)
    served = tracing.rounded(tracing.fold(_Served(model)))
    net, logits = tracing.trace(served, "visage_attributes", (SIDE, SIDE))
    for role, name in zip(models.ROLE_OUTPUTS, logits, strict=True):
        net.add("Softmax", role, [name])
    caffe.write(folder, "attributes", net)
    reader = caffe.read(folder, "attributes")
    blob = to_tensor(crops).contiguous()
    with torch.no_grad():
        expected = [each.softmax(1).numpy() for each in served(blob)]
    reader.setInput(blob.numpy())
    for role, probabilities, found in zip(
        models.ROLE_OUTPUTS, expected, reader.forward(list(models.ROLE_OUTPUTS)), strict=True
    ):
        check_difference(role, np.asarray(found), probabilities)


def export_enhance(state: dict[str, Tensor], planes: Sequence[NDArray[np.uint8]], folder: Path) -> None:
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


def export_detector(state: dict[str, Tensor], photos: list[NDArray[np.uint8]], folder: Path) -> None:
    """Export the face detector, and compare it with torch on `photos` (h, w, 3) uint8 BGR."""
    net = FaceNet(LARGE)
    net.load_state_dict(state)
    caffe.write(folder, "face", detection.trace(net, LOGIT_SHIFT))
    worst = detection.difference(net, folder, photos, LOGIT_SHIFT)
    check_difference("face", np.array([worst]), np.zeros(1), FACE_TOLERANCE)


def check_difference(role: str, found: NDArray[Any], expected: NDArray[Any], tolerance: float = TOLERANCE) -> None:
    """Compare the outputs of cv2.dnn and torch.

    Raises:
        SystemExit: they differ by more than `tolerance`, or are not numbers.
    """
    difference = float(np.abs(found - expected).max())
    print(f"{role}: cv2.dnn differs from torch by at most {difference:.1e}")
    if not difference <= tolerance:
        raise SystemExit(f"{role} was exported wrongly: the difference is larger than {tolerance}.")


def manifest(folder: Path) -> str:
    """Return the `pack.toml` of the exported files in `folder`; the super-resolution net is optional."""
    face = FACE_TABLE.format(
        **_checksums(folder, "face"),
        input=list(FACE_INPUT),
        mean=MEAN,
        scale=SCALE,
        min_confidence=MIN_CONFIDENCE,
        smallest_face=SMALLEST_FACE,
        strides=list(STRIDES),
        redaction_confidence=REDACTION_CONFIDENCE,
    )
    classifiers = [
        CLASSIFIER_TABLE.format(
            **_checksums(folder, "attributes"),
            role=role,
            side=SIDE,
            mean=MEAN,
            scale=SCALE,
            crop_scale=CROP_SCALE,
            crop_shift=CROP_SHIFT,
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
