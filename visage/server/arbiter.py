"""What Visage reads and sets on gunicorn's master process, which its hooks receive without documentation.

No other module touches these names; tests/server/test_arbiter.py checks each of them.
"""

from collections.abc import Iterable
from queue import SimpleQueue
from typing import Any

# The distance of the ages of two generations. gunicorn counts each worker that it starts.
AGES_PER_GENERATION = 10**6


def generation_start(server: Any) -> int:
    """The age up to which workers belong to earlier generations."""
    start: int = getattr(server, "generation_start", 0)
    return start


def start_generation(server: Any) -> None:
    """Start a new generation: workers that the master `server` forks from now on replace all existing ones."""
    server.generation_start = server.worker_age = generation_start(server) + AGES_PER_GENERATION


def workers(server: Any) -> Iterable[Any]:
    """The workers that run now, oldest and newest generation."""
    running: Iterable[Any] = server.WORKERS.values()
    return running


def signals(server: Any) -> "SimpleQueue[int]":
    """The queue of signals that the master has received and not handled."""
    queue: SimpleQueue[int] = server.SIG_QUEUE
    return queue


def worker_count(server: Any) -> int:
    """How many workers the master keeps running."""
    count: int = server.num_workers
    return count


def set_worker_count(server: Any, count: int) -> None:
    """Have the master keep `count` workers running."""
    server.num_workers = count
