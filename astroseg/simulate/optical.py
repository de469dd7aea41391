"""Galaxies, their clumps, and stars through a telescope, drawn by GalSim (Rowe et al. 2015, A&C 10, 121).

Fluxes follow counts of N(>S) ~ S**-1, as galaxies of 20th to 25th magnitude do (slope 0.4 per magnitude). Sersic
indices are log-normal around 1.5, half-light radii around 0.6 arcsec for a galaxy in the middle of the range and
growing as flux**0.3, axis ratios those of inclined disks with thickness 0.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS
from scipy import ndimage

from astroseg.beam import Beam
from astroseg.catalog import complete
from astroseg.errors import AstrosegError, UsageError
from astroseg.simulate.sky import Sky, check_size
from astroseg.sky import to_sky

__all__ = ["simulate_optical"]

PIXEL = 0.2  # arcsec
FAINTEST, BRIGHTEST = 300.0, 3e5  # electrons
READ_NOISE = 5.0  # electrons
MOFFAT = 3.5  # index of the point spread function
WINGLESS = 1.5  # Sersic index below which a profile ends by itself
CLUMPY = 0.3  # share of galaxies with clumps
CLUMPS = (1, 5)
CLUMP_SHARE = 0.25  # of a clumpy galaxy's flux, at most, in one clump


@dataclass
class _Source:
    """One row of the truth."""

    kind: str
    x: float
    y: float
    flux: float
    radius: float = 0.0
    index: float = 0.0
    ratio: float = 1.0
    pa: float = 0.0
    parent: int = 0


def simulate_optical(
    *,
    size: int = 256,
    seed: int = 1,
    density: float = 1500.0,
    stars: float = 0.15,
    blends: float = 0.3,
    seeing: float = 0.7,
    sky: float = 400.0,
    isophote: float = 2.0,
) -> Sky:
    """Make an optical field.

    Parameters
    ----------
    size : int, pixels
        Side of the square image, with pixels of 0.2 arcsec.
    seed : int
        The same seed gives the same bytes.
    density : float, sources per megapixel
        Mean number of galaxies and stars, without their companions and clumps.
    stars : float
        Share of stars.
    blends : float
        Share of galaxies with a companion within 3 half-light radii.
    seeing : float, arcsec
        Full width at half maximum of the point spread function.
    sky : float, electrons per pixel
        Brightness of the sky, which stays in the image.
    isophote : float, in units of the noise of the sky
        Level that bounds the truth labels.

    Returns
    -------
    `~astroseg.simulate.sky.Sky`
        In electrons. The model has neither sky nor noise. The truth has the columns ``simulate_kind`` (galaxy, star,
        clump), ``simulate_half_light_radius`` (along the major axis), ``simulate_sersic_index`` and ``simulate_parent``
        (label of the galaxy that a clump lies in, 0 for others). An unresolved clump is a source of its own.

    Raises
    ------
    AstrosegError
        Where GalSim is not installed.
    """
    galsim = _galsim()
    check_size(size)
    _check(density=density, stars=stars, blends=blends, seeing=seeing, sky=sky, isophote=isophote)
    rng = np.random.default_rng(seed)
    sources = _draw_sources(rng, size, density, stars, blends)
    model, labels, peaks = _render(galsim, sources, size, seeing, isophote * np.sqrt(sky + READ_NOISE**2))
    # Rounded, so that last bits, which may differ between machines, do not decide how many photons come.
    data = rng.poisson(np.round(model + sky, 3)) + READ_NOISE * rng.standard_normal(model.shape)
    beam = Beam(seeing * u.arcsec, seeing * u.arcsec)
    meta = {"beam": beam, "name": f"optical-{seed}", "path": None, "header": None}
    image = CCDData(data.astype(np.float32), unit=u.electron, wcs=_wcs(size), meta=meta)
    truth = _truth(image, sources, labels, peaks, np.sqrt(sky + READ_NOISE**2))
    truth.meta = {"simulator": "optical", "seed": seed, "size": size, "density": density, "stars": stars}
    truth.meta |= {"blends": blends, "seeing": seeing, "sky": sky, "isophote": isophote}
    return Sky(image, model.astype(np.float32), truth, labels)


def _galsim() -> ModuleType:
    try:
        import galsim
    except ImportError as error:
        msg = "Optical skies need GalSim: pip install galsim"
        raise AstrosegError(msg) from error
    return galsim


def _check(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0 or (name in ("seeing", "isophote", "sky") and value == 0):
            msg = f"The option '{name}' is {value}; it must be positive."
            raise UsageError(msg)
        if name in ("stars", "blends") and value > 1:
            msg = f"The option '{name}' is {value}; it is a share, at most 1."
            raise UsageError(msg)


def _wcs(size) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    wcs.wcs.cdelt = [-PIXEL / 3600, PIXEL / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    return wcs


# What there is


def _draw_sources(rng, size, density, stars, blends) -> list[_Source]:
    sources: list[_Source] = []
    for _ in range(rng.poisson(density * size**2 / 1e6)):
        x, y = rng.uniform(-0.5, size - 0.5, size=2)
        if rng.uniform() < stars:
            sources.append(_Source("star", x, y, _flux(rng)))
            continue
        galaxy = _galaxy(rng, x, y)
        sources.append(galaxy)
        parent = len(sources)
        if rng.uniform() < CLUMPY:
            sources += _clumps(rng, galaxy, parent)
        if rng.uniform() < blends:
            distance, angle = rng.uniform(1, 3) * galaxy.radius / PIXEL, rng.uniform(0, 2 * np.pi)
            place = x + distance * np.cos(angle), y + distance * np.sin(angle)
            if all(-0.5 < value < size - 0.5 for value in place):
                sources.append(_galaxy(rng, *place))
    return sources


def _flux(rng) -> float:
    """N(>S) ~ 1 / S between the two ends, by inversion."""
    return float(1 / rng.uniform(1 / BRIGHTEST, 1 / FAINTEST))


def _galaxy(rng, x, y) -> _Source:
    flux = _flux(rng)
    radius = 0.6 * (flux / 3000) ** 0.3 * 10 ** (0.15 * rng.standard_normal())
    index = np.clip(1.5 * 10 ** (0.2 * rng.standard_normal()), 0.5, 4.0)
    ratio = np.sqrt(rng.uniform(0, 1) ** 2 * (1 - 0.2**2) + 0.2**2)
    return _Source("galaxy", x, y, flux, float(radius), float(index), float(ratio), rng.uniform(0, 180))


def _clumps(rng, galaxy, parent) -> list[_Source]:
    """Points within the half-light ellipse; their light is taken from the galaxy."""
    clumps = []
    for share in rng.uniform(0.3, 1, size=rng.integers(CLUMPS[0], CLUMPS[1] + 1)) * CLUMP_SHARE:
        radius, angle = np.sqrt(rng.uniform()) * galaxy.radius / PIXEL, rng.uniform(0, 2 * np.pi)
        along, across = radius * np.cos(angle), radius * np.sin(angle) * galaxy.ratio
        sine, cosine = np.sin(np.radians(galaxy.pa)), np.cos(np.radians(galaxy.pa))
        place = galaxy.x - along * sine + across * cosine, galaxy.y + along * cosine + across * sine
        clumps.append(_Source("clump", *place, share * galaxy.flux, parent=parent))
        galaxy.flux *= 1 - share
    return clumps


# How it looks


def _render(galsim, sources, size, seeing, level) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw every source; label the pixels above the level for the source that is the brightest there."""
    model, brightest = np.zeros((size, size)), np.zeros((size, size))
    owner = np.zeros((size, size), dtype=np.int32)
    seen = galsim.Moffat(beta=MOFFAT, fwhm=seeing)
    bounds = galsim.BoundsI(0, size - 1, 0, size - 1)
    peaks = np.zeros(len(sources))
    for number, source in enumerate(sources):
        stamp = _profile(galsim, source, seen).drawImage(
            scale=PIXEL, center=galsim.PositionD(source.x, source.y), dtype=float
        )  # fmt: skip
        peaks[number] = stamp.array.max()
        both = stamp.bounds & bounds
        if both.isDefined():
            drawn = stamp[both].array
            part = slice(both.ymin, both.ymax + 1), slice(both.xmin, both.xmax + 1)
            model[part] += drawn
            ahead = drawn > brightest[part]
            brightest[part][ahead], owner[part][ahead] = drawn[ahead], number + 1
    # Ringing of the Fourier transforms leaves tiny negative values, of which there is no Poisson noise.
    model = np.fmax(model, 0)
    return model, np.where(model > level, owner, 0).astype(np.int32), peaks


