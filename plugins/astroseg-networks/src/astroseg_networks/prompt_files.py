"""Files of points, boxes and polygons -> prompts in pixels of an image."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from astropy.nddata import CCDData
from astropy.table import Table

from astroseg.errors import AstrosegWarning, UsageError
from astroseg.header import sky_kind
from astroseg.sky import to_pixels
from astroseg.truth.coverage import covered_pixels
from astroseg.truth.drawn import read_outlines
from astroseg.truth.files import numbers, read_table
from astroseg.truth.formats import recognise
from astroseg.truth.outlines import Outline
from astroseg_networks.prompts import Prompt, extreme_points

__all__ = ["outline_prompt", "read_prompts"]

MOST = 1000  # objects in a file
KINDS = ("extreme", "box", "inside", "outside")
#: Kind of coordinates -> columns, and how many of their units make a degree.
SKY = {
    "equatorial": ("ra", "dec", 1.0),
    "helioprojective": ("hpc_x", "hpc_y", 3600.0),
    "heliographic": ("hg_lon", "hg_lat", 1.0),
}
PIXELS = ("x", "y"), ("x_centroid", "y_centroid")
SQUARE = 0.02  # of the diagonal: how far a rectangle may be from one


def read_prompts(path: str | Path, image: CCDData) -> list[Prompt]:
    """Read what says where objects are.

    Parameters
    ----------
    path : path
        A table (ECSV, CSV, FITS, ...), a row a point: ``x`` and ``y`` (0-based pixels), ``ra`` and ``dec`` (deg),
        ``hpc_x`` and ``hpc_y`` (arcsec) or ``hg_lon`` and ``hg_lat`` (deg); ``object`` says which rows belong together
        (without it, each four rows), and ``kind`` is ``extreme`` (the default), ``box`` (two opposite corners),
        ``inside`` or ``outside``. Or DS9 regions, polygons of the HEK, shapes of labelme: of a polygon, ellipse or
        circle the extreme points are taken, a rectangle is a loose box, and four points, with one number as text or
        one after the other, are an object.
    image : `~astropy.nddata.CCDData`

    Returns
    -------
    list of Prompt
        Outlines that miss the image are left out, with a warning.

    Raises
    ------
    UsageError
        There is no object, or an object has not four points.
    AstrosegError
        The file cannot be read.
    """
    path = Path(path)
    form = recognise(path)
    if form in ("hek", "labelme", "ds9"):
        outlines, _ = read_outlines(path, form, image)
        prompts = _of_outlines(outlines, image, path.name)
    elif form in ("labels", "mask"):
        msg = f"{path.name} is an image; points come as a table, as DS9 regions, or as polygons of HEK or labelme."
        raise UsageError(msg)
    else:
        prompts = _of_table(read_table(path), image, path.name)
    if not prompts:
        msg = f"There is nothing in {path.name} that lies on {image.meta['name']}."
        raise UsageError(msg)
    _check_number(len(prompts), path.name)
    return prompts


def outline_prompt(outline: Outline, shape: tuple[int, int], name: str) -> Prompt | None:
    """The prompt of an outline: its extreme points on the image, or a box where it is a rectangle.

    Parameters
    ----------
    outline : `~astroseg.truth.outlines.Outline`
        In pixels.
    shape : (int, int)
        Of the image, (ny, nx).
    name : str

    Returns
    -------
    Prompt or None
        None where it has no pixel on the image.
    """
    rings = [ring for ring in outline.rings if len(ring) > 2 and np.isfinite(ring).all()]
    if not rings:
        return None
    pixels = np.concatenate([covered_pixels(ring, shape) for ring in rings])
    if pixels.size == 0:
        return None
    if len(rings) == 1 and _is_rectangle(rings[0]):
        low, high = np.clip([rings[0].min(axis=0), rings[0].max(axis=0)], 0, np.array(shape[::-1]) - 1)
        return Prompt(box=(*low, *high), name=name)
    return Prompt(points=extreme_points(*np.divmod(pixels, shape[1])), name=name)


def _is_rectangle(ring) -> bool:
    """Whether both diagonals have one middle and one length, whichever way it leans."""
    if len(ring) != 4:
        return False
    first, second = ring[2] - ring[0], ring[3] - ring[1]
    apart = np.hypot(*(ring[0] + ring[2] - ring[1] - ring[3]))
    length = np.hypot(*first)
    return bool(apart < SQUARE * length and abs(np.hypot(*second) - length) < SQUARE * length)


def _of_outlines(outlines, image, name) -> list[Prompt]:
    drawn = [outline for outline in outlines if any(len(ring) > 1 for ring in outline.rings)]
    marks = [np.concatenate(outline.rings) for outline in outlines if all(len(ring) == 1 for ring in outline.rings)]
    found = [outline_prompt(outline, image.shape, f"outline {n} of {name}") for n, outline in enumerate(drawn, 1)]
    lost = sum(prompt is None for prompt in found)
    if lost:
        warnings.warn(
            f"{lost} of {len(drawn)} outlines of {name} do not show on {image.meta['name']}, and are left out.",
            AstrosegWarning,
            stacklevel=4,
        )
    return [prompt for prompt in found if prompt is not None] + _of_points(marks, name)


def _of_points(marks, name) -> list[Prompt]:
    """Points that have a number in common, and those without one by fours."""
    objects = [points for points in marks if len(points) > 1]
    single = [points for points in marks if len(points) == 1]
    objects += [np.concatenate(single[first : first + 4]) for first in range(0, len(single), 4)]
    _check_number(len(objects), name)
    return [Prompt(points=points, name=f"object {n} of {name}") for n, points in enumerate(objects, 1)]


def _of_table(table: Table, image, name) -> list[Prompt]:
    if len(table) == 0:
        msg = f"{name} has no rows. An object needs four extreme points."
        raise UsageError(msg)
    points = _positions(table, image, name)
    kinds = np.array([str(kind).strip() for kind in table["kind"]]) if "kind" in table.colnames else None
    kinds = np.full(len(table), "extreme") if kinds is None else kinds
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        msg = f"{name} has points of the kind '{unknown[0]}'. The kinds are: {', '.join(KINDS)}."
        raise UsageError(msg)
    if "object" in table.colnames:
        _, owner = np.unique(np.asarray(table["object"]).astype(str), return_inverse=True)
    else:
        owner = np.arange(len(table)) // 4
    _check_number(int(owner.max()) + 1, name)
    return [
        _of_rows(points[owner == n], kinds[owner == n], f"object {n + 1} of {name}") for n in range(owner.max() + 1)
    ]


def _of_rows(points, kinds, name) -> Prompt:
    parts = {kind: points[kinds == kind] for kind in KINDS}
    clicks = {"inside": parts["inside"], "outside": parts["outside"], "name": name}
    if len(parts["box"]) == 0:
        return Prompt(points=parts["extreme"], **clicks)
    if len(parts["box"]) != 2 or len(parts["extreme"]):
        msg = f"A box has two opposite corners, and no extreme points beside them; {name} has {len(parts['box'])}."
        raise UsageError(msg)
    return Prompt(box=np.concatenate([parts["box"].min(axis=0), parts["box"].max(axis=0)]).tolist(), **clicks)


def _positions(table, image, name) -> np.ndarray:
    """Pixels of the rows, shape (n, 2)."""
    first, second, factor = SKY.get(sky_kind(image.wcs), ("", "", 1.0))
    there = set(table.colnames)
    if {first, second} <= there:
        sky = (numbers(table[key], name) / factor for key in (first, second))
        return np.column_stack(to_pixels(image.wcs, *sky))
    pair = next((pair for pair in PIXELS if set(pair) <= there), None)
    if pair is None:
        columns = "x and y" + (f", or {first} and {second}" if first else "")
        has = ", ".join(table.colnames)
        msg = f"{name} has no columns {columns}, which {image.meta['name']} needs. It has: {has}."
        raise UsageError(msg)
    return np.column_stack([numbers(table[key], name) for key in pair])


def _check_number(number, name) -> None:
    if number > MOST:
        msg = f"{name} has {number:,} objects; at most {MOST:,} are outlined at once."
        raise UsageError(msg)
