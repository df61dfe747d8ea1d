"""Every error response: what it means, and a sentence of each of its codes as an example."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage import errors
from visage.errors import BusyError, Unauthorized, VisageError
from visage.images.image_header import ACCEPTED
from visage.web.openapi.media import JSON, REQUEST_ID

_RETRY_AFTER = {
    "description": "Seconds to wait before the next attempt.",
    "schema": {"type": "integer", "minimum": 1},
}


Sentences = Mapping[type[VisageError], str]


@dataclass(frozen=True, eq=False)
class ErrorResponse:
    """A row: its name in the document, its meaning, and the errors that it may be, all of one status."""

    name: str
    description: str
    sentences: Sentences

    @property
    def status(self) -> str:
        (status,) = {kind.status for kind in self.sentences}
        return str(status)

    def described(self) -> dict[str, Any]:
        """Return the response as OpenAPI describes it. Its examples are named by their codes."""
        headers: dict[str, Any] = dict(REQUEST_ID)
        if all(issubclass(kind, BusyError) for kind in self.sentences):
            headers["Retry-After"] = _RETRY_AFTER
        if Unauthorized in self.sentences:
            headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
        examples = {
            kind.code: {"value": {"error": sentence, "code": kind.code}} for kind, sentence in self.sentences.items()
        }
        return {
            "description": self.description,
            "headers": headers,
            "content": {JSON: {"schema": "Error", "examples": examples}},
        }


_BAD_PARAMETER: Sentences = {errors.BadParameter: "Unknown parameter detial. Did you mean detail?"}
_BAD_REQUEST: Sentences = {errors.RequestError: "The body does not match its headers; send the request again."}

BAD_PHOTO_REQUEST = ErrorResponse(
    "BadPhotoRequest",
    "The request has no photo, an empty photo, or an invalid parameter.",
    {
        errors.NoImage: (
            "Send the photo as the multipart field 'image', its bytes as the body, or JSON with 'image' as base64."
        ),
        errors.EmptyImage: "The field 'image' is empty; choose a photo for it.",
        **_BAD_PARAMETER,
        **_BAD_REQUEST,
    },
)
BAD_BATCH_REQUEST = ErrorResponse(
    "BadBatchRequest",
    "The request has no files, or an invalid parameter.",
    {
        errors.NoImage: (
            "Send photos or ZIP archives as files of a multipart form, or one ZIP as the body, as application/zip."
        ),
        **_BAD_PARAMETER,
        **_BAD_REQUEST,
    },
)
BAD_PARAMETER = ErrorResponse(
    "BadParameter",
    "The request is malformed, or has an invalid parameter.",
    {errors.BadParameter: "files is 'some'; it must be one of true, false.", **_BAD_REQUEST},
)
BAD_REQUEST = ErrorResponse(
    "BadRequest",
    "The request is malformed, or has a parameter.",
    {errors.BadParameter: "Unknown parameter files. This operation has no parameters.", **_BAD_REQUEST},
)
UNAUTHORIZED = ErrorResponse(
    "Unauthorized",
    "The token is missing or wrong.",
    {Unauthorized: "This service requires a token; send it as `Authorization: Bearer TOKEN`."},
)
CROSS_SITE = ErrorResponse(
    "CrossSite",
    "A web page of an origin that is not allowed sent the request.",
    {
        errors.CrossSite: (
            "A web page of another origin may not send this request; the operator can allow its origin in "
            "VISAGE_CORS_ORIGINS."
        )
    },
)
NOT_ACCEPTABLE = ErrorResponse(
    "NotAcceptable",
    "No type in `Accept` is available.",
    {
        errors.NotAcceptable: (
            "No type in Accept is available; ask for application/json, image/jpeg or multipart/mixed."
        )
    },
)
BODY_TIMEOUT = ErrorResponse(
    "BodyTimeout",
    "The request did not arrive in time.",
    {errors.BodyTimeout: "The body did not arrive within 30 seconds; send the request again."},
)
PHOTO_TOO_LARGE = ErrorResponse(
    "PhotoTooLarge",
    "The body has too many bytes or fields, or the picture has too many pixels or a side that is too long.",
    {
        errors.BodyTooLarge: (
            "The body has more than 52,428,800 bytes, a field that is too long, or too many fields; send one smaller "
            "photo, with nothing but parameters."
        ),
        errors.ImageTooLarge: "The image has 12,000 x 9,000 pixels; at most 50,000,000 are accepted.",
    },
)
BATCH_TOO_LARGE = ErrorResponse(
    "BatchTooLarge",
    "The batch has too many bytes or files, packed or unpacked, or a field that is too long.",
    {
        errors.BodyTooLarge: "A field of the form is too long; send photos as files, with a file name.",
        errors.ArchiveTooLarge: "The unpacked archives are too large; send several batches.",
    },
)
ADDRESS_TOO_LONG = ErrorResponse(
    "AddressTooLong", "The URL is too long.", {errors.AddressTooLong: "The address is too long; send a shorter one."}
)
UNSUPPORTED_TYPE = ErrorResponse(
    "UnsupportedType",
    "The photo has no format that this installation reads, or is of a rare kind; or the body is compressed "
    "(Content-Encoding).",
    {errors.UnsupportedType: f"GIF is not accepted; send the photo as {ACCEPTED}."},
)
COMPRESSED_BATCH = ErrorResponse(
    "CompressedBatch",
    "The body is compressed (Content-Encoding).",
    {errors.UnsupportedType: "Compressed bodies are not supported; send the body without Content-Encoding."},
)
HOST_NOT_ALLOWED = ErrorResponse(
    "HostNotAllowed",
    "The request names a host that is not one of the service's.",
    {
        errors.HostNotAllowed: (
            "This service has another host name; its operator can add names to VISAGE_ALLOWED_HOSTS."
        )
    },
)
UNDECODABLE_IMAGE = ErrorResponse(
    "UndecodableImage",
    "The picture is truncated or damaged.",
    {errors.UndecodableImage: "The image ends within its header; send the whole file."},
)
BAD_ARCHIVE = ErrorResponse(
    "BadArchive",
    "The ZIP archive is invalid or damaged.",
    {errors.BadArchive: "This is not a ZIP archive, or it is incomplete; send the original file."},
)
TOO_MANY_PHOTOS = ErrorResponse(
    "TooManyPhotos",
    "The queue is full.",
    {errors.QueueFull: "Too many photos are waiting already; try again in a second."},
)
TOO_MANY_BATCHES = ErrorResponse(
    "TooManyBatches",
    "Too many batches are being uploaded or downloaded.",
    {errors.QueueFull: "Too many batches are in transfer; try again in a few seconds."},
)
HEADERS_TOO_LONG = ErrorResponse(
    "HeadersTooLong",
    "The headers are too long or too many.",
    {errors.HeadersTooLong: "The headers are too long; send fewer or shorter ones."},
)
INTERNAL_ERROR = ErrorResponse(
    "InternalError",
    "The service failed unexpectedly.",
    {VisageError: "The service failed unexpectedly; try again, and report the request ID if the error persists."},
)
WAIT_TIMEOUT = ErrorResponse(
    "WaitTimeout",
    "No slot became free in time.",
    {errors.WaitTimeout: "No slot came free within 5 seconds; try again in a moment."},
)
NO_SLOT_OR_BATCHES = ErrorResponse(
    "NoSlotOrBatches",
    "No slot became free in time, or the batch store is unreachable.",
    {
        **WAIT_TIMEOUT.sentences,
        errors.BatchesUnavailable: "Batches are unavailable; the reason is in the service's log.",
    },
)
NO_TIME_TO_ENLARGE = ErrorResponse(
    "NoTimeToEnlarge",
    "The picture waited too long for its turn, or the service is being stopped before it can be finished.",
    {
        **WAIT_TIMEOUT.sentences,
        errors.NotReady: "The service is being stopped before this picture can be finished; send it again.",
    },
)
NOT_READY = ErrorResponse(
    "NotReady",
    "The nets are being warmed up.",
    {errors.NotReady: "The nets are being warmed up; try again in a second."},
)
BATCH_NOT_FOUND = ErrorResponse(
    "BatchNotFound",
    "There is no such batch; it may have been deleted or have expired.",
    {errors.BatchNotFound: "There is no batch of this id; it may have been deleted, which happens after some hours."},
)
BATCH_FILE_NOT_FOUND = ErrorResponse(
    "BatchFileNotFound",
    "There is no such batch, or it has no result for this file.",
    {
        **BATCH_NOT_FOUND.sentences,
        errors.BatchFileNotFound: "The batch has no result with the number 7; see its list of files.",
    },
)
BATCH_NOT_DONE = ErrorResponse(
    "BatchNotDone",
    "The batch has no result: it is not done yet, or it failed as a whole.",
    {errors.BatchNotDone: "The batch has no result: it is not done yet."},
)
BATCHES_UNAVAILABLE = ErrorResponse(
    "BatchesUnavailable",
    "The batch store is unreachable.",
    {errors.BatchesUnavailable: "Batches are unavailable; the reason is in the service's log."},
)
STORAGE_FULL = ErrorResponse(
    "StorageFull",
    "The batch store is full, or all batches together have reserved as many bytes as they may take.",
    {errors.StorageFull: "The storage for batches is full; try again later."},
)
