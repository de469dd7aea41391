"""Measurement against photutils, closed formulas and brute force."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from helpers import gaussian, make_wcs, prepared
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.segmentation import SegmentationImage, SourceCatalog

from astroseg import Beam, find, measure, read_image, standardize
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.labels import components
from astroseg.measurement import centroid_variance
from astroseg.simulate.radio import correlated_noise
from astroseg.sums import sum_labels


@pytest.fixture(scope="module")
def islands():
    """Forty overlapping blobs on noise, and the islands above 3 sigma."""
    rng = np.random.default_rng(8)
    data = rng.normal(size=(300, 280))
    for _ in range(40):
        a, b = rng.uniform(1.5, 5, 2)
        data += gaussian(data.shape, *rng.uniform(5, 275, 2), a, b, rng.uniform(0, 180), rng.uniform(10, 300))
    labels = components(data > 3)
    keep = np.bincount(labels.ravel()) >= 5
    labels[~keep[labels]] = 0
    return data, labels


def test_uncorrected_columns_equal_photutils(islands):
    data, labels = islands
    ours = measure(prepared(data), labels, correct=False)
    theirs = SourceCatalog(data, SegmentationImage(labels))
    np.testing.assert_array_equal(ours["label"], theirs.labels)
    close = {"rtol": 1e-6, "atol": 1e-9}
    np.testing.assert_allclose(ours["x_centroid"].value, theirs.x_centroid, **close)
    np.testing.assert_allclose(ours["y_centroid"].value, theirs.y_centroid, **close)
    np.testing.assert_allclose(ours["flux"].value, theirs.segment_flux, **close)
    np.testing.assert_allclose(ours["peak_flux"].value, theirs.max_value, **close)
    np.testing.assert_allclose(ours["n_pixels"], theirs.segment_area.value)
    np.testing.assert_allclose(ours["fwhm_major"].value / FWHM_PER_SIGMA, theirs.semimajor_axis.value, **close)
    np.testing.assert_allclose(ours["fwhm_minor"].value / FWHM_PER_SIGMA, theirs.semiminor_axis.value, **close)
    # photutils: from +x towards +y; ours without a sky: from +y towards -x.
    turned = (ours["pa"].value - (theirs.orientation.value - 90) + 90) % 180 - 90
    np.testing.assert_allclose(turned, 0, atol=1e-5)


@given(cut_y=st.integers(1, 299), cut_x=st.integers(1, 279))
@settings(max_examples=5)
def test_sums_do_not_depend_on_where_labels_are_read_from(islands, cut_y, cut_x):
    """The labels as a memory map, Fortran-ordered or sliced give the same bits."""
    data, labels = islands
    image = prepared(data)
    first = sum_labels(image, labels)
    padded = np.zeros((labels.shape[0] + cut_y, labels.shape[1] + cut_x), dtype=np.int64)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    second = sum_labels(image, padded[: labels.shape[0], : labels.shape[1]])
    third = sum_labels(image, np.asfortranarray(labels))
    for name in ("flux", "xx", "xy", "low", "high", "flags"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(third, name))


def test_an_object_over_many_blocks_is_measured_like_one_in_the_corner():
    big = gaussian((700, 900), 450.3, 330.6, 90, 50, 30)
    labels = (big > 0.05).astype(np.int32)
    catalog = measure(prepared(big, rms=1e-3), labels, correct=False)
    sharp = measure(prepared(big, rms=1e-3), labels)
    rows, columns = np.nonzero(labels)
    weight = big[rows, columns]
    assert catalog["x_centroid"].value[0] == pytest.approx(np.average(columns, weights=weight), abs=1e-9)
    assert catalog["y_centroid"].value[0] == pytest.approx(np.average(rows, weights=weight), abs=1e-9)
    assert sharp["x_centroid"].value[0] == pytest.approx(np.average(columns, weights=weight**2), abs=1e-9)
    assert sharp["y_centroid"].value[0] == pytest.approx(np.average(rows, weights=weight**2), abs=1e-9)
    covariance = np.cov(np.stack([columns, rows]), aweights=weight, ddof=0)
    widths = np.sqrt(np.linalg.eigvalsh(covariance)) * FWHM_PER_SIGMA
    assert catalog["fwhm_minor"].value[0] == pytest.approx(widths[0], rel=1e-9)
    assert catalog["fwhm_major"].value[0] == pytest.approx(widths[1], rel=1e-9)


@pytest.mark.parametrize("cdelt", [(-2.0, 2.0), (2.0, 2.0), (-2.0, -2.0)])
@pytest.mark.parametrize("angle", [0.0, 25.0, 130.0])
def test_size_and_position_angle_on_the_sky(cdelt, angle):
    """A Gaussian drawn through the WCS: what comes back is what was drawn on the sky."""
    shape = (80, 80)
    wcs = make_wcs(shape, cdelt=cdelt, angle=angle)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    sky = wcs.pixel_to_world(columns, rows)
    centre = wcs.pixel_to_world(40.2, 38.9)
    east, north = (offset.to_value(u.arcsec) for offset in centre.spherical_offsets_to(sky))
    pa, major, minor = np.radians(37.0), 20.0, 11.0
    along, across = east * np.sin(pa) + north * np.cos(pa), east * np.cos(pa) - north * np.sin(pa)
    data = 100 * np.exp(-4 * np.log(2) * ((along / major) ** 2 + (across / minor) ** 2))
    row = measure(prepared(data, rms=0.01, wcs=wcs), (data > 0.5).astype(int))[0]
    assert row["ra"].to_value("deg") == pytest.approx(centre.ra.deg, abs=2e-6)
    assert row["dec"].to_value("deg") == pytest.approx(centre.dec.deg, abs=2e-6)
    assert row["fwhm_major"].to_value("arcsec") == pytest.approx(major, rel=5e-3)
    assert row["fwhm_minor"].to_value("arcsec") == pytest.approx(minor, rel=5e-3)
    assert row["pa"].to_value("deg") == pytest.approx(37, abs=0.5)


def test_deconvolved_size_is_the_sources_own():
    """A Gaussian source convolved with a Gaussian beam of another position angle."""
    shape, wcs = (101, 101), make_wcs((101, 101), cdelt=(-1.0, 1.0))
    beam = Beam(8 * u.arcsec, 5 * u.arcsec, 70 * u.deg)

    def covariance(major, minor, pa):
        angle = np.radians(pa)
        along, across = np.array([-np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])
        return (major**2 * np.outer(along, along) + minor**2 * np.outer(across, across)) / FWHM_PER_SIGMA**2

    inverse = np.linalg.inv(covariance(12, 6, 20) + covariance(8, 5, 70))
    rows, columns = np.mgrid[: shape[0], : shape[1]] - 50
    data = np.exp(-0.5 * (inverse[0, 0] * columns**2 + 2 * inverse[0, 1] * columns * rows + inverse[1, 1] * rows**2))
    image = prepared(data, rms=1e-5, wcs=wcs, unit="Jy/beam", beam=beam)
    row = measure(image, (data > 1e-3).astype(int))[0]
    assert row["deconvolved_major"].to_value("arcsec") == pytest.approx(12, rel=0.01)
    assert row["deconvolved_minor"].to_value("arcsec") == pytest.approx(6, rel=0.02)
    assert row["deconvolved_pa"].to_value("deg") == pytest.approx(20, abs=1)
    assert row["flux"].to_value("Jy") == pytest.approx(data.sum() / (np.pi * 8 * 5 / (4 * np.log(2))), rel=2e-3)


def test_a_point_source_is_unresolved():
    image = prepared(gaussian((41, 41), 20, 20, 2, peak=100), unit="Jy/beam", beam=f"{2.05 * FWHM_PER_SIGMA}pix")
    row = measure(image, (image.data > 2).astype(int))[0]
    assert row["deconvolved_major"].value == 0
    assert np.isnan(row["deconvolved_pa"].value)


@pytest.mark.parametrize(
    ("unit", "factor", "result"),
    [("Jy/beam", 1 / 20.0, "Jy"), ("mJy/beam", 1e-3 / 20.0, "Jy"), ("Jy/pix", 1.0, "Jy"), ("DN", 1.0, "DN pix")],
)
def test_flux_has_the_unit_that_the_image_allows(unit, factor, result):
    width = np.sqrt(20 * 4 * np.log(2) / np.pi)  # a beam of 20 pixels
    image = prepared(np.full((5, 5), 2.0), unit=unit, beam=f"{width}pix")
    catalog = measure(image, np.pad([[1, 1], [1, 1]], (1, 2)), correct=False)
    assert catalog["flux"].unit == u.Unit(result)
    assert catalog["flux"].value[0] == pytest.approx(8 * factor)


def test_flux_of_surface_brightness_needs_pixels_only():
    image = prepared(np.ones((64, 64)), unit="MJy/sr", wcs=make_wcs())
    catalog = measure(image, np.ones((64, 64), int), correct=False)
    expected = 64 * 64 * 1e6 * (2 * u.arcsec).to_value("rad") ** 2
    assert catalog["flux"].to_value("Jy")[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("snr", [10, 40])
def test_position_errors_are_those_seen(snr):
    """Pulls of the positions of many point sources, on noise of the beam's correlation."""
    rng = np.random.default_rng(2)
    beam, cell, number = 4.0, 28, 18
    data = correlated_noise(rng, (cell * number, cell * number), 0.65 * beam)
    data += np.tile(gaussian((cell, cell), 14, 14, beam / FWHM_PER_SIGMA, peak=snr), (number, number))
    image = prepared(data, unit="Jy/beam", beam=f"{beam * 2}", wcs=make_wcs(data.shape))
    catalog = find(image, "sigma").catalog
    catalog = catalog[catalog["snr"] > snr / 2]
    assert len(catalog) >= 0.98 * number**2
    offset = (catalog["y_centroid"].value - 14 + cell / 2) % cell - cell / 2
    pulls = offset * 2 / 3600 / catalog["dec_err"].to_value("deg")
    assert 1.4826 * np.median(np.abs(pulls)) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("u", [0.7, 1.9, 4.2])
