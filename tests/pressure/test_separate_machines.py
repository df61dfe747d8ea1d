"""Two machines process the same batch, and one of them loses its network.

Each is a network namespace with a virtual cable to the namespace of the test, where Redis and the bucket are.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.redis_server import REDIS_SERVER, needs_redis
from tests.support.service import events, free_port
from tests.support.tiny_pack import MAGENTA
from tests.support.waiting import wait_for
from visage.anonymize.options import AnonymizeOptions
from visage.batches import Batches, open_batches
from visage.batches.state_machine import State
from visage.runtime.engine import Engine
from visage.settings import Settings

# Addresses of the test and of the machines (RFC 2544, for tests of networks). They are random, because the namespaces
# of a killed run still exist and would receive the responses.
NETWORK = f"198.{secrets.choice((18, 19))}.{secrets.randbelow(256)}"
HERE = f"{NETWORK}.1"
ADDRESSES = (f"{NETWORK}.2", f"{NETWORK}.3")

JOBS = 2
FILES = 60


@dataclass(frozen=True)
class Machine:
    """A network namespace, and the near end of its cable; both have the same name."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def processed(self, batch_id: str) -> list[dict[str, Any]]:
        """Return its log lines about the files of a batch."""
        files = (line for line in events(self.log) if line["event"] == "batch_file")
        return [line for line in files if batch_id.startswith(line["batch"])]

    def disconnect(self) -> None:
        ip("link", "set", self.name, "down")

    def connect(self) -> None:
        ip("link", "set", self.name, "up")

    @contextmanager
    def consuming(self, pack: Path, redis: str, store: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a batch process on this machine, and kill it at the end of the block."""
        own = {
            "VISAGE_PACK": str(pack),
            "VISAGE_STATE_DIR": str(self.folder / "state"),
            "VISAGE_BATCH_JOBS": str(JOBS),
            "VISAGE_BATCH_REDIS": redis,
            "VISAGE_BATCH_STORE": store,
        }
        command = ["ip", "netns", "exec", self.name, sys.executable, "-m", "visage.batches"]
        with self.log.open("ab") as file:
            process = subprocess.Popen(command, cwd=ROOT, env=os.environ | own, stderr=file)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    if not shutil.which("ip"):
        pytest.skip("needs the command ip, which is in the package iproute2")
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(connected(f"visage-{secrets.token_hex(3)}", address, tmp_path / address))
            for address in ADDRESSES
        )
        yield one, other


@contextmanager
def connected(name: str, address: str, folder: Path) -> Iterator[Machine]:
    """Create a machine of this `name` at `address`."""
    folder.mkdir()
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"needs network namespaces: {error.stderr.strip()}")
    try:
        try:
            ip("link", "add", name, "type", "veth", "peer", "name", "cable", "netns", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"needs virtual network cables: {error.stderr.strip()}")
        ip("address", "add", HERE, "peer", address, "dev", name)
        ip("link", "set", name, "up")
        ip("-netns", name, "address", "add", address, "peer", HERE, "dev", "cable")
        ip("-netns", name, "link", "set", "cable", "up")
        yield Machine(name, folder)
    finally:
        ip("netns", "delete", name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


def listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection((HERE, port), timeout=20):
        return True
    return False


@pytest.fixture
def redis(machines: tuple[Machine, Machine]) -> Iterator[str]:
    """The URL of a Redis that both machines can reach."""
    assert REDIS_SERVER is not None
    port = free_port()
    process = subprocess.Popen(
        [REDIS_SERVER, "--bind", HERE, "--port", str(port), "--protected-mode", "no", "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    try:
        assert wait_for(lambda: listens(port))
        yield f"redis://{HERE}:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["a shared folder", "a bucket"])
def store(
    request: pytest.FixtureRequest,
    machines: tuple[Machine, Machine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """The store of both machines. A disconnected machine still reaches the folder, but not the bucket."""
    if request.param == "a shared folder":
        yield str(tmp_path / "shared")
        return
    s3fs = pytest.importorskip("s3fs", reason="needs the package s3fs")
    moto = pytest.importorskip("moto.server", reason="needs the package moto[s3]")
    port = free_port()
    account = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for variable, value in {**account, "AWS_ENDPOINT_URL": f"http://{HERE}:{port}"}.items():
        monkeypatch.setenv(variable, value)
    server = moto.ThreadedMotoServer(ip_address=HERE, port=port, verbose=False)
    server.start()
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket/batches"
    server.stop()


def photos() -> list[bytes]:
    """Return large photos with a face, so that a disconnected machine has some in progress."""
    noise = np.random.default_rng(1)
    pictures = noise.integers(0, 256, (FILES, 900, 900, 3), np.uint8)
    pictures[:, 200:600, 200:600] = MAGENTA
    return [encode(pixels, "JPEG") for pixels in pictures]


def submit(batches: Batches, files: list[bytes]) -> str:
    with batches.create() as new:
        for number, content in enumerate(files, 1):
            new.add(f"photo{number}", content)
        return new.submit(AnonymizeOptions()).id


def is_done(batches: Batches, batch_id: str) -> bool:
    return batches.progress(batch_id).state is State.DONE


def fetched(batches: Batches, batch_id: str) -> list[tuple[int, bytes]]:
    """Return the results of a batch with the numbers of their files."""
    return [(output.number, output.open().read()) for output in batches.outputs(batch_id)]


@needs_redis
def test_a_disconnected_machine_loses_no_file_and_repeats_none(
    machines: tuple[Machine, Machine], redis: str, store: str, tiny_pack: Path, tmp_path: Path, engine: Engine
) -> None:
    one, other = machines
    files = photos()
    batches = open_batches(Settings(state_dir=tmp_path / "web", batch_redis=redis, batch_store=store))

    def both_process_files() -> bool:
        batch_id = submit(batches, files[: 2 * JOBS])
        assert wait_for(lambda: is_done(batches, batch_id), 60)
        return all(machine.processed(batch_id) for machine in machines)

    with one.consuming(tiny_pack, redis, store) as lonely, other.consuming(tiny_pack, redis, store) as steady:
        assert wait_for(both_process_files, 60)
        batch_id = submit(batches, files)
        assert wait_for(lambda: one.processed(batch_id) and other.processed(batch_id), 60)
        one.disconnect()
        assert not is_done(batches, batch_id)
        assert wait_for(lambda: is_done(batches, batch_id), 300)
        meanwhile = fetched(batches, batch_id)
        steady.send_signal(signal.SIGTERM)
        assert steady.wait(60) == 0
        # Only the machine that was disconnected can process this batch.
        one.connect()
        next_id = submit(batches, files[:JOBS])
        assert wait_for(lambda: is_done(batches, next_id), 300)
        lonely.send_signal(signal.SIGTERM)
        assert lonely.wait(120) == 0

    wanted = [(number, engine.anonymize(content).picture) for number, content in enumerate(files, 1)]
    assert meanwhile == wanted
    assert fetched(batches, batch_id) == wanted
    assert fetched(batches, next_id) == wanted[:JOBS]
    lines = one.processed(batch_id) + other.processed(batch_id)
    # The other machine processed the files that were in progress, each once.
    assert len({line["file"] for line in lines}) == len(lines) >= FILES - JOBS
    assert sum(line["attempt"] - 1 for line in lines) <= JOBS
