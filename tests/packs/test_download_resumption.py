"""An interrupted download is resumed, or starts again when it cannot be."""

from pathlib import Path

import pytest

from tests.packs.file_server import Server, cut_after, without_ranges
from tests.packs.manifest import FACE_NET, Fetch, fill, write_pack
from visage.errors import FetchError
from visage.packs.download import CHUNK_BYTES, PAUSES_SECONDS, fetch_pack
from visage.packs.pack import Pack


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


def test_a_download_that_is_interrupted_every_time_can_be_resumed(fetch: Fetch, pack: Pack, server: Server) -> None:
    fill(pack.folder, without="face.net")
    server.responses.extend([cut_after(CHUNK_BYTES)] * len(PAUSES_SECONDS))

    with pytest.raises(FetchError, match=r"broke off after 65,536 bytes .*to resume"):
        fetch()

    assert pack.folder.joinpath("face.net.part").read_bytes() == FACE_NET[:CHUNK_BYTES]
    assert not pack.face.weights.path.exists()
