"""Sources -> pixels: fluxes, shapes, and the labels along an isophote."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from helpers import make_wcs
from hypothesis import given, settings
from hypothesis import strategies as st

from astroseg import measure, read_image
from astroseg.catalog import complete, flux_scale
from astroseg.ellipse import covariance_from_fwhm, fwhm_from_covariance
from astroseg.render import render_gaussians
from astroseg.sky import beam_covariance, pixel_covariance, sky_covariance
from astroseg.truth import model_image, read_truth, truth_labels
from astroseg.truth.model import describe_sources

RNG = np.random.default_rng(20)


def one(value):
    return np.array([value], dtype=float)


def drawn(x, y, major, minor, pa, shape=(96, 96), total=1.0, **options):
    covariance = pixel_covariance(covariance_from_fwhm(one(major), one(minor), one(pa)), None, one(x), one(y))
    return (*render_gaussians(shape, one(x), one(y), one(total), covariance, **options), covariance[0])


@settings(max_examples=60, deadline=None)
@given(
    major=st.floats(0, 12), ratio=st.floats(0, 1), pa=st.floats(0, 180), x=st.floats(40, 50), y=st.floats(40, 50),
    total=st.sampled_from([1.0, -3.0, 1e-32, 1e30]),
)  # fmt: skip
def test_flux_and_position_of_any_source(major, ratio, pa, x, y, total):
    model, owner, _ = drawn(x, y, major, major * ratio, pa, total=total)
    assert model.sum() / total == pytest.approx(1, rel=2e-3)
    rows, columns = np.indices(model.shape)
    # Pixels know the position of a source that is thinner than they are to a tenth only.
    precision = 0.01 if major * ratio > 1.5 else 0.1
    assert (model * columns).sum() / model.sum() == pytest.approx(x, abs=precision)
    assert (model * rows).sum() / model.sum() == pytest.approx(y, abs=precision)
    assert set(np.unique(owner)) <= ({0, 1} if total > 0 else {0})


def test_faint_sources_may_be_cut_sooner_and_bright_ones_later():
    full, _, _ = drawn(48, 48, 8, 8, 0)
    faint, _, _ = drawn(48, 48, 8, 8, 0, faintest=1.0)
    bright, _, _ = drawn(48, 48, 8, 8, 0, faintest=1e-30)
    assert np.count_nonzero(faint) < np.count_nonzero(full) < np.count_nonzero(bright)
    assert faint.sum() == pytest.approx(1, abs=3e-3)


def test_a_source_outside_reaches_in_and_what_is_unknown_is_not_drawn():
    x, total = np.array([-3.0, 200.0, 20.0, np.nan]), np.array([1.0, 1.0, np.nan, 1.0])
    covariance = np.broadcast_to(np.eye(2) * 9.0, (4, 2, 2))
    model, owner = render_gaussians((32, 32), x, np.full(4, 16.0), total, covariance)
    assert model[16, 0] > 0
    assert set(np.unique(owner)) == {0, 1}


def test_the_brightest_owns_a_pixel():
    x, covariance = np.array([10.0, 16.0]), np.broadcast_to(np.eye(2) * 4.0, (2, 2, 2))
    _, owner = render_gaussians((24, 27), x, np.full(2, 12.0), np.array([1.0, 1.0]), covariance)
    assert owner[12, 12] == 1
    assert owner[12, 14] == 2
    _, owner = render_gaussians((24, 27), x, np.full(2, 12.0), np.array([1.0, 9.0]), covariance)
    assert owner[12, 13] == 2


@settings(max_examples=50, deadline=None)
@given(major=st.floats(1, 50), ratio=st.floats(0.1, 0.95), pa=st.floats(0, 179.9))
def test_widths_come_back(major, ratio, pa):
    back = fwhm_from_covariance(covariance_from_fwhm(one(major), one(major * ratio), one(pa)))
    assert back[0] == pytest.approx(major)
    assert back[1] == pytest.approx(major * ratio)
    assert (back[2] - pa + 90) % 180 == pytest.approx(90, abs=1e-6)


@pytest.mark.parametrize("cdelt", [(-2.0, 2.0), (2.0, 2.0)])
@pytest.mark.parametrize("angle", [0.0, 37.0])
def test_shapes_turn_with_the_sky(cdelt, angle):
    wcs, x, y = make_wcs(cdelt=cdelt, angle=angle), one(20), one(40)
    sky = covariance_from_fwhm(one(20), one(8), one(30))
    np.testing.assert_allclose(sky_covariance(pixel_covariance(sky, wcs, x, y), wcs, x, y), sky, rtol=1e-9)
    image = read_image(np.zeros((64, 64)), unit="Jy/beam", beam="6,6,0", keep_zeros=True)
    image.wcs = wcs
    model, _ = render_gaussians((64, 64), x, y, one(1.0), pixel_covariance(sky, wcs, x, y))
    image.data = model
    found = measure(image, (model > 1e-6).astype(np.int32), correct=False)
    assert found["pa"].value == pytest.approx(30, abs=0.1)
    assert found["fwhm_major"].value == pytest.approx(20, rel=1e-2)
    assert found["fwhm_minor"].value == pytest.approx(8, rel=1e-2)


# Rasterising


def coverage(shape, x, y, covariance, level, fine=20):
    """Share of each pixel within the ellipse on which a Gaussian is ``exp(-level)`` of its peak."""
    steps = (np.arange(fine) + 0.5) / fine - 0.5
    rows, columns = ((np.arange(length)[:, None] + steps).ravel() for length in shape)
    dx, dy = columns[None, :] - x, rows[:, None] - y
    (xx, xy), (_, yy) = np.linalg.inv(covariance)
    inside = xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy < 2 * level
    return inside.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))


def overlap(one_mask, other):
    return np.minimum(one_mask, other).sum(), np.maximum(one_mask, other).sum()


def test_an_isophote_is_its_ellipse():
    sums = np.zeros(2)
    for _ in range(40):
        x, y = RNG.uniform(31, 33, 2)
        major = RNG.uniform(3, 16)
        model, owner, covariance = drawn(x, y, major, major * RNG.uniform(0.5, 1), RNG.uniform(0, 180), shape=(64, 64))
        peak = 1 / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
        labels = truth_labels(model, owner, peak * np.exp(-1.5))
        sums += overlap(labels > 0, coverage((64, 64), x, y, covariance, 1.5) > 0.5)
    assert sums[0] / sums[1] > 0.99


def test_a_large_isophote_has_the_area_of_its_ellipse():
    model, owner, covariance = drawn(47.3, 48.2, 40, 25, 30)
    peak = 1 / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    labels = truth_labels(model, owner, peak * np.exp(-1.0))
    both, either = overlap(labels > 0, coverage((96, 96), 47.3, 48.2, covariance, 1.0))
    assert both / either > 0.97


# From a catalogue


@pytest.fixture
def image():
    image = read_image(RNG.normal(0, 1e-4, (128, 160)), unit="mJy/beam", beam="9,6,30")
    image.wcs = make_wcs((128, 160))
    return image


def catalog_of(image, **columns):
    number = len(next(iter(columns.values())))
    return complete({"label": np.arange(1, number + 1), **columns}, image)


@pytest.mark.parametrize("unit", ["Jy/beam", "mJy/beam", "MJy/sr", "Jy/pix", "DN"])
def test_flux_of_the_model_is_the_catalogues(image, unit):
    image = read_image(np.asarray(image.data), unit=unit, beam="9,6,30")
    image.wcs = make_wcs((128, 160))
    x, y = RNG.uniform(40, 90, (2, 30))
    major = np.where(np.arange(30) % 2, RNG.uniform(0, 30, 30), np.nan)  # point sources among them
    catalog = catalog_of(image, x_centroid=x, y_centroid=y, flux=RNG.uniform(1, 9, 30), deconvolved_major=major,
                         deconvolved_minor=major / 2, deconvolved_pa=RNG.uniform(0, 180, 30))  # fmt: skip
    model, owner = model_image(catalog, image)
    assert model.sum() * flux_scale(image)[0] == pytest.approx(catalog["flux"].value.sum(), rel=1e-3)
    assert owner.max() == 30


def test_a_point_source_is_the_beam(image):
    model, _ = model_image(catalog_of(image, x_centroid=[60.0], y_centroid=[50.0], flux=[2.0] * u.Jy), image)
    assert model.max() == pytest.approx(2000, rel=1e-3)  # mJy/beam
    image.data = model
    found = measure(image, (model > 1e-3).astype(np.int32), correct=False)
    assert found["fwhm_major"].value == pytest.approx(9, rel=1e-2)
    assert found["fwhm_minor"].value == pytest.approx(6, rel=1e-2)
    assert found["pa"].value == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize("wcs", ["upright", "turned", "near a pole", "oblong pixels"])
def test_the_beam_is_the_same_all_over_the_image(wcs):
    """Against many copies of the beam, spread over each source as its own shape, on the sphere, says."""
    options = {"upright": {}, "turned": {"angle": 40.0}, "near a pole": {"crval": (30.0, 89.99)},
               "oblong pixels": {"cdelt": (-2.0, 3.0)}}[wcs]  # fmt: skip
    image = read_image(np.zeros((96, 96)), unit="Jy/beam", beam="12,7,25", keep_zeros=True)
    image.wcs = make_wcs((96, 96), **options)
    x, y = np.array([22.3, 75.0, 30.6]), np.array([25.1, 34.4, 74.7])
    major, pa = np.array([0.0, 14.0, 25.0]), np.array([0.0, 70.0, 130.0])
    catalog = catalog_of(image, x_centroid=x, y_centroid=y, flux=np.full(3, 1.0), deconvolved_major=major,
                         deconvolved_minor=major / 3, deconvolved_pa=pa)  # fmt: skip
    model, _ = model_image(catalog, image)
    beam = beam_covariance(image.meta["beam"], image.wcs)
    nodes = np.linspace(-4, 4, 21)
    share = np.exp(-0.5 * (nodes**2 + nodes[:, None] ** 2))
    share /= share.sum()
    expected = np.zeros(image.shape)
    for number in range(3):
        along, across = np.meshgrid(*(nodes * width / 2.3548 for width in (major[number], major[number] / 3)))
        bearing, distance = np.arctan2(across, along), np.hypot(along, across) * u.arcsec
        place = image.wcs.pixel_to_world(x[number], y[number])
        copies = place.directional_offset_by(bearing * u.rad + pa[number] * u.deg, distance)
        for cx, cy, flux in zip(*(part.ravel() for part in (*image.wcs.world_to_pixel(copies), share)), strict=True):
            expected += render_gaussians(image.shape, one(cx), one(cy), one(flux), beam[None], faintest=1e-12)[0]
    expected /= flux_scale(image)[0]
    np.testing.assert_allclose(model, expected, atol=5e-3 * expected.max())


def test_sizes_with_and_without_the_beam_agree_near_a_pole():
    """What is the beam on the image is a point, whatever its position angle is there."""
    image = read_image(np.zeros((96, 96)), unit="Jy/beam", beam="12,7,25", keep_zeros=True)
    image.wcs = make_wcs((96, 96), crval=(30.0, 89.99))
    catalog = catalog_of(image, x_centroid=[10.0, 80.0], y_centroid=[15.0, 60.0], flux=[1.0, 1.0],
                         deconvolved_major=[0.0, 0.0])  # fmt: skip
    describe_sources(catalog, image)
    np.testing.assert_allclose(catalog["fwhm_major"].value, 12, rtol=1e-3)
    np.testing.assert_allclose(catalog["fwhm_minor"].value, 7, rtol=1e-3)
    np.testing.assert_allclose(catalog["peak_flux"].value, 1, rtol=1e-9)
    model, _ = model_image(catalog, image)
    image.data = model
    found = measure(image, (model > 1e-4).astype(np.int32) * (1 + (np.arange(96) > 45)), correct=False)
    np.testing.assert_allclose(found["pa"].value, catalog["pa"].value, atol=0.5)
    assert abs(catalog["pa"].value - 25).max() > 5


def test_labels_follow_the_isophote_and_the_noise(image, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("x_centroid,y_centroid,peak_flux\n40.2,50,1\n90,60.5,0.001\n120,100,0.00001\n")
    truth = read_truth(path, image=image, rms=1e-4)
    assert truth.labels.dtype == np.int32
    assert truth.catalog["label"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(truth.catalog["snr"], [1e4, 10, 0.1], rtol=1e-6)
    assert truth.catalog["n_pixels"].tolist() == np.bincount(truth.labels.ravel(), minlength=4)[1:].tolist()
    assert truth.catalog["n_pixels"][2] == 0
    model, _ = model_image(truth.catalog, image)
    np.testing.assert_array_equal(truth.labels > 0, model > 2e-4)
    wider = read_truth(path, image=image, rms=1e-4, isophote=1).labels
    assert (wider > 0).sum() > (truth.labels > 0).sum()
    rms = np.full(image.shape, 1e-4)
    rms[:, :64] = np.nan
    assert not read_truth(path, image=image, rms=rms).labels[:, :64].any()


def test_blank_pixels_have_no_truth(image, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("x_centroid,y_centroid,flux\n40.2,50,1\n100,50,1\n400,50,1\n")
    mask = np.zeros(image.shape)
    mask[:, 80:] = 1
    truth = read_truth(path, image=read_image(image, mask=mask), rms=1e-4)
    assert truth.catalog["label"].tolist() == [1]
    assert truth.catalog.meta["left_out"] == 2
    assert not truth.labels[:, 80:].any()
