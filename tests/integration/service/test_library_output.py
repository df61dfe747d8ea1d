"""Whatever a library prints is an event of the log, even the last words of a worker that crashes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import workers
from tests.support.service import Service, events, serving
from tests.support.waiting import wait_for


@pytest.fixture
def service(tiny_pack: Path, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service:
        yield service


def printed(service: Service) -> list[str]:
    return [event["text"] for event in events(service.log) if event["event"] == "library_output"]


def is_stopped(process: int) -> bool:
    """Whether SIGSTOP has reached all threads."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return all((task / "stat").read_text().rpartition(") ")[2].startswith("T") for task in tasks)


def with_damaged_pixels(png: bytes) -> bytes:
    """The photo with some wrong bytes among its pixels, about which libpng prints a line."""
    middle = len(png) // 2
    return png[:middle] + bytes(20) + png[middle + 20 :]


def test_a_line_of_libpng_is_an_event(service: Service, tiny_png: bytes) -> None:
    assert service.post(with_damaged_pixels(tiny_png)).status_code == 422

    assert wait_for(lambda: any("libpng" in text for text in printed(service)))


def test_the_last_words_of_a_worker_that_crashes_are_events(service: Service) -> None:
    (worker,) = workers(service)
    # Stopped, it cannot log them itself.
    os.kill(worker, signal.SIGSTOP)
    assert wait_for(lambda: is_stopped(worker))
    with Path(f"/proc/{worker}/fd/2").open("w") as standard_error:
        standard_error.write("double free or corruption (out)\nAborted")
    os.kill(worker, signal.SIGKILL)

    assert wait_for(lambda: workers(service) not in ([worker], []))
    assert printed(service) == ["double free or corruption (out)", "Aborted"]


def test_every_line_of_the_log_is_an_event_from_start_to_stop(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1") as service:
        service.post(tiny_png)
        service.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: "Hang up" in service.log.read_text())

    assert {event["level"] for event in events(service.log)} <= {"info", "warning"}
    assert len(events(service.log)) > 5
