"""How many processor cores this process may use: its affinity, and the CPU quota of its control groups."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# "cpu.max" of version 2 has the quota and the period in microseconds, or "max" for no quota (kernel documentation,
# "Control Group v2", CPU). Version 1 has a file for each, and -1 for no quota ("CFS Bandwidth Control").
_V2_FILE = "cpu.max"
_V1_FILES = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def available_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, at least 1.

    A quota is rounded up, so that all of it can be used. `root` is where the file systems of the kernel are mounted.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of the process's groups and of all groups around them; each of them applies."""
    for group in _groups(root):
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = _quota_and_period(group)
            if quota > 0:
                yield quota / period


def _quota_and_period(group: Path) -> tuple[int, int]:
    if (group / _V2_FILE).exists():
        # Without a quota there is "max", which is no number.
        quota, period = (group / _V2_FILE).read_bytes().split()
    else:
        quota, period = ((group / name).read_bytes() for name in _V1_FILES)
    return int(quota), int(period)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the process's groups, and those around them, up to the mount points."""
    try:
        mounts = _lines(root / "proc/self/mountinfo")
        memberships = _lines(root / "proc/self/cgroup")
    except OSError:
        return
    paths = dict(_path_by_controller(memberships))
    for mount in mounts:
        # proc(5): ID, parent, device, root in the file system, mount point, options, optional fields, "-", type ...
        before, _, after = mount.partition(" - ")
        kind, _, options = after.split(" ", 2)
        controller = {"cgroup2": "", "cgroup": "cpu"}.get(kind)
        if controller not in paths or (controller and controller not in options.split(",")):
            continue
        mounted, mount_point = before.split(" ")[3:5]
        # Without a namespace of its own, a container has a path of its machine here, of which it sees the end only.
        path = paths[controller].removeprefix(mounted.rstrip("/")).strip("/")
        top = root / mount_point.strip("/")
        group = top / path
        yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _lines(file: Path) -> list[str]:
    """Return the lines of a file of the kernel. They contain paths, which may have any bytes."""
    return [os.fsdecode(line) for line in file.read_bytes().splitlines()]


def _path_by_controller(memberships: list[str]) -> Iterator[tuple[str, str]]:
    for line in memberships:
        # cgroups(7): hierarchy ID, controllers separated by commas (none in version 2), path.
        _, controllers, path = line.split(":", 2)
        yield from ((controller, path) for controller in controllers.split(","))
