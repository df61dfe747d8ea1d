"""`visage models`: packs are listed, verified and fetched."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.helpers import run, write
from tests.support.tiny_pack import write_tiny_pack

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_packs_are_listed_with_their_missing_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_tiny_pack(tmp_path / "tiny")
    (write_tiny_pack(tmp_path / "damaged") / "age.caffemodel").unlink()
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    result = run("models", "list")

    assert "tiny 1 (complete)" in result.stdout
    assert "1 of 6 files missing" in result.stdout


def test_a_pack_that_cannot_be_read_is_listed_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_tiny_pack(tmp_path / "tiny")
    write(tmp_path / "odd" / "pack.toml", b"garbage")
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    result = run("models", "list")

    assert result.exit_code == 1
    assert "odd (cannot be used)\n    " in result.stdout
    assert "tiny 1 (complete)" in result.stdout


def test_a_correct_pack_is_verified_file_by_file() -> None:
    result = run("models", "verify")

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 6
    assert all(": correct (" in line for line in result.stdout.splitlines())


def test_a_damaged_pack_is_reported_file_by_file(tmp_path: Path) -> None:
    pack = write_tiny_pack(tmp_path / "damaged")
    (pack / "age.caffemodel").unlink()
    (pack / "face.prototxt").write_text("altered")

    result = run("models", "verify", pack)

    assert result.exit_code == 1
    assert [": correct (" in line for line in result.stdout.splitlines()] == [False, True, True, True, True, False]


def test_an_unusable_mirror_is_reported_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The name of a scheme that nothing is fetched from fails without a network.
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VISAGE_MIRROR", "ftp://mirror.example")

    result = run("models", "fetch", "classic")

    assert result.exit_code == 1
    assert "gender.caffemodel: licence not stated by its authors" in result.stdout
    assert "ftp" in result.stderr


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A server of files; `<mirror>/tiny/` holds the tiny pack."""
    write_tiny_pack(tmp_path / "mirror" / "tiny")
    handler = partial(SilentFileServer, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.005))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class SilentFileServer(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_a_pack_fetched_from_a_mirror_is_correct(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mirror: str, photo: Path
) -> None:
    models = tmp_path / "models"
    bare = write_tiny_pack(models / "tiny")
    for file in (*bare.glob("*.prototxt"), *bare.glob("*.caffemodel")):
        file.unlink()
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(models))
    monkeypatch.setenv("VISAGE_MIRROR", mirror)
    monkeypatch.setenv("VISAGE_PACK", "tiny")

    before = run("models", "verify", "tiny")
    fetched = run("models", "fetch", "tiny")
    after = run("models", "verify", "tiny")

    assert (before.exit_code, fetched.exit_code, after.exit_code) == (1, 0, 0)
    assert "tiny: fetched 6 files" in fetched.stdout
    assert f"{photo}: 3 faces" in run("predict", photo).stdout


def test_a_complete_pack_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_tiny_pack(tmp_path / "tiny")
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    result = run("models", "fetch", "tiny")

    assert result.exit_code == 0
    assert "nothing to fetch" in result.stdout
