from __future__ import annotations

import pickle

import astropy.units as u
import numpy as np
import pytest
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st

from astroseg import AstrosegError, Beam
from astroseg.beam import FWHM_PER_SIGMA

WIDTHS = st.floats(0.01, 1e4)


@pytest.mark.parametrize(
    ("text", "major", "minor", "pa"),
    [
        ("6,5,30", 6, 5, 30),
        ("6, 5 ,30", 6, 5, 30),
        ("6,5", 6, 5, 0),
        ("6", 6, 6, 0),
        ("0.1deg,6arcsec,30", 360, 6, 30),
        ("1arcmin,0.5arcmin,0.5rad", 60, 30, np.degrees(0.5)),
        ("5,6,30", 6, 5, 120),
        ("5,6,100", 6, 5, 10),
        ("6,5,-30", 6, 5, 150),
        ("6,5,390", 6, 5, 30),
    ],
)
def test_parse(text, major, minor, pa):
    beam = Beam.parse(text)
    found = beam.major.to_value(u.arcsec), beam.minor.to_value(u.arcsec), beam.pa.to_value(u.deg)
    np.testing.assert_allclose(found, (major, minor, pa))


@pytest.mark.parametrize(
    "text",
    ["", "x", "6,", "6,5,4,3", "6;5", "6Jy,5,0", "3pix,5,0", "6,5,30pix", "-6,5,0", "0", "nan", "inf", "6,5,inf"],
)
def test_what_cannot_be_parsed(text):
    with pytest.raises(AstrosegError, match=r"Give MAJ,MIN,PA|needs two positive widths|finite position angle"):
        Beam.parse(text)


@given(major=WIDTHS, minor=WIDTHS, pa=st.floats(-1000, 1000))
def test_the_major_axis_is_the_longer_one(major, minor, pa):
    beam = Beam(major * u.arcsec, minor * u.arcsec, pa * u.deg)
    assert beam.major.value == max(major, minor)
    assert beam.minor.value == min(major, minor)
    turn = 0 if major >= minor else 90
    assert np.isclose(np.cos(2 * np.radians(pa + turn)), np.cos(2 * beam.pa.to_value(u.rad)), atol=1e-9)
    assert 0 <= beam.pa.value <= 180


def test_area_is_the_sum_of_a_gaussian_of_peak_one():
    beam = Beam(14 * u.arcsec, 8 * u.arcsec, 30 * u.deg)
    pixels = gaussian((129, 129), 64, 64, 7 / FWHM_PER_SIGMA, 4 / FWHM_PER_SIGMA, angle=120)
    assert beam.area_pixels(2 * u.arcsec) == pytest.approx(pixels.sum(), rel=1e-6)
    assert beam.fwhm_pixels(2 * u.arcsec) == (7, 4)


def test_without_a_pixel_scale_an_angle_has_no_pixels():
    assert Beam.parse("6,5").area_pixels(None) is None
    assert Beam.parse("6pix,5pix").fwhm_pixels(None) == (6, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [("6,5,30", "6 x 5 arcsec, PA 30 deg"), ("3pix", "3 x 3 pix, PA 0 deg"), ("1arcmin", "60 x 60 arcsec, PA 0 deg")],
)
def test_words(text, words):
    assert str(Beam.parse(text)) == words


def test_pickles_and_compares():
    beam = Beam.parse("6,5,30")
    assert pickle.loads(pickle.dumps(beam)) == beam  # noqa: S301
    assert repr(beam) == "Beam(6 arcsec, 5 arcsec, 30 deg)"
