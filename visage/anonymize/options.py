"""The options of an anonymization."""

from dataclasses import dataclass, field

from visage.anonymize.masks import Mask
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.ranges import CONFIDENCE_RANGE, check_choice, check_number


@dataclass(frozen=True)
class AnonymizeOptions:
    """Which faces are redacted, and how.

    Boxes from `min_confidence` (0..1) on are redacted; None is the pack's `redaction_confidence`. `keep` are boxes in
    pixels of the upright original; the faces in them are not redacted. `cover` are boxes of faces that the detector
    missed; they are redacted too, also where they overlap a face to keep. Without `detect` they are all that is
    redacted.

    Raises:
        BadParameter: a value is outside its range.
    """

    mask: Mask = field(default_factory=Mask)
    min_confidence: float | None = None
    keep: tuple[Box, ...] = ()
    detail: Detail = Detail.HIGH
    cover: tuple[Box, ...] = ()
    detect: bool = True

    def __post_init__(self) -> None:
        if self.min_confidence is not None:
            check_number("min_confidence", self.min_confidence, CONFIDENCE_RANGE)
        check_choice("detail", self.detail, Detail)
