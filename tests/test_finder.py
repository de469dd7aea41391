"""The contract: what finders may return, what Detections hold, and the promises of a pixel finder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from helpers import gaussian, make_wcs

import astroseg
from astroseg import (
    Detections,
    NoDetectionsWarning,
    PixelFinder,
    PluginError,
    SourceFinder,
    UsageError,
    find,
    get_finder,
    measure,
    read_image,
)


class Constant(PixelFinder):
    """Pixels above a level."""

    name = "constant"

    def predict(self, batch, **prepared):
        return (batch > 5).astype("f4")


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(5)
    data = rng.normal(size=(150, 190)).astype("f4")
    truth = np.array([(22 + 38 * i, 20 + 34 * j) for j in range(4) for i in range(5)]) + rng.uniform(-1, 1, (20, 2))
    for x, y in truth:
        data += gaussian(data.shape, x, y, 1.8, peak=rng.uniform(20, 200)).astype("f4")
    return data, truth


def same(first: Detections, second: Detections) -> None:
    np.testing.assert_array_equal(first.labels, second.labels)
    for name in first.catalog.colnames:
        np.testing.assert_array_equal(np.asarray(first.catalog[name]), np.asarray(second.catalog[name]), err_msg=name)


def test_ten_lines_make_a_finder(field):
    data, truth = field
    detections = Constant().find(data)
    assert isinstance(detections, Detections)
    assert len(detections) == len(truth)
    assert detections.catalog.meta["backend"] == "constant"
    assert detections.probability.dtype == np.float32
    np.testing.assert_array_equal(detections.catalog["probability"], 1)
    found = np.column_stack([detections.catalog[name].value for name in ("x_centroid", "y_centroid")])
    assert max(np.min(np.hypot(*(found - xy).T)) for xy in truth) < 0.3


@pytest.mark.parametrize("name", ["sigma", "peaks", "yen"])
@pytest.mark.parametrize("size", [64, 100])
def test_tiles_and_threads_change_nothing(field, name, size):
    finder = get_finder(name)
    whole = finder.find(field[0], tile_size=10_000)
    same(whole, finder.find(field[0], tile_size=size))
    with ThreadPoolExecutor(2) as pool:
        same(whole, finder.find(field[0], tile_size=size, executor=pool))


def test_a_matched_filter_by_tiles_equals_the_whole(field):
    finder = get_finder("peaks", matched_filter=True)
    np.testing.assert_array_equal(finder.find(field[0]).labels, finder.find(field[0], tile_size=80).labels)


def test_every_kind_of_image_gives_the_same_answer(field, tmp_path):
    data = field[0]
    header = make_wcs(data.shape).to_header()
    header["BUNIT"] = "Jy/beam"
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(data, header).writeto(path)
    expected = find(path, "sigma")
    hdu = fits.PrimaryHDU(data, header)
    nddata = NDData(data, wcs=make_wcs(data.shape), unit="Jy/beam")
    for source in (str(path), hdu, nddata, read_image(path), data.astype(">f4")):
        detections = find(source, "sigma")
        np.testing.assert_array_equal(detections.labels, expected.labels)
        np.testing.assert_array_equal(detections.catalog["x_centroid"], expected.catalog["x_centroid"])
    np.testing.assert_array_equal(find(nddata, "sigma").catalog["ra"], expected.catalog["ra"])


def test_nothing_found_is_an_answer():
    rng = np.random.default_rng(1)
    with pytest.warns(NoDetectionsWarning, match="sigma found nothing"):
        detections = find(rng.normal(size=(64, 64)), "sigma", threshold=20)
    assert len(detections) == 0
    assert detections.labels.shape == (64, 64)
    assert "flux" in detections.catalog.colnames
    assert len(detections.regions()) == 0
    assert repr(detections) == "<Detections: 0 by sigma in array>"


def test_to_photutils_has_the_labels(field):
    detections = find(field[0], "sigma")
    segments = detections.to_photutils()
    np.testing.assert_array_equal(segments.labels, detections.catalog["label"])


def test_measuring_on_another_image(field):
    data = field[0]
    detections = find(data, "sigma", measure_on=data * 3)
    plain = find(data, "sigma")
    np.testing.assert_array_equal(detections.labels, plain.labels)
    np.testing.assert_allclose(detections.catalog["peak_flux"].value, 3 * plain.catalog["peak_flux"].value, rtol=1e-5)
    assert detections.catalog.meta["measured_on"] == "array"
    assert detections.catalog.meta["backend"] == "sigma"
    with pytest.raises(astroseg.AstrosegError, match="190 x 150"):
        find(data, "sigma", measure_on=np.ones((20, 30)))


def test_unknown_prompts_are_refused(field):
    with pytest.raises(UsageError, match="does not take points"):
        Constant().find(field[0], points=[1, 2])


def test_wrong_values_are_refused_before_any_work():
    with pytest.raises(UsageError, match="threshold takes float > 0"):
        get_finder("sigma", threshold=-1)


WRONG_MAPS = {
    "shape": (lambda batch: batch[:, 1:], "shape"),
    "integers": (lambda batch: (batch > 5).astype(int), "type int64"),
    "complex": (lambda batch: batch.astype(complex), "type complex128"),
    "nan": (lambda batch: batch * np.nan, "NaN"),
    "no probability": (lambda batch: {"score": batch}, "without 'probability'"),
    "nothing": (lambda _: None, "shape"),
}


@pytest.mark.parametrize("case", WRONG_MAPS)
def test_a_wrong_map_is_named(field, case):
    wrong, fragment = WRONG_MAPS[case]

    class Broken(PixelFinder):
        name = "broken"

        def predict(self, batch, **prepared):
            return wrong(batch)

    with pytest.raises(PluginError, match=fragment) as caught:
        Broken().find(field[0])
    assert "broken" in str(caught.value)


WRONG_LABELS = {
    "shape": (lambda labels: labels[1:], "shape"),
    "float": (lambda labels: labels.astype(float), "type float64"),
    "nan": (lambda labels: np.where(labels > 0, labels, np.nan), "type float64"),
    "negative": (lambda labels: labels - 1, "negative"),
}


@pytest.mark.parametrize("case", WRONG_LABELS)
def test_wrong_labels_are_named(field, case):
    wrong, fragment = WRONG_LABELS[case]

    class Broken(SourceFinder):
        name = "broken"

        def find(self, image, **prompts):
            image = astroseg.standardize(read_image(image))
            labels = np.zeros(image.shape, dtype=np.int32)
            labels[5:8, 5:8] = 1
            return self.detections(image, measure(image, labels), wrong(labels))

    with pytest.raises(PluginError, match=fragment):
        Broken().find(field[0])


def test_rows_and_labels_must_be_one_to_one(field):
    class Broken(SourceFinder):
        name = "broken"

        def find(self, image, **prompts):
            image = astroseg.standardize(read_image(image))
            labels = np.zeros(image.shape, dtype=np.int32)
            labels[5:8, 5:8] = 1
            return self.detections(image, measure(image, labels)[:0], labels)

    with pytest.raises(PluginError, match="0 rows for 1 labels"):
        find(field[0], Broken())


def test_a_finder_that_returns_something_else_is_named(field):
    class Broken(SourceFinder):
        name = "broken"

        def find(self, image, **prompts):
            return []

    with pytest.raises(PluginError, match="returned a list, not Detections"):
        find(field[0], Broken())


@pytest.mark.parametrize("cls", [SourceFinder, PixelFinder])
def test_what_is_not_written_is_said(cls, field):
    class Unfinished(cls):
        name = "unfinished"

    with pytest.raises(PluginError, match="'unfinished' does not implement"):
        Unfinished().find(field[0])


def test_an_unfinished_restorer_is_said():
    class Unfinished(astroseg.Restorer):
        name = "unfinished"

    with pytest.raises(PluginError, match="does not implement restore"):
        Unfinished().restore(np.ones((4, 4)))


def test_blank_pixels_are_never_a_source(field):
    data = field[0].copy()
    data[40:80, 64:116] = np.nan
    detections = find(data, "sigma")
    assert not detections.labels[40:80, 64:116].any()
    lost = [(x, y) for x, y in field[1] if 64 <= x < 116 and 40 <= y < 80]
    assert len(detections) == len(field[1]) - len(lost)
    assert np.isfinite(detections.catalog["flux"].value).all()


def test_what_cannot_be_heeded_is_refused(field):
    data = field[0]
    with pytest.raises(UsageError, match="is made already; give threshold"):
        find(data, get_finder("sigma"), threshold=9)
    with pytest.raises(UsageError, match="was read already; give hdu, plane"):
        find(read_image(data), "sigma", hdu=3, plane=1)
    with pytest.raises(UsageError, match="a name or a finder"):
        find(data, Constant)
    with pytest.raises(UsageError, match="A beam is"):
        read_image(data, beam=(6, 5, 30))


def test_another_unit_or_mask_forgets_the_background(field):
    image = astroseg.standardize(read_image(field[0]))
    assert "background" not in read_image(image, unit="mJy/beam").meta
    assert "background" in image.meta


def test_noise_in_another_unit_is_converted_or_refused(field):
    image = read_image(field[0], unit="Jy/beam")
    plain = find(image, "sigma", background="none", noise=np.ones(image.shape))
    milli = find(image, "sigma", background="none", noise=np.full(image.shape, 1e3) * u.mJy / u.beam)
    np.testing.assert_array_equal(plain.labels, milli.labels)
    with pytest.raises(astroseg.AstrosegError, match="is in K, the image in Jy / beam"):
        find(image, "sigma", noise=np.ones(image.shape) * u.K)


def test_measuring_elsewhere_reads_and_prepares_as_the_finder_does(tmp_path):
    rng = np.random.default_rng(3)
    cube = rng.normal(size=(2, 64, 80)) + gaussian((64, 80), 40, 30, 2, peak=50)
    header = make_wcs((64, 80)).to_header()
    fits.PrimaryHDU(cube, header).writeto(tmp_path / "cube.fits")
    found = find(tmp_path / "cube.fits", "sigma", plane=0, measure_on=tmp_path / "cube.fits")
    plain = find(tmp_path / "cube.fits", "sigma", plane=0)
    np.testing.assert_array_equal(found.catalog["flux"], plain.catalog["flux"])
    assert found.catalog.meta["background"] == plain.catalog.meta["background"]
    assert found.catalog.meta["median_rms"] == plain.catalog.meta["median_rms"]
    header["CRVAL1"] = 200.0
    fits.PrimaryHDU(cube, header).writeto(tmp_path / "elsewhere.fits")
    with pytest.warns(match="not the same place on the sky"):
        find(tmp_path / "cube.fits", "sigma", plane=0, measure_on=tmp_path / "elsewhere.fits")
