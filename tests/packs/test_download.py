"""Downloading packs: resumption, retries, verification, mirrors and progress."""

import errno
import gzip
import hashlib
import os
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import pytest

from visage.errors import FetchError
from visage.packs import download
from visage.packs.download import CHUNK_BYTES, PAUSES_SECONDS, fetch_pack
from visage.packs.pack import Pack, read_pack
from visage.settings import BUNDLED_MODELS

FACE_NET = bytes(range(256)) * (3 * CHUNK_BYTES // 256)
HELLO = b"hello\n"
# What `printf 'hello\n' | git hash-object --stdin` prints.
HELLO_GIT_BLOB = "ce013625030ba8dba906f756967f9e9ca394464a"

CONTENTS = {
    "face.prototxt": b"layers of the face net\n",
    "face.net": FACE_NET,
    "gender.prototxt": b"layers of the gender net\n",
    "gender.net": b"weights of the gender net\n",
    "age.prototxt": b"layers of the age net\n",
    "age.net": HELLO,
}

ROLES = {
    "face": "min_confidence = 0.5",
    "gender": 'crop_scale = 1.5\nlabels = ["Male", "Female"]',
    "age": 'crop_scale = 1.5\nlabels = ["(0-2)", "(4-6)"]\nranges = [[0, 2], [4, 6]]',
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_pack(folder: Path, base: str | None, sizes: bool = True) -> Pack:
    """Write only the manifest of a pack named `tiny`. Without `base`, its files have no URLs."""
    folder.mkdir(parents=True)
    folder.joinpath("pack.toml").write_text(
        'name = "tiny"\nversion = "1"\n'
        + "".join(
            f"[{role}]\n"
            f'prototxt = "{role}.prototxt"\nweights = "{role}.net"\n'
            "input = [1, 1]\nmean = [0.0, 0.0, 0.0]\nscale = 1.0\nswap_rb = false\n"
            f"{rest}\n"
            f"[{role}.prototxt_source]\n{source(f'{role}.prototxt', base, sizes)}"
            f"[{role}.source]\n{source(f'{role}.net', base, sizes)}"
            for role, rest in ROLES.items()
        ),
        encoding="utf-8",
    )
    return read_pack(folder)


def source(name: str, base: str | None, sizes: bool) -> str:
    content = CONTENTS[name]
    checksum = f'git_blob = "{HELLO_GIT_BLOB}"\n' if content == HELLO else f'sha256 = "{sha256(content)}"\n'
    url = f'url = "{base}/{name}"\n' if base else ""
    return checksum + url + (f"size = {len(content)}\n" if sizes else "")


def fill(folder: Path, *, without: str = "") -> None:
    """Write every file of the tiny pack into `folder`, except one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENTS.items():
        if name != without:
            folder.joinpath(name).write_bytes(content)


@dataclass(frozen=True)
class Request:
    path: str
    range: str | None
    encoding: str | None


class Server(ThreadingHTTPServer):
    """Serves `contents` by path. A response in `responses` replaces the next regular one."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.responses: deque[Respond] = deque()
        self.requests: list[Request] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def requested_ranges(self) -> list[str | None]:
        return [each.range for each in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(Request(self.path, self.headers["Range"], self.headers["Accept-Encoding"]))
        respond = self.server.responses.popleft() if self.server.responses else as_requested
        with suppress(ConnectionError):
            respond(self, self.server.contents.get(self.path))

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


Respond = Callable[[Handler, bytes | None], None]


def as_requested(handler: Handler, content: bytes | None) -> None:
    if content is None:
        return handler.send(404, b"not here")
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
    if not wanted:
        return handler.send(200, content)
    first = int(wanted[1])
    if first >= len(content):
        return handler.send(416, b"", Content_Range=f"bytes */{len(content)}")
    return handler.send(206, content[first:], Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}")


def without_ranges(handler: Handler, content: bytes | None) -> None:
    handler.send(200, content or b"")


def with_status(status: int) -> Respond:
    return lambda handler, content: handler.send(status, b"")


def with_body(body: bytes) -> Respond:
    return lambda handler, content: handler.send(200, body)


def cut_after(count: int) -> Respond:
    def respond(handler: Handler, content: bytes | None) -> None:
        assert content
        handler.close_connection = True
        handler.send(200, content[:count], Content_Length=str(len(content)))

    return respond


def compressed(handler: Handler, content: bytes | None) -> None:
    handler.send(200, gzip.compress(content or b""), Content_Encoding="gzip")


def endless(handler: Handler, content: bytes | None) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(CHUNK_BYTES))


@contextmanager
def running_server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.005))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with running_server() as server:
        server.contents = {f"/{name}": content for name, content in CONTENTS.items()}
        yield server


