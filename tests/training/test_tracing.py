"""The exporter: cv2.dnn returns what torch returns, and unsupported layers are errors.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from torch import Tensor, nn  # noqa: E402

from tests.training.torch_nets import random_images, randomize_batch_norms, read_net  # noqa: E402
from training import models, tracing  # noqa: E402

TOLERANCE = 1e-4


class TinyNet(nn.Module):
    """A small net with every layer that the exporter supports."""

    def __init__(self) -> None:
        super().__init__()
        self.first = models.convolution(3, 8, 3, 2)
        self.halve = nn.MaxPool2d(2, ceil_mode=True)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.block = models.Residual(8, 12, 2)
        self.lateral = models.convolution(12, 8, 1, relu=False)
        self.upsample = models.UpsampleLike()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.grouped(self.halve(self.first(images)))
        deep = self.lateral(self.block(maps))
        logits: Tensor = self.head(self.pool(self.upsample(deep, maps) + maps))
        return logits


@pytest.fixture
def tiny_net() -> nn.Module:
    torch.manual_seed(1)
    net = TinyNet()
    randomize_batch_norms(net)
    nn.init.normal_(net.head.weight)
    return net


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 31), (37, 50)])
def test_cv2_returns_what_torch_returns_for_a_hundred_images(tiny_net: nn.Module, height: int, width: int) -> None:
    images = random_images(100, height, width)
    net, outputs = tracing.trace(tiny_net, "tiny", (width, height))
    net.add("Softmax", "probabilities", outputs)
    reader = read_net(net, half=False)

    reader.setInput(images)
    found = reader.forward()

    with torch.no_grad():
        expected = tiny_net(torch.from_numpy(images)).softmax(1).numpy()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert np.ptp(expected, axis=0).max() > 0.02, "equal outputs for all images prove nothing"


def test_16_bit_weights_are_the_rounded_weights(tiny_net: nn.Module) -> None:
    images = random_images(100, 32, 32)
    rounded = tracing.rounded(tracing.fold(tiny_net))
    net, _ = tracing.trace(tiny_net, "tiny", (32, 32))
    reader = read_net(net, half=True)

    reader.setInput(images)
    found = reader.forward()

    with torch.no_grad():
        expected = rounded(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_16_bit_weights_take_half_the_bytes() -> None:
    net, _ = tracing.trace(models.student(), "student", (80, 80))

    assert len(net.caffemodel(half=True)) < 0.51 * len(net.caffemodel(half=False))


def test_an_export_does_not_change_the_net(tiny_net: nn.Module) -> None:
    before = {name: value.clone() for name, value in tiny_net.state_dict().items()}

    tracing.rounded(tracing.fold(tiny_net))
    tracing.trace(tiny_net, "tiny", (32, 32))

    after = tiny_net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sigmoid(),
        nn.Conv2d(3, 4, (1, 3)),
        nn.Conv2d(3, 4, 3, dilation=2),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(2),
        nn.Flatten(2),
    ],
)
def test_an_unsupported_layer_is_an_error(module: nn.Module) -> None:
    with pytest.raises(TypeError, match="is not supported"):
        tracing.trace(nn.Sequential(module), "odd", (32, 32))


def test_an_unsupported_operation_is_an_error() -> None:
    class Doubling(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images * 2

    with pytest.raises(TypeError, match="is not supported"):
        tracing.trace(Doubling(), "odd", (32, 32))
