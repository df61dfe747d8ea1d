"""The service as its operators run it: start, failed start, reload, stop, and parallel requests."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from tests.support.clients import PATIENCE, Clients
from tests.support.paths import ROOT
from tests.support.processes import complete, open_connections, peak, processor_seconds, reset_peak, resident, workers
from tests.support.service import Service, free_port, serving
from tests.support.tiny_pack import write_tiny_pack
from tests.support.waiting import wait_for

ANONYMIZED = 'visage_stage_seconds_count{stage="cover"}'


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


def faces(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["faces"]


def test_the_service_answers_a_photo(service: Service, tiny_png: bytes) -> None:
    answer = service.post(tiny_png)

    assert len(faces(answer)) == 3


def test_two_parallel_requests_get_the_same_faces_as_a_single_one(service: Service, tiny_png: bytes) -> None:
    alone = faces(service.post(tiny_png))

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: faces(service.post(tiny_png)), range(2)))

    assert together == [alone, alone]


def test_forty_parallel_requests_get_the_same_faces_as_single_ones(
    service: Service, tiny_png: bytes, tiny_jpeg: bytes
) -> None:
    alone = {photo: service.post(photo, annotated="false").json()["faces"] for photo in (tiny_png, tiny_jpeg)}
    photos = [tiny_png, tiny_jpeg] * 20

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda photo: faces(service.post(photo)), photos))

    assert together == [alone[photo] for photo in photos]


def test_every_response_has_its_own_request_id(service: Service) -> None:
    ids = {requests.get(service.url + "/healthz", timeout=60).headers["X-Request-ID"] for _ in range(20)}

    assert len(ids) == 20


def test_metrics_are_summed_over_the_workers(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2") as service, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: service.post(tiny_png, "/anonymize"), range(16)))

        assert wait_for(lambda: f"{ANONYMIZED} 16.0" in requests.get(service.url + "/metrics", timeout=60).text)


def test_metrics_include_the_last_response_of_the_worker_that_serves_them(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1") as service:
        for count in range(1, 13):
            service.post(tiny_png, "/anonymize")
            assert f"{ANONYMIZED} {count}.0" in requests.get(service.url + "/metrics", timeout=60).text


def test_a_workers_responses_are_counted_without_a_request_for_its_metrics(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    def value(directory: Path, name: str) -> float | None:
        """The value as another worker would read it."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
        return registry.get_sample_value(name)

    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", TMPDIR=str(tmp_path)) as service:
        service.post(tiny_png)
        (directory,) = tmp_path.glob("visage-metrics-*")

        assert wait_for(lambda: value(directory, "visage_faces_total") == 3)
        assert wait_for(lambda: value(directory, "visage_slots_busy") == 0)


def stop(service: Service, worker: int) -> None:
    """Stop a worker, and wait until it has ended."""
    os.kill(worker, signal.SIGTERM)
    assert wait_for(lambda: worker not in workers(service))


