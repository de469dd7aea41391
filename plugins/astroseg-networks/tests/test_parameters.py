"""What was measured and what the network says, joined."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astroseg_networks.decoding import Centres
from astroseg_networks.grid import choose_grid
from astroseg_networks.parameters import (
    LEAST_ERROR,
    POSITION_ERROR,
    POSITION_ERROR_BY_SIZE,
    TOUCHING,
    _plain_centroid,
    put_parameters,
)
from astroseg_networks.parts import list_parts
from scipy import ndimage

from astroseg import measure, read_image, standardize
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.ellipse import covariance_from_fwhm
from astroseg.labels import components
from astroseg.sky import beam_covariance
from astroseg.testing import make_field
from astroseg.testing.fields import reread

POINT = np.zeros((1, 2, 2))
BEAM = np.eye(2) * (5 / FWHM_PER_SIGMA) ** 2  # of make_field, in pixels
AREA = 2 * np.pi * BEAM[0, 0]


def prepared(image, level=3):
    """The image with its noise, and its catalogue."""
    image = image if "background" in image.meta else standardize(image, "none", np.full(image.shape, 1.0))
    labels = labelled(image, level)
    catalog = measure(image, labels)
    list_parts(catalog, labels, image.data, image)
    return image, catalog


def labelled(image, level=3):
    return components(image.data > level * image.meta["background"].typical_rms())


def put(catalog, image, *seen, level=3):
    background = image.meta["background"]
    significance = background.significance(image.data, image.mask, tuple(slice(0, n) for n in image.shape))
    put_parameters(catalog, image, labelled(image, level), significance, *seen)


def source(image, x, y, covariance):
    """A network that sees sources of 100 times the noise, as sure of them as measured."""
    beam = beam_covariance(image.meta.get("beam"), image.wcs)
    grid = choose_grid(image.shape, beam)
    u_, v = grid.matrix @ np.stack([x, y]) + grid.offset[:, None]
    found = {
        "flux": np.full(len(x), 100.0),
        "flux_error": np.full(len(x), LEAST_ERROR),
        "covariance": grid.matrix @ covariance @ grid.matrix.T,
        "major_error": np.full(len(x), 0.1),
        "minor_error": np.full(len(x), 0.2),
    }
    zero = np.zeros(len(x), dtype=int)
    return grid, Centres(zero, zero, u_, v, zero), found, np.arange(len(x))


@pytest.fixture
def bright():
    """One source of 100 times the noise, at (96.2, 95.7)."""
    image, truth = make_field(n_sources=1, snr=(100, 100), noise=0)
    data = (image.data / truth["peak_flux"].value[0] * 100).astype("f4")
    return reread(image, data), truth["x_centroid"].value, truth["y_centroid"].value


@pytest.mark.parametrize(("unit", "factor"), [("Jy/beam", 1), ("mJy/beam", 1e-3)])
def test_flux_in_jansky(bright, unit, factor):
    image, x, y = bright
    image, catalog = prepared(reread(image, image.data, BUNIT=unit))
    put(catalog, image, *source(image, x, y, POINT))
    assert catalog["flux"].unit == u.Jy
    assert catalog["flux"].value[0] == pytest.approx(100 * factor, rel=0.02)
    assert catalog["flux_err"].value[0] == pytest.approx(100 * factor * LEAST_ERROR / np.sqrt(2), rel=0.15)


def test_flux_without_a_beam(bright):
    image, x, y = bright
    image, catalog = prepared(read_image(image.data, keep_zeros=True))
    catalog["unet_n_parts"][:] = 2  # the network alone
    put(catalog, image, *source(image, x, y, POINT))
    canonical = 2 * np.pi * (2.5 / FWHM_PER_SIGMA) ** 2
    assert catalog["flux"].unit == image.unit * u.pix
    assert catalog["flux"].value[0] == pytest.approx(100 * canonical)


def test_weights_of_the_fluxes(bright):
    image, x, y = bright
    image, before = prepared(image)
    joined = {}
    for own in (1e6, 0.001, LEAST_ERROR, 0.1, 3.0):
        catalog = before.copy()
        grid, centres, found, index = source(image, x, y, POINT)
        found |= {"flux": np.array([80.0]), "flux_error": np.array([own])}
        put(catalog, image, grid, centres, found, index)
        joined[own] = catalog["flux"].value[0], catalog["flux_err"].value[0]
    measured, error = joined.pop(1e6)  # a network that knows nothing
    assert measured == pytest.approx(100, rel=0.01)
    assert error == pytest.approx(measured * LEAST_ERROR, rel=0.3)
    for own, (flux, flux_error) in joined.items():
        # Optimal weights of the two logarithms.
        weights = np.array([(error / measured) ** -2, own**-2])
        expected = np.exp(weights @ np.log([measured, 80.0]) / weights.sum())
        assert flux == pytest.approx(expected, rel=1e-5)
        assert flux_error == pytest.approx(expected / np.sqrt(weights.sum()), rel=1e-5)


@pytest.mark.parametrize("level", [3, 20, 45])
@pytest.mark.parametrize("width", [0.0, 4.0])
def test_what_lies_outside_the_label_is_added(level, width):
    """By the network's shape where the source is faint, whatever the outline."""
    image, truth = make_field(n_sources=1, snr=(100, 100), noise=0, size=(width / 5, width / 5))
    size = np.eye(2)[None] * (width / FWHM_PER_SIGMA) ** 2
    image, catalog = prepared(reread(image, (image.data / image.data.max() * 100).astype("f4")), level)
    catalog["snr"][:] = 3  # the isophote tells nothing
    grid, centres, found, index = source(image, truth["x_centroid"].value, truth["y_centroid"].value, size)
    found["flux_error"] = np.array([1e6])
    put(catalog, image, grid, centres, found, index, level=level)
    total = image.data.sum() / AREA
    assert catalog["flux"].value[0] == pytest.approx(total, rel=0.02)
    assert catalog["flux_err"].value[0] >= 0.3 * (1 - image.data[image.data > level].sum() / image.data.sum()) * 0.9


