"""Sources of known flux and shape, added to the user's own image and looked for again.

What the finder was made of doesn't matter: it sees an image with a few more sources. They come in batches of few, far
apart, so that the field does not become more crowded than it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable, vstack

from astroseg.api import READING, as_finder, find, prepared
from astroseg.catalog import complete
from astroseg.errors import AstrosegWarning, NoDetectionsWarning, UsageError
from astroseg.evaluate.matching import match_positions
from astroseg.evaluate.null import match_by_chance, matching_lengths
from astroseg.evaluate.positions import Positions
from astroseg.evaluate.recovery import InjectionResult
from astroseg.evaluate.reliability import invert
from astroseg.evaluate.tables import as_table, column
from astroseg.finder import Detections, SourceFinder
from astroseg.header import pixel_scale, sky_kind
from astroseg.image import read_image
from astroseg.sky import to_sky
from astroseg.truth.model import describe_sources, model_image, noise_of
from astroseg.truth.reading import read_truth

__all__ = ["InjectionResult", "inject"]

MOST_EMPTY = 1000  # batches in a row without a usable place
_SKY = {"equatorial": ("ra", "dec"), "helioprojective": ("hpc_x", "hpc_y"), "heliographic": ("hg_lon", "hg_lat")}
_GIVEN = ("x_centroid", "y_centroid", "peak_flux", "flux", "fwhm_major", "fwhm_minor", "pa", "deconvolved_major",
          "deconvolved_minor", "deconvolved_pa", "snr", "local_rms")  # fmt: skip
_MEASURED = ("x_centroid", "y_centroid", "peak_flux", "flux", "flux_err", "snr")


def inject(
    image: Any,
    backend: str | SourceFinder = "sigma",
    *,
    n: int = 2000,
    snr: tuple[float, float] = (2.0, 30.0),
    like: Any = None,
    spacing: float = 20.0,
    radius: float | u.Quantity = 0.5,
    n_bins: int = 16,
    confidence: float = 0.95,
    seed: int = 1,
    background: Any = None,
    noise: Any = None,
    mesh: int | None = None,
    prompts: dict[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> InjectionResult:
    """Measure completeness, reliability and flux bias of a finder on an image, by adding sources to it.

    Parameters
    ----------
    image : anything that `~astroseg.read_image` takes
        It must have a beam, which is the shape of a point source; give one with ``beam="3pix"``.
    backend : str or `~astroseg.SourceFinder`
    n : int
        Number of sources to add, over all batches.
    snr : tuple of float
        Least and largest S/N: peak of the source, as the beam leaves it, over the noise at its place. Point sources are
        uniform in its logarithm.
    like : path or table, optional
        Draw fluxes and sizes from the rows of this catalogue (any format of `~astroseg.truth.read_truth`) whose S/N
        would lie in the range. Without it all sources are points.
    spacing : float
        Side in beams of the cells, one added source in each; the sources of a batch are at least half of it apart.
    radius : float or `~astropy.units.Quantity`
        How far from its place a source is found again: in beams, an angle, or pixels.
    n_bins : int
        Bins of the curves, equal in log S/N.
    confidence : float
        Content of all intervals.
    seed : int
        The same seed adds the same sources.
    background, noise, mesh : optional
        See `~astroseg.standardize`. By default the finder chooses.
    prompts : dict, optional
        For the finder's ``find``.
    progress : callable, optional
        Called with the number of sources done, after each batch.
    **options
        As of `astroseg.find`: for `~astroseg.read_image`, and for the finder.

    Returns
    -------
    InjectionResult

    Notes
    -----
    Background and noise are measured anew in each batch, with the added sources in the image, as a real source is
    there too when they are measured. The S/N of a source refers to the noise of the image without them, measured by
    `~astroseg.standardize`, whatever the finder takes for it, so that finders can be compared.

    A source may be put where the finder had a detection before. There nobody can say which of the two was found: such
    places (``chance``) count neither for completeness nor for fluxes, which takes chance matches off. As a second
    opinion, the detections are shifted to four sides and matched again.

    Examples
    --------
    >>> from astroseg.evaluate.injection import inject
    >>> from astroseg.testing import make_field
    >>> image, truth = make_field(n_sources=4)
    >>> result = inject(image, "sigma", n=200)
    >>> bool(4 < result.limits[0.5].value < 7)
    True
    """
    _check(n, snr, spacing, n_bins, confidence, seed)
    reading = {key: options.pop(key) for key in READING if key in options}
    finder = as_finder(backend, options)
    image = read_image(image, **reading)
    cell, limit, shift = _lengths(image, spacing, radius)
    ready = prepared(image, finder, background, noise, mesh)
    rms, known = noise_of(ready)
    draw = _population(image, snr, like, float(np.median(rms[known])) if known.any() else 0.0)
    rng = np.random.default_rng(seed)
    done: list[QTable] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        before = find(ready, finder, prompts=prompts)
        mirrored = find(invert(ready, finder), finder, prompts=prompts)
        warnings.simplefilter("ignore", AstrosegWarning)  # each was said of the image itself
        while (left := n - sum(map(len, done))) > 0:
            x, y = (values[:left] for values in _places(rng, known, cell))
            sources = draw(rng, x, y, rms[_pixels(x, y)])
            batch = prepared(_with(image, sources), finder, background, noise, mesh)
            after = find(batch, finder, prompts=prompts)
            sources["batch"] = np.full(len(sources), len(done) + 1)
            done.append(_look_up(sources, before, after, limit, shift))
            if progress is not None:
                progress(n - left + len(sources))
    settings = {"snr": list(snr), "n_bins": n_bins, "confidence": confidence, "seed": seed, "radius": f"{limit:.4g}",
                "spacing": f"{cell:.1f} pix", "like": _name(like), "n_batches": len(done)}  # fmt: skip
    return InjectionResult(vstack(done, metadata_conflicts="silent"), before.catalog, mirrored.catalog, settings)


def _name(like) -> str | None:
    return None if like is None else Path(like).name if isinstance(like, str | Path) else "table"


def _check(n, snr, spacing, n_bins, confidence, seed) -> None:
    limits = {
        f"The S/N range is {snr[0]:g} to {snr[1]:g}; it must ascend and begin above 0.": 0 < snr[0] < snr[1] < np.inf,
        f"The number of sources is {n}; it must be at least 1.": n >= 1,
        f"The spacing is {spacing:g} beams; it must be at least 4, or the added sources hide each other.": spacing >= 4,
        f"The number of bins is {n_bins}; it must be at least 2.": n_bins >= 2,
        f"The confidence is {confidence:g}; it must lie between 0 and 1.": 0 < confidence < 1,
        f"The seed is {seed}; it must be at least 0.": seed >= 0,
    }
    for message, holds in limits.items():
        if not holds:
            raise UsageError(message)


def _lengths(image, spacing, radius) -> tuple[float, u.Quantity, u.Quantity]:
    """Side of a cell in pixels; matching radius and shift of the null test."""
    beam = image.meta["beam"]
    widths = None if beam is None else beam.fwhm_pixels(pixel_scale(image.wcs))
    if widths is None:
        msg = f"{image.meta['name']} has no beam, so the shape of a point source is not known. Give one: --beam 3pix."
        raise UsageError(msg)
    fwhm = float(np.sqrt(widths[0] * widths[1]))
    # Few beams fit into a small image: a quarter of it then, as for the mesh of the background.
    cell = max(min(spacing * fwhm, min(image.shape) / 4), min(spacing, 8) * fwhm)
    return cell, *matching_lengths(radius, None, image, on_sky=False)


def _population(image, snr, like, typical_rms) -> Callable[..., QTable]:
    """A function of generator, places and noise that returns sources."""
    if not typical_rms > 0:
        msg = f"{image.meta['name']} has no noise anywhere: there is no S/N."
        raise UsageError(msg)
    if like is None:
        return lambda rng, x, y, rms: _points(rng, image, x, y, rms, snr)
    rows = _rows(like, image)
    x, y = (np.full(len(rows), (length - 1) / 2) for length in reversed(image.shape))
    peak = _placed(rows, image, x, y, np.full(len(rows), typical_rms))["snr"]
    usable = np.flatnonzero((peak >= snr[0]) & (peak <= snr[1]))
    if usable.size == 0:
        msg = f"None of the {len(rows)} sources to draw from has an S/N of {snr[0]:g} to {snr[1]:g} on this image."
        raise UsageError(msg)
    return lambda rng, x, y, rms: _placed(rows[rng.choice(usable, x.size)], image, x, y, rms)


def _rows(like, image) -> QTable:
    """Fluxes and sizes of a catalogue, in the units of the image."""
    table = read_truth(like).catalog if isinstance(like, str | Path) else as_table(like)
    names = ("flux", "fwhm_major", "fwhm_minor", "pa", "deconvolved_major", "deconvolved_minor", "deconvolved_pa")
    if "flux" not in table.colnames:
        msg = f"The sources to draw from need a column flux; this catalogue has {', '.join(table.colnames)}."
        raise UsageError(msg)
    try:
        rows = complete(QTable({name: table[name] for name in names if name in table.colnames}), image)
    except u.UnitConversionError as error:
        msg = f"The sources to draw from do not fit {image.meta['name']} in {image.unit or 'no unit'}: {error}."
        raise UsageError(msg) from error
    return rows[np.isfinite(rows["flux"].value) & (rows["flux"].value > 0)]


def _points(rng, image, x, y, rms, snr) -> QTable:
    """Point sources, uniform in log S/N."""
    peak = np.exp(rng.uniform(*np.log(snr), x.size)) * rms
    return _placed(complete({"peak_flux": peak, "deconvolved_major": np.zeros(x.size)}, image), image, x, y, rms)


def _placed(rows, image, x, y, rms) -> QTable:
    """Rows put to these places, with all that follows."""
    sources = rows.copy()
    sources["x_centroid"], sources["y_centroid"] = x * u.pix, y * u.pix
    sources["local_rms"] = rms * image.unit
    describe_sources(sources, image)
    sources["snr"] = sources["peak_flux"].value / np.where(rms > 0, rms, np.nan)
    sky = _SKY.get(sky_kind(image.wcs), ())
    for name, values in zip(sky, to_sky(image.wcs, x, y), strict=False):
        sources[name] = (values * u.deg).to(sources[name].unit)
    return sources[[*sky, *_GIVEN]]


def _places(rng, known, cell) -> tuple[np.ndarray, np.ndarray]:
    """One place in each cell of a square grid, at least half a cell apart, where the noise is known.

    The grid has a random phase, so that all places are equally likely.
    """
    for _ in range(MOST_EMPTY):
        corners = [np.arange(rng.uniform(-cell, 0), length, cell) for length in known.shape]
        y, x = (part.ravel() - 0.5 for part in np.meshgrid(*corners, indexing="ij"))
        x, y = (values + rng.uniform(0, cell / 2, values.size) for values in (x, y))
        order = rng.permutation(x.size)  # the last batch takes the first few
        x, y = x[order], y[order]
        inside = (x > -0.5) & (x < known.shape[1] - 0.5) & (y > -0.5) & (y < known.shape[0] - 0.5)
        x, y = x[inside], y[inside]
        usable = known[_pixels(x, y)]
        if usable.any():
            return x[usable], y[usable]
    msg = "There is nearly no place for a source: almost all pixels are blank."
    raise UsageError(msg)


def _pixels(x, y) -> tuple[np.ndarray, np.ndarray]:
    return np.floor(y + 0.5).astype(np.intp), np.floor(x + 0.5).astype(np.intp)


def _with(image, sources) -> CCDData:
    """The image with the sources added; they bring no noise of their own."""
    model, _ = model_image(sources, image)
    kind = np.float32 if image.data.dtype.kind == "f" and image.data.dtype.itemsize <= 4 else np.float64
    data = image.data.astype(kind) + model.astype(kind)
    result = CCDData(data, unit=image.unit, wcs=image.wcs, mask=image.mask, meta={**image.meta, "path": None})
    result.psf = image.psf
    return result


def _look_up(sources: QTable, before: Detections, after: Detections, radius: u.Quantity, shift: u.Quantity) -> QTable:
    """Add what became of the sources: found, there before, found by the shifted catalogue; and as measured."""
    places = _positions(sources)
    matches = match_positions(_positions(after.catalog), places, radius)
    chance = match_positions(_positions(before.catalog), places, radius)
    _, shifted = match_by_chance(_positions(after.catalog), places, radius, shift, [])
    sources["found"] = np.isin(np.arange(len(sources)), matches.truth)
    sources["chance"] = np.isin(np.arange(len(sources)), chance.truth)
    sources["shifted"] = shifted
    for name in _MEASURED:
        unit = getattr(after.catalog[name], "unit", None)
        values = np.full(len(sources), np.nan)
        values[matches.truth] = column(after.catalog, name)[matches.found]
        sources[f"found_{name}"] = values if unit is None else values * unit
    return sources


def _positions(catalog) -> Positions:
    return Positions(column(catalog, "x_centroid"), column(catalog, "y_centroid"), on_sky=False)
