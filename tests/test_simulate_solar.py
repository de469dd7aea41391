"""The solar simulator: where features are, how bright, and that their labels are exact."""

from __future__ import annotations

import numpy as np
import pytest

from astroseg import UsageError, find
from astroseg.simulate.solar import CHANNELS, FIELD, PENUMBRA, QUIET, RADIUS, UMBRA, simulate_solar


@pytest.fixture(scope="module", params=CHANNELS)
def sky(request):
    return simulate_solar(size=256, seed=5, channel=request.param)


def quiet(sky):
    """The disk without features: a field whose features all have no contrast."""
    steps = (np.arange(256) - 127.5) * FIELD / 256 / RADIUS
    return np.sqrt(np.fmax(1 - steps[:, None] ** 2 - steps**2, 0)), np.hypot(steps[:, None], steps)


def test_the_same_seed_gives_the_same_bytes(sky):
    again, other = (simulate_solar(size=256, seed=seed, channel=sky.truth.meta["channel"]) for seed in (5, 6))
    assert again.image.data.tobytes() == sky.image.data.tobytes()
    assert again.labels.tobytes() == sky.labels.tobytes()
    assert other.image.data.tobytes() != sky.image.data.tobytes()


def test_limb_darkening_is_the_law():
    sky = simulate_solar(size=256, seed=1)
    mu, radius = quiet(sky)
    free = (sky.labels == 0) & (radius < 1)
    np.testing.assert_allclose(sky.model[free], QUIET * (1 - 0.6 * (1 - mu[free])), rtol=1e-5)
    assert not sky.model[radius > 1].any()


def test_labels_hold_the_features_and_nothing_else(sky):
    truth, labels = sky.truth, sky.labels
    np.testing.assert_array_equal(np.unique(labels)[1:], truth["label"])
    np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], truth["n_pixels"])
    radius = quiet(sky)[1]
    assert not labels[radius > 1].any()
    y, x = np.indices(labels.shape)
    for row in truth:
        own = labels == row["label"]
        assert x[own].mean() == pytest.approx(row["x_centroid"].value)
        assert y[own].mean() == pytest.approx(row["y_centroid"].value)


def test_positions_are_helioprojective(sky):
    x = (sky.truth["x_centroid"].value - 127.5) * FIELD / 256
    y = (sky.truth["y_centroid"].value - 127.5) * FIELD / 256
    # The plane of the image is tangential to the sky.
    np.testing.assert_allclose(sky.truth["hpc_x"].value, x, atol=0.05)
    np.testing.assert_allclose(sky.truth["hpc_y"].value, y, atol=0.05)


def test_flux_is_the_change_that_the_feature_makes(sky):
    dark = sky.truth["simulate_contrast"] < 1
    assert np.all((sky.truth["flux"].value < 0) == dark)
    for row in sky.truth:
        total = sky.model[sky.labels == row["label"]].sum(dtype=float)
        background = total / row["simulate_contrast"]
        assert row["flux"].value == pytest.approx(total - background, rel=1e-3)


def test_sunspots_have_umbra_and_penumbra():
    sky = simulate_solar(size=512, seed=5)
    mu = simulate_solar(size=512, seed=5).model / QUIET
    steps = (np.arange(512) - 255.5) * FIELD / 512 / RADIUS
    darkening = 1 - 0.6 * (1 - np.sqrt(np.fmax(1 - steps[:, None] ** 2 - steps**2, 0)))
    spots = sky.labels > 0
    levels = np.unique((mu[spots] / darkening[spots]).round(4))
    np.testing.assert_allclose(levels, [UMBRA, PENUMBRA])
    umbra = spots & (mu < 0.5 * darkening)
    counts = np.bincount(sky.labels[umbra], minlength=len(sky.truth) + 1)[1:]
    np.testing.assert_array_equal(counts, sky.truth["simulate_umbra_pixels"])
    assert 0.1 < umbra.sum() / spots.sum() < 0.3


def test_ribbons_come_in_pairs_and_saturate():
    sky = simulate_solar(size=256, seed=5, channel="chromosphere", saturation=8.0)
    assert list(sky.truth["simulate_kind"]).count("ribbon") == 2
    assert sky.image.data.max() == 8 * QUIET
    assert sky.model.max() > 11 * QUIET


def test_texture_is_as_asked():
    smooth, rough = (simulate_solar(size=256, seed=1, texture=texture) for texture in (0.0, 0.1))
    middle = np.s_[118:138, 118:138]
    for sky, expected in ((smooth, 1 / np.sqrt(QUIET)), (rough, 0.1)):
        ratio = (sky.image.data / np.fmax(sky.model, 1))[middle][sky.labels[middle] == 0]
        assert ratio.std() == pytest.approx(expected, rel=0.35)


def test_a_threshold_finds_ribbons():
    sky = simulate_solar(size=256, seed=5, channel="chromosphere")
    found = find(sky.image, "sigma", background="none", noise="constant", threshold=5.0).labels > 0
    ribbons = np.isin(sky.labels, sky.truth["label"][sky.truth["simulate_kind"] == "ribbon"])
    assert (found & ribbons).sum() > 0.9 * ribbons.sum()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channel": "x"}, "Choose from"),
        ({"texture": -1}, "texture"),
        ({"saturation": 0}, "saturation"),
        ({"size": 5}, "16"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        simulate_solar(**given)
