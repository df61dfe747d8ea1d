"""What a batch is and what became of it, as data and as JSON."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.enhance.results import EnhanceOptions
from visage.errors import VisageError
from visage.faces.analyzer import Options
from visage.faces.search import Detail
from visage.images.boxes import Box

# 144 random bits: whoever knows an id may have the batch.
_ID_BYTES = 18
_ID = re.compile(r"[A-Za-z0-9_-]{24}")


class Task(Enum):
    """What is done to each photo of a batch."""

    ANONYMIZE = "anonymize"
    PREDICT = "predict"
    ENHANCE = "enhance"


_TASKS = {AnonymizeOptions: Task.ANONYMIZE, Options: Task.PREDICT, EnhanceOptions: Task.ENHANCE}


class State(Enum):
    """How far a batch is, or one of its files: those are WAITING, DONE or FAILED."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Failure:
    """Why a file has no result: a sentence, and a name that programs may rely on."""

    error: str
    code: str

    @classmethod
    def of(cls, error: VisageError) -> "Failure":
        return cls(str(error), error.code)


@dataclass(frozen=True)
class Done:
    """A file that was worked on: how many faces it has, if they were looked for, and which attempt's result is the one
    that counts (from 1).
    """

    faces: int | None
    attempt: int


Result = Done | Failure

# What is to be done to each photo, and how.
BatchOptions = Options | AnonymizeOptions | EnhanceOptions


@dataclass(frozen=True)
class Entry:
    """A file of a batch by the name that its client gave it, with the reason if it was refused on arrival."""

    name: str
    refused: Failure | None = None


@dataclass(frozen=True)
class Batch:
    """A batch as it was handed in. `created` is in UTC seconds; files have the numbers 1, 2, ... in this order."""

    id: str
    options: BatchOptions
    created: float
    entries: tuple[Entry, ...]

    @property
    def task(self) -> Task:
        return _TASKS[type(self.options)]

    @cached_property
    def accepted(self) -> tuple[int, ...]:
        """The numbers of the files that are to be worked on."""
        return tuple(number for number, entry in enumerate(self.entries, 1) if entry.refused is None)

    @cached_property
    def refused(self) -> dict[int, Result]:
        """The files that were refused on arrival, by number."""
        return {number: entry.refused for number, entry in enumerate(self.entries, 1) if entry.refused is not None}


@dataclass(frozen=True)
class End:
    """How a batch ended: all its files have a result (DONE), its client called it off, or it FAILED for a `reason`."""

    state: State
    done: int = 0
    failed: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a batch is; `created` and `expires` are in UTC seconds. `reason` says why a batch failed as a whole."""

    id: str
    task: Task
    state: State
    total: int
    done: int
    failed: int
    created: float
    expires: float
    reason: str = ""


@dataclass(frozen=True)
class FileStatus:
    """How far a file is: WAITING, DONE with `faces` if they were looked for, or FAILED with `failure`."""

    number: int
    name: str
    state: State
    faces: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Status:
    """How far a batch is, and each of its files."""

    progress: Progress
    files: tuple[FileStatus, ...]


def new_id() -> str:
    """An id that nobody can guess."""
    return secrets.token_urlsafe(_ID_BYTES)


def is_id(text: str) -> bool:
    """Whether `text` has the shape of our ids, and so can be a part of a path."""
    return _ID.fullmatch(text) is not None


def label(batch_id: str) -> str:
    """What the log has of an id: enough to tell batches apart, too little to fetch one."""
    return batch_id[:8]


def batch_as_bytes(batch: Batch) -> bytes:
    """`batch` as JSON."""
    entries = [[entry.name] + ([asdict(entry.refused)] if entry.refused else []) for entry in batch.entries]
    plain = {"task": batch.task.value, "options": _options_as_json(batch.options), "created": batch.created}
    return json.dumps(plain | {"files": entries}).encode()


def batch_from_bytes(batch_id: str, content: bytes) -> Batch:
    """What `batch_as_bytes` made JSON of; ValueError for anything else, such as that of another version."""
    try:
        plain = json.loads(content)
        entries = tuple(Entry(name, *(Failure(**failure) for failure in refused)) for name, *refused in plain["files"])
        options = _options_from_json(Task(plain["task"]), plain["options"])
        return Batch(batch_id, options, plain["created"], entries)
    except (LookupError, TypeError) as error:
        raise ValueError("This is not a batch as this version writes it.") from error


def created_from_bytes(content: bytes) -> float:
    """When a batch was begun, in UTC seconds, whatever else is written of it; ValueError if that is not."""
    try:
        return float(json.loads(content)["created"])
    except (LookupError, TypeError) as error:
        raise ValueError("This is no batch.") from error


def result_as_json(result: Result) -> dict[str, Any]:
    """The result of a file as plain data."""
    return asdict(result)


def result_from_json(plain: Mapping[str, Any]) -> Result:
    """What `result_as_json` made plain."""
    return Failure(**plain) if "code" in plain else Done(**plain)


def end_as_json(end: End) -> dict[str, Any]:
    """The end of a batch as plain data."""
    return asdict(end) | {"state": end.state.value}


def end_from_json(plain: Mapping[str, Any]) -> End:
    """What `end_as_json` made plain."""
    return End(**{**plain, "state": State(plain["state"])})


def _options_as_json(options: BatchOptions) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(options), default=lambda each: each.value))
    return plain


def _options_from_json(task: Task, plain: Mapping[str, Any]) -> BatchOptions:
    if task is Task.ENHANCE:
        return EnhanceOptions()
    detail = Detail(plain["detail"])
    if task is Task.PREDICT:
        return Options(**{**plain, "detail": detail})
    mask = Mask(Method(plain["mask"]["method"]), Shape(plain["mask"]["shape"]), plain["mask"]["scale"])
    keep = tuple(Box(**box) for box in plain["keep"])
    return AnonymizeOptions(**{**plain, "detail": detail, "mask": mask, "keep": keep})
