"""Visibilities and dirty maps against the formulas, written out, and against xrayvision."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.time import Time
from helpers import make_wcs
from hypothesis import given, settings
from hypothesis import strategies as st

from astroseg import AstrosegWarning, UsageError, read_image
from astroseg.errors import ImageError
from astroseg.restoration import write_dirty
from astroseg.visibilities import (
    Visibilities,
    choose_grid,
    dirty_beam,
    dirty_map,
    grid,
    predict,
)
from astroseg.visibility_files import read_visibilities


def some(number=7, seed=1, **options):
    rng = np.random.default_rng(seed)
    along = rng.uniform(-0.03, 0.03, (2, number))
    value = rng.normal(size=number) + 1j * rng.normal(size=number)
    return Visibilities(*along, value, np.full(number, 0.5), **options)


def offsets(wcs, shape, centre):
    """Distances of all pixels from a point given in arcsec, along the axes, by the world coordinates of a small map."""
    y, x = np.indices(shape)
    longitude, latitude = (np.asarray(axis) for axis in wcs.all_pix2world(x, y, 0))
    scale = u.Unit(wcs.wcs.cunit[0]).to(u.arcsec)
    return ((longitude * scale - centre[0] + 648000) % 1296000 - 648000), latitude * scale - centre[1]


@settings(max_examples=25, deadline=None)
@given(st.floats(-180, 180), st.floats(1, 5), st.booleans(), st.integers(1, 12), st.integers(1, 9))
def test_map_beam_and_prediction_are_the_sums_they_should_be(angle, pixel, mirrored, ny, nx):
    """On pixels of any size and orientation, the phase centre anywhere; brute force over pixels."""
    shape, centre = (ny, nx), (30.0, -20.0)
    wcs = make_wcs(shape, cdelt=(-pixel if mirrored else pixel, pixel), crval=(0.004, -0.003), angle=angle,
                   kinds=("HPLN-TAN", "HPLT-TAN"))  # fmt: skip
    seen = some(centre=centre)
    x, y = offsets(wcs, shape, centre)
    kernel = np.exp(-2j * np.pi * (seen.u[:, None, None] * x + seen.v[:, None, None] * y))
    made = dirty_map(seen, shape, wcs)
    np.testing.assert_allclose(made.data, np.mean((seen.value[:, None, None] * kernel).real, axis=0), atol=2e-6)
    model = np.random.default_rng(2).uniform(size=shape)
    expected = np.sum(model * kernel.conj(), axis=(1, 2))
    np.testing.assert_allclose(predict(seen, model, wcs), expected, rtol=1e-6, atol=1e-6)
    # A point in one corner makes the beam, shifted: the map of its visibilities.
    point = np.zeros(shape)
    point[0, 0] = 1
    corner = dirty_map(dataclasses.replace(seen, value=predict(seen, point, wcs)), shape, wcs).data
    beam = dirty_beam(seen, shape, wcs)
    assert beam.shape == (2 * ny - 1, 2 * nx - 1)
    np.testing.assert_allclose(beam[ny - 1 :, nx - 1 :], corner, atol=2e-6)
    assert beam[ny - 1, nx - 1] == pytest.approx(1)


def test_a_point_at_the_phase_centre_is_in_the_middle_of_the_grid():
    seen = dataclasses.replace(some(40), value=np.full(40, 3.0 + 0j), error=np.full(40, 1.0))
    wcs = grid(seen, 33, 2.0)
    image = dirty_map(seen, (33, 33), wcs)
    assert np.unravel_index(image.data.argmax(), image.shape) == (16, 16)
    assert image.data.max() == pytest.approx(3)
    assert image.unit == u.ct
    assert str(image.meta["beam"]).startswith(f"{seen.resolution.min():.4g} x")


def test_right_ascension_grows_to_the_left():
    seen = some(axes=("RA---SIN", "DEC--SIN"), centre=(540000.0, -36000.0), date="2024-05-06T07:08:09")
    wcs = grid(seen, 17, 2.0)
    east, north = wcs.all_pix2world([7.0, 9.0], [8.0, 9.0], 0)
    assert east[0] > 150 > east[1]
    assert north[1] > -10
    assert wcs.wcs.dateobs == seen.date


def test_back_projection_agrees_with_xrayvision():
    imaging = pytest.importorskip("xrayvision.imaging", exc_type=ImportError)
    theirs = pytest.importorskip("xrayvision.visibility", exc_type=ImportError)
    seen = some(24, unit=u.ct / u.s)
    inverse = 1 / u.arcsec
    other = theirs.Visibilities(
        seen.value * seen.unit, u=seen.u * inverse, v=seen.v * inverse, phase_center=[-5.0, 12.0] * u.arcsec
    )
    shape, pixel = (33, 41), (2.0, 3.0)
    image = imaging.vis_to_image(other, shape=shape * u.pix, pixel_size=pixel * u.arcsec / u.pix)
    wcs = make_wcs(shape, cdelt=pixel[::-1], crval=(12 / 3600, -5 / 3600), kinds=("HPLN-TAN", "HPLT-TAN"))
    read = read_visibilities(other)
    assert read.centre == (12.0, -5.0)
    ours = dirty_map(read, shape, wcs)
    assert np.corrcoef(ours.data.ravel(), image.value.ravel())[0, 1] > 0.99999
    np.testing.assert_allclose(ours.data, image.value, atol=1e-5)
    assert ours.unit == image.unit


def test_visibilities_of_xrayvision_are_read_without_it():
    inverse = 1 / u.deg
    given = SimpleNamespace(
        visibilities=np.array([1 + 2j, 3j]) * u.ct, u=[3.6, 7.2] * inverse, v=[0, 3.6] * inverse,
        uncertainty=[0.5, 0.6] * u.ct, phase_center=[1, 2] * u.arcmin,
        meta=SimpleNamespace(time_range=Time(["2024-01-02T03:04:05", "2024-01-02T03:05:05"])),
    )  # fmt: skip
    seen = read_visibilities(given)
    np.testing.assert_allclose(seen.u, [0.001, 0.002])
    np.testing.assert_allclose(seen.error, [0.5, 0.6])
    assert (seen.centre, seen.unit, seen.date) == ((120.0, 60.0), u.ct, "2024-01-02T03:04:05.000")


@pytest.mark.parametrize("ending", ["ecsv", "fits"])
def test_tables_are_read_again(tmp_path, ending):
    seen = some(centre=(12.5, -3.25), date="2024-01-02T03:04:05", unit=u.ct / u.s)
    seen.table().write(tmp_path / f"vis.{ending}")
    again = read_visibilities(tmp_path / f"vis.{ending}")
    for name in ("u", "v", "value", "error"):
        np.testing.assert_array_equal(getattr(again, name), getattr(seen, name))
    for name in ("unit", "centre", "axes", "date"):
        assert getattr(again, name) == getattr(seen, name)


def test_a_map_carries_its_beam_and_visibilities(tmp_path):
    seen = some(centre=(12.5, -3.25))
    image = dirty_map(seen, (20, 24), make_wcs((20, 24), cdelt=(2, 2), crval=(0, 0), kinds=("HPLN-TAN", "HPLT-TAN")))
    write_dirty(image, tmp_path / "dirty.fits")
    again = read_image(tmp_path / "dirty.fits")
    np.testing.assert_array_equal(again.data, image.data)
    np.testing.assert_array_equal(again.psf, image.psf)
    np.testing.assert_array_equal(again.meta["visibilities"].value, seen.value)
    assert again.meta["visibilities"].centre == seen.centre
    assert again.unit == image.unit
    assert again.meta["beam"].major.to_value("arcsec") == pytest.approx(image.meta["beam"].major.value)


def rhessi(path, **changes):
    """A table with the columns of RHESSI; the last row has no error."""
    columns = {
        "U": np.array([0.01, 0.02, 0.03], dtype="f4"), "V": np.zeros(3, dtype="f4"),
        "OBSVIS": np.array([1 + 1j, 2, 3j], dtype="c8"), "SIGAMP": np.array([1, 2, 0], dtype="f4"),
        "XYOFFSET": np.tile(np.float32([900.5, 41.5]), (3, 1)), "UNITS": ["Photons cm!u-2!n s!u-1!n"] * 3,
    } | changes  # fmt: skip
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(Table(columns), name="VISIBILITY")]
    hdus[0].header["DATE_OBS"] = "2013-10-28T01:56:52.000"
    fits.HDUList(hdus).writeto(path)
    return path


def test_rhessi(tmp_path):
    with pytest.warns(AstrosegWarning, match="1 of the 3 visibilities of hsi.fits are left out"):
        seen = read_visibilities(rhessi(tmp_path / "hsi.fits"))
    np.testing.assert_allclose(seen.value, [1 + 1j, 2])
    assert seen.centre == (900.5, 41.5)
    assert seen.unit == u.ph / u.cm**2 / u.s
    assert seen.date == "2013-10-28T01:56:52.000"


def test_without_a_centre_it_is_that_of_the_first_image(tmp_path):
    table = fits.table_to_hdu(QTable({"u": [0.01], "v": [0.0], "re": [1.0], "im": [0.0]}), name="VIS")
    image = fits.ImageHDU(np.zeros((3, 3), dtype="f4"), name="DIRTY")
    cards = {"CTYPE1": "STIX-X", "CTYPE2": "STIX-Y", "CRVAL1": 1.5, "CUNIT1": "arcmin", "CRVAL2": -7.0}
    image.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), image, table]).writeto(tmp_path / "pair.fits")
    seen = read_visibilities(tmp_path / "pair.fits")
    assert (seen.centre, seen.axes) == ((90.0, -7.0), ("STIX-X", "STIX-Y"))
    assert np.isnan(seen.error).all()


def test_other_tables_beside_an_image_are_left_alone(tmp_path):
    """Magnitudes in the bands u and v; and visibilities that cannot be used."""
    bands = QTable({"u": [20.0], "v": [19.0]})
    broken = QTable({"u": [0.1], "v": [0.1], "re": [np.nan], "im": [0.0]})
    for table, name in ((bands, "bands"), (broken, "broken")):
        hdus = [fits.PrimaryHDU(np.ones((4, 4))), fits.table_to_hdu(table)]
        fits.HDUList(hdus).writeto(tmp_path / f"{name}.fits")
    assert "visibilities" not in read_image(tmp_path / "bands.fits").meta
    with pytest.warns(AstrosegWarning, match=r"None of the 1 visibilities of broken\.fits is finite"):
        image = read_image(tmp_path / "broken.fits")
    assert "visibilities" not in image.meta


def test_what_cannot_be_read_is_said(tmp_path):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    Table({"u": [0.1], "v": [0.1], "re": [1.0]}).write(tmp_path / "half.ecsv")
    Table({"u": [0.1], "v": [np.nan], "re": [1.0], "im": [1.0]}).write(tmp_path / "nan.ecsv")
    QTable({"u": [0.1] * u.m, "v": [0.1] * u.m, "re": [1.0], "im": [1.0]}).write(tmp_path / "metres.ecsv")
    (tmp_path / "text.fits").write_text("no table")
    for name, message in {
        "image.fits": "image.fits holds no visibilities: no table with the columns u, v, re, im",
        "half.ecsv": "have no column 'im'",
        "nan.ecsv": "None of the 1 visibilities of nan.ecsv is finite",
        "metres.ecsv": "column 'u' of metres.ecsv is in m, not in 1 / arcsec",
        "text.fits": "not a FITS file",
        "none.fits": "There is no file",
    }.items():
        with pytest.raises(ImageError, match=message) as failure:
            read_visibilities(tmp_path / name)
        assert "\n" not in str(failure.value)


def test_wrong_arrays_and_maps_are_refused():
    seen = some()
    with pytest.raises(ImageError, match="one and the same length"):
        dataclasses.replace(seen, error=np.ones(3))
    with pytest.raises(ImageError, match="not finite"):
        dataclasses.replace(seen, value=np.full(7, np.nan + 0j))
    with pytest.raises(ImageError, match="no world coordinates in angles"):
        dirty_map(seen, (5, 5), None)
    with pytest.raises(ImageError, match="The axes of the image are RA---TAN and DEC--TAN"):
        dirty_map(seen, (5, 5), make_wcs((5, 5)))


def test_the_grid_suits_the_visibilities():
    along = 0.5 / np.array([14.7, 60.0, 179.8])
    seen = Visibilities(along, 0 * along, along + 0j, along)
    size, pixel = choose_grid(seen)
    assert pixel == 2.1
    assert size % 2 == 1
    assert size * pixel == pytest.approx(np.sqrt(2) * 179.8, rel=0.02)
    assert choose_grid(seen, 64, 3.0) == (64, 3.0)
    for wrong in (0.0, -1.0, 15.0):
        with pytest.raises(UsageError, match=r"less than the resolution, 14\.7"):
            choose_grid(seen, pixel=wrong)
    np.testing.assert_allclose(seen.resolving(20).resolution, [60, 179.8])
    with pytest.raises(ImageError, match="All of visibilities resolve more than 200"):
        seen.resolving(200)
