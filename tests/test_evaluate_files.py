"""`astroseg evaluate`: from files to scores, ours and other programs'."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table

from astroseg import Beam, find, read_catalog, read_image, standardize
from astroseg.cli import main
from astroseg.evaluate import evaluate_pixels, evaluate_sources
from astroseg.evaluate.files import evaluate_files
from astroseg.simulate.radio import simulate_radio


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated field with its truth, and what `sigma` found on it."""
    folder = tmp_path_factory.mktemp("evaluate")
    sky = simulate_radio(size=256, seed=7)
    sky.write(folder / "field")
    find(folder / "field.fits", "sigma").write(folder)
    return folder


@pytest.fixture
def run(capsys, monkeypatch, folder):
    monkeypatch.chdir(folder)

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", *map(str, words)])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


def test_scores_are_those_of_the_functions(folder):
    result = evaluate_files(folder / "field.sigma.ecsv", folder / "field.truth.ecsv")
    image = read_image(folder / "field.fits")
    truth, found = read_catalog(folder / "field.truth.ecsv"), read_catalog(folder / "field.sigma.ecsv")
    expected = evaluate_sources(found, truth, image=image)
    assert result.sources.counts == expected.counts
    assert result.sources.counts.tp > 10
    labels = [np.asarray(read_image(folder / f"field.{name}.labels.fits", unit="").data) for name in ("truth", "sigma")]
    assert result.pixels.counts == evaluate_pixels(*labels).counts
    assert result.sdc1 is None


def test_labels_in_zarr_are_found_beside_the_catalogue(folder, tmp_path):
    pytest.importorskip("zarr")
    find(folder / "field.fits", "sigma").write(tmp_path, maps="zarr")
    expected = evaluate_files(folder / "field.sigma.ecsv", folder / "field.truth.ecsv").pixels
    assert evaluate_files(tmp_path / "field.sigma.ecsv", folder / "field.truth.ecsv").pixels.counts == expected.counts


def test_json_and_table_have_the_agreed_keys(run, folder):
    status, out, err = run("field.sigma.ecsv", "--truth", "field.truth.ecsv", "--json", "s.json", "--output", "out")
    assert (status, err) == (0, "")
    assert "completeness" in out
    scores = json.loads((folder / "s.json").read_text())
    assert {"tp", "fp", "fn", "completeness", "reliability", "f1", "null_rate", "completeness_at_95"} <= set(
        scores["sources"]
    )
    assert {"iou", "f1", "average_precision", "panoptic_quality"} <= set(scores["pixels"])
    table = Table.read(folder / "out" / "field.sigma.ecsv.scores.ecsv")
    assert set(table["kind"]) == {"sources", "pixels"}
    status, _, err = run("field.sigma.ecsv", "--truth", "field.truth.ecsv", "--json", "s.json")
    assert status == 1
    assert "exists already" in err


def test_another_programs_list(run, folder):
    ours = read_catalog(folder / "field.sigma.ecsv")
    other = Table({"RA": ours["ra"].value, "DEC": ours["dec"].value, "S": ours["flux"].to_value("mJy")})
    other.write(folder / "other.csv", overwrite=True)
    status, _, _ = run("other.csv", "--truth", "field.truth.ecsv", "--image", "field.fits")
    assert status == 0
    same = evaluate_files(folder / "field.sigma.ecsv", folder / "field.truth.ecsv").sources.counts
    again = evaluate_files(folder / "other.csv", folder / "field.truth.ecsv", image=folder / "field.fits")
    assert again.sources.counts == same
    assert again.pixels is None


def test_a_truth_table_by_its_columns(run, folder):
    truth = read_catalog(folder / "field.truth.ecsv")
    table = QTable({"alpha": truth["ra"], "delta": truth["dec"], "S14": truth["flux"]})
    table.write(folder / "plain.ecsv", overwrite=True)
    status, out, _ = run(
        "field.sigma.ecsv",
        "--truth",
        "plain.ecsv",
        "--columns",
        "ra=alpha,dec=delta,flux=S14",
        "--truth-format",
        "table",
    )
    assert status == 0
    assert "reliability" in out


