"""The state machine of batches: states, allowed transitions, and the leases on files.

States of a batch
    WAITING     no file has been started
    RUNNING     at least one file has been started
    DONE        every file has a result or a failure
    FAILED      the batch failed as a whole, for example because the disk is full
    CANCELLED   the client deleted it, or it expired; its data is being deleted
    The end of a batch is stored: DONE, FAILED or CANCELLED. Without an end, the counter of started files tells WAITING
    from RUNNING. `BATCH_TRANSITIONS` has the allowed transitions.

States of a file
    WAITING     no process holds a lease on it
    RUNNING     a process holds a lease on it; clients see WAITING
    DONE        its result is stored
    FAILED      the reason of its failure is stored
    `FILE_TRANSITIONS` has the allowed transitions.

Leases
    A process takes a lease before it starts a file. A lease is a key of batch, file and attempt that is only written
    where it is absent, so exactly one process gets it. A lease has no deadline, and nobody renews it: it is valid as
    long as its owner is alive. An expired lease is not deleted: the next process takes the lease of the next attempt.
    After MAX_ATTEMPTS expired leases the file fails, because it may be what kills the processes.

Heartbeats
    The owner of leases increments a counter every HEARTBEAT_SECONDS. If another process sees the same count for
    EXPIRY_SECONDS, the leases have expired. Every process uses its own clock, so clocks are never compared. An owner
    without a counter is dead. File locks tell at once which processes of one machine have died (see `LeaseOwner`).
"""

import fcntl
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from visage.batches.queue import Queue, key_of
from visage.batches.results import Done, Result, result_from_json, result_to_json
from visage.errors import BatchError, SettingsError

HEARTBEAT_SECONDS = 5.0

# Longer than a machine usually stalls and than Redis takes to fail over.
EXPIRY_SECONDS = 30.0

# A file whose processes died this often is taken for the cause.
MAX_ATTEMPTS = 3
_ATTEMPTS = range(1, MAX_ATTEMPTS + 1)


class State(Enum):
    """The state of a batch or of one of its files; files are never CANCELLED."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})

# For each state, the states that may follow.
Transitions = Mapping[State, frozenset[State]]
BATCH_TRANSITIONS: Transitions = {
    # WAITING to DONE: the queue lost its data, and the store knows that the batch was done.
    State.WAITING: frozenset({State.RUNNING, State.DONE, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.DONE, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset({State.CANCELLED}),
    State.FAILED: frozenset({State.CANCELLED}),
    # A deletion that failed is repeated.
    State.CANCELLED: frozenset({State.CANCELLED}),
}
FILE_TRANSITIONS: Transitions = {
    # WAITING to DONE or FAILED: a process finished after its lease had expired, or the last attempt has expired.
    State.WAITING: frozenset({State.RUNNING, State.DONE, State.FAILED}),
    # RUNNING to WAITING: the lease was released or has expired.
    State.RUNNING: frozenset({State.WAITING, State.DONE, State.FAILED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
}

# Stored in place of the owner of a lease that has expired.
_NO_OWNER = "-"

# Names of counters, as version 0.1 wrote them.
_STARTED, _DONE, _FAILED, _HEARTBEATS = "next", "done", "failed", "pulse"


@dataclass(frozen=True)
class End:
    """How a batch ended: a state of ENDED, the numbers of files done and failed, and why the batch FAILED."""

    state: State
    done: int = 0
    failed: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Counts:
    """How many files of a batch were started, done and failed. A killed process may leave a file uncounted."""

    started: int = 0
    done: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Lease:
    """The right of `owner` to process file `number` (from 1) in an `attempt` (from 1; 0 if there was none)."""

    batch_id: str
    number: int
    attempt: int
    owner: str

    @property
    def key(self) -> str:
        return key_of(self.batch_id, self.number, self.attempt)


class StateMachine:
    """States, results and leases in a queue that processes share; all methods raise the errors of `Queue`."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def start_next(self, batch_id: str) -> int:
        """Make a batch RUNNING; return an index of its files, from 0, to one caller only. It can exceed the last."""
        return self._queue.increment(key_of(batch_id, _STARTED)) - 1

    def end(self, batch_id: str, end: End) -> End:
        """Make the transition to `end.state` if it is allowed; return the end that the batch has now."""
        if self._write_final(key_of(batch_id, "end"), end.state, BATCH_TRANSITIONS, end_to_json(end)):
            return end
        return self.end_of(batch_id) or end

    def end_of(self, batch_id: str) -> End | None:
        """Return how a batch ended, None while it is WAITING or RUNNING."""
        for value in self._queue.read([key_of(batch_id, "end")]).values():
            return end_from_json(json.loads(value))
        return None

    def lease(self, lease: Lease) -> bool:
        """Take a lease; False if another process has it, the file has its result, or the batch has ended."""
        if not self._queue.add(lease.key, lease.owner.encode()):
            return False
        # Leases of a batch that ended are deleted, so the absence of one does not prove that the file is WAITING.
        if self.has_result(lease.batch_id, lease.number) or self.end_of(lease.batch_id):
            self.release(lease)
            return False
        return True

    def release(self, lease: Lease) -> None:
        """Undo a lease: its attempt does not count."""
        self._queue.delete(lease.key)

    def expire(self, lease: Lease) -> None:
        """Give a lease up: its attempt counts, and any process may make the next one."""
        self._queue.put(lease.key, _NO_OWNER.encode())

    def last_lease(self, batch_id: str, number: int) -> Lease:
        """Return the lease of the last attempt at a file; that of attempt 0 has no owner."""
        leases = self._queue.read([key_of(batch_id, number, attempt) for attempt in _ATTEMPTS])
        attempt = len(leases)
        owner = leases.get(key_of(batch_id, number, attempt), _NO_OWNER.encode()).decode()
        return Lease(batch_id, number, attempt, owner)

    def record(self, batch_id: str, number: int, result: Result) -> bool:
        """Make a file DONE or FAILED; False if it has a result, which stays."""
        state = State.DONE if isinstance(result, Done) else State.FAILED
        return self._write_final(key_of(batch_id, number), state, FILE_TRANSITIONS, result_to_json(result))

    def has_result(self, batch_id: str, number: int) -> bool:
        """Whether a file is DONE or FAILED."""
        return bool(self._queue.read([key_of(batch_id, number)]))

    def results(self, batch_id: str, numbers: Iterable[int]) -> dict[int, Result]:
        """Return the results of those of the files that have one, by number."""
        keys = {key_of(batch_id, number): number for number in numbers}
        return {keys[key]: result_from_json(json.loads(value)) for key, value in self._queue.read(list(keys)).items()}

    def count(self, batch_id: str, result: Result) -> None:
        """Count a file that was recorded."""
        self._queue.increment(key_of(batch_id, _DONE if isinstance(result, Done) else _FAILED))

    def counts(self, batch_id: str) -> Counts:
        """Return the numbers of files of a batch, without those that were rejected on arrival."""
        return Counts(*self._queue.counters([key_of(batch_id, kind) for kind in (_STARTED, _DONE, _FAILED)]))

    def forget_files(self, batch_id: str, numbers: Iterable[int]) -> None:
        """Delete the results and leases of files."""
        attempts = ([], *([attempt] for attempt in _ATTEMPTS))
        keys = [key_of(batch_id, number, *attempt) for number in numbers for attempt in attempts]
        for key in self._queue.read(keys):
            self._queue.delete(key)

    def forget(self, batch_id: str) -> None:
        """Delete everything about a batch except its files."""
        for kind in (_STARTED, _DONE, _FAILED):
            self._queue.delete_counter(key_of(batch_id, kind))
        self._queue.dequeued(batch_id)
        self._queue.delete(key_of(batch_id, "end"))

    def heartbeat(self, owner: str) -> None:
        """Count one more heartbeat of an owner of leases."""
        self._queue.increment(key_of(_HEARTBEATS, owner))

    def heartbeats(self, owner: str) -> int:
        """Return how many heartbeats an owner has sent, 0 if it is dead."""
        return self._queue.counters([key_of(_HEARTBEATS, owner)])[0]

    def mark_dead(self, owner: str) -> None:
        """Let all leases of an owner expire now."""
        self._queue.delete_counter(key_of(_HEARTBEATS, owner))

    def _write_final(self, key: str, state: State, transitions: Transitions, plain: dict[str, Any]) -> bool:
        """Write the end or a result: over another one only if `transitions` allow `state` after every final state."""
        content = json.dumps(plain).encode()
        if all(state in following for before, following in transitions.items() if before in ENDED):
            self._queue.put(key, content)
            return True
        return self._queue.add(key, content)


