"""`visage enhance`: copies of images, enlarged by super-resolution."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from visage.cli import options
from visage.cli.console import (
    DiskFull,
    count,
    is_disk_full,
    print_failure,
    print_line,
    progress_bar,
    setup_errors_reported,
    without_controls,
)
from visage.cli.files import read_photo, write_atomically
from visage.cli.interrupts import COPIES_CONTINUE, interrupts_explained
from visage.cli.output_directory import opened_output_directory
from visage.cli.plan import Copy, Plan, plan_copies, summary
from visage.cli.streams import is_streamed, read_source, stream_errors_reported, write_stream
from visage.cores import available_cores
from visage.enhance.results import SCALES, Enhanced, EnhanceOptions
from visage.runtime.allocator import tune_allocator
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


@click.command()
@options.paths
@options.output
@click.option(
    "--threads", type=click.IntRange(1, 64), help="Threads that share the work on an image. [default: number of cores]"
)
@click.option(
    "--scale",
    type=click.Choice([f"{each:g}" for each in SCALES]),
    help="How many times as wide and high the copies become. [default: as many as the net can, usually 3]",
)
@options.again
@options.json_lines
def enhance(
    paths: tuple[Path, ...], output: Path, threads: int | None, scale: str | None, again: bool, json_lines: bool
) -> None:
    """Enlarge each PATH, an image or a directory of images, with the net of VISAGE_SUPERRES_PACK.

    The copies of a directory keep its tree. Existing copies are skipped, so that an interrupted run continues when it
    is started again. With - as PATH and as the directory, it reads an image from standard input and writes it to
    standard output.
    """
    tune_allocator()
    with setup_errors_reported():
        enhance_options = EnhanceOptions(float(scale) if scale else None)
        settings = replace(Settings.from_environment(), opencv_threads=threads or available_cores())
        if is_streamed(paths, output, tables=json_lines):
            enhancer = Enhancer(settings)
            with stream_errors_reported(paths[0]):
                photo = read_source(paths[0], enhancer.max_pixels(min(SCALES)))
                picture = enhancer.enhance(photo, options=enhance_options).picture
            write_stream(picture)
            return
        plan = plan_copies(tuple(dict.fromkeys(paths)), output, again=again)
        enhancer = Enhancer(settings)
        with opened_output_directory(output, plan.directories), interrupts_explained(COPIES_CONTINUE):
            failed = _make_copies(enhancer, enhance_options, plan, output, json_lines)
    for line in summary(plan):
        print_line(line, to_stderr=True)
    if failed:
        print_line(f"{count(failed, 'file')} failed.", to_stderr=True)
        sys.exit(1)


def _make_copies(
    enhancer: Enhancer, enhance_options: EnhanceOptions, plan: Plan, output: Path, json_lines: bool
) -> int:
    """Make the copies, print a line for each, and return how many failed."""
    for error in plan.listing_errors:
        print_failure(str(error.filename), error, json_lines=json_lines)
    failed = len(plan.listing_errors)
    for copy in plan.copies:
        try:
            enhanced = _make_copy(enhancer, copy, enhance_options)
        except Exception as error:
            failed += 1
            print_failure(copy.source, error, json_lines=json_lines)
            if is_disk_full(error):
                raise DiskFull(output) from None
            continue
        if json_lines:
            print_line(json.dumps({"photo": copy.source, "copy": copy.target} | enhanced.as_json(enhancer.pack)))
        else:
            print_line(f"{copy.source}: {enhanced.width} x {enhanced.height}")
    return failed


def _make_copy(enhancer: Enhancer, copy: Copy, enhance_options: EnhanceOptions) -> Enhanced:
    source = Path(copy.source)
    with progress_bar(desc=without_controls(source.name), unit="tile", leave=False) as bar:

        def progress(done: int, tiles: int) -> None:
            if done == 0:
                bar.reset(tiles)
            bar.update(done - bar.n)

        # The sentence about a larger image names the scale that fits, so it must be read.
        enhanced = enhancer.enhance(read_photo(source, enhancer.max_pixels(min(SCALES))), progress, enhance_options)
    write_atomically(enhanced.picture, Path(copy.target), original=source)
    return replace(enhanced, picture=b"")
