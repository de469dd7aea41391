"""Regions and outlines: the sky they describe is the sky of the catalogue, the area that of the labels."""

import os
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from regions import EllipsePixelRegion, PolygonPixelRegion, RectanglePixelRegion, Regions
from scipy import ndimage

import astroseg
from astroseg.catalog import complete
from astroseg.contours import trace_labels
from astroseg.errors import UsageError
from astroseg.shapes import ds9_text, pixel_ellipses, to_regions

EIGHT = np.ones((3, 3))
KINDS = ["ellipse", "polygon", "box"]
SKIES = {
    "east left": {},
    "east right": {"CDELT1": 2 / 3600},
    "rotated": {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    "mirrored and rotated": {"CDELT1": 2 / 3600, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    "not square": {"CDELT1": -3 / 3600},
    "at RA 0": {"CRVAL1": 0.0},
    "near the pole": {"CRVAL2": 89.99},
    "fk5": {"RADESYS": "FK5"},
}
SOLAR = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CRVAL1": 0.0, "CRVAL2": 0.0, "CDELT1": 2 / 3600}


def image_of(data, **cards):
    """An image with a sky; 2 arcsec a pixel, north up, east left unless the cards say otherwise."""
    hdu = fits.PrimaryHDU(np.asarray(data, dtype="f4"))
    ny, nx = data.shape
    hdu.header.update(
        CTYPE1="RA---TAN",
        CTYPE2="DEC--TAN",
        CRVAL1=150.0,
        CRVAL2=40.0,
        CRPIX1=nx / 2,
        CRPIX2=ny / 2,
        CDELT1=-2 / 3600,
        CDELT2=2 / 3600,
        CUNIT1="deg",
        CUNIT2="deg",
        BUNIT="Jy/beam",
    )
    hdu.header.update(cards)
    return astroseg.read_image(hdu)


def gaussian(y0, x0, major, minor, angle, shape=(80, 100)):
    """A Gaussian of given FWHM; ``angle`` from +x through +y in degrees."""
    y, x = np.mgrid[: shape[0], : shape[1]] - np.array([y0, x0])[:, None, None]
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    return np.exp(-4 * np.log(2) * ((along / major) ** 2 + (across / minor) ** 2))


@pytest.fixture(scope="module")
def sky_data():
    return 100 * (gaussian(30, 25, 14, 6, 30) + gaussian(55.3, 70.6, 8, 4, 110))


def measured(data, labels, **cards):
    image = astroseg.standardize(image_of(data, **cards), "none", noise=np.ones(data.shape))
    return astroseg.Detections(astroseg.measure(image, labels), labels, image)


def with_rows(labels, image, **columns):
    """Detections whose catalogue says exactly this."""
    labels = np.asarray(labels, dtype=np.int32)
    present = np.unique(labels[labels > 0])
    return astroseg.Detections(complete({"label": present, **columns}, image), labels, image)


@pytest.fixture(params=SKIES)
def found(request, sky_data):
    return measured(sky_data, ndimage.label(sky_data > 1)[0].astype(np.int32), **SKIES[request.param])


def assert_same(first, second):
    """Same class, label, place (1e-6 arcsec) and shape."""
    assert type(first) is type(second)
    assert str(first.meta["text"]) == str(second.meta["text"])
    assert bool(first.meta.get("include", True)) == bool(second.meta.get("include", True))
    if hasattr(first, "vertices"):
        if isinstance(first.vertices, SkyCoord):
            assert first.vertices.frame.name == second.vertices.frame.name
            assert np.all(first.vertices.separation(second.vertices).arcsec < 1e-6)
        else:
            np.testing.assert_allclose(first.vertices.xy, second.vertices.xy, atol=1e-6)
        return
    if isinstance(first.center, SkyCoord):
        assert first.center.frame.name == second.center.frame.name
        assert first.center.separation(second.center).arcsec < 1e-6
    else:
        np.testing.assert_allclose(first.center.xy, second.center.xy, atol=1e-6)
    for name in ("width", "height"):
        one, two = (u.Quantity(getattr(region, name)) for region in (first, second))
        np.testing.assert_allclose(one.to_value(two.unit), two.value, rtol=1e-6)
    assert abs(first.angle - second.angle) < 1e-6 * u.deg


@pytest.mark.parametrize("kind", KINDS)
def test_ds9_text_reads_back_as_the_objects(found, kind, tmp_path):
    path = tmp_path / "sources.reg"
    path.write_text(ds9_text(found, kind), encoding="ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = Regions.read(path, format="ds9")
    made = to_regions(found, kind)
    assert len(read) == len(made) == len(found)
    for first, second in zip(made, read, strict=True):
        assert_same(first, second)


def test_ellipses_lie_on_the_sources(found):
    expected = [(25, 30, 14, 6, 30), (70.6, 55.3, 8, 4, 110)]
    for region, (x, y, major, minor, angle) in zip(found.regions(), expected, strict=True):
        pixel = region.to_pixel(found.image.wcs)
        np.testing.assert_allclose(pixel.center.xy, (x, y), atol=0.01)
        np.testing.assert_allclose((pixel.width, pixel.height), (major, minor), rtol=0.02)
        turned = (pixel.angle.deg - angle + 90) % 180 - 90
        assert abs(turned) < 0.5


def test_ellipse_angle_is_the_position_angle_plus_90(found):
    for region, row in zip(found.regions(), found.catalog, strict=True):
        np.testing.assert_allclose(region.angle.to_value("deg"), (row["pa"].value + 90) % 180)
        assert region.width.to_value("arcsec") == row["fwhm_major"].value


def test_boxes_bound_the_labels(found):
    for region, (rows, columns) in zip(found.regions("box"), ndimage.find_objects(found.labels), strict=True):
        pixel = region.to_pixel(found.image.wcs)
        bounds = pixel.bounding_box.extent
        expected = (columns.start - 0.5, columns.stop - 0.5, rows.start - 0.5, rows.stop - 0.5)
        np.testing.assert_allclose(bounds, expected, atol=1.01)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        np.testing.assert_allclose((pixel.width, pixel.height), size, rtol=1e-3)
        assert abs((pixel.angle.deg + 90) % 180 - 90) < 0.1


def test_sky_polygons_hold_the_pixels_of_the_label(found):
    for region in found.regions("polygon"):
        mask = region.to_pixel(found.image.wcs).to_mask("center").to_image(found.labels.shape)
        assert np.array_equal(mask > 0, found.labels == int(region.meta["text"]))


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CRVAL1": 18.0, "CRVAL2": 0.0},
        {"RADESYS": "FK4", "EQUINOX": 1950.0},
    ],
    ids=["galactic", "B1950"],
)
def test_other_frames_have_icrs_regions(sky_data, cards):
    """Followed by hand, as ``to_pixel`` takes angles from the north of the image's own frame."""
    found = measured(sky_data, ndimage.label(sky_data > 1)[0].astype(np.int32), **cards)
    region, wcs = found.regions()[0], found.image.wcs
    assert region.center.frame.name == "icrs"
    assert ds9_text(found).splitlines()[2] == "icrs"
    end = region.center.directional_offset_by(region.angle - 90 * u.deg, region.width / 2)
    step = np.subtract(wcs.world_to_pixel(end), wcs.world_to_pixel(region.center))
    np.testing.assert_allclose(np.hypot(*step), 7, rtol=0.02)
    assert abs((np.degrees(np.arctan2(step[1], step[0])) - 30 + 90) % 180 - 90) < 0.5


@pytest.mark.parametrize("cards", [SOLAR, {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}], ids=["solar", "no sky"])
def test_without_equatorial_sky_regions_are_in_pixels(sky_data, cards):
    found = measured(sky_data, ndimage.label(sky_data > 1)[0].astype(np.int32), **cards)
    first, second = found.regions()
    assert isinstance(first, EllipsePixelRegion)
    for region, expected in ((first, (25, 30, 14, 6, 30)), (second, (70.6, 55.3, 8, 4, 110))):
        values = (*region.center.xy, region.width, region.height, region.angle.to_value("deg"))
        np.testing.assert_allclose(values, expected, rtol=0.02)
    assert isinstance(found.regions("box")[0], RectanglePixelRegion)
    assert isinstance(found.regions("polygon")[0], PolygonPixelRegion)
    for kind in KINDS:
        for made, read in zip(found.regions(kind), Regions.parse(ds9_text(found, kind), format="ds9"), strict=True):
            assert_same(made, read)


def test_ds9_counts_pixels_from_one():
    found = with_rows([[0, 0], [0, 1]], astroseg.read_image(np.ones((2, 2))), x_centroid=[1.0], y_centroid=[1.0])
    assert ds9_text(found).splitlines()[2] == "image"
    assert ds9_text(found).splitlines()[3] == "ellipse(2.000000,2.000000,0.500000,0.500000,90.000000) # text={1}"
    assert ds9_text(found, "box").splitlines()[3] == "box(2.000000,2.000000,1.000000,1.000000,0.000000) # text={1}"
    assert ds9_text(found, "polygon").splitlines()[3] == "polygon(1.5,1.5,2.5,1.5,2.5,2.5,1.5,2.5) # text={1}"


def test_unknown_sizes_and_places_are_never_nan():
    labels = np.zeros((20, 30), dtype=np.int32)
    labels[3, 4], labels[10:14, 20:25], labels[16, 2] = 1, 2, 3
    image = image_of(np.ones(labels.shape))
    found = with_rows(
        labels,
        image,
        x_centroid=[4, np.nan, 2],
        y_centroid=[3, np.nan, 16],
        n_pixels=[1, 20, 1],
        ra=[150.0, np.nan, 150.01],
        dec=[40.0, np.nan, 40.0],
        fwhm_major=[0.0, np.nan, 7.0],
        fwhm_minor=[0.0, np.nan, 0.1],
        pa=[np.nan, np.nan, 20.0],
    )
    text = ds9_text(found)
    assert "nan" not in text
    assert [line for line in text.splitlines() if "(" not in line][2:] == ["icrs", "image", "icrs"]
    unresolved, unknown, thin = found.regions()
    pixel = 2 * u.arcsec
    assert (unresolved.width / pixel).value == pytest.approx(1)
    assert (unresolved.height / pixel).value == pytest.approx(1)
    assert unknown.center.xy == (22, 11.5)
    np.testing.assert_allclose([unknown.width, unknown.height], 2 * np.sqrt(20 / np.pi), rtol=1e-4)
    np.testing.assert_allclose([thin.width.to_value("arcsec"), thin.height.to_value("arcsec")], [7, 2], rtol=1e-5)


def test_pixels_beyond_the_edge_of_the_sky():
    """A corner of this all-sky map has no coordinates."""
    labels = np.zeros((90, 180), dtype=np.int32)
    labels[0:2, 0:3], labels[45, 90] = 1, 2
    cards = {"CTYPE1": "RA---AIT", "CTYPE2": "DEC--AIT", "CRVAL1": 0.0, "CRVAL2": 0.0, "CDELT1": -2.0, "CDELT2": 2.0}
    found = measured(labels + 0.5, labels, **cards)
    for kind in KINDS:
        text = ds9_text(found, kind)
        assert "nan" not in text
        assert [line for line in text.splitlines() if "(" not in line][2:] == ["image", "icrs"]
        assert len(to_regions(found, kind)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_found_is_an_empty_file(kind):
    found = with_rows(np.zeros((4, 5)), image_of(np.ones((4, 5))))
    assert len(to_regions(found, kind)) == 0
    assert len(Regions.parse(ds9_text(found, kind), format="ds9")) == 0
    assert ds9_text(found, kind).startswith("# Region file format: DS9 version 4.1\nglobal ")


def test_unknown_kind():
    found = with_rows(np.zeros((4, 5)), image_of(np.ones((4, 5))))
    for function in (to_regions, ds9_text):
        with pytest.raises(UsageError, match=r"'circle'\. Choose from ellipse, polygon, box"):
            function(found, "circle")


def test_pixel_ellipses_of_a_mirrored_image():
    wcs = image_of(np.ones((9, 9)), CDELT1=2 / 3600).wcs
    four = np.full(1, 4.0)
    width, height, angle = pixel_ellipses(wcs, four, four, np.array([10.0]), np.array([6.0]), np.array([30.0]))
    # East is right: from north (up) towards east is clockwise.
    np.testing.assert_allclose([width[0], height[0], angle[0]], [5, 3, 60], rtol=1e-5)


# Outlines


def signed_area(vertices):
    x, y = vertices.T
    return 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))


