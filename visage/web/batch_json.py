"""The status of a batch as JSON types, the same in every response and event."""

import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from visage.batches.batch import FileStatus, Progress, Status, Task
from visage.batches.quota import Room
from visage.batches.state_machine import State
from visage.json_types import Count, FileFormat, JsonSchema, as_json_types

_BatchId = Annotated[str, JsonSchema(pattern="^[A-Za-z0-9_-]{24}$")]
_Timestamp = Annotated[str, JsonSchema(format="date-time")]
_BATCH_STATES = [state.value for state in (State.WAITING, State.RUNNING, State.DONE, State.FAILED)]
_FILE_STATES = [state.value for state in (State.WAITING, State.DONE, State.FAILED)]


@dataclass(frozen=True, kw_only=True)
class BatchJson:
    """The progress of a batch."""

    id: _BatchId
    task: Annotated[str, JsonSchema(enum=[task.value for task in Task])]
    state: Annotated[str, JsonSchema(enum=_BATCH_STATES)]
    """`done` if every file has a result or a failure, `failed` if the batch failed as a whole."""
    total: Annotated[int, JsonSchema(minimum=1)]
    """Number of files."""
    done: Count
    """Files that have a result."""
    failed: Count
    """Files that failed."""
    created: _Timestamp
    expires: _Timestamp
    """When the batch is deleted, fetched or not."""
    reason: str | None = None
    """Why the batch failed as a whole; only then."""


@dataclass(frozen=True, kw_only=True)
class BatchFileJson:
    """A file of a batch."""

    name: Annotated[str, JsonSchema(minLength=1)]
    """The uploaded name, made safe to unpack and unique."""
    state: Annotated[str, JsonSchema(enum=_FILE_STATES)]
    faces: Count | None = None
    """Number of faces; only of finished files, and only if the task searches for faces."""
    cover: Annotated[int, JsonSchema(minimum=1)] | None = None
    """Number of boxes that were redacted because a person asked for it; omitted if there is none."""
    converted_to: FileFormat | None = None
    """Format of the result; omitted if it is that of the photo. `converted.csv` in the result has the new name."""
    error: str | None = None
    """Why the file failed, in one sentence; only of failed files."""
    code: str | None = None
    """The same as a stable name for programs; only of failed files."""


@dataclass(frozen=True, kw_only=True)
class BatchStatusJson(BatchJson):
    """The progress of a batch and the status of each file."""

    files: Annotated[list[BatchFileJson], JsonSchema(minItems=1)] | None = None
    """In the order of upload; omitted with `files=false`."""


@dataclass(frozen=True)
class DeletedBatchJson:
    """The end of a batch that was deleted."""

    id: _BatchId
    state: Literal["cancelled"]


@dataclass(frozen=True)
class BatchStorageJson:
    """The bytes that batches may take together. Without a limit there is only `reserved_bytes`."""

    reserved_bytes: Count
    """Bytes that batches take, or may need."""
    max_bytes: Count | None = None
    """Most bytes that all batches may take together."""
    left_bytes: Count | None = None
    """Bytes that a new batch may need."""


def progress_as_json(progress: Progress) -> dict[str, Any]:
    """Return the progress of a batch, as `BatchJson` describes it; times are RFC 3339 in UTC."""
    return _as_json(
        BatchJson(
            id=progress.id,
            task=progress.task.value,
            state=progress.state.value,
            total=progress.total,
            done=progress.done,
            failed=progress.failed,
            created=_timestamp(progress.created),
            expires=_timestamp(progress.expires),
            reason=progress.reason or None,
        )
    )


def status_as_json(status: Status) -> dict[str, Any]:
    """Return the progress of a batch and the status of each file, as `BatchStatusJson` describes them."""
    return progress_as_json(status.progress) | {"files": [file_as_json(file) for file in status.files]}


def file_as_json(file: FileStatus) -> dict[str, Any]:
    """Return the status of a file, as `BatchFileJson` describes it."""
    failure = file.failure
    return _as_json(
        BatchFileJson(
            name=file.name,
            state=file.state.value,
            faces=file.faces,
            cover=file.cover or None,
            converted_to=file.converted_to,
            error=failure.error if failure else None,
            code=failure.code if failure else None,
        )
    )


def deletion_as_json(batch_id: str) -> dict[str, Any]:
    """Return what the last event of a deleted batch says."""
    return _as_json(DeletedBatchJson(batch_id, "cancelled"))


def room_as_json(room: Room) -> dict[str, Any]:
    """Return how many bytes are reserved and, if there is a limit, how many batches may take and how many are left."""
    return _as_json(BatchStorageJson(room.reserved, room.limit, room.left))


def _as_json(content: Any) -> dict[str, Any]:
    return cast(dict[str, Any], as_json_types(content))


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
