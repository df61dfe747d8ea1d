"""Invalid and hostile requests to a real gunicorn: exact errors, and no resource is leaked."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import local
from typing import Any

import pytest
import requests

from tests.integration.bad_input.good_pictures import GOOD
from tests.integration.bad_input.mutations import DONORS, MUTATED, MUTATIONS, is_documented
from tests.integration.bad_input.rejections import REJECTIONS, Rejection
from tests.integration.bad_input.requests_in_bytes import (
    CHUNKED,
    FORM,
    FORM_END,
    JPEG,
    MULTIPART,
    PHOTO,
    PNG,
    RAW,
    START,
    Chunks,
    exchange,
    form_with_file_name,
    photo_part,
)
from tests.integration.bad_input.resources import Resources
from tests.integration.bad_input.responses import assert_has_the_faces, assert_rejected
from tests.support.pictures import (
    as_stored,
    encode,
    exif,
    mutated,
    png,
)
from tests.support.processes import children
from tests.support.service import Service
from tests.support.waiting import wait_for


@pytest.fixture(scope="module", autouse=True)
def before(service: Service) -> Resources:
    """The resources before the first test, once both workers and the batch worker have started."""
    while len(children(service)) < 3 or len((state := Resources.of(service)).open_files) != 2:
        time.sleep(0.01)
    return state


@pytest.mark.parametrize("rejection", [pytest.param(each, id=each.name[:60]) for each in REJECTIONS])
def test_a_bad_request_is_rejected_with_status_code_and_sentence(service: Service, rejection: Rejection) -> None:
    response = requests.request(rejection.method, service.url + rejection.path, timeout=60, **rejection.request)

    assert_rejected(response, rejection.status, rejection.code)


@pytest.mark.parametrize(("path", "allowed"), [("/predict", {"POST", "OPTIONS"}), ("/", {"GET", "HEAD", "OPTIONS"})])
def test_a_wrong_method_is_rejected_with_the_allowed_ones(service: Service, path: str, allowed: set[str]) -> None:
    response = requests.delete(service.url + path, timeout=60)

    assert set(response.headers["Allow"].split(", ")) == allowed


def test_the_error_for_a_large_picture_names_its_size_and_the_limit(service: Service) -> None:
    response = service.post(png(50_000, 50_000, 8, 2, bytes(5_000_000)))

    assert "50000 x 50000 pixels; at most 200,000,000" in response.json()["error"]


def test_a_rejected_body_leaves_the_connection_usable(service: Service) -> None:
    with requests.Session() as session:
        rejected = [
            session.post(service.url + "/predict", data=body, headers={"Content-Type": kind}, timeout=60)
            for body, kind in ((b"text", "text/plain"), (Chunks([b"text"]), "image/png"), (JPEG[:-40], "image/jpeg"))
        ]
        response = session.post(service.url + "/predict", files={"image": PNG}, timeout=60)

    assert [each.status_code for each in rejected] == [400, 415, 422]
    assert_has_the_faces(response, 0)


@pytest.mark.parametrize("name", GOOD)
def test_the_faces_are_found_in_every_kind_of_picture(service: Service, name: str) -> None:
    picture, tolerance = GOOD[name]

    response = service.post(picture)

    assert_has_the_faces(response, tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_faces_are_found_in_every_exif_orientation(service: Service, orientation: int, kind: str) -> None:
    stored = encode(as_stored(PHOTO, orientation), kind, quality=95, exif=b"Exif\0\0" + exif(orientation))

    response = service.post(stored)

    assert_has_the_faces(response, 2)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 20000), (20000, 1), (2, 20000), (20000, 5), (7000, 7000)])
def test_pictures_with_extreme_proportions_are_accepted(service: Service, width: int, height: int) -> None:
    grey = png(width, height, 8, 0, bytes([0, *bytes(width)]) * height)

    response = service.post(grey)

    assert response.status_code == 200, response.text
    assert response.json()["image"] == {"width": width, "height": height}
    assert response.json()["faces"] == []


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(encode(PHOTO, "JPEG", "L"), id="JPEG"),
        pytest.param(encode(PHOTO, "PNG", "L"), id="PNG"),
        pytest.param(encode(PHOTO, "PNG", "1"), id="one bit"),
    ],
)
def test_a_grey_picture_is_accepted(service: Service, picture: bytes) -> None:
    response = service.post(picture)

    assert response.status_code == 200, response.text
    assert response.json()["image"] == {"width": 384, "height": 384}
    # The nets of these tests find coloured faces only.
    assert response.json()["faces"] == []


def test_parameters_in_the_form_have_the_same_effect_as_in_the_query(service: Service) -> None:
    parameters = {"max_faces": "1", "annotated": "false"}
    url = service.url + "/predict"

    from_form = requests.post(url, files={"image": PNG}, data=parameters, timeout=60).json()
    from_query = requests.post(url, files={"image": PNG}, params=parameters, timeout=60).json()

    assert from_form["faces"] == from_query["faces"]
    assert len(from_form["faces"]) == 1
    assert "annotated_jpeg" not in from_form
    assert set(from_form) == set(from_query)


def test_a_chunked_form_is_accepted(service: Service) -> None:
    body = photo_part(PNG) + FORM_END
    chunks = Chunks([body[at : at + 777] for at in range(0, len(body), 777)])

    response = requests.post(service.url + "/predict", data=chunks, headers=MULTIPART, timeout=60)

    assert_has_the_faces(response, 0)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(RAW + b"Content-Length: 100000\r\n\r\n" + PNG, id="raw body shorter than its length"),
        pytest.param(RAW + b"Content-Length: 100000\r\n\r\n", id="raw body that never starts"),
        pytest.param(FORM + b"Content-Length: 100000\r\n\r\n" + photo_part(PNG), id="form shorter than its length"),
        pytest.param(CHUNKED + b"5\r\n--fen", id="chunked form that stops in a chunk"),
        pytest.param(CHUNKED + b"7\r\n--fence\r\n", id="chunked form that stops between chunks"),
        pytest.param(CHUNKED + b"zz\r\n--fence\r\n0\r\n\r\n", id="chunk length that is not a number"),
        pytest.param(CHUNKED + b"-7\r\n--fence\r\n0\r\n\r\n", id="negative chunk length"),
        pytest.param(CHUNKED + b"3\r\n--fence\r\n0\r\n\r\n", id="chunk longer than its length"),
        pytest.param(CHUNKED + b"fffffffffffffffff\r\n--fence\r\n", id="huge chunk length"),
    ],
)
def test_a_body_that_does_not_match_its_headers_is_a_bad_request(service: Service, request_bytes: bytes) -> None:
    status, body = exchange(service, request_bytes)

    assert (status, json.loads(body)["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "name",
    [
        b"../../../etc/passwd",
        b"/etc/passwd",
        b"..\\..\\boot.ini",
        b"a\0b.png",
        b"x" * 2000,
        b"",
        b"M\xe4dchen.png",
        b"\xff\xfe.png",
    ],
)
def test_any_file_name_is_accepted_and_ignored(service: Service, name: bytes) -> None:
    status, body = exchange(service, form_with_file_name(name))

    assert status == 200, body
    assert b"passwd" not in body


@pytest.mark.parametrize("name", [b"a\nb.png", b"a\r\nX-Injected: 1\r\nb.png", b"a\r\n\r\nb.png"])
def test_a_line_break_in_a_file_name_reaches_neither_headers_nor_log(service: Service, name: bytes) -> None:
    status, body = exchange(service, form_with_file_name(name))

    assert status in {200, 400, 422}
    assert b"X-Injected" not in body
    assert "X-Injected" not in service.log.read_text()


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/static/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/app.py"],
)
def test_no_path_escapes_the_static_files(service: Service, path: str) -> None:
    status, body = exchange(service, f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())

    assert (status, json.loads(body)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(RAW + b"Content-Length: many\r\n\r\n", id="length that is not a number"),
        pytest.param(RAW + b"Content-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(RAW + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", id="two lengths"),
        pytest.param(RAW + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunks"),
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", id="the start of TLS"),
        pytest.param(b"nonsense\r\n\r\n", id="not HTTP"),
        pytest.param(START + b"no header\r\n\r\n", id="line that is not a header"),
    ],
)
def test_a_request_that_is_not_http_is_a_bad_request(service: Service, request_bytes: bytes) -> None:
    status, _ = exchange(service, request_bytes)

    assert status == 400


@pytest.mark.parametrize("name", MUTATED)
def test_every_mutated_picture_gives_a_result_or_an_expected_error(service: Service, name: str) -> None:
    seeds = [f"upload of {name}, {number}" for number in range(MUTATIONS)]
    sessions = local()

    def outcome(seed: str) -> str:
        """Return an empty string, or a failure with the seed that reproduces the upload."""
        sessions.kept = getattr(sessions, "kept", None) or requests.Session()
        picture = mutated(Random(seed), MUTATED[name], DONORS)
        request: dict[str, Any] = {"data": picture, "headers": {"Content-Type": "image/jpeg"}}
        try:
            response = sessions.kept.post(service.url + "/predict", timeout=60, **request)
            return "" if is_documented(response) else f"{seed!r}: {response.status_code} {response.text[:200]}"
        except Exception as error:
            return f"{seed!r}: {error!r}"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(outcome, seeds))

    assert [each for each in outcomes if each] == []


# The tests below check the effects of all tests above.


def test_afterwards_the_service_still_finds_faces(service: Service) -> None:
    assert_has_the_faces(service.post(PNG), 0)


def test_afterwards_the_workers_are_the_same(service: Service, before: Resources) -> None:
    assert set(Resources.of(service).open_files) == set(before.open_files)


def test_afterwards_the_log_has_no_500_and_no_traceback(service: Service) -> None:
    log = service.log.read_text()

    assert '"status":200' in log
    assert '"status":5' not in log
    assert "Traceback" not in log
    assert "internal_error" not in log


def test_afterwards_no_file_is_left_open(service: Service, before: Resources) -> None:
    def left_open() -> set[str]:
        return {
            file for pid, files in Resources.of(service).open_files.items() for file in files - before.open_files[pid]
        }

    # The response may arrive before the worker closes the files of the request.
    assert wait_for(lambda: not left_open()), left_open()


def test_afterwards_the_checkout_has_no_new_file(service: Service, before: Resources) -> None:
    assert Resources.of(service).checkout == before.checkout


def test_afterwards_no_temporary_file_is_left(temporary: Path) -> None:
    def remaining() -> list[str]:
        return [path.name for path in temporary.rglob("*") if path.is_file() and path.suffix != ".db"]

    assert wait_for(lambda: not remaining()), remaining()
