"""The figures of an evaluation, and the Markdown tables that show them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median

import numpy as np

from visage.evaluation.average_precision import ScoredPhoto, precision_recall
from visage.evaluation.evaluation import Evaluation, FaceResult, PhotoResult
from visage.evaluation.labels import LabelledFace, age_text


@dataclass(frozen=True)
class Scores:
    """The figures of several faces; None where no face has such a label.

    `gender`, `age_group` and `within_one_group` are the fractions (0..1) of faces whose gender is correct, whose age
    group is correct, and whose age group is at most one off. A missed face counts as wrong. `age_error` is the mean age
    error in years of the faces found.
    """

    faces: int
    found: int
    gender: float | None
    age_group: float | None
    within_one_group: float | None
    age_error: float | None


def score(results: Iterable[FaceResult]) -> Scores:
    """Calculate the figures of `results`."""
    results = list(results)
    with_gender = [result for result in results if result.face.gender is not None]
    with_age = [result for result in results if result.face.age is not None]
    return Scores(
        len(results),
        sum(result.found for result in results),
        _mean(result.gender_correct is True for result in with_gender),
        _mean(result.age_group_error == 0 for result in with_age),
        _mean(result.age_group_error is not None and result.age_group_error <= 1 for result in with_age),
        _mean(result.age_error for result in with_age if result.age_error is not None),
    )


def table(evaluations: Sequence[Evaluation]) -> str:
    """A Markdown table of every figure, one column per pack."""
    ground_truth = [score(each.on_ground_truth) for each in evaluations]
    detections = [score(each.on_detections) for each in evaluations]
    small = [score(face for face in each.on_detections if face.small) for each in evaluations]
    rows: list[tuple[str, list[str]]] = [
        ("photos", [str(len(each.results)) for each in evaluations]),
        ("faces found", [f"{each.found} of {each.faces}" for each in detections]),
        ("of those lower than 10 % of the longer side", [f"{each.found} of {each.faces}" for each in small]),
        ("false positives", [str(each.false_positives) for each in evaluations]),
    ]
    for boxes, scores in (("ground-truth boxes", ground_truth), ("detected boxes", detections)):
        rows += [
            (f"gender correct, {boxes}", [_percent(each.gender) for each in scores]),
            (f"age group correct, {boxes}", [_percent(each.age_group) for each in scores]),
            (f"age within one group, {boxes}", [_percent(each.within_one_group) for each in scores]),
            (f"mean age error in years, {boxes}", [_number(each.age_error) for each in scores]),
        ]
    seconds = [[result.detection_seconds for result in each.results] for each in evaluations]
    rows += [
        ("detection, ms per photo", [_number(_milliseconds(each)) for each in seconds]),
        ("detection, mean of ms per photo", [_number(1000 * fmean(each) if each else None) for each in seconds]),
        ("gender and age, ms per face", [_number(_milliseconds_per_face(each), 2) for each in evaluations]),
    ]
    names = [each.name for each in evaluations]
    shown = [(name, cells) for name, cells in rows if any(cell not in ("", "0 of 0") for cell in cells)]
    return _markdown(["", *names], [[name, *cells] for name, cells in shown])


def detection_table(evaluations: Sequence[Evaluation], columns: Sequence[str], false_positives: int) -> str:
    """Average precision, and recall at a number of `false_positives`, with a column for each pack.

    The first row counts all faces but the difficult ones. Each of `columns` adds rows that count the faces whose value
    there is 1 or yes, and ignore the others, as the lists of WIDER FACE do.
    """
    rows = []
    for column in (None, *columns):
        counted = partial(is_in_list, column)
        curves = [precision_recall(_scored_photos(each, counted)) for each in evaluations]
        name = column or "all faces"
        rows.append([f"average precision, {name}", *(f"{curve.average_precision:.3f}" for curve in curves)])
        recalls = [_percent(curve.recall(false_positives)) for curve in curves]
        rows.append([f"recall at {false_positives} false positives, {name}", *recalls])
    return _markdown(["", *(each.name for each in evaluations)], rows)


def detection_breakdown(evaluations: Sequence[Evaluation], column: str, false_positives: int) -> str:
    """Faces found, average precision and recall at `false_positives` for each value of `column`, for every pack.

    Average precision and recall count the faces with that value, and ignore the others.
    """
    faces = [face for result in evaluations[0].results for face in result.faces if not face.difficult]
    rows = []
    for value in sorted({_value(face, column) for face in faces}, key=_by_first_number):
        count = sum(_value(face, column) == value for face in faces)
        row = [value, str(count)]
        for each in evaluations:
            counted = partial(_has_value, column, value)
            curve = precision_recall(_scored_photos(each, counted))
            found = sum(face.found for result in each.results for face in _results_with(result, counted))
            row += [_percent(found / count), f"{curve.average_precision:.3f}", _percent(curve.recall(false_positives))]
        rows.append(row)
    kinds = ("found", "average precision", f"recall at {false_positives} false positives")
    return _markdown([column, "faces", *(f"{each.name}: {kind}" for each in evaluations for kind in kinds)], rows)


def _scored_photos(evaluation: Evaluation, counted: Callable[[LabelledFace], bool]) -> list[ScoredPhoto]:
    return [
        ScoredPhoto(
            result.detections.boxes,
            result.detections.confidences,
            np.array([face.box for face in result.faces], np.float32).reshape(-1, 4),
            np.array([not face.difficult and counted(face) for face in result.faces], bool),
        )
        for result in evaluation.results
    ]


def is_in_list(column: str | None, face: LabelledFace) -> bool:
    """Whether average precision counts a face for the list that `column` is. All faces count for None."""
    return column is None or face.groups.get(column, "").lower() in ("1", "yes")


def _has_value(column: str, value: str, face: LabelledFace) -> bool:
    return _value(face, column) == value


def _results_with(result: PhotoResult, counted: Callable[[LabelledFace], bool]) -> list[FaceResult]:
    """The results on detected boxes of the faces that count, by the labels as they are in labels.csv."""
    scored = [face for face in result.faces if not face.difficult]
    return [each for face, each in zip(scored, result.on_detections, strict=True) if counted(face)]


def breakdown(evaluation: Evaluation, column: str) -> str:
    """One pack's figures on the ground-truth boxes for each value of `column`: a group of the labels, gender or age."""
    by_value: dict[str, list[FaceResult]] = {}
    for result in evaluation.on_ground_truth:
        by_value.setdefault(_value(result.face, column), []).append(result)
    rows = []
    for value in sorted(by_value, key=_by_first_number):
        each = score(by_value[value])
        rows.append(
            [
                value,
                str(each.faces),
                *map(_percent, (each.gender, each.age_group, each.within_one_group)),
                _number(each.age_error),
            ]
        )
    heads = [column, "faces", "gender correct", "age group correct", "within one group", "mean age error in years"]
    return _markdown(heads, rows)


def _value(face: LabelledFace, column: str) -> str:
    if column == "gender":
        return face.gender or ""
    if column == "age":
        return age_text(face.age) if face.age else ""
    return face.groups.get(column, "")


def _by_first_number(text: str) -> tuple[int, str]:
    first = re.match(r"\d+", text)
    return (int(first[0]) if first else 0, text)


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return fmean(values) if values else None


def _milliseconds(seconds: Sequence[float]) -> float | None:
    return 1000 * median(seconds) if seconds else None


def _milliseconds_per_face(evaluation: Evaluation) -> float | None:
    return _milliseconds(
        [seconds / faces for result in evaluation.results for faces, seconds in result.attribute_seconds]
    )


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.1%}"


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |" for cells in lines)
