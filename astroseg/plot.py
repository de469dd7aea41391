"""A picture of the image with the outlines of what was found.

`save_preview` makes its figure without pyplot: nothing global is left behind, no display is needed.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import withStroke

from astroseg.background import MAD_TO_SIGMA
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.contours import trace_labels
from astroseg.header import sky_kind
from astroseg.restoration import fidelity_text
from astroseg.sky import beam_covariance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from astroseg.finder import Detections

__all__ = ["plot_detections", "save_preview", "save_restored"]

COLOR_MAP = "inferno"  # perceptually uniform, dark to bright
DETECTION = "#3be8ff"  # seen against all of it, with any kind of colour vision
BLANK = "0.82"
MAX_SIDE = 1600  # pixels of the image as drawn; a larger one is averaged over blocks first
PICTURE_INCHES = 7.0  # longer side of the image in a new figure
MAX_NUMBERED = 30  # sources; more numbers would hide the picture

_AXIS_NAMES = {
    "RA": "Right ascension",
    "DEC": "Declination",
    "GLON": "Galactic longitude",
    "GLAT": "Galactic latitude",
    "HPLN": "Helioprojective longitude (arcsec)",
    "HPLT": "Helioprojective latitude (arcsec)",
    "CRLN": "Carrington longitude",
    "CRLT": "Heliographic latitude",
    "HGLN": "Stonyhurst longitude",
    "HGLT": "Heliographic latitude",
}


def plot_detections(
    detections: Detections,
    ax: Axes | None = None,
    *,
    labels: bool | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = COLOR_MAP,
    color: str = DETECTION,
) -> Axes:
    """Draw the image and the outlines of the labels.

    Parameters
    ----------
    detections : `~astroseg.Detections`
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; its data coordinates are the pixels of the image. By default axes of a new
        pyplot figure, in world coordinates where the image has them.
    labels : bool, optional
        Number the sources. By default where there are at most 30.
    vmin, vmax : float, optional
        Ends of the colour scale, in the unit of the image. By default they leave out the faintest and
        brightest thousandth of the pixels. Between them the scale is linear over the noise and
        logarithmic beyond (asinh).
    cmap : str, optional
        Name of a matplotlib colour map. Blank pixels are grey.
    color : color, optional
        Of the outlines.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    image = detections.image
    if ax is None:
        from matplotlib import pyplot as plt

        ax = _new_axes(image, plt.figure)
    _show(ax, image, vmin=vmin, vmax=vmax, cmap=cmap)
    numbered = len(detections) <= MAX_NUMBERED if labels is None else labels
    _outline(ax, detections, color=color, numbered=numbered)
    count = len(detections)
    backend = detections.catalog.meta.get("backend", "unknown finder")
    ax.set_title(f"{image.meta['name']}\n{backend}: {count:,} source{'' if count == 1 else 's'}", fontsize="medium")
    return ax


def save_preview(detections: Detections, path: str | Path) -> None:
    """Write `plot_detections` as a PNG file.

    Parameters
    ----------
    detections : `~astroseg.Detections`
    path : path
        Overwritten. A PNG whatever its name ends in.
    """
    with warnings.catch_warnings():
        # Pixels beyond the edge of the sky have no coordinates: no news in a picture.
        warnings.simplefilter("ignore")
        canvas = plot_detections(detections, _new_axes(detections.image, Figure)).figure.canvas
        # One dot per pixel of the picture, within reason.
        dpi = np.clip(max(detections.image.shape) / PICTURE_INCHES, 150, MAX_SIDE / PICTURE_INCHES)
        canvas.print_figure(path, format="png", dpi=dpi, bbox_inches="tight")


def save_restored(image: CCDData, restored: CCDData, path: str | Path) -> None:
    """Write a PNG of an image before and after restoration, and of what is left.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The dirty image.
    restored : `~astropy.nddata.CCDData`
        What a restorer made of it.
    path : path
        Overwritten. A PNG whatever its name ends in.
    """
    pictures = {"before": image, "after": restored}
    if "residual" in restored.meta:
        left = CCDData(restored.meta["residual"], unit=image.unit, wcs=image.wcs, mask=restored.mask)
        pictures["residual: " + fidelity_text(restored.meta["fidelity"], image.unit)] = left
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(len(pictures) * PICTURE_INCHES, PICTURE_INCHES), layout="constrained")
        figure.suptitle(image.meta["name"])
        for number, (title, one) in enumerate(pictures.items(), start=1):
            has_sky = sky_kind(one.wcs) != "pixel"
            ax = figure.add_subplot(1, len(pictures), number, **({"projection": one.wcs.deepcopy()} if has_sky else {}))
            _show(ax, one)
            ax.set_title(title, fontsize="medium")
        figure.canvas.print_figure(path, format="png", dpi=100)


