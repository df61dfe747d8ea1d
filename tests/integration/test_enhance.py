"""Pictures enlarged over HTTP, one by one and in batches, and what that costs photos that wait: next to nothing."""

import base64
import io
import json
import signal
import socket
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests
from flask.testing import FlaskClient
from numpy.typing import NDArray

from tests.support.batch_client import finished, submit
from tests.support.clients import PATIENCE
from tests.support.enhance_packs import write_edsr_pack
from tests.support.pictures import encode
from tests.support.service import Service, serving
from tests.support.waiting import wait_for
from visage.images.headers import read_header
from visage.server.response_buffer import ResponseBuffer
from visage.settings import Settings
from visage.web import create_app


@pytest.fixture(scope="module")
def small(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(100, 80, 3) BGR: the astronaut's face."""
    return np.ascontiguousarray(astronaut[60:160, 180:260])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_picture_comes_back_three_times_as_large_in_its_own_format(
    client: FlaskClient, small: NDArray[np.uint8], format: str
) -> None:
    picture = encode(small, format)

    answer = client.post("/enhance", data={"image": (io.BytesIO(picture), "photo")})

    assert answer.status_code == 200
    header = read_header(answer.data)
    assert (header.format, header.width, header.height) == (read_header(picture).format, 240, 300)
    assert answer.mimetype == f"image/{format.lower()}"


def test_what_comes_out_is_nearer_to_the_original_than_bicubic_enlargement(
    client: FlaskClient, astronaut: NDArray[np.uint8]
) -> None:
    original = astronaut[:510, :510]
    shrunk = np.asarray(cv2.resize(original, (170, 170), interpolation=cv2.INTER_AREA), np.uint8)
    bicubic = cv2.resize(shrunk, (510, 510), interpolation=cv2.INTER_CUBIC)

    answer = client.post("/enhance", data=encode(shrunk, "PNG"), content_type="image/png")
    enlarged = cv2.imdecode(np.frombuffer(answer.data, np.uint8), cv2.IMREAD_COLOR)

    assert enlarged is not None
    assert cv2.PSNR(original, enlarged) > cv2.PSNR(original, bicubic)


def test_the_picture_can_come_in_json_with_what_was_done(client: FlaskClient, small: NDArray[np.uint8]) -> None:
    picture = encode(small, "PNG")

    plain = client.post("/enhance", data=picture, content_type="image/png").data
    answer = client.post("/enhance?format=json", data=picture, content_type="image/png").get_json()
    bare = client.post("/enhance?format=json&picture=false", data=picture, content_type="image/png").get_json()

    assert answer["image"] == {"width": 240, "height": 300, "format": "PNG"}
    assert answer["scale"] == 3
    assert answer["model"]["pack"] == "compact"
    assert base64.b64decode(answer["picture"]) == plain
    assert "picture" not in bare


def test_a_picture_that_would_become_too_large_is_refused(tiny_pack: Path, tmp_path: Path) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, max_enhance_pixels=7999)

    answer = (
        create_app(settings)
        .test_client()
        .post("/enhance", data=encode(np.zeros((100, 80, 3), np.uint8), "PNG"), content_type="image/png")
    )

    assert (answer.status_code, answer.get_json()["code"]) == (413, "image_too_large")
    assert "7,999" in answer.get_json()["error"]


@pytest.fixture(scope="module")
def slow_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net that takes a core about 20 seconds for a million pixels."""
    return write_edsr_pack(tmp_path_factory.mktemp("superres") / "edsr", blocks=4, channels=128)


@pytest.fixture
def slow(tiny_pack: Path, slow_pack: Path, tmp_path: Path) -> Iterator[Service]:
    """A service of one worker that enlarges in tiles of a third of a second."""
    settings = {"VISAGE_SUPERRES_PACK": str(slow_pack), "VISAGE_TILE": "128", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "log", tiny_pack, VISAGE_BATCH_JOBS="0", **PATIENCE, **settings) as service:
        yield service


# More than two minutes of the slow net.
LARGE = encode(np.full((2300, 2300, 3), 127, np.uint8), "PNG")


def busy(service: Service) -> bool:
    return "visage_slots_busy 1.0" in requests.get(service.url + "/metrics", timeout=60).text


def enhance_requests(service: Service) -> list[dict[str, object]]:
    """What the log has of them."""
    lines = map(json.loads, service.log.read_text().splitlines())
    return [line for line in lines if line["event"] == "request" and line["route"] == "/enhance"]


@contextmanager
def begun(service: Service) -> Iterator[None]:
    """While the large picture is enlarged, for a client that leaves at the end of the block."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as connection:
        head = b"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(LARGE) + LARGE)
        assert wait_for(lambda: busy(service))
        yield


def test_photos_are_answered_while_a_picture_is_enlarged_by_the_only_slot(slow: Service, tiny_png: bytes) -> None:
    with begun(slow):
        answers = [slow.post(tiny_png).status_code for _ in range(5)]

        assert answers == [200] * 5
        assert enhance_requests(slow) == []


def test_when_the_client_has_gone_the_work_ends_at_the_next_tile(slow: Service, small: NDArray[np.uint8]) -> None:
    with begun(slow):
        pass

    assert wait_for(lambda: enhance_requests(slow) != [])
    (line,) = enhance_requests(slow)
    assert line["status"] == 400
    assert "internal_error" not in slow.log.read_text()
    assert slow.post(encode(small, "PNG"), "/enhance").status_code == 200


def test_what_cannot_end_in_time_after_a_wish_to_stop_is_told_so(slow: Service) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(slow.post, LARGE, "/enhance")
        assert wait_for(lambda: busy(slow))

        slow.process.send_signal(signal.SIGTERM)
        answer = call.result()

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["Retry-After"] == "1"
    assert "is being stopped" in answer.json()["error"]
    assert slow.process.wait(60) == 0


def test_what_can_end_in_time_after_a_wish_to_stop_does(slow: Service) -> None:
    # Two tiles.
    picture = encode(np.full((128, 200, 3), 127, np.uint8), "PNG")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(slow.post, picture, "/enhance")
        assert wait_for(lambda: busy(slow) or call.done())

        slow.process.send_signal(signal.SIGTERM)
        answer = call.result()

    assert answer.status_code == 200
    assert slow.process.wait(60) == 0


@pytest.mark.parametrize(
    ("sent", "closes", "left"), [(b"", False, False), (b"", True, True), (b"GET / HTTP/1.1", True, False)]
)
def test_who_has_left_is_who_closed_and_sent_nothing_more(sent: bytes, closes: bool, left: bool) -> None:
    ours, its = socket.socketpair()
    with ours, its:
        ours.settimeout(0)
        its.sendall(sent)
        if closes:
            its.shutdown(socket.SHUT_WR)

        assert ResponseBuffer(ours, time_limit=1).disconnected == left


def test_pictures_are_enlarged_in_a_batch_too(service: Service, small: NDArray[np.uint8]) -> None:
    picture = encode(small, "PNG")
    batch_id = submit(service, ("face.png", picture), task="enhance")

    end = finished(service, batch_id)
    archive = requests.get(f"{service.url}/batches/{batch_id}/result.zip", timeout=60).content

    assert end["files"] == [{"name": "face.png", "state": "done"}]
    with zipfile.ZipFile(io.BytesIO(archive)) as result:
        assert result.read("face.png") == service.post(picture, "/enhance").content
