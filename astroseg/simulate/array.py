"""A radio field as an array of antennas sees it before it is cleaned: a dirty map with its dirty beam.

Baselines turn with the Earth (Thompson, Moran & Swenson 2017, Interferometry and Synthesis in Radio Astronomy, chapter
4), and their visibilities are gridded; each cell of the (u, v) plane weighs as the root of the number of visibilities
in it, halfway between natural and uniform weights.
"""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.catalog import complete
from astroseg.ellipse import covariance_from_fwhm, fwhm_from_covariance
from astroseg.errors import UsageError
from astroseg.psf import fit_beam
from astroseg.render import render_gaussians
from astroseg.simulate.sky import Sky, check_size
from astroseg.sky import to_sky

__all__ = ["simulate_array"]

ARRAYS = ("vla", "meerkat")
LATITUDE = {"vla": 34.08, "meerkat": -30.71}  # degrees
STEP = 1 / 15  # hours between two integrations
POINTS = 0.7  # share of the sources that are points
SLOPE = 0.8  # of the counts: N(> S) ~ S ** -SLOPE
SMOOTH = 1.0  # pixels: sources are drawn as Gaussians, which sample well; this width is taken off in the (u, v) plane


def simulate_array(
    *,
    array: str = "vla",
    size: int = 128,
    seed: int = 1,
    density: float = 1000.0,
    beam: float = 4.0,
    pixel: float = 1.0,
    hours: float = 2.0,
    rms: float = 1e-5,
    brightest: float = 1e-2,
    isophote: float = 2.0,
) -> Sky:
    """Make the dirty map of a radio field.

    Parameters
    ----------
    array : {"vla", "meerkat"}
        27 antennas along three arms, like the Very Large Array; or 64, most of them in a core, like MeerKAT, their
        places drawn anew for each seed.
    size : int, pixels
        Side of the square map.
    seed : int
        The same seed gives the same bytes.
    density : float, 1 / megapixel
        Mean number of sources.
    beam : float, pixels
        About the width of the dirty beam; its core is fitted.
    pixel : float, arcsec
    hours : float
        How long the field is followed through its culmination. The shorter, the higher the sidelobes.
    rms : float, Jy/beam
        Noise of the map. The faintest sources have a flux of five times this.
    brightest : float, Jy
    isophote : float, in units of the noise
        Level that bounds the truth labels.

    Returns
    -------
    `~astroseg.simulate.sky.Sky`
        The image is the dirty map in Jy per dirty beam, ``image.psf`` the dirty beam, ``image.meta["beam"]`` the
        Gaussian that fits its core. The model is the sky with that Gaussian, as perfect deconvolution would restore it.
        Sources outside of the map are left out, and with them their sidelobes.

    Examples
    --------
    >>> from astroseg.simulate.array import simulate_array
    >>> sky = simulate_array(array="meerkat", size=64)
    >>> sky.image.psf.shape
    (127, 127)
    """
    check_size(size)
    _check(array, density=density, beam=beam, pixel=pixel, hours=hours, rms=rms, isophote=isophote)
    rng = np.random.default_rng(seed)
    wcs = _wcs(size, pixel)
    weight = _coverage(rng, array, hours, beam, 2 * size)
    scale = 1 / _image(weight)[0, 0]
    psf = np.roll(_image(weight) * scale, (size - 1, size - 1), (0, 1))[:-1, :-1].astype(np.float32)
    restoring = fit_beam(psf, wcs)
    x, y, flux, shape = _sources(rng, size, density, beam, rms, brightest)
    seen = _spectrum(2 * size, x, y, flux, shape) * weight * scale
    # The mean of the w**2 visibilities in a cell that weighs w has a noise as 1 / w: after weighting all are the same.
    noise = np.fft.rfft2(rng.normal(size=(2 * size, 2 * size))) * (weight > 0)
    seen += noise * rms / _image(noise).std()
    image = CCDData(_image(seen)[:size, :size].astype(np.float32), unit=u.Jy / u.beam, wcs=wcs)
    image.psf = psf
    image.meta.update(beam=restoring, name=f"array-{array}-{seed}", path=None, header=None)
    smooth = _covariance(restoring, pixel)
    area = 2 * np.pi * np.sqrt(np.linalg.det(smooth))
    model, owner = render_gaussians((size, size), x, y, flux * area, shape + smooth)
    labels = np.where(model > isophote * rms, owner, np.int32(0))
    truth = _truth(image, labels, x, y, flux, shape, smooth, rms)
    truth.meta = {"simulator": "array", "array": array, "seed": seed, "size": size, "density": density, "beam": beam,
                  "pixel": pixel, "hours": hours, "rms": rms, "brightest": brightest, "isophote": isophote}  # fmt: skip
    return Sky(image, model.astype(np.float32), truth, labels)


