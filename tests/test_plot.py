"""Pictures: what is drawn, where, and that nothing odd stops it."""

import os
import subprocess
import sys
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.io import fits
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Ellipse

import astroseg
from astroseg.catalog import complete
from astroseg.plot import MAX_SIDE, plot_detections, save_preview

# Beams wider than a tiny image, and borders of zeros, are not the point here.
pytestmark = pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def sky_hdu(data, **cards):
    hdu = fits.PrimaryHDU(data)
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
        BUNIT="Jy/beam",
        BMAJ=20 / 3600,
        BMIN=10 / 3600,
        BPA=30.0,
    )
    hdu.header.update(cards)
    return hdu


def detections(source, labels=None):
    image = astroseg.read_image(source)
    labels = np.zeros(image.shape, dtype=np.int32) if labels is None else labels
    catalog = complete({"label": np.unique(labels[labels > 0])}, image)
    catalog.meta["backend"] = "sigma"
    return astroseg.Detections(catalog, labels, image)


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=(90, 120)).astype("f4")


@pytest.fixture
def ring():
    """Three sources, one of them with a hole: four outlines."""
    labels = np.zeros((90, 120), dtype=np.int32)
    labels[10:20, 10:20], labels[14, 14], labels[60:64, 70:80], labels[80, 100] = 1, 0, 2, 3
    return labels


def colorbar_label(ax):
    return next(child.get_ylabel() for child in ax.figure.axes + ax.child_axes if child is not ax)


def outlines(ax):
    (lines,) = (item for item in ax.collections if isinstance(item, LineCollection))
    return lines.get_paths()


def test_what_is_drawn(noise, ring):
    ax = detections(sky_hdu(noise * 1e-6), ring).plot()
    assert isinstance(ax, WCSAxes)
    assert ax.get_title() == "primary\nsigma: 3 sources"
    assert "Jy" in colorbar_label(ax)
    assert "beam" in colorbar_label(ax)
    assert r"\mu" in colorbar_label(ax)
    assert len(outlines(ax)) == 4
    assert {text.get_text() for text in ax.texts} == {"1", "2", "3"}
    assert ax.coords[0].get_axislabel() == "Right ascension"
    np.testing.assert_allclose(outlines(ax)[0].get_extents().extents, [9.5, 9.5, 19.5, 19.5])


@pytest.mark.parametrize(("mirror", "angle"), [(-1, 120), (1, 60)])
def test_beam_has_its_true_size(noise, mirror, angle):
    ax = plot_detections(detections(sky_hdu(noise, CDELT1=mirror * 2 / 3600)))
    (beam,) = (patch for patch in ax.patches if isinstance(patch, Ellipse))
    np.testing.assert_allclose([beam.width, beam.height, beam.angle], [10, 5, angle], rtol=1e-4)
    x, y = beam.center
    assert 0 < x < 20
    assert 0 < y < 20


def test_no_beam_without_one_or_where_it_would_hide_the_picture(noise):
    for source in (noise, sky_hdu(noise[:9, :9])):
        assert not plot_detections(detections(source)).patches


def test_numbers_and_colours_as_asked(noise, ring):
    figure = Figure()
    ax = figure.add_subplot()
    same = plot_detections(detections(noise, ring), ax, labels=False, vmin=-1, vmax=2, cmap="gray", color="red")
    assert same is ax
    assert not ax.texts
    (picture,) = ax.images
    assert (picture.norm.vmin, picture.norm.vmax, picture.cmap.name) == (-1, 2, "gray")
    assert colorbar_label(ax) == "Pixel value"
    assert ax.get_xlabel() == "x (pixels)"
    many = np.arange(1, 401).reshape(20, 20).repeat(2, 0).repeat(2, 1).astype(np.int32)
    assert not plot_detections(detections(noise[:40, :40], many)).texts


def test_blank_pixels_are_blank(noise):
    noise[10, 20], noise[30, 40] = np.nan, np.inf
    (picture,) = plot_detections(detections(noise)).images
    blank = np.ma.getmaskarray(picture.get_array())
    assert np.argwhere(blank).tolist() == [[10, 20], [30, 40]]


def test_scale_shows_noise_and_bright_sources(noise):
    noise[40:50, 50:60] = 1000
    norm = plot_detections(detections(noise)).images[0].norm
    assert norm(1000.0) - norm(100.0) > 0.1
    assert 0.1 < norm(2.0) - norm(-2.0) < 0.6
    np.testing.assert_allclose(norm.inverse(norm(np.array([-1.0, 0.0, 7.0]))), [-1, 0, 7], atol=1e-6)


