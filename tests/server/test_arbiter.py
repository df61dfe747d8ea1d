"""gunicorn's master still has the names that Visage reads and sets. Each stands in one module."""

from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from visage.server import arbiter


class Application(BaseApplication):  # type: ignore[misc]
    """An application without configuration."""

    def load_config(self) -> None:
        """Keep the defaults."""


@pytest.fixture
def master() -> Arbiter:
    return Arbiter(Application())


def test_the_workers_and_their_number_are_known(master: Arbiter) -> None:
    worker = SimpleNamespace(age=1)
    master.WORKERS = {1234: worker}

    arbiter.set_worker_count(master, 3)

    assert list(arbiter.workers(master)) == [worker]
    assert arbiter.worker_count(master) == 3


def test_signals_wait_in_a_queue(master: Arbiter) -> None:
    signals = arbiter.signals(master)

    assert isinstance(signals, SimpleQueue)
    assert signals.empty()


def test_workers_of_a_new_generation_are_younger_than_all_others(master: Arbiter) -> None:
    assert arbiter.generation_start(master) == 0
    assert master.worker_age == 0

    arbiter.start_generation(master)

    assert arbiter.generation_start(master) == master.worker_age == arbiter.AGES_PER_GENERATION
