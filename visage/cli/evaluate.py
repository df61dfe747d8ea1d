"""`visage evaluate`: the accuracy and speed of model packs on labelled photos."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from visage.cli import options
from visage.cli.console import CannotRun, progress_bar, setup_errors_reported
from visage.evaluation.evaluation import evaluate
from visage.evaluation.labels import LABELS, LabelledPhoto, read_labels
from visage.evaluation.scores import breakdown, detection_breakdown, detection_table, is_in_list, table
from visage.evaluation.yunet import YuNet
from visage.faces.search import Detail
from visage.packs.pack import find_pack
from visage.runtime.allocator import tune_allocator
from visage.settings import Settings


@click.command("evaluate")
@click.argument("folder", type=options.FilePath())
@click.option(
    "--pack",
    "names",
    multiple=True,
    help="Name or path of a pack; give several to compare them. [default: VISAGE_PACK]",
)
@click.option("--by", "columns", multiple=True, help="Break figures down by this column of labels.csv.")
@click.option(
    "--average-precision",
    "lists",
    multiple=True,
    help="Print average precision, counting the faces whose value in this column of labels.csv is 1 or yes.",
)
@click.option(
    "--false-positives",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="False positives at which recall is printed beside average precision.",
)
@click.option(
    "--yunet",
    "yunet_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Score this ONNX file of YuNet beside the packs.",
)
@click.option(
    "--yunet-side",
    type=click.IntRange(32, 4096),
    default=640,
    show_default=True,
    help="Longer side of the photos that YuNet sees, in pixels.",
)
@options.detail(Detail.AUTO)
@click.option("--least-height", type=options.Number(0), default=0, help="Ignore faces that are lower, in pixels.")
def evaluate_packs(
    folder: Path,
    names: tuple[str, ...],
    columns: tuple[str, ...],
    lists: tuple[str, ...],
    false_positives: int,
    yunet_file: Path | None,
    yunet_side: int,
    detail: str,
    least_height: float,
) -> None:
    """Measure packs on the photos of FOLDER, whose faces are in its labels.csv.

    The columns are file,x1,y1,x2,y2 and, where known, gender, age (34, 30-39 or 70+), difficult (yes: ignored in
    scoring), and any others to break figures down by. Prints Markdown.
    """
    tune_allocator()  # as the service does, so that times are its times
    with setup_errors_reported():
        settings = Settings.from_environment()
        packs = [find_pack(name, settings.models_dir) for name in names or [settings.pack]]
        labels = read_labels(folder)
        known = ("gender", "age", *labels.groups)
        unknown = [name for name in (*columns, *lists) if name not in known]
        if unknown:
            raise CannotRun(f"{folder / LABELS} has no column {unknown[0]!r}; the columns are: {', '.join(known)}.")
        for name in lists:
            if not any(is_in_list(name, face) for photo in labels.photos for face in photo.faces):
                raise CannotRun(f"No face has 1 or yes in the column {name!r} of {folder / LABELS}.")
        yunet = YuNet(yunet_file, yunet_side) if yunet_file else None
        evaluations = evaluate(
            packs, labels.photos, Detail(detail), least_height, progress=_with_progress_bar, yunet=yunet
        )
    ranking = [detection_table(evaluations, lists, false_positives)] if lists else []
    parts = [table(evaluations), *ranking]
    for name in columns:
        parts += [breakdown(evaluations[0], name), detection_breakdown(evaluations, name, false_positives)]
    click.echo("\n\n".join(parts))


def _with_progress_bar(photos: Sequence[LabelledPhoto]) -> Iterable[LabelledPhoto]:
    return progress_bar(iterable=photos, unit="photo")
