"""What operators see of a running service: metrics and logs."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.pictures import encode
from tests.support.service import Service, free_port, serving
from tests.support.waiting import wait_for

STAGES = {"wait", "decode", "detect", "attributes", "annotate", "encode"}


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("operation") / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="2") as service:
        yield service


def metric(service: Service, name: str) -> float:
    """The value of a series; 0 if there is none."""
    lines = requests.get(service.url + "/metrics", timeout=60).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


def last_line(service: Service) -> dict[str, Any]:
    """The log line of the last request."""
    *_, last = [line for line in service.log.read_text().splitlines() if '"event":"request"' in line]
    line: dict[str, Any] = json.loads(last)
    return line


def test_slots_are_summed_over_all_workers(service: Service) -> None:
    # The first worker is ready before the second.
    assert wait_for(lambda: metric(service, "visage_slots") == 2)

    assert metric(service, "visage_slots_busy") == 0
    assert metric(service, "visage_queue_length") == 0


def test_the_pack_in_use_is_a_metric(service: Service) -> None:
    assert metric(service, 'visage_pack_info{pack="tiny",version="1"}') == 1


@pytest.mark.parametrize(
    ("upload", "code"), [(b"GIF89a", "unsupported_type"), (b"\xff\xd8\xff\xe0", "undecodable_image")]
)
def test_rejections_are_counted_by_code(service: Service, upload: bytes, code: str) -> None:
    before = metric(service, f'visage_rejections_total{{code="{code}"}}')

    service.post(upload)

    assert metric(service, f'visage_rejections_total{{code="{code}"}}') == before + 1


def test_early_rejections_are_counted_and_logged_too(service: Service) -> None:
    before = metric(service, 'visage_requests_total{route="unknown",status="431"}')

    answer = requests.get(service.url + "/healthz", headers={"X-Filler": "x" * 9000}, timeout=60)

    assert answer.status_code == 431
    assert metric(service, 'visage_requests_total{route="unknown",status="431"}') == before + 1
    assert answer.headers["X-Request-ID"] in service.log.read_text()


def test_a_request_is_logged_with_its_id_status_stages_and_faces(service: Service, tiny_png: bytes) -> None:
    answer = service.post(tiny_png)

    line = last_line(service)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert (line["route"], line["status"], line["faces"]) == ("/predict", 200, 3)
    assert set(line["stages"]) == STAGES
    assert 0 < sum(line["stages"].values()) <= line["milliseconds"] + 1


def test_a_rejection_is_logged_with_its_code(service: Service) -> None:
    service.post(b"GIF89a")

    assert (last_line(service)["status"], last_line(service)["code"]) == (415, "unsupported_type")


def test_the_log_has_no_file_name_and_no_address(service: Service, tiny_png: bytes) -> None:
    named = {"image": ("grandmother.png", tiny_png)}

    requests.post(service.url + "/predict", files=named, params={"secret": "kept"}, timeout=60)

    text = service.log.read_text()
    assert "grandmother" not in text
    assert "kept" not in text
    assert not any("127.0.0.1" in line for line in text.splitlines() if '"event":"request"' in line)


def test_anonymized_photos_are_logged_and_counted_too(service: Service, tiny_png: bytes) -> None:
    before = metric(service, 'visage_stage_duration_seconds_count{stage="cover"}')

    service.post(tiny_png, "/anonymize", detail="fast")

    line = last_line(service)
    assert (line["route"], line["status"], line["faces"]) == ("/anonymize", 200, 3)
    assert set(line["stages"]) == {"wait", "decode", "detect", "cover", "encode"}
    assert wait_for(lambda: metric(service, 'visage_stage_duration_seconds_count{stage="cover"}') == before + 1)


def test_the_log_has_addresses_if_the_setting_asks_for_them(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_LOG_ADDRESSES="true") as service:
        service.post(tiny_png)

        assert last_line(service)["address"] == "127.0.0.1"


def test_metrics_can_be_closed(tiny_pack: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_METRICS="closed") as service:
        assert requests.get(service.url + "/metrics", timeout=60).status_code == 404
        assert requests.get(service.url + "/healthz", timeout=60).status_code == 200


def test_metrics_can_have_their_own_address(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    own = f"127.0.0.1:{free_port()}"
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_METRICS=own) as service:
        photo = {"image": tiny_png}

        assert requests.get(service.url + "/metrics", timeout=60).status_code == 404
        assert requests.post(service.url + "/predict", files=photo, timeout=60).status_code == 200
        assert "visage_faces_total 3.0" in requests.get(f"http://{own}/metrics", timeout=60).text
        assert requests.post(f"http://{own}/predict", files=photo, timeout=60).status_code == 404
        assert requests.get(f"http://{own}/healthz", timeout=60).status_code == 200


def test_cached_results_are_counted_and_have_only_the_stage_cache(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_CACHE_BYTES="10000000") as service:
        first, second = (service.post(tiny_png).json() for _ in range(2))

        assert set(last_line(service)["stages"]) == {"cache"}
        assert metric(service, 'visage_cache_lookups_total{outcome="miss"}') == 1
        assert metric(service, 'visage_cache_lookups_total{outcome="hit"}') == 1
    assert {**first, "timings_ms": None} == {**second, "timings_ms": None}


def test_an_early_rejection_has_the_clients_request_id_and_keeps_the_connection(
    tiny_pack: Path, tmp_path: Path
) -> None:
    photo = encode(np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8), "BMP")
    settings = {"WEB_CONCURRENCY": "1", "VISAGE_QUEUE": "0"}
    with serving(tmp_path / "log", tiny_pack, **settings) as service, ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> list[tuple[int, str, str]]:
            with requests.Session() as session:
                session.headers["X-Request-ID"] = f"client-{number}"
                url = service.url + "/predict"
                answers = [session.post(url, files={"image": photo}, timeout=60) for _ in range(10)]
            return [(each.status_code, each.headers["X-Request-ID"], each.headers["Connection"]) for each in answers]

        responses = dict(enumerate(pool.map(ask, range(4))))
        rejected = [each for answers in responses.values() for each in answers if each[0] == 429]

        assert all(each[1] == f"client-{number}" for number, answers in responses.items() for each in answers)
        assert rejected
        assert {each[2] for each in rejected} == {"keep-alive"}
        assert metric(service, 'visage_rejections_total{code="queue_full"}') == len(rejected)


def test_a_pipelined_photo_is_rejected_once(tiny_pack: Path, tmp_path: Path) -> None:
    photo = encode(np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8), "BMP")
    settings = {"WEB_CONCURRENCY": "1", "VISAGE_QUEUE": "0"}
    health = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
    both = health + b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nnull"
    with serving(tmp_path / "log", tiny_pack, **settings) as service, ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(lambda: [service.post(photo) for _ in range(20)]) for _ in range(2)]

        answers = [exchange(service, both) for _ in range(40)]
        for each in busy:
            each.result()

        rejected = [answer for answer in answers if answer.count(b"queue_full")]
        assert rejected
        assert {answer.count(b"HTTP/1.1") for answer in rejected} == {2}


def exchange(service: Service, requests_in_one: bytes) -> bytes:
    """Everything that the service sends in response to these bytes."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60) as client:
        client.sendall(requests_in_one)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(2**16), b""))
