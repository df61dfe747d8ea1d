"""The parameters of a request, from its query and its form, as options for the engine and for the response.

Every reader raises `BadParameter` for an invalid value, with a sentence that names the parameter and its range; and for
an unknown parameter, with the nearest name.
"""

from visage.web.parameters.formats import Format, PictureFormat
from visage.web.parameters.options import (
    check_correction_query,
    include_files,
    read_analyze_options,
    read_anonymize_options,
    read_batch_options,
    read_batch_task,
    read_correction_options,
    read_enhance_options,
    thumbnail_side,
)
from visage.web.parameters.response_options import (
    PictureResponseOptions,
    ResponseOptions,
    read_anonymize_response_options,
    read_enhance_response_options,
    read_response_options,
)
from visage.web.parameters.values import without_parameters

__all__ = [
    "Format",
    "PictureFormat",
    "PictureResponseOptions",
    "ResponseOptions",
    "check_correction_query",
    "include_files",
    "read_analyze_options",
    "read_anonymize_options",
    "read_anonymize_response_options",
    "read_batch_options",
    "read_batch_task",
    "read_correction_options",
    "read_enhance_options",
    "read_enhance_response_options",
    "read_response_options",
    "thumbnail_side",
    "without_parameters",
]
