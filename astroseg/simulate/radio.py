"""A first, simple radio sky: Gaussian sources of a power-law flux distribution under correlated noise.

There is no confusion from sources below the noise, no sidelobe and no extended structure: what is found
here is found more easily than on a real sky.
"""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from astroseg.beam import FWHM_PER_SIGMA, Beam
from astroseg.catalog import complete
from astroseg.simulate.sky import Sky
from astroseg.sky import to_sky

__all__ = ["correlated_noise", "simulate_radio"]

# FWHM of the kernel that correlates the noise, in beams: interferometer noise has the
# autocorrelation of the dirty beam or slightly narrower.
NOISE_KERNEL = 0.65
REACH = 5.0  # sigmas out to which a source is drawn


def simulate_radio(
    *,
    size: int = 512,
    seed: int = 1,
    density: float = 1000.0,
    beam: float = 1.5,
    pixel: float = 0.6,
    rms: float = 4e-7,
    slope: float = 1.6,
    faintest: float = 3.0,
    resolved: float = 0.3,
    isophote: float = 2.0,
) -> Sky:
    """Make a radio field.

    Parameters
    ----------
    size : int, pixels
        Side of the square image.
    seed : int
        The same seed gives the same bytes.
    density : float, sources per megapixel
        The number of sources is drawn from a Poisson distribution.
    beam, pixel : float, arcsec
        FWHM of the round beam, side of a pixel.
    rms : float, Jy/beam
        Noise, with the correlation of the beam.
    slope : float
        Of the integral source counts, N(>S) ~ S**-slope (1.5 for a Euclidean sky); fluxes stop at 3000 rms.
    faintest : float, in units of the noise
        Faintest source.
    resolved : float
        Share of sources that are resolved, with FWHM between 0.5 and 3 beams and axis ratios from 0.3 to 1.
    isophote : float, in units of the noise
        Level that bounds the truth labels.

    Returns
    -------
    `~astroseg.simulate.sky.Sky`
    """
    settings = dict(locals())
    rng = np.random.default_rng(seed)
    number = rng.poisson(density * size**2 / 1e6)
    truth = _draw_sources(rng, number, size, rms, slope, faintest, resolved, beam)
    model, labels = _render(truth, size, beam / pixel, pixel, isophote * rms)
    noise = correlated_noise(rng, (size, size), NOISE_KERNEL * beam / pixel) * rms
    wcs = _wcs(size, pixel)
    meta = {"beam": Beam(beam * u.arcsec, beam * u.arcsec), "name": f"radio-{seed}", "path": None, "header": None}
    image = CCDData((model + noise).astype(np.float32), unit=u.Jy / u.beam, wcs=wcs, meta=meta)
    table = _truth_table(truth, image, labels, rms)
    table.meta = {"simulator": "radio", **settings}
    return Sky(image, model.astype(np.float32), table, labels)


def correlated_noise(rng: np.random.Generator, shape: tuple[int, int], fwhm: float) -> np.ndarray:
    """Gaussian noise of unit variance, white noise smoothed by a kernel of ``fwhm`` pixels."""
    width = fwhm / FWHM_PER_SIGMA
    margin = int(np.ceil(4 * width))
    noise = gaussian_filter(rng.normal(size=(shape[0] + 2 * margin, shape[1] + 2 * margin)), width)
    noise = noise[margin : margin + shape[0], margin : margin + shape[1]]
    # Expected rms of the filtered field: the square root of the kernel's sum of squares.
    kernel = np.exp(-0.5 * (np.arange(-margin, margin + 1) / width) ** 2)
    return noise / (np.sum((kernel / kernel.sum()) ** 2))


