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
    result counts. `cover` is the number of boxes that were redacted because the client asked for that.
    """

    faces: int | None
    attempt: int
    cover: int = 0


Result = Done | Failure


def result_to_json(result: Result) -> dict[str, Any]:
    """Return `result` as plain data, in the form that queue and store keep.

    Without boxes in `cover` that is the form of version 0.1, so that processes of both versions can share a queue.
    """
    plain = asdict(result)
    return plain if plain.get("cover") else {name: value for name, value in plain.items() if name != "cover"}


def result_from_json(plain: Mapping[str, Any]) -> Result:
    """Return what `result_to_json` serialized."""
    return Failure(**plain) if "code" in plain else Done(**plain)
