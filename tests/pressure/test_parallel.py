"""Thousands of mixed parallel requests get the same responses as single ones."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest

from benchmarks.support import photos
from tests.pressure.exchange import Answer, Request, ask, connect, form
from tests.support.pictures import (
    GIF,
    PDF,
    SVG,
    Pixels,
    as_stored,
    encode,
    encode_16_bit,
    exif,
    gradient,
    many_scans_jpeg,
    plain,
    with_exif,
)
from tests.support.service import Service, serving

REQUESTS = 2000
CONNECTIONS = 16


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A real service with `compact`, whose queue has room for all connections."""
    log = tmp_path_factory.mktemp("parallel") / "log"
    patience = {"VISAGE_QUEUE": str(CONNECTIONS), "VISAGE_WAIT_SECONDS": "60"}
    with serving(log, "compact", WEB_CONCURRENCY="2", **patience) as service:
        yield service


def scaled(side: int) -> Pixels:
    return cv2.resize(photos.portrait(), (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def uploads() -> dict[str, bytes]:
    """Images of many sizes and of every accepted format."""
    portrait, pair = photos.portrait(), photos.two_faces()
    half_transparent = np.dstack([portrait, gradient(512, 512)[..., 0]])
    found = {f"portrait of {side}": photos.jpeg(scaled(side)) for side in (32, 64, 100, 200, 320, 750, 1000)}
    found |= {f"{count} faces": photos.jpeg(photos.crowd(count)) for count in (1, 4, 9, 16)}
    found |= {f"{size} megapixels": photos.jpeg(photos.scene(size)) for size in (0.3, 0.7, 1, 2, 9)}
    found |= {f"quality {quality}": photos.jpeg(portrait, quality) for quality in (5, 40, 100)}
    found |= {
        f"orientation {orientation}": with_exif(photos.jpeg(as_stored(portrait, orientation)), exif(orientation))
        for orientation in (2, 3, 6, 8)
    }
    return found | {
        "two faces": photos.jpeg(pair),
        "head": photos.jpeg(portrait[0:260, 90:350]),
        "half a head": photos.jpeg(portrait[0:260, 220:400]),
        "no head": photos.jpeg(portrait[200:]),
        "upside down": photos.jpeg(portrait[::-1]),
        "progressive JPEG": encode(pair, "JPEG", progressive=True),
        "grey JPEG": encode(portrait, "JPEG", "L"),
        "CMYK JPEG": encode(scaled(200), "JPEG", "CMYK"),
        "PNG": encode(scaled(320), "PNG"),
        "transparent PNG": encode(half_transparent, "PNG"),
        "palette PNG": encode(scaled(256), "PNG", "P"),
        "16-bit PNG": encode_16_bit(scaled(150)),
        "WebP": encode(pair, "WEBP"),
        "WebP without loss": encode(scaled(240), "WEBP", lossless=True),
        "BMP": encode(scaled(180), "BMP"),
        "gradient": photos.jpeg(gradient(600, 800)),
        "tower": encode(plain(900, 30, (90, 120, 200)), "PNG"),
        "one pixel": encode(plain(1, 1, (9, 9, 9)), "PNG"),
    }


OPTIONS: tuple[dict[str, str], ...] = (
    {},
    {"annotated": "false"},
    {"format": "jpeg"},
    {"format": "both"},
    {"detail": "fast"},
    {"max_faces": "1"},
    {"min_confidence": "0.05", "annotated": "false"},
    {"min_face_size": "60", "format": "jpeg"},
    {"format": "json", "detail": "fast", "max_faces": "3", "annotated": "false"},
)


def good_requests() -> Iterator[Request]:
    """Each upload with three sets of options, in turn as a form with a query, as a form with fields, and raw."""
    option_sets = itertools.cycle(OPTIONS)
    ways = itertools.cycle(range(4))
    for name, photo in uploads().items():
        for options in itertools.islice(option_sets, 3):
            yield good_request(name, photo, options, next(ways))
    for name in ("portrait of 750", "4 faces", "WebP", "0.3 megapixels"):
        yield good_request(name, uploads()[name], {"detail": "high"}, 0)


def good_request(name: str, photo: bytes, options: dict[str, str], way: int) -> Request:
    name = f"{name}, {options}, way {way}"
    query = f"?{urlencode(options)}"
    if way == 0:
        return Request(name, *form(photo), path=f"/predict{query}")
    if way == 1:
        return Request(name, *form(photo, photo_field="file", **options))
    if way == 2:
        return Request(name, *form(photo), path=f"/analyze{query}")
    return Request(name, photo, {"Content-Type": "application/octet-stream"}, path=f"/predict{query}")


def bad_requests() -> Iterator[Request]:
    """Invalid requests, sent by mistake or on purpose."""
    photo = photos.jpeg(photos.two_faces())
    small = encode(scaled(100), "PNG")
    raw = {"Content-Type": "image/jpeg"}
    for size in (1, 100, 3000, len(photo) // 2):
        yield Request(f"{size} bytes of a JPEG", *form(photo[:size]), status=415 if size == 1 else 422)
        yield Request(f"{size} bytes of a JPEG, raw", photo[:size], raw, status=415 if size == 1 else 422)
    for kind, content in {"GIF": GIF, "PDF": PDF, "SVG": SVG, "text": b"a photo"}.items():
        yield Request(f"{kind} for a photo", *form(content), status=415)
    yield Request("half a PNG", *form(small[: len(small) // 2]), status=422)
    yield Request("too many scans", *form(many_scans_jpeg(2000)), status=422)
    yield Request("empty field", *form(b""), status=400)
    yield Request("empty body", b"", raw, status=400)
    yield Request("wrong field", *form(photo, photo_field="picture"), status=400)
    yield Request("no photo", b"{}", {"Content-Type": "application/json"}, status=400)
    yield Request("form that ends early", form(photo)[0][:-200], form(photo)[1], status=400)
    yield Request("compressed", photo, {**raw, "Content-Encoding": "gzip"}, status=415)
    yield Request("no such type", *with_accept(form(small), "text/plain"), status=406)
    for name, value in {"max_faces": "0", "detail": "best", "format": "png", "min_confidence": "nan"}.items():
        yield Request(f"{name}={value}", *form(small), path=f"/predict?{name}={value}", status=400)
        yield Request(f"{name}={value} in the form", *form(photo, **{name: value}), status=400)
    yield Request("wrong method", method="GET", status=405)
    yield Request("wrong address", *form(small), path="/nowhere", status=404)
    yield Request("wrong address for a large photo", *form(photo), path="/nowhere", status=404)


def with_accept(sent: tuple[bytes, dict[str, str]], types: str) -> tuple[bytes, dict[str, str]]:
    return sent[0], {**sent[1], "Accept": types}


GOOD = list(good_requests())
BAD = list(bad_requests())


@pytest.fixture(scope="module")
def alone(service: Service) -> dict[str, Answer]:
    """The response to each request without parallel ones."""
    answers = {}
    for request in GOOD + BAD:
        with closing(connect(service.url)) as connection:
            answers[request.name] = ask(connection, request)
    return answers


def mixture() -> list[Request]:
    """Valid and invalid requests in random order. Every fourth is invalid, and all of a kind are equally frequent."""
    rng = random.Random(1)
    invalid, valid = shuffled(rng, BAD, REQUESTS // 4), shuffled(rng, GOOD, REQUESTS - REQUESTS // 4)
    return [next(valid if index % 4 else invalid) for index in range(REQUESTS)]


def shuffled(rng: random.Random, requests: Sequence[Request], count: int) -> Iterator[Request]:
    chosen = list(itertools.islice(itertools.cycle(requests), count))
    rng.shuffle(chosen)
    return iter(chosen)


def responses_on_one_connection(
    url: str, number: int, requests: Sequence[Request]
) -> Iterator[tuple[Request, Answer | str]]:
    """Each request with its response, or with an error."""
    before = "nothing"
    with closing(connect(url)) as connection:
        for place, request in enumerate(requests):
            try:
                yield request, ask(connection, request, f"{number}-{place}")
            except (OSError, HTTPException, ValueError) as error:
                connection.close()
                yield request, f"{error!r} after {before}"
            before = request.name


def test_each_single_request_has_the_expected_status(alone: dict[str, Answer]) -> None:
    wrong = {
        request.name: alone[request.name] for request in GOOD + BAD if alone[request.name].status != request.status
    }

    assert wrong == {}


def test_the_single_responses_have_every_media_type_and_differ(alone: dict[str, Answer]) -> None:
    assert len(uploads()) >= 40
    assert len({alone[request.name] for request in GOOD}) > 100
    assert {answer.content_type.partition(";")[0] for answer in alone.values()} == {
        "application/json",
        "image/jpeg",
        "multipart/mixed",
    }


def test_two_thousand_parallel_requests_get_the_same_responses_as_single_ones(
    service: Service, alone: dict[str, Answer]
) -> None:
    requests = mixture()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        clients = [
            pool.submit(list, responses_on_one_connection(service.url, number, requests[number::CONNECTIONS]))
            for number in range(CONNECTIONS)
        ]
        together = [each for client in clients for each in client.result()]

    lost = Counter(answer for _, answer in together if isinstance(answer, str))
    other = Counter(
        request.name for request, answer in together if isinstance(answer, Answer) and answer != alone[request.name]
    )
    assert len(together) == REQUESTS
    assert (lost, other) == (Counter(), Counter())
