"""Cutouts: what each finder found, missed and made up, as pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import QTable
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from astroseg.background import MAD_TO_SIGMA
from astroseg.compare import Comparison, Run
from astroseg.contours import trace_labels
from astroseg.evaluate.tables import column
from astroseg.header import pixel_scale
from astroseg.plot import BLANK, COLOR_MAP, DETECTION
from astroseg.report.consensus import cross_match, matching_radius

__all__ = ["Cutout", "cutouts", "disputes", "draw_cutout"]

EACH = 4  # of each kind and finder
BEAMS, SMALLEST, LARGEST = 12, 24, 96  # side of a cutout: in beams, and its limits in pixels
COUNTED = 5.0  # S/N of the truth from which a source counts as missed
DISPUTED = "Where the finders disagree"
INCHES, DPI = 1.5, 110
TRUE: dict[str, Any] = {"color": "white", "linestyle": (0, (2, 2))}
FOUND: dict[str, Any] = {"color": DETECTION}


@dataclass(frozen=True)
class Cutout:
    """A picture with its caption.

    Parameters
    ----------
    backend : str
    kind : str
        ``found``, ``missed``, ``false``; without truth ``shared``, ``missed``, ``alone``.
    caption : str
    png : bytes
    """

    backend: str
    kind: str
    caption: str
    png: bytes


def cutouts(comparison: Comparison) -> Iterator[Cutout]:
    """A few sources of each kind for each finder: the brightest missed and false ones, found ones of all S/N.

    Parameters
    ----------
    comparison : Comparison
    """
    for backend in comparison.backends:
        chosen: dict[str, list[tuple[float, float, float, Run]]] = {}
        for run in comparison.runs_of(backend):
            kinds = _against_truth(run) if comparison.has_truth else _against_others(comparison, run)
            for kind, table, rows in kinds:
                found = chosen.setdefault(kind, [])
                values = (column(table, name)[rows].tolist() for name in ("snr", "x_centroid", "y_centroid"))
                found.extend((*where, run) for where in zip(*values, strict=True))
        for kind, found in chosen.items():
            for snr, x, y, run in _picked(kind, found):
                yield Cutout(backend.label, kind, _caption(run, x, y, snr), draw_cutout(run, x, y))


def disputes(comparison: Comparison) -> Iterator[Cutout]:
    """The brightest true sources on which the finders are divided most evenly, each as every finder sees it.

    Parameters
    ----------
    comparison : Comparison
        With truth.
    """
    divided: list[tuple[float, float, int, list[Run]]] = []
    for field in comparison.fields:
        runs = [run for run in comparison.runs if run.field is field and run.sources is not None]
        if field.truth is None or len(runs) < 2:
            continue
        snr = np.nan_to_num(column(field.truth.catalog, "snr"), nan=0)
        hits = _hits(runs, len(snr))
        evenness = np.minimum(hits, len(runs) - hits)
        rows = np.flatnonzero((evenness > 0) & (snr >= COUNTED))
        divided += [(float(evenness[row]), float(snr[row]), int(row), runs) for row in rows]
    for _, snr, row, runs in sorted(divided, key=lambda where: where[:2], reverse=True)[:EACH]:
        source = runs[0].field.truth.catalog[row] if runs[0].field.truth else {}
        x, y = (float(source[name].value) for name in ("x_centroid", "y_centroid"))
        for run in runs:
            found = run.sources is not None and row in run.sources.matches.truth
            caption = f"{run.backend.label}: {'found' if found else 'missed'}"
            yield Cutout(DISPUTED, _caption(run, x, y, snr), caption, draw_cutout(run, x, y))


def _hits(runs, number):
    """How many finders have each true source."""
    return np.sum([np.bincount(run.sources.matches.truth, minlength=number) for run in runs], axis=0)


def _caption(run, x, y, snr) -> str:
    level = f"{snr:,.0f}" if snr >= 100 else f"{snr:.3g}"
    return f"{run.field.image.meta['name']}: x\u00a0{x:.0f}, y\u00a0{y:.0f}, S/N\u00a0{level}"  # not broken after x


def _against_truth(run) -> Iterator[tuple[str, QTable, np.ndarray]]:
    truth, found, matches = run.field.truth.catalog, run.catalog, run.sources.matches
    counts = np.nan_to_num(column(truth, "snr"), nan=np.inf) >= COUNTED
    yield "found", truth, matches.truth
    yield "missed", truth, np.setdiff1d(np.flatnonzero(counts), matches.truth)
    yield "false", found, np.setdiff1d(np.arange(len(found)), matches.found)


def _against_others(comparison, run) -> Iterator[tuple[str, QTable, np.ndarray]]:
    runs = [other for other in comparison.runs if other.field is run.field and other.detections is not None]
    filled = next((other for other in runs if len(other.catalog)), None)
    if filled is None or len(runs) < 2:
        return
    members = cross_match([other.catalog for other in runs], matching_radius(filled, comparison.radius))
    own = runs.index(run)
    number = np.sum(members >= 0, axis=1)
    mine = members[:, own]
    yield "shared", run.catalog, mine[number == len(runs)]
    yield "alone", run.catalog, mine[(mine >= 0) & (number == 1)]
    for other, theirs in zip(runs, members.T, strict=True):
        missed = (mine < 0) & (number == len(runs) - 1) & (theirs >= 0)
        if missed.any():
            yield "missed", other.catalog, theirs[missed]
            return


def _picked(kind, found) -> list[tuple[float, float, float, Run]]:
    """The most significant ones, of ``found`` and ``shared`` some from bright to faint."""
    ranked = sorted(found, key=lambda where: -np.nan_to_num(where[0], nan=0, posinf=1e9))
    if kind in ("found", "shared") and len(ranked) > EACH:
        return [ranked[number] for number in np.linspace(0, len(ranked) - 1, EACH).astype(int)]
    return ranked[:EACH]


def draw_cutout(run: Run, x: float, y: float) -> bytes:
    """A piece of the image as PNG, with the finder's outlines, and those of the truth dashed.

    Parameters
    ----------
    run : Run
    x, y : float
        Middle, 0-based pixels.
    """
    rows, columns = _box(run, x, y)
    data = np.where(run.field.valid[rows, columns], run.field.image.data[rows, columns], np.nan)
    figure = Figure(figsize=(INCHES, INCHES))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    picture, norm = _scaled(data)
    extent = (columns.start - 0.5, columns.stop - 0.5, rows.start - 0.5, rows.stop - 0.5)
    shades = colormaps[COLOR_MAP].with_extremes(bad=BLANK)
    ax.imshow(picture, origin="lower", extent=extent, cmap=shades, norm=norm, interpolation="nearest")
    truth = run.field.truth.labels if run.field.truth else None
    found = None if run.detections is None else run.detections.labels
    for labels, style in ((truth, TRUE), (found, FOUND)):
        if labels is not None:
            outlines = trace_labels(np.asarray(labels[rows, columns]))
            corner = np.array([columns.start, rows.start])
            lines = [np.vstack([outline.vertices, outline.vertices[:1]]) + corner for outline in outlines]
            ax.add_collection(LineCollection(lines, linewidths=1.1, **style))
    ax.plot(x, y, "+", color="white", markersize=5, markeredgewidth=0.8)
    ax.set(xlim=extent[:2], ylim=extent[2:])
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def _box(run, x, y):
    """A square around the middle, moved into the image where it is too close to an edge."""
    image = run.field.image
    beam, scale = image.meta.get("beam"), pixel_scale(image.wcs)
    width = 0.0
    if beam is not None and scale is not None:
        width = float((beam.major / scale).to_value(""))
    side = int(np.clip(BEAMS * width, SMALLEST, LARGEST))
    return tuple(_span(centre, side, length) for centre, length in zip((y, x), image.shape, strict=True))


def _span(centre, side, length) -> slice:
    start = int(np.clip(round(centre) - side // 2, 0, max(length - side, 0)))
    return slice(start, min(start + side, length))


def _scaled(data) -> tuple[np.ndarray, Normalize]:
    """Noise and what is much brighter both visible: asinh in units of the cutout's noise."""
    values = data[np.isfinite(data)]
    values = values if values.size else np.zeros(1)
    middle = np.median(values)
    noise = MAD_TO_SIGMA * np.median(np.abs(values - middle)) or 1.0
    picture = np.arcsinh((data - middle) / (2 * noise))
    return picture, Normalize(-1.2, max(float(np.nanmax(picture, initial=0)), 2.0))
