"""Checks of finders: the answer to one image, and the same answer to the same sky."""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.catalog import FORMATS, columns_for, complete, read_catalog
from astroseg.errors import UsageError
from astroseg.finder import Detections, PixelFinder, SourceFinder
from astroseg.image import checksum
from astroseg.labels import compact
from astroseg.testing.compare import (
    STEADY,
    assert_found_again,
    assert_same,
    assert_same_catalog,
    assert_same_labels,
    need_repeatable,
    pickled,
    pixels,
    quietly,
    sky_pixels,
)
from astroseg.testing.fields import make_field, reread

PROVENANCE = (
    "backend", "parameters", "package", "package_version", "astroseg_version", "numpy_version", "python_version",
    "library_versions", "image", "reading", "image_sha256", "image_shape", "image_unit", "frame", "beam", "background",
    "date",
)  # fmt: skip


def field() -> CCDData:
    """The field that most checks look at."""
    return make_field()[0]


# The answer to one image


def check_labels(finder: SourceFinder) -> None:
    """Labels are int32, of the image's shape, and numbered 1, 2, 3, ... by the raster order of their first pixel."""
    image = field()
    labels = np.asarray(quietly(finder, image).labels)
    assert labels.shape == image.shape, f"labels have the shape {labels.shape}, the image {image.shape}"
    assert labels.dtype == np.int32, f"labels are {labels.dtype}; they must be int32"
    assert np.array_equal(labels, compact(labels)), "labels are not 1, 2, 3, ... in raster order; see labels.compact"


def check_one_row_per_label(finder: SourceFinder) -> None:
    """The catalogue has one row per label, in ascending order, and n_pixels counts its pixels."""
    found = quietly(finder, field())
    numbers, counts = np.unique(np.asarray(found.labels), return_counts=True)
    rows = np.asarray(found.catalog["label"])
    assert np.array_equal(rows, numbers[numbers > 0]), (
        f"{rows.size} rows for {np.count_nonzero(numbers)} labels, or not in ascending order"
    )
    wrong = np.flatnonzero(np.asarray(found.catalog["n_pixels"]) != counts[numbers > 0])
    assert wrong.size == 0, f"n_pixels is not the number of pixels of label {rows[wrong[0]] if wrong.size else ''}"


def check_columns(finder: SourceFinder) -> None:
    """Every column is there, in order, with type, unit, UCD and description; extra ones carry the finder's name."""
    _assert_complete(finder, quietly(finder, field()))


def check_probability(finder: SourceFinder) -> None:
    """The probability map is None or float32 within 0 and 1, and the column agrees with it."""
    found = quietly(finder, field())
    column = np.asarray(found.catalog["probability"])
    given = column[~np.isnan(column)]
    assert np.all((given >= 0) & (given <= 1)), "the column probability leaves the range 0 to 1"
    if found.probability is None:
        return
    values = np.asarray(found.probability)
    assert values.dtype == np.float32, f"the probability map is {values.dtype}; it must be float32"
    assert values.shape == found.labels.shape, f"the probability map has the shape {values.shape}"
    assert np.all((values >= 0) & (values <= 1)), "the probability map leaves the range 0 to 1"


def check_bright_source(finder: SourceFinder) -> None:
    """One bright point source is found within half a pixel, its flux within 10 %."""
    image, truth = make_field(n_sources=1, snr=(100, 100), seed=3)
    found = quietly(finder, image).catalog
    row = assert_found_again(pixels(truth), pixels(found), "one source of S/N 100")[0]
    ratio = float(found["flux"][row] / truth["flux"][0])
    assert abs(ratio - 1) < 0.1, f"one source of S/N 100: its flux is {ratio:.2f} times the true one"


def check_constant_image(finder: SourceFinder) -> None:
    """A constant image gives an empty answer with every column."""
    image = field()
    _assert_empty(finder, reread(image, np.full(image.shape, 1e-3, dtype=np.float32)), "a constant image")


