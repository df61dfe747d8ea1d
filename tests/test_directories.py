"""Models and state are beside a checkout, and in the home directory of whoever installed the package."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from visage import directories


def test_a_checkout_keeps_models_and_state_beside_the_package() -> None:
    assert ROOT / "models" == directories.BUNDLED_MODELS == directories.MODELS_DIR
    assert ROOT / "state" == directories.STATE_DIR


@pytest.mark.parametrize(
    ("environment", "fetched", "state"),
    [
        ({}, "home/.local/share/visage/models", "home/.local/state/visage"),
        ({"XDG_DATA_HOME": "{}/data", "XDG_STATE_HOME": "{}/run"}, "data/visage/models", "run/visage"),
        ({"XDG_DATA_HOME": "relative"}, "home/.local/share/visage/models", "home/.local/state/visage"),
    ],
    ids=["nothing set", "XDG directories", "a relative one, which the specification forbids"],
)
def test_an_installed_package_keeps_them_in_the_home_directory(
    tmp_path: Path, environment: dict[str, str], fetched: str, state: str
) -> None:
    package = tmp_path / "site" / "visage"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(ROOT / "visage" / "directories.py", package)
    shown = subprocess.run(
        [sys.executable, "-c", "from visage.directories import *; print(BUNDLED_MODELS, MODELS_DIR, STATE_DIR)"],
        cwd=package.parent,
        env={"HOME": str(tmp_path / "home")} | {name: text.format(tmp_path) for name, text in environment.items()},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert shown.split() == [str(package / "models"), str(tmp_path / fetched), str(tmp_path / state)]
