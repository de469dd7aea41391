"""What all simulated skies have in common: their files, and the command that makes them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from astroseg import read_catalog, read_image
from astroseg.cli import main
from astroseg.simulate.radio import simulate_radio


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def go(*words):
        with pytest.raises(SystemExit) as stop:
            main(["simulate", *words])
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out + captured.err

    return go


def test_the_name_of_the_image_may_be_given_in_full(run, tmp_path):
    status, printed = run("radio", "--size", "64", "--output", "sky.fits")
    assert status == 0
    assert "sky.truth.ecsv" in printed
    assert min(path.name for path in tmp_path.iterdir()) == "sky.fits"


def test_files_come_back(tmp_path):
    sky = simulate_radio(size=256, seed=3, density=1500, blank=0.1)
    paths = sky.write(tmp_path / "field")
    assert [path.name for path in paths] == [
        "field.fits",
        "field.model.fits",
        "field.truth.ecsv",
        "field.truth.labels.fits",
    ]
    image = read_image(paths[0])
    np.testing.assert_array_equal(image.data, sky.image.data)
    np.testing.assert_array_equal(image.mask, sky.image.mask)
    assert image.meta["beam"].major.to_value("arcsec") == pytest.approx(1.5)
    assert str(image.unit) == "Jy / beam"
    np.testing.assert_array_equal(fits.getdata(paths[3]), sky.labels)
    np.testing.assert_array_equal(fits.getdata(paths[1]), sky.model)
    truth = read_catalog(paths[2])
    assert truth.meta["seed"] == 3
    assert truth.meta["blank"] == 0.1
    np.testing.assert_array_equal(truth["flux"], sky.truth["flux"])
    np.testing.assert_array_equal(truth["simulate_kind"], sky.truth["simulate_kind"])


def test_the_command_makes_what_the_function_makes(run, tmp_path):
    status, said = run("radio", "--preset", "sdc1", "--size", "64", "--seed", "5", "--set", "beam=2.5", "-o", "here")
    sky = simulate_radio(preset="sdc1", size=64, seed=5, beam=2.5)
    assert status == 0
    assert said.startswith(f"{len(sky.truth)} sources: here.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "here.fits"), sky.image.data)


def test_files_are_not_replaced_unasked(run):
    assert run("radio", "--size", "32")[0] == 0
    assert run("radio", "--size", "32") == (
        1,
        "astroseg: radio.fits exists already. Replace it with --overwrite.\n",
    )
    assert run("radio", "--size", "32", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["radio", "--size", "8"], "at least 16"),
        (["radio", "--seed", "-1"], "zero or positive"),
        (["radio", "--density", "-1"], "density"),
        (["radio", "--preset", "sdc2"], "compact, sdc1, crowded, extended"),
        (["radio", "--set", "beam"], "NAME=NUMBER"),
        (["radio", "--set", "beem=3"], "There is no option 'beem'"),
        (["radio", "--set", "beam=0.1"], "needs pixels of at most"),
        (["radio", "--set", "blank=1"], "below 1"),
        (["radio", "--set", "rms=nan"], "rms"),
        (["solar", "--channel", "magnetogram"], "continuum, euv, chromosphere"),
        (["solar", "--size", "3"], "at least 16"),
        (["xray", "--counts", "0"], "positive"),
    ],
)
def test_wrong_options_are_explained(run, words, message, tmp_path):
    status, said = run(*words)
    assert status == 2
    assert message in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["radio", "solar", "xray", "optical"])
def test_every_kind_can_be_made_and_read(run, kind, tmp_path):
    if kind == "optical":
        pytest.importorskip("galsim")
    status, said = run(kind, "--size", "96", "--seed", "2")
    assert status == 0
    image, truth = read_image(tmp_path / f"{kind}.fits"), read_catalog(tmp_path / f"{kind}.truth.ecsv")
    labels = fits.getdata(tmp_path / f"{kind}.truth.labels.fits")
    assert said.startswith(f"{len(truth)} sources")
    assert image.shape == labels.shape == (96, 96)
    np.testing.assert_array_equal(np.bincount(labels.ravel(), minlength=len(truth) + 1)[1:], truth["n_pixels"])
    for name in ("hpc_x", "hpc_y") if kind in {"solar", "xray"} else ("ra", "dec"):
        assert np.isfinite(truth[name]).all()