def test_several_lists_give_one_block_each(run, folder):
    find(folder / "field.fits", "peaks").write(folder, overwrite=True)
    status, out, _ = run("field.sigma.ecsv", "field.peaks.ecsv", "--truth", "field.truth.ecsv", "--json", "two.json")
    assert status == 0
    assert "field.peaks.ecsv: " in out
    assert set(json.loads((folder / "two.json").read_text())) == {"field.sigma.ecsv", "field.peaks.ecsv"}


@pytest.mark.parametrize(
    ("words", "status", "fragment"),
    [
        (("nothing.ecsv", "--truth", "field.truth.ecsv"), 1, "no file"),
        (("field.sigma.ecsv", "--truth", "nothing"), 1, "no file"),
        (("field.sigma.ecsv",), 2, "--truth"),
        (("field.sigma.ecsv", "--truth", "field.truth.ecsv", "--match-radius", "0"), 2, "positive"),
        (("field.sigma.ecsv", "--truth", "field.truth.ecsv", "--columns", "ra"), 2, "KEY=NAME"),
        (("field.sigma.ecsv", "--truth", "field.truth.ecsv", "--truth-format", "xml"), 2, "xml"),
        (("field.sigma.ecsv", "--truth", "field.truth.ecsv", "--sdc1"), 2, "not a truth list of SDC1"),
        (("field.sigma.ecsv", "--truth", "field.truth.ecsv", "--labels", "absent.fits"), 1, "no file"),
    ],
)
def test_wrong_input_is_one_line(run, words, status, fragment):
    code, _, err = run(*words)
    assert code == status
    assert fragment in err
    assert len([line for line in err.splitlines() if not line.startswith("note: ")]) == 1


def test_a_moved_image_is_asked_for(folder, tmp_path):
    catalog = read_catalog(folder / "field.sigma.ecsv")
    catalog.meta["image_path"] = str(tmp_path / "gone.fits")
    catalog.write(tmp_path / "moved.ecsv", format="ascii.ecsv")
    with pytest.raises(Exception, match="--image"):
        evaluate_files(tmp_path / "moved.ecsv", folder / "field.truth.ecsv")


def test_the_image_is_read_as_it_was(run, folder, tmp_path):
    bare, truth = tmp_path / "bare.fits", folder / "field.truth.ecsv"
    with fits.open(folder / "field.fits") as hdul:
        for key in ("BMAJ", "BMIN", "BPA"):
            del hdul[0].header[key]
        hdul.writeto(bare)
    find(bare, "sigma", beam="2arcsec").write(tmp_path)
    find(bare, "peaks", beam=Beam.parse("2arcsec")).write(tmp_path)
    for name, given, radius in (("sigma", {}, 1), ("peaks", {}, 1), ("sigma", {"beam": "4arcsec"}, 2)):
        result = evaluate_files(tmp_path / f"bare.{name}.ecsv", truth, **given)
        assert result.sources.options["radius"] == f"{radius} arcsec"
    assert "radius 2 arcsec" in run(tmp_path / "bare.sigma.ecsv", "--truth", truth, "--beam", "4arcsec")[1]


def test_the_noise_that_the_truth_refers_to(run, folder):
    truth = read_catalog(folder / "field.truth.ecsv")
    Table({key: truth[key] for key in ("ra", "dec", "flux")}).write(folder / "bare.ecsv", overwrite=True)
    image = standardize(read_image(folder / "field.fits"))
    rms = image.meta["background"].rms[0:256, 0:256].astype("f4")
    fits.writeto(folder / "noisy.fits", 2 * rms, overwrite=True)
    plain, noisy = (
        evaluate_files(folder / "field.sigma.ecsv", folder / "bare.ecsv", noise=noise).sources.counts
        for noise in (None, folder / "noisy.fits")
    )
    assert noisy.tp + noisy.fn < plain.tp + plain.fn
    out = run("field.sigma.ecsv", "--truth", "bare.ecsv", "--noise", "noisy.fits")[1]
    assert f": {noisy.tp} found, {noisy.fn} missed" in out
