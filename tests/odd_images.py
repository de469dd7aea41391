"""FITS files as bytes, good and bad, and a run of the command line over them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import gaussian

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
