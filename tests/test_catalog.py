"""The columns: declared once, always there, and nothing lost on the way to disk and back."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse, ucd
from astropy.table import QTable
from helpers import gaussian, make_wcs

from astroseg import AstrosegError, catalog_files, find, get_finder, read_catalog, read_image
from astroseg import catalog as cat
from astroseg.catalog import COLUMNS, FORMATS, columns_for, complete, write_catalog

KINDS = {
    "equatorial": ("RA---TAN", "DEC--TAN"),
    "helioprojective": ("HPLN-TAN", "HPLT-TAN"),
    "heliographic": ("CRLN-CEA", "CRLT-CEA"),
}


@pytest.fixture(scope="module")
def catalog():
    rng = np.random.default_rng(4)
    data = rng.normal(size=(64, 64)) + gaussian((64, 64), 20, 30, 2, peak=50) + gaussian((64, 64), 45, 40, 2, peak=80)
    image = read_image(data, unit="mJy/beam", beam="9,9,0")
    image.wcs = make_wcs()
    return find(image, "sigma").catalog


def test_every_column_has_a_valid_unit_ucd_and_sentence():
    for column in COLUMNS:
        assert ucd.check_ucd(column.ucd, check_controlled_vocabulary=True), column.name
        assert column.unit in ("image", "flux", "size") or u.Unit(column.unit) is not None
        assert len(column.description) > 8
        assert column.description[0].isupper()
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)


@pytest.mark.parametrize("kind", KINDS)
def test_positions_go_by_the_frame_of_the_image(kind):
    image = read_image(np.zeros((8, 8)), keep_zeros=True)
    image.wcs = make_wcs((8, 8), kinds=KINDS[kind], crval=(0.0, 0.0))
    names = [column.name for column in columns_for(image)]
    expected = {"equatorial": "ra", "helioprojective": "hpc_x", "heliographic": "hg_lon"}
    assert [name for name in names if name in expected.values()] == [expected[kind]]


def test_complete_orders_fills_and_converts():
    image = read_image(np.zeros((8, 8)), unit="Jy/beam", keep_zeros=True)
    image.wcs = make_wcs((8, 8))
    table = complete({"extra": [1.5], "fwhm_major": [0.5] * u.arcmin, "label": [1]}, image)
    assert table.colnames == [column.name for column in columns_for(image)] + ["extra"]
    assert table["fwhm_major"].to_value("arcsec") == [30]
    assert table["fwhm_major"].unit == u.arcsec
    assert np.isnan(table["flux"].value[0])
    assert table["flags"].dtype == np.int32


@pytest.mark.parametrize("form", ["ecsv", "votable", "fits", "parquet", "arrays"])
def test_a_catalogue_comes_back_as_it_went(catalog, form, tmp_path):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    if form == "arrays":
        np.savez(tmp_path / "cat.npz", **catalog_files.to_arrays(catalog))
        with np.load(tmp_path / "cat.npz") as file:
            back = catalog_files.from_arrays(file)
    else:
        path = tmp_path / f"cat{FORMATS[form]}"
        write_catalog(catalog, path, form)
        back = read_catalog(path)
    assert back.colnames == catalog.colnames
    assert dict(back.meta) == dict(catalog.meta)
    for name in catalog.colnames:
        np.testing.assert_array_equal(np.asarray(back[name]), np.asarray(catalog[name]), err_msg=name)
        assert getattr(back[name], "unit", None) == getattr(catalog[name], "unit", None), name
        assert back[name].info.meta["ucd"] == catalog[name].info.meta["ucd"], name
        assert back[name].dtype.kind == catalog[name].dtype.kind


@pytest.mark.parametrize("form", ["ecsv", "votable", "fits", "parquet"])
def test_units_texts_and_types_come_back(form, tmp_path):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    units = ["DN", "DN/s", "electron", "electron/s", "electron pix / s", "nmgy", "mJy/beam", "", "mag", "0.001 Jy"]
    table = QTable({f"flux{number}": [1.5, np.nan] * u.Unit(unit) for number, unit in enumerate(units)})
    table["note"] = ["a", "bc"]
    table["raw"] = np.array([b"x", b"yz"])
    table["flux0"].info.description = "What µ means, " + "in many words " * 12 + "and no others"
    path = tmp_path / f"cat{FORMATS[form]}"
    write_catalog(table, path, form)
    back = read_catalog(path)
    for number, unit in enumerate(units):
        column = back[f"flux{number}"]
        assert column.unit == u.Unit(unit)
        assert column.to(2 * column.unit)[0].value == 0.75
        assert column.dtype.isnative
    assert back["flux0"].info.description == table["flux0"].info.description
    assert back["flux1"].info.description is None
    assert (list(back["note"]), list(back["raw"])) == (["a", "bc"], ["x", "yz"])
    assert back["raw"].dtype.kind == "U"


@pytest.mark.parametrize("form", FORMATS)
def test_many_rows_are_written_part_by_part(form, tmp_path, monkeypatch):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    names = ["a, b", 'say "c"', "", "d e </TD>", "u" if form == "fits" else "µ"]
    table = QTable({"label": np.arange(5), "flux": [1.5, np.nan, 3e-300, -1, 0] * u.Jy, "note": names})
    write_catalog(table, tmp_path / f"whole{FORMATS[form]}", form)
    monkeypatch.setattr(catalog_files, "ROWS", 2)
    monkeypatch.setattr(catalog_files, "GROUP", 2)
    with ThreadPoolExecutor(2) as pool:
        write_catalog(table, tmp_path / f"parts{FORMATS[form]}", form, pool)
    whole, parts = ((tmp_path / f"{name}{FORMATS[form]}") for name in ("whole", "parts"))
    if form != "parquet":
        assert parts.read_bytes() == whole.read_bytes()
    back = read_catalog(parts)
    for name in table.colnames:
        expected = np.ma.filled(np.ma.asarray(read_catalog(whole)[name]), "")
        np.testing.assert_array_equal(np.ma.filled(np.ma.asarray(back[name]), ""), expected)
        if name != "note" or form in ("votable", "fits", "parquet"):
            np.testing.assert_array_equal(np.asarray(back[name]), np.asarray(table[name]))


def test_parquet_is_read_by_other_programs_and_needs_pyarrow(catalog, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_catalog(catalog, tmp_path / "cat.parquet", "parquet")
    table = parquet.read_table(tmp_path / "cat.parquet")
    assert table.column("flux").to_pylist() == catalog["flux"].value.tolist()
    assert table.schema.field("flux").metadata[b"unit"] == b"Jy"
    assert table.schema.field("flux").metadata[b"ucd"] == b"phot.flux.density"
    monkeypatch.setattr(catalog_files.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(AstrosegError, match=r"needs pyarrow.*: pip install pyarrow"):
        write_catalog(catalog, tmp_path / "cat.parquet", "parquet")


def test_an_empty_text_comes_back_empty(tmp_path):
    for form in ("votable", "fits"):
        write_catalog(QTable({"note": ["a", ""]}), tmp_path / f"cat{FORMATS[form]}", form)
        assert list(read_catalog(tmp_path / f"cat{FORMATS[form]}")["note"]) == ["a", ""]


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_catalogue_comes_back_empty(catalog, form, tmp_path):
    path = tmp_path / f"cat{FORMATS[form]}"
    write_catalog(catalog[:0], path, form)
    back = read_catalog(path)
    assert len(back) == 0
    assert back.colnames == catalog.colnames


def test_other_programs_can_read_the_files(catalog, tmp_path):
    for form, suffix in FORMATS.items():
        write_catalog(catalog, tmp_path / f"cat{suffix}", form)
    header = fits.getheader(tmp_path / "cat.cat.fits", 1)
    number = catalog.colnames.index("ra") + 1
    assert header[f"TUNIT{number}"] == "deg"
    assert header[f"TUCD{number}"] == "pos.eq.ra;meta.main"
    assert json.loads(header["PROVJSON"])["backend"] == "sigma"
    field = {field.name: field for field in parse(tmp_path / "cat.vot").get_first_table().fields}["ra"]
    assert (field.ucd, field.unit) == ("pos.eq.ra;meta.main", u.deg)
    assert QTable.read(tmp_path / "cat.csv")["label"].tolist() == [1, 2]


def test_bits_of_the_flags_have_names():
    names = (
        "EDGE", "BLANK", "SATURATED", "TOUCHING", "UNTRUSTED", "DEGENERATE", "UNTRAINED", "FRAGMENTED", "CONCAVE",
        "CUT",
    )  # fmt: skip
    assert [getattr(cat, name) for name in names] == list(cat.FLAGS) == [1 << bit for bit in range(10)]


def test_provenance_says_what_was_done(catalog):
    meta = catalog.meta
    assert meta["backend"] == "sigma"
    assert meta["parameters"]["threshold"] == 5.0
    assert len(meta["image_sha256"]) == 64
    assert meta["frame"] == "icrs"
    assert meta["image_unit"] == "mJy / beam"


def test_provenance_allows_a_rerun(monkeypatch):
    image = read_image(np.random.default_rng(4).normal(size=(64, 64)) + gaussian((64, 64), 20, 30, 2, peak=50))
    image.meta["reading"] = {"hdu": np.int64(1), "unit": "Jy/beam", "plane": (0, 1), "mask": None}
    finder = get_finder("sigma", threshold=np.float32(6))
    monkeypatch.setattr(type(finder), "uses", ("pytest", "no-such-distribution"), raising=False)
    meta = finder.find(image).catalog.meta
    assert meta["reading"] == {"hdu": 1, "unit": "Jy/beam", "plane": [0, 1], "mask": None}
    assert type(meta["parameters"]["threshold"]) is float
    assert set(meta["library_versions"]) == {"astropy", "scipy", "scikit-image", "photutils", "pytest"}
    assert meta["library_versions"]["pytest"] == pytest.__version__
    json.dumps(meta)


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("missing.ecsv", None, "no file"),
        ("x.dat", b"1", "Known endings"),
        ("x.ecsv", b"\x00\x01", "Cannot read"),
        ("x.vot", b"<nothing>", "Cannot read"),
        ("x.cat.fits", b"SIMPLE", "Cannot read"),
    ],
)
def test_what_is_no_catalogue_is_refused_in_one_line(name, content, fragment, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AstrosegError, match=fragment) as caught:
        read_catalog(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_unknown_format_is_refused(catalog, tmp_path):
    with pytest.raises(AstrosegError, match="ecsv, votable, fits, parquet, csv"):
        write_catalog(catalog, tmp_path / "x", "hdf5")


def test_a_catalogue_written_in_parts_is_the_same_file(catalog, tmp_path, monkeypatch):
    write_catalog(catalog, tmp_path / "whole.ecsv")
    monkeypatch.setattr("astroseg.catalog_files.ROWS", 1)
    write_catalog(catalog, tmp_path / "parts.ecsv")
    write_catalog(catalog[:0], tmp_path / "empty.ecsv")
    assert len(catalog) == 2
    assert (tmp_path / "parts.ecsv").read_bytes() == (tmp_path / "whole.ecsv").read_bytes()
    assert len(read_catalog(tmp_path / "empty.ecsv")) == 0


def test_equal_units_are_written_alike_whether_they_are_one_object_or_two(tmp_path):
    unit = u.Unit("Jy / beam")
    tables = [
        QTable({"peak_flux": [1.0] * first, "local_rms": [0.1] * second})
        for first, second in ((unit, unit), (u.Unit("Jy / beam"), u.Unit("Jy / beam")))
    ]
    texts = []
    for number, table in enumerate(tables):
        table["peak_flux"].info.description = "Peak"
        write_catalog(table, tmp_path / f"{number}.ecsv")
        texts.append((tmp_path / f"{number}.ecsv").read_text())
    assert texts[0] == texts[1]
    assert "Peak" in texts[0]
