"""Every error that Visage raises on purpose, as one tree.

    VisageError                500 internal_error
    ├── SetupError             (stops the service's start or the command; never sent to a client)
    │   ├── SettingsError
    │   ├── PackError
    │   ├── FetchError
    │   └── LabelsError
    ├── RequestError           400 bad_request
    │   ├── NoImage            400 no_image
    │   ├── EmptyImage         400 empty_image
    │   ├── BadParameter       400 bad_parameter
    │   ├── Unauthorized       401 unauthorized
    │   ├── CrossSite          403 cross_site
    │   ├── NotAcceptable      406 not_acceptable
    │   ├── BodyTimeout        408 body_timeout
    │   ├── BodyTooLarge       413 body_too_large
    │   ├── ImageTooLarge      413 image_too_large
    │   ├── AddressTooLong     414 address_too_long
    │   ├── UnsupportedType    415 unsupported_type
    │   ├── HostNotAllowed     421 host_not_allowed
    │   ├── UndecodableImage   422 undecodable_image
    │   └── HeadersTooLong     431 headers_too_long
    ├── BatchError             (concerns a batch, never a request with a single photo)
    │   ├── BatchNotFound      404 batch_not_found
    │   ├── BatchFileNotFound  404 file_not_found
    │   ├── BatchNotDone       409 batch_not_done
    │   ├── ArchiveTooLarge    413 archive_too_large
    │   ├── BadArchive         422 bad_archive
    │   ├── BatchesUnavailable 503 batches_unavailable
    │   └── StorageFull        507 storage_full
    └── BusyError              503 busy (has retry_after)
        ├── QueueFull          429 queue_full
        ├── WaitTimeout        503 wait_timeout
        └── NotReady           503 not_ready

The message of an error is one sentence for its reader: what is wrong, and what to do.
"""

import errno
from enum import Enum
from typing import ClassVar

# The `errno` of an OSError when the disk or the user's quota is full.
DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


class VisageError(Exception):
    """The base class.

    Attributes:
        status: The HTTP status of the response.
        code: The name of the error for programs. It never changes.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"


class SetupError(VisageError):
    """The service or a command cannot start, or cannot do what its operator asked for."""


class SettingsError(SetupError):
    """A setting is invalid or cannot be used here."""


class PackError(SetupError):
    """A model pack is missing, incomplete or altered, or its manifest is invalid."""


class FetchError(SetupError):
    """A file of a model pack could not be downloaded."""


class LabelsError(SetupError):
    """A folder of labelled photos for an evaluation cannot be used."""


class RequestError(VisageError):
    """The request is invalid."""

    status = 400
    code = "bad_request"


class NoImage(RequestError):
    """The request contains no image."""

    code = "no_image"


class EmptyImage(RequestError):
    """The image has no bytes."""

    code = "empty_image"


class BadParameter(RequestError):
    """A parameter has an invalid value."""

    code = "bad_parameter"


class Unauthorized(RequestError):
    """The bearer token is missing or wrong."""

    status = 401
    code = "unauthorized"


class CrossSite(RequestError):
    """A web page of an origin that is not allowed sent the request."""

    status = 403
    code = "cross_site"


class NotAcceptable(RequestError):
    """The route has none of the media types in the Accept header."""

    status = 406
    code = "not_acceptable"


class BodyTimeout(RequestError):
    """The request arrived too slowly."""

    status = 408
    code = "body_timeout"


class BodyTooLarge(RequestError):
    """The body has too many bytes."""

    status = 413
    code = "body_too_large"


class Limit(Enum):
    """What settings limit of an image: the pixels of any, those of one to anonymize or enhance, or the memory."""

    IMAGE_PIXELS = "image pixels"
    PIXELS = "pixels"
    MEMORY = "memory"


class ImageTooLarge(RequestError):
    """The image has too many pixels or bytes.

    Attributes:
        max_scale: The largest scale at which it can be enlarged, if it is too large for another.
        limit: What a setting limits, if that is the reason.
    """

    status = 413
    code = "image_too_large"

    def __init__(self, message: str, max_scale: float | None = None, limit: Limit | None = None) -> None:
        super().__init__(message)
        self.max_scale = max_scale
        self.limit = limit


class AddressTooLong(RequestError):
    """The request line is too long."""

    status = 414
    code = "address_too_long"


class UnsupportedType(RequestError):
    """The file is not in a format that Visage reads."""

    status = 415
    code = "unsupported_type"


class HostNotAllowed(RequestError):
    """The request names a host that is not one of the service's."""

    status = 421
    code = "host_not_allowed"


class UndecodableImage(RequestError):
    """The image is damaged or incomplete."""

    status = 422
    code = "undecodable_image"


class HeadersTooLong(RequestError):
    """The headers are too long or too many."""

    status = 431
    code = "headers_too_long"


class BatchError(VisageError):
    """A batch cannot be accepted, shown or downloaded."""


class BatchNotFound(BatchError):
    """The batch does not exist: it never did, was cancelled, or has expired."""

    status = 404
    code = "batch_not_found"


class BatchFileNotFound(BatchError):
    """The batch has no result for this file."""

    status = 404
    code = "file_not_found"


class BatchNotDone(BatchError):
    """The batch has no result, because it is not done yet or has failed."""

    status = 409
    code = "batch_not_done"


class ArchiveTooLarge(BatchError):
    """The batch has too many files, or too many bytes when unpacked."""

    status = 413
    code = "archive_too_large"


class BadArchive(BatchError):
    """The file is not a ZIP, is damaged, or uses a feature that is not supported."""

    status = 422
    code = "bad_archive"


class BatchesUnavailable(BatchError):
    """The store or the queue of batches is unreachable."""

    status = 503
    code = "batches_unavailable"


class StorageFull(BatchError):
    """The storage of batches is full, or its quota is reserved."""

    status = 507
    code = "storage_full"

    def __init__(self, message: str = "The storage for batches is full; try again later.") -> None:
        super().__init__(message)


class BusyError(VisageError):
    """The service cannot accept the request now.

    Attributes:
        retry_after: Seconds after which the client may try again.
    """

    status = 503
    code = "busy"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(BusyError):
    """Too many requests wait already."""

    status = 429
    code = "queue_full"


class WaitTimeout(BusyError):
    """The request waited too long for a slot."""

    code = "wait_timeout"


class NotReady(BusyError):
    """The service is starting or stopping."""

    code = "not_ready"