def _covariance(beam, pixel) -> np.ndarray:
    """Of a beam, in (x, y), pixels squared, east being to the left."""
    major, minor = (width.to_value("arcsec") / pixel for width in (beam.major, beam.minor))
    return covariance_from_fwhm(major, minor, beam.pa.to_value("deg")) * np.array([[1, -1], [-1, 1]])


def _check(array: str, **positive: float) -> None:
    if array not in ARRAYS:
        msg = f"There is no array '{array}'. Choose from {', '.join(ARRAYS)}."
        raise UsageError(msg)
    for name, value in positive.items():
        if not value > 0:
            msg = f"The option '{name}' is {value}; it must be positive."
            raise UsageError(msg)


def _antennas(rng, array) -> np.ndarray:
    """Places of the antennas, (east, north), shape (n, 2), of any scale."""
    if array == "vla":
        distance = np.arange(1, 10) ** 1.716  # Napier, Thompson & Ekers 1983, Proc. IEEE 71, 1295
        arms = np.radians(np.array([-5, 115, 235]))[:, None]
        return np.stack([distance * np.sin(arms), distance * np.cos(arms)], axis=-1).reshape(-1, 2)
    core, outer = rng.normal(size=(45, 2)), rng.normal(size=(19, 2))
    return np.concatenate([core, 6 * outer])


def _coverage(rng, array, hours, beam, cells) -> np.ndarray:
    """Weights of the cells of the (u, v) plane in the order of `numpy.fft.rfft2`: shape (cells, cells // 2 + 1)."""
    antennas, latitude = _antennas(rng, array), np.radians(LATITUDE[array])
    east, north = (antennas[:, None] - antennas)[np.triu_indices(len(antennas), 1)].T
    across, height = -north * np.sin(latitude), north * np.cos(latitude)
    declination = latitude + np.radians(rng.uniform(-40, 40))
    angle = np.pi / 12 * np.linspace(-hours / 2, hours / 2, max(int(hours / STEP), 1))[:, None]
    along_u = (across * np.sin(angle) + east * np.cos(angle)).ravel()
    turning = east * np.sin(angle) - across * np.cos(angle)
    along_v = (np.sin(declination) * turning + np.cos(declination) * height).ravel()
    wanted = FWHM_PER_SIGMA / (2 * np.pi * beam) * np.sqrt(2)  # rms of the frequencies of a Gaussian of this width
    scale = wanted / np.sqrt(np.mean(along_u**2 + along_v**2))
    for _ in range(2):  # the weights of the cells depend on the scale: twice is near enough
        weight = _gridded(along_u * scale, along_v * scale, cells)
        scale *= wanted / _rms_frequency(weight)
    return _gridded(along_u * scale, along_v * scale, cells)


