"""The grid on which the beam is round: there and back again."""

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from astroseg_networks.grid import KNOWN, NARROWEST, choose_grid
from astroseg_networks.normalisation import CANONICAL_BEAM
from hypothesis import given, settings
from hypothesis import strategies as st

from astroseg import Beam
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.ellipse import covariance_from_fwhm
from astroseg.sky import beam_covariance

CANONICAL = np.eye(2) * (CANONICAL_BEAM / FWHM_PER_SIGMA) ** 2

angles = st.floats(0, 180)
widths = st.floats(-2, 4).map(lambda power: 10**power)


def gaussian(shape, x, y, covariance):
    away = np.stack(np.meshgrid(np.arange(shape[1]) - x, np.arange(shape[0]) - y), axis=-1)
    return np.exp(-0.5 * np.einsum("...i,ij,...j", away, np.linalg.inv(covariance), away)).astype("f4")


def moments(image):
    """Centroid and covariance, brightness as weight."""
    weight = image / image.sum()
    place = np.stack(np.meshgrid(np.arange(image.shape[1]), np.arange(image.shape[0])), axis=-1)
    mean = np.einsum("yx,yxi", weight, place)
    away = place - mean
    return mean, np.einsum("yx,yxi,yxj->ij", weight, away, away)


@pytest.mark.parametrize("width", [2.11, 3.49])
def test_a_beam_that_is_known_and_round_stays(width):
    grid = choose_grid((20, 30), covariance_from_fwhm(width, 0.95 * width, 20) / 0.95)
    values = np.arange(600.0).reshape(20, 30)
    assert grid.same
    assert grid.sample(values) is values is grid.restore(values, 1)
    assert grid.beam == pytest.approx(width, rel=1e-6)
    assert choose_grid((20, 30), None).same


@given(major=st.floats(NARROWEST, 60), ratio=st.floats(0.1, 1), pa=angles)
def test_the_beam_becomes_round(major, ratio, pa):
    beam = covariance_from_fwhm(major, max(ratio * major, NARROWEST), pa)
    grid = choose_grid((40, 50), beam)
    if not grid.same:
        np.testing.assert_allclose(grid.matrix, grid.matrix.T, atol=1e-12)
        np.testing.assert_allclose(grid.matrix @ beam @ grid.matrix.T, CANONICAL, atol=1e-9)
    assert KNOWN[0] <= grid.beam <= KNOWN[1]


@pytest.mark.parametrize("flip", [-1, 1])
@pytest.mark.parametrize("turn", [0, 35, 200])
@pytest.mark.parametrize("pa", [0, 30, 75, 140])
def test_a_point_source_becomes_round(flip, turn, pa):
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN"], [150, -30], [100, 90]
    wcs.wcs.cd = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([flip, 1]) / 3600
    # Drawn on the sky: (east, north) in arcsec of each pixel.
    x, y = 104.3, 92.6
    away = np.stack(np.meshgrid(np.arange(200) - x, np.arange(180) - y))
    east, north = np.einsum("ij,jyx->iyx", wcs.wcs.cd * 3600, away)
    along = east * np.sin(np.radians(pa)) + north * np.cos(np.radians(pa))
    across = east * np.cos(np.radians(pa)) - north * np.sin(np.radians(pa))
    image = np.exp(-0.5 * FWHM_PER_SIGMA**2 * ((along / 19) ** 2 + (across / 15) ** 2)).astype("f4")

    grid = choose_grid(image.shape, beam_covariance(Beam(19 * u.arcsec, 15 * u.arcsec, pa * u.deg), wcs))
    sampled = grid.sample(image)
    mean, covariance = moments(sampled)
    np.testing.assert_allclose(covariance, CANONICAL, rtol=5e-3, atol=5e-3)
    assert sampled.sum() == pytest.approx(2 * np.pi * CANONICAL[0, 0], rel=5e-3)  # a peak of 1, as on the image
    np.testing.assert_allclose(np.ravel(grid.positions(*mean[:, None])), [x, y], atol=0.01)


