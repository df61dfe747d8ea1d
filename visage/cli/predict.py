"""`visage predict`: the faces in photos, as text, as JSON and as annotated images."""

import itertools
import json
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import click

from visage.cli import options
from visage.cli.console import count, print_failure, print_line, setup_errors_reported
from visage.cli.files import write_atomically
from visage.cli.jobs import run_jobs
from visage.cores import available_cores
from visage.errors import SetupError
from visage.faces.analyzer import Options
from visage.faces.face import Face
from visage.faces.search import Detail
from visage.runtime.engine import Analysis, Engine
from visage.settings import Settings


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PHOTO...")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write annotated images to this directory.",
)
@options.json_lines
@options.detail(Detail.AUTO)
@click.option("--min-confidence", type=click.FloatRange(0.01, 1), help="Confidence threshold of the detector.")
@click.option("--max-faces", type=click.IntRange(1), help="Keep at most this many faces, the largest.")
@click.option(
    "--min-face-size", type=click.IntRange(0), default=0, help="Minimum length of a face's shorter side, in pixels."
)
@click.option("--enhance-faces", is_flag=True, help="Enlarge small faces before gender and age are estimated.")
@options.jobs
def predict(
    photos: tuple[Path, ...],
    output: Path | None,
    json_lines: bool,
    detail: str,
    min_confidence: float | None,
    max_faces: int | None,
    min_face_size: int,
    enhance_faces: bool,
    jobs: int | None,
) -> None:
    """Find the faces in each PHOTO."""
    photos = tuple(dict.fromkeys(photos))
    face_options = Options(min_confidence, max_faces, min_face_size, Detail(detail), enhance_faces)
    with setup_errors_reported():
        threads = min(len(photos), jobs or available_cores())
        # One slot per thread, so that no thread waits for a slot.
        engine = Engine(replace(Settings.from_environment(), slots=threads))
        targets = _plan_targets(photos, output)
    failed = 0

    def process(photo: Path) -> Analysis:
        return _process_photo(engine, photo, face_options, targets.get(photo))

    def report(photo: Path, future: "Future[Analysis]") -> bool:
        nonlocal failed
        if error := future.exception():
            failed += 1
            print_failure(str(photo), error, json_lines=json_lines)
        elif json_lines:
            print_line(json.dumps({"photo": str(photo)} | future.result().as_json(engine.pack)))
        else:
            _print_faces(photo, future.result())
        return True

    run_jobs(photos, process, report, threads=threads, in_order=True, bar_hidden=len(photos) == 1)
    if failed:
        click.echo(f"{failed} of {len(photos)} photos failed.", err=True)
        sys.exit(1)


def _process_photo(engine: Engine, photo: Path, face_options: Options, target: Path | None) -> Analysis:
    # A photo may come from a pipe, which `read_photo` rejects.
    analysis = engine.analyze(photo.read_bytes(), face_options, annotated=target is not None)
    if target is not None and analysis.annotated is not None:
        write_atomically(analysis.annotated, target, original=photo)
    return replace(analysis, annotated=None)


def _plan_targets(photos: tuple[Path, ...], output: Path | None) -> dict[Path, Path]:
    """The path of each annotated image: never that of another image of this run, never that of a photo."""
    if output is None:
        return {}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{output} cannot be made: {error.strerror}. Choose another directory with -o.") from None
    # The photos may include annotated images of an earlier run in the same directory.
    taken = {photo.resolve() for photo in photos}
    targets: dict[Path, Path] = {}
    for photo in photos:
        suffixes = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
        candidates = (output / f"{photo.stem}_faces{suffix}.jpg" for suffix in suffixes)
        targets[photo] = next(target for target in candidates if target.resolve() not in taken)
        taken.add(targets[photo].resolve())
    return targets


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