def test_large_images_are_averaged_in_place():
    data = np.ones((10, 2 * MAX_SIDE + 5), dtype="f4")
    data[0:3, 0:3], data[0, 0], data[9, -2:] = 9.0, np.nan, 4.0
    ax = plot_detections(detections(data))
    shown = ax.images[0].get_array()
    assert shown.shape == (4, -(-data.shape[1] // 3))
    assert shown[0, 0] == 9
    assert shown[3, -1] == 4
    assert ax.images[0].get_extent() == [-0.5, 3 * shown.shape[1] - 0.5, -0.5, 11.5]
    assert ax.get_xlim() == (-0.5, data.shape[1] - 0.5)


def test_helioprojective_axes_in_arcsec(noise, ring, tmp_path):
    cards = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CRVAL1": 0.0, "CRVAL2": 0.0, "CDELT1": 2 / 3600}
    found = detections(sky_hdu(noise, BUNIT="DN", **cards), ring)
    ax = found.plot()
    assert ax.coords[0].get_axislabel() == "Helioprojective longitude (arcsec)"
    assert ax.coords[0].get_format_unit() == u.arcsec
    assert "DN" in colorbar_label(ax)
    save_preview(found, tmp_path / "sun.png")
    assert imread(tmp_path / "sun.png").ndim == 3


def test_axes_are_named_by_coordinate(noise):
    cards = {"CTYPE1": "GLAT-CAR", "CTYPE2": "GLON-CAR", "CRVAL1": 0.0}
    ax = plot_detections(detections(sky_hdu(noise, **cards)))
    assert [axis.get_axislabel() for axis in ax.coords] == ["Galactic longitude", "Galactic latitude"]


@pytest.mark.parametrize(
    "data",
    [
        np.ones((1, 1)),
        np.arange(25).reshape(5, 5),
        np.full((30, 40), np.nan),
        np.full((20, 20), 1e20),
        np.random.default_rng(0).poisson(0.1, (50, 60)).astype("i2"),
        np.random.default_rng(0).normal(size=(2, 900)),
        np.random.default_rng(0).normal(size=(900, 3)),
        -1e-25 * np.random.default_rng(0).random((20, 20)),
    ],
    ids=["one pixel", "tiny", "all blank", "constant", "counts", "wide", "tall", "minute"],
)
@pytest.mark.parametrize("wrap", [np.asarray, sky_hdu], ids=["array", "sky"])
def test_any_image_gives_a_png(data, wrap, tmp_path):
    path = tmp_path / "preview.part"
    save_preview(detections(wrap(data)), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    height, width = imread(path, format="png").shape[:2]
    assert 200 < height < 2000
    assert 200 < width < 2000
    assert plt.get_fignums() == []


def test_works_without_a_display(tmp_path):
    code = (
        "import numpy as np, astroseg, sys\n"
        "from astroseg.plot import save_preview\n"
        "from astroseg.catalog import complete\n"
        "image = astroseg.read_image(np.ones((9, 9)))\n"
        "save_preview(astroseg.Detections(complete({}, image), np.zeros((9, 9), 'i4'), image), sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    hidden = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    path = tmp_path / "preview.png"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env={**hidden, "MPLBACKEND": "TkAgg"})
    assert path.exists()


@pytest.mark.skipif("ASTROSEG_REAL_DATA" not in os.environ, reason="ASTROSEG_REAL_DATA does not point at real images")
@pytest.mark.parametrize(
    "name",
    [
        "radio/pybdsf_a2255/a2255_ch0_I.fits",
        "radio/aegean/1904-66_SIN.fits",
        "solar/aia193_ch_20130624/aia193_20130624_1024.fits.gz",
        "solar/hmi_sharp377/hmi.sharp_cea_720s.377.20110215_020000_TAI.continuum.fits",
        "optical/spitzer/spitzer_example_image.fits",
    ],
)
def test_real_images(name, tmp_path):
    found = astroseg.get_finder("sigma").find(Path(os.environ["ASTROSEG_REAL_DATA"]) / name)
    save_preview(found, tmp_path / "preview.png")
    assert imread(tmp_path / "preview.png").ndim == 3