def test_variance_of_the_centroid_by_fourier_integral(u):
    """The functional that the formula stands for, integrated on a grid."""
    sigma, size = 16.0, 512
    axis = np.arange(size) - size // 2
    x, y = np.meshgrid(axis, axis)
    brightness = np.exp(u - (x * x + y * y) / (2 * sigma**2))  # in units of the isophote
    functional = np.where(brightness > 1, 2 * brightness - 1, 0)
    k = 2 * np.pi * np.fft.fftfreq(size)
    weight = sigma**2 * k[np.newaxis] * np.abs(np.fft.fft2(functional))
    power = 2 * np.pi * sigma**2 * np.exp(-(sigma**2) * (k[:, np.newaxis] ** 2 + k[np.newaxis] ** 2) / 2)
    squared = np.pi * sigma**2 * (np.exp(2 * u) - 1)
    deviation = np.sqrt((weight**2 * power).sum()) / size * np.exp(u) / squared / sigma
    optimal = np.sqrt(2 * 4 * 0.5 / 1.5**3)  # Condon's, for noise2 = half the source's area
    ours = np.sqrt(centroid_variance(1 - np.exp(-u)))
    assert ours == pytest.approx(deviation / optimal, rel=0.06)


def test_flags():
    data = np.full((40, 40), 0.0)
    labels = np.zeros((40, 40), dtype=int)
    labels[0:3, 5:8] = 1  # at the edge
    labels[10:13, 10:13], labels[10:13, 13:16] = 2, 3  # share a border
    labels[20:23, 20:23] = 4  # next to blank pixels
    labels[30:33, 30:33] = 5  # saturated
    labels[25:28, 5:8] = 6  # nothing in it
    data[(labels > 0) & (labels < 6)] = 10.0
    data[31, 31] = 255.0
    image = prepared(data, mask=np.pad([[1.0]], ((23, 16), (23, 16))))
    image.meta["header"]["SATURATE"] = 255.0
    flags = dict(zip(*(measure(image, labels)[name].tolist() for name in ("label", "flags")), strict=True))
    assert {label: bits & ~16 for label, bits in flags.items()} == {1: 1, 2: 8, 3: 8, 4: 2, 5: 4, 6: 32}


