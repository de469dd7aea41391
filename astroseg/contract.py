"""What a finder returns, checked: a plugin that breaks the contract is told so by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from astroseg.errors import PluginError

__all__ = ["valid_labels", "valid_map"]


def valid_map(value: Any, shape: tuple[int, ...], name: str, key: str) -> np.ndarray:
    """Return a map of scores as float32.

    Parameters
    ----------
    value : what the finder returned
    shape : tuple of int
        That it must have.
    name, key : str
        Of the finder and of the map, for the message.

    Raises
    ------
    PluginError
        It has another shape, holds other than real numbers, or NaN.
    """
    value = np.asarray(value)
    if value.shape != shape:
        msg = f"The finder '{name}' returned a {key} map of shape {value.shape}; it must be {shape}."
        raise PluginError(msg)
    if value.dtype.kind not in "bf":
        msg = f"The finder '{name}' returned a {key} map of type {value.dtype}; it must be float32."
        raise PluginError(msg)
    if value.dtype.kind == "f" and np.isnan(value).any():
        msg = f"The finder '{name}' returned NaN in its {key} map."
        raise PluginError(msg)
    return value.astype(np.float32, copy=False)


def valid_labels(labels: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return a label image as int32.

    Parameters
    ----------
    labels : what the finder returned
    shape : tuple of int
        That it must have.
    name : str
        Of the finder, for the message.

    Raises
    ------
    PluginError
        It has another shape, holds other than integers, or negative ones.
    """
    labels = np.asarray(labels)
    if labels.shape != tuple(shape):
        msg = f"The finder '{name}' returned labels of shape {labels.shape}; the image has {tuple(shape)}."
        raise PluginError(msg)
    if labels.dtype.kind not in "iu":
        msg = f"The finder '{name}' returned labels of type {labels.dtype}; they must be integers (int32)."
        raise PluginError(msg)
    if labels.size and labels.min() < 0:
        msg = f"The finder '{name}' returned negative labels; 0 is background and sources count from 1."
        raise PluginError(msg)
    return labels.astype(np.int32, copy=False)
