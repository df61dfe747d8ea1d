"""The operations on batches, one row each."""

from visage.web.openapi import errors, samples
from visage.web.openapi.media import FORM, PICTURE_TYPES, binary, events, photo_content
from visage.web.openapi.operation import COMMON_ERRORS, Body, Operation, Success, json_content
from visage.web.parameters import table

_BATCH = (*COMMON_ERRORS, errors.BATCHES_UNAVAILABLE, errors.STORAGE_FULL)
_BATCH_ID = "batch_id"
_PICTURES = {media_type: {"schema": binary()} for media_type in PICTURE_TYPES}

BATCH_OPERATIONS = (
    Operation(
        "post",
        "/batches",
        "submit_batch",
        "Process many photos in the background.",
        (
            Success(
                "The batch is accepted and waits in the queue.",
                json_content("Batch", samples.BATCH),
                {
                    "Location": {
                        "description": "URL of the batch's status.",
                        "schema": {"type": "string", "format": "uri-reference"},
                    }
                },
                202,
            ),
        ),
        (
            *_BATCH,
            errors.BAD_BATCH_REQUEST,
            errors.CROSS_SITE,
            errors.BATCH_TOO_LARGE,
            errors.COMPRESSED_BATCH,
            errors.BAD_ARCHIVE,
            errors.TOO_MANY_BATCHES,
        ),
        "Returns an ID once the batch is received. By default faces are redacted, with the parameters of `/anonymize` "
        "except `keep`, `cover` and `detect`; a file `faces.json` in the form or in a ZIP has the boxes to keep and to "
        "cover for each photo. `task=predict` describes faces, with the parameters of `/predict`; `task=enhance` "
        "enlarges the photos. A parameter of another task is an error. Rejected and failed files are listed with the "
        "reason; the rest continue.",
        table.BATCH,
        body=Body(
            "Photos and ZIP archives of photos as files of a form, under any field names; or one ZIP as the body. A "
            "body without a Content-Length is limited to the size of a photo.",
            {
                FORM: {"schema": "BatchForm", "example": {"files": ["a.jpg", "b.jpg"], "method": "mosaic"}},
                "application/zip": {"schema": binary()},
                "application/x-zip-compressed": {"schema": binary()},
                "application/octet-stream": {"schema": binary()},
            },
        ),
    ),
    Operation(
        "get",
        "/batches",
        "show_batch_storage",
        "How much room is left for batches.",
        (Success("The room for batches.", json_content("BatchStorage", samples.BATCH_STORAGE)),),
        (*_BATCH, errors.BAD_REQUEST),
        "A new batch reserves the most that it may need: twice the bytes of its photos for `task=anonymize`, ten times "
        "for `task=enhance`. Without room it gets 507 `storage_full`. When it is done, only its results count.",
    ),
    Operation(
        "get",
        "/batches/{batch_id}",
        "show_batch",
        "The progress of a batch and the status of each file.",
        (Success("The status of the batch.", json_content("BatchStatus", samples.BATCH_STATUS)),),
        (*_BATCH, errors.BAD_PARAMETER, errors.BATCH_NOT_FOUND),
        "With `files=false` it is cheap enough for several requests a second.",
        table.BATCH_STATUS,
        in_path=(_BATCH_ID,),
    ),
    Operation(
        "delete",
        "/batches/{batch_id}",
        "delete_batch",
        "Cancel a running batch or delete a finished one.",
        (Success("The batch is deleted.", status=204),),
        (*_BATCH, errors.BAD_REQUEST, errors.CROSS_SITE, errors.BATCH_NOT_FOUND),
        "All its files and results are deleted.",
        in_path=(_BATCH_ID,),
    ),
    Operation(
        "get",
        "/batches/{batch_id}/events",
        "watch_batch",
        "The progress of a batch as events.",
        (
            Success(
                "The events, until the batch ends.",
                events("BatchEvent", samples.EVENTS),
            ),
            Success("The client has received `end` already (`Last-Event-ID: end`) and need not reconnect.", status=204),
        ),
        (*_BATCH, errors.BAD_REQUEST, errors.BATCH_NOT_FOUND),
        "Server-sent events for `EventSource`: `progress` at once and after every change, and `end` when the batch is "
        "done, failed or deleted. A stream may stop before `end`, when the service stops or has too many watchers; the "
        "client then reconnects by itself.",
        in_path=(_BATCH_ID,),
        headers=("LastEventId",),
    ),
    Operation(
        "get",
        "/batches/{batch_id}/result.zip",
        "fetch_batch",
        "The results of a finished batch.",
        (Success("The results; available until the batch expires.", {"application/zip": {"schema": binary()}}),),
        (*_BATCH, errors.BAD_REQUEST, errors.BATCH_NOT_FOUND, errors.BATCH_NOT_DONE, errors.TOO_MANY_BATCHES),
        "A ZIP with the anonymized or enhanced photos under the names of their files; for `predict`, `results.csv` "
        "with one row for each face and `results.jsonl` with one line for each photo. Failed files, if any, are listed "
        "in `failures.csv`. `Content-Disposition` names the ZIP after the folder or ZIP that the photos came from.",
        in_path=(_BATCH_ID,),
    ),
    Operation(
        "get",
        "/batches/{batch_id}/files/{number}",
        "show_batch_file",
        "The result of one file of a finished batch.",
        (
            Success(
                "The new picture, or the analysis as JSON for `predict`.",
                {**_PICTURES, **json_content("Analysis", samples.ANALYSIS)},
            ),
        ),
        (
            *_BATCH,
            errors.BAD_PARAMETER,
            errors.BATCH_FILE_NOT_FOUND,
            errors.BATCH_NOT_DONE,
            errors.PHOTO_TOO_LARGE,
            errors.UNSUPPORTED_TYPE,
            errors.UNDECODABLE_IMAGE,
            errors.TOO_MANY_BATCHES,
        ),
        "With `size` it is a small copy of a picture, for a list.",
        table.BATCH_FILE,
        in_path=(_BATCH_ID, "number"),
    ),
    Operation(
        "put",
        "/batches/{batch_id}/files/{number}",
        "correct_batch_file",
        "Correct the result of one file of a finished batch.",
        (Success("The status of the file.", json_content("BatchFile", samples.BATCH_FILE)),),
        (
            *COMMON_ERRORS,
            errors.STORAGE_FULL,
            errors.BAD_PHOTO_REQUEST,
            errors.CROSS_SITE,
            errors.BATCH_FILE_NOT_FOUND,
            errors.BATCH_NOT_DONE,
            errors.PHOTO_TOO_LARGE,
            errors.UNSUPPORTED_TYPE,
            errors.UNDECODABLE_IMAGE,
            errors.TOO_MANY_PHOTOS,
            errors.NO_SLOT_OR_BATCHES,
        ),
        "Send the original photo again, with the parameters of `/anonymize`: the service deletes originals as soon as "
        "they are processed. The new picture replaces the old one in `result.zip`. Only for the task `anonymize`.",
        table.CORRECTION,
        in_path=(_BATCH_ID, "number"),
        body=Body(
            "The original photo, as for `/anonymize`.",
            photo_content("CorrectionForm", "CorrectionJson", {"cover": [[177, 62, 269, 174]]}),
        ),
    ),
)
