"""Temporary failures of a download are retried; lasting ones are reported with the cause."""

import errno
import os
import threading
from pathlib import Path

import pytest

from tests.packs.file_server import Handler, Server, closed_port, with_status
from tests.packs.manifest import HELLO, Fetch, fill, write_pack
from visage.errors import FetchError
from visage.packs import download
from visage.packs.download import PAUSES_SECONDS, fetch_pack
from visage.packs.pack import Pack


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_temporary_failure_of_the_server_is_retried(
    fetch: Fetch, pack: Pack, server: Server, pauses: list[float], status: int
) -> None:
    fill(pack.folder, without="age.net")
    server.responses.extend([with_status(status), with_status(status)])

    fetch()

    assert pack.age.weights.read() == HELLO
    assert pauses == [0, 1, 2]


def test_a_lasting_failure_of_the_server_ends_the_download(fetch: Fetch, server: Server, pauses: list[float]) -> None:
    server.responses.extend([with_status(503)] * 9)

    with pytest.raises(FetchError, match=r"face\.prototxt .*/face\.prototxt: the server answered 503 .* to resume"):
        fetch()

    assert pauses == list(PAUSES_SECONDS)
    assert len(server.requests) == len(PAUSES_SECONDS)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_client_error_is_not_retried(fetch: Fetch, server: Server, status: int) -> None:
    server.responses.append(with_status(status))

    with pytest.raises(FetchError, match=rf"the server answered {status} .* Set VISAGE_MIRROR"):
        fetch()

    assert len(server.requests) == 1


def test_an_unreachable_server_is_reported_with_the_cause(tmp_path: Path, server: Server, pauses: list[float]) -> None:
    pack = write_pack(tmp_path / "tiny", f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(FetchError, match=r"face\.prototxt .* http://127\.0\.0\.1.*: Connection refused .*to resume"):
        fetch_pack(pack, pack.folder, sleep=pauses.append)

    assert pauses == list(PAUSES_SECONDS)


def test_a_silent_server_times_out(
    fetch: Fetch, server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (1, 0.01))
    over = threading.Event()

    def silence(handler: Handler, content: bytes | None) -> None:
        over.wait(10)

    server.responses.extend([silence] * len(PAUSES_SECONDS))

    with pytest.raises(FetchError, match="timed out"):
        fetch()

    over.set()
    assert pauses == list(PAUSES_SECONDS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_reported(pack: Pack, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)

    with pytest.raises(FetchError, match=rf"tiny could not be stored in {locked} \(Permission denied\)"):
        fetch_pack(pack, locked)


def test_a_file_in_place_of_the_folder_is_reported(pack: Pack, tmp_path: Path) -> None:
    tmp_path.joinpath("taken").write_bytes(b"")

    with pytest.raises(FetchError, match=r"tiny could not be stored in .*taken \(File exists\)"):
        fetch_pack(pack, tmp_path / "taken")


def test_a_full_disk_is_reported_and_leaves_no_file(fetch: Fetch, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync_to_a_full_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync_to_a_full_disk)

    with pytest.raises(FetchError, match=r"could not be stored in .* \(No space left on device\).* VISAGE_MODELS_DIR"):
        fetch()

    assert {path.name for path in pack.folder.iterdir()} == {"pack.toml", "face.prototxt.part"}
