"""Invalid and hostile requests to a real gunicorn: exact errors, and no resource is leaked."""

import json
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from random import Random
from threading import local
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.clients import PATIENCE
from tests.support.paths import ROOT
from tests.support.pictures import (
    AVIF,
    GIF,
    HEIC,
    PDF,
    SVG,
    ZIP,
    animation,
    as_stored,
    bmp,
    broken_animation,
    encode,
    encode_16_bit,
    exif,
    gradient,
    greedy_png,
    jpeg_frame,
    jpeg_segment,
    many_scans_jpeg,
    mutated,
    png,
)
from tests.support.processes import children, workers
from tests.support.service import Service, serving
from tests.support.tiny_pack import BLUISH, REDDISH, TINY_FACES, draw
from tests.support.waiting import wait_for

BODY_LIMIT = 2**20

PHOTO = draw(faces=TINY_FACES)
PNG = encode(PHOTO, "PNG")
JPEG = encode(PHOTO, "JPEG", quality=95)
OPAQUE = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])
# The grey around the faces becomes transparent, which is decoded as white.
CUT_OUT = np.dstack([PHOTO, np.where((PHOTO == 127).all(axis=2), 0, 255).astype(np.uint8)])

MULTIPART = {"Content-Type": "multipart/form-data; boundary=fence"}
FORM_END = b"\r\n--fence--\r\n"


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for temporary files of the service of this module."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def service(tiny_pack: Path, temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A gunicorn for this module alone, so that its tests can detect leaks."""
    log = tmp_path_factory.mktemp("bad_input") / "log"
    settings = {"VISAGE_MAX_BODY_BYTES": str(BODY_LIMIT), "VISAGE_QUEUE": "64", "TMPDIR": str(temporary)} | PATIENCE
    with serving(log, tiny_pack, WEB_CONCURRENCY="2", **settings) as service:
        yield service


@dataclass(frozen=True)
class Resources:
    """Everything that must be the same before and after: the workers, their open files, the files in the checkout."""

    open_files: dict[int, set[str]]
    checkout: set[str]

    @classmethod
    def of(cls, service: Service) -> "Resources":
        return cls(
            {pid: _open_files(pid) for pid in workers(service)},
            # Hidden files belong to test tools, not to the service.
            {path.name for path in ROOT.iterdir() if not path.name.startswith(".")},
        )


def _open_files(pid: int) -> set[str]:
    """Return the regular files that a process has open, except those with its metrics."""
    files = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:  # closed in the meantime
            continue
        if target.startswith("/") and not target.startswith("/dev/null") and not target.endswith(".db"):
            files.add(target)
    return files


@pytest.fixture(scope="module", autouse=True)
def before(service: Service) -> Resources:
    """The resources before the first test, once both workers and the batch worker have started."""
    while len(children(service)) < 3 or len((state := Resources.of(service)).open_files) != 2:
        time.sleep(0.01)
    return state


