"""Outlines drawn by people and programs (HEK, labelme, DS9) -> vertices, and from these labels."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np

from astroseg.errors import AstrosegError, AstrosegWarning
from astroseg.truth.coverage import covered_pixels
from astroseg.truth.files import read_text
from astroseg.truth.formats import read_json

__all__ = ["Outline", "draw_outlines", "read_ds9", "read_hek", "read_labelme"]

CORNERS = 72  # of a polygon that stands for an ellipse; its area is scaled to be the ellipse's
_RING = re.compile(r"\(([^()]+)\)")
#: Kind of coordinates -> the columns of a HEK event that hold its outline in them.
_HEK_OUTLINES = {
    "hpc": ("hpc_boundcc", "hpc_bbox"),
    "hgc": ("hgc_boundcc", "hgc_bbox"),
    "hgs": ("hgs_boundcc", "hgs_bbox"),
}


@dataclass(frozen=True)
class Outline:
    """What surrounds a source.

    Parameters
    ----------
    rings : list of `~numpy.ndarray`, shape (n, 2)
        Corners (longitude, latitude) or (x, y); a single one is a point.
    holes : list of `~numpy.ndarray`, shape (n, 2)
    frame : str
        ``pixel`` (0-based), ``sky`` (ICRS, deg), ``hpc`` (arcsec), ``hgc`` or ``hgs`` (deg).
    kind : str
        What it is: the type of a HEK event, the word of labelme, the text of a region.
    extras : dict
        More to tell of it in the catalogue.
    """

    rings: list[np.ndarray]
    holes: list[np.ndarray] = field(default_factory=list)
    frame: str = "pixel"
    kind: str = ""
    extras: dict[str, Any] = field(default_factory=dict)


def read_hek(path: Path, frame: str = "hpc") -> list[Outline]:
    """Read the events of a reply of the HEK.

    Parameters
    ----------
    path : `~pathlib.Path`
    frame : {"hpc", "hgc", "hgs"}
        Which of its outlines to take: helioprojective, Carrington or Stonyhurst.

    Returns
    -------
    list of Outline
        An event without an outline has its bounding box; one without either is left out.
    """
    outlines, lacking = [], 0
    for event in _entries(path, "result"):
        texts = [str(event.get(key) or "") for key in _HEK_OUTLINES[frame]]
        rings = next((rings for rings in map(_polygon_text, texts) if rings), [])
        if not rings:
            lacking += 1
            continue
        extras = {f"hek_{key}": str(event.get(key, "")) for key in ("frm_name", "event_starttime", "kb_archivid")}
        outlines.append(Outline(rings[:1], rings[1:], frame, str(event.get("event_type", "")), extras))
    _say_left_out(lacking, path.name, "without a polygon")
    return outlines


def _polygon_text(text) -> list[np.ndarray]:
    """Rings of ``POLYGON((x y,x y,...),(...))``, without those of fewer than three corners."""
    rings = []
    for ring in _RING.findall(text):
        try:
            corners = np.array([[float(word) for word in pair.split()] for pair in ring.split(",")])
        except ValueError:
            continue
        if corners.ndim == 2 and corners.shape[0] >= 3 and corners.shape[1] == 2 and np.isfinite(corners).all():
            rings.append(corners)
    return rings


def read_labelme(path: Path) -> tuple[list[Outline], tuple[int, int]]:
    """Read the shapes of a labelme file, and the (ny, nx) of its picture.

    labelme counts from the top of the picture; (0, 0) is taken for the centre of its first pixel.
    """
    content = read_json(path)
    try:
        shape = int(content["imageHeight"]), int(content["imageWidth"])
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path.name} has no imageHeight and imageWidth, without which its polygons cannot be placed."
        raise AstrosegError(msg) from error
    outlines, lacking = [], 0
    for entry in _entries(path, "shapes"):
        corners = _labelme_corners(entry)
        if corners is None:
            lacking += 1
            continue
        corners[:, 1] = shape[0] - 1 - corners[:, 1]
        outlines.append(Outline([corners], kind=str(entry.get("label", ""))))
    _say_left_out(lacking, path.name, "that are no polygons, rectangles, circles or points")
    return outlines, shape


def _labelme_corners(entry) -> np.ndarray | None:
    kind = entry.get("shape_type") or "polygon"
    try:
        points = np.array(entry.get("points"), dtype=float)
    except (ValueError, TypeError):
        return None
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        return None
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if kind == "circle" and len(points) == 2:
        radius = np.hypot(*(points[1] - points[0]))
        return points[0] + _unit_circle() * radius
    fits = (kind == "polygon" and len(points) >= 3) or (kind == "point" and len(points) == 1)
    return points if fits else None


def _entries(path, key) -> Iterable[dict[str, Any]]:
    content = read_json(path)
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        msg = f"{path.name} has no list '{key}' of what was drawn."
        raise AstrosegError(msg)
    return entries


def read_ds9(path: Path) -> list[Outline]:
    """Read a DS9 region file.

    Regions with the same whole number as text are parts of one source, and excluded ones with it are its holes, as in
    the files that astroseg writes; any other region is a source of its own.
    """
    from regions import Regions

    text = read_text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regions = Regions.parse(text, format="ds9")
    except Exception as error:
        msg = f"Cannot read the regions of {path.name}: {(str(error).splitlines() or [''])[0][:120]}."
        raise AstrosegError(msg) from error
    groups: dict[str, list[tuple[Any, np.ndarray, str]]] = {}
    lacking = 0
    for number, region in enumerate(regions):
        corners = _region_corners(region)
        if corners is None:
            lacking += 1
            continue
        words = str(region.meta.get("text", ""))
        groups.setdefault(words if words.isdecimal() else f"region {number}", []).append((region, *corners))
    if not groups and any("(" in line for line in text.splitlines() if not line.startswith(("#", "global"))):
        msg = f"{path.name} has no region that can be read: no polygon, ellipse, circle, box or point."
        raise AstrosegError(msg)
    _say_left_out(lacking, path.name, "of a kind that has no area and is no point")
    return [_grouped(parts) for parts in groups.values()]


def _grouped(parts) -> Outline:
    frame, words = parts[0][2], str(parts[0][0].meta.get("text", ""))
    kept: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for region, corners, _ in parts:
        kept[region.meta.get("include", True) not in (False, "-")].append(corners)
    return Outline(kept[True], kept[False], frame, words)


def _region_corners(region) -> tuple[np.ndarray, str] | None:
    """Corners of a region, and their frame."""
    name = type(region).__name__
    frame = "sky" if name.endswith("SkyRegion") else "pixel"
    name = name.removesuffix("SkyRegion").removesuffix("PixelRegion")
    if name == "Polygon":
        corners = _positions(region.vertices, frame)
        return (corners, frame) if len(corners) > 2 else None
    if name in ("Ellipse", "Circle", "Rectangle", "Point"):
        return _around(region, name, frame), frame
    return None


def _positions(where, frame) -> np.ndarray:
    if frame == "pixel":
        return np.column_stack([np.atleast_1d(where.x), np.atleast_1d(where.y)]).astype(float)
    sky = where.icrs
    return np.column_stack([np.atleast_1d(sky.ra.deg), np.atleast_1d(sky.dec.deg)])


def _around(region, name, frame) -> np.ndarray:
    """Corners of a region that is given by its centre, size and angle."""
    centre = _positions(region.center, frame)
    if name == "Point":
        return centre
    sides = (2 * region.radius, 2 * region.radius) if name == "Circle" else (region.width, region.height)
    width, height = (side.to_value(u.deg) if frame == "sky" else float(side) for side in sides)
    unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) if name == "Rectangle" else _unit_circle() / 2
    angle = 0.0 if name == "Circle" else region.angle.to_value(u.rad)
    along, across = unit[:, 0] * width, unit[:, 1] * height
    x, y = along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)
    if frame == "pixel":
        return centre + np.column_stack([x, y])
    # DS9 turns the width from +x through +y, on the sky from west through north.
    return _offset(centre, -x, y)


def _offset(centre, east, north) -> np.ndarray:
    """Positions some degrees east and north of one, on the sphere."""
    longitude, latitude = np.radians(centre[0])
    distance, bearing = np.radians(np.hypot(east, north)), np.arctan2(east, north)
    sine = np.sin(latitude) * np.cos(distance) + np.cos(latitude) * np.sin(distance) * np.cos(bearing)
    step = np.arctan2(np.sin(bearing) * np.sin(distance) * np.cos(latitude), np.cos(distance) - np.sin(latitude) * sine)
    return np.degrees(np.column_stack([longitude + step, np.arcsin(np.clip(sine, -1, 1))]))


def _unit_circle() -> np.ndarray:
    """Corners of a regular polygon of the area of the unit circle."""
    angle = np.arange(CORNERS) * 2 * np.pi / CORNERS
    radius = np.sqrt(2 * np.pi / CORNERS / np.sin(2 * np.pi / CORNERS))
    return radius * np.column_stack([np.cos(angle), np.sin(angle)])


def _say_left_out(number, name, why) -> None:
    if number:
        warnings.warn(f"{number} shapes of {name} {why} are left out.", AstrosegWarning, stacklevel=3)


def draw_outlines(shape: tuple[int, int], outlines: list[tuple[list[np.ndarray], list[np.ndarray]]]) -> np.ndarray:
    """Label the pixels of which at least half lies within outlines.

    Parameters
    ----------
    shape : (int, int)
        Of the image, (ny, nx).
    outlines : list of (rings, holes)
        In 0-based pixels (x, y). Rings with corners that are not finite, and points, have no pixels.

    Returns
    -------
    2-D `~numpy.ndarray` of int32
        1 + index of the outline. Where several overlap the smallest one is seen.
    """
    labels = np.zeros(shape, dtype=np.int32)
    areas = [sum(_area(ring) for ring in rings) for rings, _ in outlines]
    for index in np.argsort(areas, kind="stable")[::-1].tolist():
        rings, holes = outlines[index]
        pixels = _pixels_within(rings, shape)
        if holes:
            pixels = np.setdiff1d(pixels, _pixels_within(holes, shape))
        labels.flat[pixels] = index + 1
    return labels


def _area(corners) -> float:
    x, y = corners.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _pixels_within(rings, shape) -> np.ndarray:
    """Flat indices of the pixels in any of the rings."""
    drawable = [ring for ring in rings if len(ring) > 2 and np.isfinite(ring).all()]
    return np.concatenate([np.empty(0, dtype=np.intp), *(covered_pixels(ring, shape) for ring in drawable)])
