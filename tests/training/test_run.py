"""The training loop: the loss falls, and an interrupted run continues.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from tests.training.torch_nets import random_images  # noqa: E402
from training import models  # noqa: E402
from training.run import Run, average  # noqa: E402


def tiny_run(checkpoint: Path) -> Run:
    torch.manual_seed(3)
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    # The Residual does not get the image itself. Without AVX-512, the backward pass of its shortcut (1 x 1, stride 2)
    # writes out of bounds in PyTorch 2.13 if its input has 3 channels, channels last. Our nets have 16 or more there.
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), models.Residual(8, 8, 2), *last)
    return Run({"tiny": net}, checkpoint, total_steps=40, peak_rate=0.1, kernel_rate=0.05)


def step(run: Run, number: int) -> float:
    """Take one step towards telling bright noise from dark noise, and return the loss."""
    images = random_images(16, 12, 12) + np.float32(number % 3 / 10)
    labels = torch.from_numpy((images.mean((1, 2, 3)) > 0).astype(np.int64))
    return run.step(functional.cross_entropy(run.nets["tiny"](torch.from_numpy(images)), labels))


def test_the_loss_falls(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run.pt")
    run.train()

    losses = [step(run, number) for number in range(40)]

    assert np.mean(losses[:5]) > math.log(2), "the loss of guessing"
    assert np.mean(losses[-5:]) < 0.8 * math.log(2)


def test_parameters_without_a_gradient_keep_their_values(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    net[0].requires_grad_(requires_grad=False)
    before = [net[0].weight.clone(), net[3].weight.clone()]
    run = Run({"tiny": net}, tmp_path / "run.pt", total_steps=40, peak_rate=0.1, adaptive=True)
    run.train()

    for number in range(3):
        step(run, number)

    assert torch.equal(run.nets["tiny"][0].weight, before[0])
    assert not torch.equal(run.nets["tiny"][3].weight, before[1])


def test_an_interrupted_run_continues_exactly(tmp_path: Path) -> None:
    uninterrupted = tiny_run(tmp_path / "uninterrupted.pt")
    uninterrupted.train()
    for number in range(20):
        step(uninterrupted, number)

    interrupted = tiny_run(tmp_path / "interrupted.pt")
    interrupted.train()
    for number in range(10):
        step(interrupted, number)
    interrupted.save()
    resumed = tiny_run(tmp_path / "interrupted.pt")
    resumed.train()
    for number in range(10, 20):
        step(resumed, number)

    expected, found = (run.means["tiny"].state_dict() for run in (uninterrupted, resumed))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_checkpoints_are_averaged_weight_by_weight(tmp_path: Path) -> None:
    for name, weight, count in (("first", 1.0, 3), ("second", 2.0, 5)):
        means = {"tiny": {"weight": torch.tensor([weight]).half(), "num_batches_tracked": torch.tensor(count)}}
        torch.save({"means": means}, tmp_path / name)

    averaged = average([tmp_path / "first", tmp_path / "second"])

    assert averaged == {"tiny": {"weight": torch.tensor([1.5]), "num_batches_tracked": torch.tensor(5)}}
