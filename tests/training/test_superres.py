"""Training the net that enlarges: it learns, goes on where it was, and cv2.dnn answers as torch does.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from PIL import Image  # noqa: E402
from torch.nn import functional  # noqa: E402

from training import caffe, export, models, tracing  # noqa: E402
from training.enlargement import SCALE, bicubic, enlarged, psnr, shrink  # noqa: E402
from training.faces import CHIP  # noqa: E402
from training.run import Run  # noqa: E402
from training.superres import SIDE, loss_of, luma, patches  # noqa: E402
from training.superres_scores import run_by_cv2  # noqa: E402
from visage.packs.pack import read_pack  # noqa: E402

TOLERANCE = 1e-5
COMPACT = Path(__file__).parent.parent.parent / "models" / "compact"


def edges(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Pictures (count, height, width, 3) of hard edges, which bicubic enlargement blurs."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 2, (count, height // 16 + 1, width // 16 + 1, 1), np.uint8) * 200 + 20
    return coarse.repeat(16, 1).repeat(16, 2).repeat(3, 3)[:, :height, :width]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several would wait for each other: the nets are tiny."""
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
    net = models.EnlargingNet(width=8, layers=1)
    return Run({"superres": net}, checkpoint, total_steps=150, peak_rate=0.1, adaptive=True)


def descend(run: Run, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]], steps: int) -> None:
    for _ in range(steps):
        run.step(loss_of(run.nets["superres"], *patches(chips, scenes, run.steps)))


def test_a_fresh_net_filters_as_bicubic_enlargement_does() -> None:
    small = torch.from_numpy(np.random.default_rng(0).random((1, 1, 14, 11), np.float32))

    with torch.no_grad():
        filtered = models.EnlargingNet().filter(small)

    inside = (..., slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(filtered[inside], bicubic(small)[inside], atol=1e-6)


def test_pictures_are_shrunk_as_pillow_shrinks_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)

    ours = shrink(torch.from_numpy(pixels)[None, None] / 255)[0, 0] * 255

    pillow = np.asarray(Image.fromarray(pixels).resize((30, 20), Image.Resampling.BICUBIC), np.float32)
    assert np.abs(ours.numpy() - pillow).max() < 1.01, "one step is rounding"


def test_without_antialiasing_they_are_shrunk_and_enlarged_as_opencv_does_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)

    small = shrink(torch.from_numpy(pixels)[None, None] / 255, antialias=False)
    ours = enlarged(partial(bicubic, antialias=False), small)[0, 0] * 255

    shrunk = cv2.resize(pixels, (30, 20), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(small[0, 0] * 255, shrunk, atol=1e-3)
    again = cv2.resize(shrunk, (90, 60), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    assert np.abs(ours.numpy() - again).max() < 1.01, "one step is rounding"


def test_a_picture_that_is_enlarged_as_it_was_has_no_error_to_speak_of() -> None:
    plane = np.full((30, 30), 77, np.uint8)
    off_by_one = functional.pixel_unshuffle(torch.full((1, 1, 78, 78), 78 / 255), SCALE)

    score = psnr(lambda _: off_by_one, [plane])

    assert score == pytest.approx(20 * np.log10(255), abs=1e-3)


def test_batches_are_the_same_for_the_same_step(chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]]) -> None:
    first, again, other = (patches(chips, scenes, step) for step in (4, 4, 5))

    assert first[0].shape == (16, 1, SIDE // SCALE, SIDE // SCALE)
    assert first[1].shape == (16, 1, SIDE, SIDE)
    assert all(torch.equal(mine, its) for mine, its in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])


def test_a_net_learns_to_enlarge_better_than_bicubic(
    tmp_path: Path, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]]
) -> None:
    run = tiny_run(tmp_path / "run.pt")

    descend(run, chips, scenes, 150)

    assert psnr(run.means["superres"], scenes) > psnr(bicubic, scenes) + 0.2


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(
    tmp_path: Path, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]]
) -> None:
    straight = tiny_run(tmp_path / "straight.pt")
    descend(straight, chips, scenes, 8)

    cut = tiny_run(tmp_path / "cut.pt")
    descend(cut, chips, scenes, 4)
    cut.save()
    resumed = tiny_run(tmp_path / "cut.pt")
    descend(resumed, chips, scenes, 4)

    expected, found = (run.means["superres"].state_dict() for run in (straight, resumed))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize(("height", "width"), [(37, 37), (20, 61), (8, 9)])
def test_the_exported_net_answers_as_torch_does_at_any_size(
    tmp_path: Path, chips: NDArray[np.uint8], scenes: list[NDArray[np.uint8]], height: int, width: int
) -> None:
    run = tiny_run(tmp_path / "run.pt")
    descend(run, chips, scenes, 5)
    mean = tracing.rounded(run.means["superres"])
    net, _ = tracing.trace(mean, "tiny", (50, 40), planes=1)
    caffe.write(tmp_path, "superres", net)
    small = torch.from_numpy(np.random.default_rng(1).random((1, 1, height, width), np.float32))

    found = run_by_cv2(caffe.read(tmp_path, "superres"))(small)

    with torch.no_grad():
        expected = mean(small)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert np.ptp(expected.numpy()) > 0.1, "a net that says the same everywhere proves nothing"


def test_the_net_that_is_exported_is_small_and_in_the_manifest(tmp_path: Path) -> None:
    shutil.copytree(COMPACT, tmp_path, dirs_exist_ok=True)
    plane = luma(np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8))

    export.export_superres(models.EnlargingNet().state_dict(), [plane], tmp_path)
    (tmp_path / "pack.toml").write_text(export.manifest(tmp_path))

    found = read_pack(tmp_path).enhance
    assert len(found.weights.read()) < 1_000_000
    assert found.prototxt
    assert found.prototxt.read()
    assert (found.scale, found.colour, found.white) == (SCALE, "luma", 1.0)
    assert found.reach == found.overlap == found.padding == models.EnlargingNet().reach


@pytest.mark.parametrize(("away", "seen"), [(7, True), (8, False)])
def test_a_pixel_depends_on_what_lies_within_its_reach_alone(away: int, seen: bool) -> None:
    net = models.EnlargingNet()
    small = torch.full((1, 1, 31, 31), 0.5, requires_grad=True)

    net(small)[..., 15, 15].sum().backward()

    assert net.reach == 7
    assert bool(small.grad[0, 0, 15 - away].any()) == seen
