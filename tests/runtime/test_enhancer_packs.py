"""A pack without a super-resolution net that fits its manifest is rejected or replaced."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from visage.directories import BUNDLED_MODELS
from visage.enhance.net import EnhanceNet
from visage.errors import PackError
from visage.packs.pack import read_pack
from visage.runtime.engine import Engine
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


def test_a_manifest_with_an_absurd_reach_is_rejected(packs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(packs["luma"], tmp_path / "luma")
    manifest = tmp_path / "luma" / "pack.toml"
    manifest.write_text(manifest.read_text().replace("reach = 1", "reach = 1000000"))

    with pytest.raises(PackError, match="reach is 1000000; it must be a whole number from 0 to 1024"):
        Enhancer(Settings(enhance_pack=str(tmp_path / "luma")))


def test_a_pack_without_a_super_resolution_net_is_rejected(tiny_pack: Path) -> None:
    with pytest.raises(PackError, match=r"The pack tiny has no super-resolution net; set VISAGE_SUPERRES_PACK"):
        Enhancer(Settings(enhance_pack=str(tiny_pack)))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("scale = 3", "scale = 2", r"it makes \(1, 9, 1, 1\) of 1 x 1 pixels"),
        ('colour = "luma"', 'colour = "bgr"', "does not fit its manifest"),
    ],
)
def test_the_check_finds_a_manifest_that_does_not_fit_its_net(
    packs: dict[str, Path], tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    for file in packs["luma"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pack.toml").write_text((tmp_path / "pack.toml").read_text().replace(right, wrong))

    with pytest.raises(PackError, match=said):
        Enhancer(Settings(enhance_pack=str(tmp_path))).check()


def test_files_that_are_no_net_are_rejected(packs: dict[str, Path], tmp_path: Path) -> None:
    spec = read_pack(packs["luma"]).enhance

    with pytest.raises(PackError, match="OpenCV cannot read"):
        EnhanceNet(replace(spec, weights=spec.prototxt or spec.weights))


def test_the_bundled_pack_replaces_one_of_its_name_without_a_super_resolution_net(tmp_path: Path) -> None:
    own = tmp_path / "compact"
    shutil.copytree(BUNDLED_MODELS / "compact", own)
    manifest = (own / "pack.toml").read_text()
    (own / "pack.toml").write_text(manifest[: manifest.index("[superres]")])

    engine = Engine(Settings(models_dir=tmp_path))

    assert engine.pack.folder == own
    assert engine.enhancer.pack.folder == BUNDLED_MODELS / "compact"
