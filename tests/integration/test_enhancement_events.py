"""`format=events` of `/enhance`: the progress as server-sent events, and the picture in the last of them."""

import base64
import gc
import json
import signal
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import requests
from flask.testing import FlaskClient
from numpy.typing import NDArray

from tests.support.contract import CONTRACT, check, check_schema
from tests.support.pictures import encode
from tests.support.service import Service, events
from tests.support.waiting import wait_for
from visage.enhance.net import EnhanceNet

# Many tiles of the net `compact`, whose tiles have about 200 x 200 pixels.
PICTURE = encode(np.full((300, 700, 3), 127, np.uint8), "PNG")

# Dozens of tiles of the slow net, each of which takes a third of a second.
LARGE = encode(np.full((512, 512, 3), 127, np.uint8), "PNG")
VERY_LARGE = encode(np.full((1500, 1500, 3), 127, np.uint8), "PNG")

Event = tuple[str, dict[str, Any]]


def read(stream: Iterable[str]) -> Iterator[Event]:
    """The kind and the data of each event."""
    kind = ""
    for line in stream:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def enhance(client: FlaskClient, photo: bytes = PICTURE, **query: str) -> list[Event]:
    response = client.post("/enhance", query_string={"format": "events", **query}, data=photo)
    check(response, "/enhance", "post")
    assert response.status_code == 200
    return list(read(response.text.splitlines()))


def stream(service: Service, photo: bytes = LARGE) -> requests.Response:
    """The response to a large picture, which the test reads while the service works."""
    query = {"format": "events", "picture": "false"}
    response = requests.post(f"{service.url}/enhance", params=query, data=photo, stream=True, timeout=60)
    assert response.status_code == 200
    return response


def lines(response: requests.Response) -> Iterator[str]:
    return response.iter_lines(chunk_size=1, decode_unicode=True)


def ending(service: Service) -> dict[str, Any]:
    """The line of the log about the end of the only enhancement."""
    assert wait_for(lambda: "enhancement_ended" in service.log.read_text())
    [line] = [each for each in events(service.log) if each["event"] == "enhancement_ended"]
    return line


def test_every_tile_is_told_and_the_end_has_the_picture(client: FlaskClient) -> None:
    plain = client.post("/enhance", data=PICTURE).data

    *progress, (kind, result) = enhance(client)

    tiles = len(progress) - 1
    assert tiles > 1
    assert progress == [("progress", {"done": done, "tiles": tiles}) for done in range(tiles + 1)]
    assert (kind, result["scale"], result["image"]["width"]) == ("end", 3, 2100)
    assert base64.b64decode(result["picture"]) == plain


def test_events_match_their_schema(client: FlaskClient) -> None:
    schema = {"$ref": "#/components/schemas/EnhanceEvent"}
    assert "EnhanceEvent" in CONTRACT["components"]["schemas"]

    for _, data in enhance(client):
        check_schema(data, schema)


def test_the_picture_can_be_left_out_and_enlarged_less(client: FlaskClient) -> None:
    *_, (_, result) = enhance(client, picture="false", scale="2")

    assert "picture" not in result
    assert (result["scale"], result["image"]["width"]) == (2, 1400)


def test_the_header_accept_asks_for_events_too(client: FlaskClient) -> None:
    response = client.post("/enhance", data=PICTURE, headers={"Accept": "text/event-stream"})

    assert response.mimetype == "text/event-stream"
    assert response.headers["Vary"] == "Accept"
    assert response.headers["X-Accel-Buffering"] == "no"


def test_a_response_that_nobody_reads_holds_no_place_in_the_queue(client: FlaskClient) -> None:
    gc.disable()
    try:
        client.post("/enhance", query_string={"format": "events"}, data=PICTURE)

        assert enhance(client)[-1][0] == "end"
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("photo", "query", "status", "code"),
    [
        (b"GIF89a", {}, 415, "unsupported_type"),
        (b"\x89PNG\r\n\x1a\n", {}, 422, "undecodable_image"),
        (PICTURE, {"scale": "4"}, 400, "bad_parameter"),
    ],
)
def test_what_is_wrong_from_the_beginning_has_its_own_status(
    client: FlaskClient, photo: bytes, query: dict[str, str], status: int, code: str
) -> None:
    response = client.post("/enhance", query_string={"format": "events", **query}, data=photo)

    check(response, "/enhance", "post")
    assert (response.status_code, response.get_json()["code"]) == (status, code)


def test_the_other_routes_have_no_events(client: FlaskClient) -> None:
    response = client.post("/anonymize", query_string={"format": "events"}, data=PICTURE)

    assert response.status_code == 400
    assert response.get_json()["error"] == "format is 'events'; it must be one of picture, json."


def test_an_error_after_the_beginning_is_an_event(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    enhance_tile, tiles = EnhanceNet.enhance, []

    def fail_at_the_second(net: EnhanceNet, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        tiles.append(pixels)
        if len(tiles) == 2:
            raise MemoryError
        return enhance_tile(net, pixels)

    monkeypatch.setattr(EnhanceNet, "enhance", fail_at_the_second)

    *progress, (kind, error) = enhance(client)

    assert [data["done"] for _, data in progress] == [0, 1]
    assert (kind, error["code"]) == ("error", "internal_error")
    check_schema(error, {"$ref": "#/components/schemas/EnhanceEvent"})


def test_events_arrive_while_the_service_works(slow: Service) -> None:
    with closing(stream(slow)) as response:
        received = read(lines(response))
        seen = [next(received) for _ in range(3)]

        assert [data["done"] for _, data in seen] == [0, 1, 2]
        assert "enhancement_ended" not in slow.log.read_text()
        *_, (kind, result) = received

    assert (kind, result["image"]["width"]) == ("end", 1536)


def test_a_client_that_leaves_ends_the_work_between_two_tiles(slow: Service, tiny_png: bytes) -> None:
    with closing(stream(slow)) as response:
        received = read(lines(response))
        assert [next(received)[1]["done"] for _ in range(2)] == [0, 1]

    # All stages would be there if the service had gone on until the last tile.
    assert not {"stages", "code"} & set(ending(slow))
    assert slow.post(tiny_png).status_code == 200
    assert "internal_error" not in slow.log.read_text()


def test_the_end_is_logged_under_the_id_of_the_request_and_counted(slow: Service) -> None:
    with closing(stream(slow)) as response:
        *_, (kind, _) = read(lines(response))

    line = ending(slow)
    assert kind == "end"
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert set(line["stages"]) == {"wait", "decode", "enlarge", "encode"}
    counted = 'visage_stage_duration_seconds_count{stage="enlarge"} 1.0'
    assert wait_for(lambda: counted in requests.get(f"{slow.url}/metrics", timeout=60).text)


def test_a_stop_of_the_service_is_told_as_an_event(slow: Service) -> None:
    with closing(stream(slow, VERY_LARGE)) as response:
        received = read(lines(response))
        next(received)
        slow.process.send_signal(signal.SIGTERM)
        *_, (kind, error) = received

    assert (kind, error["code"]) == ("error", "not_ready")
    assert ending(slow)["code"] == "not_ready"
    assert slow.process.wait(60) == 0
