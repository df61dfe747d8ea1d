"""The routes of batches: submit many photos at once, then watch, fetch and delete the batch."""

import re
import unicodedata
from contextlib import ExitStack
from functools import partial
from itertools import chain
from urllib.parse import quote

from flask import Blueprint, Flask, Response, current_app, jsonify, request, url_for

from visage.batches import Batches, Output, open_batches
from visage.batches.corrections import file_output, replace_output
from visage.batches.result_archive import archive_name, result_archive
from visage.errors import BatchesUnavailable, SetupError
from visage.images.encoding import media_type
from visage.images.thumbnail import thumbnail
from visage.logs import logger
from visage.settings import MAX_TRANSFERS, MAX_WATCHERS, Settings
from visage.web.batch_events import LAST_ID, batch_events
from visage.web.batch_json import file_as_json, progress_as_json, room_as_json, status_as_json
from visage.web.batch_uploads import BatchUpload
from visage.web.concurrency_limit import ConcurrencyLimit
from visage.web.parameters import (
    check_correction_query,
    include_files,
    read_batch_options,
    read_batch_task,
    read_correction_options,
    thumbnail_side,
    without_parameters,
)
from visage.web.photo_request import this_engine, this_request
from visage.web.request_kinds import Kind, of_kind
from visage.web.uploads import read_photo

blueprint = Blueprint("batches", __name__, url_prefix="/batches")

# Longest time for which an unresponsive Redis, or a locked queue, blocks a request and its thread.
_TIMEOUT_SECONDS = 3.0

# Bytes of a result that are in memory at once.
_CHUNK = 2**16

# Characters that the plain parameter `filename` does not have, and signs that `filename*` need not encode besides those
# that `quote` never encodes (RFC 8187, 3.2.1: attr-char).
_NOT_IN_FILE_NAMES = re.compile(r"[^ -~]+|%")
_ATTRIBUTE_SIGNS = "!#$&+^`|"


def init_app(app: Flask, settings: Settings) -> None:
    """Add the routes to `app`. The first request for a batch opens the store and the queue."""
    app.extensions["batches"] = LazyBatches(settings)
    app.extensions["transfers"] = ConcurrencyLimit(MAX_TRANSFERS)
    app.extensions["watchers"] = ConcurrencyLimit(MAX_WATCHERS)
    app.register_blueprint(blueprint)


