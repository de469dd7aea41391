"""Detections -> regions: ellipses from the catalogue, polygons and boxes from the label image.

Everything is worked out for all sources at once, in arrays. `ds9_text` writes these straight away;
`to_regions` makes one object of each, which takes a hundred times longer.

Shapes are on the sky in equatorial images, in the frame of the catalogue, and in pixels elsewhere: DS9
has no solar frames. A single source without a position on the sky is in pixels too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import astropy.units as u
import numpy as np
from scipy.ndimage import find_objects

from astroseg.contours import Outline, trace_labels
from astroseg.errors import UsageError
from astroseg.header import pixel_scale, sky_kind
from astroseg.sky import local_matrix, sky_frame, to_sky

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from regions import Region, Regions

    from astroseg.finder import Detections

__all__ = ["Kind", "ds9_text", "pixel_ellipses", "to_regions"]

Kind = Literal["ellipse", "polygon", "box"]

_HEADER = """\
# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 highlite=1 dash=0 \
fixed=0 edit=1 move=1 delete=1 include=1 source=1
"""


@dataclass(frozen=True)
class _Shapes:
    """Ellipses or boxes, one per source.

    ``x`` and ``y`` are degrees on the sky or 0-based pixels, ``width`` and ``height`` arcsec or pixels.
    ``angle`` (degrees) turns the width, from the longitude axis through north on the sky (position
    angle + 90), from +x through +y in pixels.
    """

    label: np.ndarray
    on_sky: np.ndarray
    x: np.ndarray
    y: np.ndarray
    width: np.ndarray
    height: np.ndarray
    angle: np.ndarray

    def rows(self):
        """Iterate over the sources, as plain numbers."""
        columns = (self.label, self.on_sky, self.x, self.y, self.width, self.height, self.angle)
        return zip(*(column.tolist() for column in columns), strict=True)


def to_regions(detections: Detections, kind: Kind = "ellipse") -> Regions:
    """Return the sources as `regions` objects.

    Parameters
    ----------
    detections : `~astroseg.Detections`
    kind : {"ellipse", "polygon", "box"}
        ``ellipse``: full axes are the catalogue's FWHM, at least one pixel (a circle of the label's
        area where the size is unknown). ``polygon``: along the edges of the label's pixels, so that its
        area is their number. ``box``: around the label's pixels, along the axes of the image.

    Returns
    -------
    `regions.Regions`
        In the order of the catalogue, with the label in ``meta["text"]``. Ellipses and boxes are one to
        one with its rows. A label in several parts has several polygons; a hole is a polygon of its own,
        with ``meta["include"]`` False.
    """
    from regions import Regions

    image = detections.image
    if _checked(kind) == "polygon":
        return Regions(_polygon_regions(trace_labels(detections.labels), image.wcs))
    shapes = _ellipses(detections) if kind == "ellipse" else _boxes(detections)
    return Regions(_shape_regions(shapes, kind, sky_frame(image.wcs)))


def ds9_text(detections: Detections, kind: Kind = "ellipse") -> str:
    """Return the sources as a DS9 region file.

    Parameters
    ----------
    detections : `~astroseg.Detections`
    kind : {"ellipse", "polygon", "box"}
        As in `to_regions`.

    Returns
    -------
    str
        Every region has its label as text; holes are excluded regions. Without detections only the
        header.

    Notes
    -----
    DS9 counts pixels from 1 and gives the semi-axes of ellipses. To DS9 an excluded region hides every
    region below it, including another source that lies within a hole.
    """
    image = detections.image
    if _checked(kind) == "polygon":
        lines = _polygon_lines(trace_labels(detections.labels), image.wcs)
    else:
        lines = _shape_lines(_ellipses(detections) if kind == "ellipse" else _boxes(detections), kind)
    frame = sky_frame(image.wcs)
    text, before = [_HEADER], None
    for on_sky, line in lines:
        if on_sky != before:
            text.append(f"{frame if on_sky else 'image'}\n")
            before = on_sky
        text.append(line)
    return "".join(text)


def pixel_ellipses(
    wcs: WCS | None, x: np.ndarray, y: np.ndarray, major: np.ndarray, minor: np.ndarray, pa: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn ellipses on the sky into ellipses on the image, with its local scale and rotation.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS` or None
    x, y : `~numpy.ndarray`
        Where they are, 0-based pixels.
    major, minor : `~numpy.ndarray`
        Axes in arcsec, or in pixels where pixels have no angular size.
    pa : `~numpy.ndarray`
        Position angle in degrees, east of north.

    Returns
    -------
    width, height : `~numpy.ndarray`
        Axes in pixels, ``width`` the longer one.
    angle : `~numpy.ndarray`
        Of ``width``, in degrees from +x through +y, 0 to 180.
    """
    matrix = np.array(local_matrix(wcs, x, y))
    # Beyond the edge of the sky there is nothing to be rotated against.
    matrix[~np.isfinite(matrix).all(axis=(1, 2))] = np.diag([-1, 1]) * _pixel_size(wcs)
    sine, cosine = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    axes = np.stack([np.stack([major * sine, minor * cosine], -1), np.stack([major * cosine, -minor * sine], -1)], -2)
    vectors, lengths, _ = np.linalg.svd(np.linalg.solve(matrix, axes))
    angle = np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0])) % 180
    return lengths[:, 0], lengths[:, 1], angle


