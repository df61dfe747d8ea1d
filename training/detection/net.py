"""The face nets: the shape of YuNet (Wu et al., 2023), with plain convolutions where the maps are small.

Each cell of the maps at strides 8, 16 and 32 gives one score, one box and five landmarks, all relative to the centre
of the cell and in units of the stride. There are no batch norms: training starts from YuNet's weights
(`training.detection.yunet`), in which they are folded.

The large net, which is served, learns from labels (`training.detection.train`). The small one learns from the large one
(`training.detection.distil`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.models import UpsampleLike
from visage.nets.anchor_free import SIDE_LOGS

STRIDES = (8, 16, 32)

# The channels of all maps from stride 8 on, as in YuNet; a small net has fewer in the last ones at stride 8.
WIDTH = 64


class Separable(nn.Module):
    """YuNet's unit: a 1 x 1 convolution, then one of 3 x 3 for each channel, and a ReLU at the end only."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(inputs, outputs, 1)
        self.depth = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.relu(self.depth(self.point(maps)))
        return result


class Plain(nn.Module):
    """A 3 x 3 convolution in place of a `Separable`: more weights, and hardly more time where maps are small."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.relu(self.conv(maps))
        return result


def fuse(point: Tensor, point_bias: Tensor, depth: Tensor, depth_bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (out, in, 3, 3) and bias of the one convolution that does what the two of a `Separable` do in turn.

    `point` is (out, in, 1, 1), `depth` (out, 1, 3, 3). Both differ at the border only, where the second one sees zeros
    in place of the bias of the first.
    """
    return depth * point[:, :, 0, 0][:, :, None, None], depth_bias + point_bias * depth.sum((1, 2, 3))


class Refinement(nn.Module):
    """A residual block (He et al., 2015) that does nothing at first, so that a net with it starts as one without.

    `inner` is the number of channels between its two convolutions.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, channels, 3, padding=1)
        self.relu = nn.ReLU()
        self.out = nn.ReLU()
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        for values in (self.first.bias, self.second.weight, self.second.bias):
            nn.init.zeros_(values)

    def inside(self, maps: Tensor) -> Tensor:
        """What its second convolution sees."""
        result: Tensor = self.relu(self.first(maps))
        return result

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.out(maps + self.second(self.inside(maps)))
        return result


@dataclass(frozen=True)
class Widths:
    """Channels of the first convolution, of the last maps at strides 4 and 8, and inside the blocks at 16 and 32."""

    stem: int
    quarter: int
    eighth: int
    sixteenth: int
    last: int


# The net that learns from labels, and the one that learns from it. docs/decisions.md has their time and precision.
LARGE = Widths(stem=16, quarter=WIDTH, eighth=WIDTH, sixteenth=WIDTH, last=WIDTH)
SMALL = Widths(stem=12, quarter=60, eighth=60, sixteenth=32, last=16)


class FaceNet(nn.Module):
    """Takes (n, 3, height, width) pictures; returns score (1), box (4) and landmark (10) maps of each stride in turn.

    YuNet's units at stride 32 are plain convolutions here, and one `Refinement` is added at stride 16 and two at 32.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths.stem, 3, 2, 1), nn.ReLU(), Separable(widths.stem, 16), _halve())
        self.quarter = nn.Sequential(
            Separable(16, 16), Separable(16, 32), Separable(32, 32), Separable(32, widths.quarter), _halve()
        )
        self.eighth = nn.Sequential(Separable(widths.quarter, WIDTH), Separable(WIDTH, WIDTH))
        self.sixteenth = nn.Sequential(
            _halve(), Separable(WIDTH, WIDTH), Separable(WIDTH, WIDTH), Refinement(WIDTH, widths.sixteenth)
        )
        self.last = nn.Sequential(
            _halve(),
            Plain(WIDTH, WIDTH),
            Plain(WIDTH, WIDTH),
            Refinement(WIDTH, widths.last),
            Refinement(WIDTH, widths.last),
        )
        self.laterals = nn.ModuleList([Separable(WIDTH, widths.eighth), Separable(WIDTH, WIDTH), Plain(WIDTH, WIDTH)])
        self.upsample = UpsampleLike()
        self.scores, self.boxes, self.landmarks = (
            nn.ModuleList(nn.Conv2d(channels, values, 3, padding=1) for channels in (widths.eighth, WIDTH, WIDTH))
            for values in (1, 4, 10)
        )

    def levels(self, pictures: Tensor) -> list[Tensor]:
        """The maps at strides 8, 16 and 32, with a top-down path (Lin et al., 2016)."""
        eighth = self.eighth(self.quarter(self.stem(pictures)))
        sixteenth = self.sixteenth(eighth)
        last = self.laterals[2](self.last(sixteenth))
        middle = self.laterals[1](sixteenth + self.upsample(last, sixteenth))
        first = self.laterals[0](eighth + self.upsample(middle, eighth))
        return [first, middle, last]

    def heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The score, box and landmark maps for the maps of `levels`."""
        outputs = []
        for index, maps in enumerate(levels):
            outputs += [heads[index](maps) for heads in (self.scores, self.boxes, self.landmarks)]
        return outputs

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return self.heads(self.levels(pictures))

    def units(self) -> list[Separable | Plain]:
        """The units that have weights in YuNet, in the order of its file."""
        stages = (self.stem, self.quarter, self.eighth, self.sixteenth, self.last, reversed(self.laterals))
        return [unit for stage in stages for unit in stage if isinstance(unit, (Separable, Plain))]


def _halve() -> nn.MaxPool2d:
    # Rounded up, as Caffe does, so that every pixel belongs to a cell.
    return nn.MaxPool2d(2, ceil_mode=True)


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
    sides = boxes[..., 2:].clamp(*SIDE_LOGS).exp() * strides[:, None]
    return torch.cat([middle - sides / 2, middle + sides / 2], -1)


def decode_landmarks(landmarks: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Points (..., cells, 5, 2) in pixels."""
    return centres[:, None] + landmarks.unflatten(-1, (5, 2)) * strides[:, None, None]
