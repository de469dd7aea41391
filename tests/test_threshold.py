"""The classical finders against scikit-image, brute force, and each other."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import gaussian, prepared
from skimage import filters

from astroseg import AstrosegWarning, find, get_finder, read_image, standardize
from astroseg.labels import components


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(11)
    data = rng.normal(size=(200, 220))
    for _ in range(60):
        data += gaussian(data.shape, *rng.uniform(5, 195, 2), 2, peak=rng.uniform(3, 60))
    return prepared(data)


@pytest.mark.parametrize("name", ["yen", "otsu", "triangle"])
@pytest.mark.parametrize("transform", ["asinh", "raw"])
def test_histogram_thresholds_are_those_of_scikit_image(image, name, transform):
    values = image.data.astype("f4")
    threshold = getattr(filters, f"threshold_{name}")(np.arcsinh(values) if transform == "asinh" else values)
    threshold = np.sinh(threshold) if transform == "asinh" else threshold
    with np.errstate(all="ignore"):
        labels = find(image, name, transform=transform).labels
    np.testing.assert_array_equal(labels, components(values > np.float32(threshold)))


def test_a_threshold_far_above_the_noise_is_warned_of():
    data = np.random.default_rng(1).normal(size=(128, 128)) + gaussian((128, 128), 60, 60, 2, peak=5000)
    with pytest.warns(AstrosegWarning, match=r"yen puts its threshold at \d+ times the noise"):
        find(prepared(data), "yen", transform="raw")


@pytest.mark.parametrize("flood", [3.0, 4.5, 9.0])
def test_sigma_islands_by_brute_force(image, flood):
    labels = find(image, "sigma", threshold=5.0, flood=flood, min_pixels=1).labels
    score = image.data.astype("f4")
    islands = components(score >= min(flood, 5.0))
    seeded = np.unique(islands[(score >= 5) & (islands > 0)])
    np.testing.assert_array_equal(labels > 0, np.isin(islands, seeded))


def test_peaks_are_the_local_maxima(image):
    detections = find(image, "peaks", threshold=6.0)
    score = image.data
    padded = np.pad(score, 1, constant_values=-np.inf)
    around = np.max([padded[1 + dy : 201 + dy, 1 + dx : 221 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
    maxima = (score == around) & (score >= 6)
    assert len(detections) == maxima.sum()
    assert sorted(detections.labels[maxima]) == list(range(1, maxima.sum() + 1))


def test_a_matched_filter_finds_faint_sources_in_white_noise():
    rng = np.random.default_rng(7)
    shape, sigma = (300, 300), 3.0
    truth = [(30 + 40 * i, 30 + 40 * j) for i in range(7) for j in range(7)]
    data = rng.normal(size=shape)
    for x, y in truth:
        data += gaussian(shape, x, y, sigma, peak=2.0)
    image = prepared(data, unit="Jy/beam", beam=f"{2.3548 * sigma}pix")

    def found(**options):
        catalog = find(image, "peaks", threshold=4.5, **options).catalog
        xy = np.column_stack([catalog["x_centroid"].value, catalog["y_centroid"].value])
        return sum(bool(len(xy)) and np.min(np.hypot(*(xy - position).T)) < 5 for position in truth)

    assert found(matched_filter=True) == len(truth)
    assert found() < len(truth) / 2


def test_deblending_splits_a_close_pair():
    data = gaussian((60, 60), 24, 30, 2.5, peak=50) + gaussian((60, 60), 34, 30, 2.5, peak=40)
    data += np.random.default_rng(1).normal(size=data.shape)
    assert len(find(prepared(data), "sigma")) == 1
    split = find(prepared(data), "sigma", deblend=True)
    assert len(split) == 2
    assert (split.catalog["flags"] & 8 > 0).all()
    np.testing.assert_allclose(sorted(split.catalog["x_centroid"].value), [24, 34], atol=0.7)


def test_a_constant_image_has_no_sources():
    image = standardize(read_image(np.full((80, 80), 3.0)))
    for name in ("sigma", "peaks", "yen", "otsu", "triangle"):
        with pytest.warns(AstrosegWarning, match="found nothing"):
            assert len(get_finder(name).find(image)) == 0


def test_deblended_sources_share_their_island():
    data = gaussian((60, 90), 24, 30, 2.5, peak=50) + gaussian((60, 90), 34, 30, 2.5, peak=40)
    data += gaussian((60, 90), 70, 20, 2.5, peak=40) + np.random.default_rng(1).normal(size=data.shape)
    catalog = find(prepared(data), "sigma", deblend=True).catalog
    island = dict(zip(catalog["x_centroid"].value.round(-1), catalog["island"], strict=True))
    assert len(catalog) == 3
    assert island[20] == island[30] != island[70]


def test_a_huge_rough_island_is_left_whole():
    data = gaussian((500, 500), 250, 250, 100, peak=40) + np.random.default_rng(1).normal(size=(500, 500))
    with pytest.warns(AstrosegWarning, match="too many to deblend"):
        found = find(prepared(data), "sigma", deblend=True)
    assert found.catalog["n_pixels"].max() > 50_000
