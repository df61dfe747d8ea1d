"""A pack with a net of EDSR's shape and random weights: right for time and memory, meaningless as an image.

The graph is that of the official `EDSR_x3.pb`, node by node as TensorFlow froze it: 32 residual blocks of 128 channels
(Lim et al., 2017), 9.6 million weights, BGR in 0..255 less the mean, DepthToSpace at the end.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.protobuf import message, number
from visage.directories import BUNDLED_MODELS

BLOCKS, CHANNELS, SCALE = 32, 128, 3

# Factor of the output of a residual block (Lim et al., 2017).
RESIDUAL_SCALE = 0.1

# Field numbers of TensorFlow's graph.proto, node_def.proto, attr_value.proto and tensor.proto.
_GRAPH_NODE = 1
_NODE_NAME, _NODE_OP, _NODE_INPUT, _NODE_ATTRIBUTE = 1, 2, 3, 5
_LIST, _TEXT, _INTEGER, _TYPE, _TENSOR = 1, 2, 3, 6, 8
_TENSOR_TYPE, _TENSOR_SHAPE, _TENSOR_CONTENT = 1, 2, 4
_FLOAT, _INT32 = 1, 3


@dataclass
class Graph:
    """A frozen graph, built node by node. Each method adds a node and returns its name."""

    nodes: list[bytes] = field(default_factory=list)

    def add(self, op: str, name: str, inputs: Sequence[str] = (), **attributes: bytes) -> str:
        entries = {"T": number(_TYPE, _FLOAT)} | attributes
        self.nodes.append(
            message(
                _GRAPH_NODE,
                message(_NODE_NAME, name.encode()),
                message(_NODE_OP, op.encode()),
                *(message(_NODE_INPUT, each.encode()) for each in inputs),
                *(message(_NODE_ATTRIBUTE, _entry(key, value)) for key, value in entries.items()),
            )
        )
        return name

    def constant(self, name: str, values: NDArray[np.float32] | NDArray[np.int32]) -> str:
        kind = _INT32 if values.dtype == np.int32 else _FLOAT
        shape = message(_TENSOR_SHAPE, *(message(2, number(1, side)) for side in values.shape))
        tensor = number(_TENSOR_TYPE, kind) + shape + message(_TENSOR_CONTENT, values.tobytes())
        return self.add("Const", name, dtype=number(_TYPE, kind), value=message(_TENSOR, tensor))

    def convolve(self, name: str, maps: str, kernel: NDArray[np.float32]) -> str:
        """A convolution of stride 1 with a kernel (height, width, inputs, outputs) and a bias of zeros."""
        convolved = self.add(
            "Conv2D",
            name,
            [maps, self.constant(f"{name}/kernel", kernel)],
            strides=message(_LIST, message(3, b"\1\1\1\1")),
            padding=message(_TEXT, b"SAME"),
            data_format=message(_TEXT, b"NHWC"),
        )
        bias = self.constant(f"{name}/bias", np.zeros(kernel.shape[3], np.float32))
        return self.add("Add", f"{name}/add", [convolved, bias])


def write_pack(folder: Path) -> Path:
    """Write the graph and a manifest like that of `edsr` into `folder`, unless they exist, and return `folder`."""
    manifest = folder / "pack.toml"
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        content = graph(kernels(BLOCKS, CHANNELS))
        (folder / "EDSR_x3.pb").write_bytes(content)
        official = (BUNDLED_MODELS / "edsr" / "pack.toml").read_text().split("[superres.source]")[0]
        checksum = f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        manifest.write_text(official.replace('"edsr"', '"edsr-shaped"').rstrip() + f"\n{checksum}")
    return folder


def kernels(blocks: int, channels: int) -> dict[str, NDArray[np.float32]]:
    """Random kernels (3, 3, inputs, outputs) by name, initialized as Glorot and Bengio (2010) do."""
    rng = np.random.default_rng(0)
    shapes = {"first": (3, channels)}
    shapes |= {f"block{block}/{part}": (channels, channels) for block in range(blocks) for part in ("one", "two")}
    shapes |= {"second": (channels, channels), "third": (channels, 3 * SCALE**2)}
    made = {}
    for name, (inputs, outputs) in shapes.items():
        limit = np.sqrt(6 / (9 * (inputs + outputs)))
        made[name] = rng.uniform(-limit, limit, (3, 3, inputs, outputs)).astype(np.float32)
    return made


def graph(weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The bytes of the frozen graph of an EDSR with these kernels."""
    net = Graph()
    net.add("Placeholder", "IteratorGetNext", dtype=number(_TYPE, _FLOAT))
    scale = net.constant("residual_scale", np.array(RESIDUAL_SCALE, np.float32))
    first = maps = net.convolve("first", "IteratorGetNext", weights["first"])
    for block in range((len(weights) - 3) // 2):
        inner = net.add(
            "Relu", f"block{block}/relu", [net.convolve(f"block{block}/one", maps, weights[f"block{block}/one"])]
        )
        inner = net.convolve(f"block{block}/two", inner, weights[f"block{block}/two"])
        inner = net.add("Mul", f"block{block}/scaled", [inner, scale])
        maps = net.add("Add", f"block{block}/out", [maps, inner])
    maps = net.add("Add", "skip", [net.convolve("second", maps, weights["second"]), first])
    maps = net.convolve("third", maps, weights["third"])
    maps = net.add(
        "DepthToSpace", "NHWC_output", [maps], block_size=number(_INTEGER, SCALE), data_format=message(_TEXT, b"NHWC")
    )
    order = net.constant("NCHW_output/perm", np.array([0, 3, 1, 2], np.int32))
    net.add("Transpose", "NCHW_output", [maps, order], Tperm=number(_TYPE, _INT32))
    return b"".join(net.nodes)


def _entry(key: str, value: bytes) -> bytes:
    return message(1, key.encode()) + message(2, value)
