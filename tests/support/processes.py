"""What the processes of a service use of memory and processors, as Linux tells in /proc.

PSS counts a page that several processes share once, so the sum is what the machine really gives.
"""

import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path

from tests.support.service import Service


def workers(service: Service) -> list[int]:
    """The master's children that serve: the one that works on batches is nicer than it."""
    return [child for child, nicer in _nicer_by(service).items() if nicer == 0]


def consumers(service: Service) -> list[int]:
    """Those that work on batches: one, or none for a moment after it ended."""
    return [child for child, nicer in _nicer_by(service).items() if nicer > 0]


def complete(service: Service, count: int) -> bool:
    """Whether `count` processes serve and one works on batches: it is nicer only a moment after it was forked."""
    return len(consumers(service)) == 1 and len(workers(service)) == count


def children(service: Service) -> list[int]:
    """All of the master's children."""
    master = service.process.pid
    return [int(child) for child in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def pss(service: Service) -> float:
    """Megabytes of the master and its workers."""
    return pss_of([service.process.pid, *children(service)])


def pss_of(processes: list[int]) -> float:
    """Megabytes of some processes."""
    return sum(_kilobytes(process, "smaps_rollup", "Pss:") for process in processes) / 1000


def settled_pss(service: Service) -> float:
    """Megabytes once they no longer move: workers get ready one after the other, and give memory back at rest."""
    time.sleep(8)
    last = pss(service)
    while True:
        time.sleep(0.5)
        now = pss(service)
        if abs(now - last) < 0.5:
            return now
        last = now


def resident(process: int) -> float:
    """Megabytes that a process holds."""
    return _kilobytes(process, "status", "VmRSS:") / 1000


def peak(process: int) -> float:
    """The most megabytes that a process has held since `forget_peak`."""
    return _kilobytes(process, "status", "VmHWM:") / 1000


def forget_peak(process: int) -> None:
    Path(f"/proc/{process}/clear_refs").write_text("5")


def processor_seconds(process: int) -> float:
    """What a process has used of all processors, in and outside the kernel: by its own clock, as /proc has ticks."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(process, ctypes.byref(clock))
    if error:
        raise ProcessLookupError(error, os.strerror(error))
    return time.clock_gettime(clock.value)


def _nicer_by(service: Service) -> dict[int, int]:
    """By how much each of the master's children is nicer than it, without those that end while they are looked at."""
    nicer = {}
    for child in children(service):
        with suppress(ProcessLookupError):
            nicer[child] = os.getpriority(os.PRIO_PROCESS, child)
    master = os.getpriority(os.PRIO_PROCESS, service.process.pid)
    return {child: niceness - master for child, niceness in nicer.items()}


def _kilobytes(process: int, file: str, which: str) -> int:
    lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which))


def open_connections(service: Service) -> int:
    """Connections that the worker holds: its sockets but for the one that it listens on."""
    (worker,) = workers(service)
    count = -1
    for each in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += str(each.readlink()).startswith("socket:")
    return count
