"""Every error that Visage raises on purpose, as one tree.

    VisageError                500 internal_error
    ├── SetupError             (stops the start-up or the command; never reaches a client)
    │   ├── SettingsError
    │   ├── PackError
    │   ├── FetchError
    │   └── LabelsError
    ├── RequestError           400 bad_request
    │   ├── NoImage            400 no_image
    │   ├── EmptyImage         400 empty_image
    │   ├── BadParameter       400 bad_parameter
    │   ├── Unauthorized       401 unauthorized
    │   ├── NotAcceptable      406 not_acceptable
    │   ├── BodyTimeout        408 body_timeout
    │   ├── LengthRequired     411 length_required
    │   ├── BodyTooLarge       413 body_too_large
    │   ├── ImageTooLarge      413 image_too_large
    │   ├── AddressTooLong     414 address_too_long
    │   ├── UnsupportedType    415 unsupported_type
    │   ├── UndecodableImage   422 undecodable_image
    │   └── HeadersTooLong     431 headers_too_long
    ├── BatchError             (about a batch, never about a single photo's request)
    │   ├── BatchNotFound      404 batch_not_found
    │   ├── BatchNotDone       409 batch_not_done
    │   ├── ArchiveTooLarge    413 archive_too_large
    │   ├── BadArchive         422 bad_archive
    │   ├── BatchesUnavailable 503 batches_unavailable
    │   └── StorageFull        507 storage_full
    └── BusyError              503 busy (carries retry_after)
        ├── QueueFull          429 queue_full
        ├── WaitTimeout        503 wait_timeout
        └── NotReady           503 not_ready

The message of an exception is a sentence for the person who reads it: what is wrong, and what to do.
"""

import errno
from typing import ClassVar

# Of an OSError: there is no room, or none that is left to this user.
DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


class VisageError(Exception):
    """Root of the tree.

    `status` is the HTTP status that answers it, `code` the stable name that programs may rely on.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"


class SetupError(VisageError):
    """The service or a command cannot start, or cannot do what its operator asked."""


class SettingsError(SetupError):
    """A setting in the environment has a value that cannot be used."""


class PackError(SetupError):
    """A model pack is missing, incomplete, altered or badly described."""


class FetchError(SetupError):
    """A file of a model pack could not be downloaded."""


class LabelsError(SetupError):
    """A folder of labelled photos that a pack should be measured with cannot be used."""


class RequestError(VisageError):
    """What the caller sent cannot be answered as it is."""

    status = 400
    code = "bad_request"


class NoImage(RequestError):
    code = "no_image"


class EmptyImage(RequestError):
    code = "empty_image"


class BadParameter(RequestError):
    code = "bad_parameter"


class Unauthorized(RequestError):
    status = 401
    code = "unauthorized"


class NotAcceptable(RequestError):
    status = 406
    code = "not_acceptable"


class BodyTimeout(RequestError):
    status = 408
    code = "body_timeout"


class LengthRequired(RequestError):
    status = 411
    code = "length_required"


class BodyTooLarge(RequestError):
    status = 413
    code = "body_too_large"


class ImageTooLarge(RequestError):
    status = 413
    code = "image_too_large"


class AddressTooLong(RequestError):
    status = 414
    code = "address_too_long"


class UnsupportedType(RequestError):
    status = 415
    code = "unsupported_type"


class UndecodableImage(RequestError):
    status = 422
    code = "undecodable_image"


class HeadersTooLong(RequestError):
    status = 431
    code = "headers_too_long"


class BatchError(VisageError):
    """A batch cannot be taken in, shown or handed out."""


class BatchNotFound(BatchError):
    """There is no such batch: never was, was cancelled, or has expired."""

    status = 404
    code = "batch_not_found"


class BatchNotDone(BatchError):
    """The batch has no result: not yet, or it failed as a whole."""

    status = 409
    code = "batch_not_done"


class ArchiveTooLarge(BatchError):
    """There are too many files, or they unpack to too much."""

    status = 413
    code = "archive_too_large"


class BadArchive(BatchError):
    """What was sent as a ZIP is none, is damaged, or is packed in a way that is not read."""

    status = 422
    code = "bad_archive"


class BatchesUnavailable(BatchError):
    """What keeps the batches (Redis, object storage, a database) cannot be reached now."""

    status = 503
    code = "batches_unavailable"


class StorageFull(BatchError):
    """There is no room left where batches are kept."""

    status = 507
    code = "storage_full"

    def __init__(self, message: str = "There is no room left for batches; try again later.") -> None:
        super().__init__(message)


class BusyError(VisageError):
    """The service cannot take the request now; `retry_after` says in how many seconds to come back."""

    status = 503
    code = "busy"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(BusyError):
    status = 429
    code = "queue_full"


class WaitTimeout(BusyError):
    code = "wait_timeout"


class NotReady(BusyError):
    code = "not_ready"