@pytest.mark.parametrize("density", [0.1, 0.4, 0.6, 0.9, 1.0])
def test_area_is_the_number_of_pixels(density):
    labels = ndimage.label(np.random.default_rng(1).random((40, 50)) < density, EIGHT)[0]
    area, outer = np.zeros(labels.max() + 1), np.zeros(labels.max() + 1)
    for outline in trace_labels(labels):
        assert (signed_area(outline.vertices) < 0) == outline.hole
        area[outline.label] += signed_area(outline.vertices)
        outer[outline.label] += not outline.hole
    np.testing.assert_array_equal(area[1:], np.bincount(labels.ravel())[1:])
    np.testing.assert_array_equal(outer[1:], 1)


def test_labels_come_back_from_their_polygons():
    """Touching sources, holes, islands in holes and the edges of the image included."""
    rng = np.random.default_rng(2)
    labels = (ndimage.zoom(rng.integers(0, 4, (9, 11)), 4, order=0)).astype(np.int32)
    labels[12:15, 12:15] = [[1, 1, 1], [1, 2, 1], [1, 1, 1]]
    found = with_rows(labels, astroseg.read_image(np.ones(labels.shape)))
    again = np.zeros((4, *labels.shape), dtype=int)
    for region in to_regions(found, "polygon"):
        inside = region.to_mask("center").to_image(labels.shape)
        again[int(region.meta["text"])] += (1 if region.meta["include"] else -1) * inside.astype(int)
    for label in (1, 2, 3):
        np.testing.assert_array_equal(again[label], labels == label)


