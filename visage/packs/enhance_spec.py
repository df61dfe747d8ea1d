"""What a pack says of its net that enlarges pictures."""

from dataclasses import dataclass

from visage.packs.files import PackFile, pack_file
from visage.packs.manifest import ManifestTable

# The channels of the pictures that a net enlarges, by what it calls their colour.
_CHANNELS = {"luma": 1, "bgr": 3}
_LARGEST_SCALE = 4
_LARGEST_TILE = 8192

# As far as VISAGE_OVERLAP goes: four times as wide is the least tile.
_FARTHEST_REACH = 1024


@dataclass(frozen=True)
class EnhanceSpec:
    """A net that enlarges pictures `scale` times: a Caffe net, or a TensorFlow graph, which has no prototxt.

    `colour` is `luma` (Y of YCrCb, alone) or `bgr`; `blob = (pixels - mean) * white / 255`, with a mean for each
    channel. `reach` is how many pixels away a pixel can matter; `overlap` how many each tile shows the net of its
    neighbours, fewer where those far away matter too little to be seen; `padding` in how many pixels around the picture
    its outermost ones are repeated, for a net that takes black for a part of the picture. `tile` is the side of the
    tiles that it is fastest with, where that was measured.
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
    """What the table `[superres]` says.

    Raises:
        PackError: a key is missing or holds what it must not.
    """
    colour = role.text("colour")
    if colour not in _CHANNELS:
        raise role.fault("colour", " or ".join(_CHANNELS))
    mean = role.list_of("mean", float, _CHANNELS[colour]) if "mean" in role.content else [0.0] * _CHANNELS[colour]
    reach = role.integer("reach", 0, _FARTHEST_REACH)
    return EnhanceSpec(
        prototxt=pack_file(role, "prototxt", "prototxt_sha256", "prototxt_source")
        if "prototxt" in role.content
        else None,
        weights=pack_file(role, "weights", "sha256", "source"),
        scale=role.integer("scale", 2, _LARGEST_SCALE),
        colour=colour,
        white=role.number("white", 0, 1e6),
        mean=tuple(mean),
        reach=reach,
        overlap=role.integer("overlap", 0, reach) if "overlap" in role.content else reach,
        padding=role.integer("padding", 0, reach) if "padding" in role.content else 0,
        tile=role.integer("tile", 1, _LARGEST_TILE) if "tile" in role.content else None,
    )
