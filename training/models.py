"""The nets: residual nets for attributes, an SSD for face detection, and a super-resolution net.

They consist of 3 x 3 convolutions, batch norm and ReLU, because cv2.dnn runs these at the highest speed per
multiplication (docs/decisions.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.faces import AGES, GENDERS, RACES

# The logits of each attribute in the last layer of an `AttributeNet` in training.
GENDER = slice(0, len(GENDERS))
AGE = slice(GENDER.stop, GENDER.stop + len(AGES))
RACE = slice(AGE.stop, AGE.stop + len(RACES))
OUTPUT_COUNT = RACE.stop

# The logits of the net of each role in a pack.
ROLE_OUTPUTS = {"gender": GENDER, "age": AGE}


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Return a convolution that keeps the size at stride 1, its batch norm and, if `relu`, a ReLU."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, 3, stride)
        self.second = convolution(outputs, outputs, 3, relu=False)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride, relu=False)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        return self.relu(self.second(self.first(maps)) + self.shortcut(maps))


class EnhanceNet(nn.Module):
    """Super-resolution by three: a linear filter, initially bicubic, plus a residual by plain convolutions.

    Takes luma (n, 1, height, width) in 0..1 and returns (n, 9, height, width), the input of a pixel shuffle: channel
    3 y + x has the pixel in row y and column x of the nine that replace a pixel. `reach` is the distance in pixels up
    to which the input affects an output. There are no batch norms, because they lower the quality of super-resolution
    (Lim et al., 2017).
    """

    def __init__(self, width: int = 24, layers: int = 5) -> None:
        super().__init__()
        self.filter = nn.Conv2d(1, 9, 5, padding=2, bias=False)
        self.filter.weight.data = _bicubic()
        body: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
        for _ in range(layers):
            body += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*body, nn.Conv2d(width, 9, 3, padding=1))
        for layer in self.body[::2]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        # The residual starts near zero.
        self.body[-1].weight.data *= 0.1
        self.reach = layers + 2

    def forward(self, luma: Tensor) -> Tensor:
        return self.filter(luma) + self.body(luma)


def _bicubic() -> Tensor:
    """Return bicubic upscaling by three as the (9, 1, 5, 5) weights of a convolution."""
    impulses = torch.eye(25).reshape(25, 1, 5, 5)
    upscaled = functional.interpolate(impulses, scale_factor=3, mode="bicubic", antialias=True)
    return upscaled[:, 0, 6:9, 6:9].reshape(25, 9).T.reshape(9, 1, 5, 5).contiguous()


class AttributeNet(nn.Module):
    """A residual net that takes (n, 3, side, side) crops and returns (n, outputs) logits.

    `stages` has (channels, blocks, stride of the first block) of each stage. The stem before them halves the side.
    """

    def __init__(self, stem: int, stages: tuple[tuple[int, int, int], ...], outputs: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(3, stem, 3, 2)]
        channels = stem
        for width, blocks, stride in stages:
            for block in range(blocks):
                layers.append(Residual(channels, width, stride if block == 0 else 1))
                channels = width
        self.trunk = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(channels, outputs)

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.trunk(crops)))
        return logits


def teacher() -> AttributeNet:
    """Return the teacher: 165 million multiplications per face, too slow to serve."""
    return AttributeNet(32, ((64, 2, 2), (128, 2, 2), (256, 2, 2)), OUTPUT_COUNT, dropout=0.3)


def student() -> AttributeNet:
    """Return the net of gender or age: 25 million multiplications per face, 0.56 million weights.

    The number of weights matters as much for its speed as the multiplications: the face net runs between two photos
    and evicts the weights from the processor's caches.
    """
    return AttributeNet(16, ((32, 1, 2), (64, 2, 2), (112, 2, 2)), OUTPUT_COUNT, dropout=0.1)


class UpsampleLike(nn.Module):
    """Nearest-neighbour upsampling by two, cropped to the size of another map, whose sides may be odd."""

    def forward(self, maps: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(maps, scale_factor=2)[:, :, : like.shape[2], : like.shape[3]]


@dataclass(frozen=True)
class Level:
    """A level of an SSD: its stride and the sides of the square priors of each cell, in input pixels."""

    stride: int
    sides: tuple[float, ...]


# Sides grow by about the square root of two, so that each face of 11 to 400 pixels has an IoU of 0.5 with a prior.
LEVELS = (Level(8, (14, 20, 28)), Level(16, (40, 56, 80)), Level(32, (112, 160, 224, 320)))


class FeaturePyramid(nn.Module):
    """A residual trunk with a top-down path (Lin et al., 2016), which gives the map of small faces more context.

    `widths` are those of the maps at strides 2, 4, 8, 16 and 32; `early` adds layers to the map at stride 4.
    """

    def __init__(self, widths: tuple[int, ...], top_down: int, *early: nn.Module) -> None:
        super().__init__()
        stem, quarter, eighth, sixteenth, last = widths
        self.early = nn.Sequential(convolution(3, stem, 3, 2), convolution(stem, quarter, 3, 2), *early)
        self.eighth = nn.Sequential(Residual(quarter, eighth, 2), Residual(eighth, eighth))
        self.sixteenth = nn.Sequential(Residual(eighth, sixteenth, 2), Residual(sixteenth, sixteenth))
        self.last = nn.Sequential(Residual(sixteenth, last, 2), Residual(last, last))
        self.laterals = nn.ModuleList(
            convolution(width, top_down, 1, relu=False) for width in (eighth, sixteenth, last)
        )
        self.upsample = UpsampleLike()
        self.smooth = nn.ModuleList(convolution(top_down, top_down, 3) for _ in self.laterals)

    def levels(self, images: Tensor) -> Iterator[Tensor]:
        """The maps at strides 8, 16 and 32, `top_down` channels each."""
        eighth = self.eighth(self.early(images))
        sixteenth = self.sixteenth(eighth)
        last = self.laterals[2](self.last(sixteenth))
        middle = self.laterals[1](sixteenth) + self.upsample(last, sixteenth)
        first = self.laterals[0](eighth) + self.upsample(middle, eighth)
        for index, maps in enumerate((first, middle, last)):
            yield self.smooth[index](maps)


class FaceNet(FeaturePyramid):
    """An SSD on a feature pyramid.

    Takes (n, 3, height, width) of any size. Returns the class map and the offset map of each level, with 2 and 4
    channels per prior.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 48, 72, 80), top_down: int = 48) -> None:
        super().__init__(widths, top_down, Residual(widths[1], widths[1]))
        self.classes = nn.ModuleList(nn.Conv2d(top_down, 2 * len(level.sides), 3, padding=1) for level in LEVELS)
        self.offsets = nn.ModuleList(nn.Conv2d(top_down, 4 * len(level.sides), 3, padding=1) for level in LEVELS)

    def forward(self, images: Tensor) -> list[Tensor]:
        outputs = []
        for index, maps in enumerate(self.levels(images)):
            outputs += [self.classes[index](maps), self.offsets[index](maps)]
        return outputs
