"""Corrections of a model towards what was measured."""

import numpy as np
import pytest
from astroseg_networks.consistency import corrected, full_width, smallest
from scipy.signal import fftconvolve

from astroseg.dirty import DirtyImage
from astroseg.simulate.xray import simulate_xray


@pytest.fixture(scope="module")
def dirty():
    return DirtyImage.of(simulate_xray(seed=11, size=65, pixel=4.0, sources=2).image)


@pytest.fixture(scope="module")
def model(dirty):
    """A blob about where the sources are, of about their flux."""
    peak = np.unravel_index(dirty.data.argmax(), dirty.data.shape)
    y, x = np.indices(dirty.data.shape)
    blob = np.exp(-0.5 * ((y - peak[0]) ** 2 + (x - peak[1]) ** 2) / 8**2)
    return 2000 * blob / blob.sum()


def test_the_smallest_model_restores_to_the_same_image(dirty, model):
    noisy = model + np.random.default_rng(1).normal(size=model.shape) * model.max()
    small = smallest(dirty, noisy)
    before, after = (fftconvolve(one, dirty.beam_kernel, mode="same") for one in (noisy, small))
    assert np.sum(small**2) < 0.3 * np.sum(noisy**2)
    inner = (slice(6, -6), slice(6, -6))
    assert np.sqrt(np.mean((after - before)[inner] ** 2)) < 0.02 * before.max()


def test_corrections_explain_more_and_more(dirty, model):
    chi2 = [dirty.fidelity(corrected(dirty, model, steps))["chi2"] for steps in (0, 2, 8, 40)]
    assert chi2[0] > 3 * chi2[1] > 3 * chi2[2] > chi2[3]
    assert chi2[3] < 1
    np.testing.assert_array_equal(corrected(dirty, model, 0), model)


def test_corrections_stay_where_the_sources_are(dirty, model):
    change = np.abs(corrected(dirty, model, 10) - model)
    far = model < 1e-6 * model.max()
    assert far.any()
    assert change[far].max() < 1e-3 * change.max()


def test_a_scale_changes_nothing_else(dirty, model):
    expected = corrected(dirty, model, 5)
    np.testing.assert_allclose(7 * corrected(dirty, model / 7, 5, 7.0), expected, atol=1e-4 * expected.max())


def test_an_empty_model_stays_empty(dirty):
    assert not corrected(dirty, np.zeros(dirty.data.shape), 5).any()


def test_width(dirty):
    assert full_width(dirty) == pytest.approx(14.7 / 4)
