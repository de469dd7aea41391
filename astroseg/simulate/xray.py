"""A flare as a spectrometer with grids sees it: a few visibilities, and the dirty map made of them.

The instrument is like STIX (Krucker et al. 2020, A&A 642, A15): 24 pairs of grids sample 8 spatial frequencies at three
angles each, and the moire pattern behind each pair is counted in four detector pixels, whose differences are the real
and imaginary part of a visibility (Massa et al. 2023, Sol. Phys. 298, 114). Resolutions and angles are those of the
design, which the real grids meet to about a percent and a degree.
"""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.wcs import WCS

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.catalog import complete
from astroseg.errors import UsageError
from astroseg.simulate.sky import Sky, check_size
from astroseg.simulate.stamps import Parts, draw_stamps
from astroseg.sky import to_sky
from astroseg.visibilities import Visibilities, dirty_map

__all__ = ["observe", "simulate_xray"]

FINEST, COARSEST = 14.7, 179.8  # arcsec: resolution (half a period) of the finest and coarsest grids
RESOLUTIONS, ANGLES = 8, 3
FIRST, TURN = np.radians((50, 20))  # angle of the finest grids, and from one resolution to the next
MODULATION = 2 * np.sqrt(2) / np.pi  # a quarter of a period, the width of a detector pixel, blurs a sine by this
CENTRE = (400.0, -250.0)  # arcsec, of the image
DATE = "2024-01-01T00:00:00"
ARC = 15  # Gaussians in a loop
NUMBERS = (1, 2, 3)  # of sources


def simulate_xray(
    *,
    size: int = 129,
    seed: int = 1,
    counts: float = 2000.0,
    pixel: float = 2.0,
    isophote: float = 2.0,
    sources: int | None = None,
) -> Sky:
    """Make the dirty map of a flare of one to three sources, footpoints and loops.

    Parameters
    ----------
    size : int, pixels
        Side of the square map.
    seed : int
        The same seed gives the same bytes.
    counts : float
        Mean number of photons behind each pair of grids.
    pixel : float, arcsec
    isophote : float, in units of the noise
        Level that bounds the truth labels.
    sources : int, optional
        How many, 1 to 3; by default each number is as likely as the others.

    Returns
    -------
    `~astroseg.simulate.sky.Sky`
        The image is the dirty map, full of sidelobes: a source of S counts has a peak of S. The model is what
        perfect deconvolution would give: the sources convolved with a Gaussian as wide as the finest grids resolve.
        ``image.meta["visibilities"]`` are the `~astroseg.visibilities.Visibilities`, ``image.psf`` is the dirty beam.
        The truth has the columns ``simulate_kind`` and ``simulate_counts``.

    Examples
    --------
    >>> from astroseg.simulate.xray import simulate_xray
    >>> sky = simulate_xray(seed=3)
    >>> sky.image.meta["visibilities"].value.size
    24
    """
    check_size(size)
    for name, value in (("counts", counts), ("pixel", pixel), ("isophote", isophote)):
        if not value > 0:
            msg = f"The option '{name}' is {value}; it must be positive."
            raise UsageError(msg)
    if sources not in (None, *NUMBERS):
        msg = f"The option 'sources' is {sources}; it must be 1, 2 or 3."
        raise UsageError(msg)
    rng = np.random.default_rng(seed)
    kind, x, y, parts = _draw_sources(rng, size, counts, pixel, sources)
    visibilities = observe(rng, x, y, parts, size, pixel)
    beam = FINEST / pixel / FWHM_PER_SIGMA
    model, owner = draw_stamps((size, size), x, y, parts.smeared(beam**2), 1e-3 * counts / size**2)
    model *= np.float32(2 * np.pi * beam**2)
    rms = float(visibilities.error[0] / np.sqrt(visibilities.value.size))
    labels = np.where(model > isophote * rms, owner, np.int32(0))
    image = dirty_map(visibilities, (size, size), _wcs(size, pixel))
    image.meta["name"] = f"xray-{seed}"
    truth = _truth(image, labels, kind, x, y, parts.smeared(beam**2), rms)
    truth.meta = {
        "simulator": "xray",
        "seed": seed,
        "size": size,
        "counts": counts,
        "pixel": pixel,
        "isophote": isophote,
    } | ({} if sources is None else {"sources": sources})
    return Sky(image, model, truth, labels)


