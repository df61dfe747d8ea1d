"""The contract: valid by itself, complete, and what the running app really answers."""

import io
import json
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from tests.support.contract import CONTRACT, check, check_schema, responses
from visage import __version__
from visage.anonymize.masks import Method, Shape
from visage.anonymize.search import GuardOptions
from visage.batches import Batches
from visage.batches.batch import Done, Task
from visage.batches.store import output_key
from visage.errors import BatchError, RequestError, UnsupportedType, VisageError
from visage.faces.analyzer import Options
from visage.faces.search import Detail
from visage.settings import Settings
from visage.web import create_app
from visage.web.parameters import Format, PictureFormat

BATCH_ROUTES = [(path, method) for path in CONTRACT["paths"] if "batches" in path for method in CONTRACT["paths"][path]]


def photo(content: bytes, **fields: str) -> dict[str, Any]:
    return {"image": (io.BytesIO(content), "photo.png"), **fields}


def test_the_document_is_valid_openapi() -> None:
    validate(CONTRACT)


def test_the_document_is_served_as_it_is(client: FlaskClient) -> None:
    assert client.get("/openapi.json").json == CONTRACT


def test_the_document_has_the_version_of_the_package() -> None:
    assert CONTRACT["info"]["version"] == __version__


def test_every_route_is_described_and_every_description_is_a_route(app: Flask) -> None:
    routes = {
        (re.sub("<(.+?)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }

    described = {(path, method) for path, methods in CONTRACT["paths"].items() for method in methods}

    assert routes == described


def test_every_error_of_the_tree_is_described_with_its_status() -> None:
    photo, batch = described_errors(("/predict", "post")), described_errors(*BATCH_ROUTES)

    assert errors(RequestError) <= photo
    assert {("429", "queue_full"), ("503", "wait_timeout"), ("500", "internal_error")} <= photo
    assert errors(BatchError) | {("429", "queue_full")} <= batch


def errors(kind: type[VisageError]) -> set[tuple[str, str]]:
    """Status and code of this error and of all below it."""
    return {(str(kind.status), kind.code)}.union(*map(errors, kind.__subclasses__()))


def described_errors(*routes: tuple[str, str]) -> set[tuple[str, str]]:
    return {
        (status, code)
        for route in routes
        for status, response in responses(*route).items()
        if status >= "400"
        for code in response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }


@pytest.mark.parametrize(
    "name", ["min_confidence", "max_faces", "min_face_size", "detail", "format", "annotated", "enhance_faces"]
)
def test_a_parameter_is_described_the_same_in_query_and_form(name: str) -> None:
    in_form = dict(CONTRACT["components"]["schemas"]["PhotoForm"]["properties"][name])
    in_form.pop("description")

    assert CONTRACT["components"]["parameters"][name]["schema"] == in_form


@pytest.mark.parametrize(
    ("form", "parameter"),
    [
        (form, parameter["$ref"].rpartition("/")[2])
        for form, path in (("GuardForm", "/anonymize"), ("BatchForm", "/batches"))
        for parameter in CONTRACT["paths"][path]["post"]["parameters"]
    ],
)
def test_a_parameter_of_guard_and_batches_is_described_the_same_in_query_and_form(form: str, parameter: str) -> None:
    in_query = CONTRACT["components"]["parameters"][parameter]
    in_form = CONTRACT["components"]["schemas"][form]["properties"]

    assert in_query["in"] == "header" or in_form[in_query["name"]] == in_query["schema"]


def test_described_defaults_of_the_guard_are_the_real_ones() -> None:
    parameters, default = CONTRACT["components"]["parameters"], GuardOptions()

    assert parameters["method"]["schema"] == described(Method, default.mask.method)
    assert parameters["shape"]["schema"] == described(Shape, default.mask.shape)
    assert parameters["guard_detail"]["schema"] == described(Detail, default.detail)
    assert parameters["guard_format"]["schema"]["enum"] == [each.value for each in PictureFormat]
    assert parameters["mask_scale"]["schema"]["default"] == default.mask.scale


def described(kind: type[Enum], default: Enum) -> dict[str, Any]:
    return {"type": "string", "enum": [each.value for each in kind], "default": default.value}


def test_described_defaults_are_the_real_ones() -> None:
    parameters = CONTRACT["components"]["parameters"]

    assert parameters["detail"]["schema"]["default"] == Options().detail.value
    assert parameters["min_face_size"]["schema"]["default"] == Options().min_face_size
    assert parameters["format"]["schema"]["enum"] == [each.value for each in Format]
    assert parameters["task"]["schema"] == described(Task, Task.ANONYMIZE)


@pytest.mark.parametrize(
    ("parameter", "edge", "beyond"),
    [
        ("min_confidence", "minimum", "0.009"),
        ("min_confidence", "maximum", "1.001"),
        ("max_faces", "minimum", "0"),
        ("max_faces", "maximum", "1001"),
        ("min_face_size", "minimum", "-1"),
        ("min_face_size", "maximum", "100001"),
        ("mask_scale", "minimum", "0.99"),
        ("mask_scale", "maximum", "3.01"),
    ],
)
def test_described_ranges_are_the_real_ones(
    client: FlaskClient, tiny_png: bytes, parameter: str, edge: str, beyond: str
) -> None:
    route = "/anonymize" if parameter == "mask_scale" else "/predict"
    limit = CONTRACT["components"]["parameters"][parameter]["schema"][edge]

    at_the_limit = client.post(route, query_string={parameter: limit}, data=photo(tiny_png))
    beyond_it = client.post(route, query_string={parameter: beyond}, data=photo(tiny_png))

    assert (at_the_limit.status_code, beyond_it.status_code) == (200, 400)


@pytest.mark.parametrize("route", ["/predict", "/analyze"])
@pytest.mark.parametrize("form", ["json", "jpeg", "both"])
def test_good_answers_are_as_described(client: FlaskClient, tiny_png: bytes, route: str, form: str) -> None:
    answer = client.post(route, data=photo(tiny_png, format=form))

    assert answer.status_code == 200
    check(answer, route, "post")


def test_an_answer_without_faces_and_picture_is_as_described(client: FlaskClient, tiny_png: bytes) -> None:
    answer = client.post("/predict", data=photo(tiny_png, annotated="false", min_face_size="5000"))

    assert answer.json is not None
    assert answer.json["faces"] == []
    check(answer, "/predict", "post")


@pytest.mark.parametrize("route", ["/anonymize", "/enhance"])
@pytest.mark.parametrize("arguments", [{}, {"format": "json"}, {"format": "json", "picture": "false"}])
def test_good_answers_with_a_picture_are_as_described(
    client: FlaskClient, tiny_png: bytes, route: str, arguments: dict[str, str]
) -> None:
    answer = client.post(route, data=photo(tiny_png, **arguments))

    assert answer.status_code == 200
    check(answer, route, "post")


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (400, {"data": {}}),
        (400, {"data": photo(b"")}),
        (400, {"data": b"x", "content_type": "text/plain"}),
        (406, {"data": photo(b"x"), "headers": {"Accept": "image/png"}}),
        (411, {"content_type": "image/png", "headers": {"Transfer-Encoding": "chunked"}}),
        (413, {"data": bytes(2**20 + 1), "content_type": "image/png"}),
        (415, {"data": photo(b"GIF89a")}),
        (422, {"data": photo(b"\x89PNG\r\n\x1a\n")}),
    ],
)
def test_refusals_are_as_described(client: FlaskClient, status: int, arguments: dict[str, Any]) -> None:
    answer = client.post("/predict", **arguments)

    assert answer.status_code == status
    check(answer, "/predict", "post")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/"])
def test_the_other_routes_answer_as_described(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 200
    check(answer, path, "get")


@pytest.fixture
def batches(app: Flask) -> Batches:
    """Those of the app, on which nobody works."""
    opened: Batches = app.extensions["batches"]()
    return opened


@pytest.fixture
def waiting(client: FlaskClient, tiny_png: bytes) -> str:
    """The path of a batch on which nobody works."""
    return client.post("/batches", data=photo(tiny_png)).headers["Location"]


@pytest.fixture
def done(batches: Batches) -> str:
    """The path of a batch that is done, with a file that failed."""
    with batches.create() as new:
        new.add("a.png", b"photo")
        new.add_failed("b.gif", UnsupportedType("This is no photo."))
        batch = new.submit(GuardOptions())
    batches.store.write(output_key(batch.id, 1, 1), b"picture")
    batches.finish(batch, batch.refused | {1: Done(faces=3, attempt=1)})
    return f"/batches/{batch.id}"


@pytest.fixture
def failed(batches: Batches, waiting: str) -> str:
    """The path of a batch that was given up as a whole."""
    batches.fail(waiting.rpartition("/")[2], "its photos are gone.")
    return waiting


@pytest.mark.parametrize("task", [each.value for each in Task])
def test_a_batch_that_was_taken_in_is_answered_as_described(client: FlaskClient, tiny_png: bytes, task: str) -> None:
    answer = client.post("/batches", data=photo(tiny_png, task=task))

    assert answer.status_code == 202
    check(answer, "/batches", "post")


@pytest.mark.parametrize("state", ["waiting", "done", "failed"])
@pytest.mark.parametrize("query", ["", "?files=false"])
def test_a_batch_is_shown_as_described(
    client: FlaskClient, request: pytest.FixtureRequest, state: str, query: str
) -> None:
    answer = client.get(request.getfixturevalue(state) + query)

    assert answer.status_code == 200
    assert answer.get_json()["state"] == state
    check(answer, "/batches/{batch_id}", "get")


def test_the_result_of_a_batch_is_answered_as_described(client: FlaskClient, done: str) -> None:
    answer = client.get(done + "/result.zip")

    assert answer.status_code == 200
    check(answer, "/batches/{batch_id}/result.zip", "get")


def test_the_events_of_a_batch_that_is_deleted_are_as_described(client: FlaskClient, waiting: str) -> None:
    answer = client.get(waiting + "/events", buffered=False)
    pieces = answer.iter_encoded()
    assert next(pieces).startswith(b"retry: ")
    progress = next(pieces)
    client.delete(waiting)

    (end,) = pieces

    assert answer.status_code == 200
    check_event("progress", progress)
    check_event("end", end)


def test_the_events_of_a_batch_that_is_done_are_as_described(client: FlaskClient, done: str) -> None:
    answer = client.get(done + "/events")

    assert answer.status_code == 200
    check(answer, "/batches/{batch_id}/events", "get")
    check_event("end", answer.data.partition(b"\n\n")[2])


def check_event(kind: str, event: bytes) -> None:
    lines = dict(line.split(": ", 1) for line in event.decode().splitlines() if line)
    assert lines["event"] == kind
    check_schema(json.loads(lines["data"]), CONTRACT["components"]["schemas"]["BatchEvent"])


def test_who_has_seen_the_end_of_a_batch_is_answered_as_described(client: FlaskClient, done: str) -> None:
    answer = client.get(done + "/events", headers={"Last-Event-ID": "end"})

    assert answer.status_code == 204
    check(answer, "/batches/{batch_id}/events", "get")


def test_a_batch_is_deleted_as_described(client: FlaskClient, waiting: str) -> None:
    answer = client.delete(waiting)

    assert answer.status_code == 204
    check(answer, "/batches/{batch_id}", "delete")


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (400, {"data": {}}),
        (400, {"data": b"x", "content_type": "text/plain"}),
        (400, {"data": photo(b"x", task="enlarge")}),
        (400, {"data": b"--x", "content_type": "multipart/form-data; boundary=x"}),
        (413, {"data": photo(b"x", method="x" * 2**17)}),
        (415, {"data": photo(b"x"), "headers": {"Content-Encoding": "gzip"}}),
        (422, {"data": b"x", "content_type": "application/zip"}),
    ],
)
def test_refusals_of_batches_are_as_described(client: FlaskClient, status: int, arguments: dict[str, Any]) -> None:
    answer = client.post("/batches", **arguments)

    assert answer.status_code == status
    check(answer, "/batches", "post")


