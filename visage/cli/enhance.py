"""`visage enhance`: copies of pictures, enlarged by a net."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from visage.cli import copy_options
from visage.cli.console import DiskFull, bar, count, explained, is_full, one_sentence, say
from visage.cli.files import output_directory, read_photo, write_whole
from visage.cli.plan import Copy, Plan, plan_copies
from visage.enhance.results import Enhanced
from visage.runtime.allocator import tune_allocator
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings, available_cores


@click.command()
@copy_options.paths
@copy_options.output
@click.option(
    "--threads", type=click.IntRange(1, 64), help="Threads that work on a picture. [default: number of cores]"
)
@copy_options.again
@copy_options.as_lines
def enhance(paths: tuple[Path, ...], output: Path, threads: int | None, again: bool, as_lines: bool) -> None:
    """Enlarge each PATH, a picture or a directory of them, by the net of VISAGE_SUPERRES_PACK.

    A directory keeps its tree. Copies that are there already are not made again, so that a run which was interrupted
    goes on where it ended.
    """
    tune_allocator()
    with one_sentence():
        plan = plan_copies(tuple(dict.fromkeys(paths)), output, again=again)
        settings = replace(Settings.from_environment(), opencv_threads=threads or available_cores())
        enhancer = Enhancer(settings)
        with output_directory(output, plan.folders):
            failed = _work(enhancer, settings, plan, output, as_lines)
    if plan.there:
        say(f"{plan.there} {'was' if plan.there == 1 else 'were'} there already; --again makes them anew.", error=True)
    if failed:
        say(f"{count(failed, 'file')} failed.", error=True)
        sys.exit(1)


def _work(enhancer: Enhancer, settings: Settings, plan: Plan, output: Path, as_lines: bool) -> int:
    """Make the copies, and tell each when it is made; how many failed."""
    for error in plan.unlisted:
        _fail(str(error.filename), error, as_lines)
    failed = len(plan.unlisted)
    for copy in plan.copies:
        try:
            enhanced = _copy(enhancer, copy, settings.max_enhance_pixels)
        except Exception as error:
            failed += 1
            _fail(copy.source, error, as_lines)
            if is_full(error):
                raise DiskFull(output) from None
            continue
        if as_lines:
            say(json.dumps({"photo": copy.source, "copy": copy.target} | enhanced.as_json(enhancer.pack)))
        else:
            say(f"{copy.source}: {enhanced.width} x {enhanced.height}")
    return failed


def _copy(enhancer: Enhancer, copy: Copy, max_pixels: int) -> Enhanced:
    source = Path(copy.source)
    with bar(desc=source.name, unit="tile", leave=False) as shown:

        def progress(done: int, tiles: int) -> None:
            if done == 0:
                shown.reset(tiles)
            shown.update(done - shown.n)

        enhanced = enhancer.enhance(read_photo(source, max_pixels), progress)
    write_whole(enhanced.picture, Path(copy.target), source)
    return replace(enhanced, picture=b"")


def _fail(source: str, error: BaseException, as_lines: bool) -> None:
    sentence, code = explained(error)
    if as_lines:
        say(json.dumps({"photo": source, "error": sentence, "code": code}))
    say(f"{source}: {sentence}", error=True)