def _wcs(size, pixel) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = [0.0, -30.0]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    wcs.wcs.cdelt = [-pixel / 3600, pixel / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    return wcs


def _draw_sources(rng, number, size, rms, slope, faintest, resolved, beam) -> dict[str, np.ndarray]:
    """Fluxes from N(>S) ~ S**-slope between the faintest and 3000 rms, by inversion."""
    low, high = (np.array([faintest, 3000.0]) * rms) ** -slope
    flux = (low + rng.uniform(size=number) * (high - low)) ** (-1 / slope)
    is_resolved = rng.uniform(size=number) < resolved
    major = np.where(is_resolved, beam * rng.uniform(0.5, 3.0, size=number), 0.0)
    return {
        "x": rng.uniform(-0.5, size - 0.5, size=number),
        "y": rng.uniform(-0.5, size - 0.5, size=number),
        "flux": flux,
        "major": major,
        "minor": major * rng.uniform(0.3, 1.0, size=number),
        "pa": rng.uniform(0, 180, size=number),
    }


def _render(truth, size, beam, pixel, level) -> tuple[np.ndarray, np.ndarray]:
    """Draw every source, convolved with the beam, and label the pixels above ``level``."""
    model = np.zeros((size, size))
    brightest = np.zeros((size, size))
    owner = np.zeros((size, size), dtype=np.int32)
    for number in range(truth["x"].size):
        x, y = truth["x"][number], truth["y"][number]
        inverse, peak, reach = _convolved(truth, number, beam, pixel)
        low = [max(int(np.floor(centre - reach)), 0) for centre in (y, x)]
        high = [min(int(np.ceil(centre + reach)) + 1, size) for centre in (y, x)]
        part = (slice(low[0], high[0]), slice(low[1], high[1]))
        dy, dx = np.ogrid[part[0], part[1]]
        dy, dx = dy - y, dx - x
        drawn = peak * np.exp(-0.5 * (inverse[0, 0] * dx * dx + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy))
        model[part] += drawn
        ahead = drawn > brightest[part]
        brightest[part][ahead] = drawn[ahead]
        owner[part][ahead] = number + 1
    return model, np.where(model > level, owner, 0).astype(np.int32)


def _convolved(truth, number, beam, pixel):
    """Inverse covariance (x, y), peak and reach in pixels of a source convolved with the beam."""
    angle = np.radians(truth["pa"][number])
    along = np.array([-np.sin(angle), np.cos(angle)])  # east is towards -x
    across = np.array([along[1], -along[0]])
    widths = np.array([truth["major"][number], truth["minor"][number]]) / pixel / FWHM_PER_SIGMA
    covariance = widths[0] ** 2 * np.outer(along, along) + widths[1] ** 2 * np.outer(across, across)
    covariance += np.eye(2) * (beam / FWHM_PER_SIGMA) ** 2
    beam_area = 2 * np.pi * (beam / FWHM_PER_SIGMA) ** 2
    peak = truth["flux"][number] * beam_area / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    return np.linalg.inv(covariance), peak, REACH * np.sqrt(np.linalg.eigvalsh(covariance)[-1])


def _truth_table(truth, image, labels, rms) -> QTable:
    longitude, latitude = to_sky(image.wcs, truth["x"], truth["y"])
    beam = image.meta["beam"].major.to_value(u.arcsec)
    pixel = abs(image.wcs.wcs.cdelt[0]) * 3600
    peaks = np.array([_convolved(truth, number, beam / pixel, pixel)[1] for number in range(truth["x"].size)])
    number = np.arange(1, truth["x"].size + 1)
    values = {
        "label": number,
        "x_centroid": truth["x"],
        "y_centroid": truth["y"],
        "ra": longitude,
        "dec": latitude,
        "peak_flux": peaks,
        "flux": truth["flux"],
        "fwhm_major": np.hypot(truth["major"], beam),
        "fwhm_minor": np.hypot(truth["minor"], beam),
        "pa": truth["pa"],
        "deconvolved_major": truth["major"],
        "deconvolved_minor": truth["minor"],
        "deconvolved_pa": truth["pa"],
        "n_pixels": np.bincount(labels.ravel(), minlength=number.size + 1)[1:],
        "snr": peaks / rms,
        "local_rms": np.full(number.size, rms),
        "island": number,
    }
    return complete(values, image)
