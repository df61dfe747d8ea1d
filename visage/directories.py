"""Where models and state are by default: beside the package in a checkout, in the home directory after pip."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

# A wheel has the models in the package, a checkout beside it.
_INSTALLED = (_PACKAGE / "models").is_dir()

BUNDLED_MODELS = _PACKAGE / "models" if _INSTALLED else _PACKAGE.parent / "models"


def _user_directory(variable: str, default: str) -> Path:
    """The directory of this user for Visage (XDG Base Directory Specification)."""
    given = os.environ.get(variable, "")
    return (Path(given) if Path(given).is_absolute() else Path(os.path.expanduser(default))) / "visage"  # noqa: PTH111


# The same directories for the service and batch processes, wherever they are started. A new version replaces an
# installed package with all its files.
MODELS_DIR = _user_directory("XDG_DATA_HOME", "~/.local/share") / "models" if _INSTALLED else BUNDLED_MODELS
STATE_DIR = _user_directory("XDG_STATE_HOME", "~/.local/state") if _INSTALLED else _PACKAGE.parent / "state"
