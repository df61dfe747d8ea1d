"""Exported packs: Visage can use them, and a wrong export is an error.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from tests.support.paths import ROOT  # noqa: E402
from training import export, models  # noqa: E402
from training.attributes import SIDE  # noqa: E402
from training.detection import net  # noqa: E402
from training.enhance import luma  # noqa: E402
from training.resampling import SCALE  # noqa: E402
from visage.faces.analyzer import Analyzer  # noqa: E402
from visage.packs.pack import read_pack  # noqa: E402

COMPACT = ROOT / "models" / "compact"


def test_the_analyzer_runs_an_exported_pack(tmp_path: Path) -> None:
    torch.manual_seed(4)
    crops = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    photos = [np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)]
    export.export_attributes(models.student().state_dict(), crops, tmp_path)
    export.export_detector(net.FaceNet(net.LARGE).state_dict(), photos, tmp_path)
    (tmp_path / "pack.toml").write_text(export.manifest(tmp_path))

    Analyzer(read_pack(tmp_path)).warm_up()


def test_the_manifest_of_compact_is_that_of_the_export() -> None:
    assert (COMPACT / "pack.toml").read_text() == export.manifest(COMPACT)


def test_the_exported_super_resolution_net_is_small_and_in_the_manifest(tmp_path: Path) -> None:
    shutil.copytree(COMPACT, tmp_path, dirs_exist_ok=True)
    plane = luma(np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8))

    export.export_enhance(models.EnhanceNet().state_dict(), [plane], tmp_path)
    (tmp_path / "pack.toml").write_text(export.manifest(tmp_path))

    found = read_pack(tmp_path).enhance
    assert len(found.weights.read()) < 1_000_000
    assert found.prototxt
    assert found.prototxt.read()
    assert (found.scale, found.colour, found.white) == (SCALE, "luma", 1.0)
    assert found.reach == found.overlap == found.padding == models.EnhanceNet().reach


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_a_difference_between_cv2_and_torch_stops_the_export(difference: float) -> None:
    expected = np.zeros((1, 2), np.float32)

    with pytest.raises(SystemExit, match="exported wrongly"):
        export.check_difference("age", expected + np.float32(difference), expected)
