"""Sky positions and local scales against astropy, source by source."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from helpers import make_wcs

from astroseg.header import pixel_scale, sky_kind
from astroseg.sky import local_matrix, sky_frame, to_sky

x, y = np.array([3.0, 31.5, 60.2]), np.array([10.0, 31.5, 50.7])


@pytest.mark.parametrize(
    ("kinds", "frame"),
    [(("RA---TAN", "DEC--TAN"), "icrs"), (("GLON-CAR", "GLAT-CAR"), "icrs"), (("RA---SIN", "DEC--SIN"), "icrs")],
)
def test_positions_are_astropys_in_icrs(kinds, frame):
    wcs = make_wcs(kinds=kinds, crval=(130.0, 0.0))
    expected = wcs.pixel_to_world(x, y).icrs
    longitude, latitude = to_sky(wcs, x, y)
    assert sky_frame(wcs) == frame
    np.testing.assert_allclose(longitude, expected.ra.deg, atol=1e-9)
    np.testing.assert_allclose(latitude, expected.dec.deg, atol=1e-9)


def test_fk5_stays_and_fk4_is_converted():
    wcs = make_wcs()
    wcs.wcs.radesys, wcs.wcs.equinox = "FK5", 2000.0
    assert sky_frame(wcs) == "fk5"
    np.testing.assert_allclose(to_sky(wcs, x, y)[0], wcs.pixel_to_world(x, y).ra.deg, atol=1e-9)
    wcs.wcs.radesys, wcs.wcs.equinox = "FK4", 1950.0
    assert sky_frame(wcs) == "icrs"
    np.testing.assert_allclose(to_sky(wcs, x, y)[0], wcs.pixel_to_world(x, y).icrs.ra.deg, atol=1e-9)


def test_longitudes_run_through_zero_and_solar_ones_are_signed():
    longitude, _ = to_sky(make_wcs(crval=(0.0, 0.0)), x, y)
    assert ((longitude >= 0) & (longitude < 360)).all()
    assert longitude[0] < 1
    assert longitude[2] > 359
    longitude, _ = to_sky(make_wcs(crval=(0.0, 0.0), kinds=("HPLN-TAN", "HPLT-TAN"), cdelt=(2.0, 2.0)), x, y)
    assert longitude[0] < 0 < longitude[2]


@pytest.mark.parametrize("angle", [0.0, 33.0, 200.0])
@pytest.mark.parametrize("declination", [0.0, -45.0, 89.99])
def test_the_local_matrix_is_the_derivative_of_offsets(angle, declination):
    wcs = make_wcs(crval=(30.0, declination), angle=angle)
    matrix = local_matrix(wcs, x, y)
    for number, (px, py) in enumerate(zip(x, y, strict=True)):
        centre = wcs.pixel_to_world(px, py)
        for axis, (dx, dy) in enumerate(((0.5, 0), (0, 0.5))):
            ahead = centre.spherical_offsets_to(wcs.pixel_to_world(px + dx, py + dy))
            behind = centre.spherical_offsets_to(wcs.pixel_to_world(px - dx, py - dy))
            expected = [(a - b).to_value(u.arcsec) for a, b in zip(ahead, behind, strict=True)]
            np.testing.assert_allclose(matrix[number, :, axis], expected, atol=1e-4)


def test_without_a_sky_north_is_up_and_east_left():
    assert sky_kind(None) == "pixel"
    assert np.isnan(to_sky(None, x, y)).all()
    np.testing.assert_array_equal(local_matrix(None, x, y), np.broadcast_to(np.diag([-1, 1]), (3, 2, 2)))


def test_linear_axes_in_arcsec_have_a_scale_but_no_sky():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit, wcs.wcs.cdelt = ["STIX-X", "STIX-Y"], ["arcsec", "arcsec"], [2.0, 2.0]
    assert sky_kind(wcs) == "pixel"
    assert pixel_scale(wcs) == 2 * u.arcsec
    np.testing.assert_array_equal(local_matrix(wcs, x, y)[0], np.diag([-2, 2]))
