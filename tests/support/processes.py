"""Memory and processor time of a service's processes, from Linux's /proc.

PSS divides each shared page among the processes that map it, so the sum is the memory that the service really uses.
"""

import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path

from tests.support.service import Service


def workers(service: Service) -> list[int]:
    """The HTTP workers: the master's children with its niceness. The batch consumer has a higher one."""
    return [child for child, nicer in _nicer_by(service).items() if nicer == 0]


def consumers(service: Service) -> list[int]:
    """The batch consumers: one, or none for a moment after a crash."""
    return [child for child, nicer in _nicer_by(service).items() if nicer > 0]


def complete(service: Service, count: int) -> bool:
    """Whether there are `count` workers and one consumer, which raises its niceness shortly after the fork."""
    return len(consumers(service)) == 1 and len(workers(service)) == count


def children(service: Service) -> list[int]:
    """The process IDs of the master's children."""
    master = service.master
    return [int(child) for child in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def pss(service: Service) -> float:
    """PSS of the master and its children, in megabytes."""
    return pss_of([service.master, *children(service)])


def pss_of(processes: list[int]) -> float:
    """PSS of some processes, in megabytes."""
    return sum(_kilobytes(process, "smaps_rollup", "Pss:") for process in processes) / 1000


def settled_pss(service: Service) -> float:
    """PSS in megabytes once it is stable: after all workers have started, and idle ones have released memory."""
    time.sleep(8)
    last = pss(service)
    while True:
        time.sleep(0.5)
        now = pss(service)
        if abs(now - last) < 0.5:
            return now
        last = now


def resident(process: int) -> float:
    """Resident memory of a process, in megabytes."""
    return _kilobytes(process, "status", "VmRSS:") / 1000


def peak(process: int) -> float:
    """The peak of resident memory since `reset_peak`, in megabytes."""
    return _kilobytes(process, "status", "VmHWM:") / 1000


def reset_peak(process: int) -> None:
    Path(f"/proc/{process}/clear_refs").write_text("5")


def processor_seconds(process: int) -> float:
    """CPU time of a process, user and system, in seconds. Its CPU clock is more precise than the ticks in /proc."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(process, ctypes.byref(clock))
    if error:
        raise ProcessLookupError(error, os.strerror(error))
    return time.clock_gettime(clock.value)


def _nicer_by(service: Service) -> dict[int, int]:
    """Niceness of the master's children relative to the master. Skips children that exit meanwhile."""
    nicer = {}
    for child in children(service):
        with suppress(ProcessLookupError):
            nicer[child] = os.getpriority(os.PRIO_PROCESS, child)
    master = os.getpriority(os.PRIO_PROCESS, service.master)
    return {child: niceness - master for child, niceness in nicer.items()}


def _kilobytes(process: int, file: str, which: str) -> int:
    lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which))


def open_connections(service: Service) -> int:
    """The number of connections of the only worker: its sockets without the listening one."""
    (worker,) = workers(service)
    count = -1
    for each in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += str(each.readlink()).startswith("socket:")
    return count
