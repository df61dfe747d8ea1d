"""Which photo of a batch each entry of a `faces.json` means."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from visage.anonymize.face_boxes import FACES_FILE, FaceBoxes
from visage.batches.file_names import safe_names
from visage.errors import BadParameter


class NamedBoxes:
    """The boxes that people chose, while the files of a batch arrive.

    An archive is a number that the caller gives to each ZIP; 0 are the files of the form itself. A `faces.json` in a
    ZIP concerns the photos of that ZIP, one of the form concerns all photos. Names are relative to its folder.
    """

    def __init__(self, max_photos: int) -> None:
        """Prepare for a batch of at most `max_photos` photos."""
        self._max_photos = max_photos
        # By archive and name: the numbers of the files in the batch.
        self._numbers: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        self._boxes: list[tuple[int, str, FaceBoxes]] = []

    def add_file(self, number: int, name: str, archive: int) -> None:
        """Note that the file `number` (from 1) of the batch has this name in its archive."""
        for each in {archive, 0}:
            self._numbers[each, _key(name)].append(number)

    def add_boxes(self, name: str, boxes: Mapping[str, FaceBoxes], archive: int) -> None:
        """Add the content of the `faces.json` that has this name in its archive.

        Raises:
            BadParameter: there are boxes for more photos than a batch may have.
        """
        if len(self._boxes) + len(boxes) > self._max_photos:
            raise BadParameter(
                f"{FACES_FILE} names more than the {self._max_photos:,} photos that a batch may have; "
                "send several batches."
            )
        folder = PurePosixPath(_key(name)).parent
        self._boxes += [(archive, _key(str(folder / photo)), each) for photo, each in boxes.items()]

    def by_number(self) -> dict[int, FaceBoxes]:
        """Return the boxes of each file that has some, by its number. Call it when all files have arrived.

        Raises:
            BadParameter: a name stands for no file of the batch, or for several.
        """
        found: dict[int, FaceBoxes] = {}
        for archive, name, boxes in self._boxes:
            numbers = self._numbers.get((archive, name), [])
            if len(numbers) != 1:
                how_many = f"for {len(numbers)} files" if numbers else "for no file"
                raise BadParameter(f"{FACES_FILE}: {name!r} stands {how_many} of the batch; give each photo its name.")
            if numbers[0] in found:
                raise BadParameter(f"{FACES_FILE}: {name!r} has boxes twice; keep one of them.")
            found[numbers[0]] = boxes
        return found


def is_faces_file(name: str) -> bool:
    """Whether a file of a batch is a `faces.json`."""
    return PurePosixPath(_key(name)).name == FACES_FILE


def _key(name: str) -> str:
    """Return a name as the batch lists it, without the number that equal names get."""
    return next(safe_names([name]))
