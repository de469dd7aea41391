"""Small synthetic radio fields with known truth, the same for the same seed."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from scipy.ndimage import gaussian_filter

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.image import read_image

__all__ = ["make_field", "reread"]

PIXEL = 2.0  # arcsec
NOISE_PER_BEAM = 0.65  # width of the kernel that correlates the noise, in beams


def make_field(
    *,
    shape: tuple[int, int] = (192, 192),
    n_sources: int = 12,
    snr: tuple[float, float] = (10, 60),
    noise: float = 1e-4,
    beam: float = 5.0,
    size: tuple[float, float] = (0, 0),
    border: int = 0,
    centre: tuple[float, float] = (150.0, -30.0),
    seed: int = 1,
) -> tuple[CCDData, QTable]:
    """Make a field of Gaussian sources in noise that is correlated as an interferometer's.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx) in pixels of 2 arcsec.
    n_sources : int
        Sources lie on a jittered grid, so that they never overlap; 0 for noise alone.
    snr : tuple of float, in units of the noise
        Smallest and largest peak before smearing; log-uniform between the two.
    noise : float, Jy/beam
        Its standard deviation. At 0 the image is the noise-free model, with peaks as if it were 1e-4.
    beam : float, pixels
        Full width at half maximum of the circular beam.
    size : tuple of float, beams
        Smallest and largest full width of the sources before the beam; 0 for points.
    border : int, pixels
        Width of a border of NaN.
    centre : tuple of float, deg
        Right ascension and declination of the middle of the image.
    seed : int

    Returns
    -------
    image : `~astropy.nddata.CCDData`
        In Jy/beam, as `~astroseg.read_image` returns it; ``image.psf`` is the beam.
    truth : `~astropy.table.QTable`
        ``x_centroid``, ``y_centroid``, ``ra``, ``dec``, ``flux``, ``peak_flux``, ``fwhm_major``, ``snr``.

    Examples
    --------
    >>> from astroseg.testing import make_field
    >>> image, truth = make_field(n_sources=5)
    >>> image.shape, len(truth)
    ((192, 192), 5)
    """
    rng = np.random.default_rng(seed)
    x, y = _positions(rng, shape, n_sources, margin=border + 2 * beam)
    peak = np.exp(rng.uniform(np.log(snr[0]), np.log(snr[1]), n_sources)) * (noise or 1e-4)
    width = beam * np.hypot(1, rng.uniform(size[0], size[1], n_sources))
    peak = peak * (beam / width) ** 2
    # A circular Gaussian is the product of one in y and one in x.
    along_y, along_x = (
        _gaussian(np.arange(length), at[:, None], width[:, None]) for length, at in zip(shape, (y, x), strict=True)
    )
    data = noise * _noise(rng, shape, NOISE_PER_BEAM * beam) + (peak * along_y.T) @ along_x
    if border:
        data = np.pad(data[border:-border, border:-border], border, constant_values=np.nan)
    image = _read(data.astype(np.float32), _header(shape, beam, centre))
    image.psf = _beam_image(beam)
    ra, dec = image.wcs.all_pix2world(x, y, 0)
    truth = QTable({
        "x_centroid": x * u.pix,
        "y_centroid": y * u.pix,
        "ra": ra % 360 * u.deg,
        "dec": dec * u.deg,
        "flux": peak * (width / beam) ** 2 * u.Jy,
        "peak_flux": peak * u.Jy / u.beam,
        "fwhm_major": width * PIXEL * u.arcsec,
        "snr": peak / noise if noise else np.full(n_sources, np.inf),
    })  # fmt: skip
    return image, truth


def reread(image: CCDData, data: np.ndarray | None = None, **cards: Any) -> CCDData:
    """Read a field again with other pixels or header cards, through the door that every image takes.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        From `make_field`.
    data : `~numpy.ndarray`, optional
        Pixels in place of the image's; may have degenerate axes.
    **cards
        FITS keywords and their values.
    """
    header = image.meta["header"].copy()
    header.update(cards)
    made = _read(image.data if data is None else data, header)
    made.psf = image.psf
    return made


def _read(data, header) -> CCDData:
    # Far from a source, a model without noise is exactly zero.
    return read_image(fits.ImageHDU(data, header, name="field"), keep_zeros=True)


def _positions(rng, shape, n_sources, margin) -> tuple[np.ndarray, np.ndarray]:
    """Places on the cells of a square grid, in random order, up to a fifth of a cell off their middles."""
    n_cells = int(np.ceil(np.sqrt(n_sources)))
    cells = rng.permutation(n_cells**2)[:n_sources]
    places = []
    for length, cell in zip(shape[::-1], (cells % max(n_cells, 1), cells // max(n_cells, 1)), strict=True):
        step = (length - 2 * margin) / max(n_cells, 1)
        places.append(margin - 0.5 + step * (cell + 0.5 + rng.uniform(-0.2, 0.2, n_sources)))
    return places[0], places[1]


def _gaussian(positions, centre, fwhm) -> np.ndarray:
    return np.exp(-0.5 * ((positions - centre) * FWHM_PER_SIGMA / fwhm) ** 2)


def _noise(rng, shape, fwhm) -> np.ndarray:
    noise = gaussian_filter(rng.standard_normal(shape), fwhm / FWHM_PER_SIGMA, mode="wrap")
    return noise / noise.std()


def _beam_image(beam) -> np.ndarray:
    reach = int(np.ceil(3 * beam))
    profile = _gaussian(np.arange(-reach, reach + 1), 0, beam)
    return np.outer(profile, profile)


def _header(shape, beam, centre) -> fits.Header:
    degrees = PIXEL / 3600
    return fits.Header({
        "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN",
        "CRVAL1": centre[0], "CRVAL2": centre[1],
        "CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2,
        "CDELT1": -degrees, "CDELT2": degrees,
        "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS",
        "BUNIT": "Jy/beam", "BMAJ": beam * degrees, "BMIN": beam * degrees, "BPA": 0.0,
        "RESTFRQ": 1.4e9,
    })  # fmt: skip
