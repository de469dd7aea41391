"""PyBDSF through the engine: the same numbers, from any image."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astroseg_bdsf import engine
from astroseg_bdsf.labels import divide

# As in conftest.py.
NY, NX = 120, 140
PIXEL = 1 / 4096

# PyBDSF by itself, from the file to its catalogue.
DIRECT = """
import sys, numpy, bdsf
folder, options = sys.argv[1], eval(sys.argv[2])
numpy.random.seed(0)
image = bdsf.process_image(f"{folder}/image.fits", quiet=True, **options)
image.write_catalog(outfile=f"{folder}/srl.fits", catalog_type="srl", format="fits")
image.write_catalog(outfile=f"{folder}/gaul.fits", catalog_type="gaul", format="fits")
numpy.savez(f"{folder}/maps.npz", rms=image.rms_arr.T, mean=image.mean_arr.T, rank=image.pyrank.T)
"""


@pytest.fixture
def alone(tmp_path):
    """Run PyBDSF without the engine and read what it wrote."""

    def run(data, cards, options):
        fits.writeto(tmp_path / "image.fits", data, cards, overwrite=True)
        command = [sys.executable, "-W", "ignore", "-c", DIRECT, str(tmp_path), repr(options)]
        subprocess.run(command, check=True, capture_output=True)
        sources = fits.getdata(tmp_path / "srl.fits")
        gaussians = fits.getdata(tmp_path / "gaul.fits")
        with np.load(tmp_path / "maps.npz") as maps:
            return sources, gaussians, dict(maps)

    return run


def assert_same(result, reference):
    sources, gaussians, maps = reference
    for name in sources.names:
        equal_nan = sources[name].dtype.kind == "f"
        assert np.array_equal(sources[name], result.sources[name], equal_nan=equal_nan), name
    kept = gaussians[np.argsort(gaussians["Source_id"], kind="stable")]
    for name, ours in (("Source_id", "source"), ("Peak_flux", "peak_flux")):
        assert np.array_equal(kept[name], result.gaussians[ours])
    assert np.array_equal(kept["Xposn"], result.gaussians["x"])
    assert np.array_equal(maps["rank"] + 1, result.islands)
    assert np.array_equal(maps["rms"], result.rms, equal_nan=True)
    assert np.array_equal(maps["mean"], result.mean, equal_nan=True)


@pytest.mark.parametrize(
    "options",
    [{}, {"thresh_isl": 2.5, "minpix_isl": 3, "rms_box": (30, 10), "do_mc_errors": True}],
)
def test_equals_pybdsf_alone(field, header, alone, options):
    result = engine.run(field, header(), options)
    assert_same(result, alone(field, header(), options))
    assert result.sources["RA"].size >= 14
    assert result.failed == []
    assert result.islands.dtype == np.int32
    assert result.rms.dtype == np.float32
    assert result.beam == (4.5 * PIXEL, 4 * PIXEL, 30.0)


def test_equals_pybdsf_alone_in_double_precision(field, header, alone):
    data = field.astype(float) * (1 + 1e-9)
    assert_same(engine.run(data, header(), {}), alone(data, header(), {}))


def test_columns_are_the_same_where_nothing_is_found(field, header, plain):
    empty = engine.run(field, header(), {"thresh_pix": 1e4, "thresh_isl": 1e3})
    assert empty.sources.keys() == plain.sources.keys()
    assert empty.gaussians.keys() == plain.gaussians.keys()
    for table in ("sources", "gaussians"):
        for name, column in getattr(plain, table).items():
            assert getattr(empty, table)[name].dtype == column.dtype, name
            assert getattr(empty, table)[name].size == 0
    assert not empty.islands.any()
    assert np.isfinite(empty.rms).sum() == np.isfinite(field).sum()


@pytest.mark.parametrize("data", [np.full((30, 40), np.nan), np.zeros((30, 40)), np.ones((1, 1))])
def test_blank_and_constant_images_hold_nothing(header, data):
    result = engine.run(data, header(), {})
    assert result.sources["RA"].size == 0
    assert result.islands.shape == data.shape
    assert "nothing to find" in result.notes[-1]


@pytest.mark.parametrize("shape", [(2, 2), (5, 5), (1, 60)])
def test_tiny_images_end_in_nothing_or_in_one_line(header, shape):
    data = np.random.default_rng(1).normal(size=shape)
    if shape == (2, 2):
        with pytest.raises(engine.EngineError, match=r"cannot measure the noise.*\Z"):
            engine.run(data, header(), {})
    else:
        assert engine.run(data, header(), {}).sources["RA"].size == 0


def test_without_frequency_the_numbers_are_the_same(field, header, plain):
    unknown = engine.run(field, header(RESTFREQ=None), {})
    assert "frequency is unknown" in unknown.notes[0]
    for name, column in plain.sources.items():
        assert np.array_equal(column, unknown.sources[name]), name


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CRVAL1": 0.0, "CRVAL2": 0.0},
        # A beam in degrees is taken for pixels of 1 arcsec.
        {"CTYPE1": None, "CTYPE2": None, "CDELT1": None, "CDELT2": None, "BMAJ": 4.5 / 3600, "BMIN": 4 / 3600},
    ],
)
def test_pixels_do_not_depend_on_the_sky(field, header, plain, cards):
    none = engine.run(field, header(**cards), {})
    assert none.stand_in_sky
    assert np.array_equal(plain.islands, none.islands)
    for name in plain.gaussians:
        assert np.allclose(plain.gaussians[name], none.gaussians[name], rtol=1e-6), name
    for name in ("Total_flux", "Peak_flux", "Xposn", "Yposn"):
        assert np.allclose(plain.sources[name], none.sources[name], rtol=1e-6), name


def test_a_mirrored_image_gives_the_mirrored_pixels_and_the_same_sky(field, header, plain):
    turned = engine.run(field[:, ::-1], header(CDELT1=PIXEL, CRPIX1=NX + 1 - 70.0), {})
    for name in ("RA", "DEC", "Total_flux", "Maj", "Min", "PA", "DC_Maj", "DC_PA", "Yposn"):
        assert np.allclose(plain.sources[name], turned.sources[name], rtol=1e-9), name
    assert np.allclose(plain.sources["Xposn"], NX - 1 - turned.sources["Xposn"])
    both = np.radians(plain.gaussians["pa"] + turned.gaussians["pa"])
    assert np.allclose(np.sin(both), 0, atol=1e-6)
    assert np.array_equal(plain.islands, turned.islands[:, ::-1])
    assert np.array_equal(plain.rms, turned.rms[:, ::-1], equal_nan=True)
    labels, order = divide(turned.islands, turned.sources, turned.gaussians)
    x, y = (np.rint(turned.sources[name]).astype(int) for name in ("Xposn", "Yposn"))
    assert np.array_equal(order[labels[y, x] - 1], np.arange(x.size))


def test_given_maps_are_used(field, header):
    options = {"rms_map": True, "mean_map": "map", "rms_box": (20, 7)}
    own = engine.run(field, header(), options)
    given = engine.run(field, header(), {}, background=own.mean, rms=own.rms)
    for name, column in own.sources.items():
        assert np.array_equal(column, given.sources[name]), name
    assert np.array_equal(own.rms, given.rms, equal_nan=True)


def test_given_maps_turn_with_a_mirrored_image(field, header):
    rms = np.tile(np.geomspace(1e-3, 3e-3, NX), (NY, 1))
    cards = header(CDELT1=PIXEL, CRPIX1=NX + 1 - 70.0)
    plain = engine.run(field, header(), {}, rms=rms)
    turned = engine.run(field[:, ::-1], cards, {}, rms=rms[:, ::-1])
    assert np.allclose(plain.sources["Isl_rms"], turned.sources["Isl_rms"])
    assert np.array_equal(plain.rms, turned.rms[:, ::-1], equal_nan=True)
    assert np.allclose(plain.rms[:50], rms[:50])


def test_pixels_without_noise_are_blank(field, header):
    rms = np.full(field.shape, 1e-3)
    rms[:40] = 0
    result = engine.run(field, header(), {}, rms=rms)
    assert not result.islands[:40].any()
    assert result.islands[40:].any()


def test_a_background_alone_is_subtracted(field, header):
    slope = np.linspace(5, 6, NX, dtype=np.float32) * np.ones((NY, 1), np.float32)
    result = engine.run(field + slope, header(), {"mean_map": "zero"}, background=slope)
    plain = engine.run(field, header(), {"mean_map": "zero"})
    assert np.allclose(result.sources["Total_flux"], plain.sources["Total_flux"], rtol=1e-4)
    blank = np.isnan(field)
    assert np.array_equal(result.mean[~blank], slope[~blank])


def test_maps_of_another_shape_are_refused(field, header):
    with pytest.raises(engine.EngineError, match=r"The rms has shape \(3, 3\)"):
        engine.run(field, header(), {}, rms=np.ones((3, 3)))
    with pytest.raises(engine.EngineError, match="2 axes, not 3"):
        engine.run(field[None], header(), {})


def test_options_are_checked_before_anything_runs(field, header):
    with pytest.raises(ValueError, match="Did you mean 'thresh_pix'"):
        engine.run(field, header(), {"tresh_pix": 3})


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"thresh_isl": 4.0, "thresh_pix": 5.0}, 947),
        ({"thresh_isl": 2.5, "thresh_pix": 3.0, "minpix_isl": 3}, 1731),
    ],
)
def test_equals_pybdsf_alone_on_sdc1(header, alone, options, count):
    folder = os.environ.get("ASTROSEG_REAL_DATA")
    if not folder:
        pytest.skip("ASTROSEG_REAL_DATA does not point at the real images")
    path = Path(folder) / "radio" / "sdc1" / "sdc1_b1_1000h_west.fits"
    data, cards = fits.getdata(path), fits.getheader(path)
    options = {**options, "beam": (1.5 / 3600, 1.5 / 3600, 0.0)}
    result = engine.run(np.squeeze(data), cards, options)
    assert_same(result, alone(data, cards, options))
    # A source or two come and go with the last digits of the beam.
    assert abs(result.sources["RA"].size - count) <= 3
    labels, order = divide(result.islands, result.sources, result.gaussians)
    assert labels.max() == order.size == result.sources["RA"].size


def test_a_log_that_cannot_be_written_costs_nothing(field, header, tmp_path, monkeypatch):
    result = engine.run(field, header(), {}, log=tmp_path / "missing" / "run.log")
    assert result.sources["RA"].size > 3
    assert any("log could not be written" in note for note in result.notes)

    def fail(*args):
        msg = "PyBDSF stopped: no reason"
        raise engine.EngineError(msg)

    monkeypatch.setattr(engine, "_work", fail)
    with pytest.raises(engine.EngineError, match="no reason"):
        engine.run(field, header(), {}, log=tmp_path / "missing" / "run.log")
