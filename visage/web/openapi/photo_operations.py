"""The operations on one photo, one row each."""

from visage.web.openapi import errors, samples
from visage.web.openapi.media import PICTURE_TYPES, binary, events, photo_content
from visage.web.openapi.operation import COMMON_ERRORS, Body, Content, Operation, Success, json_content
from visage.web.parameters import table

_PHOTO = (
    *COMMON_ERRORS,
    errors.BAD_PHOTO_REQUEST,
    errors.CROSS_SITE,
    errors.NOT_ACCEPTABLE,
    errors.PHOTO_TOO_LARGE,
    errors.UNSUPPORTED_TYPE,
    errors.UNDECODABLE_IMAGE,
    errors.TOO_MANY_PHOTOS,
)
_PHOTO_BODY = (
    "One {}: JPEG, PNG, WebP, HEIC, AVIF, TIFF or BMP, detected by its first bytes. A raw body may lack its type. "
    "Base64 in JSON takes a third more bytes, which count for the limit."
)
_FACE_COUNT = {"schema": {"type": "integer", "minimum": 0}}


_ORIGINAL_FORMAT = {
    "X-Original-Format": {
        "description": "Format of the photo that was sent; not with JSON.",
        "schema": {"type": "string", "enum": ["JPEG", "PNG", "WebP", "HEIC", "AVIF", "TIFF", "BMP"]},
    },
}


def _pictures(description: str) -> Content:
    return {media_type: {"schema": binary(description)} for media_type in PICTURE_TYPES}


def _analysis(path: str, name: str, summary: str, default: str) -> Operation:
    content = {
        **json_content("Analysis", samples.ANALYSIS),
        "image/jpeg": {"schema": binary("The annotated picture.")},
        "multipart/mixed": {"schema": binary("Two raw parts: the JSON without the picture, and the annotated JPEG.")},
    }
    face_count = {"description": "Number of faces; only with `image/jpeg`.", **_FACE_COUNT}
    return Operation(
        "post",
        path,
        name,
        summary,
        (Success("The faces in the photo; an empty list if there are none.", content, {"X-Face-Count": face_count}),),
        (*_PHOTO, errors.WAIT_TIMEOUT),
        f"The response has the type in `format`, else in `Accept`. By default it is {default}.",
        table.ANALYSIS,
        body=Body(_PHOTO_BODY.format("photo"), photo_content("PhotoForm", "PhotoJson", {"detail": "high"})),
    )


PHOTO_OPERATIONS = (
    _analysis("/predict", "predict", "Faces in a photo, as JSON by default.", "JSON with the annotated JPEG as base64"),
    _analysis("/analyze", "analyze", "Faces in a photo, as the annotated picture by default.", "the annotated JPEG"),
    Operation(
        "post",
        "/anonymize",
        "anonymize",
        "Make the faces in a photo unrecognizable.",
        (
            Success(
                "The photo with its faces redacted.",
                {**json_content("Anonymized", samples.ANONYMIZED), **_pictures("The photo.")},
                {
                    "X-Face-Count": {
                        "description": "Number of redacted faces, with those of `cover`; not with JSON.",
                        **_FACE_COUNT,
                    },
                    "X-Image-Depth": {
                        "description": "Bits of each channel of the picture; not with JSON.",
                        "schema": {"type": "integer", "enum": [8, 16]},
                    },
                    **_ORIGINAL_FORMAT,
                },
            ),
        ),
        (*_PHOTO, errors.WAIT_TIMEOUT),
        "The response is a file in the format and size of the photo, upright, without metadata; HEIC and AVIF become "
        "JPEG, and TIFF becomes PNG. With `format=json` or `Accept: application/json`, it is JSON with the faces and "
        "the file as base64.",
        table.ANONYMIZATION,
        body=Body(_PHOTO_BODY.format("photo"), photo_content("AnonymizeForm", "AnonymizeJson", {"method": "mosaic"})),
    ),
    Operation(
        "post",
        "/enhance",
        "enhance",
        "Enlarge a picture by super-resolution.",
        (
            Success(
                "The enhanced picture.",
                {
                    **json_content("Enhanced", samples.ENHANCED),
                    **_pictures("The picture."),
                    **events("EnhanceEvent", samples.ENHANCE_EVENTS),
                },
                _ORIGINAL_FORMAT,
            ),
        ),
        (*_PHOTO, errors.NO_TIME_TO_ENLARGE),
        "The response is a file in the format of the picture, upright, without metadata; HEIC and AVIF become JPEG, "
        "and TIFF becomes PNG. With `format=json` or `Accept: application/json`, it is JSON with the size and the file "
        "as base64. The net of the bundled pack enlarges 3 times; for a smaller `scale` its result is shrunk. A "
        "picture that is too large for a scale gets 413, with the largest one that fits in `max_scale`. A worker "
        "enhances one picture at a time, and all other photos take precedence. Closing the connection, or its sending "
        "side, cancels the work. With `format=events` or `Accept: text/event-stream`, the response tells the progress "
        "as server-sent events: `progress` at once and after every tile, then `end` with the JSON, or `error` with an "
        "error that came up after the beginning.",
        table.ENHANCEMENT,
        body=Body(_PHOTO_BODY.format("picture"), photo_content("EnhanceForm", "EnhanceJson", {"format": "json"})),
    ),
)
