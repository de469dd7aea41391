"""The X-ray simulator against closed formulas: visibilities, their noise, and the dirty map."""

from __future__ import annotations

import numpy as np
import pytest

from astroseg import UsageError
from astroseg.simulate.stamps import Parts
from astroseg.simulate.xray import COARSEST, FINEST, MODULATION, observe, simulate_xray


def point(counts, variance=0.0):
    one = np.ones(1)
    return Parts(np.array([1]), 0 * one, 0 * one, counts * one, np.array([[variance, 0.0, variance]]))


def test_the_same_seed_gives_the_same_bytes():
    first, again, other = (simulate_xray(size=65, seed=seed) for seed in (3, 3, 4))
    assert first.image.data.tobytes() == again.image.data.tobytes()
    assert first.labels.tobytes() == again.labels.tobytes()
    assert first.image.data.tobytes() != other.image.data.tobytes()


def test_visibility_of_a_gaussian():
    """A million photons against the Fourier transform."""
    seen = observe(np.random.default_rng(1), np.array([40.0]), np.array([25.0]), point(1e8, 9.0), 65, 2.0)
    x, y = (40 - 32) * 2.0, (25 - 32) * 2.0
    variance = 9.0 * 2.0**2
    expected = 1e8 * np.exp(2j * np.pi * (seen.u * x + seen.v * y) - 2 * np.pi**2 * variance * (seen.u**2 + seen.v**2))
    assert np.abs((seen.value - expected) / seen.error).max() < 5
    resolution = 0.5 / np.hypot(seen.u, seen.v)
    assert resolution.size == 24
    np.testing.assert_allclose([resolution.min(), resolution.max()], [FINEST, COARSEST])


def test_noise_of_a_visibility():
    rng = np.random.default_rng(1)
    values = np.array(
        [observe(rng, np.array([40.0]), np.array([25.0]), point(900.0), 65, 2.0).value for _ in range(900)]
    )
    expected = np.sqrt(2 * 900) / MODULATION
    assert np.sqrt((values.real.var(axis=0) + values.imag.var(axis=0)) / 2).mean() == pytest.approx(expected, rel=0.03)


def test_dirty_map_of_a_point_is_its_counts_times_the_dirty_beam():
    sky = simulate_xray(size=65, seed=1, counts=1e7)
    beam = sky.image.psf
    assert beam.shape == (129, 129)
    assert beam[64, 64] == pytest.approx(1)
    assert beam.max() == beam[64, 64]
    # The map is the sum of the sources, each in the place and with the counts of its row, if they are points.
    seen = sky.image.meta["visibilities"]
    steps = (np.arange(65) - 32) * 2.0
    kernel = np.exp(-2j * np.pi * (seen.u[:, None, None] * steps + seen.v[:, None, None] * steps[:, None]))
    expected = np.mean((seen.value[:, None, None] * kernel).real, axis=0)
    np.testing.assert_allclose(sky.image.data, expected, rtol=1e-4, atol=1e-3 * expected.max())


def test_noise_of_the_map():
    """A map minus that of the same sources with hardly any noise."""
    noisy, clean = (simulate_xray(size=129, seed=2, counts=counts) for counts in (2000.0, 2e9))
    difference = noisy.image.data - clean.image.data * 1e-6
    assert difference.std() == pytest.approx(noisy.truth["local_rms"][0].value, rel=0.35)


@pytest.mark.parametrize("seed", range(6))
def test_the_model_holds_the_counts_and_the_labels_its_isophote(seed):
    sky = simulate_xray(seed=seed)
    assert sky.model.sum(dtype=float) == pytest.approx(sky.truth["flux"].value.sum(), rel=1e-3)
    assert sky.truth["simulate_counts"].sum() == pytest.approx(2000)
    rms = sky.truth["local_rms"][0].value
    np.testing.assert_array_equal(sky.labels > 0, sky.model > 2 * rms)
    assert 1 <= len(sky.truth) <= 3
    y, x = np.indices(sky.model.shape)
    centroid = [np.sum(sky.model * grid) / sky.model.sum() for grid in (x, y)]
    weights = sky.truth["simulate_counts"] / 2000
    expected = [np.sum(weights * sky.truth[name].value) for name in ("x_centroid", "y_centroid")]
    np.testing.assert_allclose(centroid, expected, atol=0.05)


def test_options_have_their_effect():
    plain = simulate_xray(size=65, seed=1)
    for given in ({"counts": 500.0}, {"pixel": 3.0}, {"isophote": 5.0}):
        changed = simulate_xray(size=65, seed=1, **given)
        assert not (
            np.array_equal(changed.image.data, plain.image.data) and np.array_equal(changed.labels, plain.labels)
        )


@pytest.mark.parametrize("name", ["counts", "pixel", "isophote"])
def test_what_makes_no_sense_is_refused(name):
    with pytest.raises(UsageError, match=name):
        simulate_xray(**{name: 0.0})
    with pytest.raises(UsageError, match="16"):
        simulate_xray(size=4)
