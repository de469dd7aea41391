"""Every real file opens, or fails with one clear line; and what is known about some of them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest

from astroseg import AstrosegError, AstrosegWarning, NoDetectionsWarning, find, read_image
from astroseg.cli import main
from astroseg.header import pixel_scale, sky_kind
from astroseg.sky import sky_frame, to_sky

if "ASTROSEG_REAL_DATA" not in os.environ:
    pytest.skip("set ASTROSEG_REAL_DATA to the folder of real images", allow_module_level=True)

DATA = Path(os.environ["ASTROSEG_REAL_DATA"])
FILES = sorted(path for path in DATA.rglob("*") if path.is_file())
TABLES = ("1904_comp.fits", "a2255_gaul.FITS", "a2255_srl.FITS", "real_galaxy_catalog_26_extension_example.fits",
          "hsi_visibili_20131028_0156_20131028_0200_6_12.fits")  # fmt: skip
SDC1 = "radio/sdc1/sdc1_b1_1000h_west.fits"


def is_fits(path) -> bool:
    return path.name.lower().endswith((".fits", ".fits.gz"))


def opened(path, **options):
    """The image, and what was said about it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        image = read_image(DATA / path, **options)
    assert all(issubclass(one.category, AstrosegWarning) for one in said), [str(one.message) for one in said]
    return image, " ".join(str(one.message) for one in said)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DATA)))
def test_every_file_opens_or_says_why_not(path):
    if is_fits(path) and path.name not in TABLES:
        image, _ = opened(path)
        assert image.data.ndim == 2
        assert image.mask is None or image.mask.shape == image.shape
        assert np.isfinite(image.data if image.mask is None else image.data[~image.mask]).all()
        return
    with pytest.raises(AstrosegError) as failure:
        read_image(path)
    message = str(failure.value)
    assert path.name in message
    assert "\n" not in message
    assert "not a FITS file" in message or "holds no image" in message or "zip archive" in message


def test_sdc1():
    image, said = opened(SDC1)
    assert image.shape == (957, 520)
    assert image.unit == u.Jy / u.beam
    assert pixel_scale(image.wcs).to_value(u.arcsec) == pytest.approx(0.604, abs=1e-3)
    assert image.meta["beam"].fwhm_pixels(pixel_scale(image.wcs)) == pytest.approx((2.48, 2.48), abs=0.01)
    assert not said


@pytest.mark.parametrize("axes", [3, 4, 5])
def test_the_same_sky_in_more_axes(axes):
    flat, _ = opened("radio/aegean/small.fits")
    deep, _ = opened(f"radio/aegean/small_{axes}D.fits")
    np.testing.assert_array_equal(flat.data, deep.data)
    assert (flat.unit, flat.meta["beam"]) == (deep.unit, deep.meta["beam"])
    np.testing.assert_allclose(to_sky(flat.wcs, 3, 7), to_sky(deep.wcs, 3, 7))


def test_the_pole_lies_in_a_field_that_is_partly_blank():
    image, _ = opened("radio/aegean/1904-66_SIN.fits")
    assert image.mask.mean() == pytest.approx(0.40, abs=0.01)
    detections = find(image, "sigma")
    assert len(detections) > 10
    assert np.isfinite(detections.catalog["ra"]).all()
    assert not detections.labels[image.mask].any()


def test_a_missing_unit_is_assumed_and_said():
    image, said = opened("radio/aegean/synthetic_test.fits")
    assert image.unit == u.Jy / u.beam
    assert "Jy/beam is assumed" in said


def test_north_celestial_pole_projection():
    image, _ = opened("radio/scorpio/ScorpioS17Field.fits")
    assert image.unit == u.Jy / u.beam
    assert str(image.meta["beam"]) == "6.5 x 6.5 arcsec, PA 0 deg"
    assert sky_frame(image.wcs) == "fk5"
    np.testing.assert_allclose(to_sky(image.wcs, 3427, 3846), [[255.449637], [-41.862488]], atol=1e-6)


def test_galactic_coordinates_become_icrs():
    image, _ = opened("optical/spitzer/spitzer_example_image.fits")
    assert image.unit == u.MJy / u.sr
    assert sky_frame(image.wcs) == "icrs"
    right_ascension, declination = to_sky(image.wcs, 512, 256)
    assert 270 < right_ascension[0] < 280
    assert -15 < declination[0] < -8


@pytest.mark.parametrize("kind", ["bp", "fwfit"])
def test_stix_quicklook(kind):
    image, _ = opened(f"solar/stix/quicklook/sci_9111_uid_2202155513_2022-02-15T18_11_49_{kind}.fits")
    assert sky_kind(image.wcs) == "helioprojective"
    header = image.meta["header"]
    x, y = header["CRPIX1"] - 1, header["CRPIX2"] - 1
    middle, away = (np.multiply(to_sky(image.wcs, x + step, y), 3600) for step in (0, 10))
    assert np.abs(middle).max() < 1e-6
    assert np.hypot(*away)[0] == pytest.approx(10 * header["CDELT1"], rel=1e-3)
    assert image.meta["beam"] is None


def test_stix_pairs_hold_several_images():
    image, said = opened("solar/stix/pairs_20200607/stix_20200607_06-10keV_213900-214010.fits.gz")
    assert image.shape == (129, 129)
    assert "holds 6 images; reading HDU 1. Choose another with --hdu" in said


def test_hmi_continuum_is_compressed_in_the_first_extension():
    image, said = opened("solar/hmi_sharp377/hmi.sharp_cea_720s.377.20110215_020000_TAI.continuum.fits")
    assert (image.shape, image.unit, said) == ((377, 744), u.DN / u.s, "")
    assert sky_kind(image.wcs) == "heliographic"


def test_mdi_has_arbitrary_units():
    image, _ = opened("solar/mdi_20101015/mdi.fd_ic.20101015_230100_TAI.data.fits")
    assert image.unit == u.dimensionless_unscaled
    assert sky_kind(image.wcs) == "helioprojective"
    assert 0.2 < image.mask.mean() < 0.3


def test_the_sky_around_the_sun_is_blank_unless_kept():
    path = "solar/aia193_ch_20130624/aia193_20130624_1024.fits.gz"
    image, said = opened(path)
    assert "large areas of exact zeros" in said
    assert 0.1 < image.mask.mean() < 0.3
    assert opened(path, keep_zeros=True)[0].mask is None


def test_one_stamp_of_many():
    path = "optical/cosmos/real_galaxy_images_extension.fits"
    image, said = opened(path)
    assert "holds 100 images; reading HDU 0" in said
    other, said = opened(path, hdu=3)
    assert not said
    assert other.shape != image.shape


def test_the_beam_may_stand_in_the_history():
    image, said = opened("radio/malformed/missing_metadata.fits")
    assert str(image.meta["beam"]) == "80 x 80 arcsec, PA 0 deg"
    assert "wider than the image" in said
    with pytest.warns(NoDetectionsWarning, match="found nothing in missing_metadata.fits"):
        assert len(find(image, "sigma")) == 0


def test_a_unit_in_place_of_an_axis(tmp_path, capsys):
    path = DATA / "radio/malformed/sidelobe0001.fits"
    with pytest.raises(SystemExit) as stop:
        main(["find", str(path), "-b", "sigma", "-o", str(tmp_path)])
    assert not stop.value.code
    assert "sidelobe0001.fits: " in capsys.readouterr().out
