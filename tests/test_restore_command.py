"""``astroseg image`` and ``astroseg restore`` as a user types them: files, messages, interruptions."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

from astroseg import read_image
from astroseg.cli import main
from astroseg.simulate.array import simulate_array
from astroseg.simulate.xray import simulate_xray
from astroseg.visibility_files import read_visibilities


def run(capsys, *words):
    """Exit status, what is printed, and the one line of an error."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return stop.value.code or 0, said.out, said.err


@pytest.fixture(scope="module")
def flare(tmp_path_factory):
    """Files of a small flare: its dirty map, its visibilities, its dirty beam, and the map alone."""
    folder = tmp_path_factory.mktemp("flare")
    sky = simulate_xray(size=33, seed=2)
    sky.write(folder / "flare")
    sky.image.meta["visibilities"].table().write(folder / "vis.fits")
    fits.PrimaryHDU(sky.image.psf).writeto(folder / "psf.fits")
    fits.PrimaryHDU(sky.image.data, sky.header()).writeto(folder / "alone.fits")
    return folder


def test_visibilities_to_a_map_to_a_clean_image(capsys, flare, tmp_path):
    dirty, clean = tmp_path / "dirty.fits", tmp_path / "clean.fits"
    status, out, _ = run(capsys, "image", flare / "vis.fits", "--output", dirty, "--size", 65, "--pixel", 2)
    assert status == 0
    assert "24 visibilities, resolution 14.7 arcsec, 65 x 65 pixels of 2 arcsec around 400.0, -250.0 arcsec" in out
    status, out, _ = run(
        capsys, "restore", dirty, "--with", "clean:niter=200", "--set", "gain=0.2", "-o", clean, "--preview"
    )
    assert status == 0
    assert "dirty.fits: clean, beam 14.7 x 14.7 arcsec, PA 0 deg" in out
    assert "before: reduced chi2 " in out
    assert "after: reduced chi2 0." in out
    assert {path.name for path in tmp_path.iterdir()} == {
        "dirty.fits", "clean.fits", "clean.model.fits", "clean.residual.fits", "clean.png"}  # fmt: skip
    header = fits.getheader(clean)
    assert header["BMAJ"] * 3600 == pytest.approx(14.7)
    assert header["BUNIT"] == "ct"
    assert "niter = 200" in list(header["HISTORY"])
    assert "gain = 0.2" in list(header["HISTORY"])
    before, after, model, left = (read_image(path, keep_zeros=True) for path in (
        dirty, clean, tmp_path / "clean.model.fits", tmp_path / "clean.residual.fits"))  # fmt: skip
    np.testing.assert_allclose(after.wcs.all_pix2world([[3, 60]], 0), before.wcs.all_pix2world([[3, 60]], 0), atol=1e-9)
    sums = np.sum(model.data, dtype=float), float(np.sqrt(np.mean(left.data.astype(float) ** 2)))
    assert sums[0] == pytest.approx(2000, rel=0.15)
    assert header["RESRMS"] == pytest.approx(sums[1], rel=1e-4)
    assert header["CHI2"] < 1


def test_psf_and_visibilities_in_files_of_their_own(capsys, flare, tmp_path):
    answers = []
    for name, given in (("own", (flare / "flare.fits",)),
                        ("psf", (flare / "alone.fits", "--psf", flare / "psf.fits")),
                        ("vis", (flare / "alone.fits", "--visibilities", flare / "vis.fits"))):  # fmt: skip
        status, out, _ = run(capsys, "restore", *given, "--output", tmp_path / f"{name}.fits", "--set", "threshold=0")
        assert status == 0
        assert ("chi2" in out) == (name != "psf")
        answers.append(fits.getdata(tmp_path / f"{name}.fits"))
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-3 * answers[0].max())


def test_a_radio_field(capsys, tmp_path):
    sky = simulate_array(size=48)
    sky.write(tmp_path / "array")
    status, out, _ = run(capsys, "restore", tmp_path / "array.fits", "-o", tmp_path / "clean.fits")
    assert status == 0
    assert "Jy / beam" in out
    assert fits.getheader(tmp_path / "clean.model.fits")["BUNIT"] == "Jy / pix"
    assert fits.getheader(tmp_path / "clean.fits")["BPA"] == pytest.approx(sky.image.meta["beam"].pa.value)


def changed(flare, tmp_path, name="changed.fits", **cards):
    """The map alone with other header cards; `None` removes one."""
    with fits.open(flare / "alone.fits") as hdul:
        for key, value in cards.items():
            if value is None:
                del hdul[0].header[key]
            else:
                hdul[0].header[key] = value
        hdul.writeto(tmp_path / name)
    return tmp_path / name


