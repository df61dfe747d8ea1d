"""A table of bad requests, each with its expected error."""

from dataclasses import dataclass, field
from typing import Any

from tests.integration.bad_input.requests_in_bytes import (
    BODY_LIMIT,
    FORM_END,
    JPEG,
    JSON,
    MULTIPART,
    PHOTO,
    PNG,
    Chunks,
    photo_part,
)
from tests.support.pictures import (
    AVIF,
    GIF,
    HEIC,
    PDF,
    SVG,
    ZIP,
    bmp,
    broken_animation,
    encode,
    greedy_png,
    jpeg_frame,
    jpeg_segment,
    many_scans_jpeg,
    png,
)


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
    Rejection("JSON with a name", 400, "no_image", {"json": {"image": "my photo"}}),
    Rejection("JSON with a number", 400, "no_image", {"json": {"image": 7}}),
    Rejection("JSON without a photo", 400, "no_image", {"json": {"img": "cGhvdG8="}}),
    Rejection("JSON with an empty photo", 400, "empty_image", {"json": {"image": "data:image/png;base64,"}}),
    Rejection("JSON with text as base64", 415, "unsupported_type", {"json": {"image": "cGhvdG8="}}),
    Rejection("JSON with two photos", 400, "bad_request", {"json": {"image": "cGhvdG8=", "file": "cGhvdG8="}}),
    Rejection("JSON that is no object", 400, "bad_request", {"json": ["cGhvdG8="]}),
    Rejection("JSON that is invalid", 400, "bad_request", {"data": b'{"image":', "headers": JSON}),
    Rejection("JSON over the limit", 413, "body_too_large", {"json": {"image": BODY_LIMIT * "A"}}),
    Rejection("JSON of many lists", 413, "body_too_large", {"data": b"[" + 50_000 * b"[],", "headers": JSON}),
    Rejection("JSON with a wrong parameter", 400, "bad_parameter", {"json": {"image": "cGhvdG8=", "max_faces": 0}}),
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
    raw("chunked raw body over the limit", 413, "body_too_large", Chunks(17 * [bytes(65536)])),
    raw("empty chunked raw body", 400, "empty_image", Chunks([])),
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
    upload("HEIC without an image", 422, "undecodable_image", HEIC),
    upload("AVIF without an image", 422, "undecodable_image", AVIF),
    upload("BigTIFF", 415, "unsupported_type", b"II+\0" + bytes(99)),
    upload("ZIP", 415, "unsupported_type", ZIP),
    upload("JPEG after an empty line", 415, "unsupported_type", b"\n" + JPEG),
    upload("JPEG cut in the header", 422, "undecodable_image", JPEG[:100]),
    upload("JPEG cut short", 422, "undecodable_image", JPEG[: len(JPEG) // 2]),
    upload("JPEG without its last bytes", 422, "undecodable_image", JPEG[:-40]),
    upload("JPEG without its last rows, with an end", 422, "undecodable_image", JPEG[: len(JPEG) // 2] + b"\xff\xd9"),
    upload("arithmetic-coded JPEG", 415, "unsupported_type", b"\xff\xd8" + jpeg_frame(8, 8, 0xC9)),
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
    parameter("max_face", "1"),
    Rejection("unknown parameter in the form", 400, "bad_parameter", {"files": {"image": PNG}, "data": {"note": "x"}}),
    Rejection("unknown parameter in JSON", 400, "bad_parameter", {"json": {"image": "cGhvdG8=", "note": None}}),
    Rejection("file that is not the photo", 400, "bad_parameter", {"files": {"image": PNG, "mask": PNG}}),
    parameter("max_faces", "\N{ARABIC-INDIC DIGIT THREE}"),
    Rejection("parameter in the form", 400, "bad_parameter", {"files": {"image": PNG}, "data": {"max_faces": "0"}}),
    accept("text/html"),
    accept("image/png"),
    accept("application/json;q=0"),
    accept("nonsense"),
    Rejection("GET for a photo", 405, "method_not_allowed", method="GET"),
    Rejection("PUT for a photo", 405, "method_not_allowed", {"data": PNG}, method="PUT"),
    Rejection("DELETE for the page", 405, "method_not_allowed", method="DELETE", path="/"),
    Rejection("unknown method", 400, "bad_request", method="BREW"),
    Rejection("POST for the health", 405, "method_not_allowed", {"data": PNG}, path="/healthz"),
    Rejection("unknown path", 404, "not_found", method="GET", path="/nothing"),
    Rejection("photo to an unknown path", 404, "not_found", {"files": {"image": PNG}}, path="/predict/"),
    Rejection("path outside the static files", 404, "not_found", method="GET", path="/static/%2e%2e/%2e%2e/app.py"),
    Rejection("path that is not UTF-8", 404, "not_found", method="GET", path="/%00%ff"),
]
