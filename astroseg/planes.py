"""Which two axes of an array are the image, and which plane of all the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS

from astroseg.errors import ImageError

__all__ = ["Cut", "cut_image", "size_text"]


@dataclass(frozen=True)
class Cut:
    """How a 2-D image is taken out of an array of more axes."""

    index: tuple[int | slice, ...]
    swapped: bool  # latitude comes before longitude
    wcs: WCS | None  # of the image
    channel: int  # number of its beam, where there is one for each

    def of(self, data: np.ndarray) -> np.ndarray:
        """The image in an array."""
        image = data[self.index]
        return image.T if self.swapped else image

    def region(self, data: Any, region: tuple[slice, slice]) -> np.ndarray:
        """A region of the image in an array, or in what is read by index."""
        parts = iter(region[::-1] if self.swapped else region)
        image = data[tuple(next(parts) if isinstance(item, slice) else item for item in self.index)]
        return image.T if self.swapped else image


def cut_image(shape: tuple[int, ...], kinds: Sequence[str], wcs: WCS | None, plane: str | int | None, name: str) -> Cut:
    """Find the image in an array of ``shape``, whose axes are called ``kinds`` (in the order of FITS).

    Raises
    ------
    ImageError
        When there is none, or ``plane`` (see `~astroseg.read_image`) does not choose one of several.
    """
    if len(shape) < 2:
        msg = f"{name} has {len(shape)} axes; an image needs at least two."
        raise ImageError(msg)
    if 0 in shape:
        msg = f"{name} has no pixels: its size is {size_text(shape)}."
        raise ImageError(msg)
    lengths = shape[::-1]
    first, second, wcs = _image_axes(lengths, wcs)
    deep = [axis for axis, length in enumerate(lengths) if length > 1 and axis not in (first, second)]
    chosen = _plane_numbers(plane, {axis: (kinds[axis] or "no name", lengths[axis]) for axis in deep}, name)
    axes = reversed(range(len(shape)))
    index = tuple(slice(None) if axis in (first, second) else chosen.get(axis, 0) for axis in axes)
    channel = next((number for axis, number in chosen.items() if kinds[axis] != "STOKES"), 0)
    return Cut(index, first > second, wcs, channel)


def _image_axes(lengths, wcs) -> tuple[int, int, WCS | None]:
    """The axes (as in FITS, from 0) that are the x and y of the image, and its world coordinates."""
    if wcs is not None and wcs.has_celestial:
        sky = (wcs.wcs.lng, wcs.wcs.lat)
        # In this order, which wcs.celestial does not change: the image has longitude along x.
        return (*sky, wcs.sub([axis + 1 for axis in sky])) if max(sky) < len(lengths) else (0, 1, None)
    long = [axis for axis, length in enumerate(lengths) if length > 1]
    first, second = long if len(long) == 2 else (0, 1)
    return first, second, None if wcs is None or wcs.naxis <= second else wcs.sub([first + 1, second + 1])


def _plane_numbers(plane, deep, name) -> dict[int, int]:
    """Read ``--plane``: a number for each axis of ``deep``, which holds their names and lengths."""
    wanted = [] if plane is None else [text.strip() for text in str(plane).split(",")]
    axes = ", ".join(f"{kind} (axis {axis + 1}, 0 to {length - 1})" for axis, (kind, length) in deep.items())
    if wanted and not deep:
        msg = f"{name} has a single plane; leave --plane out."
        raise ImageError(msg)
    if len(wanted) != len(deep):
        example = ",".join("0" for _ in deep)
        msg = f"{name} has several planes along {axes}. Choose one with --plane, for example --plane {example}."
        raise ImageError(msg)
    for text, (_, length) in zip(wanted, deep.values(), strict=True):
        if not text.isdecimal() or int(text) >= length:
            msg = f"{name} has no plane '{text}'. Choose along {axes}."
            raise ImageError(msg)
    return dict(zip(deep, map(int, wanted), strict=True))


def size_text(shape: tuple[int, ...]) -> str:
    """The size in pixels, in words: x before y."""
    return " x ".join(str(length) for length in reversed(shape))