def check_blank_image(finder: SourceFinder) -> None:
    """An image without any valid pixel gives an empty answer with every column."""
    image = field()
    _assert_empty(finder, reread(image, np.full(image.shape, np.nan, dtype=np.float32)), "an image of NaN")


def check_blank_pixels(finder: SourceFinder) -> None:
    """A pixel that is NaN or masked is never part of a source."""
    image, hole = _with_hole()
    masked = field()
    masked.mask = hole
    framed, _ = make_field(border=20)
    for what, one in (("NaN", image), ("masked", masked), ("NaN at the border", framed)):
        labels = np.asarray(quietly(finder, one).labels)
        inside = np.count_nonzero(labels[one.mask])
        assert not inside, f"{inside} pixels that are {what} belong to sources"


def check_blank_block(finder: SourceFinder) -> None:
    """A block of NaN on empty sky does not change the sources far from it (S/N >= 10, beyond 40 px)."""
    need_repeatable(finder)
    image = field()
    data = image.data.copy()
    data[:16, :16] = np.nan
    before = quietly(finder, image).catalog
    after = quietly(finder, reread(image, data)).catalog
    x, y = pixels(before)
    before = before[((x > 56) | (y > 56)) & (before["snr"] >= 10)]
    match = assert_found_again(pixels(before), pixels(after), "with a block of NaN far away")
    change = np.abs((after["flux"][match] / before["flux"]).to_value(u.one) - 1)
    assert np.all(change < 0.1), f"a block of NaN changes the flux of a source far away by {change.max():.0%}"


def check_provenance(finder: SourceFinder) -> None:
    """The table's meta says what made it, from which image, with which options and versions."""
    image = field()
    meta = quietly(finder, image).catalog.meta
    missing = [key for key in PROVENANCE if key not in meta]
    assert not missing, f"the meta of the catalogue lacks {', '.join(missing)}; end find() with self.detections(...)"
    assert meta["backend"] == finder.name, f"meta['backend'] is {meta['backend']!r}, not {finder.name!r}"
    differ = [key for key, value in finder.get_params().items() if meta["parameters"].get(key, ...) != value]
    assert not differ, f"meta['parameters'] does not hold the options {', '.join(differ)} as they are"
    assert meta["image_sha256"] == checksum(image), "meta['image_sha256'] is not the checksum of the image"
    dt.datetime.fromisoformat(meta["date"])


def check_unknown_prompt(finder: SourceFinder) -> None:
    """A prompt that the finder does not declare is refused with a UsageError."""
    try:
        quietly(finder, field(), no_such_prompt=1)
    except UsageError:
        return
    except TypeError as error:
        msg = "find() takes **prompts and begins with self.check_prompts(prompts)"
        raise AssertionError(msg) from error
    msg = "find(image, no_such_prompt=1) runs; begin find() with self.check_prompts(prompts)"
    raise AssertionError(msg)


def check_files(finder: SourceFinder) -> None:
    """The answer survives writing and reading: labels, and the catalogue as ECSV, VOTable and FITS."""
    found = quietly(finder, field())
    forms = ("ecsv", "votable", "fits")
    with tempfile.TemporaryDirectory() as folder:
        paths = found.write(folder, formats=forms)
        for form in forms:
            path = next(path for path in paths if path.name.endswith(FORMATS[form]))
            again = read_catalog(path)
            assert_same_catalog(found.catalog, again, f"written as {form} and read")
            assert again.meta == found.catalog.meta, f"written as {form} and read: the meta differs"
        labels = fits.getdata(next(path for path in paths if path.name.endswith(".labels.fits")))
        assert np.array_equal(labels, found.labels), "written as FITS and read: the labels differ"


# The same sky, the same answer


def check_repeatable(finder: SourceFinder) -> None:
    """Two runs agree bit for bit, unless the class declares ``repeatable = False``."""
    need_repeatable(finder)
    assert_same(quietly(finder, field()), quietly(finder, field()), "run twice")


