"""`visage anonymize`: copies of photos, and of whole directories, with every face made unrecognizable."""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from visage.anonymize.face_boxes import FaceBoxes
from visage.anonymize.masks import MASK_SCALE_RANGE, Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized
from visage.cli import options
from visage.cli.console import (
    CannotRun,
    DiskFull,
    count,
    describe_error,
    error_as_json,
    is_disk_full,
    print_line,
    setup_errors_reported,
)
from visage.cli.face_boxes import boxes_by_source, boxes_of_photo, read_faces_file
from visage.cli.files import read_photo, write_atomically
from visage.cli.interrupts import COPIES_CONTINUE, Interrupted, interrupts_explained
from visage.cli.jobs import run_jobs
from visage.cli.output_directory import opened_output_directory
from visage.cli.plan import Copy, Plan, plan_copies, summary
from visage.cli.streams import STREAM, is_streamed, read_source, stream_errors_reported, write_stream
from visage.cores import available_cores
from visage.faces.search import Detail
from visage.packs.pack import Pack
from visage.runtime.allocator import release_memory, tune_allocator
from visage.runtime.engine import Engine
from visage.settings import Settings


@click.command()
@options.paths
@options.output
@click.option("--method", type=click.Choice([each.value for each in Method]), default="blur", show_default=True)
@click.option("--shape", type=click.Choice([each.value for each in Shape]), default="ellipse", show_default=True)
@click.option(
    "--mask-scale",
    type=options.number_in(MASK_SCALE_RANGE),
    default=Mask.scale,
    show_default=True,
    help="Size of the redaction mask relative to the face's box.",
)
@options.min_confidence
@options.detail(Detail.HIGH)
@click.option(
    "--faces",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Faces to keep and boxes to cover, as JSON: {"photo.jpg": {"keep": [[10, 20, 60, 80]], "cover": []}}.',
)
@options.jobs
@options.again
@options.json_lines
def anonymize(
    paths: tuple[Path, ...],
    output: Path,
    method: str,
    shape: str,
    mask_scale: float,
    min_confidence: float | None,
    detail: str,
    faces: Path | None,
    jobs: int | None,
    again: bool,
    json_lines: bool,
) -> None:
    """Copy each PATH, a photo or a directory of photos, and make every face unrecognizable.

    The copies of a directory keep its tree. Existing copies are skipped, so that an interrupted run continues when it
    is started again. A photo that fails has no copy. With - as PATH and as the directory, it reads a photo from
    standard input and writes it to standard output.
    """
    tune_allocator()
    mask = Mask(Method(method), Shape(shape), mask_scale)
    anonymize_options = AnonymizeOptions(mask, min_confidence, detail=Detail(detail))
    with setup_errors_reported():
        chosen = read_faces_file(faces) if faces else {}
        if is_streamed(paths, output, tables=json_lines):
            if faces and paths[0] == STREAM:
                raise CannotRun("A photo from standard input has no name for --faces: name a file instead of -.")
            _anonymize_stream(paths[0], _with_boxes(anonymize_options, boxes_of_photo(chosen, paths[0])))
            return
        plan = plan_copies(tuple(dict.fromkeys(paths)), output, again=again)
        boxes = boxes_by_source(chosen, plan, output)
        # One slot per thread, so that no thread waits for a slot.
        threads = max(1, min(len(plan.copies), jobs or available_cores()))
        engine = Engine(replace(Settings.from_environment(), slots=threads), eager=False)
        tally = _Tally(engine.pack, json_lines)
        with opened_output_directory(output, plan.directories):
            try:
                with interrupts_explained(COPIES_CONTINUE):
                    _make_copies(engine, plan, anonymize_options, boxes, tally)
            except Interrupted:
                _print_summary(plan, tally)
                raise
    _print_summary(plan, tally)
    if tally.disk_full:
        raise DiskFull(output)
    if tally.failures:
        sys.exit(1)


def _with_boxes(anonymize_options: AnonymizeOptions, boxes: FaceBoxes) -> AnonymizeOptions:
    return replace(anonymize_options, keep=boxes.keep, cover=boxes.cover)


def _anonymize_stream(path: Path, anonymize_options: AnonymizeOptions) -> None:
    engine = Engine(replace(Settings.from_environment(), slots=1), eager=False)
    with stream_errors_reported(path):
        photo = read_source(path, engine.settings.max_redacted_pixels)
        picture = engine.anonymize(photo, anonymize_options).picture
    write_stream(picture)


@dataclass
class _Tally:
    """The results so far. `failures` holds the path and the reason of each file that failed."""

    pack: Pack
    json_lines: bool
    photos: int = 0
    faces: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    disk_full: bool = False

    def add(self, copy: Copy, anonymized: Anonymized) -> None:
        self.photos += 1
        self.faces += anonymized.redacted
        if self.json_lines:
            print_line(json.dumps({"photo": copy.source, "copy": copy.target} | anonymized.as_json(self.pack)))
        else:
            by_hand = f", {len(anonymized.cover)} of them by hand" if anonymized.cover else ""
            print_line(f"{copy.source}: {count(anonymized.redacted, 'face')} anonymized{by_hand}")

    def add_failure(self, source: str, error: BaseException) -> None:
        self.disk_full |= is_disk_full(error)
        self.failures.append((source, describe_error(error)[0]))
        if self.json_lines:
            print_line(error_as_json(source, error))


def _make_copies(
    engine: Engine,
    plan: Plan,
    anonymize_options: AnonymizeOptions,
    boxes: Mapping[str, FaceBoxes],
    tally: _Tally,
) -> None:
    for listing_error in plan.listing_errors:
        tally.add_failure(str(listing_error.filename), listing_error)

    def process(copy: Copy) -> Anonymized:
        own = boxes.get(copy.source, FaceBoxes())
        return _make_copy(engine, copy, _with_boxes(anonymize_options, own))

    def report(copy: Copy, future: "Future[Anonymized]") -> bool:
        if error := future.exception():
            tally.add_failure(copy.source, error)
        else:
            tally.add(copy, future.result())
        return not tally.disk_full

    run_jobs(
        plan.copies,
        process,
        report,
        threads=engine.settings.slots,
        in_order=False,
        bar_hidden=not plan.copies,
    )


def _make_copy(engine: Engine, copy: Copy, anonymize_options: AnonymizeOptions) -> Anonymized:
    source = Path(copy.source)
    anonymized = engine.anonymize(read_photo(source, engine.settings.max_redacted_pixels), anonymize_options)
    write_atomically(anonymized.picture, Path(copy.target), original=source)
    # Without this, unused memory of the allocator grows with the number of files: 12 MB in 200 files
    # (`python -m benchmarks.folder`).
    release_memory()
    return replace(anonymized, picture=b"")


def _print_summary(plan: Plan, tally: _Tally) -> None:
    done = f"{count(tally.photos, 'photo')} done, {count(tally.faces, 'face')} anonymized."
    lines = [*([] if plan.is_empty else [done]), *summary(plan)]
    if tally.failures:
        have = "has" if len(tally.failures) == 1 else "have"
        lines.append(f"{count(len(tally.failures), 'file')} failed and {have} no copy:")
    for line in [*lines, *(f"  {source}: {reason}" for source, reason in tally.failures)]:
        print_line(line, to_stderr=True)
