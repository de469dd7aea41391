"""Checks of restorers."""

from __future__ import annotations

import numpy as np
from astropy.nddata import CCDData
from scipy.ndimage import gaussian_filter

from astroseg.catalog import flux_scale
from astroseg.restorer import Restorer
from astroseg.simulate.array import simulate_array
from astroseg.testing.compare import need_repeatable, pickled, quietly
from astroseg.testing.fields import make_field, reread

DIRTY_FLUX = 0.01  # Jy


def _star() -> tuple[CCDData, tuple[int, int]]:
    """One bright point source, and its place (x, y) in pixels."""
    image, truth = make_field(shape=(128, 128), n_sources=1, snr=(200, 200), seed=3)
    return image, (round(truth["x_centroid"][0].value), round(truth["y_centroid"][0].value))


def _dirty_star() -> tuple[CCDData, tuple[int, int]]:
    """A point source of 0.01 Jy as an array of antennas sees it, full of sidelobes, and its place (x, y) in pixels."""
    sky, (x, y) = simulate_array(seed=3, size=128), (70, 58)
    noise = gaussian_filter(np.random.default_rng(3).normal(size=(128, 128)), 1.3)
    psf = sky.image.psf[127 - y : 255 - y, 127 - x : 255 - x]
    data = (DIRTY_FLUX * (psf + 2e-3 * noise / noise.std())).astype(np.float32)
    image = CCDData(data, unit=sky.image.unit, wcs=sky.image.wcs, meta=dict(sky.image.meta))
    image.psf = sky.image.psf
    return image, (x, y)


def check_grid(restorer: Restorer) -> None:
    """The result is on the grid of the input: same shape, same world coordinates."""
    image, _ = _star()
    restored = quietly(restorer, image)
    assert restored.shape == image.shape, f"the result has the shape {restored.shape}, the image {image.shape}"
    assert restored.wcs is not None, "the result has no world coordinates"
    corners = np.array([[0, 0], [127, 0], [0, 127], [127, 127]])
    here, there = (one.wcs.all_pix2world(corners, 0) for one in (image, restored))
    assert np.allclose(here, there, rtol=0, atol=1e-9), "the result has other world coordinates than the image"


def check_unit_and_beam(restorer: Restorer) -> None:
    """The result has the image's unit, and the beam after restoration in its meta."""
    image, _ = _star()
    restored = quietly(restorer, image)
    assert restored.unit == image.unit, f"the result is in {restored.unit}, the image in {image.unit}"
    assert "beam" in restored.meta, "the result has no meta['beam']; put the beam after restoration there"
    assert "name" in restored.meta, "the result has no meta['name']; start its meta from the image's"


def check_flux(restorer: Restorer) -> None:
    """A bright point source keeps its flux within 10 %."""
    image, place = _star()
    before, after = _flux(image, place), _flux(quietly(restorer, image), place)
    assert abs(after / before - 1) < 0.1, f"the flux of a point source becomes {after / before:.2f} times what it was"


def check_position(restorer: Restorer) -> None:
    """A bright point source stays where it is, within half a pixel."""
    image, place = _star()
    before, after = _centroid(image, place), _centroid(quietly(restorer, image), place)
    moved = float(np.hypot(*(after - before)))
    assert moved < 0.5, f"a point source moves by {moved:.2f} px"


def check_dirty_flux(restorer: Restorer) -> None:
    """A bright point source among its sidelobes, the dirty beam being known, keeps its peak within 10 %."""
    image, (x, y) = _dirty_star()
    peak = float(np.nanmax(quietly(restorer, image).data[y - 2 : y + 3, x - 2 : x + 3]))
    assert abs(peak / DIRTY_FLUX - 1) < 0.1, f"the peak of a point source becomes {peak / DIRTY_FLUX:.2f} of its flux"


def check_dirty_position(restorer: Restorer) -> None:
    """A bright point source among its sidelobes stays where it is, within half a pixel."""
    image, (x, y) = _dirty_star()
    restored = np.asarray(quietly(restorer, image).data, dtype=float)
    top = np.unravel_index(np.nanargmax(restored), restored.shape)
    part = restored[top[0] - 2 : top[0] + 3, top[1] - 2 : top[1] + 3]
    centroid = top + np.array([np.sum(axis * part) for axis in np.indices(part.shape)]) / part.sum() - 2
    moved = float(np.hypot(*(centroid - (y, x))))
    assert moved < 0.5, f"the brightest point source moves by {moved:.2f} px"


