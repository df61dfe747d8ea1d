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
    """A pack named `tiny` of which only the manifest is there; without `base`, it says of no file where it is."""
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
    """Put every file of the tiny pack into `folder` as it must be, but for one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENTS.items():
        if name != without:
            folder.joinpath(name).write_bytes(content)


@dataclass(frozen=True)
class Asked:
    path: str
    range: str | None
    encoding: str | None


class Server(ThreadingHTTPServer):
    """Serves `contents` by path; an answer put into `answers` takes the place of the next regular one."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.answers: deque[Answer] = deque()
        self.asked: list[Asked] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ranges_asked_for(self) -> list[str | None]:
        return [each.range for each in self.asked]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(Asked(self.path, self.headers["Range"], self.headers["Accept-Encoding"]))
        answer = self.server.answers.popleft() if self.server.answers else as_asked
        with suppress(ConnectionError):
            answer(self, self.server.contents.get(self.path))

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


Answer = Callable[[Handler, bytes | None], None]


def as_asked(handler: Handler, content: bytes | None) -> None:
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


def with_status(status: int) -> Answer:
    return lambda handler, content: handler.send(status, b"")


def with_body(body: bytes) -> Answer:
    return lambda handler, content: handler.send(200, body)


def cut_after(count: int) -> Answer:
    def answer(handler: Handler, content: bytes | None) -> None:
        assert content
        handler.close_connection = True
        handler.send(200, content[:count], Content_Length=str(len(content)))

    return answer


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
    """The pauses that were made, in seconds; none is waited for."""
    return []


@pytest.fixture
def fetched(pack: Pack, pauses: list[float]) -> Callable[..., tuple[Path, ...]]:
    """Fetch the tiny pack into its own folder."""
    return partial(fetch_pack, pack, pack.folder, sleep=pauses.append)


Fetch = Callable[..., tuple[Path, ...]]


def test_every_file_lands_under_its_name(fetched: Fetch, pack: Pack) -> None:
    paths = fetched()

    assert {path.name: path.read_bytes() for path in paths} == CONTENTS
    assert {path.name for path in pack.folder.iterdir()} == {"pack.toml", *CONTENTS}


def test_what_was_fetched_verifies(fetched: Fetch, pack: Pack) -> None:
    fetched()

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_right_files_are_not_asked_for_again(fetched: Fetch, server: Server) -> None:
    fetched()
    server.asked.clear()

    assert fetched() == ()
    assert server.asked == []


def test_only_the_file_that_is_wrong_is_fetched(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder)
    pack.folder.joinpath("age.net").write_bytes(b"jello\n")

    assert fetched() == (pack.folder / "age.net",)
    assert [each.path for each in server.asked] == ["/age.net"]
    assert pack.folder.joinpath("age.net").read_bytes() == HELLO


