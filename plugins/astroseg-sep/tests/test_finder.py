"""The finder does what `sep` does, with its options, and fits astroseg's answer around it."""

import astropy.units as u
import numpy as np
import pytest
import sep
from astroseg_sep.extraction import extract, in_raster_order
from astroseg_sep.finder import PRESETS, SepFinder

from astroseg import AstrosegError, NoDetectionsWarning, find, get_finder, read_image, standardize
from astroseg.errors import UsageError
from astroseg.testing import make_field


@pytest.fixture
def field():
    return make_field(shape=(256, 256), n_sources=30, snr=(6, 80), size=(0, 2))


@pytest.fixture
def small_buffers():
    """Buffers of `sep` that any image overflows, and the usual ones afterwards."""
    before = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    yield sep.set_extract_pixstack(500), sep.set_sub_object_limit(2)
    sep.set_extract_pixstack(before[0])
    sep.set_sub_object_limit(before[1])


def blends():
    """A flat island with hundreds of peaks."""
    return np.random.default_rng(0).standard_normal((64, 64)).astype("f4") + 10


def test_same_objects_and_pixels_as_sep(field):
    image, _ = field
    found = SepFinder(thresh=2.5, deblend_cont=1e-3, filter_type="matched").find(image)
    background = sep.Background(image.data, bw=64, bh=64)
    objects, segmap = sep.extract(
        image.data - background.back(), 2.5, err=background.rms(), deblend_cont=1e-3, segmentation_map=True
    )
    assert len(found) == len(objects) > 20
    np.testing.assert_array_equal(found.labels > 0, segmap > 0)
    own = segmap[found.labels > 0] - 1
    row = found.labels[found.labels > 0] - 1
    for name in ("x", "y", "flux", "cflux", "peak", "a", "b", "theta", "flag"):
        np.testing.assert_allclose(np.asarray(found.catalog[f"sep_{name}"])[row], objects[name][own], rtol=1e-5)
    np.testing.assert_array_equal(found.catalog["n_pixels"].value[row], objects["npix"][own])


def test_extra_columns_have_units(field):
    catalog = SepFinder().find(field[0]).catalog
    assert catalog["sep_flux"].unit == u.Jy / u.beam * u.pix
    assert catalog["sep_peak"].unit == u.Jy / u.beam
    assert catalog["sep_theta"].unit == u.rad
    assert catalog["sep_a"].info.description
    assert np.all(catalog["sep_a"] >= catalog["sep_b"])


def test_flux_is_that_of_the_truth():
    image, truth = make_field(shape=(384, 384), n_sources=49, snr=(15, 80))
    found = SepFinder(minarea=3).find(image).catalog
    distance = np.hypot(
        np.subtract.outer(truth["x_centroid"].value, found["x_centroid"].value),
        np.subtract.outer(truth["y_centroid"].value, found["y_centroid"].value),
    )
    ratio = (found["flux"][distance.argmin(axis=1)] / truth["flux"]).value
    assert distance.min(axis=1).max() < 1
    assert np.median(ratio) == pytest.approx(1, abs=0.03)


def test_presets_and_what_overrules_them():
    assert SepFinder().settings() == PRESETS["default"]
    assert SepFinder(preset="cold").settings() == {
        "thresh": 5,
        "minarea": 10,
        "deblend_nthresh": 64,
        "deblend_cont": 0.01,
    }
    assert SepFinder(preset="hot", thresh=3.0).settings() == PRESETS["hot"] | {"thresh": 3.0}


def test_hot_finds_more_than_cold(field):
    cold, hot = (len(SepFinder(preset=preset).find(field[0])) for preset in ("cold", "hot"))
    assert hot > cold > 0


def test_two_blended_sources_are_split():
    y, x = np.mgrid[:96, :96]
    data = sum(100 * np.exp(-0.5 * ((x - x0) ** 2 + (y - 48) ** 2) / 3.0**2) for x0 in (42, 54))
    image = standardize(read_image(data.astype("f4"), keep_zeros=True), np.zeros_like(data), np.ones_like(data))
    assert len(SepFinder().find(image)) == 2
    assert len(SepFinder(deblend_nthresh=1).find(image)) == 1


