"""Whatever a user feeds to ``astroseg find``: it ends with the right status, in one line, and leaves no half a file."""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import gaussian

from astroseg import read_catalog
from astroseg.cli import main

SHAPE = (64, 64)
SOURCE = (20.0, 40.0)  # x, y

SKY = {
    "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CRVAL1": 150.0, "CRVAL2": -30.0, "CRPIX1": 32.5, "CRPIX2": 32.5,
    "CDELT1": -2 / 3600, "CDELT2": 2 / 3600, "CUNIT1": "deg", "CUNIT2": "deg",
}  # fmt: skip
RADIO = {**SKY, "BUNIT": "Jy/beam", "BMAJ": 8 / 3600, "BMIN": 8 / 3600, "BPA": 0.0}


def field(shape=SHAPE, *, peak=50.0) -> np.ndarray:
    """White noise of rms 1 and one Gaussian source."""
    noise = np.random.default_rng(7).standard_normal(shape)
    return (noise + gaussian(shape, *SOURCE, 1.7, peak=peak)).astype(np.float32)


def border(value) -> np.ndarray:
    return np.pad(field()[18:-18, 4:-4], ((18, 18), (4, 4)), constant_values=value)


def changed(value, place=(50, 50)) -> np.ndarray:
    data = field()
    data[place] = value
    return data


def image(data=None, cards=None, **more) -> bytes:
    """The bytes of a FITS file; ``cards`` replace those of a radio image."""
    header = fits.Header({**(RADIO if cards is None else cards), **more})
    return written(fits.PrimaryHDU(field() if data is None else data, header))


def written(*hdus) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream, output_verify="ignore")
    return stream.getvalue()


def patched(old: str, new: str | bytes, content: bytes | None = None) -> bytes:
    """An image in which the start of a header card is another, of the same length or padded to it."""
    new = new.encode() if isinstance(new, str) else new
    content = image() if content is None else content
    start = content.index(old.encode())
    card = new.ljust(80)
    return content[:start] + card + content[start + 80 :]


def table() -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.zeros(3))], name="ROWS")


def compressed(data=None, **cards) -> bytes:
    header = fits.Header({**RADIO, **cards})
    return written(fits.PrimaryHDU(), fits.CompImageHDU(field() if data is None else data, header))


def zipped(*names) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, image())
    return stream.getvalue()


