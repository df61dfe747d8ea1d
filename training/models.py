"""The nets: residual nets for attributes, and a super-resolution net. The face net is in `training.detection.net`.

They consist of 3 x 3 convolutions, batch norm and ReLU, because cv2.dnn runs these at the highest speed per
multiplication (docs/decisions.md).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.faces import AGES, GENDERS, RACES

# The logits of each attribute in the last layer of an `AttributeNet` in training.
GENDER = slice(0, len(GENDERS))
AGE = slice(GENDER.stop, GENDER.stop + len(AGES))
RACE = slice(AGE.stop, AGE.stop + len(RACES))
OUTPUT_COUNT = RACE.stop

# The logits of each role in a pack.
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

    `stages` has (channels, blocks, stride of the first block) of each stage. The stem before them halves the side. With
    `pooled`, a 1 x 1 convolution behind them gives the head that many channels.
    """

    def __init__(
        self, stem: int, stages: tuple[tuple[int, int, int], ...], outputs: int, dropout: float, pooled: int = 0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(3, stem, 3, 2)]
        channels = stem
        for width, blocks, stride in stages:
            for block in range(blocks):
                layers.append(Residual(channels, width, stride if block == 0 else 1))
                channels = width
        if pooled:
            layers.append(convolution(channels, pooled, 1))
            channels = pooled
        self.trunk = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(channels, outputs)

    def features(self, crops: Tensor) -> Tensor:
        """The (n, inputs of the head) values that the head sees."""
        values: Tensor = self.pool(self.trunk(crops))
        return values

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(crops))
        return logits


def teacher() -> AttributeNet:
    """Return the teacher: 165 million multiplications per face, too slow to serve."""
    return AttributeNet(32, ((64, 2, 2), (128, 2, 2), (256, 2, 2)), OUTPUT_COUNT, dropout=0.3)


def student() -> AttributeNet:
    """Return the net of gender and age that is served: 143 million multiplications per face, 0.44 million weights.

    Its maps stay at 18 x 18, because OpenCV uses Winograd's transform for maps from 12 x 12 on (docs/decisions.md).
    """
    return AttributeNet(24, ((80, 4, 2),), OUTPUT_COUNT, dropout=0.1, pooled=192)


class UpsampleLike(nn.Module):
    """Nearest-neighbour upsampling by two, cropped to the size of another map, whose sides may be odd."""

    def forward(self, maps: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(maps, scale_factor=2)[:, :, : like.shape[2], : like.shape[3]]
