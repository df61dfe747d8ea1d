"""The face net: an SSD with one prior a cell, without anchors (Tian et al., 2019; Ge et al., 2021).

Each cell of the maps at strides 8, 16 and 32 gives one score, one box and five landmarks, all relative to the centre
of the cell and in units of the stride.
"""

import math

import torch
from torch import Tensor, nn

from training.models import FeaturePyramid

STRIDES = (8, 16, 32)

# What a score of a fresh net is: background nearly everywhere (Lin et al., 2017).
_FIRST_LOGIT = -4.0


class FaceNet(FeaturePyramid):
    """Takes (n, 3, height, width) pictures; returns score (1), box (4) and landmark (10) maps of each stride in turn.

    At 640 x 427 it has 650 million multiplications, which cv2.dnn runs in about the time of YuNet at that size.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 40, 64, 96), neck: int = 40) -> None:
        super().__init__(widths, neck)
        self.scores = nn.ModuleList(nn.Conv2d(neck, 1, 3, padding=1) for _ in STRIDES)
        self.boxes = nn.ModuleList(nn.Conv2d(neck, 4, 3, padding=1) for _ in STRIDES)
        self.landmarks = nn.ModuleList(nn.Conv2d(neck, 10, 3, padding=1) for _ in STRIDES)
        for head in (*self.scores, *self.boxes, *self.landmarks):
            nn.init.normal_(head.weight, 0, 0.01)
            nn.init.zeros_(head.bias)
        for score, box in zip(self.scores, self.boxes, strict=True):
            nn.init.constant_(score.bias, _FIRST_LOGIT)
            box.bias.data[2:] = 1.0  # a fresh box is 2.7 cells wide

    def forward(self, pictures: Tensor) -> list[Tensor]:
        outputs = []
        for index, maps in enumerate(self.levels(pictures)):
            outputs += [heads[index](maps) for heads in (self.scores, self.boxes, self.landmarks)]
        return outputs

    def kernels(self) -> list[nn.Parameter]:
        """The kernels that go before a batch norm: all but those of the heads."""
        heads = {id(head) for head in (*self.scores, *self.boxes, *self.landmarks)}
        return [each.weight for each in self.modules() if isinstance(each, nn.Conv2d) and id(each) not in heads]


def cells(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The centres (n, 2) x y and the strides (n,) of all cells, in pixels, in the order of the maps."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = (torch.arange(math.ceil(side / stride)) + 0.5 for side in (height, width))
        y, x = torch.meshgrid(rows * stride, columns * stride, indexing="ij")
        centres.append(torch.stack([x, y], -1).reshape(-1, 2))
        strides.append(torch.full((len(centres[-1]),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def flatten(outputs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (n, cells), boxes (n, cells, 4) and landmarks (n, cells, 10), as the net gives them."""
    parts = [
        torch.cat([maps.permute(0, 2, 3, 1).reshape(len(maps), -1, maps.shape[1]) for maps in outputs[kind::3]], 1)
        for kind in range(3)
    ]
    return parts[0][..., 0], parts[1], parts[2]


def decode_boxes(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Corners (..., cells, 4) in pixels: the centre moves by strides, the sides are strides times an exponential."""
    middle = centres + boxes[..., :2] * strides[:, None]
    sides = boxes[..., 2:].clamp(-4, 6).exp() * strides[:, None]
    return torch.cat([middle - sides / 2, middle + sides / 2], -1)


def decode_landmarks(landmarks: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Points (..., cells, 5, 2) in pixels."""
    return centres[:, None] + landmarks.unflatten(-1, (5, 2)) * strides[:, None, None]
