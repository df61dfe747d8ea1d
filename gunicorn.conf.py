"""How gunicorn runs Visage. Read by gunicorn itself, from the directory that it is started in."""

import atexit
import gc
import logging
import os
import resource
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from visage.errors import SettingsError
from visage.heap import trim_heap, tune_heap
from visage.log_format import log_config
from visage.settings import Settings

try:
    settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(f"visage cannot start: {error}") from None

_METRICS = "PROMETHEUS_MULTIPROC_DIR"

_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _make_metrics_directory() -> None:
    """Make the directory where workers leave their counts, which `/metrics` sums up; it goes when this process ends.

    In memory, unless a directory for temporary files is named: a full /tmp then harms nobody, and no disk is worn.
    """
    parent = os.environ.get("TMPDIR") or _IN_MEMORY or tempfile.gettempdir()
    directory = Path(parent) / f"visage-metrics-{secrets.token_hex(8)}"
    owner = os.getpid()

    def remove() -> None:
        # Workers inherit this when they are forked, and end before their master.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)

    def end(number: int, _frame: object) -> None:
        # An exception would do, but for the places where Python ignores exceptions (a module's lock that goes, say).
        remove()
        os._exit(128 + number)

    # Until gunicorn takes these signals over, a wish to stop ends the start, whenever it comes.
    for wish in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish, end)
    atexit.register(remove)
    directory.mkdir(mode=0o700)
    os.environ[_METRICS] = str(directory)


def _most_connections() -> int:
    """Clients beyond this wait outside: each takes a file, and a hundred files are needed for other things."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1000 if files == resource.RLIM_INFINITY else max(50, min(1000, files - 100))


class ErrorLogger(Logger):  # type: ignore[misc]
    """gunicorn's own events without its line a request: Visage writes one, and to gather facts takes time."""

    def access(self, *_facts: object) -> None:
        """Nothing."""


tune_heap()

# Photos of batches and what is known of them are for nobody else on this machine.
os.umask(0o077)

# Nothing that the log writes tells the thread, the process or the line of code that it comes from: none of it is looked
# up (the logging cookbook's "Optimization").
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
logging._srcfile = ""

# OpenCV would write lines of its own between the events, one for every damaged photo; a caller learns of those anyway.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

# A reload reads this file again and keeps the directory.
if _METRICS in os.environ:
    Path(os.environ[_METRICS]).mkdir(parents=True, exist_ok=True)
else:
    _make_metrics_directory()

bind = settings.binds
# One more works on batches.
workers = settings.workers + (settings.batch_jobs > 0)
worker_class = "visage.web.service_worker.ServiceWorker"
# Static files go the way of all answers, because the worker may have to keep what a client does not take at once.
sendfile = False
threads = settings.threads
worker_connections = _most_connections()
# Code and weights that are loaded before the fork are shared by the workers. Nets are warmed up after it, because what
# they work in cannot be shared: the master would only hold a copy.
preload_app = True
raw_env = ["VISAGE_WARMED_BY_WORKERS=1"]
# A worker whose main loop has not reported for this long is replaced; photos are worked on in other threads.
timeout = 60
graceful_timeout = 30
keepalive = 5
# The heartbeat file lies in memory: on a slow disk a worker could be taken for dead.
worker_tmp_dir = _IN_MEMORY
logconfig_dict = log_config(settings.log_level)
logger_class = ErrorLogger
control_socket_disable = True


def when_ready(server: Any) -> None:  # noqa: ARG001
    """Before the first fork: give back what the check of the nets took, and let workers share what is left.

    Garbage collection writes into every object that it looks at. It need not look at those that were here before: they
    are as good as constants, and the pages that hold them stay shared (20 MB for two workers).
    """
    gc.collect()
    gc.freeze()
    trim_heap()


def on_reload(server: Any) -> None:
    """Remember who came before: all who come now are in place of those."""
    from visage.web.service_worker import begin_generation  # noqa: PLC0415

    begin_generation(server)


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:  # noqa: ARG001
    """Keep one that serves, beside the one that works on batches: TTOU knows of no difference."""
    least = 1 + (settings.batch_jobs > 0)
    if new_value < least:
        server.num_workers = least


def pre_fork(server: Any, worker: Any) -> None:
    """Decide what the worker is for."""
    if settings.batch_jobs:
        worker.choose(server)


def post_fork(server: Any, worker: Any) -> None:
    """Keep what comes before the worker has signal handlers of its own: it goes to its copy of the master's."""
    worker.early_signals = server.SIG_QUEUE


def post_worker_init(worker: Any) -> None:
    """Warm up. The worker accepts nothing before this returns, and nothing at all if it is to stop already."""
    # The package decides by the variable above, when it is imported, how it counts.
    from visage.engine import WORN_OUT_PHOTOS  # noqa: PLC0415
    from visage.web import metrics  # noqa: PLC0415
    from visage.web.rehearsal import rehearse  # noqa: PLC0415

    if not worker.works_on_batches:
        engine = worker.wsgi.extensions["engine"]
        engine.warm_up()
        rehearse(worker)
        metrics.introduce(engine)
        metrics.keep_up_to_date(engine)
        if engine.wears_out:
            worker.max_requests = WORN_OUT_PHOTOS + secrets.randbelow(WORN_OUT_PHOTOS)
    while not worker.early_signals.empty():
        if worker.early_signals.get() in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
            worker.alive = False


def pre_request(worker: Any, req: Any) -> None:
    """Let go of some callers whom this worker keeps waiting: where they connect next, a worker may be idle.

    Connections that are kept alive stay with the worker that took them. Those that came while another worker was
    starting would leave that one idle for good. The route does not matter.
    """
    if settings.workers > 1 and worker.lets_go():
        req.force_close()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Keep what a dead worker has counted and drop what it was doing."""
    # The package decides by the variable above, when it is imported, how it counts.
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
