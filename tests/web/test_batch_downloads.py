"""Downloads of batches release what they hold, and take little memory at a time."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response

from visage.batches import Output
from visage.settings import MAX_TRANSFERS, Settings
from visage.web import create_app
from visage.web.routes import batches

UNKNOWN = "0" * 32


@pytest.fixture
def one_slot(tiny_pack: Path, tmp_path: Path) -> Flask:
    """An app whose worker processes one photo at a time, and lets no other wait."""
    return create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "state", slots=1, queue=0))


def stored(content: io.BytesIO) -> Any:
    """A function that returns `content` as the result of each file."""
    return lambda *_: Output("photo.png", 1, len(content.getvalue()), lambda: content)


def test_a_download_of_a_batch_that_was_just_deleted_leaves_room_for_others(
    one_slot: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_close: list[Any] = []
    monkeypatch.setattr(batches, "result_archive", lambda *_: iter([b"archive"]))
    # Kept alive, because the garbage collector would release their slots by chance.
    monkeypatch.setattr(Response, "call_on_close", lambda _, function: to_close.append(function))
    client = one_slot.test_client()

    statuses = [client.get(f"/batches/{UNKNOWN}/result.zip").status_code for _ in range(MAX_TRANSFERS + 1)]

    assert set(statuses) == {404}


def test_small_copies_are_made_one_at_a_time_in_the_photo_slots(
    one_slot: Flask, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def slowly(content: bytes, *_: int) -> bytes:
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return content

    monkeypatch.setattr(batches, "file_output", lambda *_: Output("a.png", 1, 1, lambda: io.BytesIO(tiny_png)))
    monkeypatch.setattr(batches, "thumbnail", slowly)

    def get(_: int) -> int:
        return one_slot.test_client().get(f"/batches/{UNKNOWN}/files/1?size=96").status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(get, range(8)))

    assert statuses == 8 * [200]
    assert max(most) == 1


def test_a_result_is_sent_in_chunks_and_holds_its_transfer_until_the_end(
    one_slot: Flask, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Recorded(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(-1 if size is None else size)
            return super().read(size)

    content = tiny_png + bytes(10**6)
    file = Recorded(content)
    monkeypatch.setattr(batches, "file_output", stored(file))
    limit = one_slot.extensions["transfers"]
    for _ in range(MAX_TRANSFERS - 1):
        assert limit.try_acquire()

    response = one_slot.test_client().get(f"/batches/{UNKNOWN}/files/1", buffered=False)
    held = not limit.try_acquire()
    received = response.data
    response.close()

    assert held
    assert limit.try_acquire()
    assert file.closed
    assert received == content
    assert (response.content_length, response.content_type) == (len(content), "image/png")
    assert set(sizes) == {2**16}
