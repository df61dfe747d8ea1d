"""A real Redis on loopback. `needs_redis` skips tests if redis-server is missing."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from tests.support.service import free_port

REDIS_SERVER = shutil.which("redis-server", path=Path(sys.executable).parent) or shutil.which("redis-server")

needs_redis = pytest.mark.skipif(REDIS_SERVER is None, reason="needs the command redis-server")


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    assert REDIS_SERVER is not None
    port = free_port()
    process = subprocess.Popen(
        [
            *(REDIS_SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
            *("--maxmemory", "16mb", "--maxmemory-policy", "allkeys-lru", "--logfile", str(folder / "log")),
        ]
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _wait_until_it_answers(url)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 60
    with closing(redis.Redis.from_url(url)) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                return
