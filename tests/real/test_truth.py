"""Truth of the real images: what the files say, and that their models look like the images."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astroseg import AstrosegWarning, read_image
from astroseg.catalog import flux_scale
from astroseg.labels import components
from astroseg.truth import model_image, read_truth

if "ASTROSEG_REAL_DATA" not in os.environ:
    pytest.skip("set ASTROSEG_REAL_DATA to the folder of real images", allow_module_level=True)

DATA = Path(os.environ["ASTROSEG_REAL_DATA"])
SDC1 = DATA / "radio/sdc1"
SDC1_IMAGE = SDC1 / "sdc1_b1_1000h_west.fits"


def opened(path, image=None, **options):
    """Truth and image; what was said is left to the tests that look for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)
        image = None if image is None else read_image(DATA / image)
        return read_truth(DATA / path, image=image, **options), image


def likeness(truth, image, data=None):
    """Correlation of the model with the image, and the slope of one against the other."""
    model, _ = model_image(truth.catalog, image)
    data = np.asarray(image.data if data is None else data, dtype=float)
    good = np.isfinite(data) if image.mask is None else ~image.mask
    return np.corrcoef(model[good], data[good])[0, 1], (model * data)[good].sum() / (model**2)[good].sum()


@pytest.fixture(scope="module")
def sdc1():
    return opened("radio/sdc1/sdc1_b1_1000h_west_truth_sdc1.cat", "radio/sdc1/sdc1_b1_1000h_west.fits",
                  primary_beam=SDC1 / "PrimaryBeam_B1.fits")  # fmt: skip


def test_sdc1(sdc1):
    truth, image = sdc1
    table = Table.read(SDC1 / "sdc1_b1_1000h_west_truth.csv")
    catalog = truth.catalog
    assert len(catalog) == 8799
    np.testing.assert_array_equal(catalog["sdc1_id"], table["id"])
    np.testing.assert_allclose(catalog["x_centroid"].value, table["x"], atol=1e-3)
    np.testing.assert_allclose(catalog["y_centroid"].value, table["y"], atol=1e-3)
    np.testing.assert_allclose(catalog["primary_beam"], table["pb"], rtol=2e-5)
    np.testing.assert_allclose(catalog["flux"].to_value("Jy"), table["flux_apparent"], rtol=2e-5)
    turn = (catalog["deconvolved_pa"].to_value("deg") - table["pa_east_of_north"] + 90) % 180 - 90
    assert np.abs(turn).max() < 1e-2
    assert flux_scale(image)[1] == u.Jy
    correlation, slope = likeness(truth, image)
    assert correlation > 0.94
    assert slope == pytest.approx(1, abs=0.06)
    assert (truth.labels > 0).mean() == pytest.approx(0.08, abs=0.01)


def test_sdc1_flux_in_the_model(sdc1):
    truth, image = sdc1
    x, y = truth.catalog["x_centroid"].value, truth.catalog["y_centroid"].value
    inner = (x > 60) & (x < 460) & (y > 60) & (y < 900) & (truth.catalog["deconvolved_major"].to_value("arcsec") < 6)
    catalog = truth.catalog[inner]
    model, _ = model_image(catalog, image)
    assert model.sum() * flux_scale(image)[0] == pytest.approx(catalog["flux"].value.sum(), rel=1e-4)


@pytest.mark.parametrize("wrong", [lambda pa: -pa, lambda pa: 90 - pa, lambda pa: pa + 90])
def test_sdc1_angles_are_right(sdc1, wrong):
    truth, image = sdc1
    right, _ = likeness(truth, image)
    turned = truth.catalog.copy()
    turned["deconvolved_pa"] = wrong(turned["deconvolved_pa"].value) * u.deg
    other, _ = likeness(type(truth)(turned), image)
    assert other < right - 0.02


def test_the_detectable_ones_are_told_in_the_csv():
    truth, _ = opened("radio/sdc1/sdc1_b1_1000h_west_truth.csv")
    assert truth.catalog.meta["truth_format"] == "sdc1"
    assert truth.catalog["sdc1_icrar_selection"].sum() == 1004


def test_pybdsm_text_list():
    truth, image = opened("radio/sdc1/sdc1_b1_1000h_west.pybdsm.srl", "radio/sdc1/sdc1_b1_1000h_west.fits")
    assert len(truth) == 1007
    correlation, slope = likeness(truth, image)
    assert correlation > 0.98
    assert slope == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("kind", "number"), [("srl", 43), ("gaul", 48)])
def test_pybdsf_fits_lists(kind, number):
    truth, image = opened(f"radio/pybdsf_a2255/a2255_{kind}.FITS", "radio/pybdsf_a2255/a2255_ch0_I.fits")
    assert len(truth) == number
    catalog = truth.catalog
    assert catalog["fwhm_major"].to_value("arcsec")[0] == pytest.approx(0.021845531986 * 3600)
    model = np.squeeze(fits.getdata(DATA / "radio/pybdsf_a2255/a2255_model.fits"))
    assert likeness(truth, image, model)[0] > 0.92
    if kind == "gaul":
        pixels = fits.getdata(DATA / "radio/pybdsf_a2255/a2255_gaul.FITS")
        np.testing.assert_allclose(catalog["x_centroid"].value, pixels["Xposn"], atol=1e-3)  # 0-based
        # The positions on the sky in this list leave its pixels by up to 0.6 along y, as the cube of the distance.
        np.testing.assert_allclose(catalog["y_centroid"].value, pixels["Yposn"], atol=0.7)


