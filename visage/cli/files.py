"""Photos read and copies written without harm: no file is read that is none, and none is written by halves."""

import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from visage.errors import ImageTooLarge, SetupError, UndecodableImage, UnsupportedType
from visage.images.headers import is_picture, read_header

# Bytes by which a type is known, and those of the largest pixels: PNG with four channels of 16 bits.
_HEAD = 2048
_LARGEST_PIXEL = 8

# What may lie beside the pixels: profiles, previews, and the seconds of video that phones put behind a photo.
_BESIDE_PIXELS = 64 * 2**20

# What tells that a directory was empty when the first copy came.
_SIGN = ".visage-copies"

# A copy that is being written. Hidden, and of a length that every directory takes, however long the photo's name is.
_UNFINISHED = re.compile(r"\.visage-[0-9a-f]{32}\.part")


def read_photo(path: Path, max_pixels: int) -> bytes:
    """The bytes of a file that begins as a picture and is not larger than one of `max_pixels` can be.

    Raises:
        UnsupportedType: not a file, or not of an accepted type.
        ImageTooLarge: larger than a picture that is accepted.
        OSError: it cannot be read.
    """
    # Before it is opened: a pipe would wait for somebody to write.
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnsupportedType("This is no regular file; name the photo itself.")
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head:
            _judge(head)
        size, most = os.fstat(file.fileno()).st_size, _LARGEST_PIXEL * max_pixels + _BESIDE_PIXELS
        if size > most:
            raise ImageTooLarge(f"The file has {size:,} bytes; no picture that is accepted has more than {most:,}.")
        return head + file.read()


def begins_as_picture(path: str) -> bool:
    """Whether the first bytes of a file are those of a picture, be it one that is not accepted.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return is_picture(file.read(_HEAD))


def _judge(head: bytes) -> None:
    # What only lacks its end is told when all of it is there.
    with suppress(UndecodableImage):
        read_header(head)


def identity(path: str | Path) -> tuple[int, int] | None:
    """What tells whether two paths lead to the same file, also through links; None where there is none."""
    try:
        # Not by way of a Path, which takes longer than the question: it is asked of every photo.
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is a copy that a run is writing, or was when it was killed."""
    return _UNFINISHED.fullmatch(name) is not None


def write_whole(content: bytes, target: Path, original: Path) -> None:
    """Write `target`, and whichever directories it needs, so that at no moment there is a part of it.

    Raises:
        SetupError: the target has become the original by now.
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".visage-{uuid4().hex}.part")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            # Some disks say only now that they are full, and a name must not outlive its bytes when the power fails.
            os.fsync(file.fileno())
        _refuse_original(target, original)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _refuse_original(target: Path, original: Path) -> None:
    if (there := identity(target)) and there == identity(original):
        raise SetupError(f"{target} is the original by now; choose another directory with -o.")


def must_be_ours(output: Path) -> None:
    """Refuse a directory that holds anything but copies: an original that lies there would be taken for one.

    Raises:
        SetupError: there are files, and no sign that a run made them.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        if any(output.iterdir()) and not (output / _SIGN).is_file():
            raise SetupError(f"{output} has other files; choose a new or an empty directory for the copies with -o.")


@contextmanager
def output_directory(output: Path, folders: Iterable[Path]) -> Iterator[None]:
    """Make the directory `output`, and remove from `folders`, below it, what runs that were killed left unfinished.

    Nothing is removed while another run works on the same directory.

    Raises:
        SetupError: the directory cannot be made or written to.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output, os.O_RDONLY)
    except OSError as error:
        raise SetupError(f"{output} cannot be made: {error.strerror}. Choose another directory with -o.") from None
    try:
        if not os.access(output, os.W_OK | os.X_OK):
            raise SetupError(f"{output} cannot be written to; choose another directory with -o.")
        (output / _SIGN).touch()
        _remove_unfinished(descriptor, folders)
        yield
    finally:
        os.close(descriptor)


def _remove_unfinished(descriptor: int, folders: Iterable[Path]) -> None:
    # Locks end with the process that has them, however it ends. A file system without locks has one run at a time.
    with suppress(OSError):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            return
    for folder in folders:
        with suppress(OSError):
            for entry in [each for each in os.scandir(folder) if is_unfinished(each.name)]:
                Path(entry).unlink(missing_ok=True)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
