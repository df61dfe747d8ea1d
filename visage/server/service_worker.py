"""The workers that gunicorn looks after: most of them serve, and one works on batches."""

import os
import time
from typing import Any

from visage.batches import open_batches
from visage.batches.consumer import consuming
from visage.errors import VisageError
from visage.logs import cause, logger
from visage.server.worker import PatientWorker
from visage.web import metrics

# How often a worker gives its master a sign, and one on batches looks whether it is to stop.
_ROUND_SECONDS = 0.25

# Between tries to begin while store or queue cannot be had.
_PAUSE_SECONDS = 10.0

# Those who serve get ready at the same time, and callers wait for them. Without this the first photo took 1.60 times as
# long as others on two cores, and takes 1.16 times (two workers, medians of 9 starts in turns).
_HEAD_START_SECONDS = 1.5

# Of so many callers who are kept waiting one is let go. When each of them was, two workers answered 3 % fewer photos of
# four clients (53.7 a second, and 55.4 like this, in turns).
_ONE_IN = 8

# So that photos of somebody who waits go before those of batches.
_NICENESS = 10


# Ages of a generation: gunicorn counts each worker that it starts.
_AGES = 10**6


def begin_generation(server: Any) -> None:
    """All workers that `server`, a master, starts from now on are in place of those that there are."""
    server.generation_begun = server.worker_age = _begun(server) + _AGES


def _begun(server: Any) -> int:
    """The age below which workers belong to former generations."""
    begun: int = getattr(server, "generation_begun", 0)
    return begun


class ServiceWorker(PatientWorker):
    """Serves, unless it `works_on_batches`, which is decided before its fork."""

    works_on_batches = False
    next_sign = 0.0
    kept_waiting = 0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what is not done here, instead of leaving it out in silence."""
        super().check_config(cfg, log)
        if cfg.is_ssl or cfg.proxy_protocol not in {False, "off"}:
            raise SystemExit("visage cannot start: TLS and PROXY lines are for a proxy in front; leave them out here.")

    def choose(self, server: Any) -> None:
        """Decide in the master, before the fork, what this worker is for: the last of a generation works on batches.

        A generation begins with the start and with each reload, whose workers come before the former ones go. When one
        is to be less, gunicorn ends the oldest: so this worker counts as the youngest for as long as it lives.
        """
        generation = [other for other in server.WORKERS.values() if other.age > _begun(server)]
        others_serve = len(generation) >= server.num_workers - 1
        self.works_on_batches = others_serve and not any(other.works_on_batches for other in generation)
        if self.works_on_batches:
            self.age = _begun(server) + _AGES - 1

    def lets_go(self) -> bool:
        """Whether this caller is to connect anew, as another worker may be idle: every eighth who is kept waiting."""
        if not self.wsgi.extensions["engine"].admission.busy:
            return False
        self.kept_waiting += 1
        return self.kept_waiting % _ONE_IN == 0

    def notify(self) -> None:
        """Give the master a sign, which it asks for every second; gunicorn calls this for every packet."""
        now = time.monotonic()
        if now >= self.next_sign:
            self.next_sign = now + _ROUND_SECONDS
            super().notify()
            self.wsgi.extensions["engine"].release_idle_memory()

    def init_process(self) -> None:
        """Begin in the process that was forked for this worker."""
        # gunicorn would search for each of its settings anew, fifty times a request.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        if self.works_on_batches:
            os.nice(_NICENESS)
        super().init_process()

    def run(self) -> None:
        """Do what this worker is for until a signal ends it."""
        if not self.works_on_batches:
            try:
                super().run()
            finally:
                metrics.bring_up_to_date(self.wsgi.extensions["engine"])
            return
        # Who knocks is for others; a door that stayed open here would keep callers waiting when those have left.
        for listener in self.sockets:
            listener.close()
        self._pause(_HEAD_START_SECONDS)
        while self._goes_on():
            self._work_on_batches()
            self._pause(_PAUSE_SECONDS)

    def _work_on_batches(self) -> None:
        try:
            with consuming(self._settings, open_batches(self._settings)) as work:
                work.watcher = metrics.count_batch_file
                while self._goes_on() and not work.worn_out:
                    time.sleep(_ROUND_SECONDS)
                self.alive = False
        except VisageError as error:
            logger.warning("batches_unavailable", extra={"fields": {"reason": cause(error)}})
        except Exception:
            logger.exception("consumer_failed")

    def _pause(self, seconds: float) -> None:
        again = time.monotonic() + seconds
        while self._goes_on() and time.monotonic() < again:
            time.sleep(_ROUND_SECONDS)

    def _goes_on(self) -> bool:
        self.notify()
        return bool(self.alive and self.is_parent_alive())