@pytest.mark.parametrize(("major", "minor", "pa"), [(1.25, 1.25, 0), (0.3, 0.1, 30), (6, 0.5, 45), (1.3, 0.01, 10)])
def test_an_image_becomes_at_most_four_times_as_large(major, minor, pa):
    grid = choose_grid((400, 400), covariance_from_fwhm(major, minor, pa))
    assert grid.shape[0] * grid.shape[1] <= 1.01 * 4 * 400**2


def test_one_axis_may_grow_while_the_other_shrinks():
    grid = choose_grid((100, 100), covariance_from_fwhm(8, 1.8, 0))
    assert grid.shape == (32, 139)
    image = gaussian((100, 100), 50.2, 49.7, covariance_from_fwhm(8, 1.8, 0))
    np.testing.assert_allclose(moments(grid.sample(image))[1], CANONICAL, rtol=0.01, atol=0.01)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.just((3, 500)), major=widths, minor=widths, pa=angles
)
def test_every_pixel_lies_on_the_grid(shape, major, minor, pa):
    grid = choose_grid(shape, covariance_from_fwhm(major, minor, pa))
    ones = np.ones(grid.shape, dtype="f4")
    for order in (0, 1):
        restored = grid.restore(ones, order)
        assert restored.shape == shape
        np.testing.assert_allclose(restored, 1, rtol=1e-6)  # the labels of sources at the edge, too
    sampled = grid.sample(np.ones(shape, dtype="f4"))
    assert sampled.shape == grid.shape
    assert sampled.dtype == np.float32
    assert np.isfinite(sampled).all()
    # A beam narrower than a pixel does not make a grid without limit.
    assert max(grid.shape) <= np.hypot(*shape) * 2 * CANONICAL_BEAM / NARROWEST + 1


@given(points=st.lists(st.tuples(st.floats(-50, 500), st.floats(-50, 500))), major=widths, minor=widths, pa=angles)
def test_positions_and_covariances_are_inverse(points, major, minor, pa):
    grid = choose_grid((60, 80), covariance_from_fwhm(major, minor, pa))
    place = np.array(points).reshape(-1, 2)
    on_grid = place @ grid.matrix.T + grid.offset
    back = np.stack(grid.positions(*on_grid.T), axis=-1)
    np.testing.assert_allclose(back, place, rtol=1e-6, atol=1e-6)
    shapes = np.repeat(covariance_from_fwhm(3.0, 2.0, 50)[None], len(place), axis=0)
    there = grid.matrix @ shapes @ grid.matrix.T
    np.testing.assert_allclose(grid.covariances(there), shapes, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("major", "minor"), [(19, 15), (6, 6), (1.6, 1.5)])
def test_there_and_back(major, minor):
    beam = covariance_from_fwhm(major, minor, 70)
    image = gaussian((90, 110), 48.3, 41.1, beam)
    grid = choose_grid(image.shape, beam)
    # Linear interpolation of a Gaussian loses at most 1 / (8 sigma^2) in each direction.
    np.testing.assert_allclose(grid.restore(grid.sample(image), 1), image, atol=0.25)
    assert np.std(grid.restore(grid.sample(image), 1) - image) < 0.02


@pytest.mark.parametrize("width", [1.5, 6, 19])
def test_splines_ring_over_a_few_pixels_of_a_blank_only(width):
    beam = np.eye(2) * (width / FWHM_PER_SIGMA) ** 2
    image = gaussian((120, 120), 60, 60, beam)
    image[:, 60:] = 0  # blank, right through the peak
    grid = choose_grid(image.shape, beam)
    away = grid.positions(np.arange(grid.shape[1]), np.zeros(grid.shape[1]))[0] - 60
    sampled = grid.sample(image)
    assert np.abs(sampled[:, away > 2]).max() < 0.05
    assert np.abs(sampled[:, away > 5]).max() < 0.001
    assert sampled.max() < 1.15
