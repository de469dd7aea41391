"""The command line as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from helpers import gaussian, make_wcs

from astroseg import read_catalog
from astroseg.cli import COMMANDS, main


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run ``astroseg WORDS`` in a temporary folder; return status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


@pytest.fixture
def image(tmp_path):
    rng = np.random.default_rng(2)
    data = (
        rng.normal(size=(90, 100)) + gaussian((90, 100), 30, 40, 2, peak=60) + gaussian((90, 100), 70, 20, 2, peak=40)
    )
    header = make_wcs(data.shape).to_header()
    header["BUNIT"] = "mJy/beam"
    header["BMAJ"] = header["BMIN"] = 9.4 / 3600
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(data.astype("f4"), header).writeto(path)
    return path


def test_find_writes_and_says_what_an_astronomer_wants_to_know(run, image, tmp_path):
    status, out, err = run("find", image, "--backend", "sigma", "--preview")
    assert (status, err) == (0, "")
    assert "field.fits: 2 sources by sigma" in out
    assert "noise 0.98" in out
    assert "mJy / beam" in out
    assert "beam 9.4 x 9.4 arcsec" in out
    for end in (".ecsv", ".reg", ".labels.fits", ".png"):
        assert f"field.sigma{end}" in out
        assert (tmp_path / f"field.sigma{end}").exists()
    assert len(read_catalog(tmp_path / "field.sigma.ecsv")) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--backend", "sigma:threshold=45"),
        ("--backend", "sigma", "--set", "threshold=45"),
        ("--backend", "sigma:threshold=3", "--set", "threshold=45"),
    ],
)
def test_options_of_the_finder(run, image, tmp_path, words):
    assert run("find", image, *words, "--quiet") == (0, "", "")
    catalog = read_catalog(tmp_path / "field.sigma.ecsv")
    assert len(catalog) == 1
    assert catalog.meta["parameters"]["threshold"] == 45


def test_reading_options_reach_the_reader(run, image, tmp_path):
    run("find", image, "-b", "sigma", "--unit", "Jy/beam", "--beam", "20,10,30", "--background", "constant", "-q")
    catalog = read_catalog(tmp_path / "field.sigma.ecsv")
    assert catalog.meta["image_unit"] == "Jy / beam"
    assert catalog.meta["beam"] == "20 x 10 arcsec, PA 30 deg"
    assert catalog.meta["background"] == "background constant, noise constant"


def test_formats_and_output_folder(run, image, tmp_path):
    status, _, _ = run("find", image, "-b", "sigma", "--format", "votable,csv", "--output", "results/run1")
    assert status == 0
    names = {path.name for path in (tmp_path / "results/run1").iterdir()}
    assert names == {"field.sigma.vot", "field.sigma.csv", "field.sigma.reg", "field.sigma.labels.fits"}


def test_one_bad_image_does_not_stop_the_rest(run, image, tmp_path):
    (tmp_path / "bad.fits").write_bytes(b"nothing")
    status, out, err = run("find", "bad.fits", image, "absent.fits", "-b", "sigma")
    assert status == 3
    assert "field.fits: 2 sources" in out
    assert "bad.fits" in err
    assert "absent.fits" in err
    assert "2 of 3 images failed" in err
    assert run("find", "bad.fits", "absent.fits", "-b", "sigma")[0] == 1


def test_measure_on_another_image(run, image, tmp_path):
    with fits.open(image) as hdul:
        hdul[0].data = hdul[0].data * 10
        hdul.writeto(tmp_path / "other.fits")
    run("find", image, "-b", "sigma", "-q", "-o", "a")
    status, out, _ = run("find", image, "-b", "sigma", "--measure-on", "other.fits", "-o", "b")
    assert status == 0
    assert "other.fits: 2 sources" in out
    plain, other = (read_catalog(tmp_path / f"{folder}/field.sigma.ecsv") for folder in "ab")
    np.testing.assert_allclose(other["flux"], 10 * plain["flux"], rtol=1e-5)
    assert other.meta["measured_on"] == "other.fits"


def test_nothing_found_is_no_failure(run, image):
    status, out, err = run("find", image, "-b", "sigma:threshold=500")
    assert status == 0
    assert "0 sources" in out
    assert err == "note: sigma found nothing in field.fits.\n"


def test_warnings_are_one_line_each_and_once(run, image):
    _, _, err = run("find", image, "-b", "yen:transform=raw", "--noise", "constant")
    lines = err.splitlines()
    assert len(lines) == len(set(lines))
    assert all(line.startswith("note: ") for line in lines)


def test_no_progress_bar_without_a_terminal(run, image):
    _, out, err = run("find", image, "-b", "sigma")
    assert "\x1b" not in out + err


def test_backends_lists_and_shows(run):
    status, out, _ = run("backends")
    assert status == 0
    assert all(name in out for name in ("sigma", "peaks", "yen", "otsu", "triangle"))
    status, out, _ = run("backends", "sigma")
    assert "threshold" in out
    assert "float > 0" in out
    assert "5.0" in out


def test_backends_json(run):
    listed = json.loads(run("backends", "--json")[1])
    keys = {"name", "kind", "summary", "package", "version", "ok", "error", "install"}
    assert all(set(entry) == keys for entry in listed)
    assert {"sigma", "yen"} <= {entry["name"] for entry in listed if entry["ok"]}
    options = json.loads(run("backends", "sigma", "--json")[1])
    assert options[0] == {
        "name": "threshold", "type": "float > 0", "default": 5.0, "unit": "in units of the noise",
        "meaning": "A source has at least one pixel above it.",
    }  # fmt: skip


def test_cite(run):
    status, out, _ = run("cite", "yen")
    assert status == 0
    assert "Yen, Chang & Chang 1995" in out
    assert "astroseg" in out


def test_simulate_and_find(run, tmp_path):
    assert run("simulate", "radio", "--size", "128", "--seed", "2", "--output", "sky")[0] == 0
    assert run("simulate", "radio", "--size", "128", "--output", "sky") == (
        1, "", "astroseg: sky.fits exists already. Replace it with --overwrite.\n"
    )  # fmt: skip
    assert run("find", "sky.fits", "-b", "peaks")[0] == 0
    assert (tmp_path / "sky.truth.ecsv").exists()
    assert run("simulate", "radio", "--size", "3")[0] == 2


def test_help_of_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    for name in COMMANDS:
        assert name in out
        assert run(name, "--help")[0] == 0


@pytest.mark.parametrize(
    ("words", "fragment"),
    [(("fnd",), "fnd"), (("find",), "IMAGE"), (("find", "x.fits"), "--backend"),
     (("find", "x.fits", "-b", "sigmaa"), "Did you mean 'sigma'"),
     (("find", "x.fits", "-b", "sigma", "--set", "a"), "key=value"),
     (("find", "x.fits", "-b", "sigma:thresh=1"), "Did you mean 'threshold'"),
     (("find", "x.fits", "-b", "sigma", "--format", "xml"), "no table format"),
     (("find", "a/x.fits", "b/x.fits", "-b", "sigma"), "Several images would write x"),
     (("find", "x.fits", "-b", "sigma", "--mesh", "wide"), "wide"), (("backends", "nobody"), "No finder named"),
     (("cite", "nobody"), "No finder named")],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_status_2(run, words, fragment):
    status, out, err = run(*words)
    assert status == 2
    assert fragment in err + out
    assert len(err.splitlines()) <= 1


def test_no_command_shows_the_help(run):
    status, _, err = run()
    assert status == 2
    assert "Commands:\n" in err


def test_debug_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.fits").write_bytes(b"nothing")
    with pytest.raises(Exception, match=r"bad\.fits"):
        main(["find", "bad.fits", "-b", "sigma", "--debug"])


@pytest.fixture
def device_finder(monkeypatch):
    """The finder ``sigma`` with the options of one that has weights and runs on a GPU."""
    from astroseg.threshold import SigmaFinder

    class DeviceFinder(SigmaFinder):
        def __init__(self, *, device: str = "auto", weights: str = "own") -> None:
            super().__init__(threshold=45)
            self.device, self.weights = device, weights

    monkeypatch.setattr("astroseg.plugins.load_class", lambda *_: DeviceFinder)


@pytest.mark.usefixtures("device_finder")
@pytest.mark.parametrize(
    ("words", "expected"),
    [((), ("auto", "own")), (("--device", "cuda:1", "--weights", "a,b=c.onnx"), ("cuda:1", "a,b=c.onnx")),
     (("--set", "device=cpu", "--set", "weights=x", "--device", "cuda"), ("cuda", "x"))],
)  # fmt: skip
def test_device_and_weights_are_short_for_set(run, image, tmp_path, words, expected):
    assert run("find", image, "-b", "sigma", "-q", *words) == (0, "", "")
    parameters = read_catalog(tmp_path / "field.sigma.ecsv").meta["parameters"]
    assert (parameters["device"], parameters["weights"]) == expected


@pytest.mark.parametrize("option", ["device", "weights"])
def test_a_finder_without_such_an_option_says_so(run, image, option):
    status, out, err = run("find", image, "-b", "sigma", f"--{option}", "cpu")
    assert (status, out) == (2, "")
    assert err.startswith(f"astroseg: sigma has no option '{option}'. Its options: threshold")
    assert len(err.splitlines()) == 1
