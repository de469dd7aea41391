"""The isophote correction against integrals of a Gaussian, and against simulated noisy islands."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import gaussian, prepared
from scipy.integrate import quad

from astroseg import get_finder
from astroseg.isophote import isophote_shares
from astroseg.simulate.radio import correlated_noise


@pytest.mark.parametrize("u", [0.5, 1.2, 2.5, 6.0])
def test_shares_of_a_noise_free_gaussian_by_integration(u):
    level, variance = 3.0, 50.0
    peak = level * np.exp(u)
    # In v = r**2 / (2 variance) the brightness is peak * exp(-v) and the area element 2 pi variance dv.
    inside = quad(lambda v: np.exp(-v), 0, u)[0]
    spread = quad(lambda v: v * np.exp(-v), 0, u)[0] / inside
    flux = 2 * np.pi * variance * peak * inside
    measured = variance * spread
    faintest = level * (1 + spread / (2 * np.pi * measured))
    share, variance_share = isophote_shares(*(np.array([value]) for value in (flux, measured, faintest, 0.0)))
    assert share[0] == pytest.approx(inside, rel=1e-5)
    assert variance_share[0] == pytest.approx(spread, rel=1e-5)


def test_nothing_is_cut_off_below_zero():
    share, spread = isophote_shares(np.array([10.0]), np.array([2.0]), np.array([-0.1]), np.array([1.0]))
    assert (share[0], spread[0]) == (1, 1)


@pytest.mark.parametrize(("beam", "snr", "tolerance"), [(2.5, 10, 0.05), (2.5, 20, 0.02), (4, 10, 0.03), (8, 30, 0.02)])
def test_flux_of_a_point_source_is_unbiased_and_its_error_right(beam, snr, tolerance):
    """Promise 5, on noise with the beam's correlation; the worst corner is a coarse beam at S/N 10."""
    rng = np.random.default_rng(3)
    sigma, number = beam / 2.3548, 18
    cell = int(6 * beam)
    shape = (number * cell, number * cell)
    data = correlated_noise(rng, shape, 0.65 * beam)
    for row in range(number):
        for column in range(number):
            part = (slice(row * cell, row * cell + cell), slice(column * cell, column * cell + cell))
            x, y = cell / 2 + rng.uniform(-0.5, 0.5, 2)
            data[part] += gaussian((cell, cell), x, y, sigma, peak=snr)
    image = prepared(data, unit="Jy/beam", beam=f"{beam}pix")
    catalog = get_finder("sigma", threshold=5, min_pixels=1).find(image).catalog
    flux, error = catalog["flux"].value, catalog["flux_err"].value
    assert len(flux) >= 0.95 * number**2
    assert np.median(flux) == pytest.approx(snr, rel=tolerance)
    pulls = (flux - snr) / error
    assert 1.4826 * np.median(np.abs(pulls - np.median(pulls))) == pytest.approx(1, abs=0.2)
    size = np.median(np.sqrt(catalog["fwhm_major"] * catalog["fwhm_minor"]).value)
    assert size == pytest.approx(beam, rel=0.05)