def observe(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, parts: Parts, size: int, pixel: float
) -> Visibilities:
    """Count photons behind each pair of grids.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    x, y : 1-D `~numpy.ndarray`
        Positions of sources, 0-based pixels.
    parts : `~astroseg.simulate.stamps.Parts`
        Their Gaussians, in counts and pixels.
    size : int, pixels
        Phases refer to the middle of the image.
    pixel : float, arcsec

    Returns
    -------
    Visibilities
    """
    along_u, along_v = _frequencies()
    middle = (size - 1) / 2
    dx, dy = ((np.repeat(at, parts.count) + step - middle) * pixel for at, step in ((x, parts.dx), (y, parts.dy)))
    xx, xy, yy = parts.covariance.T * pixel**2
    phase = 2j * np.pi * (np.outer(along_u, dx) + np.outer(along_v, dy))
    spread = np.outer(along_u**2, xx) + 2 * np.outer(along_u * along_v, xy) + np.outer(along_v**2, yy)
    true = np.exp(phase - 2 * np.pi**2 * spread) @ parts.flux
    total = parts.flux.sum()
    quarter = np.exp(-0.5j * np.pi * np.arange(4))
    # Four pixels share the photons; a quarter of a period lies between them. Rounded, so that last bits, which may
    # differ between machines, do not decide how many photons come.
    counted = rng.poisson(np.round((total + MODULATION * (true[:, None] * quarter).real) / 4, 3))
    value = (counted[:, 0] - counted[:, 2]) + 1j * (counted[:, 1] - counted[:, 3])
    error = np.full(true.size, np.sqrt(2 * total) / MODULATION)
    return Visibilities(along_u, along_v, 2 * value / MODULATION, error, u.ct, CENTRE, date=DATE)


def _frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Regular in logarithm; three angles 60 degrees apart, each resolution turned by 20 against the next."""
    frequency = np.repeat(0.5 / np.geomspace(FINEST, COARSEST, RESOLUTIONS), ANGLES)
    angle = (
        FIRST - TURN * np.repeat(np.arange(RESOLUTIONS), ANGLES) + np.pi / 3 * np.tile(np.arange(ANGLES), RESOLUTIONS)
    )
    return frequency * np.cos(angle), frequency * np.sin(angle)


def _wcs(size, pixel) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    wcs.wcs.crval = [value / 3600 for value in CENTRE]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    wcs.wcs.cdelt = [pixel / 3600, pixel / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.dateobs = DATE
    return wcs


def _draw_sources(rng, size, counts, pixel, sources):
    """Footpoints, loops, or both: kinds, positions and parts."""
    number = int(rng.integers(NUMBERS[0], NUMBERS[-1] + 1)) if sources is None else sources
    kind = np.where(rng.uniform(size=number) < 0.35, "loop", "footpoint")
    share = rng.uniform(0.3, 1.0, size=number)
    flux = counts * share / share.sum()
    # Within the middle of the map, and not within a resolution element of each other.
    radius, angle = rng.uniform(10, 22) / pixel, rng.uniform(0, 2 * np.pi)
    angles = angle + 2 * np.pi * np.arange(number) / number
    middle = (size - 1) / 2 + rng.uniform(-0.1, 0.1, size=(2, 1)) * size
    x, y = middle + radius * np.sqrt(number) * np.array([np.cos(angles), np.sin(angles)]) * (number > 1)
    groups = [
        (_loop if name == "loop" else _footpoint)(rng, total, pixel) for name, total in zip(kind, flux, strict=True)
    ]
    return kind, x, y, Parts(np.array([len(group) for group in groups]), *_columns(np.concatenate(groups)))


def _columns(rows):
    return rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:]


def _footpoint(rng, flux, pixel) -> np.ndarray:
    """One Gaussian: rows of dx, dy, flux, xx, xy, yy."""
    major = rng.uniform(3, 7) / pixel
    minor, angle = major * rng.uniform(0.4, 1), rng.uniform(0, np.pi)
    xx, yy = ((major * turn) ** 2 + (minor * other) ** 2 for turn, other in (
        (np.cos(angle), np.sin(angle)), (np.sin(angle), np.cos(angle))))  # fmt: skip
    return np.array([[0.0, 0.0, flux, xx, (major**2 - minor**2) * np.sin(angle) * np.cos(angle), yy]])


def _loop(rng, flux, pixel) -> np.ndarray:
    """Round Gaussians along an arc, with their centroid at the origin."""
    radius, half, turn = rng.uniform(8, 20) / pixel, rng.uniform(0.5, 1.4), rng.uniform(0, 2 * np.pi)
    angle = turn + np.linspace(-half, half, ARC)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    width = (rng.uniform(2, 4) / pixel) ** 2
    same = np.ones(ARC)
    return np.stack([x - x.mean(), y - y.mean(), same * flux / ARC, same * width, 0 * same, same * width], axis=1)


def _truth(image, labels, kind, x, y, parts, rms) -> QTable:
    longitude, latitude = to_sky(image.wcs, x, y)
    number = np.arange(1, kind.size + 1)
    counts, scale = parts.total(parts.flux), FINEST / abs(image.wcs.wcs.cdelt[0] * 3600) / FWHM_PER_SIGMA
    area = 2 * np.pi * scale**2
    values = {
        "label": number,
        "x_centroid": x,
        "y_centroid": y,
        "hpc_x": longitude * 3600,
        "hpc_y": latitude * 3600,
        "peak_flux": parts.brightest() * area,
        "flux": counts * area,
        "n_pixels": np.bincount(labels.ravel(), minlength=number.size + 1)[1:],
        "snr": parts.brightest() * area / rms,
        "local_rms": np.full(number.size, rms),
        "island": number,
        "simulate_kind": kind,
        "simulate_counts": counts,
    }
    return complete(values, image)
