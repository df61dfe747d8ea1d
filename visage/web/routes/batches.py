"""The routes of batches: many photos handed in at once, watched, fetched and deleted."""

from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, request, url_for

from visage.batches import Batches, open_batches
from visage.batches.batch import FileStatus
from visage.batches.result_archive import result_archive
from visage.errors import BatchesUnavailable, NoImage, SetupError
from visage.logs import logger
from visage.settings import MAX_TRANSFERS, MAX_WATCHERS, Settings
from visage.web.batch_events import LAST_ID, events, progress_as_json
from visage.web.batch_uploads import HOW_TO_SEND, BatchUpload
from visage.web.concurrency_limit import Streams
from visage.web.parameters import read_batch_options, wants_files
from visage.web.photo_request import this_engine

blueprint = Blueprint("batches", __name__, url_prefix="/batches")


def install(app: Flask, settings: Settings) -> None:
    """Add the routes to `app`; store and queue are opened when they are first asked for."""
    app.extensions["batches"] = Opening(settings)
    app.extensions["transfers"] = Streams(MAX_TRANSFERS)
    app.extensions["watchers"] = Streams(MAX_WATCHERS)
    app.register_blueprint(blueprint)


# How long a Redis that does not answer, or a queue that others write to, keeps a request and its thread.
_PATIENCE_SECONDS = 3.0


class Opening:
    """The batches of `settings`, opened by the first call that can."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._batches: Batches | None = None

    def __call__(self) -> Batches:
        """Raises BatchesUnavailable where store or queue cannot be used; the reason is for the log."""
        if self._batches is None:
            try:
                self._batches = open_batches(self._settings, _PATIENCE_SECONDS)
            except SetupError as error:
                logger.warning("batches_unavailable", extra={"fields": {"reason": str(error)}})
                raise BatchesUnavailable("Batches cannot be taken or shown here; the service's log says why.") from None
        return self._batches


@blueprint.post("")
def submit() -> Response:
    """Many photos in, an id out."""
    # Before anything is unpacked.
    read_batch_options(request.args)
    with _streams("transfers").held(), _batches().create() as batch:
        upload = BatchUpload(request, this_engine().settings)
        for file in upload:
            if isinstance(file.content, bytes):
                batch.add(file.name, file.content)
            else:
                batch.add_failed(file.name, file.content)
        if not batch.files:
            raise NoImage(HOW_TO_SEND)
        submitted = batch.submit(read_batch_options(request.args, upload.fields))
    response = jsonify(progress_as_json(_batches().at_first(submitted)))
    response.status_code = 202
    response.headers["Location"] = url_for("batches.show", batch_id=submitted.id)
    return response


@blueprint.get("/<batch_id>")
def show(batch_id: str) -> Response:
    """How far a batch is, and each of its files."""
    if not wants_files(request):
        return jsonify(progress_as_json(_batches().progress(batch_id)))
    status = _batches().status(batch_id)
    return jsonify(progress_as_json(status.progress) | {"files": [_file_as_json(file) for file in status.files]})


@blueprint.get("/<batch_id>/events")
def watch(batch_id: str) -> Response:
    """How a batch goes on, as it goes on; a single event where too many watch already, who come again by themselves."""
    if request.headers.get("Last-Event-ID") == LAST_ID:
        return _nothing()
    _batches().progress(batch_id)
    watchers = _streams("watchers")
    goes_on = watchers.try_to_enter()
    stream = events(_batches(), batch_id, current_app.extensions["stopping"], once=not goes_on)
    response = Response(stream, content_type="text/event-stream")
    if goes_on:
        response.call_on_close(watchers.leave)
    # For nginx, which would keep events until there are many.
    response.headers["X-Accel-Buffering"] = "no"
    return response


@blueprint.get("/<batch_id>/result.zip")
def fetch(batch_id: str) -> Response:
    """What became of the photos of a batch that is done."""
    with ExitStack() as stack:
        stack.enter_context(_streams("transfers").held())
        response = Response(result_archive(_batches(), batch_id), content_type="application/zip")
        response.call_on_close(stack.pop_all().close)
    response.headers["Content-Disposition"] = "attachment; filename=result.zip"
    return response


@blueprint.delete("/<batch_id>")
def delete(batch_id: str) -> Response:
    """Call a batch off, or drop one that is done; nothing is kept of it."""
    _batches().cancel(batch_id)
    return _nothing()


def _nothing() -> Response:
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _batches() -> Batches:
    batches: Batches = current_app.extensions["batches"]()
    return batches


def _streams(name: str) -> Streams:
    streams: Streams = current_app.extensions[name]
    return streams


def _file_as_json(file: FileStatus) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": file.name, "state": file.state.value}
    if file.faces is not None:
        plain["faces"] = file.faces
    if file.failure:
        plain |= {"error": file.failure.error, "code": file.failure.code}
    return plain
