"""Packs are downloaded from the URLs of the manifest, from a mirror or through a proxy."""

from pathlib import Path

import pytest

from tests.packs.file_server import Server, closed_port, running_server
from tests.packs.manifest import CONTENTS, Fetch, fill, write_pack
from visage.errors import FetchError
from visage.packs.download import fetch_pack


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


@pytest.mark.parametrize("host", ["[broken", ":80", "host:port"])
def test_a_password_in_an_invalid_mirror_is_not_shown(fetch: Fetch, host: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(mirror=f"http://me:secret@{host}")

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
