"""`visage predict`: the faces in photos, as text, JSON or CSV, and as annotated images."""

import itertools
import json
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from enum import Enum
from pathlib import Path

import click

from visage.cli import options
from visage.cli.annotated import marked, plan_targets
from visage.cli.console import (
    CannotRun,
    DiskFull,
    count,
    is_disk_full,
    print_failure,
    print_line,
    print_row,
    setup_errors_reported,
)
from visage.cli.files import write_atomically
from visage.cli.interrupts import Interrupted
from visage.cli.jobs import run_jobs
from visage.cli.output_directory import make_output_directory
from visage.cli.plan import NO_PHOTOS, Found, files_skipped, find_photos
from visage.cli.streams import is_streamed, read_source, stream_errors_reported, write_stream
from visage.cores import available_cores
from visage.faces.analyzer import MAX_FACES_RANGE, MIN_FACE_SIZE_RANGE, AnalyzeOptions
from visage.faces.face import Face
from visage.faces.search import Detail
from visage.faces.tables import faces_table
from visage.packs.pack import Pack
from visage.runtime.engine import Analysis, Engine
from visage.settings import Settings


@click.command()
@options.paths
@click.option(
    "-o",
    "--output",
    type=options.FilePath(file_okay=False),
    help="Write annotated images to this directory.",
)
@options.json_lines
@options.csv_rows
@options.detail(Detail.AUTO)
@options.min_confidence
@click.option(
    "--max-faces", type=options.integer_in(MAX_FACES_RANGE), help="Keep at most this many faces, the largest."
)
@click.option(
    "--min-face-size",
    type=options.integer_in(MIN_FACE_SIZE_RANGE),
    default=AnalyzeOptions.min_face_size,
    help="Minimum length of a face's shorter side, in pixels.",
)
@click.option("--enhance-faces", is_flag=True, help="Enlarge small faces before gender and age are estimated.")
@options.jobs
def predict(
    paths: tuple[Path, ...],
    output: Path | None,
    json_lines: bool,
    csv_rows: bool,
    detail: str,
    min_confidence: float | None,
    max_faces: int | None,
    min_face_size: int,
    enhance_faces: bool,
    jobs: int | None,
) -> None:
    """Find the faces in each PATH, a photo or a directory of photos.

    PATH may be - for a photo from standard input. With - as the directory, the annotated image of one photo goes to
    standard output.
    """
    if json_lines and csv_rows:
        raise CannotRun("Choose --json or --csv.")
    form = _Form.JSON if json_lines else _Form.CSV if csv_rows else _Form.TEXT
    face_options = AnalyzeOptions(min_confidence, max_faces, min_face_size, Detail(detail), enhance_faces)
    with setup_errors_reported():
        if is_streamed(paths, output, tables=form is not _Form.TEXT):
            _annotate_stream(paths[0], face_options)
            return
        found = find_photos(paths, output)
        threads = max(1, min(len(found.photos), jobs or available_cores()))
        # One slot per thread, so that no thread waits for a slot.
        engine = Engine(replace(Settings.from_environment(), slots=threads))
        if output:
            make_output_directory(output)
        targets = plan_targets(found.photos, output) if output else {}
    printer = _Printer(form, engine.pack, targets)
    for listing_error in found.listing_errors:
        printer.add_failure(str(listing_error.filename), listing_error)

    def process(photo: Path) -> Analysis:
        return _process_photo(engine, photo, face_options, targets.get(photo))

    try:
        run_jobs(
            found.photos, process, printer.report, threads=threads, in_order=True, bar_hidden=len(found.photos) <= 1
        )
    except KeyboardInterrupt:
        raise Interrupted(f"{printer.done} of {count(len(found.photos), 'photo')} are done.") from None
    _print_summary(found, printer.failed)
    if output and printer.disk_full:
        raise DiskFull(output)
    if printer.failed:
        sys.exit(1)


def _print_summary(found: Found, failed: int) -> None:
    if found.is_empty:
        print_line(NO_PHOTOS, to_stderr=True)
    if found.annotated:
        print_line(f"{count(found.annotated, 'annotated image')} of an earlier run skipped.", to_stderr=True)
    if found.skipped:
        print_line(files_skipped(found.skipped), to_stderr=True)
    if failed:
        total = len(found.photos) + len(found.listing_errors)
        print_line(f"{failed} of {count(total, 'photo')} failed.", to_stderr=True)


class _Form(Enum):
    TEXT = "text"
    JSON = "json"
    CSV = "csv"


class _Printer:
    """Prints the faces of each photo. `done` and `failed` are the numbers of photos so far.

    `targets` has the path of each annotated image, by photo.
    """

    def __init__(self, form: _Form, pack: Pack, targets: Mapping[Path, Path]) -> None:
        self._form = form
        self._pack = pack
        self._targets = targets
        self.done = self.failed = 0
        self.disk_full = False
        if form is _Form.CSV:
            self._print_rows(faces_table([]))

    def report(self, photo: Path, future: "Future[Analysis]") -> bool:
        """Print what became of a photo. Returns whether other photos may start."""
        if error := future.exception():
            self.add_failure(str(photo), error)
        elif self._form is _Form.TEXT:
            _print_faces(photo, future.result())
        elif self._form is _Form.JSON:
            annotated = {"annotated": str(self._targets[photo])} if photo in self._targets else {}
            print_line(json.dumps({"photo": str(photo)} | annotated | future.result().as_json(self._pack)))
        else:
            # The header is above the first photo.
            self._print_rows(
                itertools.islice(faces_table([(str(photo), future.result().as_json(self._pack))]), 1, None)
            )
        self.done += 1
        return not self.disk_full

    def add_failure(self, source: str, error: BaseException) -> None:
        self.failed += 1
        self.disk_full |= is_disk_full(error)
        print_failure(source, error, json_lines=self._form is _Form.JSON)

    def _print_rows(self, rows: Iterable[bytes]) -> None:
        for row in rows:
            print_row(row.decode().removesuffix("\r\n"))


def _annotate_stream(path: Path, face_options: AnalyzeOptions) -> None:
    engine = Engine(replace(Settings.from_environment(), slots=1))
    with stream_errors_reported(path):
        photo = read_source(path, engine.settings.max_image_pixels)
        analysis = engine.analyze(photo, face_options, annotated=True)
    write_stream(marked(analysis.annotated or b""))


def _process_photo(engine: Engine, photo: Path, face_options: AnalyzeOptions, target: Path | None) -> Analysis:
    content = read_source(photo, engine.settings.max_image_pixels)
    analysis = engine.analyze(content, face_options, annotated=target is not None)
    if target is not None and analysis.annotated is not None:
        write_atomically(marked(analysis.annotated), target, original=photo)
    return replace(analysis, annotated=None)


def _print_faces(photo: Path, analysis: Analysis) -> None:
    print_line(f"{photo}: {count(len(analysis.faces), 'face')}")
    for face in analysis.faces:
        print_line(f"  {_face_as_text(face)}")


def _face_as_text(face: Face) -> str:
    box = face.box
    return (
        f"{face.gender} {face.gender_confidence:.0%}, {face.age} {face.age_confidence:.0%}, about {face.age_years:.0f} "
        f"years, at x {box.x1}..{box.x2} y {box.y1}..{box.y2} ({face.confidence:.0%})"
    )
