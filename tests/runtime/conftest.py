"""Fixtures for enhancement: packs with super-resolution nets."""

from pathlib import Path

import pytest

from tests.support.enhance_packs import write_edsr_pack, write_luma_pack
from tests.support.paths import ROOT
from visage.settings import Settings


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small nets for BGR and for luma, and the bundled one."""
    folder = tmp_path_factory.mktemp("enhance")
    return {
        "bgr": write_edsr_pack(folder / "edsr"),
        "luma": write_luma_pack(folder / "luma"),
        "compact": ROOT / "models" / "compact",
    }


@pytest.fixture
def luma(packs: dict[str, Path]) -> Settings:
    return Settings(enhance_pack=str(packs["luma"]))
