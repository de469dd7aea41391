"""What is filled in and turned before PyBDSF sees an image."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from astroseg_bdsf.prepare import prepare

NY, NX = 30, 40


def header(**cards):
    base = {
        "CTYPE1": "RA---SIN",
        "CTYPE2": "DEC--SIN",
        "CRVAL1": 150.0,
        "CRVAL2": 2.0,
        "CRPIX1": 12.0,
        "CRPIX2": 9.0,
        "CDELT1": -0.001,
        "CDELT2": 0.001,
        "BMAJ": 0.004,
        "BMIN": 0.003,
        "BPA": 20.0,
        "RESTFREQ": 1.2e9,
    }
    return fits.Header({key: value for key, value in (base | cards).items() if value is not None})


def image():
    return np.arange(NY * NX, dtype=np.float32).reshape(NY, NX)


def test_a_complete_image_passes_unchanged():
    prepared = prepare(image(), header())
    assert prepared.data.dtype == np.float32
    assert np.array_equal(prepared.data, image())
    assert prepared.header["CDELT1"] == -0.001
    assert prepared.beam == (0.004, 0.003, 20.0)
    assert prepared.frequency == 1.2e9
    assert prepared.notes == []
    assert not prepared.mirrored
    assert not prepared.stand_in_sky


@pytest.mark.parametrize(
    "cards",
    [
        {"CDELT1": 0.001},
        {"CDELT1": 0.001, "CROTA2": 30.0},
        {"CDELT1": 0.001, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
        {"CDELT1": None, "CDELT2": None, "CD1_1": 6e-4, "CD1_2": 8e-4, "CD2_1": -8e-4} | {"CD2_2": 6e-4},
        {"CDELT2": -0.001},
    ],
)
def test_a_mirrored_image_is_turned_with_its_sky(cards):
    given = header(**cards)
    before = given.copy()
    prepared = prepare(image(), given)
    assert given == before
    assert prepared.mirrored
    assert np.array_equal(prepared.data, image()[:, ::-1])
    x, y = np.array([0.0, 7.0, 39.0]), np.array([0.0, 20.0, 29.0])
    sky = WCS(given).wcs_pix2world(np.stack([x, y], 1), 0)
    turned = WCS(prepared.header).wcs_pix2world(np.stack([NX - 1 - x, y], 1), 0)
    assert np.allclose(sky, turned, rtol=0, atol=1e-11)
    assert np.linalg.det(WCS(prepared.header).pixel_scale_matrix) < 0
    assert np.allclose([abs(prepared.header[f"CDELT{i}"]) for i in (1, 2)], 0.001)


def test_a_cd_matrix_becomes_cdelt():
    cd = {"CD1_1": -8e-4, "CD1_2": -6e-4, "CD2_1": -6e-4, "CD2_2": 8e-4}
    given = header(CDELT1=None, CDELT2=None, **cd)
    prepared = prepare(image(), given)
    assert np.allclose(WCS(prepared.header).pixel_scale_matrix, WCS(given).pixel_scale_matrix, atol=1e-17)
    assert prepared.header["CDELT2"] == pytest.approx(0.001, rel=1e-12)


@pytest.mark.parametrize(
    ("cards", "beam"),
    [
        ({"BMIN": None, "BPA": None}, (0.004, 0.004, 0.0)),
        ({"BMAJ": None}, (0.003, 0.003, 0.0)),
        ({"BMAJ": 0.0}, (0.003, 0.003, 0.0)),
        ({"BMAJ": "large"}, (0.003, 0.003, 0.0)),
    ],
)
def test_beam(cards, beam):
    prepared = prepare(image(), header(**cards))
    assert prepared.beam == pytest.approx(beam)
    assumed = cards.get("BMAJ", 1) != 1
    assert any("3 pixels FWHM" in note for note in prepared.notes) == assumed


@pytest.mark.parametrize(
    ("cards", "frequency"),
    [
        ({"CTYPE3": "FREQ", "CRVAL3": 5e8, "CRPIX3": 2.0, "CDELT3": 1e6}, 4.99e8),
        ({"CTYPE3": "FREQ", "CRVAL3": 0.5, "CRPIX3": 1.0, "CDELT3": 1.0, "CUNIT3": "GHz"}, 5e8),
        ({"RESTFREQ": None, "FREQ": 3e8}, 3e8),
        ({"RESTFREQ": None, "RESTFRQ": 4e8}, 4e8),
    ],
)
def test_frequency(cards, frequency):
    prepared = prepare(image(), header(**cards))
    assert prepared.frequency == pytest.approx(frequency)
    assert prepared.known_frequency


def test_unknown_frequency_is_noted():
    prepared = prepare(image(), header(RESTFREQ=None))
    assert not prepared.known_frequency
    assert "frequency is unknown" in prepared.notes[0]


@pytest.mark.parametrize(
    ("cards", "step", "beam_pixels"),
    [
        ({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CRVAL1": 0, "CRVAL2": 0}, 0.001, 4.0),
        ({"CTYPE1": "DEC--SIN", "CTYPE2": "RA---SIN", "CRVAL1": 2, "CRVAL2": 150}, 0.001, 4.0),
        # Wide: scaled down, with the beam the same in pixels.
        (
            {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CRVAL1": 0, "CRVAL2": 0}
            | {"CDELT1": -0.5, "CDELT2": 0.5, "BMAJ": 2.0},
            1 / 3600,
            4.0,
        ),
        ({"CTYPE1": "Jy/beam", "CTYPE2": None, "BMAJ": 4 / 3600}, 1 / 3600, 4.0),
        ({"CDELT1": 0.0, "CDELT2": 0.0, "BMAJ": 4 / 3600}, 1 / 3600, 4.0),
    ],
)
def test_an_unusable_sky_gets_a_stand_in(cards, step, beam_pixels):
    prepared = prepare(image(), header(**cards))
    assert prepared.stand_in_sky
    assert "stand-in sky" in prepared.notes[0]
    assert prepared.header["CTYPE1"] == "RA---TAN"
    assert prepared.header["CDELT2"] == pytest.approx(step)
    assert prepared.beam[0] / prepared.header["CDELT2"] == pytest.approx(beam_pixels)


def test_infinite_pixels_are_blank_and_the_input_stays():
    data = image()
    data[3, 4], data[5, 6] = np.inf, -np.inf
    before = data.copy()
    prepared = prepare(data, header())
    assert np.argwhere(np.isnan(prepared.data)).tolist() == [[3, 4], [5, 6]]
    assert np.array_equal(data, before)
