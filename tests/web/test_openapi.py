"""The OpenAPI document: valid, complete, and true of every response of the app."""

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
from visage.anonymize.options import AnonymizeOptions
from visage.batches import Batches
from visage.batches.batch import Task
from visage.batches.results import Done
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


def test_the_document_is_served_unchanged(client: FlaskClient) -> None:
    assert client.get("/openapi.json").json == CONTRACT


def test_the_document_has_the_version_of_the_package() -> None:
    assert CONTRACT["info"]["version"] == __version__


def test_the_described_routes_are_those_of_the_app(app: Flask) -> None:
    routes = {
        (re.sub("<(.+?)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }

    described = {(path, method) for path, methods in CONTRACT["paths"].items() for method in methods}

    assert routes == described


def test_every_expected_error_is_described_with_its_status() -> None:
    photo, batch = described_errors(("/predict", "post")), described_errors(*BATCH_ROUTES)

    assert errors(RequestError) <= photo
    assert {("429", "queue_full"), ("503", "wait_timeout"), ("500", "internal_error")} <= photo
    assert errors(BatchError) | {("429", "queue_full")} <= batch


def errors(kind: type[VisageError]) -> set[tuple[str, str]]:
    """Return status and code of an error class and of its subclasses."""
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
        for form, path in (("AnonymizeForm", "/anonymize"), ("BatchForm", "/batches"))
        for parameter in CONTRACT["paths"][path]["post"]["parameters"]
    ],
)
def test_a_parameter_of_anonymize_and_batches_is_described_the_same_in_query_and_form(
    form: str, parameter: str
) -> None:
    in_query = CONTRACT["components"]["parameters"][parameter]
    in_form = CONTRACT["components"]["schemas"][form]["properties"]

    assert in_query["in"] == "header" or in_form[in_query["name"]] == in_query["schema"]


def test_described_defaults_of_anonymize_are_those_of_the_code() -> None:
    parameters, default = CONTRACT["components"]["parameters"], AnonymizeOptions()

    assert parameters["method"]["schema"] == described(Method, default.mask.method)
    assert parameters["shape"]["schema"] == described(Shape, default.mask.shape)
    assert parameters["anonymize_detail"]["schema"] == described(Detail, default.detail)
    assert parameters["picture_format"]["schema"]["enum"] == [each.value for each in PictureFormat]
    assert parameters["mask_scale"]["schema"]["default"] == default.mask.scale


def described(kind: type[Enum], default: Enum) -> dict[str, Any]:
    return {"type": "string", "enum": [each.value for each in kind], "default": default.value}


def test_described_defaults_are_those_of_the_code() -> None:
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
def test_described_ranges_are_enforced(
    client: FlaskClient, tiny_png: bytes, parameter: str, edge: str, beyond: str
) -> None:
    route = "/anonymize" if parameter == "mask_scale" else "/predict"
    limit = CONTRACT["components"]["parameters"][parameter]["schema"][edge]

    at_the_limit = client.post(route, query_string={parameter: limit}, data=photo(tiny_png))
    beyond_it = client.post(route, query_string={parameter: beyond}, data=photo(tiny_png))

    assert (at_the_limit.status_code, beyond_it.status_code) == (200, 400)


@pytest.mark.parametrize("route", ["/predict", "/analyze"])
@pytest.mark.parametrize("form", ["json", "jpeg", "both"])
def test_a_result_matches_its_schema(client: FlaskClient, tiny_png: bytes, route: str, form: str) -> None:
    response = client.post(route, data=photo(tiny_png, format=form))

    assert response.status_code == 200
    check(response, route, "post")


def test_a_result_without_faces_and_picture_matches_its_schema(client: FlaskClient, tiny_png: bytes) -> None:
    response = client.post("/predict", data=photo(tiny_png, annotated="false", min_face_size="5000"))

    assert response.json is not None
    assert response.json["faces"] == []
    check(response, "/predict", "post")


@pytest.mark.parametrize("route", ["/anonymize", "/enhance"])
@pytest.mark.parametrize("arguments", [{}, {"format": "json"}, {"format": "json", "picture": "false"}])
def test_a_changed_picture_matches_its_schema(
    client: FlaskClient, tiny_png: bytes, route: str, arguments: dict[str, str]
) -> None:
    response = client.post(route, data=photo(tiny_png, **arguments))

    assert response.status_code == 200
    check(response, route, "post")


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
def test_an_error_matches_its_schema(client: FlaskClient, status: int, arguments: dict[str, Any]) -> None:
    response = client.post("/predict", **arguments)

    assert response.status_code == status
    check(response, "/predict", "post")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/"])
def test_every_other_route_matches_its_description(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 200
    check(response, path, "get")


@pytest.fixture
def batches(app: Flask) -> Batches:
    """The batches of the app, which no worker processes."""
    opened: Batches = app.extensions["batches"].get()
    return opened


@pytest.fixture
def waiting(client: FlaskClient, tiny_png: bytes) -> str:
    """The path of a batch that no worker processes."""
    return client.post("/batches", data=photo(tiny_png)).headers["Location"]


@pytest.fixture
def done(batches: Batches) -> str:
    """The path of a finished batch with a failed file."""
    with batches.create() as new:
        new.add("a.png", b"photo")
        new.add_failed("b.gif", UnsupportedType("This is no photo."))
        batch = new.submit(AnonymizeOptions())
    batches.store.write(output_key(batch.id, 1, 1), b"picture")
    batches.finish(batch, batch.rejected | {1: Done(faces=3, attempt=1)})
    return f"/batches/{batch.id}"


@pytest.fixture
def failed(batches: Batches, waiting: str) -> str:
    """The path of a batch that failed as a whole."""
    batches.fail(waiting.rpartition("/")[2], "its photos are gone.")
    return waiting


@pytest.mark.parametrize("task", [each.value for each in Task])
def test_an_accepted_batch_matches_its_schema(client: FlaskClient, tiny_png: bytes, task: str) -> None:
    response = client.post("/batches", data=photo(tiny_png, task=task))

    assert response.status_code == 202
    check(response, "/batches", "post")


@pytest.mark.parametrize("state", ["waiting", "done", "failed"])
@pytest.mark.parametrize("query", ["", "?files=false"])
def test_the_status_of_a_batch_matches_its_schema(
    client: FlaskClient, request: pytest.FixtureRequest, state: str, query: str
) -> None:
    response = client.get(request.getfixturevalue(state) + query)

    assert response.status_code == 200
    assert response.get_json()["state"] == state
    check(response, "/batches/{batch_id}", "get")


def test_the_result_of_a_batch_matches_its_description(client: FlaskClient, done: str) -> None:
    response = client.get(done + "/result.zip")

    assert response.status_code == 200
    check(response, "/batches/{batch_id}/result.zip", "get")


def test_the_events_of_a_deleted_batch_match_their_schema(client: FlaskClient, waiting: str) -> None:
    response = client.get(waiting + "/events", buffered=False)
    pieces = response.iter_encoded()
    assert next(pieces).startswith(b"retry: ")
    progress = next(pieces)
    client.delete(waiting)

    (end,) = pieces

    assert response.status_code == 200
    check_event("progress", progress)
    check_event("end", end)


def test_the_events_of_a_finished_batch_match_their_schema(client: FlaskClient, done: str) -> None:
    response = client.get(done + "/events")

    assert response.status_code == 200
    check(response, "/batches/{batch_id}/events", "get")
    check_event("end", response.data.partition(b"\n\n")[2])


def check_event(kind: str, event: bytes) -> None:
    lines = dict(line.split(": ", 1) for line in event.decode().splitlines() if line)
    assert lines["event"] == kind
    check_schema(json.loads(lines["data"]), CONTRACT["components"]["schemas"]["BatchEvent"])


def test_the_response_to_the_last_event_id_matches_its_description(client: FlaskClient, done: str) -> None:
    response = client.get(done + "/events", headers={"Last-Event-ID": "end"})

    assert response.status_code == 204
    check(response, "/batches/{batch_id}/events", "get")


def test_the_deletion_of_a_batch_matches_its_description(client: FlaskClient, waiting: str) -> None:
    response = client.delete(waiting)

    assert response.status_code == 204
    check(response, "/batches/{batch_id}", "delete")


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
def test_an_error_of_a_batch_matches_its_schema(client: FlaskClient, status: int, arguments: dict[str, Any]) -> None:
    response = client.post("/batches", **arguments)

    assert response.status_code == status
    check(response, "/batches", "post")


@pytest.mark.parametrize(("path", "method"), [route for route in BATCH_ROUTES if route[0] != "/batches"])
def test_the_error_for_an_unknown_batch_matches_its_schema(client: FlaskClient, path: str, method: str) -> None:
    response = client.open(path.format(batch_id="a" * 24), method=method)

    assert response.status_code == 404
    check(response, path, method)


def test_the_error_for_an_invalid_parameter_files_matches_its_schema(client: FlaskClient, waiting: str) -> None:
    response = client.get(waiting + "?files=some")

    assert response.status_code == 400
    check(response, "/batches/{batch_id}", "get")


def test_the_error_for_a_missing_result_matches_its_schema(client: FlaskClient, waiting: str) -> None:
    response = client.get(waiting + "/result.zip")

    assert response.status_code == 409
    check(response, "/batches/{batch_id}/result.zip", "get")


@pytest.mark.parametrize(("path", "method"), BATCH_ROUTES)
def test_the_error_for_an_unavailable_store_matches_its_schema(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, path: str, method: str
) -> None:
    (tmp_path / "state").write_text("")
    client = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "state"), warm=False).test_client()

    response = client.open(path.format(batch_id="a" * 24), method=method, data=photo(tiny_png))

    assert response.status_code == 503
    check(response, path, method)


@pytest.mark.parametrize(("path", "method"), BATCH_ROUTES)
def test_the_error_for_a_missing_token_matches_its_schema(
    tiny_pack: Path, tmp_path: Path, path: str, method: str
) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, api_token="not-a-secret")

    response = create_app(settings, warm=False).test_client().open(path.format(batch_id="a" * 24), method=method)

    assert response.status_code == 401
    check(response, path, method)
