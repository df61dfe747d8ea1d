"""Every parameter of every operation, one row each. Readers, error messages and `openapi.json` come from these rows.

After a change, `make openapi` writes `openapi.json` anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Any, Generic, TypeVar

from visage.anonymize.face_boxes import MAX_BOXES
from visage.anonymize.masks import MASK_SCALE_RANGE, Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.batches.batch import Task
from visage.enhance.results import SCALES, EnhanceOptions
from visage.faces.analyzer import MAX_FACES_RANGE, MIN_FACE_SIZE_RANGE, AnalyzeOptions
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.ranges import CONFIDENCE_RANGE, IntegerRange
from visage.web.parameters.formats import Format, PictureFormat
from visage.web.parameters.kinds import BOOLEAN, Kind, boxes, choice, integer, number, one_of

T = TypeVar("T")
Default = TypeVar("Default")

_DETAIL = (
    "Search for small faces. `fast`: one detection pass. `auto`: a pass at half scale first, then others only where "
    "needed. `high`: several scales up to full size, and the photo turned by 90, 180 and 270 degrees. If no face is "
    "found, each adds up to two passes at smaller scales, for a face that fills the photo."
)
# visage/nets/anchor_free.py.
_DROPPED = "The net of `compact` gives no boxes up to 0.05, so lower values find no more."
_NO_BOXES: tuple[Box, ...] = ()
_CONFIDENCE = number(CONFIDENCE_RANGE)


@dataclass(frozen=True, eq=False)
class Parameter(Generic[T, Default]):
    """A row: a parameter's name, the kind of its values, its value if it is missing, and what it means.

    `key` tells rows of one name apart, if operations have different ones.
    """

    name: str
    kind: Kind[T]
    default: Default
    description: str
    key: str = ""

    @property
    def component(self) -> str:
        """The name of the row in `openapi.json`."""
        return self.key or self.name

    @property
    def plain_default(self) -> Any:
        """The default as a JSON type; None if there is none."""
        default = self.default.value if isinstance(self.default, Enum) else self.default
        return None if default == () else default


# /predict and /analyze
MIN_CONFIDENCE = Parameter(
    "min_confidence",
    _CONFIDENCE,
    None,
    f"Confidence threshold for faces; by default the model pack's own. {_DROPPED}",
)
MAX_FACES = Parameter("max_faces", integer(MAX_FACES_RANGE), None, "Return at most this many faces, the largest first.")
MIN_FACE_SIZE = Parameter(
    "min_face_size",
    integer(MIN_FACE_SIZE_RANGE),
    AnalyzeOptions.min_face_size,
    "Smallest shorter side of a face's box, in pixels of the original.",
)
DETAIL = Parameter("detail", choice(Detail), AnalyzeOptions.detail, _DETAIL)
FORMAT = Parameter("format", choice(Format), None, "Format of the response; overrides `Accept`.")
ANNOTATED = Parameter("annotated", BOOLEAN, True, "`false` omits the picture from JSON.")  # noqa: FBT003
ENHANCE_FACES = Parameter(
    "enhance_faces",
    BOOLEAN,
    AnalyzeOptions.enhance_faces,
    "`true` enhances small faces by super-resolution before gender and age are estimated; this takes a few "
    "milliseconds for each face.",
)

# /anonymize
METHOD = Parameter("method", choice(Method), Mask.method, "How faces are redacted.")
SHAPE = Parameter("shape", choice(Shape), Mask.shape, "Shape of the redaction mask.")
MASK_SCALE = Parameter(
    "mask_scale", number(MASK_SCALE_RANGE), Mask.scale, "Size of the redaction mask relative to the face's box."
)
ANONYMIZE_CONFIDENCE = Parameter(
    "min_confidence",
    _CONFIDENCE,
    None,
    "Confidence threshold for redaction; by default the model pack's own. A lower one misses fewer faces, and covers "
    f"more that is no face. {_DROPPED}",
    key="anonymize_confidence",
)
KEEP = Parameter(
    "keep",
    boxes("keep"),
    _NO_BOXES,
    f"Faces to leave unchanged, as JSON: one box, or a list of at most {MAX_BOXES:,}, each x1, y1, x2, y2 in pixels of "
    "the upright photo. A face is kept if its intersection over union with a box is at least 0.4.",
)
COVER = Parameter(
    "cover",
    boxes("cover"),
    _NO_BOXES,
    "Boxes of faces that the detector missed, as JSON like `keep`. Each is redacted like a face, also where it "
    "overlaps a face to keep. Only the part inside the photo counts; a box without one is an error.",
)
DETECT = Parameter(
    "detect",
    BOOLEAN,
    AnonymizeOptions.detect,
    "Whether to search for faces. With `false` only the boxes of `cover` are redacted.",
)
ANONYMIZE_DETAIL = Parameter("detail", choice(Detail), AnonymizeOptions.detail, _DETAIL, key="anonymize_detail")

# /enhance
SCALE = Parameter(
    "scale",
    one_of(*SCALES),
    EnhanceOptions.scale,
    "How many times as wide and high the picture becomes; by default as many as the net can, 3 times with the bundled "
    "one. The size of the result is limited, so larger pictures can be enlarged less.",
)

ENHANCE_FORMAT = Parameter(
    "format",
    choice(PictureFormat),
    None,
    "Format of the response; overrides `Accept`. `events` are server-sent events: the progress, then the JSON.",
    key="enhance_format",
)

# /anonymize and /enhance
PICTURE_FORMAT = Parameter(
    "format",
    choice((PictureFormat.PICTURE, PictureFormat.JSON)),
    None,
    "Format of the response; overrides `Accept`.",
    key="picture_format",
)
PICTURE = Parameter("picture", BOOLEAN, True, "`false` omits the picture from JSON.")  # noqa: FBT003

# /batches
TASK = Parameter(
    "task",
    choice(Task),
    Task.ANONYMIZE,
    "What to do with each photo: redact its faces, describe its faces, or enlarge it.",
)
BATCH_CONFIDENCE = Parameter(
    "min_confidence",
    _CONFIDENCE,
    None,
    "Confidence threshold for faces; by default the same as for a single photo.",
    key="batch_confidence",
)
BATCH_DETAIL = Parameter(
    "detail",
    choice(Detail),
    None,
    "Search for small faces; by default the same as for a single photo: `high` for `anonymize`, `auto` for `predict`.",
    key="batch_detail",
)
FILES = Parameter("files", BOOLEAN, True, "`false` omits the files.")  # noqa: FBT003

SIZE = Parameter("size", integer(IntegerRange(16, 1024)), None, "Longer side in pixels of a small copy, a JPEG.")

Parameters = tuple[Parameter[Any, Any], ...]

ANALYSIS: Parameters = (MIN_CONFIDENCE, MAX_FACES, MIN_FACE_SIZE, DETAIL, FORMAT, ANNOTATED, ENHANCE_FACES)
ANONYMIZATION: Parameters = (
    METHOD,
    SHAPE,
    MASK_SCALE,
    ANONYMIZE_CONFIDENCE,
    KEEP,
    COVER,
    DETECT,
    ANONYMIZE_DETAIL,
    PICTURE_FORMAT,
    PICTURE,
)
CORRECTION: Parameters = ANONYMIZATION[:-2]
ENHANCEMENT: Parameters = (SCALE, ENHANCE_FORMAT, PICTURE)
BATCH_TASKS: Mapping[Task, Parameters] = {
    Task.ANONYMIZE: (METHOD, SHAPE, MASK_SCALE, BATCH_CONFIDENCE, BATCH_DETAIL),
    Task.PREDICT: (BATCH_CONFIDENCE, BATCH_DETAIL, MAX_FACES, MIN_FACE_SIZE, ENHANCE_FACES),
    Task.ENHANCE: (SCALE,),
}
# Each once, in this order.
BATCH: Parameters = tuple(dict.fromkeys(chain([TASK], *BATCH_TASKS.values())))
BATCH_STATUS: Parameters = (FILES,)
BATCH_FILE: Parameters = (SIZE,)