@pytest.mark.parametrize(("path", "method"), [route for route in BATCH_ROUTES if route[0] != "/batches"])
def test_a_batch_that_is_none_is_refused_as_described(client: FlaskClient, path: str, method: str) -> None:
    answer = client.open(path.format(batch_id="a" * 24), method=method)

    assert answer.status_code == 404
    check(answer, path, method)


def test_a_wrong_wish_for_files_is_refused_as_described(client: FlaskClient, waiting: str) -> None:
    answer = client.get(waiting + "?files=some")

    assert answer.status_code == 400
    check(answer, "/batches/{batch_id}", "get")


def test_a_result_that_is_not_there_is_refused_as_described(client: FlaskClient, waiting: str) -> None:
    answer = client.get(waiting + "/result.zip")

    assert answer.status_code == 409
    check(answer, "/batches/{batch_id}/result.zip", "get")


@pytest.mark.parametrize(("path", "method"), BATCH_ROUTES)
def test_batches_that_cannot_be_had_are_refused_as_described(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, path: str, method: str
) -> None:
    (tmp_path / "state").write_text("")
    client = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "state"), warm=False).test_client()

    answer = client.open(path.format(batch_id="a" * 24), method=method, data=photo(tiny_png))

    assert answer.status_code == 503
    check(answer, path, method)


@pytest.mark.parametrize(("path", "method"), BATCH_ROUTES)
def test_strangers_to_batches_are_refused_as_described(tiny_pack: Path, tmp_path: Path, path: str, method: str) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, api_token="not-a-secret")

    answer = create_app(settings, warm=False).test_client().open(path.format(batch_id="a" * 24), method=method)

    assert answer.status_code == 401
    check(answer, path, method)
