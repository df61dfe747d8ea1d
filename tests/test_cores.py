"""The number of cores follows the CPU quota of the control groups, of both versions."""

import os
from pathlib import Path

import pytest

from visage.cores import available_cores

V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 25 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct"
OTHER_V1 = "34 25 0:30 {root} /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))


def machine(folder: Path, mount: str, membership: str, files: dict[str, str], mounted_root: str = "/") -> Path:
    """A file system with what the kernel states about the process's groups."""
    process = folder / "proc" / "self"
    process.mkdir(parents=True)
    (process / "mountinfo").write_text(
        f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n{OTHER_V1.format(root='/')}\n{mount.format(root=mounted_root)}\n"
    )
    (process / "cgroup").write_text(f"4:memory:/\n{membership}\n")
    for name, content in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 16), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("3200000 100000", 16)],
)
def test_a_quota_of_version_2_limits_the_cores_and_is_rounded_up(tmp_path: Path, quota: str, cores: int) -> None:
    assert available_cores(machine(tmp_path, V2, "0::/", {"cpu.max": f"{quota}\n"})) == cores


def test_the_quotas_of_the_groups_around_apply_too(tmp_path: Path) -> None:
    quotas = {"pod/cpu.max": "300000 100000", "pod/container/cpu.max": "max 100000"}

    assert available_cores(machine(tmp_path, V2, "0::/pod/container", quotas)) == 3


@pytest.mark.parametrize(("quota", "cores"), [("-1", 16), ("400000", 4), ("50000", 1)])
def test_a_quota_of_version_1_limits_the_cores(tmp_path: Path, quota: str, cores: int) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": f"{quota}\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}

    assert available_cores(machine(tmp_path, V1, "5:cpu,cpuacct:/", files)) == cores


def test_a_container_without_a_namespace_sees_its_group_at_the_mount_point(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    folder = machine(tmp_path, V1, "5:cpu,cpuacct:/docker/1f2e", files, mounted_root="/docker/1f2e")

    assert available_cores(folder) == 2


def test_a_system_without_control_groups_has_the_cores_of_the_affinity(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == 16


@pytest.mark.parametrize("content", ["", "max", "garbage 100000", "100000 0"])
def test_a_file_that_cannot_be_read_is_no_quota(tmp_path: Path, content: str) -> None:
    assert available_cores(machine(tmp_path, V2, "0::/", {"cpu.max": content})) == 16


def test_a_mount_point_may_have_any_bytes(tmp_path: Path) -> None:
    folder = machine(tmp_path, V2, "0::/", {"cpu.max": "200000 100000"})
    mounts = folder / "proc/self/mountinfo"
    mounts.write_bytes(b"40 22 8:2 / /mnt/\xe9t\xe9 rw - ext4 /dev/sdb1 rw\n" + mounts.read_bytes())

    assert available_cores(folder) == 2
