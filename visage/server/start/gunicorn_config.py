"""gunicorn's configuration for Visage, in a checkout through `gunicorn.conf.py`."""

import logging
import os

from visage.errors import SettingsError
from visage.log_format import configure_logging, log_config
from visage.runtime.allocator import tune_allocator
from visage.server.hooks import (  # noqa: F401
    child_exit,
    nworkers_changed,
    on_reload,
    on_starting,
    post_fork,
    post_worker_init,
    pre_fork,
    when_ready,
)
from visage.server.master import ErrorLogger, max_connections
from visage.server.metrics_files import SHARED_MEMORY, set_up_directory
from visage.settings import Settings

try:
    settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(f"visage cannot start: {error}") from None

configure_logging(settings.log_level)
tune_allocator()

# Only the owner may read batches and their queue.
os.umask(0o077)

# The log has no thread or process, so logging need not look them up ("Optimization" in Python's logging HOWTO).
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# OpenCV would log a line of its own for every damaged photo. Clients get an error for it anyway.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

set_up_directory()

bind = settings.binds
# One more worker processes batches.
workers = settings.workers + (settings.batch_jobs > 0)
worker_class = "visage.server.service_worker.ServiceWorker"
threads = settings.threads
worker_connections = max_connections()
# Workers share code and weights that are loaded before the fork. Nets are warmed up after it, because their working
# memory cannot be shared.
preload_app = True
raw_env = ["VISAGE_WARMED_BY_WORKERS=1"]
# The master replaces a worker whose main loop has sent no heartbeat for this long. Other threads process photos.
timeout = 60
graceful_timeout = 30
keepalive = 5
# In memory, because a slow disk could delay a heartbeat too long.
worker_tmp_dir = SHARED_MEMORY
logconfig_dict = log_config(settings.log_level)
logger_class = ErrorLogger
control_socket_disable = True
