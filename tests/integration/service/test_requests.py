"""The service answers parallel and repeated requests, and logs each without private data."""

from concurrent.futures import ThreadPoolExecutor

import requests

from tests.integration.service.responses import faces
from tests.support.service import Service


def test_the_service_answers_a_photo(service: Service, tiny_png: bytes) -> None:
    answer = service.post(tiny_png)

    assert len(faces(answer)) == 3


def test_two_parallel_requests_get_the_same_faces_as_a_single_one(service: Service, tiny_png: bytes) -> None:
    alone = faces(service.post(tiny_png))

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: faces(service.post(tiny_png)), range(2)))

    assert together == [alone, alone]


def test_forty_parallel_requests_get_the_same_faces_as_single_ones(
    service: Service, tiny_png: bytes, tiny_jpeg: bytes
) -> None:
    alone = {photo: service.post(photo, annotated="false").json()["faces"] for photo in (tiny_png, tiny_jpeg)}
    photos = [tiny_png, tiny_jpeg] * 20

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda photo: faces(service.post(photo)), photos))

    assert together == [alone[photo] for photo in photos]


def test_every_response_has_its_own_request_id(service: Service) -> None:
    ids = {requests.get(service.url + "/healthz", timeout=60).headers["X-Request-ID"] for _ in range(20)}

    assert len(ids) == 20


def test_a_request_has_one_log_line_and_the_log_has_no_file_names(service: Service, tiny_png: bytes) -> None:
    files = {"image": ("holiday-in-rome.png", tiny_png)}
    requests.post(service.url + "/predict", files=files, headers={"X-Request-ID": "log-test-1"}, timeout=60)

    lines = [line for line in service.log.read_text().splitlines() if "log-test-1" in line]

    assert len(lines) == 1
    assert '"status":200' in lines[0]
    assert '"faces":3' in lines[0]
    assert "holiday-in-rome" not in service.log.read_text()


def test_opencv_writes_nothing_to_the_log(service: Service) -> None:
    bitmap = b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little") + (9).to_bytes(4, "little") * 2

    answer = service.post(bitmap + b"\1\0\x18\0" + bytes(24))

    assert answer.status_code == 422
    assert "[ERROR:" not in service.log.read_text()


def test_a_kept_alive_connection_serves_many_requests(service: Service, tiny_png: bytes) -> None:
    with requests.Session() as session:
        statuses = [session.post(service.url + "/predict", files={"image": tiny_png}).status_code for _ in range(20)]

    assert statuses == [200] * 20
