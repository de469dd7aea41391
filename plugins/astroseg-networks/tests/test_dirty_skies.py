"""Simulated dirty maps: what a point looks like, how much noise there is, how many sources."""

import numpy as np
import pytest
from astroseg_networks import dirty_skies
from astroseg_networks.dirty_skies import Gaussians, draw_dirty_sky
from scipy.signal import fftconvolve

SIZE = 64


def rng(*seed):
    return np.random.default_rng(seed)


def point(x, y):
    """One point, at an offset from the middle between two pixels."""
    return Gaussians(np.array([x]), np.array([y]), np.full((1, 3), [1e-9, 0.0, 1e-9]), np.ones(1))


@pytest.mark.parametrize("radio", [0.0, 1.0])
def test_a_point_looks_like_the_dirty_beam(monkeypatch, radio):
    """One of flux 1 at column 35 and row 29 is the dirty beam moved there, with as much noise as is said."""
    place = point(3.5, -2.5)
    monkeypatch.setattr(dirty_skies, "_flare_sources", lambda *_: place)
    monkeypatch.setattr(dirty_skies, "_radio_sources", lambda *_: (place, 1e-3))
    ratios = []
    for seed in range(24):
        sky = draw_dirty_sky(rng(seed), SIZE, radio=radio)
        assert sky.psf[SIZE - 1, SIZE - 1] == pytest.approx(1)
        moved = sky.psf[SIZE - 1 - 29 : 2 * SIZE - 1 - 29, SIZE - 1 - 35 : 2 * SIZE - 1 - 35]
        ratios.append(np.sqrt(np.mean((sky.dirty - moved) ** 2)) / sky.noise)
        assert np.unravel_index(sky.truth.argmax(), sky.truth.shape) == (29, 35)
        assert sky.truth.max() == pytest.approx(1)
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("radio", [0.0, 1.0])
def test_the_truth_is_the_sky_at_the_restoring_beam(monkeypatch, radio):
    """A Gaussian convolved with the beam by pixels."""
    covariance = np.array([9.0, 2.0, 6.0])
    wide = Gaussians(np.array([4.5]), np.array([1.5]), covariance[np.newaxis], np.ones(1))
    monkeypatch.setattr(dirty_skies, "_flare_sources", lambda *_: wide)
    monkeypatch.setattr(dirty_skies, "_radio_sources", lambda *_: (wide, 1e-3))
    sky = draw_dirty_sky(rng(5), SIZE, radio=radio)
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    inverse = np.linalg.inv([[covariance[0], covariance[1]], [covariance[1], covariance[2]]])
    dx, dy = x - 4.5, y - 1.5
    profile = np.exp(-0.5 * (inverse[0, 0] * dx**2 + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2))
    expected = fftconvolve(profile / profile.sum(), sky.beam, mode="same")
    np.testing.assert_allclose(sky.truth, expected, atol=2e-3 * expected.max())


def test_as_many_of_one_two_and_three():
    def numbers(*, balanced):
        shares = dirty_skies.BALANCED if balanced else dirty_skies.UNBALANCED
        drawn = [dirty_skies._flare_sources(rng(seed), 7.0, 30.0, shares) for seed in range(300)]
        # Parts of one source lie together; its parts have the same flux.
        return [np.unique(sources.flux).size for sources in drawn]

    counts = np.bincount(numbers(balanced=True), minlength=4)[1:]
    assert (counts > 70).all()
    assert np.bincount(numbers(balanced=False), minlength=4)[1] > 240


def test_beams_are_as_wide_as_asked_for():
    for seed in range(10):
        sky = draw_dirty_sky(rng(seed), SIZE, radio=float(seed % 2), beams=(5.0, 5.0))
        variance = np.cov(np.indices(sky.beam.shape).reshape(2, -1), aweights=sky.beam.ravel())
        width = np.sqrt(8 * np.log(2)) * np.linalg.det(variance) ** 0.25
        assert width == pytest.approx(5, rel=0.01 if seed % 2 == 0 else 0.15)
