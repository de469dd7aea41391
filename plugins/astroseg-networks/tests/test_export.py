"""The files that ship: equal to the network, equal to themselves."""

import logging

import onnx
import pytest
import torch
from astroseg_networks.export import export_int8, export_onnx, save_master
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
        assert abs(values - expected[name].numpy()).max() < 1e-4 * max(1, abs(values).max())


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


def test_batch_norm_is_folded_and_int8_keeps_its_heads(files):
    whole, small = (onnx.load(path).graph for path in (files.onnx, files.int8))
    assert not [node for node in whole.node if node.op_type == "BatchNormalization"]
    makers = {output: node.op_type for node in small.node for output in node.output}
    weights = {node.name: makers.get(node.input[1]) for node in small.node if node.op_type == "Conv"}
    assert sorted(map(str, weights.values())).count("None") == 2  # plain float32: the last of each head
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
