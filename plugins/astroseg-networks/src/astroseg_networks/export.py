"""From a trained network to the files that ship: the master, and the two ONNX files made from it.

The master is stored as float16 and computed in float32: half the size, and the rounding is part of the network: the
trainers round before they score. The ONNX file holds the same numbers, and a cast to float32 for each tensor:
ONNX Runtime casts them, and folds batch norm into the convolutions, when it loads the file. Folded here they would be
no float16 any more: twice the size, or rounded once more.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxscript import optimizer
from safetensors.torch import save

from astroseg_networks.runtime import Build, load_network
from astroseg_networks.weights import WeightsError, check_card, read_weights

__all__ = ["export_int8", "export_onnx", "save_master"]

OPSET = 20  # DequantizeLinear and Resize as ONNX Runtime 1.20 and later run them fastest
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_QUANTISED = ["Add", "Conv", "MaxPool", "Relu", "Resize"]


def save_master(network: torch.nn.Module, card: Mapping[str, Any], path: Path) -> Path:
    """Save a network as the master of its weights.

    Parameters
    ----------
    network : `torch.nn.Module`
    card : mapping
        The model card, with `astroseg_networks.weights.CARD_KEYS`.
    path : `~pathlib.Path`
        ``NAME.safetensors``.

    Returns
    -------
    `~pathlib.Path`
        ``path``.

    Raises
    ------
    WeightsError
        The card is not complete, or a weight is not finite or too large for float16.
    """
    text = json.dumps(card, sort_keys=True)
    if trouble := check_card(json.loads(text)):
        msg = f"Cannot save {path}: it {trouble}."
        raise WeightsError(msg)
    tensors = {name: _rounded(tensor) for name, tensor in network.state_dict().items()}
    infinite = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if infinite:
        msg = f"Cannot save {path}: {infinite[0]!r} is not finite, or too large for float16."
        raise WeightsError(msg)
    return _write(path, save(tensors, {"card": text}))


def export_onnx(master: Path, build: Build, example: np.ndarray) -> Path:
    """Make the ONNX file of a master.

    Parameters
    ----------
    master : `~pathlib.Path`
        ``NAME.safetensors``.
    build : callable
        Makes the torch module from the arguments in the card.
    example : `~numpy.ndarray` of float32, shape (n, channels, ny, nx)
        A batch, for its shape: n of 2 or more, ny other than nx where the network takes any. In the file n is free, and
        so are ny and nx where the network leaves them so.

    Returns
    -------
    `~pathlib.Path`
        ``NAME.onnx``, beside the master.
    """
    weights = read_weights(master)
    network = load_network(weights, build)
    image = torch.from_numpy(np.asarray(example, dtype=np.float32))
    with torch.inference_mode():
        names = list(network(image))
    free = torch.export.Dim.AUTO
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=names,
            dynamic_shapes=({0: free, 2: free, 3: free},),
            optimize=False,  # it would fold batch norm
            verbose=False,
        )
        assert program is not None
        optimizer.fold_constants(program.model)
        optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    _without_notes(model)
    _store_as_float16(model.graph)
    text = json.dumps(weights.card, sort_keys=True)
    return _save(model, master.with_suffix(".onnx"), {"card": text, "master_sha256": weights.sha256})


def export_int8(path: Path, batches: Iterable[np.ndarray]) -> Path:
    """Quantise an ONNX file to eight bits.

    Parameters
    ----------
    path : `~pathlib.Path`
        ``NAME.onnx``.
    batches : iterable of `~numpy.ndarray` of float32, shape (n, channels, ny, nx)
        What the network will see; the ranges of its features are measured on them.

    Returns
    -------
    `~pathlib.Path`
        ``NAME.int8.onnx``, beside the other.

    Notes
    -----
    Weights are rounded to 7 bits a channel, features to 8 bits without a sign. This pair runs on the fastest integer
    instructions of x86, and with the eighth bit those of processors without VNNI would overflow: the answer would
    depend on the processor. The last layers stay in float32, for integer logits tie between neighbours.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        folded, made = Path(folder) / "folded.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(path, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            made,
            _Batches(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            nodes_to_exclude=_last_layers(onnx.load(folded).graph),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        quantised = onnx.load(made)
    _without_unused_domains(quantised)
    metadata = {item.key: item.value for item in onnx.load(path).metadata_props}
    return _save(quantised, path.with_suffix(".int8.onnx"), metadata)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' talk of what is deprecated in them, and of packages that nobody needs, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Batches(CalibrationDataReader):
    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        self._batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": np.asarray(batch, dtype=np.float32)}


def _last_layers(graph) -> list[str]:
    """Names of the last layer with weights before each output, and of what comes after it."""
    maker = {output: node for node in graph.node for output in node.output}
    waiting = [output.name for output in graph.output]
    last: dict[str, None] = {}
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.name not in last:
            last[node.name] = None
            waiting += [] if node.op_type in _LAYERS else node.input
    return list(last)


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()


def _without_notes(model) -> None:
    """Remove what torch notes about itself: where its sources lie would be in the file, and its bytes differ."""
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    graph.ClearField("value_info")


def _without_unused_domains(model) -> None:
    """Remove the import of operators that ONNX Runtime knows and the model does not use."""
    used = {node.domain for node in model.graph.node}
    kept = [item for item in model.opset_import if item.domain in used]
    model.ClearField("opset_import")
    model.opset_import.extend(kept)


def _store_as_float16(graph) -> None:
    """Store each float32 tensor that float16 holds exactly in that, and cast it in the graph."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half, values):
            name, stored = tensor.name, f"{tensor.name}.float16"
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, stored))
            casts.append(onnx.helper.make_node("Cast", [stored], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)


def _save(model, path: Path, metadata: Mapping[str, str]) -> Path:
    model.ClearField("metadata_props")
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    _write(path, model.SerializeToString(deterministic=True))
    read_weights(path)  # what is refused must not be written
    return path


def _write(path: Path, content: bytes) -> Path:
    """Write a file under another name first, so that an interruption leaves no half of it."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
    return path
