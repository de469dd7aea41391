"""Objects that contours propose."""

import numpy as np
import pytest
from astroseg_networks.proposals import propose
from scipy import ndimage

from astroseg import read_image, standardize
from astroseg.simulate.solar import simulate_solar
from astroseg.testing import make_field


def image(*spots, shape=(160, 200), seed=1):
    """Noise, and smooth objects: (x, y, half width, half height, peak)."""
    y, x = np.indices(shape)
    data = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.0) * np.sqrt(4 * np.pi)
    for column, row, a, b, peak in spots:
        data += peak * (((x - column) / a) ** 2 + ((y - row) / b) ** 2 < 1)
    return read_image(data.astype("f4"))


def bounds(proposals):
    return np.array([item.prompt.bounds for item in proposals]).reshape(-1, 4)


def test_points_are_within_two_pixels():
    found = bounds(propose(image((60, 50, 25, 15, 20), (140, 100, 12, 20, 20)), "bright", 40))
    np.testing.assert_allclose(found, [(35, 35, 85, 65), (128, 80, 152, 120)], atol=2.5)


@pytest.mark.parametrize(("polarity", "number"), [("dark", 1), ("bright", 1), ("both", 2), ("auto", 1)])
def test_polarity(polarity, number):
    assert len(propose(image((60, 50, 25, 15, 20), (140, 100, 12, 20, -20)), polarity, 40)) == number


def test_unit_and_zero_point_are_nothing():
    first = image((60, 50, 25, 15, 20))
    again = read_image(first.data.astype("f8") * 1e-6 + 3e-4)
    np.testing.assert_array_equal(bounds(propose(again, "bright", 40)), bounds(propose(first, "bright", 40)))


def test_small_ones_and_open_ones_are_not_proposed():
    sky = image((60, 50, 25, 15, 20), (199, 100, 12, 20, 20), (140, 30, 4, 4, 20))
    assert len(propose(sky, "bright", 100)) == 1


def test_what_divides_is_flagged():
    """Two peaks on one pedestal."""
    whole = image((90, 80, 50, 25, 10), (70, 80, 12, 12, 30), (115, 80, 12, 12, 30))
    (found,) = propose(whole, "bright", 40)
    assert found.split
    np.testing.assert_allclose(found.prompt.bounds, (40, 55, 140, 105), atol=2.5)
    assert not propose(image((90, 80, 50, 25, 10)), "bright", 40)[0].split


def test_noise_proposes_nothing():
    assert sum(len(propose(image(seed=seed), "both", 40)) for seed in range(5)) == 0


def test_blank_pixels_are_no_objects():
    data = image((60, 50, 25, 15, 20)).data.copy()
    data[:, 150:] = np.nan
    assert len(propose(read_image(data), "both", 40)) == 1
    assert propose(read_image(np.full((40, 40), 3.0)), "both", 40) == []


def test_sources_of_the_sky_are_found():
    """At signal to noise of 7 and more, those as large as the beam: nine in ten."""
    field, truth = make_field()
    found = bounds(propose(field, "bright", 1))
    wide = truth[truth["snr"] > 15] if "snr" in truth.colnames else truth
    middle = np.column_stack([(found[:, 0] + found[:, 2]) / 2, (found[:, 1] + found[:, 3]) / 2])
    near = [np.hypot(*(middle - (row["x_centroid"].value, row["y_centroid"].value)).T).min() < 3 for row in wide]
    assert np.mean(near) >= 0.9


@pytest.mark.parametrize("seed", [3, 4])
def test_spots_are_found_on_a_disk_that_darkens_to_its_limb(seed):
    """With their penumbrae, although the limb is darker than these."""
    sky = simulate_solar(size=512, seed=seed, channel="continuum")
    found = bounds(propose(standardize(sky.image, "constant"), "auto", 20))
    for label, (rows, columns) in enumerate(ndimage.find_objects(sky.labels), start=1):
        if np.count_nonzero(sky.labels == label) > 60:
            own = columns.start, rows.start, columns.stop - 1, rows.stop - 1
            assert np.abs(found - own).max(axis=1).min() <= 3