def _show(
    ax: Axes, image: CCDData, *, vmin: float | None = None, vmax: float | None = None, cmap: str = COLOR_MAP
) -> None:
    """Draw an image with its beam, axes and colour bar."""
    picture, extent = _reduced(image)
    norm = _norm(picture, vmin, vmax)
    shown = ax.imshow(
        picture,
        origin="lower",
        extent=extent,
        norm=norm,
        cmap=colormaps[cmap].with_extremes(bad=BLANK),
        interpolation="nearest",
        aspect="equal" if _aspect(image) < 8 else "auto",
    )
    _draw_beam(ax, image)
    ax.set_xlim(-0.5, image.shape[1] - 0.5)
    ax.set_ylim(-0.5, image.shape[0] - 0.5)
    _name_axes(ax, image)
    _add_colorbar(ax, shown, norm, image.unit)


def _aspect(image: CCDData) -> float:
    return max(image.shape) / min(image.shape)


def _new_axes(image: CCDData, new_figure: Callable[..., Figure]) -> Axes:
    """Axes in a new figure that is as wide or high as the image asks for, within reason."""
    ny, nx = image.shape
    width, height = (PICTURE_INCHES * np.clip(side / max(nx, ny), 0.4, 1) for side in (nx, ny))
    figure = new_figure(figsize=(width + 2, height + 1.2), layout="constrained")
    has_sky = sky_kind(image.wcs) != "pixel"
    # A copy, because the WCS is not thread-safe and drawing sets it up.
    return figure.add_subplot(projection=image.wcs.deepcopy()) if has_sky else figure.add_subplot()


