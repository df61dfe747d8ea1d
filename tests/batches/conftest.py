"""Workshops for the tests of batches, with each kind of queue and store."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import needs_redis, running_redis
from tests.support.service import free_port
from tests.support.workshop import Workshop, opened
from visage.runtime.engine import Engine
from visage.settings import Settings


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def workshop(request: pytest.FixtureRequest, tmp_path: Path, engine: Engine) -> Iterator[Workshop]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    with opened(Settings(state_dir=tmp_path, batch_redis=url), engine) as workshop:
        yield workshop


@pytest.fixture
def local(tmp_path: Path, engine: Engine) -> Iterator[Workshop]:
    """A workshop for tests that do not depend on the kind of queue."""
    with opened(Settings(state_dir=tmp_path), engine) as workshop:
        yield workshop


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a folder in a bucket of an S3 on loopback."""
    s3fs = pytest.importorskip("s3fs", reason="needs the package s3fs")
    moto = pytest.importorskip("moto.server", reason="needs the package moto[s3]")
    port, name = free_port(), f"bucket-{secrets.token_hex(4)}"
    account = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for variable, value in {**account, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(variable, value)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}/batches"
    server.stop()


@pytest.fixture
def remote(bucket: str, tmp_path: Path, engine: Engine) -> Iterator[Workshop]:
    with opened(Settings(state_dir=tmp_path), engine, bucket) as workshop:
        yield workshop
