"""Visage in a Python program: `visage.analyze`, `visage.anonymize` and `visage.enhance`.

The first call loads the nets. Any number of threads may call; as many photos as there are cores are analyzed or
anonymized at once, and one is enhanced. Calls set `cv2.setNumThreads` for the whole program, to 1 unless
`VISAGE_OPENCV_THREADS` says otherwise.
"""

import os
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized
from visage.cores import available_cores
from visage.enhance.results import Enhanced, EnhanceOptions
from visage.errors import VisageError
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.face import Face
from visage.faces.results import Analysis
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.runtime.engine import Engine
from visage.settings import Settings

__all__ = [
    "Analysis",
    "AnalyzeOptions",
    "AnonymizeOptions",
    "Anonymized",
    "Box",
    "Detail",
    "EnhanceOptions",
    "Enhanced",
    "Face",
    "Mask",
    "Method",
    "Photo",
    "Shape",
    "VisageError",
    "analyze",
    "anonymize",
    "enhance",
]

Photo = bytes | str | os.PathLike[str] | NDArray[np.uint8]
"""A photo: the bytes of a file, the path of one, or pixels as (height, width, 3) uint8 BGR, as OpenCV reads them."""

# A program waits for its own photos, however many its threads send: a year, and more threads than a process can have.
_QUEUE, _WAIT_SECONDS = 10**6, 365 * 86400.0

_engines: list[Engine] = []
_lock = threading.Lock()


def analyze(photo: Photo, options: AnalyzeOptions | None = None, *, annotated: bool = False) -> Analysis:
    """Find the faces in a photo, with gender and age. With `annotated`, `Analysis.annotated` is a JPEG with boxes.

    Boxes are in pixels of the upright photo.

    Raises:
        RequestError: the photo is no image, is damaged or too large.
        OSError: the file cannot be read.
        TypeError, ValueError: the photo is none of the types of `Photo`, or an array of another shape.
        SetupError: a setting (an environment variable) or a model pack is invalid.
    """
    return _engine().analyze(_file(photo), options, annotated=annotated)


def anonymize(photo: Photo, options: AnonymizeOptions | None = None) -> Anonymized:
    """Make the faces in a photo unrecognizable. `Anonymized.picture` is a file in the photo's format; BMP for an array.

    Raises:
        RequestError, OSError, TypeError, ValueError, SetupError: as `analyze`; a box of `cover` is outside the photo.
    """
    return _engine().anonymize(_file(photo), options)


def enhance(photo: Photo, options: EnhanceOptions | None = None) -> Enhanced:
    """Enlarge a photo by super-resolution. `Enhanced.picture` is a file in the photo's format; BMP for an array.

    Raises:
        RequestError, OSError, TypeError, ValueError, SetupError: as `analyze`.
    """
    return _engine().enhance(_file(photo), options=options)


def _engine() -> Engine:
    """Return the engine of this process, which the first call makes from the environment's settings."""
    with _lock:
        if not _engines:
            settings = Settings.from_environment()
            own = replace(settings, slots=available_cores(), queue=_QUEUE, wait_seconds=_WAIT_SECONDS)
            _engines.append(Engine(own, eager=False))
        return _engines[0]


def _file(photo: Photo) -> bytes:
    """Return the photo as the bytes of a file."""
    if isinstance(photo, bytes):
        return photo
    if not isinstance(photo, np.ndarray):
        return Path(photo).read_bytes()
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
        raise ValueError(
            f"The array has shape {photo.shape} and type {photo.dtype}; it must be (height, width, 3) of uint8, in the "
            "order blue, green, red."
        )
    # Without loss or compression.
    return cv2.imencode(".bmp", photo)[1].tobytes()
