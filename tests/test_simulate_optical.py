"""The optical simulator: fluxes, places, labels and noise of galaxies, clumps and stars."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from astroseg import AstrosegError, UsageError
from astroseg.simulate.optical import READ_NOISE, simulate_optical


@pytest.fixture(scope="module")
def sky():
    pytest.importorskip("galsim")
    return simulate_optical(size=256, seed=1, density=1500)


def test_the_same_seed_gives_the_same_bytes(sky):
    again, other = (simulate_optical(size=256, seed=seed) for seed in (1, 2))
    assert again.image.data.tobytes() == sky.image.data.tobytes()
    assert again.labels.tobytes() == sky.labels.tobytes()
    assert other.image.data.tobytes() != sky.image.data.tobytes()


def test_the_model_holds_the_flux_of_the_catalogue(sky):
    x, y, flux = (sky.truth[name].value for name in ("x_centroid", "y_centroid", "flux"))
    inside = (np.fmin(x, y) > 25) & (np.fmax(x, y) < 230)
    assert 0.99 * flux[inside].sum() < sky.model.sum() < flux.sum()


def test_labels_are_the_isophotes_of_the_model(sky):
    level = 2 * np.sqrt(400 + READ_NOISE**2)
    np.testing.assert_array_equal(sky.labels > 0, sky.model > np.float32(level))
    np.testing.assert_array_equal(
        np.bincount(sky.labels.ravel(), minlength=len(sky.truth) + 1)[1:], sky.truth["n_pixels"]
    )
    assert np.all((sky.truth["island"] > 0) == (sky.truth["n_pixels"] > 0))


def test_a_lone_star_is_where_the_truth_says():
    pytest.importorskip("galsim")
    for seed in range(60):
        sky = simulate_optical(size=64, seed=seed, density=250, stars=1.0)
        if len(sky.truth) == 1 and 15 < min(sky.truth[name][0].value for name in ("x_centroid", "y_centroid")) < 48:
            y, x = np.indices(sky.model.shape)
            row = sky.truth[0]
            if max(row["x_centroid"].value, row["y_centroid"].value) > 48:
                continue
            for name, grid in (("x_centroid", x), ("y_centroid", y)):
                assert np.sum(sky.model * grid) / sky.model.sum() == pytest.approx(row[name].value, abs=0.05)
            assert sky.model.sum() == pytest.approx(row["flux"].value, rel=0.01)
            assert row["simulate_kind"] == "star"
            return
    pytest.fail("no field with one star")


def test_position_angles_are_east_of_north():
    pytest.importorskip("galsim")
    checked = 0
    for seed in range(12):
        sky = simulate_optical(size=128, seed=seed, density=1200, stars=0.0, blends=0.0)
        wide = sky.truth[(sky.truth["n_pixels"] > 60) & (sky.truth["simulate_kind"] == "galaxy")]
        for row in wide:
            y, x = np.indices(sky.labels.shape)
            own = sky.labels == row["label"]
            covariance = np.cov(x[own], y[own])
            values, vectors = np.linalg.eigh(covariance)
            if values[1] < 3 * values[0] or own[[0, -1]].any() or own[:, [0, -1]].any():
                continue
            measured = np.degrees(np.arctan2(-vectors[0, 1], vectors[1, 1])) % 180
            off = abs((measured - row["pa"].value + 90) % 180 - 90)
            assert off < 20
            checked += 1
    assert checked > 2


def test_clumps_lie_in_their_galaxies(sky):
    clumps = sky.truth[sky.truth["simulate_kind"] == "clump"]
    assert len(clumps) > 10
    assert set(sky.truth["simulate_kind"]) == {"galaxy", "star", "clump"}
    for row in clumps:
        parent = sky.truth[row["simulate_parent"] - 1]
        assert parent["simulate_kind"] == "galaxy"
        distance = np.hypot(row["x_centroid"] - parent["x_centroid"], row["y_centroid"] - parent["y_centroid"]).value
        assert distance * 0.2 <= parent["simulate_half_light_radius"].to_value("arcsec") + 1e-9


def test_noise_is_that_of_sky_and_detector():
    pytest.importorskip("galsim")
    sky = simulate_optical(size=200, seed=1, density=0, sky=900.0)
    assert len(sky.truth) == 0
    assert sky.image.data.mean() == pytest.approx(900, rel=0.01)
    assert sky.image.data.std() == pytest.approx(np.sqrt(900 + READ_NOISE**2), rel=0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [("density", 3000.0), ("stars", 0.9), ("blends", 1.0), ("seeing", 1.2), ("sky", 900.0), ("isophote", 4.0)],
)
def test_options_have_their_effect(name, value):
    pytest.importorskip("galsim")
    plain, changed = (simulate_optical(size=96, seed=3, density=2500, **given) if name != "density"
                      else simulate_optical(size=96, seed=3, **given) for given in ({}, {name: value}))  # fmt: skip
    assert not (np.array_equal(changed.image.data, plain.image.data) and np.array_equal(changed.labels, plain.labels))


@pytest.mark.parametrize(
    ("given", "message"),
    [({"seeing": 0}, "seeing"), ({"blends": 2}, "at most 1"), ({"size": 3}, "16"), ({"sky": -1}, "sky")],
)
def test_what_makes_no_sense_is_refused(given, message):
    pytest.importorskip("galsim")
    with pytest.raises(UsageError, match=message):
        simulate_optical(**given)


def test_without_galsim_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "galsim", None)
    with pytest.raises(AstrosegError, match="pip install galsim"):
        simulate_optical(size=32)
