"""Enhancement over HTTP and in batches; photos are analyzed in between."""

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
from tests.support.contract import check
from tests.support.pictures import encode
from tests.support.service import Service
from tests.support.waiting import wait_for
from visage.images.headers import read_header
from visage.server.http.response_buffer import ResponseBuffer
from visage.settings import Settings
from visage.web import create_app


@pytest.fixture(scope="module")
def small(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(100, 80, 3) BGR: the astronaut's face."""
    return np.ascontiguousarray(astronaut[60:160, 180:260])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_picture_becomes_three_times_as_large_and_keeps_its_format(
    client: FlaskClient, small: NDArray[np.uint8], format: str
) -> None:
    picture = encode(small, format)

    response = client.post("/enhance", data={"image": (io.BytesIO(picture), "photo")})

    assert response.status_code == 200
    header = read_header(response.data)
    assert (header.format, header.width, header.height) == (read_header(picture).format, 240, 300)
    assert response.mimetype == f"image/{format.lower()}"


def test_the_result_is_closer_to_the_original_than_bicubic_interpolation(
    client: FlaskClient, astronaut: NDArray[np.uint8]
) -> None:
    original = astronaut[:510, :510]
    shrunk = np.asarray(cv2.resize(original, (170, 170), interpolation=cv2.INTER_AREA), np.uint8)
    bicubic = cv2.resize(shrunk, (510, 510), interpolation=cv2.INTER_CUBIC)

    response = client.post("/enhance", data=encode(shrunk, "PNG"), content_type="image/png")
    enlarged = cv2.imdecode(np.frombuffer(response.data, np.uint8), cv2.IMREAD_COLOR)

    assert enlarged is not None
    assert cv2.PSNR(original, enlarged) > cv2.PSNR(original, bicubic)


def test_json_describes_the_result_and_can_include_the_picture(client: FlaskClient, small: NDArray[np.uint8]) -> None:
    picture = encode(small, "PNG")

    plain = client.post("/enhance", data=picture, content_type="image/png").data
    response = client.post("/enhance?format=json", data=picture, content_type="image/png").get_json()
    bare = client.post("/enhance?format=json&picture=false", data=picture, content_type="image/png").get_json()

    assert response["image"] == {"width": 240, "height": 300, "format": "PNG", "original_format": "PNG"}
    assert response["scale"] == 3
    assert response["model"]["pack"] == "compact"
    assert base64.b64decode(response["picture"]) == plain
    assert "picture" not in bare


def test_a_picture_over_the_limit_for_enhancement_is_rejected(tiny_pack: Path, tmp_path: Path) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, max_enhance_pixels=7999)

    response = (
        create_app(settings)
        .test_client()
        .post("/enhance", data=encode(np.zeros((100, 80, 3), np.uint8), "PNG"), content_type="image/png")
    )

    assert (response.status_code, response.get_json()["code"]) == (413, "image_too_large")
    assert "7,999" in response.get_json()["error"]


@pytest.mark.parametrize(("scale", "size"), [("1.5", (120, 150)), ("2", (160, 200)), ("3", (240, 300))])
def test_a_picture_becomes_as_large_as_the_scale_says(
    client: FlaskClient, small: NDArray[np.uint8], scale: str, size: tuple[int, int]
) -> None:
    data = {"image": (io.BytesIO(encode(small, "PNG")), "photo.png"), "scale": scale}

    response = client.post("/enhance?format=json", data=data)

    check(response, "/enhance", "post")
    content = response.get_json()
    assert (content["image"]["width"], content["image"]["height"]) == size
    assert str(content["scale"]) == scale
    header = read_header(base64.b64decode(content["picture"]))
    assert (header.width, header.height) == size


@pytest.mark.parametrize("scale", ["4", "1", "0", "2_0", "nan", "large"])
def test_another_scale_is_a_bad_parameter(client: FlaskClient, small: NDArray[np.uint8], scale: str) -> None:
    response = client.post(f"/enhance?scale={scale}", data=encode(small, "PNG"), content_type="image/png")

    assert response.status_code == 400
    assert response.get_json() == {
        "error": f"scale is '{scale}'; it must be one of 1.5, 2, 3.",
        "code": "bad_parameter",
    }