def _reduced(image: CCDData) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The image as floats, NaN where blank, averaged over blocks if it is large; and its extent."""
    ny, nx = image.shape
    side = -(-max(ny, nx) // MAX_SIDE)
    rows = [_block_mean(image, slice(start, start + side), side) for start in range(0, ny, side)]
    return np.concatenate(rows), (-0.5, len(rows[0][0]) * side - 0.5, -0.5, len(rows) * side - 0.5)


def _block_mean(image: CCDData, rows: slice, side: int) -> np.ndarray:
    """One row of blocks; a block is as good as its usable pixels, and NaN without any."""
    strip = image.data[rows].astype(float)
    usable = np.isfinite(strip)
    if image.mask is not None:
        usable &= ~image.mask[rows]
    starts = np.arange(0, strip.shape[1], side)
    total = np.add.reduceat(np.where(usable, strip, 0).sum(axis=0), starts)
    count = np.add.reduceat(usable.sum(axis=0), starts)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)[np.newaxis]


def _norm(picture: np.ndarray, vmin: float | None, vmax: float | None) -> FuncNorm:
    """Colour scale that shows the noise as such and keeps detail in what is much brighter or darker.

    It is linear over a few times the noise around the median, logarithmic beyond. Where there is no
    noise to speak of (the disk of the Sun), the spread of the pixels takes its place.
    """
    values = picture[np.isfinite(picture)]
    values = values if values.size else np.zeros(1)
    middle = np.median(values)
    noise = MAD_TO_SIGMA * np.median(np.abs(values - middle)) or np.std(values) or abs(middle) or 1.0
    lowest, bright, brightest = np.percentile(values, [0.1, 99.9, 100])
    low = lowest if vmin is None else vmin
    high = max(bright, min(brightest, middle + 20 * noise)) if vmax is None else vmax
    if not high > low:
        low, high = low - noise, low + noise

    def forward(value):
        return np.arcsinh((value - middle) / (4 * noise))

    def inverse(value):
        return middle + 4 * noise * np.sinh(value)

    return FuncNorm((forward, inverse), vmin=low, vmax=high)


def _outline(ax: Axes, detections: Detections, *, color: str, numbered: bool) -> None:
    outlines = trace_labels(detections.labels)
    thickness = np.clip(20 / np.sqrt(max(len(outlines), 1)), 0.3, 1.1)  # many outlines must not fill the picture
    lines = [np.concatenate([outline.vertices, outline.vertices[:1]]) for outline in outlines]
    ax.add_collection(LineCollection(lines, colors=color, linewidths=thickness), autolim=False)
    if not numbered:
        return
    stroke = [withStroke(linewidth=1.8, foreground="black")]
    for outline in outlines:
        if outline.hole:
            continue
        x, y = outline.vertices.T
        above = y.max() < 0.95 * detections.labels.shape[0]
        edge = y.max() if above else y.min()
        ax.annotate(
            str(outline.label),
            (x[y == edge].mean(), edge),
            xytext=(0, 1 if above else -1),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            color=color,
            fontsize="small",
            path_effects=stroke,
            clip_on=True,
        )


def _draw_beam(ax: Axes, image: CCDData) -> None:
    """The beam in the lower left corner, at its true size, on a card that makes it seen."""
    covariance = beam_covariance(image.meta.get("beam"), image.wcs)
    if covariance is None:
        return
    ny, nx = image.shape
    variances, axes = np.linalg.eigh(covariance)
    height, width = FWHM_PER_SIGMA * np.sqrt(variances)
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180
    side = max(1.3 * width, 0.03 * max(nx, ny))
    if side > 0.4 * min(nx, ny):  # it would hide the picture
        return
    corner = 0.015 * max(nx, ny) - 0.5
    middle = corner + side / 2
    ax.add_patch(Rectangle((corner, corner), side, side, facecolor="white", edgecolor="black", linewidth=0.6, zorder=4))
    ax.add_patch(Ellipse((middle, middle), width, height, angle=angle, color="black", linewidth=0, zorder=5))


def _name_axes(ax: Axes, image: CCDData) -> None:
    if not isinstance(ax, WCSAxes):
        ax.set(xlabel="x (pixels)", ylabel="y (pixels)")
        return
    kind = sky_kind(image.wcs)
    if kind == "helioprojective":
        ax.coords[image.wcs.wcs.lng].set_coord_type("longitude", coord_wrap=180 * u.deg)
    # By coordinate, not by side: in a rotated field right ascension may run along the left.
    for axis, ctype in zip(ax.coords, image.wcs.wcs.ctype, strict=True):
        axis.set_axislabel(_AXIS_NAMES.get(ctype.split("-")[0], ctype))
        axis.display_minor_ticks(display_minor_ticks=True)
        if kind == "helioprojective":
            axis.set_format_unit(u.arcsec, decimal=True, show_decimal_unit=False)


def _add_colorbar(ax: Axes, shown: AxesImage, norm: FuncNorm, unit: u.UnitBase) -> None:
    """A colour bar as high as the image, with round numbers evenly placed, in a unit that keeps them short."""
    low, high = shown.get_clim()
    readable = _readable(unit, max(abs(low), abs(high)))
    factor = unit.to(readable)
    bar = ax.figure.colorbar(shown, cax=ax.inset_axes((1.02, 0, 0.035, 1)))
    values = _round_steps(np.asarray(norm.inverse(np.linspace(0, 1, 7))) * factor)
    values = values[(values >= low * factor) & (values <= high * factor)]
    bar.set_ticks(values / factor, labels=[f"{value:.6g}".replace("-", "\u2212") for value in values])
    bar.minorticks_off()
    bar.set_label("Pixel value" if readable == u.dimensionless_unscaled else readable.to_string("latex_inline"))


def _readable(unit: u.UnitBase, largest: float) -> u.UnitBase:
    """The unit, with the SI prefix that brings flux densities per beam, pixel or angle to 1 to 1000."""
    for per in (u.beam, u.pix, u.sr, u.one):
        if unit.is_equivalent(u.Jy / per) and largest > 0:
            names = ("nJy", "uJy", "mJy", "Jy", "kJy", "MJy")
            value = largest * unit.to(u.Jy / per)
            step = int(np.clip(np.floor(np.log10(value) / 3) + 3, 0, len(names) - 1))
            return u.Unit(names[step]) / per
    return unit


def _round_steps(values: np.ndarray) -> np.ndarray:
    """Round each value to the leading digit of its distance to the next, and drop what became equal."""
    digits = -np.floor(np.log10(np.gradient(values)) + 0.3).astype(int)
    rounded = [np.round(value, places) for value, places in zip(values, digits.tolist(), strict=True)]
    return np.unique(rounded) + 0.0  # no minus zero
