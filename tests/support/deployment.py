"""Optional tools and shared figures for the tests of deployment files."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# The user and group ID of the image.
USER = 10001


def tool(name: str) -> str | None:
    return shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(tool(name) is None, reason=f"needs {name}: make test-deploy")


# How long gunicorn lets requests in flight finish, in seconds.
GRACEFUL_SECONDS = int(
    re.findall(
        r"^graceful_timeout = (\d+)$",
        (ROOT / "visage" / "server" / "start" / "gunicorn_config.py").read_text(),
        re.MULTILINE,
    )[0]
)