def test_ring_and_parts():
    labels = np.zeros((7, 12), dtype=np.int32)
    labels[1:4, 1:4], labels[2, 2], labels[5, 9] = 3, 0, 3
    found = with_rows(labels, astroseg.read_image(np.ones(labels.shape)))
    regions = to_regions(found, "polygon")
    assert [region.meta["text"] for region in regions] == ["3", "3", "3"]
    assert [region.meta["include"] for region in regions] == [True, False, True]
    assert [region.area for region in regions] == [9, 1, 1]
    starts = [line.split("(")[0] for line in ds9_text(found, "polygon").splitlines() if "(" in line]
    assert starts == ["polygon", "-polygon", "polygon"]


def test_corners_join_pixels_of_a_label():
    outlines = trace_labels(np.array([[1, 0], [0, 1]]))
    assert [len(outline.vertices) for outline in outlines] == [8]


def test_straight_edges_have_no_vertices_between():
    outlines = trace_labels(np.full((3, 200), 5))
    assert outlines[0].vertices.tolist() == [[-0.5, -0.5], [199.5, -0.5], [199.5, 2.5], [-0.5, 2.5]]


@pytest.mark.parametrize(
    "name",
    [
        "radio/aegean/1904-66_SIN.fits",
        "radio/sdc1/sdc1_b1_1000h_west.fits",
        "optical/spitzer/spitzer_example_image.fits",
    ],
)
@pytest.mark.skipif("ASTROSEG_REAL_DATA" not in os.environ, reason="ASTROSEG_REAL_DATA does not point at real images")
def test_real_images(name):
    found = astroseg.get_finder("sigma").find(Path(os.environ["ASTROSEG_REAL_DATA"]) / name)
    for kind in KINDS:
        text = ds9_text(found, kind)
        assert "nan" not in text
        assert set(found.catalog["label"].tolist()) == {int(part.split("}")[0]) for part in text.split("{")[1:]}
    area = np.zeros(len(found) + 1)
    for outline in trace_labels(found.labels):
        area[outline.label] += signed_area(outline.vertices)
    np.testing.assert_array_equal(area[1:], np.asarray(found.catalog["n_pixels"]))
