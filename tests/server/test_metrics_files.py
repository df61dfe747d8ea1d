"""The files of counts have reserved space, so a full file system cannot kill a process that writes to them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.contract import CONTRACT, responses
from tests.support.paths import ROOT
from visage.server import metrics_files

STAGES = ("wait", "decode", "detect", "attributes", "annotate", "encode", "cache", "cover", "enlarge")


def sizes(directory: Path) -> dict[str, int]:
    return {path.name.rsplit("_", 1)[0]: path.stat().st_size for path in directory.iterdir()}


def reserved_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_the_space_of_all_files_is_reserved(tmp_path: Path) -> None:
    metrics_files.reserve(tmp_path, 1234)

    assert len(list(tmp_path.iterdir())) == 4
    for path in tmp_path.iterdir():
        assert reserved_bytes(path) >= path.stat().st_size > 0


def test_all_time_series_that_a_service_may_have_fit_in_the_reserved_space(tmp_path: Path) -> None:
    operations = [(path, method) for path, methods in CONTRACT["paths"].items() for method in methods]
    statuses = sorted({status for operation in operations for status in responses(*operation)})
    series = f"""
import os, pathlib, sys
from visage.server import metrics_files
metrics_files.reserve(pathlib.Path(sys.argv[1]), os.getpid())
from visage.errors import VisageError
from visage.web import metrics as m
def codes(kind):
    return {{kind.code}}.union(*map(codes, kind.__subclasses__()))
for route in {[*CONTRACT["paths"], "/", "/docs", "/static/<path:filename>", "unknown"]!r}:
    m.REQUEST_SECONDS.labels(route).observe(1)
    for status in {statuses!r}:
        m.REQUESTS.labels(route, status).inc()
for stage in {STAGES!r}: m.STAGE_SECONDS.labels(stage).observe(1)
for code in codes(VisageError): m.REJECTIONS.labels(code).inc()
for outcome in ("hit", "miss"): m.CACHE_LOOKUPS.labels(outcome).inc()
for outcome in ("done", "failed"): m.BATCH_FILES.labels(outcome).inc()
m.PACK.labels("x" * 200, "x" * 50).set(1)
"""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", series, str(tmp_path)], cwd=ROOT, env=environment, check=True)

    assert sizes(tmp_path) == {"counter": 2**16, "histogram": 2**17, "gauge_livesum": 2**13, "gauge_livemax": 2**13}


def test_without_room_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fallocate = os.posix_fallocate

    def fill(descriptor: int, offset: int, length: int) -> None:
        if len(list(tmp_path.iterdir())) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fallocate(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", fill)

    with pytest.raises(OSError, match="No space left"):
        metrics_files.reserve(tmp_path, 1234)

    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_reserve_space_gets_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", refuse)

    metrics_files.reserve(tmp_path, 1234)

    for path in tmp_path.iterdir():
        assert path.read_bytes() == bytes(path.stat().st_size)


def test_the_files_of_a_dead_worker_keep_their_counts_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    metrics_files.reserve(tmp_path, 1234)
    counts = (5000).to_bytes(4, sys.byteorder) + b"x" * 4996
    with (tmp_path / "counter_1234.db").open("r+b") as file:
        file.write(counts)

    metrics_files.shrink(1234)

    assert (tmp_path / "counter_1234.db").read_bytes()[:5000] == counts
    assert sizes(tmp_path) == {"counter": 8192, "histogram": 4096, "gauge_livesum": 4096, "gauge_livemax": 4096}


def test_a_new_process_with_the_id_of_a_dead_one_keeps_its_counts(tmp_path: Path) -> None:
    (tmp_path / "counter_1234.db").write_bytes(b"counts")

    metrics_files.reserve(tmp_path, 1234)

    assert (tmp_path / "counter_1234.db").read_bytes().startswith(b"counts\0")
    assert reserved_bytes(tmp_path / "counter_1234.db") >= 2**16
