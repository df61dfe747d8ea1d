"""Enhancement shares the slots with photos and has a queue of its own."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.enhancing import noise, png
from tests.support.waiting import wait_for
from visage.enhance.net import EnhanceNet
from visage.errors import QueueFull, WaitTimeout
from visage.runtime.admission import Admission
from visage.runtime.engine import Engine
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


def test_an_engine_enhances_in_its_slots(tiny_pack: Path, luma: Settings, tiny_png: bytes) -> None:
    engine = Engine(replace(luma, pack=str(tiny_pack), queue=0, wait_seconds=0))
    tiles: list[int] = []

    with ThreadPoolExecutor(1) as pool:
        with engine.admission.slot():
            call = pool.submit(engine.enhance, tiny_png, lambda done, _: tiles.append(done))
            assert wait_for(lambda: engine.admission._waiters)
            began = time.perf_counter()
            time.sleep(0.05)
            begun, waited = bool(tiles), time.perf_counter() - began
        enhanced = call.result()

    assert not begun
    assert enhanced.width == 3 * 384
    assert enhanced.seconds["wait"] >= waited


def test_the_enhancement_queue_is_half_as_long_as_the_photo_queue(luma: Settings, tiny_png: bytes) -> None:
    enhancer = Enhancer(replace(luma, queue=5, wait_seconds=60))
    rejected, finish = threading.Semaphore(0), threading.Event()

    def call() -> str:
        try:
            enhancer.enhance(tiny_png, lambda _done, _tiles: finish.wait(60))
        except QueueFull:
            rejected.release()
            return "rejected"
        return "enhanced"

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call) for _ in range(6)]
        for _ in range(2):
            assert rejected.acquire(timeout=60)
        finish.set()
        outcomes = sorted(each.result() for each in calls)

    assert outcomes == ["enhanced"] * 4 + ["rejected"] * 2


def test_a_rejected_client_learns_when_to_retry(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, queue=0))
    rejected: list[QueueFull] = []

    def enhance_another(done: int, _tiles: int) -> None:
        with pytest.raises(QueueFull) as error:
            enhancer.enhance(png(noise(9, 9)))
        rejected.append(error.value)
        time.sleep(1.2 if done else 0)

    for _ in range(2):
        enhancer.enhance(png(noise(9, 9)), enhance_another)

    first, *_, last = rejected
    assert first.retry_after == 1
    assert str(first) == "Another image is being enhanced, and the queue is full; try again in 1 s."
    # The first image took longer than 1.2 seconds.
    assert last.retry_after >= 2


def test_a_client_that_waits_too_long_learns_when_to_retry(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, queue=2, wait_seconds=0.01))
    rejected: list[WaitTimeout] = []

    def enhance_another(done: int, _tiles: int) -> None:
        if done:
            with pytest.raises(WaitTimeout) as error:
                enhancer.enhance(png(noise(9, 9)))
            rejected.append(error.value)

    enhancer.enhance(png(noise(9, 9)), enhance_another)

    assert "Another image is being enhanced, and it did not finish in time" in str(rejected[0])


def test_the_net_runs_in_a_slot_only(luma: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    enhancer = Enhancer(replace(luma, tile=32), admission)
    infer, in_slot = EnhanceNet._infer, []

    def watched(net: EnhanceNet, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        in_slot.append(admission.busy)
        return infer(net, blob)

    monkeypatch.setattr(EnhanceNet, "_infer", watched)
    enhancer.enhance(png(noise(60, 60)))

    # The first input for Winograd's transform, four tiles, and the one pixel that releases the memory of a tile.
    assert in_slot == [True] * 6


def test_one_image_is_enhanced_at_a_time_beside_photos(tiny_pack: Path, luma: Settings, tiny_png: bytes) -> None:
    engine = Engine(replace(luma, pack=str(tiny_pack), slots=2, wait_seconds=60))
    began, finish = threading.Semaphore(0), threading.Event()

    def hold(_done: int, _tiles: int) -> None:
        began.release()
        finish.wait(60)

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(engine.enhance, tiny_png, hold) for _ in range(4)]
        assert began.acquire(timeout=60)
        faces = engine.analyze(tiny_png).faces
        second_began = began.acquire(timeout=0.1)
        finish.set()
        widths = [call.result().width for call in calls]

    assert len(faces) == 3
    assert not second_began
    assert widths == [3 * 384] * 4


def test_the_slot_is_free_between_two_tiles(luma: Settings) -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    order: list[str] = []

    def photo_passes(done: int, _tiles: int) -> None:
        with admission.slot():
            order.append(f"a photo after tile {done}")

    Enhancer(replace(luma, tile=32), admission).enhance(png(noise(60, 60)), photo_passes)

    assert order == [f"a photo after tile {done}" for done in (0, 1, 2, 3, 4)]


def test_waiting_photos_get_the_slot_between_two_tiles(luma: Settings) -> None:
    admission = Admission(slots=1, queue=100, wait_seconds=60)
    order: list[str] = []

    def photo() -> None:
        with admission.slot():
            order.append("photo")

    def photo_passes(done: int, _tiles: int) -> None:
        order.append(f"tile {done}")
        if done == 1:
            # Three photos join the queue behind this slot, and the next tile joins behind them.
            with admission.slot():
                for _ in range(3):
                    pool.submit(photo)
                end = time.monotonic() + 30
                while admission.waiting < 3 and time.monotonic() < end:
                    time.sleep(0.001)

    with ThreadPoolExecutor(3) as pool:
        Enhancer(replace(luma, tile=32), admission).enhance(png(noise(60, 60)), photo_passes)

    assert order == ["tile 0", "tile 1", "photo", "photo", "photo", "tile 2", "tile 3", "tile 4"]
