"""Whatever holds an image becomes the same 2-D image."""

from __future__ import annotations

import gzip
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D, NDData
from astropy.wcs import WCS
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st

from astroseg import AstrosegWarning, Beam, find, read_image
from astroseg.errors import ImageError, UsageError
from astroseg.image import checksum, read_map
from astroseg.sky import sky_frame, to_sky

SHAPE = (48, 40)
CARDS = {
    "CTYPE1": "RA---SIN", "CRVAL1": 150.0, "CRPIX1": 20.0, "CDELT1": -2 / 3600, "CUNIT1": "deg",
    "CTYPE2": "DEC--SIN", "CRVAL2": -30.0, "CRPIX2": 25.0, "CDELT2": 2 / 3600, "CUNIT2": "deg",
    "BUNIT": "JY/BEAM", "BMAJ": 8 / 3600, "BMIN": 6 / 3600, "BPA": 20.0,
}  # fmt: skip
PIXELS = np.random.default_rng(5).normal(size=SHAPE) + gaussian(SHAPE, 12, 30, 1.5, peak=30)


def hdu(data=PIXELS, kind=fits.PrimaryHDU, **cards):
    return kind(np.asarray(data, dtype=np.float32), fits.Header({**CARDS, **cards}))


def axes(order: str, lengths=None, planes=None) -> fits.PrimaryHDU:
    """The image with its axes in another order (``x``, ``y``, ``f`` and ``s``), x counting fastest."""
    lengths = lengths or {}
    data = np.asarray(PIXELS, dtype=np.float32)
    names = [name for name in reversed(order) if name in "xy"]
    data = data if names == ["y", "x"] else data.T
    for axis, name in enumerate(reversed(order)):
        if name not in "xy":
            data = np.expand_dims(data, axis) * np.ones(lengths.get(name, 1)).reshape(
                [-1 if place == axis else 1 for place in range(data.ndim + 1)]
            )
    header = fits.Header({"BUNIT": "Jy/beam", "BMAJ": 8 / 3600, "BMIN": 6 / 3600, "BPA": 20.0})
    for number, name in enumerate(order, start=1):
        if name in "xy":
            for key in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT"):
                header[f"{key}{number}"] = CARDS[f"{key}{'xy'.index(name) + 1}"]
        else:
            header[f"CTYPE{number}"] = {"f": "FREQ", "s": "STOKES", "z": "LINEAR"}[name]
            header[f"CRVAL{number}"], header[f"CDELT{number}"], header[f"CRPIX{number}"] = 1.0, 1.0, 1.0
    return fits.PrimaryHDU(data.astype(np.float32), header)


def assert_same(image, other, *, wcs=True):
    np.testing.assert_array_equal(image.data, other.data)
    assert image.unit == other.unit
    assert str(image.meta["beam"]) == str(other.meta["beam"])
    if wcs:
        for x, y in ((0, 0), (39, 47)):
            np.testing.assert_allclose(to_sky(image.wcs, x, y), to_sky(other.wcs, x, y), rtol=1e-9)


@pytest.mark.parametrize("order", ["xyf", "xyfs", "xysf", "xyfsz", "fxy", "sxfy", "yx", "yxf", "fyx", "yfsx"])
def test_the_same_sky_in_any_order_of_axes(order):
    assert_same(read_image(axes(order)), read_image(hdu()))


def test_the_catalogue_does_not_depend_on_the_axes():
    flat, deep = (find(source, "sigma").catalog for source in (hdu(), axes("yfxs")))
    assert len(flat) == 1
    for name in flat.colnames:
        np.testing.assert_allclose(np.asarray(deep[name], float), np.asarray(flat[name], float), rtol=1e-9)


@pytest.mark.parametrize(("plane", "channel"), [("0", 0), (2, 2), (" 1 ", 1)])
def test_plane(plane, channel):
    cube = np.stack([PIXELS + number for number in range(3)])
    np.testing.assert_array_equal(read_image(hdu(cube, CTYPE3="FREQ"), plane=plane).data, np.float32(cube[channel]))


def test_planes_along_two_axes():
    cube = np.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
    image = read_image(hdu(cube, CTYPE3="FREQ", CTYPE4="STOKES"), plane="2,1")
    np.testing.assert_array_equal(image.data, cube[1, 2])


