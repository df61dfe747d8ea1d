"""Two machines work on the same batch, and one of them is cut off.

Each is a network namespace with a cable of its own to the namespace of the test, where Redis and the bucket are.
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

# Where the test is for the machines, and these for it (RFC 2544: for networks that are tested). Hardly ever the
# same: the namespaces of a run that was killed are still there, and answers would go to them.
NETWORK = f"198.{secrets.choice((18, 19))}.{secrets.randbelow(256)}"
HERE = f"{NETWORK}.1"
ADDRESSES = (f"{NETWORK}.2", f"{NETWORK}.3")

JOBS = 2
FILES = 60


@dataclass(frozen=True)
class Machine:
    """A network namespace, and the end of its cable that is here; both have the same name."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def worked_on(self, batch_id: str) -> list[dict[str, Any]]:
        """What it has logged of the files of a batch."""
        files = (line for line in events(self.log) if line["event"] == "batch_file")
        return [line for line in files if batch_id.startswith(line["batch"])]

    def cut_off(self) -> None:
        ip("link", "set", self.name, "down")

    def connect(self) -> None:
        ip("link", "set", self.name, "up")

    @contextmanager
    def consuming(self, pack: Path, redis: str, store: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A consumer of batches on this machine, which is dead at the end of the block."""
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
    """A machine of this `name` at `address`."""
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
    """The URL of a Redis that both machines reach."""
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
    """Where both machines find the photos. Who is cut off still reaches the folder, and not the bucket."""
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
    """Large ones with a face, so that whoever is cut off has some in hand."""
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
    """The results of a batch with the numbers of their files."""
    return [(output.number, output.open().read()) for output in batches.outputs(batch_id)]


@needs_redis
def test_a_machine_that_is_cut_off_and_comes_back_loses_and_harms_nothing(
    machines: tuple[Machine, Machine], redis: str, store: str, tiny_pack: Path, tmp_path: Path, engine: Engine
) -> None:
    one, other = machines
    files = photos()
    batches = open_batches(Settings(state_dir=tmp_path / "web", batch_redis=redis, batch_store=store))

    def both_take_part() -> bool:
        batch_id = submit(batches, files[: 2 * JOBS])
        assert wait_for(lambda: is_done(batches, batch_id), 60)
        return all(machine.worked_on(batch_id) for machine in machines)

    with one.consuming(tiny_pack, redis, store) as lonely, other.consuming(tiny_pack, redis, store) as steady:
        assert wait_for(both_take_part, 60)
        batch_id = submit(batches, files)
        assert wait_for(lambda: one.worked_on(batch_id) and other.worked_on(batch_id), 60)
        one.cut_off()
        assert not is_done(batches, batch_id)
        assert wait_for(lambda: is_done(batches, batch_id), 300)
        meanwhile = fetched(batches, batch_id)
        steady.send_signal(signal.SIGTERM)
        assert steady.wait(60) == 0
        # What comes now can only be done by the one that was cut off.
        one.connect()
        next_id = submit(batches, files[:JOBS])
        assert wait_for(lambda: is_done(batches, next_id), 300)
        lonely.send_signal(signal.SIGTERM)
        assert lonely.wait(120) == 0

    due = [(number, engine.anonymize(content).picture) for number, content in enumerate(files, 1)]
    assert meanwhile == due
    assert fetched(batches, batch_id) == due
    assert fetched(batches, next_id) == due[:JOBS]
    lines = one.worked_on(batch_id) + other.worked_on(batch_id)
    # What was in hand when the cable went, if anything was, was done by the other, once.
    assert len({line["file"] for line in lines}) == len(lines) >= FILES - JOBS
    assert sum(line["attempt"] - 1 for line in lines) <= JOBS
