"""The figures of an evaluation, and the Markdown tables that show them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from visage.evaluation.evaluation import Answer, Evaluation
from visage.evaluation.labels import age_text


@dataclass(frozen=True)
class Scores:
    """What several answers come to; None where there is nothing to count.

    A face that was not found counts as one whose gender and age group are wrong; `years` is the mean error of the age
    over the found faces. The parts are 0..1.
    """

    faces: int
    found: int
    gender: float | None
    age: float | None
    within_one: float | None
    years: float | None


def score(answers: Iterable[Answer]) -> Scores:
    """The figures of `answers`."""
    answers = list(answers)
    genders = [answer for answer in answers if answer.face.gender is not None]
    ages = [answer for answer in answers if answer.face.age is not None]
    return Scores(
        len(answers),
        sum(answer.found for answer in answers),
        _part(answer.gender_right is True for answer in genders),
        _part(answer.groups_off == 0 for answer in ages),
        _part(answer.groups_off is not None and answer.groups_off <= 1 for answer in ages),
        _mean(answer.years_off for answer in ages if answer.years_off is not None),
    )


def table(evaluations: Sequence[Evaluation]) -> str:
    """Every figure, a column a pack."""
    given = [score(each.given) for each in evaluations]
    searched = [score(each.searched) for each in evaluations]
    small = [score(answer for answer in each.searched if answer.small) for each in evaluations]
    rows: list[tuple[str, list[str]]] = [
        ("photos", [str(len(each.results)) for each in evaluations]),
        ("faces found", [f"{each.found} of {each.faces}" for each in searched]),
        ("of those under 10 % of the longer side", [f"{each.found} of {each.faces}" for each in small]),
        ("false boxes", [str(each.false_boxes) for each in evaluations]),
    ]
    for where, scores in (("labelled boxes", given), ("found boxes", searched)):
        rows += [
            (f"gender right, {where}", [_percent(each.gender) for each in scores]),
            (f"age group right, {where}", [_percent(each.age) for each in scores]),
            (f"age within one group, {where}", [_percent(each.within_one) for each in scores]),
            (f"mean error in years, {where}", [_number(each.years) for each in scores]),
        ]
    rows += [
        (
            "search, ms a photo",
            [_number(_milliseconds([result.search_seconds for result in each.results])) for each in evaluations],
        ),
        ("gender and age, ms a face", [_number(_milliseconds_a_face(each), 2) for each in evaluations]),
    ]
    names = [f"{each.pack.name} {each.pack.version}" for each in evaluations]
    shown = [(name, cells) for name, cells in rows if any(cell not in ("", "0 of 0") for cell in cells)]
    return _markdown(["", *names], [[name, *cells] for name, cells in shown])


def breakdown(evaluation: Evaluation, column: str) -> str:
    """One pack's figures on the labelled boxes for each value of `column`: a group of the labels, gender or age."""
    parts: dict[str, list[Answer]] = {}
    for answer in evaluation.given:
        parts.setdefault(_value(answer, column), []).append(answer)
    rows = []
    for value in sorted(parts, key=_by_first_number):
        each = score(parts[value])
        rows.append(
            [value, str(each.faces), *map(_percent, (each.gender, each.age, each.within_one)), _number(each.years)]
        )
    heads = [column, "faces", "gender right", "age group right", "within one group", "mean error in years"]
    return _markdown(heads, rows)


def _value(answer: Answer, column: str) -> str:
    if column == "gender":
        return answer.face.gender or ""
    if column == "age":
        return age_text(answer.face.age) if answer.face.age else ""
    return answer.face.groups.get(column, "")


def _by_first_number(text: str) -> tuple[int, str]:
    first = re.match(r"\d+", text)
    return (int(first[0]) if first else 0, text)


def _part(rights: Iterable[bool]) -> float | None:
    return _mean(map(float, rights))


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return fmean(values) if values else None


def _milliseconds(seconds: Sequence[float]) -> float | None:
    return 1000 * median(seconds) if seconds else None


def _milliseconds_a_face(evaluation: Evaluation) -> float | None:
    return _milliseconds(
        [seconds / faces for result in evaluation.results for faces, seconds in result.attribute_seconds]
    )


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part:.1%}"


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |" for cells in lines)
