"""The nets: residual nets for what a face shows, an SSD for where the faces are, and a net that enlarges.

Plain 3 x 3 convolutions, batch norm and ReLU, because that is what cv2.dnn runs fastest for what it buys.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.faces import AGES, GENDERS, RACES

# Where each answer lies in the last layer of an `AttributeNet` in training.
GENDER = slice(0, len(GENDERS))
AGE = slice(GENDER.stop, GENDER.stop + len(AGES))
RACE = slice(AGE.stop, AGE.stop + len(RACES))
OUTPUTS = RACE.stop

# What the net of each role of a pack gives.
PARTS = {"gender": GENDER, "age": AGE}


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """A convolution that keeps the size at stride 1, its batch norm and, if asked, a ReLU."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input is added (He et al., 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, 3, stride)
        self.second = convolution(outputs, outputs, 3, relu=False)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride, relu=False)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        return self.relu(self.second(self.first(maps)) + self.shortcut(maps))


class EnlargingNet(nn.Module):
    """Luma (n, 1, height, width) in 0..1, three times as large: (n, 9, height, width), channel 3 y + x of which holds
    the pixel in row y and column x of the nine that a pixel becomes (what a pixel shuffle takes).

    A linear filter that starts as bicubic enlargement, and what plain convolutions add to it. No batch norms: they
    cost what such nets gain (Lim et al., 2017).
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
        # What is added begins as little.
        self.body[-1].weight.data *= 0.1
        # The pixels on each side of a pixel that what becomes of it depends on.
        self.reach = layers + 2

    def forward(self, luma: Tensor) -> Tensor:
        return self.filter(luma) + self.body(luma)


def _bicubic() -> Tensor:
    """Bicubic enlargement by three as the weights of a 5 x 5 convolution: what each of 25 pixels gives to the nine."""
    impulses = torch.eye(25).reshape(25, 1, 5, 5)
    enlarged = functional.interpolate(impulses, scale_factor=3, mode="bicubic", antialias=True)
    return enlarged[:, 0, 6:9, 6:9].reshape(25, 9).T.reshape(9, 1, 5, 5).contiguous()


class AttributeNet(nn.Module):
    """A residual net over (n, 3, side, side) crops that gives (n, outputs) logits.

    `stages` holds (channels, blocks, stride of the first block) of each stage after a stem that halves the side.
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
    """165 million multiplications a face: too slow to serve, good enough to learn from."""
    return AttributeNet(32, ((64, 2, 2), (128, 2, 2), (256, 2, 2)), OUTPUTS, dropout=0.3)


def student() -> AttributeNet:
    """25 million multiplications a face, 0.56 million weights: the design that gender and age share.

    Few weights are as much of its speed as few multiplications: cv2.dnn meets them anew for every face, because the
    face net has run in between.
    """
    return AttributeNet(16, ((32, 1, 2), (64, 2, 2), (112, 2, 2)), OUTPUTS, dropout=0.1)


class UpsampleLike(nn.Module):
    """Twice the size, each value repeated, cut to the size of another map: what an odd side left over goes."""

    def forward(self, maps: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(maps, scale_factor=2)[:, :, : like.shape[2], : like.shape[3]]


@dataclass(frozen=True)
class Level:
    """One map of an SSD: its stride and the sides of the square priors at each of its cells, in input pixels."""

    stride: int
    sides: tuple[float, ...]


# A prior a factor of the square root of two, so that every face of 11 to 400 pixels shares half of one.
LEVELS = (Level(8, (14, 20, 28)), Level(16, (40, 56, 80)), Level(32, (112, 160, 224, 320)))


class FaceNet(nn.Module):
    """An SSD with a top-down path (Lin et al., 2016): the small faces' map knows what lies around them.

    Takes (n, 3, height, width) of any size; gives (class, offset) maps of each level, 2 and 4 channels a prior.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 48, 72, 80), top_down: int = 48) -> None:
        super().__init__()
        stem, quarter, eighth, sixteenth, last = widths
        self.early = nn.Sequential(
            convolution(3, stem, 3, 2), convolution(stem, quarter, 3, 2), Residual(quarter, quarter)
        )
        self.eighth = nn.Sequential(Residual(quarter, eighth, 2), Residual(eighth, eighth))
        self.sixteenth = nn.Sequential(Residual(eighth, sixteenth, 2), Residual(sixteenth, sixteenth))
        self.last = nn.Sequential(Residual(sixteenth, last, 2), Residual(last, last))
        self.laterals = nn.ModuleList(
            convolution(width, top_down, 1, relu=False) for width in (eighth, sixteenth, last)
        )
        self.upsample = UpsampleLike()
        self.smooth = nn.ModuleList(convolution(top_down, top_down, 3) for _ in LEVELS)
        self.classes = nn.ModuleList(nn.Conv2d(top_down, 2 * len(level.sides), 3, padding=1) for level in LEVELS)
        self.offsets = nn.ModuleList(nn.Conv2d(top_down, 4 * len(level.sides), 3, padding=1) for level in LEVELS)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        eighth = self.eighth(self.early(pictures))
        sixteenth = self.sixteenth(eighth)
        last = self.laterals[2](self.last(sixteenth))
        middle = self.laterals[1](sixteenth) + self.upsample(last, sixteenth)
        first = self.laterals[0](eighth) + self.upsample(middle, eighth)
        outputs = []
        for index, maps in enumerate((first, middle, last)):
            smoothed = self.smooth[index](maps)
            outputs += [self.classes[index](smoothed), self.offsets[index](smoothed)]
        return outputs
