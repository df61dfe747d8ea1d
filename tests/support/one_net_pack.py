"""The tiny pack with one net for gender and age, which has an output for each."""

import hashlib
from pathlib import Path

from tests.support.tiny_pack import AGE_LAYER, GENDER_LAYER, as_caffemodel, write_tiny_pack

PROTOTXT = """\
name: "tiny_attributes"
input: "data"
input_shape { dim: 1 dim: 3 dim: 16 dim: 16 }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { pool: AVE kernel_size: 16 } }
layer { name: "fc_gender" type: "InnerProduct" bottom: "pool" top: "fc_gender" inner_product_param { num_output: 2 } }
layer { name: "fc_age" type: "InnerProduct" bottom: "pool" top: "fc_age" inner_product_param { num_output: 3 } }
layer { name: "gender" type: "Softmax" bottom: "fc_gender" top: "gender" }
layer { name: "age" type: "Softmax" bottom: "fc_age" top: "age" }
"""


def write_one_net_pack(folder: Path) -> Path:
    """Write the pack into `folder` and return it."""
    write_tiny_pack(folder)
    layers = [(f"fc_{role}", *layer[1:]) for role, layer in (("gender", GENDER_LAYER), ("age", AGE_LAYER))]
    files = {"prototxt": PROTOTXT.encode(), "caffemodel": as_caffemodel(*layers)}
    manifest = (folder / "pack.toml").read_text()
    for role in ("gender", "age"):
        for suffix, content in files.items():
            name = f"{role}.{suffix}"
            checksum = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            manifest = manifest.replace(name, f"attributes.{suffix}")
            manifest = manifest.replace(checksum, hashlib.sha256(content).hexdigest())
            (folder / name).unlink()
            (folder / f"attributes.{suffix}").write_bytes(content)
        manifest = manifest.replace(f"[{role}]\n", f'[{role}]\noutput = "{role}"\n')
    (folder / "pack.toml").write_text(manifest)
    return folder
