"""Parameters as options for the engine, one reader for each capability."""

from flask import Request
from werkzeug.datastructures import MultiDict

from visage.anonymize.face_boxes import FACES_FILE
from visage.anonymize.masks import Mask
from visage.anonymize.options import AnonymizeOptions
from visage.batches.batch import BatchOptions, Task
from visage.enhance.results import EnhanceOptions
from visage.errors import BadParameter
from visage.faces.analyzer import AnalyzeOptions
from visage.web.parameters import table
from visage.web.parameters.values import ParameterValues

# A batch rejects these with a sentence of their own.
_OF_SINGLE_PHOTOS = (table.KEEP, table.COVER, table.DETECT)


def read_analyze_options(request: Request) -> AnalyzeOptions:
    """Return the options of `/predict` and `/analyze`."""
    return _analyze_options(ParameterValues(table.ANALYSIS, request.args, request.form))


def read_anonymize_options(request: Request) -> AnonymizeOptions:
    """Return the options of `/anonymize`."""
    return _anonymize_options(ParameterValues(table.ANONYMIZATION, request.args, request.form))


def check_correction_query(request: Request) -> None:
    """Raise BadParameter for an unknown name in the query, before the photo of a correction is read."""
    ParameterValues(table.CORRECTION, request.args)


def read_correction_options(request: Request) -> AnonymizeOptions:
    """Return the options of a corrected file of a batch."""
    return _anonymize_options(ParameterValues(table.CORRECTION, request.args, request.form))


def read_enhance_options(request: Request) -> EnhanceOptions:
    """Return the options of `/enhance`."""
    return _enhance_options(ParameterValues(table.ENHANCEMENT, request.args, request.form))


def read_batch_task(query: MultiDict[str, str]) -> Task:
    """Return the task of a batch as far as its query tells: a form may still have it, and more parameters.

    Raises:
        BadParameter: the query is invalid, whatever the form has.
    """
    values = _batch_values(query)
    task = values.read(table.TASK)
    if table.TASK.name in values.names:
        _reject_other_tasks(values, task)
    for parameter in table.BATCH:
        values.read(parameter)
    return task


def read_batch_options(query: MultiDict[str, str], form: MultiDict[str, str]) -> BatchOptions:
    """Return the options for each photo of a batch. The query overrides the form.

    Raises:
        BadParameter: a parameter is invalid, or belongs to another task.
    """
    values = _batch_values(query, form)
    task = values.read(table.TASK)
    _reject_other_tasks(values, task)
    match task:
        case Task.ANONYMIZE:
            return _anonymize_options(values)
        case Task.PREDICT:
            return _analyze_options(values)
        case Task.ENHANCE:
            return _enhance_options(values)


def _batch_values(*sources: MultiDict[str, str]) -> ParameterValues:
    values = ParameterValues((*table.BATCH, *_OF_SINGLE_PHOTOS), *sources)
    for boxes in (table.KEEP, table.COVER):
        if values.read(boxes):
            raise BadParameter(
                f"{boxes.name} applies to single photos only; for a batch send {FACES_FILE} with its boxes."
            )
    if not values.read(table.DETECT):
        raise BadParameter("detect=false applies to single photos only; leave it out of a batch.")
    return values


def _reject_other_tasks(values: ParameterValues, task: Task) -> None:
    """Raise BadParameter for a parameter that has no effect on the task of a batch."""
    own = {parameter.name for parameter in table.BATCH_TASKS[task]}
    for parameter in table.BATCH[1:]:
        if parameter.name in values.names - own:
            tasks = " or ".join(f"task={each.value}" for each, its in table.BATCH_TASKS.items() if parameter in its)
            raise BadParameter(
                f"{parameter.name} applies to {tasks} only, and this batch has task={task.value}; leave out "
                f"{parameter.name}, or send {tasks}."
            )


def include_files(request: Request) -> bool:
    """Return whether the status of a batch should list its files."""
    return ParameterValues(table.BATCH_STATUS, request.args).read(table.FILES)


def thumbnail_side(request: Request) -> int | None:
    """Return the longer side of the small copy that is asked for, None for the result itself."""
    return ParameterValues(table.BATCH_FILE, request.args).read(table.SIZE)


def _analyze_options(values: ParameterValues) -> AnalyzeOptions:
    return AnalyzeOptions(
        min_confidence=values.read(table.MIN_CONFIDENCE),
        max_faces=values.read(table.MAX_FACES),
        min_face_size=values.read(table.MIN_FACE_SIZE),
        detail=values.read(table.DETAIL),
        enhance_faces=values.read(table.ENHANCE_FACES),
    )


def _enhance_options(values: ParameterValues) -> EnhanceOptions:
    return EnhanceOptions(values.read(table.SCALE))


def _anonymize_options(values: ParameterValues) -> AnonymizeOptions:
    return AnonymizeOptions(
        mask=Mask(values.read(table.METHOD), values.read(table.SHAPE), values.read(table.MASK_SCALE)),
        min_confidence=values.read(table.ANONYMIZE_CONFIDENCE),
        keep=values.read(table.KEEP),
        detail=values.read(table.ANONYMIZE_DETAIL),
        cover=values.read(table.COVER),
        detect=values.read(table.DETECT),
    )