def test_flux_has_no_bias_on_labels_that_are_no_isophotes():
    """Promise 5, for labels as networks draw them: of what the sky would be without noise."""
    image, truth = make_field(n_sources=100, shape=(512, 512), snr=(10, 40))
    image = standardize(image)
    clean, _ = make_field(n_sources=100, shape=(512, 512), snr=(10, 40), noise=0)
    labels = components(clean.data > 2e-4)
    catalog = measure(image, labels)
    assert abs(np.median(fluxes(catalog, truth)) - 1) > 0.03  # by the isophote alone
    list_parts(catalog, labels, image.data, image)
    x, y = truth["x_centroid"].value, truth["y_centroid"].value
    grid, centres, found, _ = source(image, x, y, np.repeat(POINT, 100, axis=0))
    found |= {"flux_error": np.full(100, 1e6)}
    index = nearest(catalog, truth)
    significance = (image.data / catalog["local_rms"].value.mean()).astype("f4")
    put_parameters(catalog, image, labels, significance, grid, centres, found, index)
    assert np.median(fluxes(catalog, truth)) == pytest.approx(1, abs=0.03)


def nearest(catalog, truth):
    """The true source of each row."""
    x, y = (np.subtract.outer(catalog[name].value, truth[name].value) for name in ("x_centroid", "y_centroid"))
    return np.argmin(np.hypot(x, y), axis=1)


def fluxes(catalog, truth):
    return (catalog["flux"] / truth["flux"][nearest(catalog, truth)]).value


@pytest.mark.parametrize("why", ["touching", "parts", "negative", "nan"])
def test_what_was_measured_may_count_for_nothing(bright, why):
    image, x, y = bright
    image, catalog = prepared(image)
    if why == "touching":
        catalog["flags"] |= TOUCHING
    if why == "parts":
        catalog["unet_n_parts"] += 1
    if why in ("negative", "nan"):
        catalog["flux"] *= -1 if why == "negative" else np.nan
    grid, centres, found, index = source(image, x + 1, y, POINT)
    put(catalog, image, grid, centres, found, index)
    assert catalog["flux"].value[0] == pytest.approx(100, rel=1e-6)
    assert catalog["flux_err"].value[0] == pytest.approx(100 * LEAST_ERROR, rel=1e-6)


