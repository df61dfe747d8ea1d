"""A real gunicorn returns what the OpenAPI document describes, for valid and for invalid requests."""

import io
import os
import zipfile
from typing import Any

import numpy as np
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.support.contract import CONTRACT
from tests.support.pictures import GIF, animation, encode, gradient, png
from tests.support.service import Service
from tests.support.tiny_pack import TINY_FACES, draw

# Cases for each operation; `make fuzz` sets more, which then are random. Some invalid requests are accepted: an empty
# value counts as missing, the query overrides the form, and an invalid request ID is replaced.
CASES = int(os.environ.get("VISAGE_CONTRACT_CASES", "0"))

PHOTO = draw(faces=TINY_FACES)
PHOTOS = [
    *(encode(PHOTO, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP")),
    encode(np.dstack([gradient(40, 60), gradient(40, 60)[..., 0]]), "PNG"),
    animation("PNG", gradient(40, 60), gradient(40, 60)[::-1]),
    encode(PHOTO, "JPEG")[:2000],
    png(50_000, 50_000, 8, 2, b""),
    GIF,
    b"",
]


def packed(*files: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for number, content in enumerate(files):
            writer.writestr(f"holiday/{number}.png", content)
    return archive.getvalue()


ARCHIVES = [packed(), packed(*PHOTOS), packed(packed(PHOTOS[0])), packed(*PHOTOS)[:-9]]
UPLOADS = st.sampled_from(PHOTOS + ARCHIVES) | st.binary(max_size=200)
schemathesis.openapi.format("binary", UPLOADS)
MEDIA_TYPES = {
    media_type
    for methods in CONTRACT["paths"].values()
    for operation in methods.values()
    for media_type in operation.get("requestBody", {}).get("content", ())
}
for media_type in MEDIA_TYPES - {"multipart/form-data", "application/json"}:
    schemathesis.openapi.media_type(media_type, UPLOADS)

contract = schemathesis.openapi.from_dict(CONTRACT)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]


@contract.parametrize()
@settings(
    max_examples=CASES or 60,
    derandomize=not CASES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_response_matches_its_description(case: Case[Any], service: Service) -> None:
    case.call_and_validate(base_url=service.url, checks=CHECKS)


def test_the_events_of_an_enhancement_match_their_description(service: Service) -> None:
    case = contract["/enhance"]["POST"].Case(
        method="POST", query={"format": "events"}, body=encode(PHOTO, "JPEG"), media_type="image/jpeg"
    )

    response = case.call_and_validate(base_url=service.url, checks=CHECKS)

    assert response.headers["content-type"] == ["text/event-stream"]


def test_the_events_of_a_batch_match_their_description(service: Service) -> None:
    batch = requests.post(f"{service.url}/batches", files={"files": encode(PHOTO, "JPEG")}, timeout=30).json()
    case = contract["/batches/{batch_id}/events"]["GET"].Case(method="GET", path_parameters={"batch_id": batch["id"]})

    response = case.call_and_validate(base_url=service.url, checks=CHECKS)

    assert response.headers["content-type"] == ["text/event-stream"]
