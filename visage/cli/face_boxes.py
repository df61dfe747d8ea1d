"""`--faces`: the boxes that a person chose for each photo, from a file."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from visage.anonymize.face_boxes import FaceBoxes, read_face_boxes
from visage.cli.console import print_line
from visage.cli.plan import Plan
from visage.errors import BadParameter, SetupError


def read_faces_file(path: Path) -> Mapping[str, FaceBoxes]:
    """Return the boxes of each photo that the file at `path` names, by the photo's name.

    Raises:
        SetupError: the file cannot be read, or its content is invalid.
    """
    try:
        return read_face_boxes(path.read_bytes(), str(path))
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None
    except BadParameter as error:
        raise SetupError(str(error)) from None


def boxes_by_source(boxes: Mapping[str, FaceBoxes], plan: Plan, output: Path) -> dict[str, FaceBoxes]:
    """Return the boxes by the path of the original.

    Names are paths of copies, relative to the directory `output`, or those that copies would have with the suffix of
    their originals. Boxes for copies that exist are not used; a line says so.

    Raises:
        SetupError: no photo has one of the names, or two names are those of one photo.
    """
    sources = {os.path.relpath(copy.named, output): copy.source for copy in plan.copies}
    sources |= {os.path.relpath(copy.target, output): copy.source for copy in plan.copies}
    found: dict[str, FaceBoxes] = {}
    existing = 0
    for name, each in boxes.items():
        relative = os.path.normpath(PurePosixPath(name))
        if relative in sources:
            _add(found, sources[relative], each)
        elif (output / relative).exists():
            existing += 1
        else:
            raise SetupError(f"--faces names {name!r}, and no photo has a copy of this name in {output}.")
    if existing:
        copies = "1 copy" if existing == 1 else f"{existing} copies"
        print_line(f"{copies} with boxes skipped; --again replaces them.", to_stderr=True)
    return found


def boxes_of_photo(boxes: Mapping[str, FaceBoxes], photo: Path) -> FaceBoxes:
    """Return the boxes of a photo whose copy goes to standard output. Its names are its file's name and its path.

    Raises:
        SetupError: the photo has none of the names, or two names are those of the photo.
    """
    found: dict[str, FaceBoxes] = {}
    for name, each in boxes.items():
        if os.path.normpath(PurePosixPath(name)) not in {photo.name, os.path.normpath(photo)}:
            raise SetupError(f"--faces names {name!r}, and the only photo is {photo.name!r}.")
        _add(found, str(photo), each)
    return found.get(str(photo), FaceBoxes())


def _add(found: dict[str, FaceBoxes], source: str, boxes: FaceBoxes) -> None:
    if source in found:
        raise SetupError(f"--faces has boxes twice for {source}; keep one of them.")
    found[source] = boxes
