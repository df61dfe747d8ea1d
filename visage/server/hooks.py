"""gunicorn's server hooks, which `start/gunicorn_config.py` imports."""

import gc
import os
import secrets
import signal
import sys
from functools import cache
from typing import Any

from visage.errors import SettingsError
from visage.library_output import LibraryOutput
from visage.logs import logger
from visage.runtime.allocator import release_memory
from visage.server import arbiter, metrics_files
from visage.server.addresses import check_addresses
from visage.setting_values import is_loopback
from visage.settings import Settings


def on_starting(server: Any) -> None:
    """Before gunicorn listens, exit with one sentence if it cannot.

    gunicorn tries for five seconds, and names no variable. It may have got sockets that listen already, from systemd or
    from the master that it replaces; or an address in its own options.
    """
    is_inherited = "GUNICORN_PID" in os.environ or os.environ.get("LISTEN_PID") == str(os.getpid())
    if is_inherited or server.cfg.reuse_port or server.cfg.bind != _settings().binds:
        return
    try:
        check_addresses(_settings())
    except SettingsError as error:
        sys.exit(f"visage cannot start: {error}")


def when_ready(server: Any) -> None:  # noqa: ARG001
    """Before the first fork, warn of an open service, release the memory of the start, and keep the rest shareable.

    Garbage collection writes to every object that it visits, and so unshares its memory page. Frozen objects are not
    visited: this saves 20 MB with two workers.
    """
    settings = _settings()
    public = [address for address in settings.binds if not is_loopback(address.rpartition(":")[0])]
    if public and not settings.api_token:
        reason = (
            f"Anyone who can reach {' or '.join(public)} can use this service; set VISAGE_API_TOKEN, or "
            "let only a proxy that checks its clients reach it."
        )
        logger.warning("no_token", extra={"fields": {"reason": reason}})
    gc.collect()
    gc.freeze()
    release_memory()


def on_reload(server: Any) -> None:
    """On SIGHUP, start a new generation of workers."""
    arbiter.start_generation(server)


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:  # noqa: ARG001
    """Keep at least one worker that serves. SIGTTOU also counts the one that processes batches."""
    minimum = 1 + (_settings().batch_jobs > 0)
    if new_value < minimum:
        arbiter.set_worker_count(server, minimum)


def pre_fork(server: Any, worker: Any) -> None:
    """Assign the worker's role, and make the pipe for what its libraries print."""
    worker.library_output = LibraryOutput()
    if _settings().batch_jobs:
        worker.assign_role(server)


def post_fork(server: Any, worker: Any) -> None:
    """Prepare the worker: its log, its counts, and the signals that arrive before it installs its handlers.

    It has a copy of the master's queue of signals.
    """
    worker.library_output.divert()
    worker.early_signals = arbiter.signals(server)
    if not metrics_files.reserve_own():
        # prometheus_client reads PROMETHEUS_MULTIPROC_DIR when it is imported.
        from visage.web import metrics  # noqa: PLC0415

        metrics.disable()


def post_worker_init(worker: Any) -> None:
    """Warm up before the worker accepts connections, and stop it if it was told to stop meanwhile."""
    # prometheus_client reads PROMETHEUS_MULTIPROC_DIR when it is imported.
    from visage.runtime.engine import RECYCLE_AFTER_PHOTOS  # noqa: PLC0415
    from visage.server.self_test import run_self_test  # noqa: PLC0415
    from visage.web import metrics  # noqa: PLC0415

    if not worker.processes_batches:
        engine = worker.wsgi.extensions["engine"]
        engine.warm_up()
        run_self_test(worker)
        metrics.set_engine_info(engine)
        metrics.start_updates(engine)
        if engine.leaks_memory:
            worker.max_requests = RECYCLE_AFTER_PHOTOS + secrets.randbelow(RECYCLE_AFTER_PHOTOS)
    while not worker.early_signals.empty():
        if worker.early_signals.get() in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
            worker.alive = False


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Log the last words of a worker that has ended, keep its counters, and remove its gauges."""
    # prometheus_client reads PROMETHEUS_MULTIPROC_DIR when it is imported.
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    worker.library_output.close()
    metrics_files.shrink(worker.pid)
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


@cache
def _settings() -> Settings:
    return Settings.from_environment()
