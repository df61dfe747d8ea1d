"""The tools of the benchmarks: a load generator that notices corrupt responses, nets, photos and tables."""

import itertools
import math
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from benchmarks.support import photos
from benchmarks.support.full_size_nets import write_pack
from benchmarks.support.load import put_under_load
from benchmarks.support.report import table
from tests.support import processes
from tests.support.processes import complete, consumers, workers
from tests.support.service import Service
from tests.support.waiting import wait_for
from visage.runtime.engine import Engine
from visage.settings import Settings


class Scripted(BaseHTTPRequestHandler):
    """Responds to each request with the next response of `script`."""

    script: Iterator[tuple[int, bytes]]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, content = next(self.script)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/predict"
    server.shutdown()
    server.server_close()


def test_equal_responses_are_correct(scripted: str) -> None:
    Scripted.script = itertools.repeat((200, b"picture"))

    load = put_under_load(scripted, b"photo", connections=2, seconds=0.3)

    assert load.responses.keys() == {200}
    assert load.corrupt == 0
    assert load.rate * load.seconds == pytest.approx(load.responses[200])


def test_a_response_that_differs_from_the_first_is_corrupt(scripted: str) -> None:
    Scripted.script = itertools.chain([(200, b"picture")], itertools.repeat((200, b"pict")))

    load = put_under_load(scripted, b"photo", connections=1, seconds=0.3)

    assert load.corrupt == load.responses[200] > 0
    assert load.rate == 0


def test_rejected_requests_do_not_count_as_responses(scripted: str) -> None:
    Scripted.script = itertools.chain([(200, b"picture")], itertools.repeat((503, b"")))

    load = put_under_load(scripted, b"photo", connections=1, seconds=0.3)

    assert load.responses.keys() == {503}
    assert load.rate == 0
    assert math.isnan(load.percentile(50))


def test_images_under_load_equal_that_of_a_single_request(service: Service, tiny_jpeg: bytes) -> None:
    load = put_under_load(f"{service.url}/predict", tiny_jpeg, connections=4, seconds=1)

    assert load.corrupt == 0
    assert load.responses[200] >= 4


def test_a_process_that_ends_during_the_search_is_neither_a_worker_nor_a_consumer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wait_for(lambda: complete(service, 2))
    ended = subprocess.Popen(["true"])
    ended.wait()
    before = workers(service), consumers(service)
    monkeypatch.setattr(processes, "children", lambda _: [ended.pid, *before[0], *before[1]])

    assert (workers(service), consumers(service)) == before


def test_full_size_nets_find_the_same_two_faces_in_every_photo(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "fullsize")
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.caffemodel")) == pytest.approx(102e6, rel=0.01)
    engine = Engine(Settings(pack=str(pack)))
    plain = np.random.default_rng(0).integers(0, 256, (661, 1126, 3), np.uint8)

    boxes = [[face.box for face in engine.analyze(photos.jpeg(photo)).faces] for photo in (plain, photos.two_faces())]

    assert len(boxes[0]) == 2
    assert boxes[0] == boxes[1]


@pytest.mark.parametrize("faces", [1, 9, 100])
def test_a_crowd_has_the_requested_number_of_faces(faces: int) -> None:
    engine = Engine(Settings())

    analysis = engine.analyze(photos.jpeg(photos.crowd(faces)), annotated=False)

    assert len(analysis.faces) == faces


@pytest.mark.parametrize("megapixels", [0.3, 2])
def test_a_scene_has_at_most_the_requested_number_of_pixels(megapixels: float) -> None:
    height, width = photos.scene(megapixels).shape[:2]

    assert 0.99 * megapixels * 1e6 < height * width <= megapixels * 1e6


def test_tables_are_markdown() -> None:
    assert table(["", "ms"], [["net", "3"]]) == "|  | ms |\n| --- | --: |\n| net | 3 |\n"


def test_an_existing_pack_is_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "pack.toml").write_text("existing")

    assert write_pack(tmp_path) == tmp_path
    assert (tmp_path / "pack.toml").read_text() == "existing"