@pytest.mark.parametrize("order", [("FREQ", "STOKES"), ("STOKES", "FREQ")])
def test_the_beam_is_that_of_the_channel(tmp_path, order):
    cube = np.zeros((4, 3, 8, 8)) if order[0] == "STOKES" else np.zeros((3, 4, 8, 8))
    cube += np.arange(64).reshape(8, 8)
    columns = [
        fits.Column(name, "E", array=np.arange(5) + size) for name, size in (("BMAJ", 20), ("BMIN", 10), ("BPA", 0))
    ]
    header = fits.Header({key: value for key, value in CARDS.items() if key not in ("BMAJ", "BMIN", "BPA")})
    header.update(CTYPE3=order[0], CTYPE4=order[1])
    beams = fits.BinTableHDU.from_columns(columns, name="BEAMS")
    fits.HDUList([fits.PrimaryHDU(cube, header), beams]).writeto(tmp_path / "cube.fits")
    numbers = {"FREQ": 3, "STOKES": 2}
    with pytest.warns(AstrosegWarning, match="wider than the image"):
        image = read_image(tmp_path / "cube.fits", plane=",".join(str(numbers[kind]) for kind in order))
    assert str(image.meta["beam"]) == "23 x 13 arcsec, PA 3 deg"


def test_ways_to_store_an_image(tmp_path):
    expected = read_image(hdu())
    hdu().writeto(tmp_path / "plain.fits")
    (tmp_path / "zipped.fits.gz").write_bytes(gzip.compress((tmp_path / "plain.fits").read_bytes()))
    tiles = fits.CompImageHDU(np.float32(PIXELS), fits.Header(CARDS), compression_type="GZIP_2", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(tmp_path / "tiles.fits")
    hdu().writeto(tmp_path / "old.FIT")
    names = ["plain.fits", "zipped.fits.gz", "tiles.fits", "old.FIT"]
    for name in names:
        image = read_image(tmp_path / name)
        assert_same(image, expected)
        assert image.meta["name"] == name
        assert image.meta["path"] == str(tmp_path / name)
    assert_same(read_image(str(tmp_path / "tiles.fits"), hdu=1), expected)
    assert checksum(read_image(tmp_path / "plain.fits")) == checksum(read_image(tmp_path / "old.FIT"))


def test_the_first_image_is_read_and_the_others_are_named(tmp_path):
    path = tmp_path / "many.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(5)), hdu(kind=fits.ImageHDU),
                  hdu(PIXELS + 1, fits.ImageHDU, EXTNAME="SCI")]).writeto(path)  # fmt: skip
    with pytest.warns(AstrosegWarning, match="holds 2 images; reading HDU 2. Choose another with --hdu"):
        image = read_image(path)
    assert_same(image, read_image(hdu()))
    for choice in ("SCI", "sci", 3, "3"):
        np.testing.assert_array_equal(read_image(path, hdu=choice).data, np.float32(PIXELS + 1))


@pytest.mark.parametrize("make", [hdu, lambda: axes("yxf"), lambda: axes("xyfs")])
def test_the_pixels_stay_on_the_disk(tmp_path, make):
    path = tmp_path / "image.fits"
    make().writeto(path)
    before = path.read_bytes()
    image = read_image(path)
    assert image.data.dtype == ">f4"
    mapped = image.data
    while not isinstance(mapped, np.memmap) and getattr(mapped, "base", None) is not None:
        mapped = mapped.base
    assert not image.data.flags.owndata
    assert type(mapped).__name__ in ("memmap", "mmap", "memoryview")
    find(image, "sigma")
    assert path.read_bytes() == before


def test_what_carries_an_image():
    wcs = WCS(hdu().header)
    unit = u.Jy / u.beam
    beam = Beam.parse("8,6,20")
    pixels = np.float32(PIXELS)
    sources = [
        NDData(pixels, wcs=wcs, unit=unit, meta={"beam": beam}),
        NDData(pixels[None], wcs=WCS(axes("xyf").header), unit=unit, meta={"beam": beam}),
        NDData(pixels.T, wcs=WCS(axes("yx").header), unit=unit, meta={"beam": beam}),
        CCDData(pixels, wcs=wcs, unit=unit, meta={"BMAJ": 8 / 3600, "BMIN": 6 / 3600, "BPA": 20.0}),
        hdu(kind=fits.ImageHDU),
        SimpleNamespace(
            data=pixels, wcs=wcs, unit=None, meta={"bunit": "JY/BEAM", "bmaj": 8 / 3600, "bmin": 6 / 3600, "bpa": 20.0}
        ),
    ]
    for source in sources:
        assert_same(read_image(source), read_image(hdu()))


