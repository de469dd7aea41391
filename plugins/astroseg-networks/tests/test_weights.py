"""Weights of strangers: each hostile kind ends in one line, and nothing is executed."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra train")

import onnx
from astroseg_networks import weights
from astroseg_networks.onnx_file import OnnxFileError, inspect_onnx
from astroseg_networks.runtime import open_runtime
from astroseg_networks.weights import WeightsError, find_weights, master_of, read_card, read_weights
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from astroseg.errors import AstrosegError


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def change_tensors(change):
    """A master whose tensors are changed."""

    def make(files, folder):
        tensors = load_file(files.master)
        change(tensors)
        path = folder / "bad.safetensors"
        save_file(tensors, path, {"card": json.dumps(read_card(files.master))})
        return path

    return make


def change_card(text):
    """A master with this text for its card, or one that a function makes of the true card."""

    def make(files, folder):
        path = folder / "bad.safetensors"
        card = text(read_card(files.master)) if callable(text) else text
        save_file(load_file(files.master), path, {} if card is None else {"card": card})
        return path

    return make


def argument(name, value):
    """A master whose card gives the architecture another argument."""
    return change_card(lambda card: json.dumps(card | {"architecture": card["architecture"] | {name: value}}))


def calibration(curves):
    """A master whose card has this calibration."""
    return change_card(lambda card: json.dumps(card | {"calibration": curves}))


def change_onnx(change):
    """An ONNX file that is changed."""

    def make(files, folder):
        model = onnx.load(files.onnx)
        change(model)
        path = folder / "bad.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def content(name, data):
    """A file of these bytes, or of those that a function makes of the files and the folder."""

    def make(files, folder):
        path = folder / name
        path.write_bytes(data(files, folder) if callable(data) else data)
        return path

    return make


def as_torch_saves(files, folder):
    with zipfile.ZipFile(folder / "zip", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(folder / "executed")))
    return (folder / "zip").read_bytes()


def as_pickle(files, folder):
    return pickle.dumps(Bomb(folder / "executed"))


def directory(files, folder):
    path = folder / "bad.onnx"
    path.mkdir()
    return path


def of_another_master(files, folder):
    (folder / "bad.onnx").write_bytes(files.onnx.read_bytes())
    change_tensors(lambda tensors: tensors["stem.0.weight"].fill(0))(files, folder)
    return folder / "bad.onnx"


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def external_in_memory(model):
    """ONNX Runtime's own tag for an address in its memory."""
    external(model)
    model.graph.initializer[0].external_data[0].value = "*/_ORT_MEM_ADDR_/*"


def external_attribute(model):
    tensor = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
    tensor.external_data.add(key="location", value="secret")
    model.graph.node.append(helper.make_node("Constant", [], ["constant"], value=tensor))


def custom_domain(model):
    model.graph.node[3].domain = "com.stranger"
    model.opset_import.append(helper.make_opsetid("com.stranger", 1))


def subgraph(model):
    branch = helper.make_graph([], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def function(model):
    model.functions.append(helper.make_function("stranger", "f", ["x"], ["x"], [], []))


def sparse(model):
    values, indices = (
        helper.make_tensor(name, kind, [1], [0]) for name, kind in (("v", TensorProto.FLOAT), ("i", TensorProto.INT64))
    )
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1, 1]))


def stem(model):
    return next(item for item in model.graph.initializer if item.name == "stem.0.weight.float16")


def not_a_number(model):
    tensor = stem(model)
    tensor.raw_data = np.full(list(tensor.dims), np.nan, "f2").tobytes()


def not_a_number_in_float_data(model):
    model.graph.initializer.append(helper.make_tensor("stranger", TensorProto.FLOAT, [1], [np.nan]))


def not_a_number_in_int32_data(model):
    model.graph.initializer.append(helper.make_tensor("stranger", TensorProto.FLOAT16, [1], [np.nan]))


def wrong_shapes(model):
    tensor = stem(model)
    tensor.dims[1] //= 2
    tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]


def metadata(key, value):
    def change(model):
        kept = {item.key: item.value for item in model.metadata_props} | {key: value}
        model.ClearField("metadata_props")
        helper.set_model_props(model, {name: text for name, text in kept.items() if text is not None})

    return change


def other_architecture(card):
    return json.dumps(card | {"architecture": {"name": "vae"}})