def test_blank_pixels_inside_a_label_count_nothing():
    data = gaussian((40, 40), 20, 20, 3, peak=50)
    hole = data.copy()
    hole[20, 20] = np.nan
    labels = (data > 1).astype(int)
    row = measure(prepared(hole), labels, correct=False)[0]
    assert row["flux"].value == pytest.approx(data[labels > 0].sum() - data[20, 20])
    assert np.isfinite(row["fwhm_major"].value)


def test_probability_is_the_maximum_over_the_label():
    labels = np.zeros((6, 6), dtype=int)
    labels[1:3, 1:3], labels[4, 4] = 1, 2
    probability = np.linspace(0, 1, 36).reshape(6, 6)
    catalog = measure(prepared(np.ones((6, 6))), labels, probability=probability)
    np.testing.assert_allclose(catalog["probability"], [probability[2, 2], probability[4, 4]])


def test_no_labels_give_an_empty_catalogue_with_every_column():
    catalog = measure(prepared(np.ones((20, 20))), np.zeros((20, 20), int))
    assert len(catalog) == 0
    assert catalog["flux"].unit == u.pix


def test_the_background_is_taken_off():
    data = gaussian((64, 64), 30.3, 29.8, 2, peak=100) + 1000
    image = standardize(read_image(data), np.full((64, 64), 1000.0), np.ones((64, 64)))
    row = measure(image, (data > 1005).astype(int))[0]
    assert row["flux"].value == pytest.approx(100 * 2 * np.pi * 4, rel=0.01)
    assert row["peak_flux"].value == pytest.approx(data.max() - 1000)


