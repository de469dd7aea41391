"""The simulator against closed formulas: fluxes, noise, counts, truth labels, and its own seed."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astroseg import find, read_catalog, read_image
from astroseg.simulate.radio import correlated_noise, simulate_radio


@pytest.fixture(scope="module")
def sky():
    return simulate_radio(size=512, seed=3, density=1500)


def test_the_same_seed_gives_the_same_bytes(sky):
    again = simulate_radio(size=512, seed=3, density=1500)
    assert again.image.data.tobytes() == sky.image.data.tobytes()
    assert again.labels.tobytes() == sky.labels.tobytes()
    assert simulate_radio(size=64, seed=4).image.data.tobytes() != simulate_radio(size=64, seed=5).image.data.tobytes()


def test_the_model_holds_the_flux_of_the_catalogue(sky):
    inside = np.all(
        [(sky.truth[name].value > 20) & (sky.truth[name].value < 492) for name in ("x_centroid", "y_centroid")], axis=0
    )
    area = sky.image.meta["beam"].area_pixels(0.6 * u.arcsec)
    total = sky.model.sum(dtype=float) / area
    assert 0.999 * sky.truth["flux"].value[inside].sum() < total < sky.truth["flux"].value.sum()
    assert inside.mean() > 0.8


def test_the_noise_has_unit_variance_and_the_kernels_correlation():
    noise = correlated_noise(np.random.default_rng(1), (1500, 1500), 4.0)
    assert noise.std() == pytest.approx(1, abs=0.01)
    lag = np.mean(noise[:, 3:] * noise[:, :-3])
    sigma = 4.0 / 2.3548
    assert lag == pytest.approx(np.exp(-(3**2) / (4 * sigma**2)), abs=0.02)


def test_counts_follow_the_power_law():
    flux = simulate_radio(size=256, seed=1, density=2e5, slope=1.6, resolved=0).truth["flux"].value / 4e-7
    ratio = (flux > 30).sum() / flux.size
    assert ratio == pytest.approx(10**-1.6, rel=0.1)


def test_truth_labels_are_the_isophotes_of_the_model(sky):
    np.testing.assert_array_equal(sky.labels > 0, sky.model > np.float32(2 * 4e-7))
    counts = np.bincount(sky.labels.ravel(), minlength=len(sky.truth) + 1)[1:]
    np.testing.assert_array_equal(counts, sky.truth["n_pixels"])


def test_bright_sources_are_found_where_they_are(sky):
    catalog = find(sky.image, "sigma").catalog
    bright = sky.truth[sky.truth["snr"] > 20]
    names = ("x_centroid", "y_centroid")
    found = np.column_stack([catalog[name].value for name in names])
    for row in bright:
        nearest = np.argmin(np.hypot(*(found - [row[name].value for name in names]).T))
        assert np.hypot(*(found[nearest] - [row[name].value for name in names])) < 2.5
        if row["snr"] > 100:
            separation = (catalog["ra"][nearest] - row["ra"]) * np.cos(row["dec"]), catalog["dec"][nearest] - row["dec"]
            assert max(abs(part.to_value("arcsec")) for part in separation) < 0.5


def test_files_come_back(sky, tmp_path):
    paths = sky.write(tmp_path / "field")
    assert [path.name for path in paths] == [
        "field.fits",
        "field.model.fits",
        "field.truth.ecsv",
        "field.truth.labels.fits",
    ]
    image = read_image(paths[0])
    np.testing.assert_array_equal(image.data, sky.image.data)
    assert image.meta["beam"].major.to_value("arcsec") == pytest.approx(1.5)
    assert str(image.unit) == "Jy / beam"
    np.testing.assert_array_equal(fits.getdata(paths[3]), sky.labels)
    np.testing.assert_array_equal(fits.getdata(paths[1]), sky.model)
    truth = read_catalog(paths[2])
    assert truth.meta["seed"] == 3
    np.testing.assert_array_equal(truth["flux"], sky.truth["flux"])
