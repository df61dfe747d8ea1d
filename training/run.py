"""The training loop: optimizers with a cosine schedule, averaged weights, checkpoints."""

import argparse
import copy
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4

# Steps over which the learning rate rises to its peak, because the first gradients are large.
WARMUP_STEPS = 300

# Gradients are clipped to this norm, so that one unusual batch does not spoil the weights.
MAX_GRADIENT_NORM = 10.0


def read_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line with the options of every run; create `--out` and set the number of threads."""
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    return arguments


class Run:
    """Nets that are trained together, their averaged weights and their optimizers.

    `steps` counts the steps so far, and `seconds` the time of a run that is limited by time. `means` are copies of the
    nets with averaged weights, for inference.
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        checkpoint: Path,
        total_steps: int,
        peak_rate: float,
        kernel_rate: float | None = None,
        *,
        adaptive: bool = False,
    ) -> None:
        """Start a run, or continue it if `checkpoint` exists.

        Stochastic gradient descent with momentum moves the weights, at a learning rate of `peak_rate` at most; if
        `adaptive`, Adam does (Kingma and Ba, 2014), without weight decay. With `kernel_rate`, Muon moves the kernels of
        convolutions by orthogonal steps at that rate instead (Jordan et al., 2024). Muon's kernels must precede a batch
        norm: their norm is kept constant, because the length of a step has a meaning relative to it only. Parameters
        that need no gradient keep their values.
        """
        self.nets = {name: net.to(memory_format=torch.channels_last) for name, net in nets.items()}
        self.steps = 0
        self.seconds = 0.0
        self.total_steps = total_steps
        self.means = {name: copy.deepcopy(net).eval() for name, net in self.nets.items()}
        self._checkpoint = checkpoint
        self._parameters = [
            parameter for net in self.nets.values() for parameter in net.parameters() if parameter.requires_grad
        ]
        orthogonal = [parameter for parameter in self._parameters if kernel_rate and parameter.ndim == 4]
        self._matrices = [(kernel, nn.Parameter(_matrix(kernel.data))) for kernel in orthogonal]
        moved = {id(kernel) for kernel in orthogonal}
        others = [parameter for parameter in self._parameters if id(parameter) not in moved]
        group = {"params": others, "peak_rate": peak_rate}
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Adam([group])
            if adaptive
            else torch.optim.SGD([group], momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True)
        ]
        if kernel_rate:
            group = {"params": [matrix for _, matrix in self._matrices], "peak_rate": kernel_rate}
            self._optimizers.append(torch.optim.Muon([group], momentum=MOMENTUM, weight_decay=0))
        if checkpoint.exists():
            self._resume()

    def step(self, loss: Tensor) -> float:
        """Take one step down the gradient of `loss`, and return its value."""
        rate = min(1.0, (self.steps + 1) / WARMUP_STEPS) * (1 + math.cos(math.pi * self.steps / self.total_steps)) / 2
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["peak_rate"]
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, MAX_GRADIENT_NORM)
        for kernel, matrix in self._matrices:
            matrix.grad = _matrix(kernel.grad)
            with torch.no_grad():
                kernel.mul_(len(kernel) ** 0.5 / kernel.norm())
        for optimizer in self._optimizers:
            optimizer.step()
        self.steps += 1
        self._average()
        return loss.item()

    def train(self) -> None:
        """Switch batch norms and dropout to training."""
        for net in self.nets.values():
            net.train()

    def save(self) -> None:
        """Write the checkpoint atomically."""
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(
            {
                "steps": self.steps,
                "seconds": self.seconds,
                "random": torch.get_rng_state(),
                "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
                "nets": {name: net.state_dict() for name, net in self.nets.items()},
                "means": {name: mean.state_dict() for name, mean in self.means.items()},
            },
            partial,
        )
        partial.replace(self._checkpoint)

    def _resume(self) -> None:
        saved = torch.load(self._checkpoint)
        self.steps = saved["steps"]
        self.seconds = saved.get("seconds", 0.0)
        torch.set_rng_state(saved["random"])
        for optimizer, state in zip(self._optimizers, saved["optimizers"], strict=True):
            # The rates of this run replace those of the interrupted one.
            peaks = [group["peak_rate"] for group in optimizer.param_groups]
            optimizer.load_state_dict(state)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["peak_rate"] = peak
        for name, net in self.nets.items():
            net.load_state_dict(saved["nets"][name])
            self.means[name].load_state_dict(saved["means"][name])

    def _average(self) -> None:
        """Update the moving averages over about a thousand steps, fewer at first (Polyak and Juditsky, 1992)."""
        keep = min(0.999, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, net in self.nets.items():
                means, values = self.means[name].state_dict().values(), net.state_dict().values()
                for mean, value in zip(means, values, strict=True):
                    mean.copy_(mean.lerp(value, 1 - keep) if mean.is_floating_point() else value)


def _matrix(kernel: Tensor) -> Tensor:
    """View a channels-last kernel, or its gradient, as a matrix with one row for each output channel."""
    return kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1)


def load_means(checkpoint: Path, name: str) -> dict[str, Tensor]:
    """Return the averaged weights of the net `name` in a checkpoint, as float32."""
    means: dict[str, dict[str, Tensor]] = torch.load(checkpoint)["means"]
    return {key: value.float() if value.is_floating_point() else value for key, value in means[name].items()}


def average(checkpoints: Sequence[Path]) -> dict[str, dict[str, Tensor]]:
    """Return the mean of the averaged weights of `checkpoints`, for each net.

    Checkpoints of one run, each after its rate fell to zero, lie around a better net than any of them (Izmailov et al.,
    "Averaging Weights Leads to Wider Optima and Better Generalization", 2018).
    """
    nets = torch.load(checkpoints[0])["means"]
    each = {name: [load_means(checkpoint, name) for checkpoint in checkpoints] for name in nets}
    return {
        name: {
            key: torch.stack([weights[key] for weights in every]).mean(0) if value.is_floating_point() else value
            for key, value in every[-1].items()
        }
        for name, every in each.items()
    }


def main() -> None:
    """Reduce checkpoints to the mean of their averaged weights: `python -m training.run CHECKPOINT... OUTPUT`.

    The weights are written in float16.
    """
    *checkpoints, output = map(Path, sys.argv[1:])
    halves = {
        name: {key: value.half() if value.is_floating_point() else value for key, value in net.items()}
        for name, net in average(checkpoints).items()
    }
    torch.save({"means": halves}, output)


if __name__ == "__main__":
    main()