def check_units(restorer: Restorer) -> None:
    """The same image in mJy/beam gives the same result, in mJy/beam."""
    need_repeatable(restorer)
    image, _ = _star()
    here = np.asarray(quietly(restorer, image).data)
    there = np.asarray(quietly(restorer, reread(image, image.data * np.float32(1000), BUNIT="mJy/beam")).data) / 1000
    differ = float(np.nanmax(np.abs(there - here)) / np.nanmax(np.abs(here)))
    assert differ < 1e-3, f"in mJy/beam the result differs by {differ:.2g} of its peak"


def check_blank_pixels(restorer: Restorer) -> None:
    """Blank pixels stay blank, and no others become so."""
    image, _ = _star()
    hole = np.zeros(image.shape, dtype=bool)
    hole[:20, :30] = True
    restored = quietly(restorer, reread(image, np.where(hole, np.float32(np.nan), image.data)))
    blank = ~np.isfinite(restored.data)
    blank = blank if restored.mask is None else blank | restored.mask
    assert np.all(blank[hole]), f"{np.count_nonzero(~blank[hole])} blank pixels are given values"
    assert not np.any(blank[~hole]), f"{np.count_nonzero(blank[~hole])} pixels become blank"


def check_blank_image(restorer: Restorer) -> None:
    """An image without any valid pixel stays blank."""
    image, _ = _star()
    restored = quietly(restorer, reread(image, np.full(image.shape, np.nan, dtype=np.float32)))
    blank = ~np.isfinite(restored.data)
    blank = blank if restored.mask is None else blank | restored.mask
    assert np.all(blank), "pixels of an image of NaN are given values"


def check_input_untouched(restorer: Restorer) -> None:
    """The caller's image keeps its pixels, unit and meta."""
    image, _ = _star()
    pixels, known = image.data.copy(), (image.unit, sorted(image.meta))
    quietly(restorer, image)
    assert np.array_equal(pixels, image.data, equal_nan=True), "the restorer changes the pixels of the caller's image"
    assert (image.unit, sorted(image.meta)) == known, "the restorer changes the unit or the meta of the caller's image"


def check_byte_order(restorer: Restorer) -> None:
    """Big-endian pixels, as FITS files hold them, give the same result as native ones."""
    need_repeatable(restorer)
    image, _ = _star()
    _assert_same(restorer, image, reread(image, image.data.astype(">f4")), "big-endian against native")


def check_repeatable(restorer: Restorer) -> None:
    """Two runs agree bit for bit, unless the class declares ``repeatable = False``."""
    need_repeatable(restorer)
    image, _ = _star()
    _assert_same(restorer, image, image, "run twice")


def check_pickle(restorer: Restorer) -> None:
    """A restorer that has run can be pickled for worker processes."""
    quietly(restorer, _star()[0])
    pickled(restorer)


def _assert_same(restorer, one, two, what) -> None:
    first, second = np.asarray(quietly(restorer, one).data), np.asarray(quietly(restorer, two).data)
    differ = np.count_nonzero((first != second) & ~(np.isnan(first) & np.isnan(second)))
    assert not differ, f"{what}: {differ} pixels differ"


def _cutout(image: CCDData, place: tuple[int, int]) -> np.ndarray:
    x, y = place
    return np.asarray(image.data[y - 12 : y + 13, x - 12 : x + 13], dtype=float)


def _flux(image: CCDData, place: tuple[int, int]) -> float:
    return float(_cutout(image, place).sum()) * flux_scale(image)[0]


def _centroid(image: CCDData, place: tuple[int, int]) -> np.ndarray:
    cutout = _cutout(image, place)
    weight = np.where(cutout > cutout.max() / 10, cutout, 0)
    return np.array([np.sum(axis * weight) for axis in np.indices(cutout.shape)]) / weight.sum()
