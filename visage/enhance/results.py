"""The options and the result of enhancing an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from visage.json_types import Base64, FileFormat, JsonSchema, Milliseconds, PhotoFormat, Side, as_json_types
from visage.packs.origin import ModelJson, milliseconds, model_json
from visage.packs.pack import Pack
from visage.ranges import check_choice

# The scales that can be chosen, if the net's is not smaller. Each is a ratio of small numbers, so that tiles can end
# between whole pixels of the result.
SCALES = (1.5, 2, 3)


@dataclass(frozen=True)
class EnhancedImageJson:
    """Size and format of the enhanced picture."""

    width: Side
    height: Side
    format: FileFormat
    original_format: PhotoFormat
    """Format of the picture that was sent: a HEIC or AVIF is written as JPEG, a TIFF as PNG."""


@dataclass(frozen=True)
class EnhanceTimingsJson:
    """Milliseconds of each stage."""

    wait: Milliseconds
    decode: Milliseconds
    enlarge: Milliseconds
    encode: Milliseconds


@dataclass(frozen=True)
class EnhancedJson:
    """An enhanced picture."""

    image: EnhancedImageJson
    scale: Annotated[float, JsonSchema(minimum=1.5, maximum=4)]
    """The picture is this many times as wide and high as before, rounded up."""
    model: ModelJson
    timings_ms: EnhanceTimingsJson
    picture: Base64 | None = None
    """The picture, in the `format` of `image`; omitted with `picture=false`."""


@dataclass(frozen=True)
class EnhanceOptions:
    """The options of an enhancement.

    `scale` is one of `SCALES`; None stands for that of the net, the largest.

    Raises:
        BadParameter: `scale` is something else.
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None:
            check_choice("scale", self.scale, SCALES)


@dataclass(frozen=True)
class Enhanced:
    """An image enhanced to `scale` times its width and height, rounded up.

    `picture` is a file without metadata, upright, of the `format` JPEG, PNG, WebP or BMP: that of the input, or a JPEG
    for an `original_format` of HEIC or AVIF, and a PNG for TIFF. `width` and `height` are its size in pixels. `seconds`
    has the stages `wait`, `decode`, `enlarge` and `encode`.
    """

    width: int
    height: int
    format: str
    original_format: str
    scale: float
    picture: bytes
    seconds: Mapping[str, float]

    def as_json(self, pack: Pack) -> dict[str, Any]:
        """Return the result without its picture as JSON types, as `EnhancedJson` describes them."""
        content = EnhancedJson(
            image=EnhancedImageJson(self.width, self.height, self.format, self.original_format),
            # 3, as ever, rather than 3.0.
            scale=int(self.scale) if self.scale == int(self.scale) else self.scale,
            model=model_json(pack),
            timings_ms=EnhanceTimingsJson(**milliseconds(self.seconds)),
        )
        return cast(dict[str, Any], as_json_types(content))
