"""The worker class that gunicorn runs: most workers serve, and one processes batches."""

import os
import time
from typing import Any

from visage.batches import open_batches
from visage.batches.consumer import consuming
from visage.errors import VisageError
from visage.logs import cause, logger
from visage.server import arbiter
from visage.server.worker import BufferingWorker
from visage.web import metrics

# How often a worker sends its heartbeat to the master, and a batch worker checks whether it must stop.
_POLL_SECONDS = 0.25

# Between attempts to reach the batch store and the queue.
_RETRY_SECONDS = 10.0

# The batch worker starts this much later, because clients wait for the workers that serve. On two cores, the first
# photo took 1.60 times as long as others without the delay, and takes 1.16 times with it (two workers, medians of 9
# starts, alternating).
_BATCH_DELAY_SECONDS = 1.5

# A busy worker closes one in so many kept-alive connections. Closing all of them cost two workers 3 % of their
# throughput with four clients (53.7 photos a second; 55.4 with one in eight; alternating).
_REBALANCE_ONE_IN = 8

# The priority of batches, below that of requests.
_BATCH_NICENESS = 10


class ServiceWorker(BufferingWorker):
    """A worker with one of two roles: it serves, or it `processes_batches`. The role is assigned before the fork."""

    processes_batches = False
    next_heartbeat = 0.0
    busy_requests = 0

    @classmethod
    def check_config(cls, cfg: Any, _log: Any) -> None:
        """Exit if the configuration asks for a protocol that this worker does not speak."""
        if cfg.is_ssl or cfg.proxy_protocol not in {False, "off"} or cfg.protocol != "http":
            raise SystemExit(
                "visage cannot start: it supports neither TLS nor the PROXY protocol nor uWSGI; configure them in a "
                "proxy."
            )

    def assign_role(self, server: Any) -> None:
        """Assign the role, in the master before the fork: the last worker of a generation processes batches.

        A generation begins with the start and with each reload. Its workers start before those of the last one stop.
        On SIGTTOU gunicorn stops the oldest worker, so the batch worker gets the highest age of its generation.
        """
        start = arbiter.generation_start(server)
        generation = [other for other in arbiter.workers(server) if other.age > start]
        others_serve = len(generation) >= arbiter.worker_count(server) - 1
        self.processes_batches = others_serve and not any(other.processes_batches for other in generation)
        if self.processes_batches:
            self.age = start + arbiter.AGES_PER_GENERATION - 1

    def should_rebalance(self) -> bool:
        """Close some kept-alive connections of a busy worker, because their clients may reconnect to an idle one.

        A connection stays with the worker that accepted it. Without this, a worker that starts later gets no requests
        from clients that are already connected.
        """
        if self._settings.workers == 1 or not self.wsgi.extensions["engine"].admission.busy:
            return False
        self.busy_requests += 1
        return self.busy_requests % _REBALANCE_ONE_IN == 0

    def notify(self) -> None:
        """Send the heartbeat, at most every `_POLL_SECONDS`: gunicorn calls this for every packet."""
        now = time.monotonic()
        if now >= self.next_heartbeat:
            self.next_heartbeat = now + _POLL_SECONDS
            super().notify()
            self.wsgi.extensions["engine"].release_idle_memory()

    def init_process(self) -> None:
        """Initialize the forked process."""
        if self.processes_batches:
            os.nice(_BATCH_NICENESS)
        super().init_process()

    def run(self) -> None:
        """Serve or process batches until a signal stops the worker."""
        if not self.processes_batches:
            try:
                super().run()
            finally:
                metrics.update(self.wsgi.extensions["engine"])
            return
        # An open listener would keep clients waiting after the workers that serve have stopped.
        for listener in self.sockets:
            listener.close()
        self._sleep(_BATCH_DELAY_SECONDS)
        while self._should_continue():
            self._process_batches()
            self._sleep(_RETRY_SECONDS)

    def _process_batches(self) -> None:
        try:
            with consuming(self._settings, open_batches(self._settings), metrics.count_batch_file) as processor:
                while self._should_continue() and not processor.should_recycle:
                    time.sleep(_POLL_SECONDS)
                self.alive = False
        except VisageError as error:
            logger.warning("batches_unavailable", extra={"fields": {"reason": cause(error)}})
        except Exception:
            logger.exception("consumer_failed")

    def _sleep(self, seconds: float) -> None:
        """Sleep, but stop early if the worker must stop."""
        end = time.monotonic() + seconds
        while self._should_continue() and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)

    def _should_continue(self) -> bool:
        self.notify()
        return bool(self.alive and self.is_parent_alive())