@pytest.mark.parametrize(("pixels", "max_scale"), [(7999, 2), (3000, 1.5), (1000, None)])
def test_the_error_has_the_largest_scale_that_fits(
    tiny_pack: Path, tmp_path: Path, pixels: int, max_scale: float | None
) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, max_enhance_pixels=pixels)
    picture = encode(np.zeros((100, 80, 3), np.uint8), "PNG")

    response = create_app(settings).test_client().post("/enhance", data=picture, content_type="image/png")

    check(response, "/enhance", "post")
    assert response.get_json().get("max_scale") == max_scale
    assert ("max_scale" in response.get_json()) == (max_scale is not None)


# The slow net takes more than two minutes for it.
LARGE = encode(np.full((2300, 2300, 3), 127, np.uint8), "PNG")


def busy(service: Service) -> bool:
    return "visage_slots_busy 1.0" in requests.get(service.url + "/metrics", timeout=60).text


def enhance_requests(service: Service) -> list[dict[str, object]]:
    """Return the log lines of requests to /enhance."""
    lines = map(json.loads, service.log.read_text().splitlines())
    return [line for line in lines if line["event"] == "request" and line["route"] == "/enhance"]


@contextmanager
def enhancement(service: Service) -> Iterator[None]:
    """Keep the enhancement of the large picture running; the client disconnects at the end of the block."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as connection:
        head = b"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(LARGE) + LARGE)
        assert wait_for(lambda: busy(service))
        yield


def test_photos_are_analyzed_while_the_only_slot_enhances_a_picture(slow: Service, tiny_png: bytes) -> None:
    with enhancement(slow):
        responses = [slow.post(tiny_png).status_code for _ in range(5)]

        assert responses == [200] * 5
        assert enhance_requests(slow) == []


def test_a_disconnect_cancels_the_enhancement_at_the_next_tile(slow: Service, small: NDArray[np.uint8]) -> None:
    with enhancement(slow):
        pass

    assert wait_for(lambda: enhance_requests(slow) != [])
    (line,) = enhance_requests(slow)
    assert line["status"] == 400
    assert "internal_error" not in slow.log.read_text()
    assert slow.post(encode(small, "PNG"), "/enhance").status_code == 200


def test_a_stop_cancels_an_enhancement_that_would_take_too_long(slow: Service) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(slow.post, LARGE, "/enhance")
        assert wait_for(lambda: busy(slow))

        slow.process.send_signal(signal.SIGTERM)
        response = call.result()

    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.headers["Retry-After"] == "1"
    assert "is being stopped" in response.json()["error"]
    assert slow.process.wait(60) == 0


def test_a_stop_waits_for_an_enhancement_that_is_almost_done(slow: Service) -> None:
    # Two tiles of 128 x 128 pixels, which take under a second.
    picture = encode(np.full((128, 200, 3), 127, np.uint8), "PNG")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(slow.post, picture, "/enhance")
        assert wait_for(lambda: busy(slow) or call.done())

        slow.process.send_signal(signal.SIGTERM)
        response = call.result()

    assert response.status_code == 200
    assert slow.process.wait(60) == 0


@pytest.mark.parametrize(
    ("sent", "closes", "disconnected"), [(b"", False, False), (b"", True, True), (b"GET / HTTP/1.1", True, False)]
)
def test_a_client_that_closes_and_sends_nothing_more_has_disconnected(
    sent: bytes, closes: bool, disconnected: bool
) -> None:
    ours, its = socket.socketpair()
    with ours, its:
        ours.settimeout(0)
        its.sendall(sent)
        if closes:
            its.shutdown(socket.SHUT_WR)

        assert ResponseBuffer(ours, time_limit=1).disconnected == disconnected


def test_pictures_are_enhanced_in_a_batch(service: Service, small: NDArray[np.uint8]) -> None:
    picture = encode(small, "PNG")
    batch_id = submit(service, ("face.png", picture), task="enhance", scale="2")

    end = finished(service, batch_id)
    archive = requests.get(f"{service.url}/batches/{batch_id}/result.zip", timeout=60).content

    assert end["files"] == [{"name": "face.png", "state": "done"}]
    with zipfile.ZipFile(io.BytesIO(archive)) as result:
        assert result.read("face.png") == service.post(picture, "/enhance", scale="2").content
