"""Synthetic fields hold what their truth says."""

import numpy as np
import pytest

from astroseg.testing import make_field


def test_field_is_what_it_says():
    image, truth = make_field(n_sources=9, noise=2e-4, snr=(5, 50), seed=7)
    assert (image.shape, str(image.unit), len(truth)) == ((192, 192), "Jy / beam", 9)
    assert truth["snr"].min() >= 5
    assert truth["snr"].max() <= 50
    x, y = image.wcs.all_world2pix(truth["ra"].value, truth["dec"].value, 0)
    np.testing.assert_allclose([x, y], [truth["x_centroid"].value, truth["y_centroid"].value], atol=1e-6)
    peaks = image.data[np.round(y).astype(int), np.round(x).astype(int)]
    np.testing.assert_allclose(peaks, truth["peak_flux"].value, rtol=0.1, atol=5 * 2e-4)


def test_field_is_the_same_for_the_same_seed():
    (first, _), (second, _), (third, _) = make_field(), make_field(), make_field(seed=2)
    np.testing.assert_array_equal(first.data, second.data)
    assert not np.array_equal(first.data, third.data)


def test_noise_is_correlated_over_the_beam():
    image, truth = make_field(n_sources=0, noise=1e-3)
    assert len(truth) == 0
    assert np.std(image.data) == pytest.approx(1e-3, rel=1e-3)
    neighbours = np.corrcoef(image.data[:, 1:].ravel(), image.data[:, :-1].ravel())[0, 1]
    # Smoothed white noise has the autocorrelation of a Gaussian sqrt(2) wider than its kernel.
    assert neighbours == pytest.approx(np.exp(-0.25 * (2.3548 / (0.65 * 5)) ** 2), abs=0.02)


def test_noise_free_field_holds_the_flux_of_the_truth():
    image, truth = make_field(noise=0, n_sources=4, size=(0, 2), shape=(256, 256))
    area = image.meta["beam"].area_pixels(image.wcs.proj_plane_pixel_scales()[0])
    assert image.data.sum() / area == pytest.approx(truth["flux"].sum().value, rel=1e-3)


def test_border_is_blank():
    image, truth = make_field(border=10)
    assert image.mask[:10].all()
    assert not image.mask[10:-10, 10:-10].any()
    assert truth["x_centroid"].min().value > 10
