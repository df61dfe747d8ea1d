"""The command line: the same engine without HTTP.

Exit status: 0 all went well, 1 a photo or a file failed, 2 the command cannot run as it was given.
"""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from visage import __version__
from visage.analyzer import Options
from visage.engine import Analysis, Engine
from visage.errors import PackError, SetupError, VisageError
from visage.evaluation import evaluate
from visage.face_search import Detail
from visage.faces import Face
from visage.fetch import fetch_pack
from visage.labels import LABELS, LabelledPhoto, read_labels
from visage.packs import Pack, find_pack, pack_folders, read_pack
from visage.results import as_json
from visage.scores import breakdown, table
from visage.settings import Settings, available_cores, rows


class _CannotRun(click.ClickException):
    exit_code = 2


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Tell a setup that cannot work in one sentence, with exit status 2."""
    try:
        yield
    except SetupError as error:
        raise _CannotRun(str(error)) from None


@click.group()
@click.version_option(__version__, prog_name="visage")
def main() -> None:
    """Find the faces in photos, with gender and age group."""


@main.command()
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
@click.option("--jobs", type=click.IntRange(1, 64), help="Photos worked on at once. [default: number of cores]")
def predict(
    photos: tuple[Path, ...],
    output: Path | None,
    as_lines: bool,
    detail: str,
    min_confidence: float | None,
    max_faces: int | None,
    min_face_size: int,
    jobs: int | None,
) -> None:
    """Find the faces in each PHOTO."""
    photos = tuple(dict.fromkeys(photos))
    options = Options(min_confidence, max_faces, min_face_size, Detail(detail))
    with _one_sentence():
        slots = min(len(photos), jobs or available_cores())
        # Every job has a slot of its own, so none ever waits for one.
        engine = Engine(replace(Settings.from_environment(), slots=slots))
        targets = _targets(photos, output)
    failed = 0
    with ThreadPoolExecutor(slots) as pool, _bar(total=len(photos), unit="photo", disable=len(photos) == 1) as bar:
        pending = {pool.submit(_predict_one, engine, photo, options, targets.get(photo)): photo for photo in photos}
        try:
            for future, photo in pending.items():
                failed += not _report(photo, future, engine.pack, as_lines)
                bar.update()
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
        sentence, code = _explained(error)
        if as_lines:
            _say(json.dumps({"photo": str(photo), "error": sentence, "code": code}))
        _say(f"{photo}: {sentence}", error=True)
        return False
    analysis = future.result()
    if as_lines:
        _say(json.dumps({"photo": str(photo)} | as_json(analysis, pack)))
    else:
        _say(f"{photo}: {_count(len(analysis.faces))}")
        for face in analysis.faces:
            _say(f"  {_described(face)}")
    return True


def _explained(error: BaseException) -> tuple[str, str]:
    """A sentence for a photo that failed, and the code that programs may rely on."""
    if isinstance(error, VisageError):
        return str(error), error.code
    if isinstance(error, OSError):
        return f"cannot be read or written: {error.strerror}", "file_error"
    return f"failed for a reason that was not foreseen ({type(error).__name__}).", VisageError.code


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


def _count(faces: int) -> str:
    return "1 face" if faces == 1 else f"{faces or 'no'} faces"


def _say(line: str, error: bool = False) -> None:
    """Print a line above the progress bar, if there is one."""
    tqdm.write(line, file=sys.stderr if error else sys.stdout)


def _bar(**arguments: Any) -> "tqdm[Any]":
    """A progress bar on standard error, shown only where that is a terminal."""
    hidden = arguments.pop("disable", False) or not sys.stderr.isatty()
    return tqdm(disable=hidden, dynamic_ncols=True, **arguments)


@main.command()
def settings() -> None:
    """Show every setting: its variable, its value here and its meaning."""
    with _one_sentence():
        current = Settings.from_environment()
    for row in rows():
        value = getattr(current, row.field)
        if row.field in {"api_token", "cache_url"} and value:
            value = "(set)"
        shown = ",".join(value) if isinstance(value, tuple) else value
        click.echo(f"{row.name}={shown}\n    {row.help} Default: {row.default}.")


@main.command("evaluate")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--pack", "names", multiple=True, help="Name or path; several are measured side by side. [default: the one in use]"
)
@click.option("--by", "groups", multiple=True, help="Break the first pack's figures down by this column of the labels.")
@click.option("--detail", type=click.Choice([each.value for each in Detail]), default="auto", show_default=True)
@click.option("--least-height", type=click.FloatRange(0), default=0, help="Leave lower faces out, in pixels.")
def evaluate_packs(
    folder: Path, names: tuple[str, ...], groups: tuple[str, ...], detail: str, least_height: float
) -> None:
    """Measure packs with the photos of FOLDER, whose faces its labels.csv tells.

    Its columns are file,x1,y1,x2,y2 and, where known, gender, age (34, 30-39 or 70+), perhaps (yes: need not be
    found) and any others to go by. Prints Markdown.
    """
    with _one_sentence():
        chosen = Settings.from_environment()
        packs = [find_pack(name, chosen.models_dir) for name in names or [chosen.pack]]
        labels = read_labels(folder)
        known = ("gender", "age", *labels.groups)
        unknown = [name for name in groups if name not in known]
        if unknown:
            raise _CannotRun(f"{folder / LABELS} has no column {unknown[0]!r} to go by; there are: {', '.join(known)}.")
        evaluations = evaluate(packs, labels.photos, Detail(detail), least_height, _photo_bar)
    click.echo("\n\n".join([table(evaluations), *(breakdown(evaluations[0], name) for name in groups)]))


def _photo_bar(photos: Sequence[LabelledPhoto]) -> Iterable[LabelledPhoto]:
    return _bar(iterable=photos, unit="photo")


@main.group()
def models() -> None:
    """List, verify and fetch model packs."""


@models.command("list")
def list_packs() -> None:
    """Show the packs that are here and whether they are complete."""
    with _one_sentence():
        packs = [read_pack(folder) for folder in pack_folders(Settings.from_environment().models_dir)]
    for pack in packs:
        missing = sum(not file.path.is_file() for file in pack.files)
        state = (
            f"{missing} of {len(pack.files)} files missing: visage models fetch {pack.name}" if missing else "complete"
        )
        click.echo(f"{pack.name} {pack.version} ({state})\n    {pack.description}")


@models.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Say of each file of the pack NAME (a name or a path; by default the one in use) whether it is right."""
    with _one_sentence():
        chosen = Settings.from_environment()
        pack = find_pack(name or chosen.pack, chosen.models_dir)
    faults = 0
    for file in pack.files:
        try:
            size = len(file.read())
            click.echo(f"{file.path}: right ({size:,} bytes, {file.algorithm} {file.checksum})")
        except PackError as error:
            faults += 1
            click.echo(str(error))
    if faults:
        sys.exit(1)


@models.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download the files of the pack NAME into the models directory."""
    with _one_sentence():
        chosen = Settings.from_environment()
        pack = find_pack(name, chosen.models_dir)
    for file in pack.files:
        if file.licence:
            click.echo(f"{file.path.name}: licence {file.licence} ({file.url})")
    try:
        fetched = fetch_pack(pack, chosen.models_dir / pack.name, mirror=chosen.mirror, progress=_download_bar)
    except SetupError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    done = f"fetched {len(fetched)} files" if fetched else "nothing to fetch, every file was there and right"
    click.echo(f"{pack.name}: {done}, in {chosen.models_dir / pack.name}. Use it with VISAGE_PACK={pack.name}.")


def _download_bar(name: str, total: int | None, initial: int) -> "tqdm[Any]":
    return _bar(desc=name, total=total, initial=initial, unit="B", unit_scale=True)


if __name__ == "__main__":
    main()
