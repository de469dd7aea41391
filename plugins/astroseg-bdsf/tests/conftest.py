"""A small radio image, its header, and a place to look for leftovers."""

import numpy as np
import pytest
from astropy.io import fits
from astroseg_bdsf import engine

NY, NX = 120, 140
PIXEL = 1 / 4096  # exact in the 20 characters of a FITS card


@pytest.fixture(scope="session")
def header():
    """Make a header of the field, with some cards changed or (None) left out."""

    def make(**cards):
        base = {
            "CTYPE1": "RA---SIN",
            "CTYPE2": "DEC--SIN",
            "CRVAL1": 150.0,
            "CRVAL2": 2.0,
            "CRPIX1": 70.0,
            "CRPIX2": 60.0,
            "CDELT1": -PIXEL,
            "CDELT2": PIXEL,
            "BMAJ": 4.5 * PIXEL,
            "BMIN": 4 * PIXEL,
            "BPA": 30.0,
            "RESTFREQ": 1.4e9,
        }
        return fits.Header({key: value for key, value in (base | cards).items() if value is not None})

    return make


@pytest.fixture(scope="session")
def field():
    """Noise and 15 sources, two of them blended, with a blank corner (Jy/beam)."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:NY, :NX]
    kernel = np.exp(-0.5 * ((x - NX // 2) ** 2 + (y - NY // 2) ** 2) / 1.2**2)
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(NY, NX))) * np.fft.fft2(np.fft.ifftshift(kernel))).real
    data = noise / noise.std()
    places = [(20 + 25 * (k % 5), 20 + 40 * (k // 5)) for k in range(14)]
    for k, (x0, y0) in enumerate([*places, (26, 23)]):
        data += (15 + 4 * k) * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / 1.8**2)
    data[100:, 125:] = np.nan
    return (1e-3 * data).astype(np.float32)


@pytest.fixture(scope="session")
def plain(field, header):
    """The field's result with PyBDSF's default options; not to be changed."""
    return engine.run(field, header(), {})
