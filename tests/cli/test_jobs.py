"""The thread pool of `visage anonymize`: few photos at a time, and interrupts end it cleanly."""

import errno
import signal
import subprocess
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from tests.cli.helpers import (
    anonymize,
    before_each_photo,
    files,
    start_unread_anonymize,
    write,
)
from tests.support.waiting import cancellation_event, wait_for
from visage.cli.interrupts import interrupts_deferred
from visage.cli.jobs import run_jobs

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_few_photos_are_submitted_at_a_time(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(30):
        write(folder / f"{index}.png", tiny_png)
    pending_counts: list[int] = []

    def record(futures: Any, **options: Any) -> Any:
        pending_counts.append(len(futures))
        return wait(futures, **options)

    monkeypatch.setattr("visage.cli.jobs.wait", record)
    anonymize(folder, "-o", out, "--jobs", 2)

    assert len(files(out)) == 30
    assert max(pending_counts) == 4


def test_few_results_are_kept_behind_a_slow_file(monkeypatch: pytest.MonkeyPatch) -> None:
    finished: list[int] = []
    kept_counts: list[int] = []
    slow_file_may_end = Event()

    def process(item: int) -> None:
        if item == 0:
            slow_file_may_end.wait(60)
        finished.append(item)

    def report(_item: int, _future: "Future[None]") -> bool:
        kept_counts.append(len(finished) - len(kept_counts))
        return True

    def wait_in_turn(futures: Any, **options: Any) -> Any:
        if len(futures) == 1:
            slow_file_may_end.set()
        return wait(futures, **options)

    monkeypatch.setattr("visage.cli.jobs.wait", wait_in_turn)
    run_jobs(range(1000), process, report, threads=2, in_order=True, bar_hidden=True)

    assert sorted(finished) == list(range(1000))
    assert max(kept_counts) == 16


def test_a_closed_output_pipe_stops_the_run(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(100):
        write(folder / f"{index}.png", tiny_png)

    def break_pipe(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("visage.cli.anonymize.print_line", break_pipe)
    result = anonymize(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert 0 < len(files(out)) < 10


def test_an_interrupt_cancels_photos_that_have_not_started(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(10):
        write(folder / f"{index}.png", tiny_png)
    started: list[int] = []
    cancelled = cancellation_event(monkeypatch, "visage.cli.jobs")

    def block_until_cancelled(number: int) -> None:
        started.append(number)
        cancelled.wait(60)

    def interrupt(*_: object, **__: object) -> None:
        assert wait_for(lambda: started)
        raise KeyboardInterrupt

    before_each_photo(monkeypatch, block_until_cancelled)
    monkeypatch.setattr("visage.cli.jobs.wait", interrupt)
    result = anonymize(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 130
    assert started == [0]
    assert files(out) == {"0.png"}


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_is_deferred_until_the_threads_have_synchronized(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(10):
        write(folder / f"{index}.png", tiny_png)
    completed_waits: list[bool] = []

    def wait_interrupted(*arguments: Any, **named: Any) -> Any:
        if not completed_waits:
            signal.raise_signal(signal.SIGINT)
        completed_waits.append(True)
        return wait(*arguments, **named)

    monkeypatch.setattr("visage.cli.jobs.wait", wait_interrupted)
    result = anonymize(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 130
    assert "Stopped. Run the same command again to continue: it skips the copies that exist.\n" in result.output
    assert completed_waits
    assert 0 < len(files(out)) < 10


@pytest.mark.usefixtures("interrupts")
def test_finished_photos_are_reported_before_an_interrupt_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2)
    reported: list[int] = []

    def report(item: int, _future: "Future[int]") -> bool:
        reported.append(item)
        if item == 0:
            signal.raise_signal(signal.SIGINT)
        return True

    def wait_for_all(futures: Any, **_options: Any) -> Any:
        return wait(futures)

    monkeypatch.setattr("visage.cli.jobs.wait", wait_for_all)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([0, 1], lambda _: both.wait(60), report, threads=2, in_order=False, bar_hidden=True)

    assert reported == [0, 1]


@pytest.mark.usefixtures("interrupts")
def test_files_in_work_are_reported_after_an_interrupt() -> None:
    interrupt_was_sent = Event()
    finished: list[int] = []
    reported: list[int] = []

    def process(item: int) -> None:
        if item == 1:
            interrupt_was_sent.wait(60)
        finished.append(item)

    def report(item: int, _future: "Future[None]") -> bool:
        reported.append(item)
        if item == 0:
            signal.raise_signal(signal.SIGINT)
            interrupt_was_sent.set()
        return True

    with pytest.raises(KeyboardInterrupt):
        run_jobs(range(100), process, report, threads=2, in_order=False, bar_hidden=True)

    assert 1 in reported
    assert sorted(reported) == sorted(finished)
    assert len(finished) < 100


@pytest.mark.usefixtures("interrupts")
def test_photos_that_failed_before_an_interrupt_are_listed(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "0.png", b"no picture")
    for index in range(1, 10):
        write(folder / f"{index}.png", tiny_png)

    def wait_interrupted(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr("visage.cli.jobs.wait", wait)
        signal.raise_signal(signal.SIGINT)
        return wait(*arguments, **named)

    monkeypatch.setattr("visage.cli.jobs.wait", wait_interrupted)
    result = anonymize(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 130
    assert f"1 file failed and has no copy:\n  {folder / '0.png'}: This kind of file" in result.stderr
    assert len(result.stdout.splitlines()) == len(files(out))


@pytest.mark.usefixtures("interrupts")
def test_a_second_interrupt_is_not_deferred() -> None:
    def interrupt_twice() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        interrupt_twice()

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_ignored_interrupts_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_deferred() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_run_without_a_traceback(
    folder: Path, out: Path, tiny_png: bytes, redacted: bytes
) -> None:
    for index in range(100):
        write(folder / f"{index}.png", tiny_png)

    with start_unread_anonymize(folder, "-o", out, "--jobs", 2, stderr=subprocess.PIPE) as process:
        assert wait_for(lambda: len(files(out)) > 10)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)

    assert process.returncode == 130
    assert b"Finishing the files in work. Press Ctrl-C again to stop at once." in error
    assert b"Stopped. Run the same command again to continue" in error
    assert b"Traceback" not in error
    assert len(files(out)) < 100
    assert {(out / name).read_bytes() for name in files(out)} == {redacted}
