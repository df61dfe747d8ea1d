"""The last layers of an SSD (Liu et al., 2015) as Caffe has them."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.caffe import CaffeNet

# Variances of SSD's box encoding (Liu et al., 2015): centre x, centre y, width, height.
_VARIANCES = (0.1, 0.1, 0.2, 0.2)


@dataclass(frozen=True)
class Level:
    """One level of an SSD.

    `priors` names its prior layer; `classes` and `offsets` name its maps; `shapes` are the prior sizes in Caffe's
    syntax; `step` is the distance of two cells in input pixels.
    """

    priors: str
    classes: str
    offsets: str
    shapes: str
    step: int


def add_detection(net: CaffeNet, levels: Sequence[Level], keep: int = 200) -> None:
    """Append the layers that decode the maps of an SSD into boxes: priors, softmax and non-maximum suppression.

    At most `keep` boxes of an image are returned.
    """
    flat: dict[str, list[str]] = {"classes": [], "offsets": [], "priors": []}
    scales = " ".join(f"variance: {variance}" for variance in _VARIANCES)
    for level in levels:
        for kind, maps in (("classes", level.classes), ("offsets", level.offsets)):
            order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
            last = net.add("Permute", f"{maps}_last", [maps], order)
            flat[kind].append(net.add("Flatten", f"{maps}_flat", [last], "flatten_param { axis: 1 }"))
        parameters = f"prior_box_param {{ {level.shapes} clip: false {scales} step: {level.step} offset: 0.5 }}"
        flat["priors"].append(net.add("PriorBox", level.priors, [level.classes, "data"], parameters))
    net.add("Concat", "offsets", flat["offsets"], "concat_param { axis: 1 }")
    net.add("Concat", "priors", flat["priors"], "concat_param { axis: 2 }")
    net.add("Concat", "classes", flat["classes"], "concat_param { axis: 1 }")
    net.add("Reshape", "classes_cells", ["classes"], "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }")
    net.add("Softmax", "classes_softmax", ["classes_cells"], "softmax_param { axis: 2 }")
    net.add("Flatten", "confidences", ["classes_softmax"], "flatten_param { axis: 1 }")
    net.add(
        "DetectionOutput",
        "detection_out",
        ["offsets", "confidences", "priors"],
        "detection_output_param { num_classes: 2 share_location: true background_label_id: 0 "
        "nms_param { nms_threshold: 0.45 top_k: 400 } code_type: CENTER_SIZE "
        f"keep_top_k: {keep} confidence_threshold: 0.01 }}",
    )
