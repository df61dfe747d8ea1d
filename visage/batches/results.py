"""The outcome of a file of a batch: a result in the store, or a failure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from visage.errors import VisageError


@dataclass(frozen=True)
class Failure:
    """Why a file has no result: `error` is a sentence for people, `code` a stable name for programs."""

    error: str
    code: str

    @classmethod
    def of(cls, error: VisageError) -> "Failure":
        return cls(str(error), error.code)


@dataclass(frozen=True)
class Done:
    """A file with a result.

    `faces` is the number of faces, None if the task does not look for them. `attempt` (from 1) is the attempt whose
    result counts. `cover` is the number of boxes that were redacted because the client asked for that. `converted_to`
    is the format of the result, a key of `visage.images.MEDIA_TYPES`, if it is not that of the photo.
    """

    faces: int | None
    attempt: int
    cover: int = 0
    converted_to: str | None = None


Result = Done | Failure

_SINCE_0_2 = ("cover", "converted_to")


def result_to_json(result: Result) -> dict[str, Any]:
    """Return `result` as plain data, in the form that queue and store keep.

    Fields that version 0.1 did not know are left out where they say nothing, so that processes of both versions can
    share a queue.
    """
    return {name: value for name, value in asdict(result).items() if value or name not in _SINCE_0_2}


def result_from_json(plain: Mapping[str, Any]) -> Result:
    """Return what `result_to_json` serialized."""
    return Failure(**plain) if "code" in plain else Done(**plain)
