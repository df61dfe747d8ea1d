"""The table `[superres]` of a manifest: the super-resolution net."""

from dataclasses import dataclass

from visage.packs.files import PackFile, pack_file
from visage.packs.manifest import ManifestTable

# The channels of the net's input, by its `colour`.
_CHANNELS = {"luma": 1, "bgr": 3}
_MAX_SCALE = 4
_MAX_TILE = 8192

# The maximum of VISAGE_OVERLAP: a tile is at least four times as wide.
_MAX_REACH = 1024


@dataclass(frozen=True)
class EnhanceSpec:
    """A super-resolution net: a Caffe net, or a TensorFlow graph, which has no prototxt.

    Attributes:
        scale: the width of the output divided by the width of the input.
        colour: `luma` (Y of YCrCb) or `bgr`.
        white: the input value of a white pixel: `input = (pixels - mean) * white / 255`.
        mean: one value per channel, from 0 to 255.
        reach: how far, in pixels, an output pixel depends on the input.
        overlap: how many pixels of each neighbour a tile includes. It is smaller than `reach` if the influence of the
            farthest pixels is invisible.
        padding: how many times the outermost pixels are repeated around the image, for a net that would otherwise
            treat the area outside as black.
        tile: the side of the tiles, in pixels, with which the net is fastest, if that was measured.
    """

    prototxt: PackFile | None
    weights: PackFile
    scale: int
    colour: str
    white: float
    mean: tuple[float, ...]
    reach: int
    overlap: int
    padding: int
    tile: int | None


def read_enhance_spec(role: ManifestTable) -> EnhanceSpec:
    """Read the table `[superres]`.

    Raises:
        PackError: a key is missing or has an invalid value.
    """
    colour = role.text("colour")
    if colour not in _CHANNELS:
        raise role.fault("colour", " or ".join(_CHANNELS))
    mean = role.list_of("mean", float, _CHANNELS[colour]) if "mean" in role.content else [0.0] * _CHANNELS[colour]
    reach = role.integer("reach", 0, _MAX_REACH)
    return EnhanceSpec(
        prototxt=pack_file(role, "prototxt", "prototxt_sha256", "prototxt_source")
        if "prototxt" in role.content
        else None,
        weights=pack_file(role, "weights", "sha256", "source"),
        scale=role.integer("scale", 2, _MAX_SCALE),
        colour=colour,
        white=role.number("white", 0, 1e6),
        mean=tuple(mean),
        reach=reach,
        overlap=role.integer("overlap", 0, reach) if "overlap" in role.content else reach,
        padding=role.integer("padding", 0, reach) if "padding" in role.content else 0,
        tile=role.integer("tile", 1, _MAX_TILE) if "tile" in role.content else None,
    )
