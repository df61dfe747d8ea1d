"""Super-resolution: cv2.dnn returns what torch returns for graphs of TensorFlow.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from tests.support import tensorflow_graph  # noqa: E402
from tests.support.enhance_packs import write_edsr_pack  # noqa: E402
from tests.support.paths import SHARED  # noqa: E402
from visage.enhance.net import EnhanceNet  # noqa: E402
from visage.packs.enhance_spec import EnhanceSpec  # noqa: E402
from visage.packs.files import PackFile  # noqa: E402
from visage.packs.pack import read_pack  # noqa: E402

# Relative to white.
TOLERANCE = 1e-3


def difference(spec: EnhanceSpec, pixels: NDArray[np.uint8]) -> float:
    """Return the largest difference between the values of OpenCV and torch, relative to white."""
    net = EnhanceNet(spec)
    blob = net._preprocess(pixels)
    with torch.no_grad():
        expected = tensorflow_graph.run(spec.weights.read(), torch.from_numpy(blob).permute(0, 2, 3, 1)).numpy()
    found = net._infer(blob)
    assert found.shape == expected.shape
    assert expected.std() > 0.01 * spec.white
    return float(np.abs(found - expected).max()) / spec.white


@pytest.mark.parametrize("name", ["FSRCNN_x3.pb", "FSRCNN-small_x3.pb"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 100), (64, 64), (131, 90)])
def test_cv2_returns_what_torch_returns_for_the_published_fsrcnn(
    astronaut: NDArray[np.uint8], name: str, width: int, height: int
) -> None:
    path = SHARED / "packs" / "superres" / name
    if not path.is_file():
        pytest.skip("needs the published nets in ../shared/packs/superres")
    file = PackFile(path, "sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    spec = EnhanceSpec(None, file, 3, "luma", white=1.0, mean=(0.0,), reach=6, overlap=6, padding=0, tile=None)
    pixels = np.ascontiguousarray(astronaut[100 : 100 + height, 200 : 200 + width, 1])

    assert difference(spec, pixels) < TOLERANCE


@pytest.mark.parametrize(("blocks", "channels"), [(2, 8), (32, 128)])
def test_cv2_returns_what_torch_returns_for_the_layers_of_edsr(
    tmp_path: Path, astronaut: NDArray[np.uint8], blocks: int, channels: int
) -> None:
    spec = read_pack(write_edsr_pack(tmp_path, blocks, channels)).enhance

    assert difference(spec, astronaut[100:133, 200:241]) < TOLERANCE