def test_a_map_of_the_sun():
    """What sunpy's Map has, without sunpy."""
    header = fits.Header({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
                          "CDELT1": 2.4, "CDELT2": 2.4, "CRPIX1": 20.5, "CRPIX2": 24.5})  # fmt: skip
    meta = {**{key.lower(): value for key, value in header.items()}, "comment": "a\nb", "keycomments": {}}
    source = SimpleNamespace(data=PIXELS, wcs=WCS(header), unit=u.DN / u.s, meta=meta, mask=PIXELS > 20)
    image = read_image(source)
    assert image.unit == u.DN / u.s
    assert image.meta["beam"] is None
    np.testing.assert_array_equal(image.mask, PIXELS > 20)
    assert sky_frame(image.wcs) == "helioprojective"
    np.testing.assert_allclose(np.multiply(to_sky(image.wcs, 19.5 + 10, 23.5 - 5), 3600).ravel(), (24, -12), rtol=1e-6)


def test_arrays():
    np.testing.assert_array_equal(read_image(PIXELS).data, PIXELS)
    np.testing.assert_array_equal(read_image(PIXELS[:, None, :, None]).data, PIXELS)
    assert read_image([[1, 2], [3, 4]]).shape == (2, 2)
    assert read_image(PIXELS << u.mJy / u.beam).unit == u.mJy / u.beam
    masked = read_image(np.ma.masked_greater(PIXELS, 20))
    np.testing.assert_array_equal(masked.mask, PIXELS > 20)
    np.testing.assert_array_equal(read_image(np.stack(3 * [PIXELS]), plane=1).data, PIXELS)


def test_world_coordinates_of_a_cutout_and_of_another_kind():
    cutout = Cutout2D(PIXELS, (12, 30), 9, wcs=WCS(hdu().header))
    whole = read_image(hdu())
    np.testing.assert_allclose(to_sky(read_image(cutout).wcs, 4, 4), to_sky(whole.wcs, 12, 30))
    with pytest.warns(AstrosegWarning, match="not a FITS WCS; positions are in pixels"):
        assert read_image(SimpleNamespace(data=PIXELS, wcs=object())).wcs is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (np.zeros(5), "1 axes"),
        (np.zeros((0, 5)), "no pixels"),
        (np.zeros((5, 5), complex), "complex128 values"),
        (np.zeros((5, 5), bool), "bool values"),
        (np.full((5, 5), "x"), "real numbers"),
        (np.zeros((2, 5, 5)), "Choose one with --plane"),
        (None, "0 axes"),
        (fits.ImageHDU(), "0 axes"),
    ],
)
def test_what_is_no_image(source, says):
    with pytest.raises(ImageError, match=says):
        read_image(source)


def test_options_overrule_the_header():
    image = read_image(hdu(), unit="mJy/beam", beam="9,7,10", mask=PIXELS > 20)
    assert image.unit == u.mJy / u.beam
    assert image.meta["beam"] == Beam.parse("9,7,10")
    np.testing.assert_array_equal(image.mask, PIXELS > 20)
    again = read_image(image, unit=u.Jy / u.beam, beam=Beam.parse("3,3,0"))
    assert (again.unit, str(again.meta["beam"])) == (u.Jy / u.beam, "3 x 3 arcsec, PA 0 deg")
    assert image.unit == u.mJy / u.beam
    assert read_image(image) is image
    with pytest.raises(UsageError, match="Cannot read the unit 'Jy/bema'"):
        read_image(PIXELS, unit="Jy/bema")


def test_jy_per_beam_is_assumed_where_a_radio_image_has_no_unit():
    with pytest.warns(AstrosegWarning, match="Jy/beam is assumed"):
        assert read_image(hdu(BUNIT="")).unit == u.Jy / u.beam
    assert read_image(hdu(BUNIT="", CTYPE1="HPLN-TAN", CTYPE2="HPLT-TAN")).unit == u.dimensionless_unscaled