def test_bad_input_ends_in_one_line(capsys, flare, tmp_path):
    vis, psf = flare / "vis.fits", flare / "psf.fits"
    coarse, shifted, no_wcs, wrong = tmp_path / "coarse.fits", 20.0, {"CTYPE1": None, "CTYPE2": None}, {"BUNIT": "Jy"}
    fits.PrimaryHDU(
        fits.getdata(psf), fits.getheader(changed(flare, tmp_path, "x.fits", CDELT1=1e-3, CDELT2=1e-3))
    ).writeto(coarse)
    off = np.zeros((33, 33))
    off[3, 4] = 1
    fits.PrimaryHDU(off).writeto(tmp_path / "off.fits")
    with fits.open(vis) as hdul:
        hdul[1].data["re"] = np.nan
        hdul.writeto(tmp_path / "nan.fits")
    for message, *words in (
        ("alone.fits has no point spread function. Give it with --psf FILE", flare / "alone.fits"),
        ("coarse.fits are 3.6 arcsec, those of alone.fits 2 arcsec", flare / "alone.fits", "--psf", coarse),
        ("has its peak at x = 4, y = 3; it must be in the middle",
         flare / "alone.fits", "--psf", tmp_path / "off.fits"),
        ("None of the 24 visibilities of nan.fits is finite",
         flare / "alone.fits", "--visibilities", tmp_path / "nan.fits"),
        ("shift.fits: the correlation of their dirty map with it is",
         changed(flare, tmp_path, "shift.fits", CRPIX1=shifted), "--visibilities", vis),
        ("unit.fits is in Jy, vis.fits in ct; they must be the same",
         changed(flare, tmp_path, "unit.fits", **wrong), "--visibilities", vis),
        ("The axes of the image are", changed(flare, tmp_path, "nowcs.fits", **no_wcs), "--visibilities", vis),
        ("holds no visibilities", flare / "alone.fits", "--visibilities", psf),
        ("There is no file", tmp_path / "none.fits"),
        ("No restorer named 'cleen'. Did you mean 'clean'?", flare / "flare.fits", "--with", "cleen"),
        ("The option gain takes float > 0 <= 1, not '2'", flare / "flare.fits", "--with", "clean:gain=2"),
    ):  # fmt: skip
        status, _, err = run(capsys, "restore", *words, "--output", tmp_path / "out.fits")
        assert status in (1, 2)
        assert message in err, err
        assert err.count("\n") == 1
        assert not list(tmp_path.glob("out*"))


def test_bad_visibilities_end_in_one_line(capsys, flare, tmp_path):
    for message, *words in (
        ("holds no visibilities", flare / "psf.fits"),
        ("There is no file", tmp_path / "none.fits"),
        ("The pixel is 20 arcsec", flare / "vis.fits", "--pixel", 20),
        ("All of vis.fits resolve more than 500 arcsec", flare / "vis.fits", "--finest", 500),
    ):
        status, _, err = run(capsys, "image", *words, "--output", tmp_path / "out.fits")
        assert status in (1, 2)
        assert message in err
        assert err.count("\n") == 1
        assert not list(tmp_path.glob("out*"))


def test_existing_files_are_refused(capsys, flare, tmp_path):
    (tmp_path / "clean.model.fits").write_text("mine")
    words = "restore", flare / "flare.fits", "-o", tmp_path / "clean.fits"
    status, _, err = run(capsys, *words)
    assert status == 1
    assert "clean.model.fits exists already" in err
    assert run(capsys, *words, "--overwrite", "--quiet")[:2] == (0, "")
    status, _, err = run(capsys, "image", flare / "vis.fits", "-o", tmp_path / "clean.fits")
    assert status == 1
    assert "clean.fits exists already" in err


def test_a_full_disk_leaves_nothing(capsys, flare, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fits.PrimaryHDU, "writeto", full)
    status, _, err = run(capsys, "restore", flare / "flare.fits", "-o", tmp_path / "clean.fits")
    assert status == 1
    assert "No space left on device. Nothing was written." in err
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_nothing(capsys, flare, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("astroseg.clean.hogbom", stop)
    status, _, err = run(capsys, "restore", flare / "flare.fits", "-o", tmp_path / "clean.fits")
    assert status == 130
    assert "Interrupted" in err
    assert not list(tmp_path.iterdir())


def test_listing_restorers_imports_neither_scipy_signal_nor_torch():
    code = (
        "import sys\nfrom astroseg.cli import main\n"
        "try:\n    main(['backends'])\nexcept SystemExit:\n    pass\n"
        "assert not {'astroseg.clean', 'scipy.signal', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert "clean" in done.stdout


def test_the_simulators_write_what_restore_reads(capsys, tmp_path):
    stem = tmp_path / "field"
    words = "--size", 48, "--output", stem, "--seed", 3
    status, out, _ = run(capsys, "simulate", "array", "--array", "meerkat", "--set", "beam=5", *words)
    assert status == 0
    assert "sources: " in out
    assert read_image(f"{stem}.fits").psf.shape == (95, 95)
    assert run(capsys, "simulate", "xray", "--sources", 2, "--overwrite", *words)[0] == 0
    assert read_visibilities(f"{stem}.fits").u.size == 24
    assert len(read_image(f"{stem}.fits").meta["visibilities"].value) == 24


def test_options_of_a_restorer_come_with_its_own_example(capsys):
    status, out, _ = run(capsys, "backends", "clean")
    assert status == 0
    assert "astroseg restore image.fits --output restored.fits --with clean --set gain=VALUE" in out
