"""Bad truth files: one clear line that names the file, or a warning and the rest is used."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from helpers import make_wcs

from astroseg import AstrosegError, AstrosegWarning, UsageError, read_image
from astroseg.truth import read_truth

GOOD = "id,ra,dec,flux,fwhm_major\n1,30.0,-45.0,0.01,4\n2,30.001,-45.002,0.02,5\n3,29.998,-45.001,0.03,6\n"
SDC1 = "{0} 30.0 -45.0 30.0 -45.0 0.01 0 4 3 20 2 3\n"
LABELME = {"imageHeight": 64, "imageWidth": 64, "shapes": [{"label": "a", "points": [[1, 1], [9, 1], [5, 9]]}]}
HEK = {"event_type": "CH", "hpc_boundcc": "POLYGON((0 0,10 0,10 10,0 0))"}


@pytest.fixture(scope="module")
def image():
    image = read_image(np.random.default_rng(1).normal(0, 1e-3, (64, 64)), unit="Jy/beam", beam="6,5,30")
    image.wcs = make_wcs()
    return image


@pytest.fixture(scope="module")
def solar():
    image = read_image(np.ones((64, 64)), keep_zeros=True)
    image.wcs = make_wcs(kinds=("HPLN-TAN", "HPLT-TAN"), crval=(0.0, 0.0), cdelt=(20, 20))
    return image


def with_table(path, **columns):
    Table({key: [value] for key, value in columns.items()}).write(path, format="fits")


def fits_of_unit(path):
    hdu = fits.table_to_hdu(Table({"ra": [30.0], "dec": [-45.0], "flux": [1.0]}))
    hdu.header["TUNIT3"] = "furlong/beam/x"
    hdu.writeto(path)


def truncated_fits(path):
    with_table(path, ra=30.0, dec=-45.0)
    path.write_bytes(path.read_bytes()[:4000])


def labels_of(values):
    return lambda path: fits.PrimaryHDU(np.asarray(values)).writeto(path)


ERRORS = {
    "a folder": (lambda path: path.mkdir(), {}, "is a folder"),
    "nothing there": (None, {}, "There is no file"),
    "empty": ("", {}, "is empty"),
    "white space": (" \n\n ", {}, "is empty"),
    "binary junk": (bytes(range(256)) * 10, {}, "neither text nor FITS. The formats are: astroseg, sdc1"),
    "binary junk of a known format": (bytes(range(256)) * 10, {"format": "sdc1"}, "is not a text file"),
    "an unknown format": (GOOD, {"format": "sextracter"}, "no truth format 'sextracter'. Choose from astroseg"),
    "a truncated gzip": (gzip.compress(GOOD.encode())[:40], {}, "Cannot unpack"),
    "no positions": ("a,b\n1,2\n", {}, "no columns for the positions .* It has: a, b. .* ra=RAJ2000"),
    "no declination": ("ra,flux\n30,2\n", {}, "no column for dec"),
    "prose": ("This is not a table.\nIt is prose.\n", {}, "is the delimiter the same"),
    "eleven columns": (SDC1.format(1)[:-3] + "\n", {"format": "sdc1"}, "has 11 columns; an SDC1 catalogue has 12"),
    "another delimiter": ("ra,dec,flux\n30 -45 1\n31 -45 1\n", {}, "header of truth has 1 words, its first row 3"),
    "a column twice": ("ra,dec,ra\n30,-45,1\n", {}, "2 columns called 'ra'"),
    "no row with a position": ("ra,dec\nnan,nan\n--,\n", {}, "None of the 2 rows .* a position"),
    "every row off the sky": ("ra,dec\n30,-145\n", {}, "None of the 1 rows .* on the sky"),
    "positions in jansky": ("ra,dec\n30,-45\n", {"columns": {"ra": "ra[Jy]"}}, "ra of truth is in Jy, but should"),
    "sexagesimal nonsense": ("ra,dec\n12:61:xx,-45:00:00\n", {}, "as sexagesimal angles"),
    "a column that is not there": (GOOD, {"columns": {"ra": "RAJ2000"}}, "no column 'RAJ2000'. It has: id, ra"),
    "a column that we don't have": (GOOD, {"columns": {"size": "ra"}}, "no column 'size' to be read. Choose"),
    "a unit that is none": (GOOD, {"columns": {"flux": "flux[jansk]"}}, "Cannot read the unit 'jansk'"),
    "a unit that is none, in the file": (fits_of_unit, {}, "Cannot read the unit 'furlong/beam/x' of the column flux"),
    "a truncated table": (truncated_fits, {}, "neither a table nor an image; it may be truncated"),
    "truncated FITS": (b"SIMPLE  =                    T" + b" " * 50, {}, "damaged or truncated"),
    "FITS without data": (lambda path: fits.PrimaryHDU().writeto(path), {}, "neither a table nor an image"),
    "no table in FITS": (labels_of(np.eye(3)), {"format": "pybdsf"}, "holds no table"),
    "a truncated VOTable": ("<?xml version='1.0'?><VOTABLE><RESOURCE><TABLE>", {}, "damaged, truncated or no table"),
    "a broken ECSV": ("# %ECSV 1.0\n# ---\n# datatype: [{\nra dec\n1 2\n", {}, "damaged, truncated or no table"),
    "truncated JSON": (json.dumps(LABELME)[:50], {}, "damaged or truncated JSON"),
    "other JSON": ('{"type": "FeatureCollection"}', {}, "neither of HEK .* nor of labelme"),
    "labelme without a size": (json.dumps({"shapes": []}), {}, "no imageHeight and imageWidth"),
    "labelme as HEK": (json.dumps(LABELME), {"format": "hek"}, "no list 'result'"),
    "labelme on other pixels": (json.dumps({**LABELME, "imageHeight": 9}), {"image": "image"}, "on 64 x 9 pixels"),
    "no such kind": (json.dumps(LABELME), {"kind": "b"}, "nothing of kind 'b'. It has: a"),
    "broken regions": ("fk5\npolygon(1,2,3)\n", {}, "no region that can be read"),
    "fractions as labels": (labels_of(np.eye(3) / 2), {}, "is no label image"),
    "negative labels": (labels_of(-5 * np.eye(3)), {}, "is no label image"),
    "labels of another size": (labels_of(np.eye(3)), {"image": "image"}, "3 x 3 pixels, array has 64 x 64"),
    "the other hemisphere": ("ra,dec\n210,45\n", {"image": "image"}, "sources .*; the nearest is 180 deg"),
    "next to the image": ("ra,dec\n31,-45\n", {"image": "image"}, "the nearest is 0.707 deg from its centre"),
    "the sky for the Sun": (GOOD, {"image": "solar"}, "ra and dec, but array has helioprojective"),
    "the Sun for the sky": (json.dumps({"result": [HEK]}), {"image": "image"}, "need an image of the Sun"),
    "regions on the sky for the Sun": ('fk5\ncircle(30,-45,9")\n', {"image": "solar"}, "no such coordinates"),
}  # fmt: skip

WARNINGS = {
    "a row without a position": ("ra,dec\n30,-45\nnan,-45\n", {}, 1, "1 of 2 rows of truth have no position"),
    "a row off the sky": ("ra,dec\n30,-45\n30,-145\n", {}, 1, "beyond 360 or 90 degrees"),
    "a row too short": ("ra,dec,flux\n30,-45,1\n31,-45\n", {}, 1, "1 of 2 rows of truth have not 3 cells"),
    "a word in place of a number": ("ra,dec,flux\n30,-45,bright\n31,-45,1\n", {}, 2,
                                    "1 of 2 cells of the column flux of truth hold no number, for example 'bright'"),
    "an infinite flux": ("ra,dec,flux\n30,-45,inf\n31,-45,1\n", {}, 2, "an infinite flux, which is ignored"),
    "no flux": ("ra,dec,flux\n30,-45,\n31,-45,1\n", {}, 2, "1 of 2 rows of truth have no flux"),
    "a negative flux": ("ra,dec,flux\n30,-45,-1\n31,-45,1\n", {}, 2, "a negative flux, which is kept"),
    "a negative size": ("ra,dec,fwhm_major\n30,-45,-1\n", {}, 1, "a negative fwhm_major, which is ignored"),
    "a flux in degrees": (GOOD, {"columns": {"flux": "flux[deg]"}}, 3, "flux of truth is in deg, which does not"),
    "a number twice": (SDC1.format(1) * 2, {}, 2, "1 rows of truth repeat the name or number"),
    "a label twice": (GOOD.replace("2,", "1,"), {"columns": {"label": "id"}}, 3, "numbered anew"),
    "an event without a polygon": (json.dumps({"result": [HEK, {}]}), {}, 1, "1 shapes of truth without a polygon"),
    "a shape that is a line": (json.dumps({**LABELME, "shapes": [{"points": [[1, 2], [3, 4]]}]}), {}, 0, "1 shapes"),
    "a region that is a line": ("image\nline(1,2,3,4)\ncircle(5,5,2)\n", {}, 1, "1 shapes of truth of a kind"),
    "one label in parts": (labels_of(np.eye(8)[:, ::2] * [0, 1, 0, 1]), {}, 1, "one label, in 2 parts; .* 'mask'"),
    "part of it in another hemisphere": ("ra,dec\n30,-45\n210,45\n", {"image": "image"}, 1, ""),
}  # fmt: skip


def made(tmp_path, content, options, request):
    path = tmp_path / "truth"
    if callable(content):
        content(path)
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if "image" in options:
        options = {**options, "image": request.getfixturevalue(options["image"])}
    return path, options


@pytest.mark.parametrize(("content", "options", "message"), ERRORS.values(), ids=ERRORS)
@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
def test_one_clear_line(content, options, message, tmp_path, request):
    path, options = made(tmp_path, content, options, request)
    with pytest.raises(AstrosegError, match=message) as failure:
        read_truth(path, **options)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 400
    assert "truth" in str(failure.value) or isinstance(failure.value, UsageError)


@pytest.mark.parametrize(("content", "options", "rows", "message"), WARNINGS.values(), ids=WARNINGS)
def test_a_warning_and_the_rest_is_used(content, options, rows, message, tmp_path, request, recwarn):
    path, options = made(tmp_path, content, options, request)
    truth = read_truth(path, **options)
    assert len(truth) == rows
    said = [str(warning.message) for warning in recwarn]
    assert all(
        issubclass(warning.category, AstrosegWarning) and "\n" not in str(warning.message) for warning in recwarn
    )
    assert not message or any(re.search(message, text) for text in said), said


def test_a_list_of_nothing_is_a_truth(tmp_path, image):
    path = tmp_path / "truth"
    path.write_text("ra,dec,flux\n")
    truth = read_truth(path, image=image)
    assert len(truth) == 0
    assert not truth.labels.any()