def _gridded(along_u, along_v, cells) -> np.ndarray:
    """Root of the number of visibilities, and their conjugates, in each cell; frequencies are in cycles a pixel."""
    column, row = (np.rint(np.concatenate([one, -one]) * cells).astype(int) for one in (along_u, along_v))
    inside = (column >= 0) & (column < cells // 2) & (np.abs(row) < cells // 2)
    number = np.bincount(
        (row[inside] % cells) * (cells // 2 + 1) + column[inside], minlength=cells * (cells // 2 + 1)
    ).reshape(cells, -1)
    number[0, 0] = 0  # no array measures the total flux
    return np.sqrt(number)


def _frequencies(cells) -> tuple[np.ndarray, np.ndarray]:
    """(v, u) of the cells, in cycles a pixel, to be broadcast."""
    return np.fft.fftfreq(cells)[:, None], np.fft.rfftfreq(cells)


def _rms_frequency(weight) -> float:
    along_v, along_u = _frequencies(weight.shape[0])
    return float(np.sqrt(np.sum(weight * (along_u**2 + along_v**2)) / weight.sum()))


def _image(spectrum) -> np.ndarray:
    return np.fft.irfft2(spectrum, (spectrum.shape[0], spectrum.shape[0]))


def _sources(rng, size, density, beam, rms, brightest):
    """Positions, fluxes and covariances (pixels squared): points and Gaussians, many more faint ones than bright."""
    number = max(int(rng.poisson(density * size**2 / 1e6)), 1)
    flux = np.minimum(5 * rms * rng.uniform(size=number) ** (-1 / SLOPE), brightest)
    x, y = rng.uniform(0.05, 0.95, size=(2, number)) * (size - 1)
    major = np.where(rng.uniform(size=number) < POINTS, 0, rng.uniform(0.3, 2.0, size=number) * beam)
    minor, turn = major * rng.uniform(0.4, 1, size=number), rng.uniform(0, 180, size=number)
    return x, y, flux, covariance_from_fwhm(major, minor, turn) * np.array([[1, -1], [-1, 1]])


def _spectrum(cells, x, y, flux, shape) -> np.ndarray:
    """Fourier transform of the sky, in the order of `numpy.fft.rfft2`."""
    sky, _ = render_gaussians((cells, cells), x, y, flux, shape + SMOOTH**2 * np.eye(2), faintest=1e-12 * flux.max())
    along_v, along_u = _frequencies(cells)
    return np.fft.rfft2(sky) * np.exp(2 * (np.pi * SMOOTH) ** 2 * (along_u**2 + along_v**2))


def _wcs(size, pixel) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = [150.0, -10.0]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    wcs.wcs.cdelt = [-pixel / 3600, pixel / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    return wcs


def _truth(image, labels, x, y, flux, shape, smooth, rms) -> QTable:
    longitude, latitude = to_sky(image.wcs, x, y)
    number = np.arange(1, x.size + 1)
    mirror = np.array([[1, -1], [-1, 1]]) * (image.wcs.wcs.cdelt[1] * 3600) ** 2  # (x, y) to (east, north), arcsec
    major, minor, pa = fwhm_from_covariance((shape + smooth) * mirror)
    true_major, true_minor, true_pa = fwhm_from_covariance(shape * mirror)
    peak = flux * np.sqrt(np.linalg.det(smooth) / np.linalg.det(shape + smooth))
    values = {
        "label": number,
        "x_centroid": x,
        "y_centroid": y,
        "ra": longitude,
        "dec": latitude,
        "peak_flux": peak,
        "flux": flux,
        "fwhm_major": major,
        "fwhm_minor": minor,
        "pa": pa,
        "deconvolved_major": true_major,
        "deconvolved_minor": true_minor,
        "deconvolved_pa": true_pa,
        "n_pixels": np.bincount(labels.ravel(), minlength=number.size + 1)[1:],
        "snr": peak / rms,
        "local_rms": np.full(number.size, rms),
        "island": number,
        "simulate_kind": np.where(true_major > 0, "gaussian", "point"),
    }
    return complete(values, image)