def test_pybdsf_labels_and_regions():
    islands, _ = opened("radio/pybdsf_a2255/a2255_pyrank.fits")
    assert len(islands) == islands.labels.max() == 33
    regions, _ = opened("radio/pybdsf_a2255/a2255_srl.ds9.reg", "radio/pybdsf_a2255/a2255_ch0_I.fits")
    sources, _ = opened("radio/pybdsf_a2255/a2255_srl.FITS", "radio/pybdsf_a2255/a2255_ch0_I.fits")
    for name in ("x_centroid", "y_centroid"):
        np.testing.assert_allclose(regions.catalog[name].value, sources.catalog[name].value, atol=1e-3)


@pytest.mark.parametrize(("epoch", "number", "peak"), [(1, 4, 2.0), (2, 7, 3.0)])
def test_selavy(epoch, number, peak):
    truth, image = opened(f"radio/vast/epoch0{epoch}.selavy.components.txt", f"radio/vast/epoch0{epoch}.fits")
    assert len(truth) == number
    assert truth.catalog["peak_flux"].to_value("Jy/beam")[0] == pytest.approx(peak, rel=0.01)  # mJy/beam in the file
    correlation, slope = likeness(truth, image)
    assert correlation > 0.999
    assert slope == pytest.approx(1, abs=0.002)


def test_aegean():
    truth, image = opened("radio/aegean/1904_comp.fits", "radio/aegean/1904-66_SIN.fits")
    assert len(truth) == 51
    assert likeness(truth, image)[0] > 0.96
    truth, image = opened("radio/aegean/synthetic_test_truth.csv", "radio/aegean/synthetic_test.fits",
                          columns={"fwhm_major": "a_arcsec", "fwhm_minor": "b_arcsec"})  # fmt: skip
    assert len(truth) == 102
    correlation, slope = likeness(truth, image, np.asarray(image.data) - 0.25)
    assert correlation > 0.999
    assert slope == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(("field", "number"), [(1, 52), (2, 76), (3, 52)])
def test_tigger(field, number):
    truth, image = opened(f"radio/deepsource/image{field}.txt", f"radio/deepsource/image{field}.fits")
    assert len(truth) == number
    correlation, slope = likeness(truth, image)
    assert correlation > 0.88
    assert slope == pytest.approx(1.5, abs=0.05)  # a known trait of these images: fluxes are relative


def test_sextractor():
    truth, image = opened("optical/sep/image.cat", "optical/sep/image.fits")
    assert len(truth) == 65
    assert truth.catalog["x_centroid"].value[0] == pytest.approx(165.0857 - 1)
    data = np.asarray(image.data, dtype=float) - read_image(DATA / "optical/sep/back.fits").data
    assert likeness(truth, image, data)[0] > 0.7


def test_labelme_polygon_lies_on_its_galaxy():
    truth, image = opened("radio/first/J085556.090+491113.15.json", "radio/first/J085556.090+491113.15.fits")
    data = np.asarray(image.data, dtype=float)
    islands = components(data > 3 * 1.4826 * np.median(np.abs(data - np.median(data))))
    galaxy = islands == np.bincount(islands[islands > 0]).argmax()

    def iou(labels):
        return np.count_nonzero(galaxy & (labels > 0)) / np.count_nonzero(galaxy | (labels > 0))

    assert iou(truth.labels) > 0.79
    assert iou(truth.labels) > iou(truth.labels[::-1])
    assert iou(truth.labels) > max(iou(np.roll(truth.labels, step, axis=0)) for step in (-2, 2))


def test_hek():
    truth, image = opened("solar/hek/hek_spoca_20130201.json")
    assert len(truth) == 89
    assert np.count_nonzero(truth.catalog["hek_kind"] == "CH") == 39
    holes, image = opened("solar/hek/hek_spoca_20130201.json", "solar/aia193_ch_20130624/aia193_20130624_1024.fits.gz",
                          kind="CH")  # fmt: skip
    assert holes.labels.shape == image.shape
    assert len(holes) == 39


def test_label_images():
    holes, _ = opened("solar/aia193_ch_20130624/truth_ch_1024.fits.gz", hdu="CH_B")
    assert holes.catalog["hpc_x"].unit == u.arcsec
    spots, image = opened("solar/hmi_sharp377/truth_sunspots.fits.gz",
                          "solar/hmi_sharp377/hmi.sharp_cea_720s.377.20110215_020000_TAI.continuum.fits")  # fmt: skip
    assert len(spots) == 13
    assert np.median(np.asarray(image.data)[spots.labels > 0]) < 0.9 * np.nanmedian(image.data)


def test_galactic_votable():
    truth, image = opened("optical/spitzer/spitzer_example_catalog.xml", "optical/spitzer/spitzer_example_image.fits",
                          columns={"glon": "l", "glat": "b", "flux": "f4_5"})  # fmt: skip
    assert len(truth) == 224
    x, y = (np.rint(truth.catalog[name].value).astype(int) for name in ("x_centroid", "y_centroid"))
    inside = (x > 2) & (y > 2) & (x < image.shape[1] - 3) & (y < image.shape[0] - 3)
    brightest = [
        np.asarray(image.data)[b - 2 : b + 3, a - 2 : a + 3].max() for a, b in zip(x[inside], y[inside], strict=True)
    ]
    assert np.median(brightest) > 5 * np.nanmedian(image.data)
