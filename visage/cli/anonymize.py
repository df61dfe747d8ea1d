"""`visage anonymize`: copies of photos, of whole folders of them, with every face covered."""

import json
import math
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.results import Anonymized
from visage.anonymize.search import GuardOptions
from visage.cli import copy_options
from visage.cli.console import DiskFull, bar, count, explained, interrupts_held_back, is_full, one_sentence, say
from visage.cli.files import output_directory, read_photo, write_whole
from visage.cli.plan import Copy, Plan, plan_copies
from visage.faces.search import Detail
from visage.packs.pack import Pack
from visage.runtime.allocator import release_memory, tune_allocator
from visage.runtime.engine import Engine
from visage.settings import Settings, available_cores

# Photos handed to the threads at a time, for each of them: enough that none waits, and no more for a longer folder.
_AHEAD = 2


@dataclass
class _Outcome:
    """What has become of the photos so far; each failure is a path and a sentence."""

    done: int = 0
    faces: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    full: bool = False


class _Number(click.FloatRange):
    """A number in a range. What is no number is in every range for click, and no face reaches such a confidence."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


@click.command()
@copy_options.paths
@copy_options.output
@click.option("--method", type=click.Choice([each.value for each in Method]), default="blur", show_default=True)
@click.option("--shape", type=click.Choice([each.value for each in Shape]), default="ellipse", show_default=True)
@click.option(
    "--mask-scale",
    type=_Number(1, 3),
    default=Mask.scale,
    show_default=True,
    help="Size of what is covered over that of the face's box.",
)
@click.option("--min-confidence", type=_Number(0.01, 1), help="What a box needs to be covered.")
@click.option("--detail", type=click.Choice([each.value for each in Detail]), default="high", show_default=True)
@click.option("--jobs", type=click.IntRange(1, 64), help="Photos worked on at once. [default: number of cores]")
@copy_options.again
@copy_options.as_lines
def anonymize(
    paths: tuple[Path, ...],
    output: Path,
    method: str,
    shape: str,
    mask_scale: float,
    min_confidence: float | None,
    detail: str,
    jobs: int | None,
    again: bool,
    as_lines: bool,
) -> None:
    """Copy each PATH, a photo or a directory of them, with every face covered.

    A directory keeps its tree. Copies that are there already are not made again, so that a run which was interrupted
    goes on where it ended. Of a photo that fails there is no copy.
    """
    tune_allocator()
    mask = Mask(Method(method), Shape(shape), mask_scale)
    options = GuardOptions(mask, min_confidence, detail=Detail(detail))
    with one_sentence():
        plan = plan_copies(tuple(dict.fromkeys(paths)), output, again=again)
        # Every job has a slot of its own, so none ever waits for one.
        slots = max(1, min(len(plan.copies), jobs or available_cores()))
        engine = Engine(replace(Settings.from_environment(), slots=slots), eager=False)
        with output_directory(output, plan.folders):
            outcome = _work(engine, plan, options, as_lines)
    for line in _summary(plan, outcome):
        say(line, error=True)
    if outcome.full:
        raise DiskFull(output)
    if outcome.failures:
        sys.exit(1)


def _work(engine: Engine, plan: Plan, options: GuardOptions, as_lines: bool) -> _Outcome:
    """Make the copies, and tell each when it is made."""
    outcome = _Outcome()
    for error in plan.unlisted:
        _fail(outcome, str(error.filename), error, as_lines)
    waiting = iter(plan.copies)
    slots, total = engine.settings.slots, len(plan.copies)
    with (
        interrupts_held_back() as raise_interrupt,
        ThreadPoolExecutor(slots) as pool,
        bar(total=total, unit="photo", disable=not total) as shown,
    ):
        begun = {pool.submit(_copy, engine, each, options): each for each in islice(waiting, _AHEAD * slots)}
        try:
            while begun:
                ended, _ = wait(begun, return_when=FIRST_COMPLETED)
                # In the order that they began in, where several ended at once.
                for future in [each for each in begun if each in ended]:
                    copy = begun.pop(future)
                    shown.update()
                    _report(outcome, copy, future, engine.pack, as_lines)
                raise_interrupt()
                if outcome.full:
                    # What a thread is at work on may still go well; the rest never begins.
                    begun = {future: each for future, each in begun.items() if not future.cancel()}
                    continue
                for each in islice(waiting, len(ended)):
                    begun[pool.submit(_copy, engine, each, options)] = each
        except BaseException:
            # Nobody reads on, or the user has had enough: what has not begun never will.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcome


def _copy(engine: Engine, copy: Copy, options: GuardOptions) -> Anonymized:
    source = Path(copy.source)
    anonymized = engine.anonymize(read_photo(source, engine.settings.max_image_pixels), options)
    write_whole(anonymized.picture, Path(copy.target), source)
    # Else what lies free between what is held grows with the number of files: 12 MB in 200 (benchmarks/folder.py).
    release_memory()
    return replace(anonymized, picture=b"")


def _report(outcome: _Outcome, copy: Copy, future: "Future[Anonymized]", pack: Pack, as_lines: bool) -> None:
    error = future.exception()
    if error is not None:
        _fail(outcome, copy.source, error, as_lines)
        return
    anonymized = future.result()
    outcome.done += 1
    outcome.faces += anonymized.covered
    if as_lines:
        say(json.dumps({"photo": copy.source, "copy": copy.target} | anonymized.as_json(pack)))
    else:
        say(f"{copy.source}: {count(anonymized.covered, 'face')} covered")


def _fail(outcome: _Outcome, source: str, error: BaseException, as_lines: bool) -> None:
    outcome.full |= is_full(error)
    sentence, code = explained(error)
    outcome.failures.append((source, sentence))
    if as_lines:
        say(json.dumps({"photo": source, "error": sentence, "code": code}))


def _summary(plan: Plan, outcome: _Outcome) -> Iterator[str]:
    """What became of all that was named, each failure with its reason."""
    yield f"{count(outcome.done, 'photo')} done, {count(outcome.faces, 'face')} covered."
    if plan.there:
        yield f"{plan.there} {'was' if plan.there == 1 else 'were'} there already; --again makes them anew."
    if plan.left_out:
        yield f"{plan.left_out} left out: no pictures, or links to directories."
    if outcome.failures:
        yield f"{count(len(outcome.failures), 'file')} failed; no copy was made of:"
    for source, sentence in outcome.failures:
        yield f"  {source}: {sentence}"
