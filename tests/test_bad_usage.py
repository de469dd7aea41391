"""Wrong options, second files that do not fit, folders that take no file, interruptions: one line, no half a file."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from odd_images import SHAPE, complaints, image, leftovers, run, table, written

from astroseg import read_catalog
from astroseg.cli import main


def half(value) -> np.ndarray:
    """Ones, and ``value`` in the half that holds the source."""
    data = np.ones(SHAPE)
    data[:, :32] = value
    return data


# Second files: option, content, status, fragment of the message or number of sources.
MAPS = [
    ("mask of another size", "--mask", lambda: image(np.zeros((8, 9))), 1, "mask has 9 x 8 pixels, the image 64 x 64"),
    ("mask of text", "--mask", lambda: b"1 2 3" * 999, 1, "second.fits: it is not a FITS file"),
    ("mask missing", "--mask", None, 1, "no file .*second.fits"),
    ("mask of a table", "--mask", lambda: written(fits.PrimaryHDU(), table()), 1, "second.fits holds no image"),
    ("background of another size", "--background", lambda: image(np.zeros((8, 9))), 1, "same grid"),
    ("background of NaN", "--background", lambda: image(np.full(SHAPE, np.nan)), 1, "no finite pixel"),
    ("background missing", "--background", None, 1, "no file .*The background is mesh, constant, none or a FITS file"),
    ("noise of another size", "--noise", lambda: image(np.zeros((8, 9))), 1, "same grid"),
    ("noise of 0", "--noise", lambda: image(np.zeros(SHAPE)), 1, "nowhere above 0"),
    ("noise below 0", "--noise", lambda: image(-np.ones(SHAPE)), 1, "nowhere above 0"),
    ("noise of NaN", "--noise", lambda: image(np.full(SHAPE, np.nan)), 1, "nowhere above 0"),
    ("noise missing", "--noise", None, 1, "no file .*The noise is mesh, constant or a FITS file"),
    ("measured image of another size", "--measure-on", lambda: image(np.zeros((8, 9))), 1, "9 x 8 .* 64 x 64"),
    ("measured image missing", "--measure-on", None, 1, "no file .*second.fits"),
    ("mask of everything", "--mask", lambda: image(np.ones(SHAPE)), 0, 0),
    ("mask over the source", "--mask", lambda: image(half(1) - half(0)), 0, 0),
    ("mask elsewhere", "--mask", lambda: image(half(0)), 0, 1),
    ("mask of 4 axes", "--mask", lambda: image(np.zeros((1, 1, 64, 64), np.uint8)), 0, 1),
    ("background with NaN elsewhere", "--background", lambda: image(0 * half(0) + np.where(half(0), np.nan, 0)), 0, 1),
    ("noise of 0 at the source", "--noise", lambda: image(half(0)), 0, 0),
    ("noise below 0 at the source", "--noise", lambda: image(half(-1)), 0, 0),
    ("noise of NaN at the source", "--noise", lambda: image(half(np.nan)), 0, 0),
    ("noise of 1e-300", "--noise", lambda: image(np.full(SHAPE, 1e-300)), 0, None),
    ("measured image of NaN", "--measure-on", lambda: image(np.full(SHAPE, np.nan)), 0, 1),
]  # fmt: skip


@pytest.mark.parametrize(("option", "content", "expected", "says"), [pytest.param(*row[1:], id=row[0]) for row in MAPS])
def test_second_file(tmp_path, capsys, option, content, expected, says):
    path, second, out = tmp_path / "image.fits", tmp_path / "second.fits", tmp_path / "out"
    path.write_bytes(image())
    if content:
        second.write_bytes(content())
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", out, option, second)
    assert status == expected, lines
    if status:
        (line,) = complaints(lines)
        assert re.search(says, line), line
        assert not out.exists()
    else:
        assert complaints(lines) == []
        found = len(read_catalog(out / "image.sigma.ecsv"))
        assert says in (None, found)


# Wrong usage: arguments (IMAGE is an image), fragment of the message.
USAGE = [
    ("no command given", "fnid IMAGE", "No such command 'fnid'"),
    ("no image", "find -b sigma", "Missing argument 'IMAGE"),
    ("no backend", "find IMAGE", "Missing option '--backend'"),
    ("backend misspelt", "find IMAGE -b sigmaa", "No finder named 'sigmaa'. Did you mean 'sigma'"),
    ("backend empty", "find IMAGE -b :", "No finder named ''.*Installed: "),
    ("option unknown", "find IMAGE -b sigma --frobnicate", "No such option.*--frobnicate"),
    ("setting without =", "find IMAGE -b sigma --set threshold", "'threshold'. Write key=value"),
    ("inline setting without =", "find IMAGE -b sigma:threshold", "'threshold'. Write key=value"),
    ("setting misspelt", "find IMAGE -b sigma --set treshold=5", "no option 'treshold'. Did you mean 'threshold'"),
    ("setting in words", "find IMAGE -b sigma --set threshold=high", "threshold takes float > 0.*'high'"),
    ("setting out of range", "find IMAGE -b sigma --set threshold=-1", "threshold takes float > 0"),
    ("setting of NaN", "find IMAGE -b sigma --set threshold=nan", "threshold takes float > 0"),
    ("setting of inf", "find IMAGE -b sigma --set threshold=inf", "threshold takes float > 0"),
    ("setting of another type", "find IMAGE -b sigma:min_pixels=2.5", "min_pixels takes int >= 1"),
    ("setting not on the list", "find IMAGE -b sigma:connectivity=6", "connectivity takes 8|4"),
    ("setting neither true nor false", "find IMAGE -b sigma:deblend=maybe", "deblend takes bool"),
    ("setting empty", "find IMAGE -b sigma:threshold=", "threshold takes float"),
    ("format unknown", "find IMAGE -b sigma --format ecsv,docx", "'docx'. Choose from ecsv, .*parquet, csv"),
    ("regions unknown", "find IMAGE -b sigma --regions circle", "'circle' is not one of"),
    ("mesh in words", "find IMAGE -b sigma --mesh fine", "'fine' is not a valid integer"),
    ("mesh of 0", "find IMAGE -b sigma --mesh 0", "at least 4 pixels wide, not 0"),
    ("mesh below 0", "find IMAGE -b sigma --mesh -5", "at least 4 pixels wide, not -5"),
    ("beam in words", "find IMAGE -b sigma --beam round", "'round'. Give MAJ,MIN,PA"),
    ("beam empty", "find IMAGE -b sigma --beam=", "Give MAJ,MIN,PA"),
    ("beam of four numbers", "find IMAGE -b sigma --beam 1,2,3,4", "Give MAJ,MIN,PA"),
    ("beam below 0", "find IMAGE -b sigma --beam=-8,8,0", "two positive widths, not -8"),
    ("beam of NaN", "find IMAGE -b sigma --beam nan,8,0", "two positive widths, not nan"),
    ("beam in Jy", "find IMAGE -b sigma --beam 8Jy,8Jy,0", "Give MAJ,MIN,PA"),
    ("unit misspelt", "find IMAGE -b sigma --unit Jy/bema", "'Jy/bema'. Examples: Jy/beam"),
    ("unit of a number", "find IMAGE -b sigma --unit 3", "'3'. Examples: Jy/beam"),
    ("unit ambiguous", "find IMAGE -b sigma --unit MJY/BEAM", "'MJY/BEAM'. Examples: Jy/beam"),
    ("probability of a threshold", "find IMAGE -b sigma --probability", "no probability"),
    ("the same image twice", "find IMAGE IMAGE -b sigma", "Several images would write image"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "says"), [pytest.param(*row[1:], id=row[0]) for row in USAGE])
def test_wrong_usage(tmp_path, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    Path("image.fits").write_bytes(image())
    status, _, lines = run(capsys, *arguments.replace("IMAGE", "image.fits").split())
    (line,) = complaints(lines)
    assert re.search(says, line), line
    assert status == 2
    assert leftovers(tmp_path) == ["image.fits"]


@pytest.mark.parametrize(("name", "says"), [("nothing.fits", "no file nothing.fits"), (".", "is a folder")])
def test_no_such_file(tmp_path, capsys, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    status, _, lines = run(capsys, "find", name, "-b", "sigma")
    (line,) = complaints(lines)
    assert (status, leftovers(tmp_path)) == (1, [])
    assert says in line


def test_no_permission_to_read(tmp_path, capsys, monkeypatch):
    path = tmp_path / "image.fits"
    path.write_bytes(image())
    monkeypatch.setattr(fits, "open", _failing(PermissionError(errno.EACCES, "Permission denied")))
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", tmp_path)
    assert (status, len(complaints(lines))) == (1, 1)
    assert "No permission to read" in lines[0]


def _failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def test_several_images(tmp_path, capsys):
    good, bad, out = tmp_path / "good.fits", tmp_path / "bad.fits", tmp_path / "out"
    good.write_bytes(image())
    bad.write_bytes(b"no image")
    assert run(capsys, "find", bad, good, "-b", "sigma", "-o", out, "-q")[0] == 3
    assert leftovers(out) == ["good.sigma.ecsv", "good.sigma.labels.fits", "good.sigma.reg"]
    status, _, lines = run(capsys, "find", bad, tmp_path / "none.fits", "-b", "sigma", "-o", out)
    assert status == 1
    assert [line.partition(str(tmp_path))[0] for line in complaints(lines)[:2]] == 2 * ["astroseg: "]
    assert complaints(lines)[-1] == "astroseg: 2 of 2 images failed."


def test_existing_files_are_kept(tmp_path, capsys):
    path, kept = tmp_path / "image.fits", tmp_path / "image.sigma.reg"
    path.write_bytes(image())
    kept.write_text("mine")
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", tmp_path)
    (line,) = complaints(lines)
    assert status == 1
    assert "image.sigma.reg exists already" in line
    assert "--overwrite" in line
    assert kept.read_text() == "mine"
    assert run(capsys, "find", path, "-b", "sigma", "-o", tmp_path, "--overwrite")[0] == 0
    assert kept.read_text() != "mine"


@pytest.mark.parametrize("place", ["file", "file/inner"])
def test_output_folder_is_a_file(tmp_path, capsys, place):
    path = tmp_path / "image.fits"
    path.write_bytes(image())
    (tmp_path / "file").write_text("mine")
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", tmp_path / place)
    (line,) = complaints(lines)
    assert status == 1
    assert re.search("Cannot write .*: .*not a (folder|directory)", line, re.IGNORECASE), line
    assert leftovers(tmp_path) == ["file", "image.fits"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("writer", ["_write_regions", "_write_map"])
def test_writing_fails(tmp_path, capsys, monkeypatch, code, writer):
    path, out = tmp_path / "image.fits", tmp_path / "out"
    path.write_bytes(image())
    monkeypatch.setattr(f"astroseg.output.{writer}", _failing(OSError(code, os.strerror(code))))
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", out)
    (line,) = complaints(lines)
    assert status == 1
    assert os.strerror(code) in line
    assert leftovers(out) == []


def test_out_of_memory(tmp_path, capsys, monkeypatch):
    path = tmp_path / "image.fits"
    path.write_bytes(image())
    monkeypatch.setattr("astroseg.background._measure_mesh", _failing(MemoryError()))
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", tmp_path / "out")
    assert (status, complaints(lines)) == (1, ["astroseg: Out of memory."])


def test_an_error_of_ours_is_one_line_unless_debugged(tmp_path, capsys, monkeypatch):
    path = tmp_path / "image.fits"
    path.write_bytes(image())
    monkeypatch.setattr("astroseg.background._measure_mesh", _failing(ZeroDivisionError("oh\nno")))
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", tmp_path / "out")
    assert (status, len(complaints(lines))) == (1, 1)
    assert "--debug" in lines[-1]
    with pytest.raises(ZeroDivisionError):
        main(["find", str(path), "-b", "sigma", "-o", str(tmp_path / "out"), "--debug"])


def start(*arguments, stdout=subprocess.PIPE, **options) -> subprocess.Popen:
    """The command line in a process of its own."""
    # -B: where files cannot grow, Python would leave half a .pyc behind, for all to trip over.
    command = [sys.executable, "-B", "-c", "from astroseg.cli import main; main()", *arguments]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path, number):
    names = [f"image{index}.fits" for index in range(300)]
    for name in names:
        (tmp_path / name).write_bytes(image())
    process = start("find", *names, "-b", "sigma", "-o", "out", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/*.reg")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaints(err.splitlines()) == ["astroseg: Interrupted; nothing half-written was left."]
    done = leftovers(tmp_path / "out")
    assert 0 < len(done) < 3 * len(names)
    assert not [name for name in done if name.endswith(".part")]


def test_disk_full(tmp_path):
    (tmp_path / "image.fits").write_bytes(image())
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    process = start("find", "image.fits", "-b", "sigma", "-o", "out", cwd=tmp_path, preexec_fn=limit)
    _, err = process.communicate(timeout=60)
    (line,) = complaints(err.splitlines())
    assert process.returncode == 1
    assert "Cannot write" in line
    assert leftovers(tmp_path) == ["image.fits"]


def test_reader_of_the_output_went_away(tmp_path):
    names = ["one.fits", "two.fits"]
    for name in names:
        (tmp_path / name).write_bytes(image())
    process = start("find", *names, "-b", "sigma", "-o", "out", cwd=tmp_path)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 0
    process.stderr.close()
    assert len(leftovers(tmp_path / "out")) == 3 * len(names)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_is_full(tmp_path):
    (tmp_path / "image.fits").write_bytes(image())
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = start("find", "image.fits", "-b", "sigma", cwd=tmp_path, stdout=full)
        _, err = process.communicate(timeout=60)
    (line,) = complaints(err.splitlines())
    assert process.returncode == 1
    assert "No space left" in line
