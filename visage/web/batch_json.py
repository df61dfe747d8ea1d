"""The status of a batch as JSON types, the same in every response and event."""

import time
from typing import Any

from visage.batches.batch import FileStatus, Progress, Status
from visage.batches.quota import Room


def progress_as_json(progress: Progress) -> dict[str, Any]:
    """Return the progress of a batch; times are RFC 3339 in UTC."""
    reason = {"reason": progress.reason} if progress.reason else {}
    return {
        "id": progress.id,
        "task": progress.task.value,
        "state": progress.state.value,
        "total": progress.total,
        "done": progress.done,
        "failed": progress.failed,
        "created": _timestamp(progress.created),
        "expires": _timestamp(progress.expires),
        **reason,
    }


def status_as_json(status: Status) -> dict[str, Any]:
    """Return the progress of a batch and the status of each file."""
    return progress_as_json(status.progress) | {"files": [_file_as_json(file) for file in status.files]}


def room_as_json(room: Room) -> dict[str, Any]:
    """Return how many bytes are reserved and, if there is a limit, how many batches may take and how many are left."""
    limit = {} if room.limit is None else {"max_bytes": room.limit, "left_bytes": room.left}
    return {"reserved_bytes": room.reserved, **limit}


def _file_as_json(file: FileStatus) -> dict[str, Any]:
    content: dict[str, Any] = {"name": file.name, "state": file.state.value}
    if file.faces is not None:
        content["faces"] = file.faces
    if file.cover:
        content["cover"] = file.cover
    if file.failure:
        content |= {"error": file.failure.error, "code": file.failure.code}
    return content


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
