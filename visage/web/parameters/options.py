"""Parameters as options for the engine, one reader for each capability."""

from flask import Request
from werkzeug.datastructures import MultiDict

from visage.anonymize.face_boxes import FACES_FILE
from visage.anonymize.masks import Mask
from visage.anonymize.options import AnonymizeOptions
from visage.batches.batch import BatchOptions, Task
from visage.enhance.results import EnhanceOptions
from visage.errors import BadParameter
from visage.faces.analyzer import Options
from visage.web.parameters.values import ParameterValues


def read_options(request: Request) -> Options:
    """Return the options of `/predict` and `/analyze`."""
    return _options(ParameterValues(request.args, request.form))


def read_anonymize_options(request: Request) -> AnonymizeOptions:
    """Return the options of `/anonymize`."""
    return _anonymize_options(ParameterValues(request.args, request.form))


def read_batch_options(*sources: MultiDict[str, str]) -> BatchOptions:
    """Return the options for each photo of a batch. The first of `sources` that has a parameter counts."""
    values = ParameterValues(*sources)
    for name in ("keep", "cover"):
        if values.boxes(name):
            raise BadParameter(f"{name} applies to single photos only; for a batch send {FACES_FILE} with its boxes.")
    if not values.boolean("detect", default=True):
        raise BadParameter("detect=false applies to single photos only; leave it out of a batch.")
    match values.choice("task", Task.ANONYMIZE):
        case Task.ANONYMIZE:
            return _anonymize_options(values)
        case Task.PREDICT:
            return _options(values)
        case Task.ENHANCE:
            return EnhanceOptions()


def include_files(request: Request) -> bool:
    """Return whether the status of a batch should list its files."""
    return ParameterValues(request.args).boolean("files", default=True)


def _options(values: ParameterValues) -> Options:
    return Options(
        min_confidence=values.number("min_confidence", 0.01, 1),
        max_faces=values.integer("max_faces", 1, 1000),
        min_face_size=values.integer("min_face_size", 0, 100_000) or 0,
        detail=values.choice("detail", Options.detail),
        enhance_faces=values.boolean("enhance_faces", default=False),
    )


def _anonymize_options(values: ParameterValues) -> AnonymizeOptions:
    scale = values.number("mask_scale", 1, 3)
    return AnonymizeOptions(
        mask=Mask(
            values.choice("method", Mask.method),
            values.choice("shape", Mask.shape),
            Mask.scale if scale is None else scale,
        ),
        min_confidence=values.number("min_confidence", 0.01, 1),
        keep=values.boxes("keep"),
        detail=values.choice("detail", AnonymizeOptions.detail),
        cover=values.boxes("cover"),
        detect=values.boolean("detect", default=True),
    )
