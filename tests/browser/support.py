"""Photos and downloads of batches, and the pixels of the preview."""

import base64
import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.window import ASTRONAUT, Window


def astronauts(folder: Path, count: int) -> list[Path]:
    """Create `count` copies of the sample photo."""
    return [Path(shutil.copy(ASTRONAUT, folder / f"{number}.jpg")) for number in range(count)]


def unpacked(download: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))


def previewed(window: Window) -> NDArray[np.uint8]:
    """The pixels of the preview, (h, w, 3) uint8 BGR."""
    width, height, pixels = window.page.evaluate(
        """async () => {
            // The canvas is drawn before the next frame.
            await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
            const canvas = document.querySelector("#hide-faces-photo canvas");
            const { width, height } = canvas;
            // A copy, because the browser warns when it reads a canvas that was made for drawing.
            const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
            context.drawImage(canvas, 0, 0);
            const { data } = context.getImageData(0, 0, width, height);
            let text = "";
            for (const value of data) text += String.fromCharCode(value);
            return [width, height, btoa(text)];
        }"""
    )
    rgba = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)
    return np.ascontiguousarray(rgba[..., 2::-1])
