"""A batch and its progress, as data; and a batch as the JSON in the store."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any

from visage.anonymize.face_boxes import FaceBoxes
from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.batches.results import Failure, Result
from visage.batches.state_machine import State
from visage.enhance.results import EnhanceOptions
from visage.errors import BadParameter
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.search import Detail
from visage.images.boxes import Box

# 144 random bits: anyone with the ID can access the batch, so nobody must be able to guess it.
_ID_BYTES = 18
_ID = re.compile(r"[A-Za-z0-9_-]{24}")

# Characters of an ID in the log: enough to tell batches apart, too few to access one.
_LABEL_LENGTH = 8


class Task(Enum):
    """What happens to each photo of a batch."""

    ANONYMIZE = "anonymize"
    PREDICT = "predict"
    ENHANCE = "enhance"


# The type of the options determines the task.
BatchOptions = AnalyzeOptions | AnonymizeOptions | EnhanceOptions
_TASKS = {AnonymizeOptions: Task.ANONYMIZE, AnalyzeOptions: Task.PREDICT, EnhanceOptions: Task.ENHANCE}


@dataclass(frozen=True)
class Entry:
    """A file of a batch: its safe name, the reason if it was rejected on arrival, and the boxes that a person chose."""

    name: str
    rejected: Failure | None = None
    boxes: FaceBoxes = field(default_factory=FaceBoxes)


@dataclass(frozen=True)
class Batch:
    """A batch as it was submitted. `created` is in UTC seconds; the files have the numbers 1, 2, ... in this order.

    `source` is the name of the folder or ZIP that they came from, safe as a file name; empty without one.
    """

    id: str
    options: BatchOptions
    created: float
    entries: tuple[Entry, ...]
    source: str = ""

    @property
    def task(self) -> Task:
        return task_of(self.options)

    def options_of(self, number: int) -> BatchOptions:
        """Return the options for one file: those of the batch, with the boxes that a person chose for it."""
        boxes = self.entries[number - 1].boxes
        if isinstance(self.options, AnonymizeOptions):
            return replace(self.options, keep=boxes.keep, cover=boxes.cover)
        return self.options

    @cached_property
    def accepted(self) -> tuple[int, ...]:
        """The numbers of the files to process."""
        return tuple(number for number, entry in enumerate(self.entries, 1) if entry.rejected is None)

    @cached_property
    def rejected(self) -> dict[int, Result]:
        """The files that were rejected on arrival, by number."""
        return {number: entry.rejected for number, entry in enumerate(self.entries, 1) if entry.rejected is not None}


@dataclass(frozen=True)
class Progress:
    """The state of a batch and the numbers of its files.

    `created` and `expires` are in UTC seconds. `reason` says why a batch failed as a whole.
    """

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
    """A file that is WAITING, DONE with the number of `faces` (None if the task does not count them), or FAILED.

    `cover` is the number of boxes that were redacted because the client asked for that. `converted_to` is the format of
    the result if it is not that of the photo.
    """

    number: int
    name: str
    state: State
    faces: int | None = None
    failure: Failure | None = None
    cover: int = 0
    converted_to: str | None = None


@dataclass(frozen=True)
class Status:
    """The progress of a batch, and the status of each of its files."""

    progress: Progress
    files: tuple[FileStatus, ...]


def task_of(options: BatchOptions) -> Task:
    """Return the task that these options are for."""
    return _TASKS[type(options)]


def new_id() -> str:
    """Return an ID that nobody can guess."""
    return secrets.token_urlsafe(_ID_BYTES)


def is_id(text: str) -> bool:
    """Whether `text` has the form of an ID. If so, it is safe as a part of a path."""
    return _ID.fullmatch(text) is not None


def label(batch_id: str) -> str:
    """Return the part of an ID that the log shows."""
    return batch_id[:_LABEL_LENGTH]


def batch_to_json(batch: Batch) -> bytes:
    """Return `batch`, without its ID, as JSON for the store."""
    entries = [_entry_to_json(entry) for entry in batch.entries]
    plain = {"task": batch.task.value, "options": _options_to_json(batch.options), "created": batch.created}
    return json.dumps(plain | {"files": entries, "source": batch.source}).encode()


def batch_from_json(batch_id: str, content: bytes) -> Batch:
    """Return the batch that `batch_to_json` serialized; ValueError for anything else, also of another version."""
    try:
        plain = json.loads(content)
        entries = tuple(_entry_from_json(*entry) for entry in plain["files"])
        options = _options_from_json(Task(plain["task"]), plain["options"])
        return Batch(batch_id, options, plain["created"], entries, plain.get("source", ""))
    except (BadParameter, LookupError, TypeError) as error:
        raise ValueError("This is not a batch as this version writes it.") from error


def created_from_json(content: bytes) -> float:
    """Return when a batch was created, in UTC seconds, even if its other fields are of another version.

    Raises:
        ValueError: `content` has no such time.
    """
    try:
        return float(json.loads(content)["created"])
    except (LookupError, TypeError) as error:
        raise ValueError("This is not a batch.") from error


def _entry_to_json(entry: Entry) -> list[Any]:
    rejected = asdict(entry.rejected) if entry.rejected else None
    boxes = {name: [box.corners for box in each] for name, each in vars(entry.boxes).items() if each}
    # Most files have neither.
    return [entry.name, rejected, boxes] if boxes else [entry.name, rejected] if rejected else [entry.name]


def _entry_from_json(
    name: str, rejected: Mapping[str, Any] | None = None, boxes: Mapping[str, Any] | None = None
) -> Entry:
    found = {kind: tuple(Box(*corners) for corners in each) for kind, each in (boxes or {}).items()}
    return Entry(name, Failure(**rejected) if rejected else None, FaceBoxes(**found))


def _options_to_json(options: BatchOptions) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(options), default=lambda each: each.value))
    return plain


def _options_from_json(task: Task, plain: Mapping[str, Any]) -> BatchOptions:
    if task is Task.ENHANCE:
        return EnhanceOptions(**plain)
    detail = Detail(plain["detail"])
    if task is Task.PREDICT:
        return AnalyzeOptions(**{**plain, "detail": detail})
    mask = Mask(Method(plain["mask"]["method"]), Shape(plain["mask"]["shape"]), plain["mask"]["scale"])
    boxes = {name: tuple(Box(**box) for box in plain.get(name, ())) for name in ("keep", "cover")}
    return AnonymizeOptions(**{**plain, "detail": detail, "mask": mask, **boxes})