def test_a_file_without_a_known_size_is_fetched(server: Server, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", server.base, sizes=False)

    fetch_pack(pack, pack.folder)

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_a_git_blob_checksum_verifies(fetched: Fetch, pack: Pack) -> None:
    fill(pack.folder, without="age.net")

    fetched()

    assert pack.age.weights.algorithm == "git_blob"
    assert pack.age.weights.read() == HELLO


def test_another_folder_becomes_a_pack_of_its_own(pack: Pack, tmp_path: Path) -> None:
    elsewhere = tmp_path / "data" / "tiny"

    fetch_pack(pack, elsewhere)

    assert [file.read() for file in read_pack(elsewhere).files] == list(CONTENTS.values())
    assert [path.name for path in pack.folder.iterdir()] == ["pack.toml"]
    assert {path.name for path in elsewhere.iterdir()} == {"pack.toml", *CONTENTS}


def test_the_manifest_comes_last(pack: Pack, server: Server, tmp_path: Path) -> None:
    del server.contents["/age.net"]

    with pytest.raises(FetchError):
        fetch_pack(pack, tmp_path / "elsewhere")

    assert not (tmp_path / "elsewhere" / "pack.toml").exists()


def test_a_connection_cut_in_mid_body_is_resumed_where_it_stopped(
    fetched: Fetch, pack: Pack, server: Server, pauses: list[float]
) -> None:
    fill(pack.folder, without="face.net")
    server.answers.append(cut_after(2 * CHUNK_BYTES))

    fetched()

    assert server.ranges_asked_for() == [None, f"bytes={2 * CHUNK_BYTES}-"]
    assert pack.face.weights.read() == FACE_NET
    assert pauses == [0, 1]


def test_what_an_earlier_run_left_is_resumed(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET[:1000])

    fetched()

    assert server.ranges_asked_for() == ["bytes=1000-"]
    assert pack.face.weights.read() == FACE_NET


def test_a_whole_file_that_only_lacks_its_name_is_not_asked_for(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET)

    fetched()

    assert server.asked == []
    assert pack.face.weights.read() == FACE_NET


def test_a_server_without_ranges_starts_over(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET[:1000])
    server.answers.append(without_ranges)

    fetched()

    assert server.ranges_asked_for() == ["bytes=1000-"]
    assert pack.face.weights.read() == FACE_NET


def test_leftovers_longer_than_the_file_are_thrown_away(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET + b"more")

    fetched()

    assert server.ranges_asked_for() == [None]
    assert pack.face.weights.read() == FACE_NET


def test_a_range_that_cannot_be_had_starts_over(server: Server, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", server.base, sizes=False)
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET + b"more")

    fetch_pack(pack, pack.folder, sleep=lambda seconds: None)

    assert server.ranges_asked_for() == [f"bytes={len(FACE_NET) + 4}-", None]
    assert pack.face.weights.read() == FACE_NET


@pytest.mark.parametrize(
    "content_range",
    [
        pytest.param(f"bytes 999-{len(FACE_NET) - 1}/{len(FACE_NET)}", id="another start"),
        pytest.param("bytes 1000-1999/2000", id="another file"),
        pytest.param("", id="none"),
    ],
)
def test_an_answer_for_another_range_is_not_appended(
    fetched: Fetch, pack: Pack, server: Server, content_range: str
) -> None:
    fill(pack.folder, without="face.net")
    pack.folder.joinpath("face.net.part").write_bytes(FACE_NET[:1000])
    server.answers.append(lambda handler, content: handler.send(206, b"wrong", Content_Range=content_range))

    fetched()

    assert server.ranges_asked_for() == ["bytes=1000-", None]
    assert pack.face.weights.read() == FACE_NET


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_passing_trouble_is_asked_again(
    fetched: Fetch, pack: Pack, server: Server, pauses: list[float], status: int
) -> None:
    fill(pack.folder, without="age.net")
    server.answers.extend([with_status(status), with_status(status)])

    fetched()

    assert pack.age.weights.read() == HELLO
    assert pauses == [0, 1, 2]


def test_a_server_in_lasting_trouble_is_given_up(fetched: Fetch, server: Server, pauses: list[float]) -> None:
    server.answers.extend([with_status(503)] * 9)

    with pytest.raises(FetchError, match=r"face\.prototxt .*/face\.prototxt: the server answered 503 .* to resume"):
        fetched()

    assert pauses == list(PAUSES_SECONDS)
    assert len(server.asked) == len(PAUSES_SECONDS)


def test_a_download_that_keeps_breaking_off_stays_to_be_resumed(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.answers.extend([cut_after(CHUNK_BYTES)] * len(PAUSES_SECONDS))

    with pytest.raises(FetchError, match=r"broke off after 65,536 bytes .*to resume"):
        fetched()

    assert pack.folder.joinpath("face.net.part").read_bytes() == FACE_NET[:CHUNK_BYTES]
    assert not pack.face.weights.path.exists()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(fetched: Fetch, server: Server, status: int) -> None:
    server.answers.append(with_status(status))

    with pytest.raises(FetchError, match=rf"the server answered {status} .* Set VISAGE_MIRROR"):
        fetched()

    assert len(server.asked) == 1


def test_a_server_that_cannot_be_reached_is_named_with_the_cause(
    tmp_path: Path, server: Server, pauses: list[float]
) -> None:
    pack = write_pack(tmp_path / "tiny", f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(FetchError, match=r"face\.prototxt .* http://127\.0\.0\.1.*: Connection refused .*to resume"):
        fetch_pack(pack, pack.folder, sleep=pauses.append)

    assert pauses == list(PAUSES_SECONDS)


def test_a_silent_server_times_out(
    fetched: Fetch, server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (1, 0.01))
    over = threading.Event()

    def silence(handler: Handler, content: bytes | None) -> None:
        over.wait(10)

    server.answers.extend([silence] * len(PAUSES_SECONDS))

    with pytest.raises(FetchError, match="timed out"):
        fetched()

    over.set()
    assert pauses == list(PAUSES_SECONDS)


def test_a_wrong_file_is_refused_with_what_was_found_and_expected(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="age.net")
    server.contents["/age.net"] = b"jello\n"

    with pytest.raises(FetchError) as caught:
        fetched()

    message = str(caught.value)
    assert "age.net could not be fetched" in message
    assert f"{server.base}/age.net" in message
    assert f"6 bytes with git_blob {pack.age.weights.digest(b'jello' + bytes([10]))}" in message
    assert f"expected 6 bytes with git_blob {HELLO_GIT_BLOB}" in message


def test_a_wrong_file_leaves_what_was_there_and_nothing_else(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder)
    pack.folder.joinpath("age.net").write_bytes(b"an older net")
    server.contents["/age.net"] = b"jello\n"

    with pytest.raises(FetchError):
        fetched()

    assert pack.folder.joinpath("age.net").read_bytes() == b"an older net"
    assert not pack.folder.joinpath("age.net.part").exists()


def test_a_page_in_place_of_the_file_is_refused_at_once(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.answers.append(with_body(b"<p>Sign in to the network</p>"))

    with pytest.raises(FetchError, match="another file, 29 bytes"):
        fetched()

    assert len(server.asked) == 1
    assert not pack.folder.joinpath("face.net.part").exists()


def test_an_endless_answer_is_stopped(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.answers.append(endless)

    with pytest.raises(FetchError, match="another file") as caught:
        fetched()

    found = re.search(r"another file, ([\d,]+) bytes", str(caught.value))
    assert found
    assert len(FACE_NET) < int(found[1].replace(",", "")) <= len(FACE_NET) + CHUNK_BYTES
    assert not pack.folder.joinpath("face.net.part").exists()


def test_files_are_asked_for_uncompressed(fetched: Fetch, server: Server) -> None:
    fetched()

    assert {each.encoding for each in server.asked} == {"identity"}


def test_a_server_that_compresses_all_the_same_does_no_harm(fetched: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.answers.append(compressed)

    fetched()

    assert pack.face.weights.read() == FACE_NET


def test_a_mirror_is_asked_for_the_pack_and_the_file(fetched: Fetch, server: Server) -> None:
    server.contents = {f"/nets/tiny/{name}": content for name, content in CONTENTS.items()}

    fetched(mirror=f"{server.base}/nets/")

    assert [each.path for each in server.asked] == [f"/nets/tiny/{name}" for name in CONTENTS]


def test_a_mirror_serves_a_pack_whose_manifest_names_no_url(server: Server, tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", None)
    server.contents = {f"/tiny/{name}": content for name, content in CONTENTS.items()}

    fetch_pack(pack, pack.folder, mirror=server.base)

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_a_pack_whose_manifest_names_no_url_cannot_be_fetched(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", None)

    with pytest.raises(FetchError, match=r"The pack tiny cannot be fetched: its manifest names no URL for face\.proto"):
        fetch_pack(pack, tmp_path / "elsewhere")

    assert not (tmp_path / "elsewhere").exists()


def test_a_whole_pack_whose_manifest_names_no_url_needs_nothing(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "tiny", None)
    fill(pack.folder)

    assert fetch_pack(pack, pack.folder) == ()


@pytest.mark.parametrize("mirror", ["file:///srv/nets", "ftp://models.invalid", "/srv/nets"])
def test_only_http_is_fetched(fetched: Fetch, mirror: str) -> None:
    with pytest.raises(FetchError, match=f"{mirror}/tiny/face.prototxt is not an http:// or https:// URL"):
        fetched(mirror=mirror)


def test_a_redirect_to_another_scheme_is_refused(fetched: Fetch, server: Server) -> None:
    server.answers.append(lambda handler, content: handler.send(302, b"", Location="file:///etc/hostname"))

    with pytest.raises(FetchError, match=r"face\.prototxt could not be fetched"):
        fetched()

    assert len(server.asked) == 1


@pytest.mark.parametrize("mirror", ["http://[broken", "http://:80", "http://models..invalid"])
def test_a_url_that_is_not_valid_is_refused(fetched: Fetch, mirror: str) -> None:
    with pytest.raises(FetchError, match=r"face\.prototxt could not be fetched from http://"):
        fetched(mirror=mirror)


def test_a_password_in_the_mirror_is_not_shown(fetched: Fetch, server: Server) -> None:
    with pytest.raises(FetchError) as caught:
        fetched(mirror=f"http://me:secret@127.0.0.1:{server.server_port}/nowhere")

    assert "secret" not in str(caught.value)


def test_the_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = write_pack(tmp_path / "tiny", "http://models.invalid")
    with running_server() as proxy:
        proxy.contents = {f"http://models.invalid/{name}": content for name, content in CONTENTS.items()}
        monkeypatch.setenv("http_proxy", proxy.base)

        fetch_pack(pack, pack.folder)

    assert [file.read() for file in pack.files] == list(CONTENTS.values())


def test_a_proxy_that_cannot_be_reached_is_blamed(fetched: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(FetchError, match="the proxy failed: Connection refused"):
        fetched()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(pack: Pack, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)

    with pytest.raises(FetchError, match=rf"tiny could not be stored in {locked} \(Permission denied\)"):
        fetch_pack(pack, locked)


def test_a_file_in_the_place_of_the_folder_is_named(pack: Pack, tmp_path: Path) -> None:
    tmp_path.joinpath("taken").write_bytes(b"")

    with pytest.raises(FetchError, match=r"tiny could not be stored in .*taken \(File exists\)"):
        fetch_pack(pack, tmp_path / "taken")


def test_a_full_disk_is_a_clear_failure_that_leaves_no_file(
    fetched: Fetch, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync_to_a_full_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync_to_a_full_disk)

    with pytest.raises(FetchError, match=r"could not be stored in .* \(No space left on device\).* VISAGE_MODELS_DIR"):
        fetched()

    assert {path.name for path in pack.folder.iterdir()} == {"pack.toml", "face.prototxt.part"}


def test_fetches_at_the_same_time_bring_each_file_once_and_right(pack: Pack, server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fetch_pack(pack, pack.folder), range(4)))

    assert [file.read() for file in pack.files] == list(CONTENTS.values())
    assert sorted(each.path for each in server.asked) == sorted(f"/{name}" for name in CONTENTS)


@dataclass
class Bar:
    """Notes what a progress bar would show; made and used as `tqdm` is."""

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


def test_progress_is_shown_for_each_file_from_its_start_to_its_size(
    fetched: Fetch, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fetched(progress=new_bar)

    assert {bar.name: (bar.count, bar.total, bar.closed) for bar in bars} == {
        name: (len(content), len(content), True) for name, content in CONTENTS.items()
    }


def test_progress_begins_where_an_earlier_run_ended(
    fetched: Fetch, pack: Pack, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fill(pack.folder, without="age.net")
    pack.folder.joinpath("age.net.part").write_bytes(HELLO[:2])

    fetched(progress=new_bar)

    assert [(bar.count, bar.updates) for bar in bars] == [(6, [4])]


def test_progress_goes_back_when_a_download_starts_over(
    fetched: Fetch, pack: Pack, server: Server, bars: list[Bar], new_bar: Callable[..., Bar]
) -> None:
    fill(pack.folder, without="age.net")
    pack.folder.joinpath("age.net.part").write_bytes(HELLO[:2])
    server.answers.append(without_ranges)

    fetched(progress=new_bar)

    assert [(bar.count, bar.updates) for bar in bars] == [(6, [-2, 6])]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


DETECTOR_OF_2017 = "https://github.com/opencv/opencv_3rdparty/raw/dnn_samples_face_detector_20170830"
MODELS_OF_2015 = "https://github.com/GilLevi/AgeGenderDeepLearning/raw/master/models"
DEFINITIONS_OF_2015 = "https://raw.githubusercontent.com/GilLevi/AgeGenderDeepLearning/master"

# Name, size, algorithm, checksum, URL: agreed on by several public sources.
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


def test_the_classic_pack_names_the_files_of_the_literature(classic: Pack) -> None:
    assert [
        (file.path.name, file.size, file.algorithm, file.checksum, file.url) for file in classic.files
    ] == CLASSIC_FILES


@pytest.mark.parametrize("role", ["face", "gender", "age"])
def test_the_classic_nets_are_fed_and_read_as_their_authors_did(classic: Pack, role: str) -> None:
    expected = CLASSIC_NETS[role]

    assert {key: getattr(getattr(classic, role), key) for key in expected} == expected


def test_the_classic_pack_says_that_its_authors_state_no_licence(classic: Pack) -> None:
    assert {file.licence for file in classic.files if file.path.name.startswith(("age", "gender"))} == {
        "not stated by its authors"
    }
