"""The service starts with every command from any directory, and a failed start says why and leaves no files."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.service.responses import faces
from tests.support.container import of_the_checkout
from tests.support.paths import ROOT
from tests.support.processes import complete, workers
from tests.support.service import free_port, serving
from tests.support.tiny_pack import write_tiny_pack
from tests.support.waiting import wait_for
from visage.cores import available_cores


def start(pack: Path | str, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Start the service; it is expected to fail."""
    return subprocess.run(
        [sys.executable, *(command or ("app.py",))],
        cwd=ROOT,
        env=os.environ | {"VISAGE_PACK": str(pack), "PORT": str(free_port())} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("app.py",),
        ("-m", "gunicorn", "app:app"),
        # Flask's server needs the port as an option.
        pytest.param(
            ("-m", "flask", "--app", "app", "run", "--port", "{port}"),
            marks=of_the_checkout("Flask's server is for development, and ignores SIGTERM in a container"),
        ),
    ],
    ids=["python app.py", "gunicorn app:app", "flask run"],
)
def test_every_start_command_works(tiny_pack: Path, tmp_path: Path, tiny_png: bytes, command: tuple[str, ...]) -> None:
    with serving(tmp_path / "log", tiny_pack, *command, WEB_CONCURRENCY="1") as service:
        assert len(faces(service.post(tiny_png))) == 3


def test_app_py_imports_nothing_heavy_before_it_starts_gunicorn() -> None:
    """`-X importtime` lists the imports of app.py. gunicorn replaces the process and is started without it."""
    listing = start("/nowhere", "-X", "importtime", "app.py").stderr

    imported = {line.rsplit("|", 1)[-1].strip() for line in listing.splitlines() if line.startswith("import time:")}
    assert "pathlib" in imported
    assert not imported & {"visage.settings", "flask", "cv2", "numpy"}


def test_the_service_starts_from_any_directory(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    elsewhere = f"import os, runpy; os.chdir('/'); runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')"

    with serving(tmp_path / "log", tiny_pack, "-c", elsewhere, WEB_CONCURRENCY="1") as service:
        assert len(faces(service.post(tiny_png))) == 3


@pytest.mark.parametrize(
    "command",
    [("app.py",), ("-m", "gunicorn", "app:app"), ("-m", "flask", "--app", "app", "run", "--port", "18432")],
    ids=["python app.py", "gunicorn app:app", "flask run"],
)
def test_a_missing_pack_stops_the_start_with_one_sentence(command: tuple[str, ...]) -> None:
    ended = start("no-such-pack", *command)

    assert ended.returncode != 0
    assert "visage cannot start: There is no model pack 'no-such-pack'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_altered_pack_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    pack = write_tiny_pack(tmp_path / "tiny")
    with (pack / "gender.caffemodel").open("ab") as weights:
        weights.write(b"\0")

    ended = start(pack)

    assert ended.returncode != 0
    assert "gender.caffemodel is altered" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("cannot start") == 1


@pytest.mark.parametrize("variable", ["VISAGE_QUEUE", "PORT"])
def test_an_invalid_setting_stops_the_start_with_one_sentence(tiny_pack: Path, variable: str) -> None:
    ended = start(tiny_pack, **{variable: "lots"})

    assert ended.returncode != 0
    assert f"visage cannot start: {variable} is 'lots'; it must be" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_stops_the_start_with_one_sentence(tiny_pack: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])

        ended = start(tiny_pack, PORT=port)

    assert ended.returncode != 0
    assert f"visage cannot start: PORT is '{port}', and another program listens there; stop it" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Retrying" not in ended.stderr


def test_an_address_among_the_options_of_gunicorn_overrides_the_settings(tiny_pack: Path, tmp_path: Path) -> None:
    command = ("-m", "gunicorn", "--bind", "127.0.0.1:{port}", "app:app")
    # Reserved for documentation (RFC 5737), so no machine has it.
    nobodys = "192.0.2.1"

    with serving(tmp_path / "log", tiny_pack, *command, VISAGE_HOST=nobodys, WEB_CONCURRENCY="1") as service:
        assert workers(service)


@pytest.mark.parametrize("command", [("app.py",), ("-m", "visage.cli", "serve")], ids=["python app.py", "visage serve"])
@pytest.mark.parametrize("value", ["abc", "-1", "0", "1.5", "9999"])
def test_an_invalid_number_of_workers_stops_the_start_with_one_sentence(
    tiny_pack: Path, value: str, command: tuple[str, ...]
) -> None:
    ended = start(tiny_pack, *command, WEB_CONCURRENCY=value)

    assert ended.returncode != 0
    assert ended.stderr.splitlines()[-1] == (
        f"visage cannot start: WEB_CONCURRENCY is {value!r}; it must be a whole number from 1 to 256."
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_number_of_workers_counts_as_unset(tiny_pack: Path, tmp_path: Path, value: str) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY=value, VISAGE_BATCH_JOBS="0") as service:
        assert wait_for(lambda: len(workers(service)) == available_cores())


def test_a_failed_start_leaves_no_files(tmp_path: Path) -> None:
    start("no-such-pack", TMPDIR=str(tmp_path))

    assert list(tmp_path.iterdir()) == []


@of_the_checkout("a container starts in one directory")
def test_the_installed_service_imports_nothing_from_the_directory_in_which_it_is_started(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    folder = tmp_path / "photos"
    for name in ("flask", "queue", "huey", "visage"):
        module = folder / name / "__init__.py"
        module.parent.mkdir(parents=True)
        module.write_text(f"raise SystemExit('imported {name} of the working directory')")
    serve = f"import os; os.chdir({str(folder)!r}); from visage.cli import main; main(['serve'])"
    command, variables = ("-P", "-c", serve), {"PYTHONPATH": str(ROOT), "WEB_CONCURRENCY": "1"}

    with serving(tmp_path / "log", tiny_pack, *command, **variables) as service:
        assert len(faces(service.post(tiny_png))) == 3
        before = set(workers(service))
        service.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: not before & set(workers(service)) and complete(service, 1))
        assert len(faces(service.post(tiny_png))) == 3
