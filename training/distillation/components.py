"""The principal components of the teacher's features: what a student can learn of its 1024 values, in a quarter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.distillation.features import Features

# They keep 89 % of the variance over FairFace's faces.
COUNT = 256


@dataclass(frozen=True)
class Components:
    """`means` (1024,) and `directions` (1024, COUNT), float32. Projections have a variance of 1 in all."""

    means: NDArray[np.float32]
    directions: NDArray[np.float32]

    def project(self, known: Features) -> NDArray[np.float16]:
        """The mean projection (n, COUNT) of chips as they are and of mirrored chips."""
        both = (known.plain.astype(np.float32) + known.mirrored.astype(np.float32)) / 2
        return ((both - self.means) @ self.directions).astype(np.float16)


def fit(known: Features) -> Components:
    """The components of `known` with most variance."""
    values = np.concatenate([known.plain, known.mirrored]).astype(np.float32)
    means = values.mean(0)
    variances, directions = np.linalg.eigh(np.cov((values - means).T))
    chosen = slice(-1, -COUNT - 1, -1)
    scale = 1 / np.sqrt(variances[chosen].sum())
    return Components(means, (directions[:, chosen] * scale).astype(np.float32))
