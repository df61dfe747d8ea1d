"""Process many files in a thread pool, with a progress bar, for `visage predict` and `visage anonymize`."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice, takewhile
from typing import TypeVar

from visage.cli.console import progress_bar
from visage.cli.interrupts import interrupts_deferred

Item = TypeVar("Item")
Result = TypeVar("Result")

# Files submitted per thread and not finished: one in work and one that waits, so that no thread is idle.
_RUNNING_PER_THREAD = 2

# Files submitted per thread and not reported, our choice: results that wait for a slower file before them. A failure
# keeps the bytes of its photo. With both limits, memory does not grow with the number of files.
_UNREPORTED_PER_THREAD = 8


def run_jobs(
    items: Sequence[Item],
    process: Callable[[Item], Result],
    report: Callable[[Item, "Future[Result]"], bool],
    *,
    threads: int,
    in_order: bool,
    bar_hidden: bool,
) -> None:
    """Process `items` in `threads` threads, and report each in this thread: in the order of `items`, or as they finish.

    `report` returns whether further items may start. After that, and after an interrupt, items that are already running
    are finished and reported, and the others are cancelled. An exception from `report` cancels them too.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    remaining = iter(items)
    with (
        interrupts_deferred() as interrupted,
        ThreadPoolExecutor(threads) as pool,
        progress_bar(hidden=bar_hidden, total=len(items), unit="photo") as bar,
    ):

        def submit(number: int) -> "dict[Future[Result], Item]":
            return {pool.submit(process, item): item for item in islice(remaining, number)}

        running = submit(_RUNNING_PER_THREAD * threads)
        unreported = dict(running)
        go_on = True
        try:
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    del running[future]
                for future in list(_reportable(unreported, in_order)):
                    go_on &= report(unreported.pop(future), future)
                    bar.update()
                go_on &= not interrupted()
                if go_on:
                    submitted = submit(
                        min(
                            _RUNNING_PER_THREAD * threads - len(running),
                            _UNREPORTED_PER_THREAD * threads - len(unreported),
                        )
                    )
                    running |= submitted
                    unreported |= submitted
                else:
                    for future in [each for each in running if each.cancel()]:
                        del running[future], unreported[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        if interrupted():
            raise KeyboardInterrupt


def _reportable(futures: "dict[Future[Result], Item]", in_order: bool) -> "Iterator[Future[Result]]":
    return takewhile(Future.done, futures) if in_order else filter(Future.done, futures)