def test_a_worker_that_stops_counts_its_last_responses(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1") as service:
        # Three times, because the periodic update may come first.
        for _ in range(3):
            assert wait_for(lambda: complete(service, 1))
            (before,) = workers(service)
            service.post(tiny_png, "/anonymize")
            stop(service, before)
        assert wait_for(lambda: complete(service, 1))
        metrics = requests.get(service.url + "/metrics", timeout=60).text

    assert f"{ANONYMIZED} 3.0" in metrics


def test_a_request_has_one_log_line_and_the_log_has_no_file_names(service: Service, tiny_png: bytes) -> None:
    files = {"image": ("holiday-in-rome.png", tiny_png)}
    requests.post(service.url + "/predict", files=files, headers={"X-Request-ID": "log-test-1"}, timeout=60)

    lines = [line for line in service.log.read_text().splitlines() if "log-test-1" in line]

    assert len(lines) == 1
    assert '"status":200' in lines[0]
    assert '"faces":3' in lines[0]
    assert "holiday-in-rome" not in service.log.read_text()


def test_opencv_writes_nothing_to_the_log(service: Service) -> None:
    bitmap = b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little") + (9).to_bytes(4, "little") * 2

    answer = service.post(bitmap + b"\1\0\x18\0" + bytes(24))

    assert answer.status_code == 422
    assert "[ERROR:" not in service.log.read_text()


def test_a_kept_alive_connection_serves_many_requests(service: Service, tiny_png: bytes) -> None:
    with requests.Session() as session:
        statuses = [session.post(service.url + "/predict", files={"image": tiny_png}).status_code for _ in range(20)]

    assert statuses == [200] * 20


@pytest.mark.parametrize(
    "command",
    [
        ("app.py",),
        ("-m", "gunicorn", "app:app"),
        # Flask's server needs the port as an option.
        ("-m", "flask", "--app", "app", "run", "--port", "{port}"),
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
    assert not imported & {"visage", "flask", "cv2", "numpy"}


def test_sigterm_stops_the_service_at_once_and_leaves_no_files(tiny_pack: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", TMPDIR=str(temporary)) as service:
        while_serving = list(temporary.glob("visage-*"))
        service.process.send_signal(signal.SIGTERM)
        # After 30 seconds gunicorn would kill the workers.
        status = service.process.wait(25)

    assert status == 0
    assert len(while_serving) == 1
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_leaves_no_files(tiny_pack: Path, tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | {"VISAGE_PACK": str(tiny_pack), "PORT": str(free_port()), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    # Python tests the directory with a file of another name.
    assert wait_for(lambda: list(tmp_path.glob("visage-*")))

    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in errors


def test_a_begun_request_is_answered_after_sigterm(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BODY_SECONDS="60") as service:
        assert wait_for(lambda: complete(service, 1) and open_connections(service) == 0)
        with connected(service) as connection:
            head = "POST /predict?annotated=false HTTP/1.1\r\nHost: here\r\nContent-Type: image/png\r\n"
            connection.sendall(f"{head}Content-Length: {len(tiny_png)}\r\n\r\n".encode() + tiny_png[:100])
            assert wait_for(lambda: open_connections(service) == 1)
            service.process.send_signal(signal.SIGTERM)
            assert wait_for(lambda: has_stopped_listening(service))
            connection.sendall(tiny_png[100:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        status = service.process.wait(60)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b'"bbox"') == 3
    assert status == 0


def connected(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60)


def has_stopped_listening(service: Service) -> bool:
    try:
        connected(service).close()
    except ConnectionError as error:
        # A connection at the moment of the close is reset; later ones are refused.
        return isinstance(error, ConnectionRefusedError)
    return False


def test_a_reload_replaces_the_workers_and_nothing_else(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", TMPDIR=str(temporary)) as service:
        assert wait_for(lambda: complete(service, 2))
        before = set(workers(service))
        service.post(tiny_png)
        service.process.send_signal(signal.SIGHUP)
        # Old and new workers overlap briefly.
        assert wait_for(lambda: not before & set(workers(service)) and complete(service, 2))
        answer = service.post(tiny_png)
        counted = wait_for(lambda: "visage_faces_total 6.0" in requests.get(service.url + "/metrics", timeout=60).text)
        service.process.send_signal(signal.SIGTERM)
        status = service.process.wait(60)

    assert len(faces(answer)) == 3
    assert counted
    assert status == 0
    assert list(temporary.iterdir()) == []


def test_the_service_starts_from_any_directory(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    elsewhere = (
        f"import os, runpy; os.chdir({str(tmp_path)!r}); runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')"
    )

    with serving(tmp_path / "log", tiny_pack, "-c", elsewhere, WEB_CONCURRENCY="1") as service:
        assert len(faces(service.post(tiny_png))) == 3


def test_a_worker_that_starts_late_gets_its_share_of_kept_connections(
    tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **PATIENCE) as service:
        assert wait_for(lambda: complete(service, 2))
        early, late = sorted(workers(service))
        os.kill(late, signal.SIGSTOP)
        with Clients(service, tiny_jpeg, 4, keep=True) as clients:
            assert wait_for(lambda: clients.outcomes[200] > 50)
            before = {process: processor_seconds(process) for process in (early, late)}
            os.kill(late, signal.SIGCONT)

            def used(process: int) -> float:
                return processor_seconds(process) - before[process]

            # An idle worker uses almost no processor time.
            assert wait_for(lambda: used(early) + used(late) > 1 and used(late) > 0.2 * used(early))


def test_a_busy_service_keeps_most_connections_open(tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **PATIENCE) as service:
        assert wait_for(lambda: complete(service, 2))
        kept: Counter[str] = Counter()

        def call() -> None:
            with requests.Session() as session:
                for _ in range(40):
                    answer = session.post(f"{service.url}/predict", files={"image": tiny_jpeg}, timeout=60)
                    kept[answer.headers["Connection"]] += 1

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(call) for _ in range(8)]:
                done.result()

    assert kept.total() == 320
    assert 0 < kept["close"] <= 320 / 8


def test_a_killed_worker_is_replaced(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1") as service:
        assert wait_for(lambda: complete(service, 1))
        (victim,) = workers(service)
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: workers(service) not in ([victim], []))

        assert len(faces(service.post(tiny_png))) == 3
        assert victim not in workers(service)


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


def test_a_failed_start_leaves_no_files(tmp_path: Path) -> None:
    start("no-such-pack", TMPDIR=str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_an_idle_worker_releases_memory(tmp_path: Path) -> None:
    photo = (ROOT / "docs" / "astronaut.jpg").read_bytes()
    with serving(tmp_path / "log", "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service:
        (worker,) = workers(service)
        reset_peak(worker)
        for _ in range(3):
            service.post(photo).raise_for_status()
        used = peak(worker)

        assert wait_for(lambda: resident(worker) < used - 3), (used, resident(worker))
