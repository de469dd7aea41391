"""One pass over the pixels: additive sums per label, from which every column follows.

The sums are formed on a grid of 256-pixel blocks pinned to the origin of the image and added in
raster order, so that cutting the image into tiles cannot change their last bits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from astropy.nddata import CCDData

from astroseg.catalog import BLANK, EDGE, SATURATED, TOUCHING
from astroseg.mosaic import Place

__all__ = ["BLOCK", "Sums", "sum_labels"]

BLOCK = 256

_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


@dataclass
class Sums:
    """What is known of each label after one pass over its pixels; every field adds up (or extends).

    Parameters
    ----------
    label : `~numpy.ndarray` of int
    first : `~numpy.ndarray` of int
        The label's first pixel, as an index into the flattened image.
    y0, x0 : `~numpy.ndarray` of int
        Origin of the block that holds the label's first pixel; moments are relative to it.
    count, flux, rms : `~numpy.ndarray`
        Number of pixels, sums of the image (background off) and of the noise.
    w, x, y, xx, yy, xy : `~numpy.ndarray`
        Moments, with the image as weight; pixels below zero weigh nothing.
    q, qx, qy : `~numpy.ndarray`
        The first of them with the square of the image, in units of its typical noise, as weight.
    px, py : `~numpy.ndarray`
        Sums of the pixel positions, for labels without weight.
    low, high, score : `~numpy.ndarray`
        Faintest and brightest pixel, highest probability.
    flags : `~numpy.ndarray` of int
    """

    label: np.ndarray
    first: np.ndarray
    y0: np.ndarray
    x0: np.ndarray
    count: np.ndarray
    flux: np.ndarray
    rms: np.ndarray
    w: np.ndarray
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    q: np.ndarray
    qx: np.ndarray
    qy: np.ndarray
    px: np.ndarray
    py: np.ndarray
    low: np.ndarray
    high: np.ndarray
    score: np.ndarray
    flags: np.ndarray

    @classmethod
    def joined(cls, parts: list[Sums]) -> Sums:
        """Those of several parts, one after the other."""
        return cls(**{item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)})

    def taken(self, index: np.ndarray) -> Sums:
        """Those of some labels."""
        return type(self)(**{item.name: getattr(self, item.name)[index] for item in fields(self)})

    def packed(self) -> np.ndarray:
        """All fields in one structured array."""
        columns = {item.name: getattr(self, item.name) for item in fields(self)}
        table = np.empty(self.label.size, dtype=[(name, values.dtype) for name, values in columns.items()])
        for name, values in columns.items():
            table[name] = values
        return table

    @classmethod
    def unpacked(cls, table: np.ndarray) -> Sums:
        """The inverse of `packed`."""
        return cls(**{item.name: table[item.name] for item in fields(cls)})

    @classmethod
    def merge(cls, parts: list[Sums]) -> Sums:
        """Add sums of blocks, given in raster order of the blocks, of an image or of a region cut out of it."""
        every = vars(cls.joined(parts))
        label, first, index = np.unique(every["label"], return_index=True, return_inverse=True)
        merged: dict[str, Any] = {"label": label, "y0": every["y0"][first], "x0": every["x0"][first]}

        def total(values):
            return np.bincount(index, values, minlength=label.size)

        # Moments of each block, moved to the origin of the label's first block.
        dx = every["x0"] - merged["x0"][index]
        dy = every["y0"] - merged["y0"][index]
        w, x, y, count = every["w"], every["x"], every["y"], every["count"]
        merged["xx"] = total(every["xx"] + 2 * dx * x + dx * dx * w)
        merged["yy"] = total(every["yy"] + 2 * dy * y + dy * dy * w)
        merged["xy"] = total(every["xy"] + dx * y + dy * x + dx * dy * w)
        merged["x"], merged["y"] = total(x + dx * w), total(y + dy * w)
        merged["qx"], merged["qy"] = total(every["qx"] + dx * every["q"]), total(every["qy"] + dy * every["q"])
        merged["px"], merged["py"] = total(every["px"] + dx * count), total(every["py"] + dy * count)
        for name in ("count", "flux", "rms", "w", "q"):
            merged[name] = total(every[name])
        for name, extend, start in (
            ("first", np.minimum, np.iinfo(np.int64).max),
            ("low", np.minimum, np.inf),
            ("high", np.maximum, -np.inf),
            ("score", np.maximum, -np.inf),
            ("flags", np.bitwise_or, 0),
        ):
            merged[name] = np.full(label.size, start, dtype=every[name].dtype)
            with np.errstate(invalid="ignore"):  # the score is NaN where there is none
                extend.at(merged[name], index, every[name])
        return cls(**merged)


def sum_labels(image: CCDData, labels: np.ndarray, probability: np.ndarray | None = None) -> Sums:
    """Return the `Sums` of all labels of an image that has its background, or of a region that was cut out of one."""
    top, height = Place.of(image).origin[0], image.shape[0]
    strips = range(top // BLOCK * BLOCK, top + height, BLOCK)
    return Sums.merge([_strip_sums(image, labels, probability, start) for start in strips])


def _saturation(image: CCDData) -> float:
    """The level from which on a pixel is saturated: the header's, or the largest of its integer type."""
    try:
        level = float(image.meta["header"]["SATURATE"])
    except (KeyError, TypeError, ValueError):
        level = 0.0
    if level > 0:
        return level
    return float(np.iinfo(image.data.dtype).max) if image.data.dtype.kind in "iu" else np.inf


