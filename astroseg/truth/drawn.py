"""Label images, masks and outlines -> labels on a grid, and a row for each."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData

from astroseg.errors import AstrosegError, AstrosegWarning, UsageError
from astroseg.header import sky_kind
from astroseg.image import read_image
from astroseg.labels import components
from astroseg.sky import sky_frame, to_pixels
from astroseg.truth.dialects import Rows
from astroseg.truth.outlines import Outline, draw_outlines, read_ds9, read_hek, read_labelme

__all__ = ["Drawn", "read_drawn", "read_labels", "read_outlines"]

#: Frame of an outline -> its columns, where no image turns it into pixels.
_COLUMNS = {
    "pixel": ("x_centroid", "y_centroid"),
    "sky": ("ra", "dec"),
    "hpc": ("hpc_x", "hpc_y"),
    "hgc": ("hg_lon", "hg_lat"),
    "hgs": ("hg_lon", "hg_lat"),
}
_FRAMES = {"HP": "hpc", "CR": "hgc", "HG": "hgs"}


@dataclass(frozen=True)
class Drawn:
    """Rows of what was drawn, the labels, and the image that these are of; either may be `None`."""

    rows: Rows
    labels: np.ndarray | None
    image: CCDData | None


def read_drawn(path: Path, form: str, image: CCDData | None, kind: str | None, hdu: int | str | None) -> Drawn:
    """Read a label image, a mask or outlines; see `astroseg.truth.read_truth`."""
    if form in ("labels", "mask"):
        labels, own = read_labels(path, hdu, split=form == "mask")
        return Drawn(_rows_of_labels(labels), labels, own if image is None else image)
    outlines, shape = read_outlines(path, form, image, kind)
    parts = [(outline.rings, outline.holes) for outline in outlines]
    return Drawn(_rows_of_outlines(outlines, form), None if shape is None else draw_outlines(shape, parts), image)


def read_outlines(
    path: Path, form: str, image: CCDData | None, kind: str | None = None
) -> tuple[list[Outline], tuple[int, int] | None]:
    """Read outlines.

    Parameters
    ----------
    path : `~pathlib.Path`
    form : {"hek", "labelme", "ds9"}
    image : `~astropy.nddata.CCDData` or None
        The outlines are brought to its pixels.
    kind : str, optional
        Take only outlines of this kind.

    Returns
    -------
    outlines : list of Outline
    shape : (int, int) or None
        Of the image, or of the picture that they were drawn on; `None` where neither is known.

    Raises
    ------
    UsageError
        The image is another one than they were drawn on, or has no such coordinates.
    """
    shape = None if image is None else image.shape
    if form == "labelme":
        outlines, drawn_on = read_labelme(path)
        if image is not None and image.shape != drawn_on:
            sizes = [" x ".join(map(str, reversed(one))) for one in (drawn_on, image.shape)]
            msg = f"The polygons of {path.name} are on {sizes[0]} pixels, {image.meta['name']} has {sizes[1]}."
            raise UsageError(msg)
        shape = drawn_on
    else:
        outlines = read_hek(path, _hek_frame(image)) if form == "hek" else read_ds9(path)
    outlines = _of_kind(outlines, kind, path.name)
    if image is not None:
        outlines = [_in_pixels(outline, image, path.name) for outline in outlines]
    return outlines, shape


def read_labels(source: Any, hdu: int | str | None = None, *, split: bool = False) -> tuple[np.ndarray, CCDData]:
    """Read a label image.

    Parameters
    ----------
    source : path or 2-D array
        PyBDSF counts its sources from 0 and has -1 for the background: these become 1 and 0.
    hdu : int or str, optional
    split : bool, optional
        Make a label of each connected part of what is not 0.

    Returns
    -------
    labels : 2-D `~numpy.ndarray` of int32
    image : `~astropy.nddata.CCDData`
        The same, with its world coordinates.
    """
    image = read_image(source, hdu=hdu, unit=u.dimensionless_unscaled, keep_zeros=True)
    name = Path(source).name if isinstance(source, str | os.PathLike) else "the label image"
    values = np.nan_to_num(np.asarray(image.data), nan=0.0, posinf=0.0, neginf=0.0)
    if values.min() == -1:
        values = values + 1
    if (values != np.rint(values)).any() or values.min() < 0 or values.max() > np.iinfo(np.int32).max:
        msg = f"{name} is no label image: it must hold whole numbers, 0 for the background."
        raise AstrosegError(msg)
    if split:
        return components(values > 0), image
    labels: np.ndarray = values.astype(np.int32)
    parts = components(labels > 0).max(initial=0)
    if parts > 1 and np.array_equal(labels, labels > 0):
        warnings.warn(f"{name} has one label, in {parts} parts; with the format 'mask' each part is a source.",
                      AstrosegWarning, stacklevel=4)  # fmt: skip
    return labels, image


def _rows_of_labels(labels) -> Rows:
    """Number, size and centre of each label; few pixels have one, so that the others are not looked at."""
    y, x = np.nonzero(labels)
    number, index, count = np.unique(labels[y, x], return_inverse=True, return_counts=True)
    centre = {key: np.bincount(index, side) / count for key, side in (("x_centroid", x), ("y_centroid", y))}
    return {"label": number, **centre, "n_pixels": count}


def _hek_frame(image) -> str:
    if image is None:
        return "hpc"
    prefix = "" if image.wcs is None or not image.wcs.has_celestial else image.wcs.wcs.ctype[image.wcs.wcs.lng][:2]
    if prefix not in _FRAMES:
        msg = f"HEK polygons need an image of the Sun with its coordinates; {image.meta['name']} has none."
        raise UsageError(msg)
    return _FRAMES[prefix]


def _of_kind(outlines, kind, name) -> list[Outline]:
    if kind is None:
        return outlines
    chosen = [outline for outline in outlines if outline.kind == kind]
    if not chosen:
        there = sorted({outline.kind for outline in outlines})
        msg = f"{name} has nothing of kind '{kind}'. It has: {', '.join(there[:12]) or 'nothing'}."
        raise UsageError(msg)
    return chosen


def _in_pixels(outline, image, name) -> Outline:
    """The same outline in pixels of an image."""
    if outline.frame == "pixel":
        return outline
    if sky_kind(image.wcs) == "pixel" or (outline.frame == "sky") != (sky_kind(image.wcs) == "equatorial"):
        where = ", ".join(_COLUMNS[outline.frame])
        msg = f"The shapes of {name} are on the sky ({where}), but {image.meta['name']} has no such coordinates."
        raise UsageError(msg)
    parts = outline.rings, outline.holes
    rings, holes = ([_ring_in_pixels(ring, outline.frame, image) for ring in part] for part in parts)
    return Outline(rings, holes, "pixel", outline.kind, outline.extras)


def _ring_in_pixels(ring, frame, image) -> np.ndarray:
    longitude, latitude = ring.T / (3600 if frame == "hpc" else 1)
    if frame == "sky" and sky_frame(image.wcs) == "fk5":
        sky = SkyCoord(longitude * u.deg, latitude * u.deg).fk5
        longitude, latitude = sky.ra.deg, sky.dec.deg
    return np.column_stack(to_pixels(image.wcs, longitude, latitude))


def _rows_of_outlines(outlines, form) -> Rows:
    first, second = _COLUMNS[outlines[0].frame if outlines else "pixel"]
    if len({outline.frame for outline in outlines}) > 1:
        msg = "Shapes in pixels and on the sky in one file need an image."
        raise UsageError(msg)
    centres = np.array([_centroid(outline) for outline in outlines]).reshape(-1, 2)
    rows: Rows = {"label": np.arange(1, len(outlines) + 1), first: centres[:, 0], second: centres[:, 1]}
    rows[f"{form}_kind"] = np.array([outline.kind for outline in outlines], dtype=str)
    for key in outlines[0].extras if outlines else ():
        rows[key] = np.array([outline.extras[key] for outline in outlines])
    return rows


def _centroid(outline) -> np.ndarray:
    """Centre of the area within the rings; the mean of the corners where there is none."""
    corners = np.concatenate(outline.rings or outline.holes)
    origin = corners[0]
    total, moment = 0.0, np.zeros(2)
    for ring in outline.rings:
        x, y = (ring - origin).T
        if outline.frame in ("sky", "hgc", "hgs"):
            x = (x + 180) % 360 - 180
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        sign = 1.0 if cross.sum() >= 0 else -1.0  # each ring adds, whichever way it turns
        total += sign * cross.sum() / 2
        moment += sign * np.array([((x + np.roll(x, -1)) * cross).sum(), ((y + np.roll(y, -1)) * cross).sum()]) / 6
    return origin + moment / total if total > 0 else corners.mean(axis=0)
