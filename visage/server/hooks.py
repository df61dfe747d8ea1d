"""gunicorn's hooks: what master and workers do at the turns of their lives."""

import gc
import secrets
import signal
from functools import cache
from typing import Any

from visage.runtime.allocator import release_memory
from visage.settings import Settings


def when_ready(server: Any) -> None:  # noqa: ARG001
    """Before the first fork: give back what the check of the nets took, and let workers share what is left.

    Garbage collection writes into every object that it looks at. It need not look at those that were here before: they
    are as good as constants, and the pages that hold them stay shared (20 MB for two workers).
    """
    gc.collect()
    gc.freeze()
    release_memory()


def on_reload(server: Any) -> None:
    """Remember who came before: all who come now are in place of those."""
    from visage.server.service_worker import begin_generation  # noqa: PLC0415

    begin_generation(server)


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:  # noqa: ARG001
    """Keep one that serves, beside the one that works on batches: TTOU knows of no difference."""
    least = 1 + (_settings().batch_jobs > 0)
    if new_value < least:
        server.num_workers = least


def pre_fork(server: Any, worker: Any) -> None:
    """Decide what the worker is for."""
    if _settings().batch_jobs:
        worker.choose(server)


def post_fork(server: Any, worker: Any) -> None:
    """Keep what comes before the worker has signal handlers of its own: it goes to its copy of the master's."""
    worker.early_signals = server.SIG_QUEUE


def post_worker_init(worker: Any) -> None:
    """Warm up. The worker accepts nothing before this returns, and nothing at all if it is to stop already."""
    # The package decides by PROMETHEUS_MULTIPROC_DIR, when it is imported, how it counts.
    from visage.runtime.engine import RECYCLE_AFTER_PHOTOS  # noqa: PLC0415
    from visage.server.self_test import rehearse  # noqa: PLC0415
    from visage.web import metrics  # noqa: PLC0415

    if not worker.works_on_batches:
        engine = worker.wsgi.extensions["engine"]
        engine.warm_up()
        rehearse(worker)
        metrics.introduce(engine)
        metrics.keep_up_to_date(engine)
        if engine.leaks_memory:
            worker.max_requests = RECYCLE_AFTER_PHOTOS + secrets.randbelow(RECYCLE_AFTER_PHOTOS)
    while not worker.early_signals.empty():
        if worker.early_signals.get() in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
            worker.alive = False


def pre_request(worker: Any, req: Any) -> None:
    """Let go of some callers whom this worker keeps waiting: where they connect next, a worker may be idle.

    Connections that are kept alive stay with the worker that took them. Those that came while another worker was
    starting would leave that one idle for good. The route does not matter.
    """
    if _settings().workers > 1 and worker.lets_go():
        req.force_close()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Keep what a dead worker has counted and drop what it was doing."""
    # The package decides by PROMETHEUS_MULTIPROC_DIR, when it is imported, how it counts.
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


@cache
def _settings() -> Settings:
    return Settings.from_environment()
