"""Median bias of flux and size of isolated point sources: the table of docs/explanation/bias.txt.

python benchmarks/flux_bias.py > docs/explanation/bias.txt
"""

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from astroseg import Beam, get_finder, standardize
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.simulate.radio import correlated_noise

SIDE, STEP, BEAM = 1024, 32, 2.5  # pixels
RATIOS = (5, 7, 10, 20, 50, 100, 1000)
IMAGES = 4


def image_of(snr, rng):
    """Point sources on a grid of random sub-pixel positions, in noise of rms 1."""
    y, x = (part.ravel() for part in np.mgrid[STEP // 2 : SIDE : STEP, STEP // 2 : SIDE : STEP])
    x, y = x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, y.size)
    pixels = correlated_noise(rng, (SIDE, SIDE), BEAM / np.sqrt(2))
    width = BEAM / FWHM_PER_SIGMA
    for column, row in zip(x, y, strict=True):
        part = tuple(slice(int(centre) - 12, int(centre) + 13) for centre in (row, column))
        dy, dx = np.ogrid[part]
        pixels[part] += snr * np.exp(-0.5 * ((dx - column) ** 2 + (dy - row) ** 2) / width**2)
    meta = {"beam": Beam(BEAM * u.pix, BEAM * u.pix), "name": "grid", "path": None, "header": None}
    return CCDData(pixels.astype("f4"), unit=u.Jy / u.beam, meta=meta), x, y


def measure(snr, rng):
    """Of those found: flux over the true one, size over the beam, flux error over flux_err; and who was found."""
    image, x, y = image_of(snr, rng)
    table = get_finder("sigma").find(standardize(image, "none", "constant")).catalog
    place = table["x_centroid"].value, table["y_centroid"].value
    distance = np.hypot(np.subtract.outer(x, place[0]), np.subtract.outer(y, place[1]))
    nearest, found = distance.argmin(axis=1), distance.min(axis=1) < 1
    rows = table[nearest[found]]
    size = np.sqrt(rows["fwhm_major"] * rows["fwhm_minor"]).value
    return rows["flux"].value / snr, size / BEAM, (rows["flux"].value - snr) / rows["flux_err"].value, found


def cell(values):
    """Median of a ratio as a bias in per cent, with the standard error of the median."""
    error = 1.2533 * np.std(values) / np.sqrt(values.size)
    return f"{100 * (np.median(values) - 1):+.1f} ± {100 * error:.1f} %"


def main():
    rng = np.random.default_rng(1)
    print(".. list-table::\n   :header-rows: 1\n")
    rows = [("Peak over noise", "Found", "Bias of flux", "Bias of size", "Scatter of flux over flux_err")]
    for snr in RATIOS:
        runs = [measure(snr, rng) for _ in range(IMAGES)]
        flux, size, pull, found = (np.concatenate(part) for part in zip(*runs, strict=True))
        scatter = 1.4826 * np.median(np.abs(pull - np.median(pull)))
        rows.append((snr, f"{100 * found.mean():.0f} %", cell(flux), cell(size), f"{scatter:.2f}"))
    for row in rows:
        print("\n".join(f"   {' ' if number else '*'} - {value}" for number, value in enumerate(row)))


if __name__ == "__main__":
    main()