def _checked(kind: str) -> str:
    if kind not in ("ellipse", "polygon", "box"):
        msg = f"There are no regions of kind '{kind}'. Choose from ellipse, polygon, box."
        raise UsageError(msg)
    return kind


def _pixel_size(wcs: WCS | None) -> float:
    """Side of a pixel in the unit of the catalogue's sizes: arcsec, or 1 pixel."""
    scale = pixel_scale(wcs)
    return 1.0 if scale is None else scale.to_value(u.arcsec)


def _ellipses(detections: Detections) -> _Shapes:
    catalog, wcs = detections.catalog, detections.image.wcs
    x, y = _centres(detections)
    major, minor, pa = _sizes(catalog, _pixel_size(wcs))
    on_sky = np.zeros(len(catalog), dtype=bool)
    width, height, angle = major, minor, (pa + 90) % 180
    if sky_kind(wcs) == "equatorial":
        longitude, latitude = catalog["ra"].value, catalog["dec"].value
        on_sky = np.isfinite(longitude) & np.isfinite(latitude)
        x, y = np.where(on_sky, longitude, x), np.where(on_sky, latitude, y)
    flat = ~on_sky
    if flat.any():
        columns = pixel_ellipses(wcs, x[flat], y[flat], major[flat], minor[flat], pa[flat])
        for column, values in zip((width, height, angle), columns, strict=True):
            column[flat] = values
    return _Shapes(np.asarray(catalog["label"]), on_sky, x, y, width, height, angle)


