"""The pieces of a label."""

import numpy as np
import pytest
from astropy.table import QTable
from astroseg_networks.parts import list_parts

from astroseg import read_image
from astroseg.testing import make_field


@pytest.fixture
def image():
    return make_field(shape=(40, 50), n_sources=0)[0]


def listed(labels, image, significance=None):
    catalog = QTable({"label": np.arange(1, labels.max() + 1, dtype="i4")})
    list_parts(catalog, labels, np.ones(labels.shape, "f4") if significance is None else significance, image)
    return catalog


def places(text):
    return np.array([[float(number) for number in place.split()] for place in text.split(";")])


def test_pieces_and_their_places_on_the_sky(image):
    labels = np.zeros(image.shape, "i4")
    labels[5:8, 5:8] = labels[5:8, 30:33] = labels[20, 40] = 1
    labels[10, 10] = labels[11, 11] = 2  # touch at a corner
    labels[6:8, 8:10] = 3  # touches a piece of the first
    catalog = listed(labels, image)
    assert catalog["unet_n_parts"].tolist() == [3, 1, 1]
    assert catalog["unet_n_parts"].dtype == np.int32
    expected = np.stack(image.wcs.all_pix2world([6, 31, 40], [6, 6, 20], 0), axis=1)
    np.testing.assert_allclose(places(catalog["unet_parts"][0]), expected, atol=1e-6)
    assert len(places(catalog["unet_parts"][2])) == 1


def test_without_a_sky_pixels_weighted_by_the_brightness():
    labels = np.zeros((12, 12), "i4")
    labels[3, 3:5], labels[9, 9] = 1, 1
    significance = np.zeros((12, 12), "f4")
    significance[3, 3:5] = 1, 3
    catalog = listed(labels, read_image(np.ones((12, 12))), significance)
    np.testing.assert_allclose(places(catalog["unet_parts"][0]), [[3.75, 3], [9, 9]])  # even where it is dark


def test_no_sources(image):
    catalog = listed(np.zeros(image.shape, "i4"), image)
    assert len(catalog) == 0
    assert catalog["unet_n_parts"].dtype == np.int32
    assert catalog["unet_parts"].dtype.kind == "U"
    assert catalog["unet_parts"].info.description
