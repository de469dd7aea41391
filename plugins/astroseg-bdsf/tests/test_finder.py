"""PyBDSF's numbers in the common columns."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astroseg_bdsf import engine
from astroseg_bdsf.finder import BDSFFinder

from astroseg import AstrosegError, AstrosegWarning, UsageError, find, get_finder, read_image, standardize
from astroseg.header import pixel_scale
from astroseg.testing import make_field


@pytest.fixture(scope="module")
def field():
    return make_field()[0]


@pytest.fixture(scope="module")
def plain(field):
    """What the engine says of the field by itself."""
    header = field.wcs.to_header()
    beam = field.meta["beam"]
    options = {"beam": tuple(value.to_value("deg") for value in (beam.major, beam.minor, beam.pa))}
    return engine.run(np.asarray(field.data), header, options)


@pytest.fixture(scope="module")
def detections(field):
    return find(field, "bdsf")


def test_rows_are_pybdsfs_sources(plain, detections):
    catalog = detections.catalog
    rows = np.argsort(catalog["bdsf_source_id"])
    pairs = {
        "ra": ("RA", "deg"),
        "dec": ("DEC", "deg"),
        "ra_err": ("E_RA", "deg"),
        "dec_err": ("E_DEC", "deg"),
        "flux": ("Total_flux", "Jy"),
        "flux_err": ("E_Total_flux", "Jy"),
        "peak_flux": ("Peak_flux", "Jy/beam"),
        "fwhm_major": ("Maj", "deg"),
        "fwhm_minor": ("Min", "deg"),
        "pa": ("PA", "deg"),
        "deconvolved_major": ("DC_Maj", "deg"),
        "local_rms": ("Isl_rms", "Jy/beam"),
        "x_centroid": ("Xposn", "pix"),
        "bdsf_e_maj": ("E_Maj", "deg"),
        "bdsf_isl_total_flux": ("Isl_Total_flux", "Jy"),
    }
    assert len(catalog) == plain.sources["RA"].size > 3
    for ours, (theirs, unit) in pairs.items():
        np.testing.assert_allclose(catalog[ours].to_value(unit)[rows], plain.sources[theirs], rtol=1e-6, err_msg=ours)
    np.testing.assert_array_equal(catalog["island"][rows], plain.sources["Isl_id"] + 1)


def test_every_row_has_its_pixels_inside_its_island(plain, detections):
    for row in detections.catalog:
        inside = detections.labels == row["label"]
        assert inside.sum() == row["n_pixels"] > 0
        assert set(plain.islands[inside]) == {row["island"]}
    np.testing.assert_array_equal(detections.labels > 0, np.isin(plain.islands, detections.catalog["island"]))


def test_units_are_converted_at_the_door(field, detections):
    milli = read_image(np.asarray(field.data, dtype=float) * 1e3, unit="mJy/beam", beam=field.meta["beam"])
    milli.wcs = field.wcs
    catalog = find(milli, "bdsf").catalog
    np.testing.assert_allclose(catalog["flux"].to_value("Jy"), detections.catalog["flux"].to_value("Jy"), rtol=1e-4)
    np.testing.assert_allclose(catalog["peak_flux"].value, 1e3 * detections.catalog["peak_flux"].value, rtol=1e-4)
    assert catalog["peak_flux"].unit == u.mJy / u.beam


@pytest.mark.filterwarnings("ignore:bdsf. The")
def test_an_image_without_a_beam_has_fluxes_in_its_own_unit(field, detections):
    counts = read_image(np.asarray(field.data), unit="ct")
    catalog = find(counts, "bdsf").catalog
    assert catalog["flux"].unit == u.ct * u.pix
    assert catalog["fwhm_major"].unit == u.pix
    widths = field.meta["beam"].fwhm_pixels(pixel_scale(field.wcs))
    area = np.pi / (4 * np.log(2)) * widths[0] * widths[1]
    brightest = detections.catalog["flux"].value.max() * area
    assert catalog["flux"].value.max() == pytest.approx(brightest, rel=0.05)


@pytest.mark.filterwarnings("ignore:bdsf. The frequency")
def test_a_solar_image_gets_solar_columns(field):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["HPLN-TAN", "HPLT-TAN"], ["arcsec", "arcsec"]
    wcs.wcs.cdelt, wcs.wcs.crpix = [2.0, 2.0], [1, 1]
    width = field.meta["beam"].fwhm_pixels(pixel_scale(field.wcs))[0]
    sun = read_image(np.asarray(field.data), unit="DN", beam=f"{2 * width}")
    sun.wcs = wcs
    with pytest.warns(match="stand-in sky"):
        catalog = find(sun, "bdsf").catalog
    np.testing.assert_allclose(catalog["hpc_x"].to_value("arcsec"), 2 * catalog["x_centroid"].value, atol=0.01)
    strong = catalog["snr"] > 30
    assert strong.sum() >= 3
    assert (catalog["fwhm_major"][strong].to_value("arcsec") >= 2 * width * 0.95).all()


def test_a_given_background_is_used(field):
    shape = field.shape
    rms = np.full(shape, 10 * np.std(field.data))
    with pytest.warns(UserWarning, match=r"found nothing|bdsf"):
        found = find(field, "bdsf", background=np.zeros(shape), noise=rms * 1e3)
    assert len(found) == 0


def test_presets_are_overruled_by_options():
    assert BDSFFinder(preset="tuned")._chosen() == {"thresh_isl": 2.5, "thresh_pix": 3.0, "minpix_isl": 3}
    assert BDSFFinder(preset="tuned", thresh_pix=5.0)._chosen()["thresh_pix"] == 5.0
    assert BDSFFinder()._chosen() == {}
    assert BDSFFinder(rms_box=(60, 20))._chosen() == {"rms_box": (60, 20)}


@pytest.mark.parametrize(
    ("options", "fragment"),
    [({"thresh_pix": -1.0}, "thresh_pix"), ({"preset": "best"}, r"default\|tuned"), ({"rms_boxx": 1}, "rms_box"),
     ({"output_all": True}, "output_all"), ({"mean_map": "maybe"}, "mean_map")],
)  # fmt: skip
def test_wrong_options_are_refused(options, fragment):
    with pytest.raises(UsageError, match=fragment):
        get_finder("bdsf", **options)


def test_text_options_have_pybdsfs_types():
    finder = BDSFFinder.from_text({"rms_box": "60,20", "mean_map": "zero", "thresh_pix": "4"})
    assert tuple(finder.rms_box) == (60, 20)
    assert (finder.mean_map, finder.thresh_pix) == ("zero", 4.0)


def on_sky(field, frame, turn):
    """The field in its own frame (turned), or in another frame with the same centre; its beam is round."""
    centre = SkyCoord(*field.wcs.wcs.crval, unit="deg").transform_to(frame or "icrs")
    names = ("GLON-TAN", "GLAT-TAN") if frame == "galactic" else ("RA---TAN", "DEC--TAN")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = names, (centre.spherical.lon.deg, centre.spherical.lat.deg)
    wcs.wcs.crpix, wcs.wcs.cdelt = field.wcs.wcs.crpix, field.wcs.wcs.cdelt
    wcs.wcs.pc = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    if frame == "fk4":
        wcs.wcs.radesys, wcs.wcs.equinox = "FK4", 1950.0
    image = read_image(np.asarray(field.data), unit="Jy/beam", beam="10")
    image.wcs = wcs
    return image


@pytest.mark.filterwarnings("ignore:bdsf. The frequency")
@pytest.mark.parametrize("frame", ["galactic", "fk4"])
def test_angles_and_errors_are_those_of_the_catalogues_frame(field, frame):
    image = on_sky(field, frame, 0)
    here = SkyCoord(*image.wcs.wcs.crval, unit="deg", frame=frame)
    north = here.directional_offset_by(0 * u.deg, 1 * u.arcmin)
    turn = here.icrs.position_angle(north.icrs).rad
    catalog, expected = (find(each, "bdsf").catalog for each in (image, on_sky(field, None, turn)))
    assert len(catalog) == len(expected) > 3
    for name in ("ra", "dec", "fwhm_major"):
        np.testing.assert_allclose(catalog[name].value, expected[name].value, rtol=1e-4)
    for name in ("ra_err", "dec_err"):
        np.testing.assert_allclose(catalog[name].value, expected[name].value, rtol=5e-3)
    for name in ("pa", "deconvolved_pa"):
        known = np.isfinite(expected[name])
        np.testing.assert_array_equal(np.isfinite(catalog[name]), known)
        apart = (catalog[name] - expected[name])[known].to_value("deg")
        np.testing.assert_allclose((apart + 90) % 180 - 90, 0, atol=0.1)


def test_extra_columns_have_units_of_the_image_and_descriptions(field, detections):
    milli = read_image(np.asarray(field.data, dtype=float) * 1e3, unit="mJy/beam", beam=field.meta["beam"])
    milli.wcs = field.wcs
    catalog = find(milli, "bdsf").catalog
    assert all(catalog[name].info.description for name in catalog.colnames)
    for name in ("bdsf_e_peak_flux", "bdsf_isl_mean", "bdsf_resid_isl_rms", "bdsf_resid_isl_mean"):
        assert catalog[name].unit == milli.unit
        np.testing.assert_allclose(catalog[name].value, 1e3 * detections.catalog[name].value, rtol=1e-2, atol=1e-5)
    assert catalog["bdsf_isl_total_flux"].unit == u.Jy


@pytest.mark.filterwarnings("ignore:bdsf. The")
def test_extra_columns_without_a_beam_or_a_sky(field):
    data = np.asarray(field.data, dtype=float)
    counts, milli = (
        find(read_image(data * factor, unit=unit), "bdsf").catalog for factor, unit in ((1, "ct"), (1e3, "mJy/beam"))
    )
    for catalog, unit in ((counts, u.ct), (milli, u.mJy / u.beam)):
        assert catalog["bdsf_isl_total_flux"].unit == catalog["flux"].unit == unit * u.pix
        assert catalog["bdsf_isl_mean"].unit == catalog["bdsf_e_peak_flux"].unit == unit
        assert catalog["bdsf_maj"].unit == u.pix
        np.testing.assert_array_equal(catalog["bdsf_maj"], catalog["fwhm_major"])
        assert np.isnan(catalog["bdsf_ra_max"]).all()
        assert np.isnan(catalog["bdsf_pa"]).all()
    np.testing.assert_allclose(milli["flux"].value, 1e3 * counts["flux"].value, rtol=1e-3)
    ratio = counts["bdsf_isl_total_flux"].value / counts["flux"].value
    assert 0.5 < np.median(ratio) < 2


def quiet_field():
    """Noise and a source in a corner, the rest of one value: PyBDSF clips all pixels away."""
    data = np.ones((192, 192), dtype="f4")
    y, x = np.mgrid[:64, :64]
    noise = np.random.default_rng(2).normal(size=(64, 64))
    data[:64, :64] += noise + 50 * np.exp(-0.5 * ((x - 30) ** 2 + (y - 30) ** 2) / 1.5**2)
    return data


@pytest.mark.filterwarnings("ignore:bdsf. (The|PyBDSF accepted)")
def test_where_pybdsf_cannot_measure_the_noise_astroseg_does():
    with pytest.warns(AstrosegWarning, match="cannot measure the noise of this image; used astroseg's") as caught:
        found = find(quiet_field(), "bdsf")
    assert sum("cannot measure" in str(each.message) for each in caught) == 1
    brightest = found.catalog[np.argmax(found.catalog["snr"])]
    assert brightest["x_centroid"].value == pytest.approx(30, abs=0.2)
    assert found.catalog.meta["background"].startswith("background mesh")


def test_where_that_fails_too_the_message_says_what_to_try(monkeypatch):
    def fail(*args, **kwargs):
        msg = "PyBDSF stopped: it cannot measure the noise."
        raise engine.NoiseError(msg)

    monkeypatch.setattr("astroseg_bdsf.finder.run", fail)
    with pytest.raises(AstrosegError, match=r"the noise\. Try --background constant\.$"):
        find(quiet_field(), "bdsf")


@pytest.mark.parametrize("log", ["missing/run.log", "."])
def test_a_log_that_cannot_be_kept_is_refused_before_the_run(tmp_path, log):
    with pytest.raises(UsageError, match="no folder for the log"):
        get_finder("bdsf", log=str(tmp_path / log)).find("there_is_no_such_image.fits")


def test_the_log_is_kept_on_request(field, tmp_path):
    find(field, "bdsf", log=str(tmp_path / "run.log"))
    assert "PyBDSF" in (tmp_path / "run.log").read_text()


def test_a_failing_engine_is_one_line(field, monkeypatch):
    def fail(*args, **kwargs):
        msg = "PyBDSF stopped: no reason"
        raise engine.EngineError(msg)

    monkeypatch.setattr("astroseg_bdsf.finder.run", fail)
    with pytest.raises(AstrosegError, match=r"bdsf on .*: PyBDSF stopped: no reason"):
        find(field, "bdsf")


def test_a_lost_island_is_reported(field, monkeypatch):
    from dataclasses import replace

    def lose(*args, **kwargs):
        return replace(
            engine.run(*args, **kwargs), failed=[engine.Failure(7, 11, 12, (0, 1, 2, 3), "it took too long")]
        )

    monkeypatch.setattr("astroseg_bdsf.finder.run", lose)
    with pytest.warns(match=r"island at x = 11, y = 12 has no sources: it took too long"):
        found = find(field, "bdsf")
    assert found.catalog.meta["bdsf_failed_islands"][0]["island"] == 7


def test_values_beyond_single_precision_are_refused():
    with pytest.raises(AstrosegError, match="beyond 1e"):
        find(np.random.default_rng(1).normal(size=(64, 64)) * 1e300, "bdsf")


def test_a_large_image_is_searched_by_regions(monkeypatch):
    """The same noise for all: PyBDSF's own is measured on each region, and differs a little from that of the whole."""
    image = standardize(make_field(shape=(160, 300), n_sources=24)[0])
    whole = find(image, "bdsf")
    monkeypatch.setattr(BDSFFinder, "region", 160)
    monkeypatch.setattr(BDSFFinder, "overlap", 40)
    regions = find(image, "bdsf")
    assert len(whole) == len(regions) > 15
    np.testing.assert_array_equal(whole.labels, regions.labels)
    for name in ("x_centroid", "y_centroid", "ra", "dec", "flux", "fwhm_major"):
        np.testing.assert_allclose(whole.catalog[name].value, regions.catalog[name].value, rtol=1e-3, err_msg=name)
    assert regions.catalog["bdsf_s_code"].tolist() == whole.catalog["bdsf_s_code"].tolist()