def _centres(detections: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Centroids in pixels; the middle of the label's box where a finder gave none."""
    catalog = detections.catalog
    x, y = catalog["x_centroid"].value, catalog["y_centroid"].value
    known = np.isfinite(x) & np.isfinite(y)
    if known.all():
        return x, y
    left, right, bottom, top = _bounds(detections)
    return np.where(known, x, (left + right) / 2), np.where(known, y, (bottom + top) / 2)


def _sizes(catalog, pixel: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axes and position angle of all sources, never NaN nor smaller than a pixel."""
    major, minor = catalog["fwhm_major"].value, catalog["fwhm_minor"].value
    pa = np.nan_to_num(catalog["pa"].value)
    known = np.isfinite(major) & np.isfinite(minor)
    diameter = 2 * np.sqrt(np.asarray(catalog["n_pixels"]) / np.pi) * pixel
    return np.maximum(np.where(known, major, diameter), pixel), np.maximum(np.where(known, minor, diameter), pixel), pa


def _boxes(detections: Detections) -> _Shapes:
    """Boxes along the axes of the image; on the sky they lean as the image does there."""
    wcs = detections.image.wcs
    left, right, bottom, top = _bounds(detections)
    x, y, width, height = (left + right) / 2, (bottom + top) / 2, right - left, top - bottom
    on_sky, angle = np.zeros(x.size, dtype=bool), np.zeros(x.size)
    if sky_kind(wcs) == "equatorial":
        longitude, latitude = to_sky(wcs, x, y)
        matrix = local_matrix(wcs, x, y)
        on_sky = np.isfinite(longitude) & np.isfinite(matrix).all(axis=(1, 2))
        east, north = matrix[:, 0, 0], matrix[:, 1, 0]
        x, y = np.where(on_sky, longitude, x), np.where(on_sky, latitude, y)
        width = width * np.where(on_sky, np.hypot(east, north), 1)
        height = height * np.where(on_sky, np.hypot(matrix[:, 0, 1], matrix[:, 1, 1]), 1)
        angle = np.where(on_sky, (np.degrees(np.arctan2(east, north)) + 90) % 180, 0)
    return _Shapes(np.asarray(detections.catalog["label"]), on_sky, x, y, width, height, angle)


def _bounds(detections: Detections) -> np.ndarray:
    """Left, right, bottom and top edges of all labels in pixels, shape (4, n)."""
    found = find_objects(np.asarray(detections.labels))
    parts = [found[label - 1] for label in detections.catalog["label"].tolist()]
    edges = [(columns.start, columns.stop, rows.start, rows.stop) for rows, columns in parts]
    return np.array(edges, dtype=float).reshape(-1, 4).T - 0.5


def _placed(outlines: list[Outline], wcs: WCS | None) -> list[tuple[Outline, bool, np.ndarray]]:
    """Pair each outline with its vertices in degrees (True), or in pixels (False)."""
    if sky_kind(wcs) != "equatorial" or not outlines:
        return [(outline, False, outline.vertices) for outline in outlines]
    every = np.concatenate([outline.vertices for outline in outlines])
    ends = np.cumsum([len(outline.vertices) for outline in outlines])[:-1]
    sky = np.split(np.column_stack(to_sky(wcs, *every.T)), ends)
    known = [bool(np.isfinite(vertices).all()) for vertices in sky]
    return [
        (outline, on_sky, vertices if on_sky else outline.vertices)
        for outline, on_sky, vertices in zip(outlines, known, sky, strict=True)
    ]


def _shape_lines(shapes: _Shapes, kind: str):
    divisor = 2 if kind == "ellipse" else 1
    for label, on_sky, x, y, width, height, angle in shapes.rows():
        a, b = width / divisor, height / divisor
        sky = f'{x:.10f},{y:.10f},{a:.7f}",{b:.7f}"'
        pixels = f"{x + 1:.6f},{y + 1:.6f},{a:.6f},{b:.6f}"
        yield on_sky, f"{kind}({sky if on_sky else pixels},{angle:.6f}) # text={{{label}}}\n"


def _polygon_lines(outlines: list[Outline], wcs: WCS | None):
    for outline, on_sky, vertices in _placed(outlines, wcs):
        numbers = vertices.ravel().tolist()
        places = ",".join([f"{number:.10f}" for number in numbers] if on_sky else [f"{n + 1:.1f}" for n in numbers])
        yield on_sky, f"{'-' * outline.hole}polygon({places}) # text={{{outline.label}}}\n"


def _shape_regions(shapes: _Shapes, kind: str, frame: str) -> list[Region]:
    import regions
    from astropy.coordinates import SkyCoord

    name = "Ellipse" if kind == "ellipse" else "Rectangle"
    sky_class, pixel_class = getattr(regions, f"{name}SkyRegion"), getattr(regions, f"{name}PixelRegion")
    result = []
    for label, on_sky, x, y, width, height, angle in shapes.rows():
        options = {"angle": angle * u.deg, "meta": regions.RegionMeta(text=str(label))}
        if on_sky:
            centre = SkyCoord(x * u.deg, y * u.deg, frame=frame)
            result.append(sky_class(centre, width * u.arcsec, height * u.arcsec, **options))
        else:
            result.append(pixel_class(regions.PixCoord(x, y), width, height, **options))
    return result


def _polygon_regions(outlines: list[Outline], wcs: WCS | None) -> list[Region]:
    import regions
    from astropy.coordinates import SkyCoord

    frame, result = sky_frame(wcs), []
    for outline, on_sky, vertices in _placed(outlines, wcs):
        meta = regions.RegionMeta(text=str(outline.label), include=not outline.hole)
        if on_sky:
            corners = SkyCoord(*(vertices.T * u.deg), frame=frame)
            result.append(regions.PolygonSkyRegion(corners, meta=meta))
        else:
            result.append(regions.PolygonPixelRegion(regions.PixCoord(*vertices.T), meta=meta))
    return result
