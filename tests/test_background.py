"""Background and noise, against photutils, closed formulas, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import SigmaClip
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st
from photutils.background import Background2D, SExtractorBackground, StdBackgroundRMS

from astroseg import read_image, standardize
from astroseg.background import HUGE, Background, MeshMap, significance
from astroseg.errors import ImageError, UsageError

SHAPE = (200, 240)
WHOLE = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
NOISE = np.random.default_rng(11).normal(size=SHAPE)
SLOPE = np.linspace(0, 40, SHAPE[1])[None, :] + np.linspace(0, 10, SHAPE[0])[:, None]


def maps(data, *args, **options):
    """Level and rms of an image as arrays."""
    background = measured(data, *args, **options).meta["background"]
    return background.level[WHOLE], background.rms[WHOLE]


def measured(data, *args, mask=None, **options):
    return standardize(read_image(np.asarray(data), mask=mask, keep_zeros=True), *args, **options)


@pytest.mark.parametrize("size", [40, 30])
@pytest.mark.parametrize("sources", [False, True])
def test_mesh_against_photutils(size, sources):
    data = 100 + SLOPE + 2 * NOISE
    if sources:
        places = np.random.default_rng(3).uniform(10, 190, (60, 2))
        data += sum(gaussian(SHAPE, x, y, 1.5, peak=200) for x, y in places)
    reference = Background2D(
        data, size, filter_size=3, sigma_clip=SigmaClip(3, maxiters=20), exclude_percentile=75,
        bkg_estimator=SExtractorBackground(sigma_clip=None), bkg_rms_estimator=StdBackgroundRMS(sigma_clip=None),
    )  # fmt: skip
    background = measured(data, mesh=size).meta["background"]
    np.testing.assert_allclose(background.level.values, reference.background_mesh, rtol=1e-5)
    np.testing.assert_allclose(background.rms.values, reference.background_rms_mesh, rtol=1e-5)


def test_significance_is_that_of_the_whole_image():
    image = measured(SLOPE + NOISE, mask=NOISE > 3)
    expected = image.meta["background"].significance(image.data, image.mask, WHOLE)
    for same in (image, read_image(SLOPE + NOISE, mask=NOISE > 3)):
        np.testing.assert_array_equal(significance(same), expected)
    assert expected.dtype == np.float32
    assert np.all(expected[NOISE > 3] == 0)


def test_a_slope_is_followed():
    level, rms = maps(SLOPE + NOISE, mesh=40)
    inner = (slice(60, -60), slice(60, -60))
    assert np.abs(level - SLOPE)[inner].max() < 1.5
    assert np.abs(level - SLOPE)[inner].mean() < 0.3
    assert abs(np.median(rms) - np.hypot(1, np.std(SLOPE[:40, :40]))) < 0.1


def test_constant_is_median_and_mad():
    level, rms = maps(7 + 3 * NOISE, "constant")
    values = 7 + 3 * NOISE
    assert np.all(level == np.float32(np.median(values)))
    assert np.all(rms == np.float32(1.482602218505602 * np.median(np.abs(values - np.median(values)))))


def test_constant_where_most_pixels_are_equal():
    counts = np.zeros(SHAPE, dtype=np.int16)
    counts[::10, ::10] = 1
    level, rms = maps(counts, "constant")
    assert np.all(level == 0)
    np.testing.assert_allclose(rms, np.std(counts), rtol=1e-6)


@pytest.mark.parametrize(
    ("background", "noise", "method"),
    [
        ("mesh", None, "background mesh of 50 px, noise mesh of 50 px"),
        ("constant", None, "background constant, noise constant"),
        ("none", None, "background none, noise mesh of 50 px"),
        ("none", "constant", "background none, noise constant"),
        ("constant", "mesh", "background constant, noise mesh of 50 px"),
        (np.zeros(SHAPE), np.ones(SHAPE), "background given, noise given"),
    ],
)
def test_methods(background, noise, method):
    image = measured(5 + NOISE, background, noise)
    assert image.meta["background"].method == method
    level, rms = image.meta["background"].level[WHOLE], image.meta["background"].rms[WHOLE]
    np.testing.assert_allclose(level, 0 if method.startswith(("background none", "background given")) else 5, atol=0.3)
    np.testing.assert_allclose(rms, 1, atol=0.1)
    assert "background" not in read_image(NOISE).meta


REGIONS = st.tuples(st.integers(0, 199), st.integers(1, 200), st.integers(0, 239), st.integers(1, 240))
MAP = MeshMap(np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32), 43)


@given(bounds=REGIONS)
def test_any_region_is_cut_from_the_same_map(bounds):
    y0, height, x0, width = bounds
    region = (slice(y0, min(y0 + height, 200)), slice(x0, min(x0 + width, 240)))
    np.testing.assert_array_equal(MAP[region], MAP[WHOLE][region])


def test_interpolation_between_the_centres():
    values = np.array([[0.0, 10], [20, 30]], dtype=np.float32)
    whole = MeshMap(values, 4)[slice(0, 8), slice(0, 8)]
    assert (whole[0, 0], whole[0, -1], whole[-1, 0], whole[-1, -1]) == (0, 10, 20, 30)
    np.testing.assert_allclose(whole[0], [0, 0, 1.25, 3.75, 6.25, 8.75, 10, 10])
    np.testing.assert_allclose(whole[:, 0], np.multiply(2, whole[0]))


def test_a_hole_changes_only_what_is_near():
    mask = np.zeros(SHAPE, bool)
    mask[70:130, 70:130] = True
    filled, holed = NOISE + SLOPE, np.where(mask, np.nan, NOISE + SLOPE)
    for one, other in zip(maps(filled, mesh=20), maps(holed, mesh=20), strict=True):
        assert np.isfinite(other).all()
        far = np.ones(SHAPE, bool)
        far[20:180, 20:180] = False
        np.testing.assert_array_equal(one[far], other[far])
        assert np.abs(one - other).max() < 15
    # A blank pixel is blank whatever its value.
    for one, other in zip(maps(holed, mesh=20), maps(np.where(mask, 1e9, filled), mesh=20, mask=mask), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**100, 1e-45, 1e300, 1e-300])
@pytest.mark.parametrize("method", ["mesh", "constant"])
def test_any_unit_will_do(factor, method):
    region = (slice(20, 120), slice(30, 130))
    data = 100 + SLOPE + NOISE
    scores = [
        image.meta["background"].significance(image.data, image.mask, region)
        for image in (measured(data, method), measured(data * factor, method))
    ]
    np.testing.assert_allclose(*scores, atol=1e-3)


def test_sparse_counts_in_any_unit():
    counts = np.random.default_rng(1).poisson(0.05, SHAPE)
    for one, other in zip(maps(counts), maps(counts * 4096.0), strict=True):
        np.testing.assert_allclose(one * 4096, other, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(maps(counts)[1], np.sqrt(0.05), rtol=0.2)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.int64, ">i2", ">f4", ">f8", np.float16])
def test_any_type_of_pixel(kind):
    data = np.rint(100 + 10 * NOISE)
    for one, other in zip(maps(data.astype(kind), mesh=50), maps(data, mesh=50), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_sources_leave_little_trace():
    places = np.random.default_rng(4).uniform(5, 195, (80, 2))
    data = NOISE + sum(gaussian(SHAPE, x, y, 2, peak=50) for x, y in places)
    level, rms = maps(data, mesh=64)
    empty_level, empty_rms = maps(NOISE, mesh=64)
    assert np.abs(level - empty_level).mean() < 0.2
    assert np.mean(rms / empty_rms) < 1.2


def test_both_directions_are_treated_alike():
    for one, other in zip(maps(NOISE[:, :200], mesh=30), maps(NOISE[:, :200].T, mesh=30), strict=True):
        np.testing.assert_allclose(one[:, :200], other[:, :200].T, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3), (1, 200), (200, 1), (20, 20), (33, 500)])
def test_small_images_have_noise_too(shape):
    data = np.random.default_rng(1).normal(size=shape)
    rms = measured(data).meta["background"].typical_rms()
    assert 0.4 < rms < 2


def test_few_pixels_everywhere_give_one_level():
    data = np.where(np.random.default_rng(1).random(SHAPE) < 0.9, np.nan, 5 + NOISE)
    level, rms = maps(data)
    assert (level.min(), rms.min()) == (level.max(), rms.max())
    assert level.flat[0] == pytest.approx(5, abs=0.1)
    assert rms.flat[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("method", ["mesh", "constant"])
@pytest.mark.parametrize("value", [np.nan, 3.7])
def test_nothing_to_measure(method, value):
    image = measured(np.full(SHAPE, value), method)
    background = image.meta["background"]
    assert background.typical_rms() == 0
    assert not background.significance(image.data, image.mask, WHOLE).any()


@pytest.mark.parametrize(
    ("beam", "shape", "expected"), [(None, (500, 400), 64), ("4pix,4pix", (500, 400), 80), ("1pix", (500, 400), 32),
                                    ("40pix", (500, 400), 100), ("40pix", (90, 80), 32), (None, (20, 16), 20)]
)  # fmt: skip
def test_size_of_the_mesh(beam, shape, expected):
    image = standardize(read_image(np.random.default_rng(1).normal(size=shape), beam=beam))
    assert f"mesh of {expected} px" in image.meta["background"].method


@pytest.mark.parametrize("mesh", [3, 0, -7])
def test_a_mesh_too_small(mesh):
    with pytest.raises(UsageError, match=f"at least 4 pixels wide, not {mesh}"):
        measured(NOISE, mesh=mesh)


def test_given_maps_are_taken_as_they_are():
    level, rms = np.where(NOISE > 2, np.nan, 5), np.where(NOISE < -2, 0, 2)
    image = measured(NOISE, level.astype(">f8"), rms)
    unknown = np.isnan(level) | (rms == 0)
    np.testing.assert_array_equal(image.mask, unknown)
    score = image.meta["background"].significance(image.data, image.mask, WHOLE)
    np.testing.assert_allclose(score[~unknown], (NOISE[~unknown] - 5) / 2, rtol=1e-5)
    assert not score[unknown].any()
    residual = image.meta["background"].residual(image.data, WHOLE)
    np.testing.assert_allclose(residual[~unknown], NOISE[~unknown] - 5)
    assert residual.dtype == np.float64


@pytest.mark.parametrize(
    ("background", "noise", "says"),
    [
        ("mehs", None, "no file mehs. The background is mesh, constant, none or a FITS file"),
        (None, "none", "no file none. The noise is mesh, constant or a FITS file"),
        (np.zeros((3, 3)), None, "background map has 3 x 3 pixels, the image 240 x 200"),
        (np.full(SHAPE, np.nan), None, "background map .* no finite pixel"),
        (None, np.zeros(SHAPE), "noise map .* nowhere above 0"),
    ],
)
def test_maps_that_cannot_be_used(background, noise, says):
    with pytest.raises(ImageError, match=says):
        measured(NOISE, "mesh" if background is None else background, noise)


VALUES = st.sampled_from([0.0, 1.0, -1.0, 1e-40, 1e30, -1e30, 3e38, -3e38, np.nan, np.inf, -np.inf])


@given(st.lists(st.tuples(VALUES, VALUES, VALUES, st.booleans()), min_size=1, max_size=30), st.booleans())
def test_significance_is_always_a_number(rows, masked):
    data, level, rms, mask = (np.array(column)[None, :] for column in zip(*rows, strict=True))
    background = Background(level.astype(np.float32), rms.astype(np.float32), "given")
    region = (slice(0, 1), slice(0, data.shape[1]))
    score = background.significance(data.astype(np.float32), mask if masked else None, region)
    assert score.dtype == np.float32
    assert np.all(np.abs(score) <= max(HUGE, np.finfo(np.float32).max))
    assert not score[~(rms > 0)].any()
    if masked:
        assert not score[mask].any()


def test_the_brightest_pixel_stays_the_brightest():
    data = np.float32(NOISE)
    data[50, 60] = 3e38
    for image in (measured(data), measured(data, mask=NOISE > 3)):
        score = image.meta["background"].significance(image.data, image.mask, WHOLE)
        assert score.argmax() == 50 * SHAPE[1] + 60


def test_a_given_map_is_converted_to_the_unit_of_the_image(tmp_path):
    path = tmp_path / "rms.fits"
    fits.PrimaryHDU(np.full((40, 50), 3.0), fits.Header({"BUNIT": "mJy/beam"})).writeto(path)
    image = read_image(np.random.default_rng(1).normal(size=(40, 50)), unit="Jy/beam")
    assert standardize(image, "none", path).meta["background"].typical_rms() == pytest.approx(3e-3)
