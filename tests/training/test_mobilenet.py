"""The trunk of faceres_deep.onnx in torch gives what the ONNX file gives.

Needs torch and onnxruntime (training/requirements.txt); `make test-training` installs them.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: make test-training installs it")

import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from training.distillation import mobilenet  # noqa: E402

SIDE = 32
OPSET, IR_VERSION = 13, 8


def write_graph(path: Path) -> None:
    """Write a net of random weights with the operators of faceres_deep.onnx: batch norms as factors and summands."""
    rng = np.random.default_rng(5)
    nodes, values = [], []

    def constant(name: str, array: NDArray[np.float64]) -> str:
        values.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    layers = mobilenet.MobileNet().layers
    low, high = constant("low", np.array(0.0)), constant("high", np.array(6.0))
    name = "input"
    for index, layer in enumerate(layers):
        shape = tuple(layer.convolution.weight.shape)
        spread = np.sqrt(2 / np.prod(shape[1:]))
        weight = constant(f"w{index}", rng.normal(0, spread, shape))
        nodes.append(
            helper.make_node(
                "Conv",
                [name, weight],
                [f"c{index}"],
                auto_pad="SAME_UPPER",
                strides=[layer.stride] * 2,
                group=layer.convolution.groups,
                kernel_shape=[layer.kernel] * 2,
            )
        )
        nodes.append(helper.make_node("Transpose", [f"c{index}"], [f"t{index}"], perm=[0, 2, 3, 1]))
        factor = constant(f"f{index}", rng.uniform(0.5, 1.5, shape[0]))
        summand = constant(f"s{index}", rng.normal(0, 0.1, shape[0]))
        nodes.append(helper.make_node("Mul", [f"t{index}", factor], [f"m{index}"]))
        nodes.append(helper.make_node("Add", [f"m{index}", summand], [f"a{index}"]))
        nodes.append(helper.make_node("Relu", [f"a{index}"], [f"r{index}"]))
        nodes.append(helper.make_node("Min", [f"r{index}", high], [f"n{index}"]))
        nodes.append(helper.make_node("Max", [f"n{index}", low], [f"x{index}"]))
        name = f"y{index}"
        nodes.append(helper.make_node("Transpose", [f"x{index}"], [name], perm=[0, 3, 1, 2]))
    nodes.append(helper.make_node("ReduceMean", [name], ["features"], axes=[2, 3], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", mobilenet.FEATURES])],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.save(model, path)


def test_the_torch_module_has_the_features_of_the_file(tmp_path: Path) -> None:
    write_graph(tmp_path / "net.onnx")
    crops = np.random.default_rng(6).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    blob = mobilenet.to_input(crops)

    with torch.no_grad():
        found = mobilenet.load(tmp_path / "net.onnx")(blob).numpy()

    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"input": blob.contiguous().numpy()})[0]
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_another_graph_is_refused(tmp_path: Path) -> None:
    onnx.save(helper.make_model(helper.make_graph([], "empty", [], [])), tmp_path / "net.onnx")

    with pytest.raises(ValueError, match="0 convolutions in place of 27"):
        mobilenet.load(tmp_path / "net.onnx")
