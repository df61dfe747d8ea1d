"""A downloaded file is stored only if its checksum is right."""

import re

import pytest

from tests.packs.file_server import Server, endless, with_body
from tests.packs.manifest import FACE_NET, HELLO, HELLO_GIT_BLOB, Fetch, fill
from visage.errors import FetchError
from visage.packs.download import CHUNK_BYTES
from visage.packs.pack import Pack


def test_a_git_blob_checksum_is_verified(fetch: Fetch, pack: Pack) -> None:
    fill(pack.folder, without="age.net")

    fetch()

    assert pack.age.weights.algorithm == "git_blob"
    assert pack.age.weights.read() == HELLO


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
