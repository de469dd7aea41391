"""`sep.extract` with buffers that grow, and its answer numbered as astroseg numbers labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import sep

from astroseg.errors import AstrosegError
from astroseg.labels import compact

__all__ = ["extract", "in_raster_order"]

# At this limit a blend of a million pixels fails within seconds; far above it, within minutes.
_MAX_SUB_OBJECTS = 16384


def extract(data: np.ndarray, thresh: float, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Run `sep.extract` and return its objects and its segmentation map.

    sep stops where more pixels or more parts of a blend come up than its buffers hold. These are enlarged
    until they do, as their default suits small images only.

    Parameters
    ----------
    data : 2-D `~numpy.ndarray` of float32, C-contiguous
    thresh : float
    **options
        Of `sep.extract`.

    Raises
    ------
    AstrosegError
        sep cannot do it with any buffer.
    """
    before = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    try:
        while True:
            try:
                return sep.extract(data, thresh, segmentation_map=True, **options)
            except Exception as error:  # noqa: BLE001 - sep raises nothing more special
                _enlarge(error, data.size)
    finally:
        sep.set_extract_pixstack(before[0])
        sep.set_sub_object_limit(before[1])


def _enlarge(error: Exception, n_pixels: int) -> None:
    """Enlarge the buffer that the error names, or raise it as one of astroseg's where that is no use."""
    text = str(error)
    stack, parts = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    if "set_extract_pixstack" in text and stack < 2 * n_pixels:
        sep.set_extract_pixstack(min(4 * stack, 2 * n_pixels))
    elif "set_sub_object_limit" in text and parts < _MAX_SUB_OBJECTS:
        sep.set_sub_object_limit(min(4 * parts, _MAX_SUB_OBJECTS))
    else:
        reason = text.partition(":")[0] or type(error).__name__
        msg = f"sep cannot extract the sources ({reason}). Try a higher thresh, or deblend_nthresh=1 (no deblending)."
        raise AstrosegError(msg) from error


def in_raster_order(objects: np.ndarray, segmap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the labels by the raster order of their first pixel, and sort the objects with them.

    Parameters
    ----------
    objects : structured `~numpy.ndarray`
        Object ``i`` has the pixels of value ``i + 1``.
    segmap : 2-D `~numpy.ndarray` of int

    Returns
    -------
    objects, labels
        Object ``i`` again has the pixels of value ``i + 1``; objects without pixels are left out.
    """
    labels = compact(segmap)
    inside = np.flatnonzero(labels)
    _, first = np.unique(labels.ravel()[inside], return_index=True)
    return objects[segmap.ravel()[inside[first]] - 1], labels
