"""The super-resolution net: it learns, an interrupted run continues, and cv2.dnn returns what torch returns.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from training import caffe, models, tracing  # noqa: E402
from training.enhance import SIDE, loss_of, luma, patches  # noqa: E402
from training.enhance_scores import opencv_upscaler  # noqa: E402
from training.faces import CHIP  # noqa: E402
from training.resampling import SCALE, psnr, upscale_bicubic  # noqa: E402
from training.run import Run  # noqa: E402

TOLERANCE = 1e-5


def edges(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return images (count, height, width, 3) of hard edges, which bicubic upscaling blurs."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 2, (count, height // 16 + 1, width // 16 + 1, 1), np.uint8) * 200 + 20
    return coarse.repeat(16, 1).repeat(16, 2).repeat(3, 3)[:, :height, :width]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: for tiny nets several are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def chips() -> NDArray[np.uint8]:
    return edges(12, CHIP, CHIP)


@pytest.fixture
def scenes() -> list[NDArray[np.uint8]]:
    return [luma(pixels) for pixels in edges(5, 150, 200)]


def tiny_run(checkpoint: Path) -> Run:
    torch.manual_seed(3)
    net = models.EnhanceNet(width=8, layers=1)
    return Run({"superres": net}, checkpoint, total_steps=150, peak_rate=0.1, adaptive=True)


def take_steps(run: Run, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]], steps: int) -> None:
    for _ in range(steps):
        run.step(loss_of(run.nets["superres"], *patches(chips, scenes, run.steps)))


def test_an_untrained_net_filters_like_bicubic_upscaling() -> None:
    small = torch.from_numpy(np.random.default_rng(0).random((1, 1, 14, 11), np.float32))

    with torch.no_grad():
        filtered = models.EnhanceNet().filter(small)

    inside = (..., slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(filtered[inside], upscale_bicubic(small)[inside], atol=1e-6)


def test_batches_are_the_same_for_the_same_step(chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]]) -> None:
    first, second, other = (patches(chips, scenes, step) for step in (4, 4, 5))

    assert first[0].shape == (16, 1, SIDE // SCALE, SIDE // SCALE)
    assert first[1].shape == (16, 1, SIDE, SIDE)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not torch.equal(first[1], other[1])


def test_a_trained_net_has_a_higher_psnr_than_bicubic_upscaling(
    tmp_path: Path, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]]
) -> None:
    run = tiny_run(tmp_path / "run.pt")

    take_steps(run, chips, scenes, 150)

    assert psnr(run.means["superres"], scenes) > psnr(upscale_bicubic, scenes) + 0.2


def test_an_interrupted_run_continues_exactly(
    tmp_path: Path, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]]
) -> None:
    uninterrupted = tiny_run(tmp_path / "uninterrupted.pt")
    take_steps(uninterrupted, chips, scenes, 8)

    interrupted = tiny_run(tmp_path / "interrupted.pt")
    take_steps(interrupted, chips, scenes, 4)
    interrupted.save()
    resumed = tiny_run(tmp_path / "interrupted.pt")
    take_steps(resumed, chips, scenes, 4)

    expected, found = (run.means["superres"].state_dict() for run in (uninterrupted, resumed))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize(("height", "width"), [(37, 37), (20, 61), (8, 9)])
def test_cv2_returns_what_torch_returns_at_any_size(
    tmp_path: Path, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]], height: int, width: int
) -> None:
    run = tiny_run(tmp_path / "run.pt")
    take_steps(run, chips, scenes, 5)
    mean = tracing.rounded(run.means["superres"])
    net, _ = tracing.trace(mean, "tiny", (50, 40), input_channels=1)
    caffe.write(tmp_path, "superres", net)
    small = torch.from_numpy(np.random.default_rng(1).random((1, 1, height, width), np.float32))

    found = opencv_upscaler(caffe.read(tmp_path, "superres"))(small)

    with torch.no_grad():
        expected = mean(small)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert np.ptp(expected.numpy()) > 0.1, "equal outputs everywhere prove nothing"


@pytest.mark.parametrize(("distance", "has_effect"), [(7, True), (8, False)])
def test_only_pixels_within_the_reach_have_an_effect(distance: int, has_effect: bool) -> None:
    net = models.EnhanceNet()
    small = torch.full((1, 1, 31, 31), 0.5, requires_grad=True)

    net(small)[..., 15, 15].sum().backward()

    assert net.reach == 7
    assert bool(small.grad[0, 0, 15 - distance].any()) == has_effect
