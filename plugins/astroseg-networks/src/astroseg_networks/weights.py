"""Files of weights: found by name, read without trusting them, each with its model card.

The master is a safetensors file of float16; the ONNX files made from it lie beside it and say which master they are
from. Both are plain data, and whatever else a file may hold ends in one line. Neither torch nor onnx is needed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from astroseg.errors import AstrosegError
from astroseg_networks.onnx_file import OnnxFileError, inspect_onnx

__all__ = [
    "CARD_KEYS",
    "Weights",
    "WeightsError",
    "check_card",
    "find_weights",
    "hash_file",
    "master_of",
    "read_card",
    "read_tensors",
    "read_weights",
]

#: What every model card says.
CARD_KEYS = ("architecture", "normalisation", "calibration", "data", "seed", "command", "scores", "licence")

FOLDER = Path(__file__).parent / "weights"
LARGEST_FILE = 64_000_000  # bytes
LARGEST_CARD = 1_000_000  # characters
_LARGEST_ARGUMENT = 4096  # of an architecture: channels, blocks
_DTYPES: dict[str, np.dtype] = {"F16": np.dtype("<f2"), "I64": np.dtype("<i8")}  # I64: batch norm counts its batches


class WeightsError(AstrosegError):
    """A file of weights cannot be used."""


@dataclass(frozen=True)
class Weights:
    """A file of weights and what it says of itself.

    Parameters
    ----------
    path : `~pathlib.Path`
    content : bytes
        The whole file, so that what was checked is what is used.
    sha256 : str
    card : dict
        The model card, with `CARD_KEYS`.
    """

    path: Path
    content: bytes
    sha256: str
    card: dict[str, Any]

    @property
    def architecture(self) -> str:
        """Name of the network."""
        return self.card["architecture"]["name"]

    @property
    def arguments(self) -> dict[str, int | tuple[int, ...]]:
        """What the network is constructed with."""
        items = self.card["architecture"].items()
        return {name: tuple(value) if isinstance(value, list) else value for name, value in items if name != "name"}


def find_weights(name: str) -> Path:
    """Find a file of weights.

    Parameters
    ----------
    name : str
        A name that ships with the package, such as "unet" or "unet.int8" (the ONNX file is returned), or the path of
        an ``.onnx`` or ``.safetensors`` file.

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    WeightsError
        There are no such weights.
    """
    shipped = {path.stem: path for path in FOLDER.glob("*.onnx")}
    if name in shipped:
        return shipped[name]
    path = Path(name).expanduser()
    if path.suffix in {".onnx", ".safetensors"}:
        return path
    if path.is_file():
        msg = f"Weights are .onnx or .safetensors, and never pickles: {name} is not read."
        raise WeightsError(msg)
    known = ", ".join(sorted(shipped)) or "none"
    msg = f"No weights named {name!r}. Shipped: {known}. A file ends in .onnx or .safetensors."
    raise WeightsError(msg)


def master_of(path: Path) -> Path:
    """Where the master of an ONNX file lies: beside it.

    Parameters
    ----------
    path : `~pathlib.Path`
        ``NAME.onnx`` or ``NAME.int8.onnx``.
    """
    return path.with_name(path.name.removesuffix(".onnx").removesuffix(".int8") + ".safetensors")


def read_weights(path: Path) -> Weights:
    """Read a file of weights; nothing in it is executed.

    Parameters
    ----------
    path : `~pathlib.Path`
        ``.onnx`` or ``.safetensors``.

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        The file cannot be read, is damaged, has no proper card, is not from the master that lies beside it, or holds
        what an honest file of weights has no need of.
    """
    content = _content(path)
    metadata = _onnx_metadata(path, content) if path.suffix == ".onnx" else _safetensors_metadata(path, content)
    card = _card(path, metadata)
    if path.suffix == ".onnx":
        _check_master(path, metadata)
    return Weights(path, content, _sha256(content), card)


def hash_file(path: Path) -> str:
    """SHA-256 of a file of weights, of which nothing is checked but its size.

    Parameters
    ----------
    path : `~pathlib.Path`
    """
    return _sha256(_content(path))


def read_card(path: Path) -> dict[str, Any]:
    """Read the model card of a file of weights; see `read_weights`."""
    return read_weights(path).card


def read_tensors(weights: Weights) -> dict[str, np.ndarray]:
    """Read the tensors of a master.

    Parameters
    ----------
    weights : Weights
        Of a safetensors file.

    Returns
    -------
    dict of `~numpy.ndarray`
        float32 where the file has float16, and int64.

    Raises
    ------
    WeightsError
        A tensor has another dtype, or a value that is not finite.
    """
    tensors = {}
    for name, tensor in safetensors.deserialize(weights.content):
        kind = tensor["dtype"]
        if kind not in _DTYPES:
            raise _refused(weights.path, f"has the tensor {name!r} in {kind}, and not in F16")
        values = np.frombuffer(tensor["data"], dtype=_DTYPES[kind]).reshape(tensor["shape"])
        if not np.isfinite(values).all():
            raise _refused(weights.path, f"has a value in {name!r} that is not a finite number")
        tensors[name] = values.astype(np.float32 if kind == "F16" else np.int64)
    return tensors


def check_card(card: Any) -> str:
    """Check a model card.

    Parameters
    ----------
    card : object
        What the JSON text holds.

    Returns
    -------
    str
        What is wrong, as the end of a sentence; empty where nothing is.
    """
    if not isinstance(card, dict):
        return "has a model card that is not a JSON object"
    missing = [key for key in CARD_KEYS if key not in card]
    if missing:
        return f"has a model card without {', '.join(missing)}"
    return _architecture_trouble(card["architecture"]) or _calibration_trouble(card["calibration"])


def _architecture_trouble(architecture) -> str:
    if not isinstance(architecture, dict) or not isinstance(architecture.get("name"), str):
        return "has a model card whose architecture has no name"
    wrong = [name for name, value in architecture.items() if name != "name" and not _is_argument(value)]
    if wrong:
        return f"has a model card whose architecture has a {wrong[0]!r} that is not one or a few sensible integers"
    return ""


def _calibration_trouble(calibration) -> str:
    if not isinstance(calibration, dict) or not all(map(_is_curve, calibration.values())):
        return "has a model card whose calibration is not made of numbers and of lists of rising numbers"
    lengths = {len(values) for values in calibration.values() if isinstance(values, list)}
    return "has a model card whose calibration has lists of unequal length" if len(lengths) > 1 else ""


def _is_argument(value) -> bool:
    values = value if isinstance(value, list) else [value]
    return 0 < len(values) <= 16 and all(type(item) is int and 0 < item <= _LARGEST_ARGUMENT for item in values)


def _is_curve(value) -> bool:
    values = value if isinstance(value, list) else [value]
    numbers = bool(values) and all(type(item) in {int, float} and -1e9 < item < 1e9 for item in values)
    return numbers and all(low <= high for low, high in pairwise(values))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        msg = f"Cannot read the weights {path}: {error.strerror or error}."
        raise WeightsError(msg) from None
    if len(content) > LARGEST_FILE:
        raise _refused(path, f"is larger than {LARGEST_FILE // 1_000_000} MB")
    if not content:
        raise _refused(path, "is empty")
    return content


def _onnx_metadata(path: Path, content: bytes) -> dict[str, str]:
    try:
        return inspect_onnx(content)
    except OnnxFileError as error:
        raise _refused(path, str(error)) from None


def _safetensors_metadata(path: Path, content: bytes) -> dict[str, str]:
    try:
        safetensors.deserialize(content)  # checks that the header is true of the bytes that follow
    except safetensors.SafetensorError:
        raise _refused(path, "is no safetensors file, or is damaged") from None
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]).get("__metadata__") or {}


def _card(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    text = metadata.get("card")
    if text is None:
        raise _refused(path, "has no model card: it was not made by astroseg train")
    if len(text) > LARGEST_CARD:
        raise _refused(path, "has a model card that is too long")
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        raise _refused(path, "has a model card that is not JSON") from None
    if trouble := check_card(card):
        raise _refused(path, trouble)
    return card


def _check_master(path: Path, metadata: Mapping[str, str]) -> None:
    if "master_sha256" not in metadata:
        raise _refused(path, "does not say which master it was made from")
    master = master_of(path)
    if master.is_file() and _sha256(_content(master)) != metadata["master_sha256"]:
        raise _refused(path, f"was not made from the {master.name} beside it (another sha256)")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _refused(path: Path, why: str) -> WeightsError:
    return WeightsError(f"Cannot use the weights {path}: the file {why}.")
