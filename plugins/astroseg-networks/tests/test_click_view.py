"""What a page gets to see of an image."""

import numpy as np
import pytest
from astroseg_networks.click_view import STRETCHES, View, to_bytes

from astroseg import read_image


@pytest.fixture(scope="module")
def data():
    data = np.random.default_rng(2).normal(size=(1500, 2203)).astype("f4")
    data[:64, :300] = np.nan
    data[700, 900] = np.nan
    return data


@pytest.fixture(scope="module")
def view(data):
    return View(read_image(data))


def test_near_by_pixels_are_those_of_the_image(view, data):
    part = view.part((100.2, 60.7, 140.1, 80.2), 800)
    left, bottom, right, top = part.bounds
    assert (left, bottom, right, top) == (99.5, 60.5, 140.5, 80.5)
    np.testing.assert_array_equal(part.values, data[61:81, 100:141])


@pytest.mark.parametrize("width", [1000, 400])
def test_from_afar_they_are_means_of_what_is_not_blank(view, data, width):
    part = view.part((-200, -200, 2400, 1700), width)
    factor = {1000: 2, 400: 4}[width]
    assert part.bounds[:2] == (-0.5, -0.5)
    assert part.values.shape == (-(-1500 // factor), -(-2203 // factor))
    assert part.bounds[2] == factor * part.values.shape[1] - 0.5
    for row, column in ((0, 0), (700 // factor, 900 // factor), (300, 280), (0, 300 // factor - 1)):
        block = data[row * factor :, column * factor :][:factor, :factor]
        mean = np.nanmean(block) if np.isfinite(block).any() else np.nan
        if factor == 2 or np.isfinite(block).all():
            np.testing.assert_allclose(part.values[row, column], mean, rtol=1e-5, atol=1e-6)
    assert np.isnan(part.values[0, 0])


def test_the_parts_are_small(view):
    """However far the user zooms, about one pixel of the screen takes one number, four at most."""
    for size in (30, 500, 1500, 2500, 9000):
        part = view.part((0, 0, size, size), 600)
        assert part.values.size <= (2 * 600 + 4) ** 2
    assert max(view.overview.values.shape) <= 1024


@pytest.mark.parametrize("bounds", [(-900, -900, -800, -800), (5000, 5000, 5100, 5100), (3, 3, 3, 3)])
def test_nothing_in_sight(view, bounds):
    assert view.part(bounds, 800).values.size >= 1


@pytest.mark.parametrize("stretch", STRETCHES)
def test_colours_grow_with_the_values_and_zero_is_blank(stretch):
    values = np.array([[-5, 0, 1, 5, 9, 10, 50, np.nan, np.inf]])
    colours = to_bytes(values, (0, 10), stretch)[0]
    assert colours.dtype == np.uint8
    assert list(colours[[0, 1, 5, 6]]) == [1, 1, 255, 255]
    assert list(colours[7:]) == [0, 0]
    assert np.all(np.diff(colours[1:6].astype(int)) > 0)


def test_linear_colours_are_in_proportion():
    np.testing.assert_array_equal(to_bytes(np.linspace(0, 1, 255), (0, 1), "linear"), np.arange(1, 256))


def test_limits_are_percentiles(data, view):
    low, high = view.limits((1, 99))
    seen = data[np.isfinite(data)]
    assert np.mean(seen < low) == pytest.approx(0.01, abs=1e-3)
    assert np.mean(seen > high) == pytest.approx(0.01, abs=1e-3)


@pytest.mark.parametrize("data", [np.zeros((40, 50)), np.full((40, 50), np.nan), np.full((40, 50), 7, dtype="i2")])
def test_images_without_contrast(data):
    view = View(read_image(data, keep_zeros=True))
    low, high = view.limits((0.1, 99.9))
    assert high > low
    assert to_bytes(view.overview.values, (low, high), "asinh").max() <= 1
