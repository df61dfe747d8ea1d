"""What tests of deployment files share: tools that may be missing, and figures that must agree."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

USER = 10001


def tool(name: str) -> str | None:
    return shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(tool(name) is None, reason=f"needs {name}: make test-deploy")


GRACEFUL_SECONDS = int(
    re.findall(r"^graceful_timeout = (\d+)$", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)[0]
)
