"""Pairs of images: the same pixels, the same scale, and no flare on both sides of a split."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from astroseg_networks.image_pairs import Scale, exposure_of, flare_numbers, match_pair
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astroseg.errors import ImageError, UsageError


def image(shape, *, crpix=(129.0, 129.0), crval=(400.0, -250.0), turn=0.1, date="2022-01-01T00:00:00", name="map"):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["HPLN-TAN", "HPLT-TAN"], ["arcsec", "arcsec"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = crval, crpix, [1.0, 1.0]
    wcs.wcs.pc = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    wcs.wcs.dateobs = date
    wcs.wcs.set()
    data = np.arange(np.prod(shape), dtype=float).reshape(shape)
    return CCDData(data, unit=u.ct, wcs=wcs, meta={"name": name, "header": fits.Header()})


@pytest.mark.parametrize(("one", "two"), [((256, 256), (257, 257)), ((257, 257), (256, 256)), ((129, 130), (128, 131))])
def test_a_cut_keeps_the_place_of_each_pixel(one, two):
    dirty, target = image(one), image(two)
    before = dirty.wcs.all_pix2world(np.argwhere(np.ones(np.minimum(one, two)))[:, ::-1], 0)
    cut = match_pair(dirty, target)
    assert cut[0].shape == cut[1].shape == tuple(np.minimum(one, two))
    for part, whole in zip(cut, (dirty, target), strict=True):
        after = part.wcs.all_pix2world(np.argwhere(np.ones(part.shape))[:, ::-1], 0)
        assert np.abs(after - before).max() < 1e-6
        np.testing.assert_array_equal(part.data, whole.data[: part.shape[0], : part.shape[1]])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"crpix": (129.5, 129.0)}, r"CRPIX of map is \(129.0, 129.0\), of other \(129.5, 129.0\)"),
        ({"crval": (400.00001, -250.0)}, "lie 1e-05 arcsec apart"),
        ({"turn": 0.2}, "arcsec apart"),
    ],
)
def test_other_pixels_are_refused(other, message):
    with pytest.raises(ImageError, match=message):
        match_pair(image((256, 256)), image((257, 257), name="other", **other))


def test_no_place_is_refused():
    lost = CCDData(np.zeros((4, 4)), unit=u.ct, meta={"name": "lost"})
    with pytest.raises(ImageError, match="lost has no world coordinates"):
        match_pair(image((4, 4)), lost)


@given(arrays(float, (3, 5, 7), elements=st.floats(-1e6, 1e9)).filter(np.any))
def test_the_scale_can_be_undone(images):
    scale = Scale.of(images)
    scaled = scale.apply(images)
    assert np.abs(scaled).max() <= 1
    np.testing.assert_allclose(scale.invert(scaled), images, rtol=1e-12, atol=1e-12 * np.abs(images).max())
    # Brighter images stay brighter.
    assert np.argmax(scaled.sum((1, 2))) == np.argmax(images.sum((1, 2)))


def test_a_scale_of_nothing_is_refused():
    with pytest.raises(UsageError, match="All images are 0"):
        Scale.of([np.zeros((3, 3))])


def test_exposures():
    one = image((4, 4))
    assert exposure_of(one) == 1
    one.meta["header"]["EXPTIME"] = 60.0
    assert exposure_of(one) == 60


def test_flares():
    times = ["2022-01-01T00:00:00", "2022-01-01T05:00:00", "2022-01-01T00:50:00", "2022-01-01T01:40:00"]
    images = [image((4, 4), date=time) for time in times]
    np.testing.assert_array_equal(flare_numbers(images), [0, 1, 0, 0])
    unknown = image((4, 4), date="")
    np.testing.assert_array_equal(flare_numbers([unknown, *images, unknown]), [2, 0, 1, 0, 0, 3])
