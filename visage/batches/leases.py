"""Which consumers live: their claims are good, those of the others may be taken over."""

import fcntl
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visage.batches.queue import Queue
from visage.errors import BatchError, SettingsError

PULSE_SECONDS = 5.0

# Who gave no sign for so long is cut off or dead: a stall of a machine or a change of Redis passes sooner.
SILENCE_SECONDS = 30.0


class Life:
    """One consumer from its start to its end.

    On this machine a lock on a file tells exactly who lives: it goes with the process, however that ends. From other
    machines there are signs, counted in the queue; no clocks are compared, each consumer waits by its own.
    """

    def __init__(self, queue: Queue, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; `folder` is where the consumers of this machine have their files.

        Raises:
            SettingsError: it cannot be used.
            BatchesUnavailable, StorageFull: the queue cannot be.
        """
        self.owner = secrets.token_hex(8)
        self._queue = queue
        self._clock = clock
        # Of each other consumer, how many signs it had given and since when it gave no more.
        self._last_signs: dict[str, tuple[int, float]] = {}
        self._path = folder / self.owner
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._bury_dead(folder)
            self._file = self._path.open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise SettingsError(f"The directory {folder} cannot be used: {error.strerror}.") from None
        self.beat()

    def beat(self) -> None:
        """Give a sign; to be called every PULSE_SECONDS."""
        self._queue.beat(self.owner)

    def lives(self, owner: str) -> bool:
        """Whether another may still be working on what it claimed; who is cut off counts as dead some time later."""
        signs = self._queue.pulse(owner)
        last, since = self._last_signs.get(owner, (0, 0.0))
        if signs != last:
            self._last_signs[owner] = signs, self._clock()
            return True
        return signs > 0 and self._clock() - since < SILENCE_SECONDS

    def end(self) -> None:
        """Leave what is still claimed to others, at once."""
        self._path.unlink(missing_ok=True)
        self._file.close()
        # A queue that cannot be told gets no more signs either.
        with suppress(BatchError):
            self._queue.bury(self.owner)

    def _bury_dead(self, folder: Path) -> None:
        for path in folder.iterdir():
            with path.open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                self._queue.bury(path.name)
                path.unlink(missing_ok=True)