def truncated(files, folder):
    return files.master.read_bytes()[:-100]


def with_infinity(tensors):
    tensors["stem.0.weight"][0] = np.inf


def without_a_tensor(tensors):
    del tensors["up.1.mix.weight"]


def with_another_tensor(tensors):
    tensors["stranger"] = np.zeros(3, "f2")


def of_another_shape(tensors):
    tensors["stem.0.weight"] = tensors["stem.0.weight"][:, :3].copy()


def of_float64(tensors):
    tensors["stem.0.weight"] = tensors["stem.0.weight"].astype("f8")


def of_integers(tensors):
    tensors["stem.0.weight"] = tensors["stem.0.weight"].astype("i8")


HOSTILE = {
    "pickle": (content("bad.pkl", as_pickle), "never pickles"),
    "pt": (content("bad.pt", as_torch_saves), "never pickles"),
    "pickle as safetensors": (content("bad.safetensors", as_pickle), "no safetensors file"),
    "pickle as onnx": (content("bad.onnx", as_pickle), "is no ONNX model"),
    "pt as safetensors": (content("bad.safetensors", as_torch_saves), "no safetensors file"),
    "pt as onnx": (content("bad.onnx", as_torch_saves), "is no ONNX model"),
    "truncated": (content("bad.safetensors", truncated), "damaged"),
    "truncated onnx": (content("bad.onnx", lambda files, _: files.onnx.read_bytes()[:-100]), "damaged"),
    "huge header": (content("bad.safetensors", struct.pack("<Q", 1 << 62) + b"{}"), "damaged"),
    "deep header": (content("bad.safetensors", struct.pack("<Q", 100_000) + b"[" * 100_000), "damaged"),
    "empty": (content("bad.safetensors", b""), "is empty"),
    "empty onnx": (content("bad.onnx", b""), "is empty"),
    "directory": (directory, "Is a directory"),
    "absent": (lambda _, folder: folder / "bad.onnx", "No such file"),
    "wrong shape": (change_tensors(of_another_shape), "'stem.0.weight' is float32 of shape"),
    "missing tensor": (change_tensors(without_a_tensor), "'up.1.mix.weight' is nothing"),
    "extra tensor": (change_tensors(with_another_tensor), "'stranger' is float32"),
    "wrong dtype": (change_tensors(of_float64), "in F64, and not in F16"),
    "integers": (change_tensors(of_integers), "is int64 of shape"),
    "infinite": (change_tensors(with_infinity), "not a finite number"),
    "no card": (change_card(None), "has no model card"),
    "card not json": (change_card("{'a': 1"), "not JSON"),
    "deep card": (change_card("[" * 100_000), "not JSON"),
    "long card": (change_card(" " * 1_000_001), "too long"),
    "card a list": (change_card("[]"), "not a JSON object"),
    "card with gaps": (change_card('{"architecture": {}, "seed": 1}'), "without normalisation, calibration"),
    "other architecture": (change_card(other_architecture), "of 'vae', not of 'unet'"),
    "huge argument": (argument("widths", [10**12] * 4), "not one or a few sensible integers"),
    "text for an argument": (argument("widths", "__import__('os')"), "not one or a few sensible integers"),
    "unknown argument": (argument("stranger", 1), "wrong arguments"),
    "uneven arguments": (argument("depths", [1]), "wrong arguments"),
    "large network": (argument("widths", [4096] * 4), "has float32 of shape"),
    "calibration": (calibration({"score": [10**400], "logit": ["x"]}), "calibration is not made of"),
    "calibration that falls": (calibration({"score": [0, 1], "logit": [1, 0]}), "calibration is not made of"),
    "calibration of unequal lengths": (calibration({"score": [0, 1], "logit": [0]}), "unequal length"),
    "no calibration": (calibration({}), "has no list 'score'"),
    "calibration of one number": (calibration({"score": 0.0, "logit": [0, 1]}), "has no list 'score'"),
    "half a calibration": (calibration({"score": [0, 1]}), "has no list 'logit'"),
    "onnx of another master": (of_another_master, "another sha256"),
    "onnx of no master": (change_onnx(metadata("master_sha256", None)), "does not say which master"),
    "onnx without card": (change_onnx(metadata("card", None)), "has no model card"),
    "onnx with another card": (
        change_onnx(
            lambda model: metadata("card", other_architecture(json.loads(model.metadata_props[0].value)))(model)
        ),
        "of 'vae', not of 'unet'",
    ),
    "external data": (change_onnx(external), "external data"),
    "external data in memory": (change_onnx(external_in_memory), "external data"),
    "external data of an attribute": (change_onnx(external_attribute), "external data"),
    "custom domain": (change_onnx(custom_domain), "domain 'com.stranger'"),
    "Microsoft's operators": (
        change_onnx(lambda model: setattr(model.graph.node[3], "domain", "com.microsoft")),
        "domain",
    ),
    "subgraph": (change_onnx(subgraph), "a subgraph"),
    "function": (change_onnx(function), "functions of its own"),
    "sparse": (change_onnx(sparse), "sparse tensor"),
    "onnx with nan": (change_onnx(not_a_number), "not a finite number"),
    "onnx with nan in float_data": (change_onnx(not_a_number_in_float_data), "not a finite number"),
    "onnx with nan as an integer": (change_onnx(not_a_number_in_int32_data), "float16 weights written as integers"),
    "onnx of wrong shapes": (change_onnx(wrong_shapes), "the model fails on shape (1, 2, 32, 32)"),
    "onnx of an unknown operator": (
        change_onnx(lambda model: setattr(model.graph.node[3], "op_type", "Stranger")),
        "ONNX Runtime refuses the model",
    ),
    "onnx with two graphs": (
        content("bad.onnx", lambda files, _: files.onnx.read_bytes() + b"\x3a\x00"),
        "is no ONNX model",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_weights(files, build, tmp_path, capfd, kind):
    make, message = HOSTILE[kind]
    path = make(files, tmp_path)
    with pytest.raises(AstrosegError) as raised:
        open_runtime(str(path), "unet", "cpu", build, curves=("score", "logit"))(np.zeros((1, 2, 32, 32), "f4"))
    said = str(raised.value)
    assert message in said
    assert "\n" not in said
    assert str(path) in said
    assert raised.value.exit_status == 1
    assert not (tmp_path / "executed").exists()
    assert "".join(capfd.readouterr()) == ""


def test_too_large(files, build, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "LARGEST_FILE", 1_000_000)
    path = tmp_path / "large.onnx"
    path.write_bytes(b"\x00" * 1_000_001)
    with pytest.raises(WeightsError, match="is larger than 1 MB"):
        read_weights(path)


def test_any_damage_ends_in_one_line(files):
    """Bytes at random places, changed at random: refused, or no harm to the reader."""
    rng = np.random.default_rng(0)
    whole = files.onnx.read_bytes()
    graph_at = np.arange(len(whole))[:20_000]
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.choice(graph_at, 3):
            damaged[at] = rng.integers(256)
        try:
            inspect_onnx(bytes(damaged))
        except OnnxFileError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    "data",
    [b"\x80" * 11, b"\xba\x80\x80\x80\x80\x10\x00", b"\x3b\x00", b"\x3a\x05\x00", b"\x38\x01", b"\x00\x00", b"\x3a"],
    ids=["endless number", "field of 33 bits", "group", "too short", "graph a number", "field 0", "no length"],
)
def test_what_protocol_buffers_refuse(data):
    with pytest.raises(OnnxFileError, match="is no ONNX model, or is damaged"):
        inspect_onnx(data)


def test_reads_what_onnx_reads(files):
    for path in (files.onnx, files.int8):
        expected = {item.key: item.value for item in onnx.load(path).metadata_props}
        assert inspect_onnx(path.read_bytes()) == expected


def test_find_weights(files, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", files.folder)
    assert find_weights("small") == files.onnx
    assert find_weights("small.int8") == files.int8
    assert find_weights("elsewhere/x.safetensors").name == "x.safetensors"
    for name in ("tiny", "../small", "", "small.onnx.pt"):
        with pytest.raises(WeightsError, match=r"No weights named .* Shipped: small, small.int8"):
            find_weights(name)


def test_shipped_files_are_small():
    assert {path.name for path in weights.FOLDER.iterdir() if path.stat().st_size > 6_000_000} == set()


def test_master_of(tmp_path):
    assert master_of(tmp_path / "a.onnx") == master_of(tmp_path / "a.int8.onnx") == tmp_path / "a.safetensors"