def run(capsys, *arguments) -> tuple[int, str, list[str]]:
    """Status, standard output, and the lines of standard error."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err.splitlines()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def complaints(lines: list[str]) -> list[str]:
    """What is not a mere note; all of it must come from us, one line each."""
    rest = [line for line in lines if not line.startswith("note: ")]
    assert all(line.startswith("astroseg: ") for line in rest), rest
    return rest


# Files that cannot be used: name, bytes, fragment of the message, options.
UNREADABLE = [
    ("empty", lambda: b"", "empty", ""),
    ("text", lambda: b"x,y,flux\n1,2,3\n" * 400, "not a FITS file", ""),
    ("short text", lambda: b"hello", "not a FITS file|empty or truncated", ""),
    ("JPEG", lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(5000), "not a FITS file", ""),
    ("JPEG 2000", lambda: b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(5000), "not a FITS file", ""),
    ("HDF5", lambda: b"\x89HDF\r\n\x1a\n" + bytes(5000), "not a FITS file", ""),
    ("NumPy", lambda: b"\x93NUMPY\x01\x00v\x00" + bytes(5000), "not a FITS file", ""),
    ("zeros", lambda: bytes(28800), "not a FITS file", ""),
    ("header cut", lambda: image()[:1000], "truncated", ""),
    ("data cut", lambda: image()[:9000], "truncated", ""),
    ("END missing", lambda: patched("END   ", "COMMENT"), "END", ""),
    ("gzip cut", lambda: gzip.compress(image())[:5000], "truncated", ""),
    ("gzip of text", lambda: gzip.compress(b"hello, world" * 1000), "not a FITS file", ""),
    ("zip of two", lambda: zipped("a.fits", "b.fits"), "zip", ""),
    ("compressed and damaged", lambda: compressed()[:-5760] + b"\xff" * 5760, "damaged", ""),
    ("1-D", lambda: image(np.ones(100)), "1 axes; an image needs at least two", ""),
    ("no data", lambda: written(fits.PrimaryHDU()), "no image", ""),
    ("no data, chosen", lambda: written(fits.PrimaryHDU()), "0 axes", "--hdu 0"),
    ("axis of length 0", lambda: patched("NAXIS1", "NAXIS1  = 0")[:2880], "no pixels", ""),
    ("axis of negative length", lambda: patched("NAXIS1", "NAXIS1  = -64"), "damaged|no pixels", ""),
    ("axis length in words", lambda: patched("NAXIS1", "NAXIS1  = 'many'"), "damaged", ""),
    ("NAXIS of 999", lambda: patched("NAXIS ", "NAXIS   = 999"), "damaged|no pixels", ""),
    ("exabyte", lambda: patched("NAXIS1", "NAXIS1  = 1000000000", patched("NAXIS2", "NAXIS2  = 1000000000")),
     "damaged or truncated", ""),
    ("impossible BITPIX", lambda: patched("BITPIX", "BITPIX  = 7"), "damaged", ""),
    ("SIMPLE of F", lambda: patched("SIMPLE", "SIMPLE  =                    F"), "holds no image", ""),
    ("table only", lambda: written(fits.PrimaryHDU(), table()), "holds no image, only PrimaryHDU, BinTableHDU", ""),
    ("table chosen", lambda: written(fits.PrimaryHDU(field()), table()), "ROWS of .* is a table", "--hdu 1"),
    ("HDU number", image, "has no HDU 7. It has: 0 PRIMARY", "--hdu 7"),
    ("HDU below 0", image, "has no HDU -1", "--hdu -1"),
    ("HDU name", image, "has no HDU SCI", "--hdu SCI"),
    ("cube", lambda: image(np.stack(3 * [field()]), CTYPE3="FREQ"), r"planes along FREQ \(axis 3, 0 to 2\).*--plane 0",
     ""),
    ("cube of polarised channels", lambda: image(np.zeros((2, 3, 8, 8)), CTYPE3="FREQ", CTYPE4="STOKES"),
     "--plane 0,0", ""),
    ("plane beyond", lambda: image(np.stack(3 * [field()])), "no plane '3'", "--plane 3"),
    ("plane below 0", lambda: image(np.stack(3 * [field()])), "no plane '-1'", "--plane -1"),
    ("plane in words", lambda: image(np.stack(3 * [field()])), "no plane 'first'", "--plane first"),
    ("planes too many", lambda: image(np.stack(3 * [field()])), "example --plane 0", "--plane 0,0"),
    ("plane of 2-D", image, "single plane; leave --plane out", "--plane 0"),
    ("6-D", lambda: image(np.zeros((2, 2, 2, 2, 8, 8))), "--plane 0,0,0,0", ""),
    ("unit unknown", lambda: image(BUNIT="furlong/fortnight2"), "'furlong/fortnight2'.*Give it with --unit", ""),
    ("unit ambiguous", lambda: image(BUNIT="MJY/BEAM"), "ambiguous: mJy or MJy.*--unit", ""),
    ("unit logarithmic", lambda: image(BUNIT="mag(AB)"), "Cannot read the unit.*--unit", ""),
]  # fmt: skip


# astropy leaves a file open whose header it cannot read
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("content", "says", "options"), [pytest.param(*row[1:], id=row[0]) for row in UNREADABLE])
def test_unreadable_file(tmp_path, capsys, content, says, options):
    path = tmp_path / "image.fits"
    path.write_bytes(content())
    status, _, lines = run(capsys, "find", path, "-b", "sigma", "-o", tmp_path / "out", *options.split())
    assert status == 1
    (line,) = complaints(lines)
    assert re.search(says, line), line
    assert "image.fits" in line
    assert leftovers(tmp_path) == ["image.fits"]


# Files that are odd and still images: name, bytes, sources found, fragment of the note, options.
ODD = [
    ("int16", lambda: image((field() * 10).astype(np.int16)), 1, "", ""),
    ("uint8", lambda: image((field() * 2 + 60).clip(0, 255).astype(np.uint8)), 1, "", ""),
    ("uint16", lambda: image((field() * 10 + 500).astype(np.uint16)), 1, "", ""),
    ("int32", lambda: image((field() * 1e6).astype(np.int32)), 1, "", ""),
    ("int64", lambda: image((field() * 1e15).astype(np.int64)), 1, "", ""),
    ("float64", lambda: image(field().astype(float)), 1, "", ""),
    ("zeros and ones", lambda: image((field() > 20).astype(np.uint8)), None, "", ""),
    ("times 1e300", lambda: image(field().astype(float) * 1e300), 1, "", ""),
    ("times 1e-300", lambda: image(field().astype(float) * 1e-300), 1, "", ""),
    ("1e-30 to 1e30", lambda: image(changed(1e30, (40, 20)).astype(float) * 1e-30 ** (field() < 20)), None, "", ""),
    ("pixel of 1e38", lambda: image(changed(3e38)), None, "", ""),
    ("BSCALE and BZERO", lambda: patched("BUNIT", "BSCALE  = 1E-3", image((field() * 10).astype(np.int16))), 1, "", ""),
    ("BSCALE of 0", lambda: patched("BUNIT", "BSCALE  = 0.0", image((field() * 10).astype(np.int16))), 0, "", ""),
    ("BLANK", lambda: image(changed(-32768).astype(np.int16), BLANK=-32768), 1, "", ""),
    ("BLANK of a float", lambda: image(BLANK=-1), 1, "", ""),
    ("NaN everywhere", lambda: image(np.full(SHAPE, np.nan)), 0, "", ""),
    ("0 everywhere", lambda: image(np.zeros(SHAPE)), 0, "100.0%", ""),
    ("0 everywhere, kept", lambda: image(np.zeros(SHAPE)), 0, "", "--keep-zeros"),
    ("constant", lambda: image(np.full(SHAPE, 3.7)), 0, "", ""),
    ("constant integers", lambda: image(np.full(SHAPE, 3, np.int16)), 0, "", ""),
    ("noise-free", lambda: image(gaussian(SHAPE, *SOURCE, 1.7)), None, "", ""),
    ("1 x 1", lambda: image(np.ones((1, 1))), 0, "", ""),
    ("1 x 64", lambda: image(field()[40:41]), None, "", ""),
    ("64 x 1", lambda: image(field()[:, 20:21]), None, "", ""),
    ("2 x 2", lambda: image(field()[:2, :2]), 0, "", ""),
    ("3 x 3", lambda: image(field()[:3, :3]), 0, "", ""),
    ("17 x 64", lambda: image(field()[30:47]), 1, "", ""),
    ("inf", lambda: image(changed(np.inf)), 1, "", ""),
    ("-inf", lambda: image(changed(-np.inf)), 1, "", ""),
    ("NaN in the source", lambda: image(changed(np.nan, (40, 20))), 1, "", ""),
    ("NaN border", lambda: image(border(np.nan)), 1, "", ""),
    ("zero border", lambda: image(border(0)), 1, "61.7% .* zeros", ""),
    ("scattered NaN", lambda: image(np.where(np.random.default_rng(3).random(SHAPE) < 0.8, np.nan, field())), None,
     "", ""),
    ("no unit", lambda: image(cards={**RADIO, "BUNIT": ""}), 1, "Jy/beam is assumed", ""),
    ("unit in capitals", lambda: image(BUNIT="JY/BEAM"), 1, "", ""),
    ("unit unknown, given", lambda: image(BUNIT="furlong2/day"), 1, "", "--unit mJy/beam"),
    ("no WCS", lambda: image(cards={}), 1, "", ""),
    ("singular CD", lambda: image(cards={**SKY, "CD1_1": 1, "CD1_2": 1, "CD2_1": 1, "CD2_2": 1}), 1,
     "positions are in pixels", ""),
    ("CDELT of 0", lambda: image(CDELT1=0.0), 1, "positions are in pixels", ""),
    ("CDELT both negative", lambda: image(CDELT2=-2 / 3600), 1, "", ""),
    ("CDELT in words", lambda: image(CDELT1="two"), 1, "positions are in pixels", ""),
    ("CRVAL of NaN", lambda: image(CRVAL1="NaN"), 1, "positions are in pixels", ""),
    ("CRVAL beyond the pole", lambda: image(CRVAL2=100.0), 1, "positions are in pixels", ""),
    ("unknown projection", lambda: image(CTYPE1="RA---XYZ", CTYPE2="DEC--XYZ"), 1, "positions are in pixels", ""),
    ("longitude alone", lambda: image(CTYPE2="LINEAR"), 1, "positions are in pixels", ""),
    ("two longitudes", lambda: image(CTYPE2="RA---SIN"), 1, "positions are in pixels", ""),
    ("beam negative", lambda: image(BMAJ=-1.0), 1, "beam in the header .* not usable.*--beam", ""),
    ("beam of 0", lambda: image(BMAJ=0.0, BMIN=0.0), 1, "not usable", ""),
    ("beam of NaN", lambda: image(BMAJ="NaN"), 1, "not usable", ""),
    ("beam in words", lambda: image(BMAJ="8 arcsec"), 1, "", ""),
    ("beam without minor axis", lambda: image(cards={k: v for k, v in RADIO.items() if k != "BMIN"}), 1, "", ""),
    ("beam below a pixel", image, 1, "narrower than a pixel", "--beam 0.1,0.1,0"),
    ("beam above the image", lambda: image(BMAJ=8.0, BMIN=8.0), 1, "wider than the image", ""),
    ("4-D", lambda: image(field()[None, None]), 1, "", ""),
    ("6-D", lambda: image(field()[None, None, None, None]), 1, "", ""),
    ("cube with --plane", lambda: image(np.stack([0 * field(), field()])), 1, "", "--plane 1"),
    ("card doubled", lambda: patched("BPA", "BUNIT   = 'K'"), 1, "", ""),
    ("card not ASCII", lambda: patched("BPA", "OBSERVER= 'Bjørn'".encode("latin-1")), 1, "", ""),
    ("unit without quotes", lambda: patched("BUNIT", "BUNIT   = Jy/beam"), 1, "", ""),
    ("number without sense", lambda: patched("BPA", "BPA     = 1.2.3"), 1, "", ""),
    ("card not standard", lambda: patched("BPA", "ESO-LOG 00:00:00> DATE"), 1, "", ""),
    ("rubbish at the end", lambda: image() + b"rubbish" * 1000, 1, "", ""),
    ("last block not filled", lambda: image()[: -(2880 - 64 * 64 * 4 % 2880)], 1, "", ""),
    ("image after a table", lambda: written(fits.PrimaryHDU(), table(), fits.ImageHDU(field())), 1, "", ""),
    ("two images", lambda: written(fits.PrimaryHDU(field()), fits.ImageHDU(np.zeros(SHAPE))), 1,
     "2 images; reading HDU 0.*--hdu", ""),
    ("second image", lambda: written(fits.PrimaryHDU(), fits.ImageHDU(field(), name="SCI")), 1, "", "--hdu sci"),
    ("tile-compressed", compressed, 1, "", ""),
    ("gzip", lambda: gzip.compress(image()), 1, "", ""),
    ("zip of one", lambda: zipped("a.fits"), 1, "", ""),
    ("mesh above the image", image, 1, "", "--mesh 1000000000"),
    ("mesh of 4", image, None, "", "--mesh 4"),
    ("constant background", image, 1, "", "--background constant"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "number", "notes", "options"), [pytest.param(*row[1:], id=row[0]) for row in ODD])
def test_odd_file(tmp_path, capsys, content, number, notes, options):
    path = tmp_path / "image.fits"
    path.write_bytes(content())
    status, out, lines = run(capsys, "find", path, "-b", "sigma", "-o", tmp_path / "out", *options.split())
    assert (status, complaints(lines)) == (0, [])
    assert re.search(notes, " ".join(lines))
    assert leftovers(tmp_path / "out") == ["image.sigma.ecsv", "image.sigma.labels.fits", "image.sigma.reg"]
    catalog = read_catalog(tmp_path / "out" / "image.sigma.ecsv")
    assert f"{len(catalog):,} source" in out
    if number is not None:
        assert len(catalog) == number
        assert np.all(np.abs(catalog["x_centroid"].value - SOURCE[0]) < 1)


NAMES = [
    "Bjørn ☉.fits",
    "with space.fits",
    "50%#x.fits",
    "-dash.fits",
    "quote'\".fits",
    "UPPER.FITS",
    "none",
    b"b\xff.fits",
]


@pytest.mark.parametrize("name", NAMES)
def test_odd_name(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    path.write_bytes(image())
    formats = "ecsv,votable,fits,csv"
    status, _, lines = run(capsys, "find", "-b", "sigma", "--format", formats, "-o", "out", "--", path)
    assert (status, complaints(lines)) == (0, [])
    assert len(leftovers(Path("out"))) == 6


@pytest.mark.parametrize("backend", ["peaks:matched_filter=true", "yen:transform=raw", "otsu"])
def test_odd_files_with_the_other_finders(tmp_path, capsys, backend):
    plain = [(name, content) for name, content, *_, options in ODD if not options]
    for name, content in plain:
        (tmp_path / f"{name}.fits").write_bytes(content())
    status, _, lines = run(capsys, "find", *sorted(tmp_path.glob("*.fits")), "-b", backend, "-o", tmp_path / "out")
    assert (status, complaints(lines)) == (0, [])
    assert len(leftovers(tmp_path / "out")) == 3 * len(plain)


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
    ("format unknown", "find IMAGE -b sigma --format ecsv,docx", "'docx'. Choose from ecsv, votable, fits, csv"),
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
    command = [sys.executable, "-c", "from astroseg.cli import main; main()", *arguments]
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