@pytest.fixture
def pack(server: Server, tmp_path: Path) -> Pack:
    return write_pack(tmp_path / "models" / "tiny", server.base)


@pytest.fixture
def pauses() -> list[float]:
    """The pauses between requests, in seconds. The tests do not wait for them."""
    return []


@pytest.fixture
def fetch(pack: Pack, pauses: list[float]) -> Callable[..., tuple[Path, ...]]:
    """Fetch the tiny pack into its own folder."""
    return partial(fetch_pack, pack, pack.folder, sleep=pauses.append)


Fetch = Callable[..., tuple[Path, ...]]


def test_every_file_is_stored_under_its_name(fetch: Fetch, pack: Pack) -> None:
    paths = fetch()

    assert {path.name: path.read_bytes() for path in paths} == CONTENTS
    assert {path.name for path in pack.folder.iterdir()} == {"pack.toml", *CONTENTS}


def test_downloaded_files_are_valid(fetch: Fetch, pack: Pack) -> None:
    fetch()

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_valid_files_are_not_requested_again(fetch: Fetch, server: Server) -> None:
    fetch()
    server.requests.clear()

    assert fetch() == ()
    assert server.requests == []


def test_only_the_invalid_file_is_downloaded(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder)
    pack.folder.joinpath("age.net").write_bytes(b"jello\n")

    assert fetch() == (pack.folder / "age.net",)
    assert [each.path for each in server.requests] == ["/age.net"]
    assert pack.folder.joinpath("age.net").read_bytes() == HELLO


def test_a_file_of_unknown_size_is_downloaded(server: Server, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", server.base, sizes=False)

    fetch_pack(pack, pack.folder)

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_a_git_blob_checksum_is_verified(fetch: Fetch, pack: Pack) -> None:
    fill(pack.folder, without="age.net")

    fetch()

    assert pack.age.weights.algorithm == "git_blob"
    assert pack.age.weights.read() == HELLO


def test_another_folder_becomes_a_complete_pack(pack: Pack, tmp_path: Path) -> None:
    elsewhere = tmp_path / "data" / "tiny"

    fetch_pack(pack, elsewhere)

    assert [file.read() for file in read_pack(elsewhere).files] == list(CONTENTS.values())
    assert [path.name for path in pack.folder.iterdir()] == ["pack.toml"]
    assert {path.name for path in elsewhere.iterdir()} == {"pack.toml", *CONTENTS}


def test_the_manifest_is_stored_last(pack: Pack, server: Server, tmp_path: Path) -> None:
    del server.contents["/age.net"]

    with pytest.raises(FetchError):
        fetch_pack(pack, tmp_path / "elsewhere")

    assert not (tmp_path / "elsewhere" / "pack.toml").exists()


def test_an_interrupted_download_is_resumed_where_it_stopped(
    fetch: Fetch, pack: Pack, server: Server, pauses: list[float]
) -> None:
    fill(pack.folder, without="face.net")
    server.responses.append(cut_after(2 * CHUNK_BYTES))

    fetch()

    assert server.requested_ranges() == [None, f"bytes={2 * CHUNK_BYTES}-"]
    assert pack.face.weights.read() == FACE_NET
    assert pauses == [0, 1]


def test_the_partial_file_of_an_earlier_run_is_resumed(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET[:1000])

    fetch()

    assert server.requested_ranges() == ["bytes=1000-"]
    assert pack.face.weights.read() == FACE_NET


def test_a_complete_partial_file_is_not_requested(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET)

    fetch()

    assert server.requests == []
    assert pack.face.weights.read() == FACE_NET


def test_with_a_server_without_ranges_the_download_starts_again(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET[:1000])
    server.responses.append(without_ranges)

    fetch()

    assert server.requested_ranges() == ["bytes=1000-"]
    assert pack.face.weights.read() == FACE_NET


def test_a_partial_file_longer_than_the_file_is_discarded(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET + b"more")

    fetch()

    assert server.requested_ranges() == [None]
    assert pack.face.weights.read() == FACE_NET


def test_after_an_unsatisfiable_range_the_download_starts_again(server: Server, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", server.base, sizes=False)
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET + b"more")

    fetch_pack(pack, pack.folder, sleep=lambda seconds: None)

    assert server.requested_ranges() == [f"bytes={len(FACE_NET) + 4}-", None]
    assert pack.face.weights.read() == FACE_NET


@pytest.mark.parametrize(
    "content_range",
    [
        pytest.param(f"bytes 999-{len(FACE_NET) - 1}/{len(FACE_NET)}", id="another start"),
        pytest.param("bytes 1000-1999/2000", id="another file"),
        pytest.param("", id="none"),
    ],
)
def test_a_response_for_another_range_is_not_appended(
    fetch: Fetch, pack: Pack, server: Server, content_range: str
) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET[:1000])
    server.responses.append(lambda handler, content: handler.send(206, b"wrong", Content_Range=content_range))

    fetch()

    assert server.requested_ranges() == ["bytes=1000-", None]
    assert pack.face.weights.read() == FACE_NET


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


