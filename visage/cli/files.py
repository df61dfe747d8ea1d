"""Read photos with a limit on their size, and write copies atomically."""

import os
import re
import stat
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from visage.errors import ImageTooLarge, SetupError, UndecodableImage, UnsupportedType
from visage.images.headers import converted_format, is_image, read_header

# Bytes. Every accepted type is recognized by fewer.
_HEAD_BYTES = 2048

# Every type that is converted is recognized by so many bytes.
_MAGIC_BYTES = 16
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}

# Bytes of the largest pixel that is accepted: PNG with four channels of 16 bits.
_MAX_PIXEL_BYTES = 8

# Bytes, our choice. Files hold more than pixels: profiles, previews, and the seconds of video that phones append.
_MAX_METADATA_BYTES = 64 * 2**20

# Bytes that are read from a stream at once, our choice.
_CHUNK_BYTES = 2**20

# The name of a copy that is being written. It is hidden, and short enough for every file system.
_TEMPORARY_NAME = re.compile(r"\.visage-[0-9a-f]{32}\.part")


def read_photo(path: Path, max_pixels: int) -> bytes:
    """The bytes of a file that begins as an image and is not larger than an image of `max_pixels` can be.

    Raises:
        UnsupportedType: it is not a regular file, or its type is not accepted.
        ImageTooLarge: it is larger than any image that is accepted.
        OSError: it cannot be read.
    """
    # Checked before opening: opening a pipe would block until somebody writes to it.
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnsupportedType("This is not a regular file; name the photo itself.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head:
            _check_type(head)
        size, limit = os.fstat(file.fileno()).st_size, _max_bytes(max_pixels)
        if size > limit:
            raise ImageTooLarge(f"The file has {size:,} bytes; an accepted image has at most {limit:,}.")
        return head + file.read()


def read_stream(stream: BinaryIO, max_pixels: int) -> bytes:
    """The bytes of a pipe, with the checks of `read_photo`.

    Raises:
        UnsupportedType: its type is not accepted.
        ImageTooLarge: it is longer than any image that is accepted.
        OSError: it cannot be read.
    """
    content, limit = BytesIO(), _max_bytes(max_pixels)
    chunk = stream.read(_HEAD_BYTES)
    if chunk:
        _check_type(chunk)
    while chunk:
        content.write(chunk)
        if content.tell() > limit:
            raise ImageTooLarge(f"The file has more than {limit:,} bytes, the most of an accepted image.")
        chunk = stream.read(_CHUNK_BYTES)
    return content.getvalue()


def _max_bytes(max_pixels: int) -> int:
    """The most bytes of an accepted file."""
    return _MAX_PIXEL_BYTES * max_pixels + _MAX_METADATA_BYTES


def _check_type(head: bytes) -> None:
    # A header that is cut short here may be complete in the whole file; the decoder decides.
    with suppress(UndecodableImage):
        read_header(head)


def begins_as_picture(path: str) -> bool:
    """Whether the first bytes of a file are those of an image, accepted or not.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return is_image(file.read(_HEAD_BYTES))


def converted_suffix(path: str) -> str | None:
    """Return the suffix of the copy of a file that is written in another format: `.jpg`, `.png` or None.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        written = converted_format(file.read(_MAGIC_BYTES))
    return _SUFFIXES[written] if written else None


def file_identity(path: str | Path) -> tuple[int, int] | None:
    """Device and inode: equal for two paths to the same file, also through links. None where there is no file."""
    try:
        # os.stat on a string takes less time than Path.stat, and this runs for every photo.
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_temporary(name: str) -> bool:
    """Whether this is the name of a copy that a run is writing, or was writing when it was killed."""
    return _TEMPORARY_NAME.fullmatch(name) is not None


def write_atomically(content: bytes, target: Path, *, original: Path) -> None:
    """Write to a temporary file in the directory of `target`, then rename it. Makes missing directories.

    Raises:
        SetupError: the target is the same file as the original.
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".visage-{uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            # Some file systems report a full disk only now. A power cut after the rename must not leave an empty file.
            os.fsync(file.fileno())
        _reject_original(target, original)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _reject_original(target: Path, original: Path) -> None:
    if (identity := file_identity(target)) and identity == file_identity(original):
        raise SetupError(f"{target} is now the same file as the original; choose another directory with -o.")
