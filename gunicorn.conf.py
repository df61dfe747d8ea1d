"""How gunicorn runs Visage. Read by gunicorn itself, from the directory that it is started in."""

import logging
import os

from visage.errors import SettingsError
from visage.log_format import log_config
from visage.runtime.allocator import tune_allocator
from visage.server.hooks import (  # noqa: F401
    child_exit,
    nworkers_changed,
    on_reload,
    post_fork,
    post_worker_init,
    pre_fork,
    pre_request,
    when_ready,
)
from visage.server.master import IN_MEMORY, ErrorLogger, most_connections, set_up_metrics_directory
from visage.settings import Settings

try:
    settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(f"visage cannot start: {error}") from None

tune_allocator()

# Photos of batches and what is known of them are for nobody else on this machine.
os.umask(0o077)

# Nothing that the log writes tells the thread, the process or the line of code that it comes from: none of it is looked
# up (the logging cookbook's "Optimization").
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
logging._srcfile = ""

# OpenCV would write lines of its own between the events, one for every damaged photo; a caller learns of those anyway.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

set_up_metrics_directory()

bind = settings.binds
# One more works on batches.
workers = settings.workers + (settings.batch_jobs > 0)
worker_class = "visage.server.service_worker.ServiceWorker"
# Static files go the way of all answers, because the worker may have to keep what a client does not take at once.
sendfile = False
threads = settings.threads
worker_connections = most_connections()
# Code and weights that are loaded before the fork are shared by the workers. Nets are warmed up after it, because what
# they work in cannot be shared: the master would only hold a copy.
preload_app = True
raw_env = ["VISAGE_WARMED_BY_WORKERS=1"]
# A worker whose main loop has not reported for this long is replaced; photos are worked on in other threads.
timeout = 60
graceful_timeout = 30
keepalive = 5
# The heartbeat file lies in memory: on a slow disk a worker could be taken for dead.
worker_tmp_dir = IN_MEMORY
logconfig_dict = log_config(settings.log_level)
logger_class = ErrorLogger
control_socket_disable = True