class LeaseOwner:
    """A process that holds leases, from its start to its end.

    It locks a file. The operating system releases the lock when the process ends, however it ends. So the next process
    that starts on this machine marks it dead at once. Other machines see the heartbeats only.
    """

    def __init__(self, states: StateMachine, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Send the first heartbeat. `folder` has the lock files of this machine; `clock` returns seconds.

        Raises:
            SettingsError: `folder` cannot be used.
            BatchesUnavailable, StorageFull: the queue cannot be used.
        """
        self.id = secrets.token_hex(8)
        self._states = states
        self._clock = clock
        # For each other owner: its last count of heartbeats, and when this process first saw it.
        self._last_seen: dict[str, tuple[int, float]] = {}
        self._path = folder / self.id
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mark_dead_owners(folder)
            self._file = self._path.open("wb")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise SettingsError(f"The directory {folder} cannot be used: {error.strerror}.") from None
        self.heartbeat()

    def heartbeat(self) -> None:
        """Send a heartbeat; call this every HEARTBEAT_SECONDS."""
        self._states.heartbeat(self.id)

    def expired(self, owner: str) -> bool:
        """Whether the leases of another owner have expired. Call it repeatedly: it compares counts over time."""
        count = self._states.heartbeats(owner)
        last, since = self._last_seen.get(owner, (0, 0.0))
        if count != last:
            self._last_seen[owner] = count, self._clock()
            return False
        return count == 0 or self._clock() - since >= EXPIRY_SECONDS

    def close(self) -> None:
        """Let the leases that this process still holds expire now."""
        self._path.unlink(missing_ok=True)
        self._file.close()
        # If the queue is unavailable, the leases expire because the heartbeats stop.
        with suppress(BatchError):
            self._states.mark_dead(self.id)

    def _mark_dead_owners(self, folder: Path) -> None:
        for path in folder.iterdir():
            with path.open("wb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                self._states.mark_dead(path.name)
                path.unlink(missing_ok=True)


def end_to_json(end: End) -> dict[str, Any]:
    """Return `end` as plain data, in the form that queue and store keep."""
    return asdict(end) | {"state": end.state.value}


def end_from_json(plain: Mapping[str, Any]) -> End:
    """Return what `end_to_json` serialized."""
    return End(**{**plain, "state": State(plain["state"])})