@pytest.mark.parametrize("touching", [False, True])
def test_of_two_centroids_the_better_one_counts(touching):
    """Of a double with unequal lobes the plain one, the other one where it touches its neighbour."""
    blank, _ = make_field(n_sources=0, noise=0)
    y, x = np.indices(blank.shape)
    lobes = [np.exp(-((x - at) ** 2 + (y - 90) ** 2) / (2 * BEAM[0, 0])) for at in (86, 94)]
    image, catalog = prepared(reread(blank, (300 * lobes[0] + 100 * lobes[1]).astype("f4")))
    assert catalog["x_centroid"].value[0] == pytest.approx(86.8, abs=0.3)  # by the brightness squared
    catalog["flags"] |= TOUCHING * touching
    put(catalog, image, *source(image, np.array([89.0]), np.array([90.0]), np.array([np.diag([100.0, 1e-6])])))
    own, by_size = POSITION_ERROR**2 * AREA, (POSITION_ERROR_BY_SIZE[:, 0] * (10 * FWHM_PER_SIGMA - 5)) ** 2
    # Of a bright source noise does not matter: 88 is the centroid of the flux, 86.8 the other one.
    centroid, error = (86.8, by_size[1]) if touching else (88, by_size[2])
    expected = np.average([89, centroid], weights=[1 / (own + by_size[0]), 1 / error])
    assert catalog["x_centroid"].value[0] == pytest.approx(expected, abs=0.15)


def test_noise_of_the_plain_centroid():
    """Its variance is that of many draws of noise that a beam correlates."""
    y, x = np.indices((80, 80))
    labels = (np.hypot((x - 40) / 30, (y - 40) / 20) < 1).astype(np.int32)
    rng, kernel = np.random.default_rng(5), np.sqrt(BEAM[0, 0] / 2)  # its autocorrelation is the beam
    places = []
    for _ in range(300):
        noise = ndimage.gaussian_filter(rng.standard_normal(labels.shape), kernel, mode="wrap")
        noise *= np.sqrt(4 * np.pi) * kernel
        (column, row), variance = _plain_centroid(labels, 30 + noise, AREA)
        places.append([column[0], row[0]])
    assert np.mean(places, axis=0) == pytest.approx([40, 40], abs=0.05)
    assert np.mean(np.var(places, axis=0)) == pytest.approx(variance[0], rel=0.25)


def test_positions_are_weighted_by_their_errors(bright):
    image, x, y = bright
    image, catalog = prepared(image)
    centroid, own = catalog["x_centroid"].value[0], POSITION_ERROR * np.sqrt(AREA) * 2
    measured = catalog["ra_err"].to_value("arcsec")[0]
    put(catalog, image, *source(image, x + 1, y, POINT))
    share = own**2 / (own**2 + measured**2)
    assert 0.5 < share < 1
    assert catalog["x_centroid"].value[0] == pytest.approx(share * centroid + (1 - share) * (x[0] + 1), abs=1e-3)
    error = own * measured / np.hypot(own, measured)
    np.testing.assert_allclose(catalog["ra_err"].to_value("arcsec"), error, rtol=0.01)
    # The sky is that of the new pixels.
    place = image.wcs.all_pix2world(catalog["x_centroid"].value, catalog["y_centroid"].value, 0)
    np.testing.assert_allclose([catalog["ra"].value, catalog["dec"].value], place, rtol=1e-12)


def test_the_error_of_a_source_whose_centroid_has_none(bright):
    image, x, y = bright
    image, catalog = prepared(image)
    catalog["ra_err"], catalog["dec_err"] = [np.nan] * u.deg, [np.nan] * u.deg
    catalog["flags"] |= TOUCHING  # so that it has no other centroid
    put(catalog, image, *source(image, x, y, POINT))
    np.testing.assert_allclose(catalog["ra_err"].to_value("arcsec"), POSITION_ERROR * np.sqrt(AREA) * 2, rtol=1e-5)


