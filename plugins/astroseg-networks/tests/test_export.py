"""The files that ship: equal to the network, equal to themselves."""

import logging

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnxscript", reason="needs the extra train")

import onnx
import torch
from astroseg_networks.export import _store_as_float16, export_int8, export_onnx, save_master
from astroseg_networks.runtime import load_network, open_runtime
from astroseg_networks.unet import HEADS
from astroseg_networks.weights import WeightsError, read_card, read_weights

SIZES = [(1, 32, 32), (3, 96, 64), (2, 16, 160)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_onnx_is_the_master_in_float32(files, build, sky, size):
    batch = sky(*size, seed=5)
    network = load_network(read_weights(files.master), build)
    with torch.inference_mode():
        expected = network(torch.from_numpy(batch))
    answer = open_runtime(str(files.onnx), "unet", "cpu", build)(batch)
    assert list(answer) == list(HEADS)
    for name, values in answer.items():
        assert values.shape == (size[0], HEADS[name], *size[1:])
        assert abs(values - expected[name].numpy()).max() < 1e-5 * max(1, abs(values).max())


def test_int8_is_close(files, build, sky):
    batch = sky(2, 128, 128, seed=9)
    exact = open_runtime(str(files.onnx), "unet", "cpu", build)(batch)
    near = open_runtime(str(files.int8), "unet", "cpu", build)(batch)
    for name, values in exact.items():
        assert (near[name] - values).std() < 0.1 * values.std(), name


def test_the_master_is_rounded_to_float16(files, network, build):
    loaded = load_network(read_weights(files.master), build).state_dict()
    for name, tensor in network.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded[name], expected), name


def test_all_carry_the_card_and_the_master(files, card):
    assert read_card(files.master) == read_card(files.onnx) == read_card(files.int8) == card
    sha256 = read_weights(files.master).sha256
    for path in (files.onnx, files.int8):
        assert {item.key: item.value for item in onnx.load(path).metadata_props}["master_sha256"] == sha256


def test_onnx_holds_the_numbers_of_the_master(files, network):
    graph = onnx.load(files.onnx).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert {values.dtype.name for values in stored.values()} == {"float16", "int64"}
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            np.testing.assert_array_equal(stored[f"{name}.float16"], tensor.half().numpy())


def test_onnx_runtime_casts_and_folds(files, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(files.onnx, options, providers=["CPUExecutionProvider"])
    paths = (files.onnx, tmp_path / "optimised.onnx")
    before, after = ({node.op_type for node in onnx.load(path).graph.node} for path in paths)
    assert {"BatchNormalization", "Cast"} <= before
    assert not {"BatchNormalization", "Cast"} & after


def test_float16_where_it_is_exact():
    tensors = {"exact": [0.5, -65504, 2**-24], "tenth": [0.5, 0.1], "large": [65536.0], "tiny": [2**-25]}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["exact"], ["y"])],
        "graph",
        [],
        [],
        [onnx.numpy_helper.from_array(np.array(values, "f4"), name) for name, values in tensors.items()]
        + [onnx.numpy_helper.from_array(np.array([1]), "integer")],
    )
    _store_as_float16(graph)
    kinds = {tensor.name: onnx.numpy_helper.to_array(tensor).dtype.name for tensor in graph.initializer}
    assert kinds == {
        "exact.float16": "float16", "tenth": "float32", "large": "float32", "tiny": "float32", "integer": "int64",
    }  # fmt: skip
    assert [(node.op_type, list(node.input), list(node.output)) for node in graph.node] == [
        ("Cast", ["exact.float16"], ["exact"]),
        ("Neg", ["exact"], ["y"]),
    ]


def test_int8_is_small_and_keeps_its_heads(files):
    graph = onnx.load(files.int8).graph
    makers = {output: node for node in graph.node for output in node.output}
    weights = [makers.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    assert weights.count(None) == 2  # plain float32: the last of each head
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]
    scales = {tensor.name: tensor for tensor in graph.initializer}
    for maker in filter(None, weights):
        assert maker.op_type == "DequantizeLinear"
        assert scales[maker.input[1]].dims == scales[maker.input[0]].dims[:1]  # one scale a channel
    assert len(files.int8.read_bytes()) < len(files.onnx.read_bytes())


def test_same_bytes_twice(files, network, card, build, sky, tmp_path):
    master = save_master(network, card, tmp_path / "small.safetensors")
    again = export_onnx(master, build, sky(2, 48, 64))
    export_int8(again, [sky(1, 128, 128, seed) for seed in range(4)])
    for path in files.folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_says_nothing_and_leaves_nothing(files, caplog, capfd, build, sky, tmp_path):
    (tmp_path / "small.safetensors").write_bytes(files.master.read_bytes())
    made = export_onnx(tmp_path / "small.safetensors", build, sky(2, 48, 64))
    export_int8(made, [sky(1, 64, 64)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.int8.onnx", "small.onnx", "small.safetensors"]
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]
    assert "".join(capfd.readouterr()) == ""


def test_a_card_with_gaps_is_not_saved(network, card, tmp_path):
    with pytest.raises(WeightsError, match="without licence"):
        save_master(network, {key: card[key] for key in card if key != "licence"}, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_weights_that_float16_cannot_hold_are_not_saved(card, tmp_path):
    network = torch.nn.Linear(1, 1)
    network.weight.data.fill_(1e6)
    with pytest.raises(WeightsError, match="'weight' is not finite, or too large for float16"):
        save_master(network, card, tmp_path / "x.safetensors")