def check_pickle(finder: SourceFinder) -> None:
    """A finder that has run can be pickled for worker processes, and its copy gives the same answer."""
    first = quietly(finder, field())
    copy = pickled(finder)
    need_repeatable(finder)
    assert_same(first, quietly(copy, field()), "run by a pickled copy")


def check_byte_order(finder: SourceFinder) -> None:
    """Big-endian pixels, as FITS files hold them, give the same answer as native ones."""
    need_repeatable(finder)
    image = field()
    swapped = reread(image, image.data.astype(">f4"))
    assert_same(quietly(finder, image), quietly(finder, swapped), "big-endian against native")


def check_integers_and_doubles(finder: SourceFinder) -> None:
    """The image as int32 and as float64 gives the same answer, but for rounding."""
    need_repeatable(finder)
    image = field()
    counts = np.round(image.data * 1e7)
    first = quietly(finder, reread(image, counts.astype(np.int32), BUNIT="ct"))
    second = quietly(finder, reread(image, counts.astype(np.float64), BUNIT="ct"))
    assert_same_labels(first, second, "int32 against float64")
    assert_same_catalog(first.catalog, second.catalog, "int32 against float64", STEADY, rtol=1e-4)


def check_input_untouched(finder: SourceFinder) -> None:
    """The caller's image keeps its pixels, mask, unit and meta."""
    image, _ = _with_hole()
    before = (_digest(image.data), _digest(image.mask), image.unit, sorted(image.meta))
    quietly(finder, image)
    after = (_digest(image.data), _digest(image.mask), image.unit, sorted(image.meta))
    for what, one, two in zip(("pixels", "mask", "unit", "meta"), before, after, strict=True):
        assert one == two, f"the finder changes the {what} of the caller's image"


def check_read_only_memmap(finder: SourceFinder) -> None:
    """A read-only memory map is enough to work on."""
    image = field()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels"
        image.data.tofile(path)
        mapped = reread(image, np.memmap(path, image.data.dtype, mode="r", shape=image.shape))
        found = quietly(finder, mapped)
        if finder.repeatable:
            assert_same_labels(quietly(finder, image), found, "a memory map against memory")


def check_unit_prefix(finder: SourceFinder) -> None:
    """The image in uJy/beam gives the same labels as in Jy/beam, and the same fluxes in Jy."""
    need_repeatable(finder)
    image = field()
    micro = reread(image, image.data * np.float32(1e6), BUNIT="uJy/beam")
    first, second = quietly(finder, image), quietly(finder, micro)
    assert_same_labels(first, second, "uJy/beam against Jy/beam")
    assert_same_catalog(first.catalog, second.catalog, "uJy/beam against Jy/beam", STEADY, rtol=1e-4)


def check_degenerate_axes(finder: SourceFinder) -> None:
    """Frequency and Stokes axes of length 1 change nothing."""
    need_repeatable(finder)
    image = field()
    cube = reread(image, image.data[np.newaxis, np.newaxis], CTYPE3="FREQ", CRVAL3=1.4e9, CRPIX3=1, CDELT3=1e6,
                  CUNIT3="Hz", CTYPE4="STOKES", CRVAL4=1, CRPIX4=1, CDELT4=1)  # fmt: skip
    assert_same(quietly(finder, image), quietly(finder, cube), "4-D against 2-D")


def check_tiles(finder: SourceFinder) -> None:
    """Tiles of 64 px, here or in threads, give the labels and the catalogue of the whole image."""
    if not isinstance(finder, PixelFinder):
        msg = f"{finder.name} is not a PixelFinder: astroseg does not cut its images into tiles"
        raise unittest.SkipTest(msg)
    need_repeatable(finder)
    image = field()
    whole = quietly(finder, image, tile_size=max(image.shape))
    with ThreadPoolExecutor(2) as pool:
        for what, executor in (("tiles of 64 px", None), ("tiles of 64 px in threads", pool)):
            tiled = quietly(finder, image, tile_size=64, executor=executor)
            assert_same_labels(whole, tiled, what)
            assert_same_catalog(whole.catalog, tiled.catalog, what, STEADY, rtol=1e-9)