def test_background_of_the_caller_is_kept(field):
    image = standardize(field[0], "none", np.full(field[0].shape, 2e-4))
    found = SepFinder().find(image)
    assert found.catalog.meta["background"] == "background none, noise given"
    np.testing.assert_allclose(found.catalog["local_rms"].value, 2e-4, rtol=1e-6)


def test_background_of_sep_is_named(field):
    assert SepFinder(mesh=32).find(field[0]).catalog.meta["background"] == "background and noise of sep, mesh of 32 px"


@pytest.mark.parametrize("filter_type", ["conv", "matched"])
def test_no_label_where_the_noise_is_not_positive(filter_type):
    y, x = np.mgrid[:256, :256]
    data = np.exp(-0.5 * ((x - 100) ** 2 + (y - 120) ** 2) / 12**2).astype("f4")  # a model image: no noise
    data[:, 200:230] = np.nan
    noise = sep.Background(np.nan_to_num(data), mask=np.isnan(data)).rms()
    assert noise.min() < 0
    found = SepFinder(filter_type=filter_type).find(read_image(data, keep_zeros=True))
    assert len(found) >= 1
    assert not found.labels[(noise <= 0) | np.isnan(data)].any()
    assert (found.catalog["local_rms"] > 0).all()
    assert (found.catalog["peak_flux"] > 0).all()


def test_mesh_of_the_caller_replaces_that_of_sep(field):
    found = find(field[0], SepFinder(mesh=32), mesh=48)
    assert found.catalog.meta["background"] == "background mesh of 48 px, noise mesh of 48 px"


def test_matched_filter_of_the_beam_finds_fainter_sources_in_white_noise():
    image, truth = make_field(noise=0, snr=(3, 3), n_sources=25, shape=(256, 256))
    image.data = image.data + 1e-4 * np.random.default_rng(1).standard_normal(image.shape).astype("f4")
    matched = SepFinder(thresh=6.0, kernel="beam", filter_type="matched").find(image)
    assert len(matched) == len(truth)
    with pytest.warns(NoDetectionsWarning):
        assert len(SepFinder(thresh=6.0, kernel="none").find(image)) == 0


def test_beam_kernel_without_a_beam_says_so():
    with pytest.raises(UsageError, match="needs the beam"):
        SepFinder(kernel="beam").find(np.random.default_rng(0).standard_normal((64, 64)))


def test_nothing_found_warns_and_has_the_extra_columns():
    with pytest.warns(NoDetectionsWarning):
        found = SepFinder(thresh=50.0).find(make_field(n_sources=0)[0])
    assert len(found) == 0
    assert "sep_flux" in found.catalog.colnames


def test_buffers_grow_and_are_put_back(small_buffers):
    objects, segmap = extract(blends(), 8.0, minarea=1, deblend_cont=0.0, clean=False)
    assert len(objects) == segmap.max() > 10
    assert (sep.get_extract_pixstack(), sep.get_sub_object_limit()) == (500, 2)


def test_blend_beyond_every_buffer_is_one_line(small_buffers, monkeypatch):
    monkeypatch.setattr("astroseg_sep.extraction._MAX_SUB_OBJECTS", 2)
    with pytest.raises(AstrosegError, match=r"deblending overflow.*deblend_nthresh=1") as caught:
        extract(blends(), 8.0, minarea=1)
    assert len(str(caught.value).splitlines()) == 1
    assert (sep.get_extract_pixstack(), sep.get_sub_object_limit()) == (500, 2)


def test_objects_follow_their_labels():
    segmap = np.array([[0, 3, 3], [1, 0, 3], [1, 0, 0]], dtype="i4")
    objects = np.array([(10,), (20,), (30,)], dtype=[("flux", "f8")])
    objects, labels = in_raster_order(objects, segmap)
    np.testing.assert_array_equal(labels, [[0, 1, 1], [2, 0, 1], [2, 0, 0]])
    np.testing.assert_array_equal(objects["flux"], [30, 10])


def test_astroseg_knows_it_by_name():
    assert get_finder("sep", preset="hot").preset == "hot"
    with pytest.raises(UsageError, match="cold"):
        get_finder("sep", preset="warm")
