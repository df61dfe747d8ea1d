"""`visage predict`: the faces in photos, in words, as JSON and as annotated pictures."""

import itertools
import json
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import click

from visage.cli.console import bar, count, explained, interrupts_held_back, one_sentence, say
from visage.errors import SetupError
from visage.faces.analyzer import Options
from visage.faces.face import Face
from visage.faces.search import Detail
from visage.packs.pack import Pack
from visage.runtime.engine import Analysis, Engine
from visage.settings import Settings, available_cores


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PHOTO...")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write annotated pictures to this directory.",
)
@click.option("--json", "as_lines", is_flag=True, help="Print one line of JSON a photo.")
@click.option("--detail", type=click.Choice([each.value for each in Detail]), default="auto", show_default=True)
@click.option("--min-confidence", type=click.FloatRange(0.01, 1), help="What a box needs to be a face.")
@click.option("--max-faces", type=click.IntRange(1), help="Keep this many faces, the largest.")
@click.option("--min-face-size", type=click.IntRange(0), default=0, help="Least shorter side of a face, in pixels.")
@click.option("--enhance-faces", is_flag=True, help="Enlarge small faces by a net before gender and age are told.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Photos worked on at once. [default: number of cores]")
def predict(
    photos: tuple[Path, ...],
    output: Path | None,
    as_lines: bool,
    detail: str,
    min_confidence: float | None,
    max_faces: int | None,
    min_face_size: int,
    enhance_faces: bool,
    jobs: int | None,
) -> None:
    """Find the faces in each PHOTO."""
    photos = tuple(dict.fromkeys(photos))
    options = Options(min_confidence, max_faces, min_face_size, Detail(detail), enhance_faces)
    with one_sentence():
        slots = min(len(photos), jobs or available_cores())
        # Every job has a slot of its own, so none ever waits for one.
        engine = Engine(replace(Settings.from_environment(), slots=slots))
        targets = _targets(photos, output)
    failed = 0
    with (
        interrupts_held_back() as raise_interrupt,
        ThreadPoolExecutor(slots) as pool,
        bar(total=len(photos), unit="photo", disable=len(photos) == 1) as shown,
    ):
        pending = {pool.submit(_predict_one, engine, photo, options, targets.get(photo)): photo for photo in photos}
        try:
            for future, photo in pending.items():
                failed += not _report(photo, future, engine.pack, as_lines)
                shown.update()
                raise_interrupt()
        except BaseException:
            # Nobody reads on, or the user has had enough: what has not begun never will.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        click.echo(f"{failed} of {len(photos)} photos failed.", err=True)
        sys.exit(1)


def _predict_one(engine: Engine, photo: Path, options: Options, target: Path | None) -> Analysis:
    analysis = engine.analyze(photo.read_bytes(), options, annotated=target is not None)
    if target is not None and analysis.annotated is not None:
        target.write_bytes(analysis.annotated)
    return replace(analysis, annotated=None)


def _report(photo: Path, future: "Future[Analysis]", pack: Pack, as_lines: bool) -> bool:
    """Print what became of `photo`; whether it went well."""
    error = future.exception()
    if error is not None:
        sentence, code = explained(error)
        if as_lines:
            say(json.dumps({"photo": str(photo), "error": sentence, "code": code}))
        say(f"{photo}: {sentence}", error=True)
        return False
    analysis = future.result()
    if as_lines:
        say(json.dumps({"photo": str(photo)} | analysis.as_json(pack)))
    else:
        say(f"{photo}: {count(len(analysis.faces), 'face')}")
        for face in analysis.faces:
            say(f"  {_described(face)}")
    return True


def _targets(photos: tuple[Path, ...], output: Path | None) -> dict[Path, Path]:
    """Where each annotated picture goes: never over another one of this run, never over a photo."""
    if output is None:
        return {}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{output} cannot be made: {error.strerror}. Choose another directory with -o.") from None
    # A second run over the same folder finds its own output among the photos.
    taken = {photo.resolve() for photo in photos}
    targets: dict[Path, Path] = {}
    for photo in photos:
        names = (f"{photo.stem}_faces{suffix}.jpg" for suffix in _suffixes())
        targets[photo] = next(target for name in names if (target := output / name).resolve() not in taken)
        taken.add(targets[photo].resolve())
    return targets


def _suffixes() -> Iterator[str]:
    yield ""
    yield from (f"_{number}" for number in itertools.count(2))


def _described(face: Face) -> str:
    box = face.box
    return (
        f"{face.gender} {face.gender_confidence:.0%}, {face.age} {face.age_confidence:.0%}, about {face.age_years:.0f} "
        f"years, at x {box.x1}..{box.x2} y {box.y1}..{box.y2} ({face.confidence:.0%})"
    )