def check_rotated_image(finder: SourceFinder) -> None:
    """Turned by 90 degrees, the image gives its sources of S/N >= 7 again, within half a pixel."""
    image = field()
    found = quietly(finder, image).catalog
    x, y = pixels(found[found["snr"] >= 7])
    turned = quietly(finder, reread(image, np.rot90(image.data))).catalog
    assert_found_again((y, image.shape[1] - 1 - x), pixels(turned), "turned by 90 degrees")


def check_mirrored_image(finder: SourceFinder) -> None:
    """With CDELT1 > 0 the sources of S/N >= 7 are at the same place of the sky, within half a pixel."""
    image = field()
    step, middle = (image.meta["header"][key] for key in ("CDELT1", "CRPIX1"))
    mirrored = reread(image, image.data[:, ::-1], CDELT1=-step, CRPIX1=image.shape[1] + 1 - middle)
    found = quietly(finder, image).catalog
    expected = sky_pixels(found[found["snr"] >= 7], image)
    assert_found_again(expected, sky_pixels(quietly(finder, mirrored).catalog, image), "with CDELT1 > 0")


def check_ra_wrap(finder: SourceFinder) -> None:
    """A field across 0h has right ascensions within 0 to 360 degrees, and the same sources."""
    image = field()
    there = make_field(centre=(0.0, -30.0))[0]
    found = quietly(finder, image).catalog
    wrapped = quietly(finder, there).catalog
    ra = wrapped["ra"].to_value("deg")
    assert np.all((ra >= 0) & (ra < 360)), "right ascensions leave the range 0 to 360 degrees"
    found = found[found["snr"] >= 7]
    assert_found_again(pixels(found), sky_pixels(wrapped, there), "across 0h")


def _with_hole() -> tuple[CCDData, np.ndarray]:
    """The field with a block of NaN over its brightest source, and where the block is."""
    image, truth = make_field()
    brightest = truth[np.argmax(truth["snr"])]
    x, y = int(brightest["x_centroid"].value), int(brightest["y_centroid"].value)
    hole = np.zeros(image.shape, dtype=bool)
    hole[max(y - 12, 0) : y + 12, max(x - 12, 0) : x + 12] = True
    return reread(image, np.where(hole, np.float32(np.nan), image.data)), hole


def _assert_empty(finder: SourceFinder, image: CCDData, what: str) -> None:
    found = quietly(finder, image)
    assert len(found) == 0, f"{what} gives {len(found)} sources"
    assert not np.any(found.labels), f"{what} gives labels without rows"
    _assert_complete(finder, found)


def _assert_complete(finder: SourceFinder, found: Detections) -> None:
    """The catalogue has what `astroseg.catalog.complete` gives it."""
    catalog, expected = found.catalog, complete(QTable(), found.image)
    names = [column.name for column in columns_for(found.image)]
    assert catalog.colnames[: len(names)] == names, (
        f"the columns are {catalog.colnames}; they must begin with {names}; end find() with self.detections(...)"
    )
    for name in names:
        for what in ("dtype", "unit", "description"):
            have, want = (getattr(table[name].info, what) for table in (catalog, expected))
            assert have == want, f"the {what} of column {name} is {have}; it must be {want}"
        ucd, want = ((table[name].info.meta or {}).get("ucd") for table in (catalog, expected))
        assert ucd == want, f"the UCD of column {name} is {ucd}; it must be {want}"
    prefix = finder.name.replace("-", "_") + "_"
    strange = [name for name in catalog.colnames[len(names) :] if not name.startswith(prefix)]
    assert not strange, f"the extra columns {', '.join(strange)} do not begin with {prefix}"


def _digest(array: np.ndarray | None) -> str:
    return "" if array is None else hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