def photo_part(content: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="image"; filename="photo.jpg"'
    return b"--fence\r\n" + disposition + b"\r\n\r\n" + content


@dataclass(frozen=True)
class Chunks:
    """A body in parts. It has no length, so `requests` sends it chunked."""

    parts: Sequence[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)


@dataclass(frozen=True)
class Rejection:
    """Arguments of `requests.request`, and the expected error."""

    name: str
    status: int
    code: str
    request: dict[str, Any] = field(default_factory=dict)
    method: str = "POST"
    path: str = "/predict"


def upload(name: str, status: int, code: str, content: bytes, file_name: str = "photo.jpg") -> Rejection:
    return Rejection(name, status, code, {"files": {"image": (file_name, content, "image/jpeg")}})


def raw(name: str, status: int, code: str, content: Any, **headers: str) -> Rejection:
    return Rejection(name, status, code, {"data": content, "headers": {"Content-Type": "image/jpeg"} | headers})


def parameter(name: str, value: str) -> Rejection:
    request = {"files": {"image": PNG}, "params": {name: value}}
    return Rejection(f"{name}={value}", 400, "bad_parameter", request)


def accept(types: str) -> Rejection:
    return Rejection(f"Accept {types}", 406, "not_acceptable", {"files": {"image": PNG}, "headers": {"Accept": types}})


REJECTIONS = [
    Rejection("no body", 400, "no_image"),
    Rejection("no field with the right name", 400, "no_image", {"files": {"picture": PNG}}),
    Rejection("text field named image", 400, "no_image", {"files": {"image": (None, "my photo")}}),
    Rejection("form without files", 400, "no_image", {"data": {"image": "my photo"}}),
    Rejection("JSON body", 400, "no_image", {"json": {"image": "my photo"}}),
    Rejection(
        "multipart without a boundary",
        400,
        "bad_request",
        {"data": PNG, "headers": {"Content-Type": "multipart/form-data"}},
    ),
    Rejection("multipart that is invalid", 400, "no_image", {"data": b"nonsense", "headers": MULTIPART}),
    Rejection("multipart without its end", 400, "no_image", {"data": photo_part(PNG)[:-9], "headers": MULTIPART}),
    upload("empty field", 400, "empty_image", b""),
    raw("empty raw body", 400, "empty_image", b""),
    Rejection("two photos in one field", 400, "bad_request", {"files": [("image", PNG), ("image", PNG)]}),
    Rejection("two photos in two fields", 400, "bad_request", {"files": {"image": PNG, "file": PNG}}),
    raw("compressed raw body", 415, "unsupported_type", PNG, **{"Content-Encoding": "gzip"}),
    Rejection(
        "compressed form",
        415,
        "unsupported_type",
        {"data": photo_part(PNG) + FORM_END, "headers": MULTIPART | {"Content-Encoding": "gzip"}},
    ),
    raw("chunked raw body", 411, "length_required", Chunks([PNG])),
    raw("raw body over the limit", 413, "body_too_large", bytes(BODY_LIMIT + 1)),
    raw("raw body far over the limit", 413, "body_too_large", bytes(20 * BODY_LIMIT)),
    raw("raw body at the limit that is no picture", 415, "unsupported_type", bytes(BODY_LIMIT)),
    upload("form over the limit", 413, "body_too_large", bytes(BODY_LIMIT)),
    upload("form far over the limit", 413, "body_too_large", bytes(20 * BODY_LIMIT)),
    Rejection(
        "chunked form over the limit",
        413,
        "body_too_large",
        {"data": Chunks([photo_part(b""), *(17 * [bytes(65536)]), FORM_END]), "headers": MULTIPART},
    ),
    Rejection(
        "chunked form far over the limit",
        413,
        "body_too_large",
        {"data": Chunks([photo_part(b""), *(400 * [bytes(65536)]), FORM_END]), "headers": MULTIPART},
    ),
    Rejection("too many fields", 413, "body_too_large", {"files": [(f"field{number}", b"x") for number in range(40)]}),
    Rejection(
        "a field that is too long", 413, "body_too_large", {"files": {"image": PNG}, "data": {"note": "x" * 600_000}}
    ),
    upload("text named .jpg", 415, "unsupported_type", b"This is not a photo.\n"),
    upload("SVG", 415, "unsupported_type", SVG, "photo.svg"),
    upload("SVG with a prolog", 415, "unsupported_type", b'<?xml version="1.0"?>\n' + SVG),
    upload("PDF", 415, "unsupported_type", PDF),
    upload("GIF", 415, "unsupported_type", GIF),
    upload("animated GIF", 415, "unsupported_type", encode(PHOTO, "GIF")),
    upload("HEIC", 415, "unsupported_type", HEIC),
    upload("AVIF", 415, "unsupported_type", AVIF),
    upload("TIFF", 415, "unsupported_type", encode(PHOTO, "TIFF")),
    upload("ZIP", 415, "unsupported_type", ZIP),
    upload("JPEG after an empty line", 415, "unsupported_type", b"\n" + JPEG),
    upload("JPEG cut in the header", 422, "undecodable_image", JPEG[:100]),
    upload("JPEG cut short", 422, "undecodable_image", JPEG[: len(JPEG) // 2]),
    upload("JPEG without its last byte", 422, "undecodable_image", JPEG[:-1]),
    upload("PNG cut in the header", 422, "undecodable_image", PNG[:30]),
    upload("PNG cut short", 422, "undecodable_image", PNG[: len(PNG) // 2]),
    upload("PNG without its last byte", 422, "undecodable_image", PNG[:-1]),
    upload("PNG with a damaged byte", 422, "undecodable_image", PNG[:200] + bytes([PNG[200] ^ 255]) + PNG[201:]),
    upload("JPEG without a frame", 422, "undecodable_image", b"\xff\xd8\xff\xd9"),
    upload("JPEG without pixels", 422, "undecodable_image", b"\xff\xd8" + jpeg_frame(0, 0)),
    upload("WebP without a chunk", 422, "undecodable_image", b"RIFF\x04\0\0\0WEBP"),
    upload("BMP of negative width", 422, "undecodable_image", bmp(-5, 5, 24, 0, bytes(80))),
    upload("JPEG with a thousand scans", 422, "undecodable_image", many_scans_jpeg(1000)),
    upload(
        "JPEG with a second frame in a segment",
        422,
        "undecodable_image",
        b"\xff\xd8" + jpeg_segment(1, jpeg_frame(20000, 20000)) + JPEG[2:],
    ),
    upload("PNG that claims gigabytes", 422, "undecodable_image", greedy_png(b"IDAT")),
    upload("damaged animated PNG", 422, "undecodable_image", broken_animation()),
    upload("PNG of 50,000 x 50,000", 413, "image_too_large", png(50_000, 50_000, 8, 2, bytes(5_000_000))),
    upload("JPEG of 65,535 x 65,535", 413, "image_too_large", b"\xff\xd8" + jpeg_frame(65535, 65535) + b"\xff\xd9"),
    upload("BMP of 2**31 rows", 413, "image_too_large", bmp(1, -(2**31), 24, 0, b"")),
    parameter("min_confidence", "0"),
    parameter("min_confidence", "1.01"),
    parameter("min_confidence", "-1"),
    parameter("min_confidence", "nan"),
    parameter("min_confidence", "inf"),
    parameter("min_confidence", "high"),
    parameter("max_faces", "0"),
    parameter("max_faces", "1001"),
    parameter("max_faces", "1.5"),
    parameter("max_faces", "9" * 3000),
    parameter("min_face_size", "-1"),
    parameter("min_face_size", "100001"),
    parameter("detail", "most"),
    parameter("format", "png"),
    parameter("annotated", "perhaps"),
    parameter("max_faces", "\N{ARABIC-INDIC DIGIT THREE}"),
    Rejection("parameter in the form", 400, "bad_parameter", {"files": {"image": PNG}, "data": {"max_faces": "0"}}),
    accept("text/html"),
    accept("image/png"),
    accept("application/json;q=0"),
    accept("nonsense"),
    Rejection("GET for a photo", 405, "method_not_allowed", method="GET"),
    Rejection("PUT for a photo", 405, "method_not_allowed", {"data": PNG}, method="PUT"),
    Rejection("DELETE for the page", 405, "method_not_allowed", method="DELETE", path="/"),
    Rejection("unknown method", 405, "method_not_allowed", method="BREW"),
    Rejection("POST for the health", 405, "method_not_allowed", {"data": PNG}, path="/healthz"),
    Rejection("unknown path", 404, "not_found", method="GET", path="/nothing"),
    Rejection("photo to an unknown path", 404, "not_found", {"files": {"image": PNG}}, path="/predict/"),
    Rejection("path outside the static files", 404, "not_found", method="GET", path="/static/%2e%2e/%2e%2e/app.py"),
    Rejection("path that is not UTF-8", 404, "not_found", method="GET", path="/%00%ff"),
]


@pytest.mark.parametrize("rejection", [pytest.param(each, id=each.name[:60]) for each in REJECTIONS])
def test_a_bad_request_is_rejected_with_status_code_and_sentence(service: Service, rejection: Rejection) -> None:
    response = requests.request(rejection.method, service.url + rejection.path, timeout=60, **rejection.request)

    assert_rejected(response, rejection.status, rejection.code)


def assert_rejected(response: requests.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    content = response.json()
    assert set(content) == {"error", "code"}
    assert content["code"] == code
    assert content["error"].endswith(".")
    assert "Traceback" not in content["error"]
    assert_protected(response)


def assert_protected(response: requests.Response) -> None:
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if not response.url.partition("/static/")[1]:
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("path", "allowed"), [("/predict", {"POST", "OPTIONS"}), ("/", {"GET", "HEAD", "OPTIONS"})])
def test_a_wrong_method_is_rejected_with_the_allowed_ones(service: Service, path: str, allowed: set[str]) -> None:
    response = requests.delete(service.url + path, timeout=60)

    assert set(response.headers["Allow"].split(", ")) == allowed


def test_the_error_for_a_large_picture_names_its_size_and_the_limit(service: Service) -> None:
    response = service.post(png(50_000, 50_000, 8, 2, bytes(5_000_000)))

    assert "50000 x 50000 pixels; at most 50,000,000" in response.json()["error"]


def test_a_rejected_body_leaves_the_connection_usable(service: Service) -> None:
    with requests.Session() as session:
        rejected = [
            session.post(service.url + "/predict", data=body, headers={"Content-Type": kind}, timeout=60)
            for body, kind in ((PNG, "text/plain"), (Chunks([PNG]), "image/png"), (JPEG[:-1], "image/jpeg"))
        ]
        response = session.post(service.url + "/predict", files={"image": PNG}, timeout=60)

    assert [each.status_code for each in rejected] == [400, 411, 422]
    assert_has_the_faces(response, 0)


GOOD = {
    "JPEG": (JPEG, 2),
    "progressive JPEG": (encode(PHOTO, "JPEG", quality=95, progressive=True), 2),
    "CMYK JPEG": (encode(PHOTO, "JPEG", "CMYK", quality=95), 2),
    "JPEG with a ZIP behind it": (JPEG + ZIP, 2),
    "PNG": (PNG, 0),
    "PNG with a ZIP behind it": (PNG + ZIP, 0),
    "16-bit PNG": (encode_16_bit(PHOTO), 0),
    "PNG with alpha": (encode(OPAQUE, "PNG"), 0),
    "PNG with a transparent background": (encode(CUT_OUT, "PNG"), 0),
    "16-bit PNG with alpha": (encode_16_bit(CUT_OUT), 0),
    "palette PNG": (encode(PHOTO, "PNG", "P"), 0),
    "animated PNG": (animation("PNG", PHOTO, PHOTO[::-1]), 0),
    "WebP": (encode(PHOTO, "WEBP", quality=95), 2),
    "WebP without loss": (encode(PHOTO, "WEBP", lossless=True), 0),
    "WebP with a transparent background": (encode(CUT_OUT, "WEBP", lossless=True), 0),
    "animated WebP": (animation("WEBP", PHOTO, PHOTO[::-1]), 0),
    "BMP": (encode(PHOTO, "BMP"), 0),
    "palette BMP": (encode(PHOTO, "BMP", "P"), 0),
}


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


def assert_has_the_faces(response: requests.Response, tolerance: int) -> None:
    """Check for 200 with the boxes of `TINY_FACES`, each with the gender of its colour."""
    assert response.status_code == 200, response.text
    assert_protected(response)
    content = response.json()
    assert content["image"] == {"width": 384, "height": 384}
    found = sorted(content["faces"], key=lambda face: [round(edge, -1) for edge in face["bbox"]])
    np.testing.assert_allclose([face["bbox"] for face in found], sorted(TINY_FACES), atol=tolerance)
    genders = {BLUISH: "Male", REDDISH: "Female"}
    assert all(
        face["gender"] == genders.get(TINY_FACES[box], face["gender"])
        for face, box in zip(found, sorted(TINY_FACES), strict=True)
    )


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


# Raw requests that no client library would send.
START = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
RAW = START + b"Content-Type: image/png\r\n"
FORM = START + b"Content-Type: multipart/form-data; boundary=fence\r\n"
CHUNKED = FORM + b"Transfer-Encoding: chunked\r\n\r\n"


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


def form_with_file_name(file_name: bytes) -> bytes:
    """Return a request with a form whose photo has exactly this file name."""
    head = b'--fence\r\nContent-Disposition: form-data; name="image"; filename="' + file_name + b'"\r\n\r\n'
    body = head + PNG + FORM_END
    return FORM + b"Content-Length: %d\r\n\r\n" % len(body) + body


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


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(RAW + b"Content-Length: 100000\r\n\r\n" + PNG, id="raw body"),
        pytest.param(FORM + b"Content-Length: 100000\r\n\r\n" + photo_part(PNG), id="form"),
        pytest.param(CHUNKED + b"7\r\n--fence\r\n", id="chunked form"),
    ],
)
def test_a_body_that_stalls_is_timed_out(impatient: Service, request_bytes: bytes) -> None:
    started = time.monotonic()

    status, body = exchange(impatient, request_bytes, shut_down=False)

    assert (status, json.loads(body)["code"]) == (408, "body_timeout")
    # The default is ten seconds.
    assert 1 <= time.monotonic() - started < 9


@pytest.fixture(scope="module")
def impatient(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits one second for a body."""
    log = tmp_path_factory.mktemp("impatient") / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_BODY_SECONDS="1") as service:
        yield service


def exchange(service: Service, request_bytes: bytes, shut_down: bool = True) -> tuple[int, bytes]:
    """Send bytes, then shut down the sending side if asked, and return status and body of the response."""
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request_bytes)
        if shut_down:
            connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


SMALL = draw(96, 96, {(24, 24, 48, 48): REDDISH})
MUTATED = {
    "JPEG": encode(SMALL, "JPEG"),
    "progressive JPEG": encode(SMALL, "JPEG", progressive=True),
    "PNG": encode(gradient(96, 96), "PNG"),
    "PNG with alpha": encode(np.dstack([gradient(96, 96), gradient(96, 96)[..., 0]]), "PNG"),
    "WebP": encode(SMALL, "WEBP"),
    "BMP": encode(SMALL, "BMP"),
}
# Mutations splice in headers of these, too.
DONORS = [*MUTATED.values(), animation("PNG", SMALL, SMALL[::-1]), animation("WEBP", SMALL, SMALL[::-1]), GIF, HEIC]
EXPECTED_ERRORS = {
    (400, "empty_image"),
    (413, "image_too_large"),
    (415, "unsupported_type"),
    (422, "undecodable_image"),
}
MUTATIONS = 334  # of each of six pictures: 2,004


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


def is_documented(response: requests.Response) -> bool:
    content = response.json()
    if response.status_code == 200:
        return isinstance(content["faces"], list)
    known = (response.status_code, content["code"]) in EXPECTED_ERRORS
    return known and set(content) == {"error", "code"} and content["error"].endswith(".")


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
