"""The annotated images of `visage predict`: a mark that later runs recognize, and paths that replace no other file."""

import itertools
from collections.abc import Sequence
from pathlib import Path

# A JPEG of OpenCV begins with the start of image (2 bytes) and the JFIF header (18 bytes, ITU-T T.871, section 10.1).
_HEADER_BYTES = 20

# A comment segment (ITU-T T.81, section B.2.4.5): its marker, its length with these two bytes, and the text.
_TEXT = b"Annotated by visage predict"
_MARK = b"\xff\xfe" + (len(_TEXT) + 2).to_bytes(2, "big") + _TEXT


def marked(picture: bytes) -> bytes:
    """Return an annotated JPEG of the engine with the mark."""
    return picture[:_HEADER_BYTES] + _MARK + picture[_HEADER_BYTES:]


def is_annotated(path: Path) -> bool:
    """Whether `visage predict` wrote this file. False where there is no file, or where it cannot be read."""
    try:
        # Checked before opening: opening a pipe would block until somebody writes to it.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES + len(_MARK))[_HEADER_BYTES:] == _MARK
    except OSError:
        return False


def plan_targets(photos: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Return the path of each photo's annotated image in the directory `output`.

    A path is free if no photo and no other annotated image of this run has it, and if nothing is there but an annotated
    image of an earlier run. So a second run of the same command replaces the images of the first.
    """
    taken = {photo.resolve() for photo in photos}
    targets: dict[Path, Path] = {}
    for photo in photos:
        suffixes = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
        candidates = (output / f"{photo.stem}_faces{suffix}.jpg" for suffix in suffixes)
        targets[photo] = next(each for each in candidates if each.resolve() not in taken and _is_replaceable(each))
        taken.add(targets[photo].resolve())
    return targets


def _is_replaceable(path: Path) -> bool:
    return not path.is_symlink() and (not path.exists() or is_annotated(path))
