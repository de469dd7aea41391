"""What an ONNX file holds, read without running or loading anything.

ONNX Runtime opens files that a model names (external data) and libraries' operators as soon as it loads the model, so
that a stranger's file must be looked at before. The package `onnx` could, but weighs 100 MB and is wanted for export
alone; Protocol Buffers, the format underneath, is a list of numbered fields and needs no more than `_fields`.
Everything that our own files never hold is refused, and fields are numbered as in onnx/onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["OnnxFileError", "inspect_onnx"]

# ModelProto
_GRAPH, _OPSET, _METADATA, _TRAINING, _FUNCTIONS = 7, 8, 14, 20, 25
# GraphProto
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
# NodeProto and AttributeProto
_ATTRIBUTE, _NODE_DOMAIN, _TENSOR, _TENSORS = 5, 7, 5, 10
_REFUSED_ATTRIBUTES = {6: "a subgraph", 11: "subgraphs", 22: "a sparse tensor", 23: "sparse tensors"}
# TensorProto
_DATA_TYPE, _FLOAT_DATA, _INT32_DATA, _RAW_DATA, _DOUBLE_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 2, 4, 5, 9, 10, 13, 14
_FLOATS: dict[object, str] = {1: "<f4", 10: "<f2", 11: "<f8"}  # values of data_type -> their bytes in raw_data

_STANDARD = {b"", b"ai.onnx"}  # domains

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


class OnnxFileError(ValueError):
    """The file is no ONNX, or holds what is not for us to load; the message is the end of a sentence."""


def inspect_onnx(content: bytes) -> dict[str, str]:
    """Check a model, and return its metadata.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    dict of str to str
        ``metadata_props``.

    Raises
    ------
    OnnxFileError
        It is no ONNX; it has external data, operators that ONNX does not define, functions, subgraphs or sparse
        tensors; or a weight is not finite.

    Notes
    -----
    The wire format: https://protobuf.dev/programming-guides/encoding/
    """
    metadata: dict[str, str] = {}
    graphs = 0
    for field, value in _fields(content):
        if field in {_TRAINING, _FUNCTIONS}:
            msg = "has training steps or functions of its own, which are refused"
            raise OnnxFileError(msg)
        if field == _OPSET:
            _check_domain(_text(value, 1))
        if field == _METADATA:
            metadata[_text(value, 1).decode(errors="replace")] = _text(value, 2).decode(errors="replace")
        if field == _GRAPH:
            graphs += 1
            _check_graph(value)
    if graphs != 1:
        msg = "is no ONNX model"
        raise OnnxFileError(msg)
    return metadata


def _check_graph(graph) -> None:
    for field, value in _fields(graph):
        if field == _SPARSE_INITIALIZER:
            msg = "has a sparse tensor, which is refused"
            raise OnnxFileError(msg)
        if field == _INITIALIZER:
            _check_tensor(value)
        if field == _NODE:
            _check_node(value)


def _check_node(node) -> None:
    _check_domain(_text(node, _NODE_DOMAIN))
    for field, attribute in _fields(node):
        if field != _ATTRIBUTE:
            continue
        for part, value in _fields(attribute):
            if part in _REFUSED_ATTRIBUTES:
                msg = f"has {_REFUSED_ATTRIBUTES[part]}, which is refused"
                raise OnnxFileError(msg)
            if part in {_TENSOR, _TENSORS}:
                _check_tensor(value)


def _check_domain(domain: bytes) -> None:
    if domain not in _STANDARD:
        name = domain.decode(errors="replace")[:40]
        msg = f"has operators of the domain {name!r}, and only those of ONNX itself are run"
        raise OnnxFileError(msg)


def _check_tensor(tensor) -> None:
    # Any mention is refused, and not only what the last one says: readers differ in what they make of two.
    fields = list(_fields(tensor))
    if any(field in {_EXTERNAL_DATA, _DATA_LOCATION} for field, _ in fields):
        msg = "keeps weights in another file (external data), which is refused"
        raise OnnxFileError(msg)
    raw = next((_FLOATS.get(value) for field, value in reversed(fields) if field == _DATA_TYPE), None)
    if raw == "<f2" and any(field == _INT32_DATA for field, _ in fields):
        msg = "has float16 weights written as integers, which is refused"
        raise OnnxFileError(msg)
    for field, value in fields:
        kind = {_RAW_DATA: raw, _FLOAT_DATA: "<f4", _DOUBLE_DATA: "<f8"}.get(field)
        if kind and not np.isfinite(_numbers(value, kind)).all():
            msg = "has a weight that is not a finite number"
            raise OnnxFileError(msg)


def _numbers(value, kind: str) -> np.ndarray:
    try:
        return np.frombuffer(value, dtype=kind)
    except (TypeError, ValueError):
        msg = "is no ONNX model, or is damaged"
        raise OnnxFileError(msg) from None


def _text(message, wanted: int) -> bytes:
    """A text field: the last one, as Protocol Buffers has it."""
    found = b""
    for field, value in _fields(message):
        if field == wanted and not isinstance(value, int):
            found = bytes(value)
    return found


def _fields(message) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message."""
    if isinstance(message, int):
        msg = "is no ONNX model, or is damaged"
        raise OnnxFileError(msg)
    view, at = memoryview(message), 0
    while at < len(view):
        tag, at = _varint(view, at)
        kind, field = tag & 7, tag >> 3
        if not 0 < field < 1 << 29:  # other readers would cut a longer one, and find another field
            msg = "is no ONNX model, or is damaged"
            raise OnnxFileError(msg)
        if kind == _VARINT:
            value, at = _varint(view, at)
            yield field, value
            continue
        if kind == _BYTES:
            length, at = _varint(view, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if not 0 <= length <= len(view) - at:
            msg = "is no ONNX model, or is damaged"
            raise OnnxFileError(msg)
        yield field, view[at : at + length]
        at += length


def _varint(view, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            break
        byte, at = view[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    msg = "is no ONNX model, or is damaged"
    raise OnnxFileError(msg)
