"""Every file of a pack is downloaded once and stored under its name."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.packs.file_server import Server, compressed
from tests.packs.manifest import CONTENTS, FACE_NET, HELLO, Fetch, fill, write_pack
from visage.errors import FetchError
from visage.packs.download import fetch_pack
from visage.packs.pack import Pack, read_pack


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


def test_files_are_requested_uncompressed(fetch: Fetch, server: Server) -> None:
    fetch()

    assert {each.encoding for each in server.requests} == {"identity"}


def test_a_compressed_response_is_decompressed(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.responses.append(compressed)

    fetch()

    assert pack.face.weights.read() == FACE_NET


def test_concurrent_calls_download_each_file_once(pack: Pack, server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fetch_pack(pack, pack.folder), range(4)))

    assert [file.read() for file in pack.files] == list(CONTENTS.values())
    assert sorted(each.path for each in server.requests) == sorted(f"/{name}" for name in CONTENTS)
