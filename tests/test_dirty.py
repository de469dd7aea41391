"""Dirty images: convolution and fidelity against brute force, beams against known Gaussians, bad input."""

from __future__ import annotations

import dataclasses

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from helpers import gaussian, make_wcs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d

from astroseg import Beam, read_image
from astroseg.dirty import DirtyImage
from astroseg.errors import ImageError
from astroseg.psf import centred, fit_beam
from astroseg.simulate.xray import simulate_xray
from astroseg.visibilities import dirty_map, predict

SOLAR = ("HPLN-TAN", "HPLT-TAN")


def field(shape=(20, 24), psf=None, beam=None, **options):
    image = read_image(np.random.default_rng(1).normal(size=shape).astype("f4"), beam=beam or "3pix,2pix,30", **options)
    image.psf = np.random.default_rng(2).uniform(-0.2, 0.5, (11, 15)) if psf is None else psf
    if psf is None:
        image.psf[5, 7] = 1
    return image


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 25), st.integers(3, 25), st.integers(0, 24), st.integers(0, 24))
def test_convolution_is_linear_and_not_cyclic(ny, nx, half_y, half_x):
    psf = np.random.default_rng(3).uniform(-1, 0.9, (2 * half_y + 1, 2 * half_x + 1))
    psf[half_y, half_x] = 1
    dirty = DirtyImage.of(field((ny, nx), psf))
    model = np.random.default_rng(4).normal(size=(ny, nx))
    expected = convolve2d(model, psf)[half_y : half_y + ny, half_x : half_x + nx]
    np.testing.assert_allclose(dirty.convolved(model), expected, atol=1e-4)
    np.testing.assert_allclose(dirty.residual(model), dirty.data - dirty.convolved(model))


def test_the_map_of_predicted_visibilities_is_the_convolved_model():
    sky = simulate_xray(size=33, seed=2)
    dirty, seen = DirtyImage.of(sky.image), sky.image.meta["visibilities"]
    model = np.random.default_rng(1).uniform(size=(33, 33))
    value = predict(seen, model, sky.image.wcs)
    expected = dirty_map(dataclasses.replace(seen, value=value), (33, 33), sky.image.wcs).data
    np.testing.assert_allclose(dirty.convolved(model), expected, atol=1e-4)
    assert dirty.noise == pytest.approx(seen.error[0] / np.sqrt(24))


def test_fidelity_is_the_distance_in_errors():
    sky = simulate_xray(size=33, seed=2)
    seen = sky.image.meta["visibilities"]
    dirty = DirtyImage.of(sky.image)
    model = np.zeros((33, 33))
    model[10, 20] = 500
    missed = np.concatenate([(seen.value - predict(seen, model, sky.image.wcs)).view(float)]) / seen.error[0]
    found = dirty.fidelity(model)
    assert found["chi2"] == pytest.approx(np.mean(missed**2))
    assert found["residual_rms"] == pytest.approx(np.sqrt(np.mean(dirty.residual(model) ** 2)), rel=1e-5)
    unknown = dataclasses.replace(dirty, visibilities=dataclasses.replace(seen, error=np.full(24, np.nan)))
    assert set(unknown.fidelity(model)) == {"residual_rms"}
    assert unknown.noise is None


def test_noise_of_the_map_follows_from_the_errors():
    """Many maps of noise alone."""
    seen = simulate_xray(size=33, seed=2).image.meta["visibilities"]
    wcs = make_wcs((33, 33), cdelt=(2, 2), crval=(0.1, 0.1), kinds=SOLAR)
    rng = np.random.default_rng(1)
    maps = [
        dirty_map(dataclasses.replace(seen, value=rng.normal(size=(24, 2)) @ [1, 1j] * 5), (33, 33), wcs).data[
            ::16, ::16
        ]
        for _ in range(300)
    ]
    assert np.std(maps) == pytest.approx(5 / np.sqrt(24), rel=0.05)


def test_restored_is_model_with_beam_plus_residual():
    image = field(beam="4pix,2pix,0")
    dirty = DirtyImage.of(image)
    model = np.zeros(image.shape)
    model[9, 11] = 7
    restored = dirty.restored(model, np.full(image.shape, 0.25))
    sigma = np.array([2, 4]) / np.sqrt(8 * np.log(2))  # north is up: the major axis lies along y
    np.testing.assert_allclose(restored.data - 0.25, gaussian(image.shape, 11, 9, *sigma, peak=7), atol=3e-4)
    assert restored.meta["beam"] == image.meta["beam"]
    np.testing.assert_array_equal(restored.meta["model"], model)
    np.testing.assert_allclose(restored.meta["residual"], dirty.residual(model))
    assert restored.meta["fidelity"] == dirty.fidelity(model)
    assert restored.meta["fidelity_before"] == dirty.fidelity(0 * model)
    assert restored.psf.max() == 1
    assert "visibilities" not in restored.meta


