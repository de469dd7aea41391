"""Whatever file is fed to ``astroseg find``: it is read, or refused in one line with status 1."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import gaussian
from odd_images import (
    RADIO,
    SHAPE,
    SKY,
    SOURCE,
    border,
    changed,
    complaints,
    compressed,
    field,
    image,
    leftovers,
    patched,
    run,
    table,
    written,
    zipped,
)

from astroseg import read_catalog

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
