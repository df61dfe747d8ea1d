"""Enhancement in batches: it delays no other batch, and a restart costs no attempt."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.enhance_packs import write_luma_pack
from tests.support.waiting import wait_for
from tests.support.workshop import Workshop, codes, opened
from visage.batches import open_batches
from visage.batches.consumer import consuming
from visage.batches.state_machine import MAX_ATTEMPTS, State
from visage.enhance.results import Enhanced, EnhanceOptions
from visage.enhance.steps import Progress
from visage.faces.analyzer import AnalyzeOptions
from visage.runtime.engine import Engine
from visage.settings import Settings

# Four tiles of 32 pixels.
IMAGE = cv2.imencode(".png", np.full((60, 60, 3), 127, np.uint8))[1].tobytes()


@pytest.fixture
def settings(tiny_pack: Path, tmp_path: Path) -> Settings:
    luma = write_luma_pack(tmp_path / "luma")
    return Settings(pack=str(tiny_pack), enhance_pack=str(luma), tile=32, slots=2, state_dir=tmp_path / "state")


@pytest.fixture
def workshop(settings: Settings) -> Iterator[Workshop]:
    with opened(settings, Engine(settings)) as workshop:
        yield workshop


class TileHookedEngine:
    """An engine that calls a function after the first tile of every image."""

    def __init__(self, engine: Engine, hook: Callable[[], object]) -> None:
        self._engine = engine
        self._happening = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def enhance(self, image: bytes, progress: Progress, options: EnhanceOptions) -> Enhanced:
        def report(done: int, tiles: int) -> None:
            if done == 1:
                self._happening()
            progress(done, tiles)

        return self._engine.enhance(image, report, options)


def test_other_batches_continue_during_an_enhancement(workshop: Workshop, tiny_png: bytes) -> None:
    enhanced = workshop.submit(IMAGE, IMAGE, options=EnhanceOptions())
    analyzed = workshop.submit(tiny_png, tiny_png, options=AnalyzeOptions())
    seen: list[tuple[list[str], list[str]]] = []

    def process_other_batches() -> None:
        workshop.process(worker)
        seen.append((codes(workshop, enhanced), codes(workshop, analyzed)))

    worker = workshop.worker(engine=TileHookedEngine(workshop.engine, process_other_batches))
    workshop.process(worker)

    assert seen[0] == (["waiting", "waiting"], ["done", "done"])
    assert seen[1:] == [(["done", "waiting"], ["done", "done"])]
    assert codes(workshop, enhanced) == ["done", "done"]
    assert workshop.batches.progress(enhanced).state is State.DONE


def test_a_stopped_image_is_enhanced_by_the_next_process_and_its_attempt_does_not_count(workshop: Workshop) -> None:
    batch_id = workshop.submit(IMAGE, options=EnhanceOptions())
    attempts: list[int] = []

    for _ in range(MAX_ATTEMPTS + 1):
        worker = workshop.worker(engine=TileHookedEngine(workshop.engine, lambda: worker.stop()))  # noqa: B023, PLW0108
        workshop.process(worker, most=1)
        attempts.append(workshop.batches.states.last_lease(batch_id, 1).attempt)
    between = codes(workshop, batch_id)
    workshop.process(workshop.worker())

    assert attempts == [0] * (MAX_ATTEMPTS + 1)
    assert between == ["waiting"]
    assert codes(workshop, batch_id) == ["done"]


def test_other_batches_are_finished_while_a_stopped_image_is_enhanced_again(
    workshop: Workshop, tiny_png: bytes
) -> None:
    workshop.submit(IMAGE, options=EnhanceOptions())
    first = workshop.worker(engine=TileHookedEngine(workshop.engine, lambda: first.stop()))  # noqa: PLW0108
    workshop.process(first, most=1)
    analyzed = workshop.submit(tiny_png, options=AnalyzeOptions())
    seen: list[State] = []

    def process_other_batches() -> None:
        others = threading.Thread(target=workshop.process, args=[second])
        others.start()
        others.join(60)
        seen.append(workshop.batches.progress(analyzed).state)

    second = workshop.worker(engine=TileHookedEngine(workshop.engine, process_other_batches))
    workshop.process(second)

    assert seen == [State.DONE]


def test_the_attempt_does_not_count_even_if_the_tile_never_ends(workshop: Workshop) -> None:
    batch_id = workshop.submit(IMAGE, options=EnhanceOptions())
    counted: list[int] = []

    def stop_and_count() -> None:
        worker.stop()
        counted.append(workshop.batches.states.last_lease(batch_id, 1).attempt)

    worker = workshop.worker(engine=TileHookedEngine(workshop.engine, stop_and_count))
    workshop.process(worker, most=1)

    assert counted == [0]


def test_a_stopped_worker_starts_no_image(workshop: Workshop) -> None:
    batch_id = workshop.submit(IMAGE, options=EnhanceOptions())
    started: list[str] = []
    worker = workshop.worker(engine=TileHookedEngine(workshop.engine, lambda: started.append("a tile")))

    worker.stop()
    workshop.process(worker, most=1)

    assert started == []
    assert workshop.batches.states.last_lease(batch_id, 1).attempt == 0


def test_a_large_image_does_not_delay_the_stop(settings: Settings) -> None:
    large = cv2.imencode(".png", np.full((1200, 2000, 3), 127, np.uint8))[1].tobytes()
    batches = open_batches(settings)
    with batches.create() as new:
        new.add("large.png", large)
        batch_id = new.submit(EnhanceOptions()).id

    with consuming(replace(settings, tile=8, batch_jobs=1), batches):
        assert wait_for(lambda: batches.states.last_lease(batch_id, 1).attempt == 1)

    assert batches.states.last_lease(batch_id, 1).attempt == 0
    assert not batches.states.has_result(batch_id, 1)
