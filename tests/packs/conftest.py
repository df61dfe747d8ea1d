"""Fixtures for downloads: a server, a pack whose files it has, and a call that fetches them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.packs.file_server import Server, running_server
from tests.packs.manifest import CONTENTS, write_pack
from visage.packs.download import fetch_pack
from visage.packs.pack import Pack


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
