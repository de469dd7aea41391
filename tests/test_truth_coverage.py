"""Polygons to pixels: shares of pixels against fine sampling, areas, and ellipses down to single pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from astroseg.truth.coverage import covered_pixels, pixel_coverage

FINE = 20  # samples a pixel, along each axis


def sampled(is_inside, shape):
    """Share of each pixel that lies within, by fine sampling."""
    steps = (np.arange(FINE) + 0.5) / FINE - 0.5
    y, x = ((np.arange(length)[:, None] + steps).ravel() for length in shape)
    inside = is_inside(*np.meshgrid(x, y))
    return inside.reshape(shape[0], FINE, shape[1], FINE).mean(axis=(1, 3))


def ellipse(x, y, major, minor, angle, corners=360):
    along = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [x, y] + np.column_stack([major * np.cos(along), minor * np.sin(along)]) @ turn


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), corners=st.integers(3, 9), size=st.sampled_from([0.7, 4.0, 40.0]))
def test_shares_are_those_of_fine_sampling(seed, corners, size):
    rng = np.random.default_rng(seed)
    # Around a point, so that no edges cross; large ones stick out of the image on all sides.
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.3, 1, (corners, 1)) * size
    ring = rng.uniform(2, 10, 2) + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    expected = sampled(lambda x, y: Path(ring).contains_points(np.column_stack([x.ravel(), y.ravel()])), (12, 14))
    for way in (ring, ring[::-1]):
        np.testing.assert_allclose(pixel_coverage(way, (12, 14)), expected, atol=3 / FINE)


@settings(max_examples=100, deadline=None)
@given(
    major=st.floats(0.05, 15), ratio=st.floats(0.05, 1), angle=st.floats(0, np.pi),
    x=st.floats(15, 20), y=st.floats(15, 20),
)  # fmt: skip
def test_the_area_is_that_of_the_polygon(major, ratio, angle, x, y):
    ring = ellipse(x, y, major, major * ratio, angle)
    shares = pixel_coverage(ring, (36, 36))
    assert shares.sum() == pytest.approx(np.pi * major**2 * ratio, rel=1e-3)
    assert shares.max() <= 1 + 1e-9
    rows, columns = np.indices(shares.shape)
    assert np.sum(shares * columns) / shares.sum() == pytest.approx(x, abs=0.5)
    assert np.sum(shares * rows) / shares.sum() == pytest.approx(y, abs=0.5)


@pytest.mark.parametrize(("least", "most"), [(0.7, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 4.0), (4.0, 8.0)])
@pytest.mark.parametrize("ratio", [1.0, 0.75, 0.5])
def test_ellipses_of_any_size_are_the_pixels_that_are_half_inside(least, most, ratio):
    """IoU with the supersampled ellipse, over angles and places between the pixels."""
    rng, shape = np.random.default_rng(1), (20, 20)
    both = either = 0
    for _ in range(20):
        (x, y), major, angle = rng.uniform(9, 11, 2), rng.uniform(least, most), rng.uniform(0, np.pi)
        minor = max(0.7, ratio * major)

        def is_inside(px, py, x=x, y=y, major=major, minor=minor, angle=angle):
            along = (px - x) * np.cos(angle) + (py - y) * np.sin(angle)
            across = (py - y) * np.cos(angle) - (px - x) * np.sin(angle)
            return (along / major) ** 2 + (across / minor) ** 2 < 1

        expected = sampled(is_inside, shape) >= 0.5
        found = np.zeros(shape, dtype=bool)
        found.flat[covered_pixels(ellipse(x, y, major, minor, angle), shape)] = True
        both, either = both + np.sum(expected & found), either + np.sum(expected | found)
    assert both / either > 0.97


def test_edges_through_the_centres_of_pixels():
    """Half of a pixel is enough, whichever way the corners run; a quarter, at the corners, is not."""
    square = np.array([[2.0, 3.0], [5.0, 3.0], [5.0, 6.0], [2.0, 6.0]])
    for ring in (square, square[::-1]):
        assert pixel_coverage(ring, (9, 9))[3:7, 2:6].tolist() == [
            [0.25, 0.5, 0.5, 0.25], [0.5, 1, 1, 0.5], [0.5, 1, 1, 0.5], [0.25, 0.5, 0.5, 0.25],
        ]  # fmt: skip
        assert covered_pixels(ring, (9, 9)).size == 12


@pytest.mark.parametrize("far", [(-1e9, 4.0), (1e9, 4.0), (4.0, -1e9), (4.0, 1e9), (-300.0, -300.0)])
def test_what_lies_elsewhere_has_no_pixels(far):
    assert covered_pixels(np.array(far) + ellipse(0, 0, 3, 2, 0.5), (9, 11)).size == 0


def test_what_lies_around_the_whole_image_covers_it():
    assert covered_pixels(ellipse(3, 3, 1e7, 1e7, 0.1), (9, 11)).tolist() == list(range(99))
