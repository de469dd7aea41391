"""What a FITS header says, and what it meant to say."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import example, given
from hypothesis import strategies as st

from astroseg import AstrosegWarning
from astroseg.errors import ImageError
from astroseg.header import find_beam, find_unit, find_wcs, parse_unit, pixel_scale, sky_kind

JY_BEAM = u.Jy / u.beam

UNITS = {
    JY_BEAM: ["JY/BEAM", "Jy/beam", "Jy/beam/", "jy/beam ", "JY BEAM-1", "Jy beam^-1", "Jy per beam", "Jy/bm",
              "Jy.beam-1", "Jy*beam**-1", "Jansky/beam"],
    u.mJy / u.beam: ["mJy/beam", "mJY/BEAM", "mJy beam-1"],
    u.uJy / u.beam: ["uJy/beam", "\u00b5Jy/beam", "\u03bcJy/beam", "UJY/BEAM"],
    u.MJy / u.beam: ["MJy/beam"],
    u.Jy / u.pix: ["JY/PIXEL", "Jy/pixel", "Jy/pix", "Jy pix-1"],
    u.Jy: ["Jy", "JY"],
    JY_BEAM * u.km / u.s: ["Jy/beam.km/s", "Jy/beam km/s", "JY/BEAM.KM/S", "Jy beam-1 km/s"],
    u.MJy / u.sr: ["MJy/sr"],
    u.DN: ["DN", "dn", "DN/pixel", "DN/PIX"],
    u.DN / u.s: ["DN/s", "DN/S", "DN/sec", "DN s-1", "DN/pixel/s"],
    u.ct: ["counts", "COUNTS", "count", "ct", "cts"],
    u.ct / u.s: ["counts/s", "cts/s", "counts/sec"],
    u.electron / u.s: ["electrons/s", "ELECTRONS/S", "e-/s"],
    u.adu: ["ADU", "adu"],
    u.ph: ["photons", "photon"],
    u.G: ["Gauss", "gauss", "G", "Mx/cm^2"],
    u.K: ["K", "Kelvin", "KELVIN"],
    u.dimensionless_unscaled: ["", "arbitrary intensity units", "Arbitrary units", "unknown", "NONE"],
    1e-20 * u.erg / u.s / u.cm**2 / u.AA: ["10**-20 erg/s/cm**2/Angstrom"],
}  # fmt: skip


@pytest.mark.parametrize(("text", "unit"), [(text, unit) for unit, texts in UNITS.items() for text in texts])
def test_units(text, unit):
    assert parse_unit(text) == unit


@pytest.mark.parametrize("text", ["MJY/BEAM", "MJY/beam", "MJY", "furlong", "mag(AB)", "3", "Jy/bema", "Jy//beam"])
def test_units_that_are_not_guessed(text):
    with pytest.raises(ValueError, match=r"."):
        parse_unit(text)


def mixed_case(word):
    return st.tuples(*(st.sampled_from([letter.lower(), letter.upper()]) for letter in word)).map("".join)


@given(
    prefix=st.sampled_from(["", "m", "u", "n", "k"]),
    jansky=mixed_case("jy"),
    sign=st.sampled_from(["/", " ", " / ", "."]),
    beam=mixed_case("beam"),
    tail=st.sampled_from(["", "-1", "^-1", "/"]),
)
@example(prefix="", jansky="JY", sign="/", beam="BEAM", tail="")
def test_flux_per_beam_in_any_case(prefix, jansky, sign, beam, tail):
    assert parse_unit(f"{prefix}{jansky}{sign}{beam}{tail}") == u.Unit(f"{prefix}Jy") / u.beam


def test_unit_of_a_header():
    assert find_unit(fits.Header(), "a.fits") is None
    assert find_unit(fits.Header({"BUNIT": "   "}), "a.fits") is None
    assert find_unit(fits.Header({"BUNIT": "JY/BEAM"}), "a.fits") == JY_BEAM
    with pytest.raises(ImageError, match=r"'furlong' of a.fits. Give it with --unit"):
        find_unit(fits.Header({"BUNIT": "furlong"}), "a.fits")


SKY = {"CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 5.0, "CRPIX2": 6.0, "CDELT1": -0.01, "CDELT2": 0.01}


def kinds(first, second, **cards) -> fits.Header:
    return fits.Header({"NAXIS": 2, "NAXIS1": 10, "NAXIS2": 12, "CTYPE1": first, "CTYPE2": second, **SKY, **cards})


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("RA---SIN", "DEC--SIN", "equatorial"),
        ("RA---NCP", "DEC--NCP", "equatorial"),
        ("DEC--TAN", "RA---TAN", "equatorial"),
        ("GLON-CAR", "GLAT-CAR", "equatorial"),
        ("HPLN-TAN", "HPLT-TAN", "helioprojective"),
        ("solar_x", "solar_y", "helioprojective"),
        ("SOLAR-X", "SOLAR-Y", "helioprojective"),
        ("arcsec", "arcsec", "helioprojective"),
        ("CRLN-CEA", "CRLT-CEA", "heliographic"),
        ("HGLN-CAR", "HGLT-CAR", "heliographic"),
        ("LINEAR", "LINEAR", "pixel"),
        ("", "", "pixel"),
    ],
)
def test_kinds_of_sky(first, second, kind):
    header = kinds(first, second)
    before = header.copy()
    assert sky_kind(find_wcs(header, "a.fits")) == kind
    assert header == before


def test_solar_axes_in_plural_units():
    wcs = find_wcs(kinds("solar_x", "solar_y", CUNIT1="arcsecs", CUNIT2="arcsecs", CDELT1=2.5, CDELT2=2.5), "a.fits")
    assert pixel_scale(wcs).to_value(u.arcsec) == pytest.approx(2.5)
    np.testing.assert_allclose(np.multiply(wcs.wcs_pix2world(4, 5, 0), 3600), (10, 20))


def test_a_header_without_world_coordinates():
    assert find_wcs(fits.Header({"NAXIS": 2}), "a.fits") is None
    assert sky_kind(None) == "pixel"
    assert pixel_scale(None) is None


@pytest.mark.parametrize(
    "cards",
    [
        {"CDELT1": 0.0},
        {"CRVAL2": 120.0},
        {"CRVAL1": "NaN"},
        {"CRPIX1": "middle"},
        {"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"},
        {"CTYPE2": "RA---SIN"},
        {"CD1_1": 1.0, "CD1_2": 1.0, "CD2_1": 1.0, "CD2_2": 1.0},
        {"CUNIT1": "parsec", "CUNIT2": "furlong"},
    ],
    ids=str,
)
def test_broken_world_coordinates_are_left_out(cards):
    with pytest.warns(AstrosegWarning, match=r"coordinates of a.fits cannot be used \(.+\); positions are in pixels"):
        assert find_wcs(kinds("RA---SIN", "DEC--SIN", **cards), "a.fits") is None


@pytest.mark.parametrize("angle", [0, 30, 90])
@pytest.mark.parametrize("signs", [(-1, 1), (1, 1), (-1, -1)])
def test_pixel_scale_is_the_side_of_a_square_of_equal_area(angle, signs):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cdelt = [signs[0] * 2 / 3600, signs[1] * 8 / 3600]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.pc = [[cos, -sin], [sin, cos]]
    assert pixel_scale(wcs).to_value(u.arcsec) == pytest.approx(4)


def beam_of(header=None, hdul=None, plane=0):
    beam = find_beam(fits.Header(header or {}), hdul, plane, "a.fits")
    return (
        None if beam is None else (*(w.to_value(u.arcsec) for w in (beam.major, beam.minor)), beam.pa.to_value(u.deg))
    )


AIPS = "AIPS   CLEAN BMAJ=  {}  BMIN=  {}  BPA=  {}"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({}, None),
        ({"BMAJ": 0.01, "BMIN": 0.005, "BPA": 30}, (36, 18, 30)),
        ({"BMAJ": 0.01, "BMIN": 0.005}, (36, 18, 0)),
        ({"BMAJ": 0.01}, (36, 36, 0)),
        ({"BMAJ": 0.005, "BMIN": 0.01, "BPA": 30}, (36, 18, 120)),
        ({"BMAJ": "0.01", "BMIN": "0.005"}, (36, 18, 0)),
        ({"BMAJ": "broad"}, None),
        ({"CLEANBMJ": 0.01, "CLEANBMN": 0.005, "CLEANBPA": 30}, (36, 18, 30)),
        ({"HISTORY": AIPS.format("1.0000E-02", "5.0000E-03", "30.00")}, (36, 18, 30)),
        ({"HISTORY": AIPS.format("1.0D-02", "5.D-03", "-30")}, (36, 18, 150)),
        ({"HISTORY": AIPS.format("..", "..", "..")}, None),
        ({"BMAJ": 0.02, "HISTORY": AIPS.format("1.0E-02", "5.0E-03", "30")}, (72, 72, 0)),
    ],
)
def test_beam_of_a_header(header, expected):
    assert beam_of(header) == (None if expected is None else pytest.approx(expected))


def test_the_last_clean_counts():
    header = fits.Header()
    for major in (0.02, 0.01):
        header.add_history(AIPS.format(major, major, 0))
    assert beam_of(header) == pytest.approx((36, 36, 0))


@pytest.mark.parametrize(
    "card", [{"BMAJ": -0.01}, {"BMAJ": 0.0, "BMIN": 0.0}, {"BMAJ": "NaN"}, {"BMAJ": 0.01, "BMIN": -1}], ids=str
)
def test_an_unusable_beam_is_named(card):
    with pytest.warns(AstrosegWarning, match=r"beam in the header of a.fits is not usable .*--beam"):
        assert beam_of(card) is None


@pytest.mark.parametrize("units", [("arcsec", "deg"), ("deg", "rad"), (None, None)])
def test_beams_of_a_casa_table(units):
    factor = u.Unit(units[0] or "arcsec").to(u.arcsec)
    turn = u.Unit(units[1] or "deg").to(u.deg)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("BMAJ", "E", unit=units[0], array=np.array([6, 8, 10]) / factor),
            fits.Column("BMIN", "E", unit=units[0], array=np.array([5, 6, 7]) / factor),
            fits.Column("BPA", "E", unit=units[1], array=np.array([10, 20, 30]) / turn),
            fits.Column("CHAN", "J", array=[0, 1, 2]),
        ],
        name="BEAMS",
    )
    hdul = fits.HDUList([fits.PrimaryHDU(), table])
    assert beam_of(hdul=hdul) == pytest.approx((6, 5, 10))
    assert beam_of(hdul=hdul, plane=2) == pytest.approx((10, 7, 30))
    assert beam_of(hdul=hdul, plane=9) == pytest.approx((10, 7, 30))


def test_a_table_without_beams_is_passed_over():
    table = fits.BinTableHDU.from_columns([fits.Column("FLUX", "E", array=[1])])
    assert beam_of(hdul=fits.HDUList([fits.PrimaryHDU(), table])) is None