@pytest.mark.parametrize(
    ("kinds", "cards", "frame"),
    [
        (("GLON-CAR", "GLAT-CAR"), {"CRVAL1": 30.0, "CRVAL2": 0.0}, "galactic"),
        (("RA---TAN", "DEC--TAN"), {"RADESYS": "FK4", "EQUINOX": 1950.0}, "fk4"),
        (("RA---TAN", "DEC--TAN"), {"RADESYS": "ICRS"}, "icrs"),
    ],
)
def test_positions_are_icrs(kinds, cards, frame):
    image = read_image(hdu(CTYPE1=kinds[0], CTYPE2=kinds[1], **cards))
    centre = SkyCoord(image.wcs.wcs.crval[0], image.wcs.wcs.crval[1], unit="deg", frame=frame).icrs
    assert sky_frame(image.wcs) == "icrs"
    longitude, latitude = to_sky(image.wcs, 19, 24)
    assert centre.separation(SkyCoord(longitude, latitude, unit="deg"))[0] < 1 * u.uas


FRACTIONS = np.random.default_rng(1).uniform(0.1, 1, (80, 80))


def blank(data, **options):
    mask = read_image(data, **options).mask
    return np.zeros(np.shape(data), bool) if mask is None else mask


@pytest.mark.parametrize("width", [1, 5, 20])
def test_a_border_of_zeros_is_blank(width):
    inner = np.ones((80 - 2 * width, 80 - 2 * width), bool)
    expected = ~np.pad(inner, width)
    with pytest.warns(AstrosegWarning, match=r"% of array lies in large areas of exact zeros.*--keep-zeros"):
        mask = blank(np.where(expected, 0, FRACTIONS))
    np.testing.assert_array_equal(mask, expected)
    assert not blank(np.where(expected, 0, FRACTIONS), keep_zeros=True).any()


@given(y=st.integers(1, 50), x=st.integers(1, 50), height=st.integers(1, 28), width=st.integers(1, 28))
def test_a_hole_of_zeros_is_blank_where_it_is_large(y, x, height, width):
    data = FRACTIONS.copy()
    data[y : y + height, x : x + width] = 0
    large = height >= 16 and width >= 16
    if large:
        with pytest.warns(AstrosegWarning, match="exact zeros"):
            mask = blank(data)
    else:
        mask = blank(data)
    np.testing.assert_array_equal(mask, (data == 0) & large)


def test_corners_of_a_turned_mosaic_are_blank():
    rows, columns = np.indices(FRACTIONS.shape)
    outside = np.abs(rows - 40) + np.abs(columns - 40) > 45
    with pytest.warns(AstrosegWarning, match="exact zeros"):
        mask = blank(np.where(outside, 0, FRACTIONS))
    assert not mask[~outside].any()
    assert mask[outside].mean() > 0.99


@pytest.mark.parametrize("mean", [0.001, 0.05, 1])
def test_empty_pixels_of_a_photon_count_are_data(mean):
    counts = np.random.default_rng(2).poisson(mean, (200, 200))
    assert not blank(counts).any()
    assert not blank(counts.astype(float)).any()


def test_pixels_that_are_not_finite_are_blank():
    data = FRACTIONS.copy()
    data[3, 4], data[5, 6], data[7, 8] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(blank(data), ~np.isfinite(data))
    np.testing.assert_array_equal(blank(data, mask=FRACTIONS > 0.9), ~np.isfinite(data) | (FRACTIONS > 0.9))
    assert not np.isfinite(data).all()
    assert read_image(FRACTIONS).mask is None


def test_maps_on_the_same_grid(tmp_path):
    path = tmp_path / "map.fits"
    fits.writeto(path, np.float32(PIXELS)[None, None])
    np.testing.assert_array_equal(read_map(path, SHAPE, "mask"), np.float32(PIXELS))
    np.testing.assert_array_equal(read_map(PIXELS[None], SHAPE, "mask"), PIXELS)
    np.testing.assert_array_equal(read_map(NDData(PIXELS), SHAPE, "mask"), PIXELS)
    assert read_map(PIXELS[:1], (1, 40), "mask").shape == (1, 40)
    with pytest.raises(
        ImageError, match="The mask has 40 x 48 pixels, the image 48 x 40; they must be on the same grid"
    ):
        read_map(path, SHAPE[::-1], "mask")


@pytest.mark.parametrize("beam", ["0.5,0.4,0", "5deg,6arcsec,0"])
def test_a_beam_that_cannot_be_is_named(beam):
    with pytest.warns(AstrosegWarning, match="narrower than a pixel|wider than the image"):
        read_image(hdu(), beam=beam)


def test_checksum_of_pixels():
    assert checksum(read_image(PIXELS)) == checksum(read_image(PIXELS.copy()))
    assert checksum(read_image(PIXELS)) != checksum(read_image(PIXELS + 1))
