"""`visage evaluate`: how good packs are, by photos whose faces are known."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from visage.cli.console import CannotRun, bar, one_sentence
from visage.evaluation.evaluation import evaluate
from visage.evaluation.labels import LABELS, LabelledPhoto, read_labels
from visage.evaluation.scores import breakdown, table
from visage.faces.search import Detail
from visage.packs.pack import find_pack
from visage.settings import Settings


@click.command("evaluate")
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
    with one_sentence():
        chosen = Settings.from_environment()
        packs = [find_pack(name, chosen.models_dir) for name in names or [chosen.pack]]
        labels = read_labels(folder)
        known = ("gender", "age", *labels.groups)
        unknown = [name for name in groups if name not in known]
        if unknown:
            raise CannotRun(f"{folder / LABELS} has no column {unknown[0]!r} to go by; there are: {', '.join(known)}.")
        evaluations = evaluate(packs, labels.photos, Detail(detail), least_height, _photo_bar)
    click.echo("\n\n".join([table(evaluations), *(breakdown(evaluations[0], name) for name in groups)]))


def _photo_bar(photos: Sequence[LabelledPhoto]) -> Iterable[LabelledPhoto]:
    return bar(iterable=photos, unit="photo")