def _profile(galsim, source, seen) -> Any:
    if source.kind != "galaxy":
        return seen.withFlux(source.flux)
    # GalSim shears at constant area, and measures angles from +x. Only steep profiles have wings that need an end.
    radius, index = source.radius * np.sqrt(source.ratio), round(source.index, 2)
    wings = 6 * radius if index > WINGLESS else 0.0
    profile = galsim.Sersic(n=index, half_light_radius=radius, flux=source.flux, trunc=wings)
    profile = profile.shear(q=source.ratio, beta=(source.pa + 90) * galsim.degrees)
    return galsim.Convolve(profile, seen)


def _truth(image, sources, labels, peaks, rms) -> QTable:
    columns = {
        name: np.array([getattr(source, name) for source in sources], dtype=kind)
        for name, kind in (
            ("kind", "U8"), ("x", float), ("y", float), ("flux", float), ("radius", float), ("index", float),
            ("pa", float), ("parent", int),
        )
    }  # fmt: skip
    longitude, latitude = to_sky(image.wcs, columns["x"], columns["y"])
    islands, _ = ndimage.label(labels > 0, np.ones((3, 3)))
    number = np.arange(1, len(sources) + 1)
    island = np.zeros(number.size + 1, dtype=np.int32)
    island[labels.ravel()] = islands.ravel()
    values = {
        "label": number,
        "x_centroid": columns["x"],
        "y_centroid": columns["y"],
        "ra": longitude,
        "dec": latitude,
        "peak_flux": peaks,
        "flux": columns["flux"],
        "pa": np.where(columns["kind"] == "galaxy", columns["pa"], np.nan),
        "n_pixels": np.bincount(labels.ravel(), minlength=number.size + 1)[1:],
        "snr": peaks / rms,
        "local_rms": np.full(number.size, rms),
        "island": island[1:],
        "simulate_kind": columns["kind"],
        "simulate_half_light_radius": columns["radius"] * u.arcsec,
        "simulate_sersic_index": columns["index"],
        "simulate_parent": columns["parent"],
    }
    return complete(values, image)
