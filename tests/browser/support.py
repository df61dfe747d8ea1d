"""Photos and downloads of batches."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

from tests.support.window import ASTRONAUT


def astronauts(folder: Path, count: int) -> list[Path]:
    """Create `count` copies of the sample photo."""
    return [Path(shutil.copy(ASTRONAUT, folder / f"{number}.jpg")) for number in range(count)]


def unpacked(download: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