class LazyBatches:
    """Lazily opened batches."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._batches: Batches | None = None

    def get(self) -> Batches:
        """Return the batches, opened by the first call that succeeds.

        Raises:
            BatchesUnavailable: the store or the queue cannot be opened. The reason goes to the log only.
        """
        if self._batches is None:
            try:
                self._batches = open_batches(self._settings, _TIMEOUT_SECONDS)
            except SetupError as error:
                logger.warning("batches_unavailable", extra={"fields": {"reason": str(error)}})
                raise BatchesUnavailable("Batches are unavailable; the reason is in the service's log.") from None
        return self._batches


@blueprint.post("")
@of_kind(Kind.BATCH)
def submit() -> Response:
    """Accept a batch and return its ID."""
    # Parameters in the query are checked before anything is unpacked; those in the form may come last.
    task = read_batch_task(request.args)
    settings = this_engine().settings
    expected_bytes = min(request.content_length or 0, settings.max_batch_bytes)
    with _limit("transfers").acquired(), _batches().create(task, expected_bytes) as batch:
        upload = BatchUpload(request, settings)
        for file in upload:
            if isinstance(file.content, bytes):
                batch.add(file.name, file.content)
            else:
                batch.add_failed(file.name, file.content)
            # The next file needs the memory.
            del file
        if not batch.files:
            raise upload.no_image()
        submitted = batch.submit(
            read_batch_options(request.args, upload.fields), upload.boxes.by_number(), upload.source
        )
    response = jsonify(progress_as_json(_batches().initial_progress(submitted)))
    response.status_code = 202
    response.headers["Location"] = url_for("batches.show", batch_id=submitted.id)
    return response


@blueprint.get("")
@without_parameters
def show_storage() -> Response:
    """Return how many bytes batches may take, and how many are left."""
    return jsonify(room_as_json(_batches().quota.room()))


@blueprint.get("/<batch_id>")
def show(batch_id: str) -> Response:
    """Return the progress of a batch and the status of each file."""
    if include_files(request):
        return jsonify(status_as_json(_batches().status(batch_id)))
    return jsonify(progress_as_json(_batches().progress(batch_id)))


@blueprint.get("/<batch_id>/events")
@without_parameters
def watch(batch_id: str) -> Response:
    """Return the progress as events; a single event if too many clients watch already. They reconnect by themselves."""
    if request.headers.get("Last-Event-ID") == LAST_ID:
        return _no_content()
    # An unknown batch is 404; once the stream has begun the status is sent.
    _batches().progress(batch_id)
    watchers = _limit("watchers")
    acquired = watchers.try_acquire()
    events = batch_events(_batches(), batch_id, current_app.extensions["stopping"], once=not acquired)
    response = Response(events, content_type="text/event-stream")
    if acquired:
        response.call_on_close(watchers.release)
    # nginx would buffer events.
    response.headers["X-Accel-Buffering"] = "no"
    return response


@blueprint.get("/<batch_id>/result.zip")
@without_parameters
def fetch(batch_id: str) -> Response:
    """Return the results of a finished batch as a ZIP."""
    with ExitStack() as stack:
        stack.enter_context(_limit("transfers").acquired())
        response = Response(result_archive(_batches(), batch_id), content_type="application/zip")
        response.headers.set("Content-Disposition", "attachment", **_file_name(archive_name(_batches().find(batch_id))))
        # Last, because nothing closes the response if a step after this fails.
        response.call_on_close(stack.pop_all().close)
    return response


@blueprint.get("/<batch_id>/files/<int:number>")
def show_file(batch_id: str, number: int) -> Response:
    """Return the result of one file, or a small copy of it."""
    side = thumbnail_side(request)
    with ExitStack() as stack:
        stack.enter_context(_limit("transfers").acquired())
        output = file_output(_batches(), batch_id, number)
        if side is not None:
            return Response(_small_copy(output, side), content_type="image/jpeg")
        file = stack.enter_context(output.open())
        start = file.read(_CHUNK)
        chunks = chain([start], iter(partial(file.read, _CHUNK), b""))
        response = Response(chunks, content_type=media_type(start) or "application/json")
        response.content_length = output.size
        response.call_on_close(stack.pop_all().close)
    return response


@blueprint.put("/<batch_id>/files/<int:number>")
@of_kind(Kind.PHOTO)
def correct_file(batch_id: str, number: int) -> Response:
    """Anonymize a photo again, and put it in place of the result of one file."""
    request = this_request()
    check_correction_query(request)
    # Before the photo takes a slot in vain.
    file_output(_batches(), batch_id, number)
    photo = read_photo(request)
    anonymized = this_engine().anonymize(photo, read_correction_options(request))
    replace_output(_batches(), batch_id, number, anonymized)
    return jsonify(file_as_json(_batches().status(batch_id).files[number - 1]))


@blueprint.delete("/<batch_id>")
@without_parameters
def delete(batch_id: str) -> Response:
    """Cancel a running batch or delete a finished one, with all its files."""
    _batches().cancel(batch_id)
    return _no_content()


def _file_name(name: str) -> dict[str, str]:
    """Return the parameters of `Content-Disposition` for a file name; headers are ASCII (RFC 6266, 4.3 and appendix D).

    Clients that do not know `filename*` use `filename`, in which some of them decode a percent sign.
    """
    letters = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    in_ascii = _NOT_IN_FILE_NAMES.sub("_", letters)
    if in_ascii == name:
        return {"filename": name}
    return {"filename": in_ascii, "filename*": f"UTF-8''{quote(name, safe=_ATTRIBUTE_SIGNS)}"}


def _no_content() -> Response:
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _small_copy(output: Output, side: int) -> bytes:
    """Return a small copy of a picture. It is read and decoded in a photo slot, so memory does not add up.

    The limit for transfers bounds how many wait, so they take no place in the queue.
    """
    engine = this_engine()
    with engine.admission.slot(background=True), output.open() as file:
        return thumbnail(file.read(), side, engine.settings.max_image_pixels, engine.settings.max_decode_bytes)


def _batches() -> Batches:
    batches: LazyBatches = current_app.extensions["batches"]
    return batches.get()


def _limit(name: str) -> ConcurrencyLimit:
    limit: ConcurrencyLimit = current_app.extensions[name]
    return limit