def _strip_sums(image, labels, probability, start) -> Sums:
    """Sums of one row of blocks, which starts at a row of the whole image; sorted by block and label."""
    place = Place.of(image)
    top, left = place.origin
    rows = slice(max(start - top, 0), min(start + BLOCK - top, image.shape[0]))
    strip = np.asarray(labels[rows])
    inside = np.flatnonzero(strip)
    label = strip.ravel()[inside]
    row, column = np.divmod(inside, image.shape[1])
    values, rms = _values(image, rows, row, column)
    y, x = row + (rows.start + top - start), column + left
    # One key per block and label; np.unique sorts them, bincount adds in raster order.
    block = x // BLOCK
    n_labels = int(label.max(initial=0)) + 1
    # (return_index makes the sort a stable one, which suits nearly sorted keys.)
    keys, first, index = np.unique(block * n_labels + label, return_index=True, return_inverse=True)

    def total(weights):
        return np.bincount(index, weights, minlength=keys.size)

    def extreme(extend, start_value, what):
        result = np.full(keys.size, start_value)
        extend.at(result, index, what)
        return result

    local_x = (x - block * BLOCK).astype(float)
    weight = np.maximum(values, 0)
    wx, wy = weight * local_x, weight * y
    # In units of the noise, so that the square of no pixel overflows or vanishes.
    square = np.square(weight / (image.meta["background"].typical_rms() or 1.0))
    flags = _pixel_flags(image, labels, rows, row, column, label)
    union = np.zeros(keys.size, dtype=np.int64)
    flagged = np.flatnonzero(flags)
    np.bitwise_or.at(union, index[flagged], flags[flagged])
    return Sums(
        label=keys % n_labels,
        first=(y[first] + start) * place.shape[1] + x[first],
        y0=np.full(keys.size, start),
        x0=keys // n_labels * BLOCK,
        count=np.bincount(index, minlength=keys.size).astype(float),
        flux=total(values),
        rms=total(rms),
        w=total(weight),
        x=total(wx),
        y=total(wy),
        xx=total(wx * local_x),
        yy=total(wy * y),
        xy=total(wx * y),
        q=total(square),
        qx=total(square * local_x),
        qy=total(square * y),
        px=total(local_x),
        py=total(y.astype(float)),
        low=extreme(np.minimum, np.inf, values),
        high=extreme(np.maximum, -np.inf, values),
        score=np.full(keys.size, np.nan)
        if probability is None
        else extreme(np.maximum, -np.inf, np.asarray(probability[rows])[row, column].astype(float)),
        flags=union,
    )


def _values(image, rows, y, x) -> tuple[np.ndarray, np.ndarray]:
    """Image without background, and noise, at the pixels; blank pixels count as 0."""
    if x.size == 0:
        return np.zeros(0), np.zeros(0)
    background = image.meta["background"]
    region = (rows, slice(0, image.shape[1]))
    values = image.data[rows][y, x].astype(np.float64) - background.level[region][y, x]
    rms = background.rms[region][y, x].astype(np.float64)
    values[~np.isfinite(values)] = 0
    if image.mask is not None:
        values[image.mask[rows][y, x]] = 0
    return values, np.where(np.isfinite(rms), rms, 0)


def _pixel_flags(image, labels, rows, y, x, label) -> np.ndarray:
    """Edge, blank, saturated and touching, for each pixel of a label."""
    place = Place.of(image)
    flags = np.zeros(label.size, dtype=np.int64)
    for pixel, first, length in zip((y + rows.start, x), place.origin, place.shape, strict=True):
        flags[(pixel + first == 0) | (pixel + first == length - 1)] = EDGE
    # Flat indices into the bordered strip, so that each neighbour is one step away.
    width = image.shape[1] + 2
    at = (y + 1) * width + x + 1
    steps = [dy * width + dx for dy, dx in _NEIGHBOURS]
    around = _bordered(labels, rows).ravel()
    touching = np.zeros(label.size, dtype=bool)
    for step in steps:
        neighbour = around.take(at + step)
        touching |= (neighbour != label) & (neighbour != 0)
    flags[touching] |= TOUCHING
    if image.mask is not None:
        around = _bordered(image.mask, rows).ravel()
        if around.any():
            blank = around.take(at)
            for step in steps:
                blank |= around.take(at + step)
            flags[blank] |= BLANK
    saturation = _saturation(image)
    if np.isfinite(saturation):
        flags[image.data[rows][y, x] >= saturation] |= SATURATED
    return flags


def _bordered(array, rows) -> np.ndarray:
    """A strip with one row or column more on each side, zero beyond the array."""
    low, high = max(rows.start - 1, 0), min(rows.stop + 1, array.shape[0])
    below = 0 if low < rows.start else 1
    above = 0 if high > rows.stop else 1
    return np.pad(array[low:high], ((below, above), (1, 1)))