@pytest.mark.parametrize(
    ("kinds", "declination"),
    [(("RA---SIN", "DEC--SIN"), 89.9), (("GLON-CAR", "GLAT-CAR"), 0.0), (("RA---SIN", "DEC--SIN"), 10.0)],
)
@pytest.mark.parametrize("cdelt", [(-2.0, 2.0), (2.0, 2.0)])
def test_point_sources_are_unresolved_whatever_the_frame(kinds, declination, cdelt):
    """An elongated beam is one and the same all over the plane of the image, and its angle that plane's."""
    shape = (400, 400)
    wcs = make_wcs(shape, cdelt=cdelt, crval=(30.0, declination), kinds=kinds, angle=20)
    matrix = wcs.pixel_scale_matrix * 3600
    pa = np.radians(30)
    along, across = np.array([np.sin(pa), np.cos(pa)]), np.array([np.cos(pa), -np.sin(pa)])
    beam = (100 * np.outer(along, along) + 25 * np.outer(across, across)) / FWHM_PER_SIGMA**2
    inverse = matrix.T @ np.linalg.inv(beam) @ matrix
    data = np.random.default_rng(1).normal(size=shape) * 1e-3
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for x in (60, 200, 340):
        for y in (60, 200, 340):
            dx, dy = columns - x, rows - y
            data += np.exp(-0.5 * (inverse[0, 0] * dx**2 + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2))
    image = prepared(data, rms=1e-3, wcs=wcs, unit="Jy/beam", beam="10,5,30")
    catalog = find(image, "sigma").catalog
    assert len(catalog) == 9
    assert np.median(catalog["deconvolved_major"].to_value("arcsec")) < 0.8
    np.testing.assert_allclose(catalog["flux"].to_value("Jy"), 1, rtol=0.01)
