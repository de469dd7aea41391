"""CLEAN against closed cases, against itself written out, and against xrayvision."""

from __future__ import annotations

import warnings

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroseg import get_restorer
from astroseg.clean import CleanRestorer, hogbom
from astroseg.dirty import DirtyImage
from astroseg.simulate.array import simulate_array
from astroseg.simulate.xray import simulate_xray
from astroseg.testing import parametrize_restorers


@parametrize_restorers(CleanRestorer(), CleanRestorer(gain=0.3, niter=200, threshold=3, negative=True))
def test_conformance(restorer, check):
    check(restorer)


@pytest.fixture(scope="module")
def flare():
    return simulate_xray(size=65, seed=3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 64), st.integers(0, 64), st.floats(1e-3, 1e6))
def test_a_point_gets_all_its_flux_back(x, y, flux):
    """Of a point, the n-th residual is (1 - gain) ** n of the image, whatever its beam."""
    psf = simulate_xray(size=65, seed=3).image.psf.astype(float)
    data = flux * psf[64 - y : 129 - y, 64 - x : 129 - x]
    model, residual = hogbom(data, psf, niter=10)
    assert model[y, x] == pytest.approx(flux * (1 - 0.9**10), rel=1e-6)
    assert np.count_nonzero(model) == 1
    np.testing.assert_allclose(residual, data * 0.9**10, atol=1e-9 * flux)
    model, _ = hogbom(data, psf, niter=140)
    assert model.sum() == pytest.approx(flux, rel=1e-6)


def test_residual_is_the_image_minus_the_convolved_model(flare):
    dirty = DirtyImage.of(flare.image)
    model, residual = hogbom(dirty.data, dirty.psf, niter=300)
    np.testing.assert_allclose(residual, dirty.residual(model), atol=1e-6 * dirty.data.max())


def by_hand(data, psf, gain, niter):
    """Högbom's loop with the whole beam rolled into place."""
    model, residual = np.zeros_like(data), data.copy()
    ny, nx = data.shape
    for _ in range(niter):
        y, x = np.unravel_index(np.argmax(residual), data.shape)
        step = gain * residual[y, x]
        model[y, x] += step
        residual -= step * psf[ny - 1 - y : 2 * ny - 1 - y, nx - 1 - x : 2 * nx - 1 - x]
    return model, residual


def test_the_same_as_written_out(flare):
    data, psf = flare.image.data.astype(float), flare.image.psf.astype(float)
    for found, expected in zip(hogbom(data, psf, niter=80), by_hand(data, psf, 0.1, 80), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9 * data.max())


def test_the_same_components_as_xrayvision(flare):
    xrayvision = pytest.importorskip("xrayvision.clean", exc_type=ImportError)
    data, psf = flare.image.data.astype(float), flare.image.psf.astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, model, residual = xrayvision.clean(
            data * u.one, psf * u.one, pixel_size=[2, 2] * u.arcsec / u.pix,
            clean_beam_width=None, gain=0.1, niter=60,
        )  # fmt: skip
    ours, left = hogbom(data, psf, niter=60)
    np.testing.assert_allclose(ours, np.asarray(model), atol=1e-9 * data.max())
    np.testing.assert_allclose(left, np.asarray(residual), atol=1e-9 * data.max())


def test_no_point_is_put_on_a_blank_pixel(flare):
    data, psf = flare.image.data, flare.image.psf
    blank = np.zeros(data.shape, dtype=bool)
    y, x = np.unravel_index(data.argmax(), data.shape)
    blank[y - 3 : y + 4, x - 3 : x + 4] = True
    model, _ = hogbom(np.where(blank, 0, data), psf, blank, niter=100)
    assert model.any()
    assert not model[blank].any()
    for array in hogbom(data, psf, np.ones_like(blank), niter=5):
        assert array.shape == data.shape


def test_negative_points_only_where_they_are_asked_for(flare):
    data, psf = -flare.image.data, flare.image.psf
    assert (hogbom(data, psf, niter=50)[0] >= 0).all()
    both, _ = hogbom(data, psf, niter=50, negative=True)
    mirrored, _ = hogbom(-data, psf, niter=50, negative=True)
    np.testing.assert_array_equal(both, -mirrored)
    assert both.min() < 0


def test_it_stops_at_the_threshold():
    sky = simulate_array(size=96, seed=4, rms=1e-5)
    dirty = DirtyImage.of(sky.image)
    _, left = hogbom(dirty.data, dirty.psf, niter=20000, threshold=4)
    rms = 1.4826 * np.median(np.abs(left - np.median(left)))
    assert rms == pytest.approx(1e-5, rel=0.25)
    assert 3 * rms < left.max() <= 4 * rms
    _, left = hogbom(dirty.data, dirty.psf, niter=20000, threshold=2, noise=3e-5)
    assert 5e-5 < left.max() <= 6e-5


def test_a_radio_field_is_cleaned_down_to_its_noise():
    sky = simulate_array(size=128, seed=1)
    restored = get_restorer("clean").restore(sky.image)
    error, before = (np.std(image.data - sky.model) for image in (restored, sky.image))
    assert error < 1.3e-5
    assert before > 5e-5
    assert restored.meta["restorer"]["name"] == "clean"


def test_a_flare_is_explained_within_its_errors(flare):
    restored = CleanRestorer().restore(flare.image)
    assert restored.meta["fidelity"]["chi2"] < 1
    assert restored.meta["fidelity_before"]["chi2"] > 50
    counts = flare.truth["simulate_counts"].sum()
    assert restored.meta["model"].sum() == pytest.approx(counts, rel=0.1)