def test_positions_without_a_sky_are_those_with_one(bright):
    image, x, y = bright
    bare = read_image(fits.PrimaryHDU(image.data), unit="Jy/beam", beam="5pix,5pix", keep_zeros=True)
    places = []
    for given in (image, bare):
        one, catalog = prepared(given)
        put(catalog, one, *source(one, x + 1, y, POINT))
        places.append(catalog["x_centroid"].value[0] - x[0])
    assert places[0] == pytest.approx(places[1], abs=0.03)
    assert 0 < places[1] < 0.1  # near the centroid, which is right


@pytest.mark.parametrize("flip", [-1, 1])
@pytest.mark.parametrize("turn", [0, 50, 170])
@pytest.mark.parametrize("pa", [10, 80, 120])
def test_sizes_and_angle_on_any_axes(flip, turn, pa):
    """Those of `measure` on a bright Gaussian, and of the sky that it was drawn on."""
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([flip, 1.0]) * 2  # arcsec
    header = fits.Header({"BUNIT": "Jy/beam", "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CRVAL1": 150.0,
                          "CRVAL2": 40.0, "CRPIX1": 60.0, "CRPIX2": 60.0, "BMAJ": 12 / 3600, "BMIN": 10 / 3600,
                          "BPA": 20.0})  # fmt: skip
    header.update({f"CD{i + 1}_{j + 1}": matrix[i, j] / 3600 for i in range(2) for j in range(2)})
    true = covariance_from_fwhm(24.0, 12.0, pa)
    observed = true + covariance_from_fwhm(12.0, 10.0, 20.0)
    away = np.einsum("ij,jyx->yxi", matrix, np.stack(np.meshgrid(np.arange(120) - 59.4, np.arange(120) - 58.9)))
    data = 1e3 * np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", away, np.linalg.inv(observed), away)).astype("f4")
    image, catalog = prepared(read_image(fits.PrimaryHDU(data, header), keep_zeros=True))
    measured = catalog.copy()
    inverse = np.linalg.inv(matrix)
    seen = source(image, np.array([59.4]), np.array([58.9]), (inverse @ true @ inverse.T)[None])
    put(catalog, image, *seen)
    for name, value in (("major", 24), ("minor", 12)):
        assert catalog[f"deconvolved_{name}"].unit == u.arcsec
        assert catalog[f"deconvolved_{name}"].value[0] == pytest.approx(value, rel=2e-3)
        assert measured[f"deconvolved_{name}"].value[0] == pytest.approx(value, rel=0.05)
    for other in (pa, measured["deconvolved_pa"].value[0]):
        difference = (catalog["deconvolved_pa"].value[0] - other + 90) % 180 - 90
        assert abs(difference) < 1


def test_sources_in_any_order():
    image, truth = make_field(n_sources=6, snr=(50, 60))
    image, catalog = prepared(standardize(image), level=10)
    x, y = truth["x_centroid"].value, truth["y_centroid"].value
    grid, centres, found, _ = source(image, x, y, np.repeat(POINT, 6, axis=0))
    found["flux"] = np.arange(100.0, 106)
    catalog["flags"] |= TOUCHING
    index = nearest(catalog, truth)
    assert np.unique(index).size == 6 == len(catalog)
    put(catalog, image, grid, centres, found, index, level=10)
    np.testing.assert_allclose(catalog["x_centroid"].value, x[index], atol=0.1)
    ratio = catalog["flux"].value / catalog["local_rms"].value
    np.testing.assert_allclose(ratio, found["flux"][index])


def test_no_sources():
    image, catalog = prepared(reread(make_field()[0], np.zeros((192, 192), "f4") + 1e-9))
    put(catalog, image, *source(image, np.zeros(0), np.zeros(0), np.zeros((0, 2, 2))))
    assert len(catalog) == 0
    assert isinstance(catalog, QTable)
    assert catalog["unet_major_error"].dtype == catalog["unet_minor_error"].dtype == np.float32