def test_blank_pixels_stay_blank_and_count_as_nothing():
    image = field()
    image.mask = np.zeros(image.shape, dtype=bool)
    image.mask[:5] = True
    dirty = DirtyImage.of(image)
    assert not dirty.data[:5].any()
    restored = dirty.restored(np.ones(image.shape), dirty.residual(np.ones(image.shape)))
    assert np.isnan(restored.data[:5]).all()
    assert np.isfinite(restored.data[5:]).all()
    rms = np.sqrt(np.mean(image.data[5:].astype(float) ** 2))
    assert dirty.fidelity(np.zeros(image.shape))["residual_rms"] == pytest.approx(rms, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(3, 12), st.floats(0.4, 1), st.floats(0, 179), st.floats(-180, 180), st.booleans())
def test_the_beam_of_a_gaussian_is_that_gaussian(major, ratio, pa, angle, mirrored):
    """On pixels of any orientation; by way of the core's own rule for beams in pixels."""
    wcs = make_wcs((65, 65), cdelt=(2.0 if mirrored else -2.0, 2.0), angle=angle)
    beam = Beam(2 * major * u.arcsec, 2 * major * ratio * u.arcsec, pa * u.deg)
    image = CCDData(np.ones((65, 65), dtype="f4"), unit="Jy/beam", wcs=wcs, meta={"beam": beam, "name": "field"})
    image.psf = np.ones((1, 1))
    kernel = DirtyImage.of(image).beam_kernel
    found = fit_beam(kernel, wcs)
    np.testing.assert_allclose(found.major.to_value("arcsec"), 2 * major, rtol=1e-3)
    np.testing.assert_allclose(found.minor.to_value("arcsec"), 2 * major * ratio, rtol=1e-3)
    if ratio < 0.95:
        assert abs((found.pa.value - pa + 90) % 180 - 90) < 0.5


def test_the_beam_is_that_of_the_image_or_of_the_visibilities_or_of_the_core():
    sky = simulate_xray(size=33, seed=2)
    image = sky.image.copy()
    image.psf = sky.image.psf
    image.meta["beam"] = Beam(20 * u.arcsec, 20 * u.arcsec)
    assert DirtyImage.of(image).beam.major.value == 20
    image.meta["beam"] = None
    assert DirtyImage.of(image).beam.major.to_value("arcsec") == pytest.approx(14.7)
    del image.meta["visibilities"]
    assert str(DirtyImage.of(image).beam) == str(fit_beam(sky.image.psf, image.wcs))


@pytest.mark.parametrize("sides", [(8, 9), (9, 8), (8, 8)])
def test_an_even_psf_is_cut_to_an_odd_one(sides):
    psf = gaussian(sides, sides[1] // 2, sides[0] // 2, 1.2, peak=3.0)
    found = centred(psf, (30, 30), "PSF")
    assert all(side % 2 for side in found.shape)
    assert found[found.shape[0] // 2, found.shape[1] // 2] == found.max() == 1
    np.testing.assert_allclose(found, gaussian(found.shape, found.shape[1] // 2, found.shape[0] // 2, 1.2), atol=1e-6)


def test_a_large_psf_is_cut_to_what_the_image_needs():
    assert centred(gaussian((99, 99), 49, 49, 3), (10, 20), "PSF").shape == (19, 39)


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (gaussian((9, 9), 6, 4, 1), "has its peak at x = 6, y = 4; it must be in the middle of its 9 x 9 pixels"),
        (gaussian((8, 8), 3.5, 3.5, 1), "has its peak between pixels"),
        (np.full((5, 5), np.nan), "finite values"),
        (np.zeros((5, 5)), "positive peak"),
        (np.ones(5), "2-D image"),
    ],
)
def test_a_wrong_psf_is_refused(psf, message):
    with pytest.raises(ImageError, match=message):
        DirtyImage.of(field(psf=psf))


def test_what_does_not_belong_to_the_image_is_refused(tmp_path):
    sky = simulate_xray(size=33, seed=2)
    seen = sky.image.meta["visibilities"]
    with pytest.raises(ImageError, match=r"array has no point spread function\. Give it with --psf FILE"):
        DirtyImage.of(np.ones((20, 20)))
    sky.write(tmp_path / "xray")
    coarse = simulate_xray(size=33, seed=2, pixel=3.0)
    with pytest.raises(ImageError, match="are 2 arcsec, those of xray-2 3 arcsec; they must be the same"):
        DirtyImage.of(coarse.image, psf=tmp_path / "xray.fits")
    with pytest.raises(ImageError, match=r"xray-2 is in Jy, visibilities in ct; they must be the same"):
        DirtyImage.of(read_image(sky.image, unit="Jy"), visibilities=seen)
    shifted = sky.image.copy()
    shifted.wcs.wcs.crpix += 12
    with pytest.raises(ImageError, match="do not belong to xray-2: the correlation of their dirty map with it is"):
        DirtyImage.of(shifted, visibilities=seen)
    flat = CCDData(sky.image.data, unit="ct", meta={"name": "flat"})
    with pytest.raises(ImageError, match="no world coordinates in angles"):
        DirtyImage.of(flat, visibilities=seen)
    assert DirtyImage.of(sky.image, visibilities=seen).psf.shape == (65, 65)