def test_a_download_that_is_interrupted_every_time_can_be_resumed(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.responses.extend([cut_after(CHUNK_BYTES)] * len(PAUSES_SECONDS))

    with pytest.raises(FetchError, match=r"broke off after 65,536 bytes .*to resume"):
        fetch()

    assert pack.folder.joinpath("face.net.part").read_bytes() == FACE_NET[:CHUNK_BYTES]
    assert not pack.face.weights.path.exists()


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


def test_a_wrong_file_is_reported_with_both_checksums(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="age.net")
    server.contents["/age.net"] = b"jello\n"

    with pytest.raises(FetchError) as caught:
        fetch()

    message = str(caught.value)
    assert "age.net could not be fetched" in message
    assert f"{server.base}/age.net" in message
    assert f"6 bytes with git_blob {pack.age.weights.digest(b'jello' + bytes([10]))}" in message
    assert f"expected 6 bytes with git_blob {HELLO_GIT_BLOB}" in message


def test_a_wrong_file_does_not_replace_the_existing_one(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder)
    pack.folder.joinpath("age.net").write_bytes(b"an older net")
    server.contents["/age.net"] = b"jello\n"

    with pytest.raises(FetchError):
        fetch()

    assert pack.folder.joinpath("age.net").read_bytes() == b"an older net"
    assert not pack.folder.joinpath("age.net.part").exists()


def test_an_html_page_in_place_of_the_file_is_rejected_at_once(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.responses.append(with_body(b"<p>Sign in to the network</p>"))

    with pytest.raises(FetchError, match="another file, 29 bytes"):
        fetch()

    assert len(server.requests) == 1
    assert not pack.folder.joinpath("face.net.part").exists()


def test_an_endless_response_is_stopped(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.responses.append(endless)

    with pytest.raises(FetchError, match="another file") as caught:
        fetch()

    found = re.search(r"another file, ([\d,]+) bytes", str(caught.value))
    assert found
    assert len(FACE_NET) < int(found[1].replace(",", "")) <= len(FACE_NET) + CHUNK_BYTES
    assert not pack.folder.joinpath("face.net.part").exists()


def test_files_are_requested_uncompressed(fetch: Fetch, server: Server) -> None:
    fetch()

    assert {each.encoding for each in server.requests} == {"identity"}


def test_a_compressed_response_is_decompressed(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.responses.append(compressed)

    fetch()

    assert pack.face.weights.read() == FACE_NET


def test_a_mirror_is_requested_by_pack_and_file(fetch: Fetch, server: Server) -> None:
    server.contents = {f"/nets/tiny/{name}": content for name, content in CONTENTS.items()}

    fetch(mirror=f"{server.base}/nets/")

    assert [each.path for each in server.requests] == [f"/nets/tiny/{name}" for name in CONTENTS]


def test_a_pack_without_urls_is_downloaded_from_a_mirror(server: Server, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", None)
    server.contents = {f"/tiny/{name}": content for name, content in CONTENTS.items()}

    fetch_pack(pack, pack.folder, mirror=server.base)

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_a_pack_without_urls_cannot_be_downloaded(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", None)

    with pytest.raises(FetchError, match=r"The pack tiny cannot be fetched: its manifest names no URL for face\.proto"):
        fetch_pack(pack, tmp_path / "elsewhere")

    assert not (tmp_path / "elsewhere").exists()


def test_a_complete_pack_without_urls_needs_no_download(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", None)
    fill(pack.folder)

    assert fetch_pack(pack, pack.folder) == ()


@pytest.mark.parametrize("mirror", ["file:///srv/nets", "ftp://models.invalid", "/srv/nets"])
def test_only_http_urls_are_downloaded(fetch: Fetch, mirror: str) -> None:
    with pytest.raises(FetchError, match=f"{mirror}/tiny/face.prototxt is not an http:// or https:// URL"):
        fetch(mirror=mirror)


def test_a_redirect_to_another_scheme_is_rejected(fetch: Fetch, server: Server) -> None:
    server.responses.append(lambda handler, content: handler.send(302, b"", Location="file:///etc/hostname"))

    with pytest.raises(FetchError, match=r"face\.prototxt could not be fetched"):
        fetch()

    assert len(server.requests) == 1


@pytest.mark.parametrize("mirror", ["http://[broken", "http://:80", "http://models..invalid"])
def test_an_invalid_url_is_rejected(fetch: Fetch, mirror: str) -> None:
    with pytest.raises(FetchError, match=r"face\.prototxt could not be fetched from http://"):
        fetch(mirror=mirror)


def test_a_password_in_the_mirror_is_not_shown(fetch: Fetch, server: Server) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(mirror=f"http://me:secret@127.0.0.1:{server.server_port}/nowhere")

    assert "secret" not in str(caught.value)


def test_the_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = write_pack(tmp_path / "tiny", "http://models.invalid")
    with running_server() as proxy:
        proxy.contents = {f"http://models.invalid/{name}": content for name, content in CONTENTS.items()}
        monkeypatch.setenv("http_proxy", proxy.base)

        fetch_pack(pack, pack.folder)

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_an_unreachable_proxy_is_reported(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(FetchError, match="the proxy failed: Connection refused"):
        fetch()


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


def test_concurrent_calls_download_each_file_once(pack: Pack, server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fetch_pack(pack, pack.folder), range(4)))

    assert [file.read() for file in pack.files] == list(CONTENTS.values())
    assert sorted(each.path for each in server.requests) == sorted(f"/{name}" for name in CONTENTS)


@dataclass
class Bar:
    """Records what a progress bar would show. It has the interface of `tqdm`."""

    name: str
    total: int | None
    count: int
    updates: list[int] = field(default_factory=list)
    closed: bool = False

    def update(self, count: int) -> None:
        self.count += count
        self.updates.append(count)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True


@pytest.fixture
def bars() -> list[Bar]:
    return []


@pytest.fixture
def new_bar(bars: list[Bar]) -> Callable[[str, int | None, int], Bar]:
    def make(name: str, total: int | None, initial: int) -> Bar:
        bars.append(Bar(name, total, initial))
        return bars[-1]

    return make


def test_progress_covers_each_file_from_zero_to_its_size(
    fetch: Fetch, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fetch(progress=new_bar)

    assert {bar.name: (bar.count, bar.total, bar.closed) for bar in bars} == {
        name: (len(content), len(content), True) for name, content in CONTENTS.items()
    }


def test_progress_starts_at_the_size_of_the_partial_file(
    fetch: Fetch, pack: Pack, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fill(pack.folder, without="age.net")
    pack.folder.joinpath("age.net.part").write_bytes(HELLO[:2])

    fetch(progress=new_bar)

    assert [(bar.count, bar.updates) for bar in bars] == [(6, [4])]


def test_progress_goes_back_when_a_download_starts_again(
    fetch: Fetch, pack: Pack, server: Server, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fill(pack.folder, without="age.net")
    pack.folder.joinpath("age.net.part").write_bytes(HELLO[:2])
    server.responses.append(without_ranges)

    fetch(progress=new_bar)

    assert [(bar.count, bar.updates) for bar in bars] == [(6, [-2, 6])]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


DETECTOR_OF_2017 = "https://github.com/opencv/opencv_3rdparty/raw/dnn_samples_face_detector_20170830"
MODELS_OF_2015 = "https://github.com/GilLevi/AgeGenderDeepLearning/raw/master/models"
DEFINITIONS_OF_2015 = "https://raw.githubusercontent.com/GilLevi/AgeGenderDeepLearning/master"

# Name, size, algorithm, checksum and URL, confirmed by several public sources.
CLASSIC_FILES = [
    (
        "face.prototxt",
        28_104,
        "sha256",
        "dcd661dc48fc9de0a341db1f666a2164ea63a67265c7f779bc12d6b3f2fa67e9",
        "https://raw.githubusercontent.com/opencv/opencv/4.11.0/samples/dnn/face_detector/deploy.prototxt",
    ),
    (
        "face.caffemodel",
        10_666_211,
        "sha256",
        "2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d",
        f"{DETECTOR_OF_2017}/res10_300x300_ssd_iter_140000.caffemodel",
    ),
    (
        "gender.prototxt",
        2_309,
        "sha256",
        "7379953e048e5bffad9dfc6b3a8807f7fc826e2f27432df56d4c2670784b8e78",
        f"{DEFINITIONS_OF_2015}/gender_net_definitions/deploy.prototxt",
    ),
    (
        "gender.caffemodel",
        45_649_168,
        "git_blob",
        "87862497f48764ea24eb162c21f542c2e007311e",
        f"{MODELS_OF_2015}/gender_net.caffemodel",
    ),
    (
        "age.prototxt",
        2_308,
        "sha256",
        "f58b73e2e20766f54c583cb1a9404f45dab8901773da6864d94b63212ed37ca0",
        f"{DEFINITIONS_OF_2015}/age_net_definitions/deploy.prototxt",
    ),
    (
        "age.caffemodel",
        45_661_480,
        "git_blob",
        "8391af479b658b9f4f3ace7eec6be86aae079309",
        f"{MODELS_OF_2015}/age_net.caffemodel",
    ),
]

CLASSIC_NETS = {
    "face": {"input": (300, 300), "mean": (104.0, 177.0, 123.0), "scale": 1.0, "swap_rb": False},
    "gender": {
        "input": (227, 227),
        "mean": (78.4263377603, 87.7689143744, 114.895847746),
        "scale": 1.0,
        "swap_rb": False,
        "labels": ("Male", "Female"),
    },
    "age": {
        "input": (227, 227),
        "mean": (78.4263377603, 87.7689143744, 114.895847746),
        "scale": 1.0,
        "swap_rb": False,
        "labels": ("(0-2)", "(4-6)", "(8-12)", "(15-20)", "(25-32)", "(38-43)", "(48-53)", "(60-100)"),
        "ranges": ((0, 2), (4, 6), (8, 12), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100)),
    },
}


@pytest.fixture
def classic() -> Pack:
    return read_pack(BUNDLED_MODELS / "classic")


def test_the_classic_pack_has_the_published_files(classic: Pack) -> None:
    assert [
        (file.path.name, file.size, file.algorithm, file.checksum, file.url) for file in classic.files
    ] == CLASSIC_FILES


@pytest.mark.parametrize("role", ["face", "gender", "age"])
def test_the_classic_nets_have_the_preprocessing_and_labels_of_their_authors(classic: Pack, role: str) -> None:
    expected = CLASSIC_NETS[role]

    assert {key: getattr(getattr(classic, role), key) for key in expected} == expected


def test_the_classic_pack_says_that_the_licence_is_unknown(classic: Pack) -> None:
    assert {file.licence for file in classic.files if file.path.name.startswith(("age", "gender"))} == {
        "not stated by its authors"
    }
