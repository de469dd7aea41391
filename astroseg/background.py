"""Background and noise of an image, measured once, before any tile exists.

Noise measured tile by tile would make the catalogue depend on the tiling, so `standardize`
measures both on a mesh over the whole image; any region is then interpolated from the mesh, with
the same result whatever the region.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from astropy.nddata import CCDData
from numpy.lib.stride_tricks import sliding_window_view

from astroseg.blank import either
from astroseg.errors import ImageError, UsageError
from astroseg.header import pixel_scale
from astroseg.image import read_map
from astroseg.median import median
from astroseg.mosaic import Mosaic, as_mosaic
from astroseg.tiling import Region, run_tiles, strips

__all__ = ["Background", "MeshMap", "significance", "standardize"]

CLIP = 3.0  # sigma clipping of the pixels in a mesh
MAD_TO_SIGMA = 1.482602218505602
TINY = 1e-30
HUGE = 1e30  # the most significant that a pixel gets: float32 holds its sums and products


@dataclass(frozen=True)
class MeshMap:
    """A map known at the centres of a square mesh; ``map[region]`` interpolates bilinearly.

    Parameters
    ----------
    values : 2-D `~numpy.ndarray` of float32, one per mesh cell
        A single value stands for the whole image.
    size : int
        Side of a cell in pixels.
    origin : (int, int)
        Row and column of the mesh's image at which regions are counted from 0.
    """

    values: np.ndarray
    size: int
    origin: tuple[int, int] = (0, 0)

    def __getitem__(self, region: Region) -> np.ndarray:
        rows, columns = (
            np.arange(first + part.start, first + part.stop) for first, part in zip(self.origin, region, strict=True)
        )
        if self.values.size == 1:
            return np.broadcast_to(self.values.reshape(()), (rows.size, columns.size))
        lower, upper, weight = self._neighbours(rows, self.values.shape[0])
        weight = weight[:, None]
        lines = self.values[lower] * (1 - weight) + self.values[upper] * weight
        lower, upper, weight = self._neighbours(columns, self.values.shape[1])
        return lines[:, lower] * (1 - weight) + lines[:, upper] * weight

    def _neighbours(self, pixels, length):
        position = np.clip((pixels + 0.5) / self.size - 0.5, 0, length - 1)
        lower = np.minimum(position.astype(np.intp), max(length - 2, 0))
        return lower, np.minimum(lower + 1, length - 1), (position - lower).astype(np.float32)


@dataclass(frozen=True)
class Background:
    """Background level and noise rms of an image, in its unit.

    Parameters
    ----------
    level, rms : `MeshMap` or 2-D `~numpy.ndarray`
        Indexed by a region (a pair of slices with start and stop), they return float arrays.
    method : str
        How both were made, for the provenance.
    typical : float, optional
        Median noise of the whole image, where these are the maps of a region.
    """

    level: MeshMap | np.ndarray
    rms: MeshMap | np.ndarray
    method: str
    typical: float | None = None

    def significance(self, data: np.ndarray, mask: np.ndarray | None, region: Region) -> np.ndarray:
        """Return the region of the image in units of the noise, float32, 0 where blank.

        Parameters
        ----------
        data : 2-D `~numpy.ndarray`
            The whole image.
        mask : 2-D `~numpy.ndarray` of bool or None
            True where blank.
        region : pair of slices
        """
        rms = self.rms[region]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            score = _native(data[region]) - self.level[region]
            score /= rms
            score = score.astype(np.float32, copy=False)
            if mask is not None:
                score[mask[region]] = 0
            if not rms.min() > 0:
                score[~(rms > 0)] = 0
            if not np.isfinite(score.sum()):
                score = np.clip(np.nan_to_num(score, copy=False), -HUGE, HUGE)
        return score

    def cut(self, region: Region) -> Background:
        """That of a region of the image."""
        return Background(_cut(self.level, region), _cut(self.rms, region), self.method, self.typical_rms())

    def residual(self, data: np.ndarray, region: Region) -> np.ndarray:
        """Return the region with the background taken off, float64."""
        return np.asarray(data[region], dtype=np.float64) - self.level[region]

    def typical_rms(self) -> float:
        """Median noise of the image, from the mesh where there is one."""
        return self._median_rms if self.typical is None else self.typical

    @cached_property
    def _median_rms(self) -> float:
        values = self.rms.values if isinstance(self.rms, MeshMap) else self.rms
        usable = values[np.isfinite(values) & (values > 0)]
        return float(np.median(usable)) if usable.size else 0.0


Image = TypeVar("Image", CCDData, Mosaic)


def standardize(
    image: Image,
    background: Any = "mesh",
    noise: Any = None,
    mesh: int | None = None,
    *,
    executor: Executor | None = None,
) -> Image:
    """Measure (or take) background and noise, and put them into ``meta["background"]``.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData` or `~astroseg.mosaic.Mosaic`
        From `~astroseg.read_image` or `~astroseg.mosaic.open_mosaic`.
    background : ``"mesh"``, ``"constant"``, ``"none"``, path or 2-D array
        ``mesh``: sigma-clipped mode of each cell, after a median over 3 x 3 cells.
        ``constant``: median of the image. ``none``: zero.
    noise : ``"mesh"``, ``"constant"``, path or 2-D array, optional
        ``mesh``: sigma-clipped standard deviation of each cell. ``constant``: 1.4826 times the
        median absolute deviation of the image. By default ``constant`` with a constant
        background, ``mesh`` with any other.
    mesh : int, optional
        Side of a cell in pixels. By default 20 beams, at least 32 and at most a quarter of the
        image; 64 where there is no beam.
    executor : `~concurrent.futures.Executor`, optional
        Measures the cells of a mesh; by default threads of this process.

    Returns
    -------
    `~astropy.nddata.CCDData` or `~astroseg.mosaic.Mosaic`
        Shares its pixels with ``image``.

    Notes
    -----
    The mode is SExtractor's estimate, 2.5 median - 1.5 mean, or the median where the two differ
    by more than 0.3 sigma (Bertin & Arnouts 1996, A&AS 117, 393, section 4.1).
    """
    if mesh is not None and mesh < 4:
        msg = f"The mesh must be at least 4 pixels wide, not {mesh}."
        raise UsageError(msg)
    if noise is None:
        noise = "constant" if isinstance(background, str) and background == "constant" else "mesh"
    size = min(mesh or _mesh_size(image), max(image.shape))
    words = [what for what in (background, noise) if isinstance(what, str)]
    meshes = _measure_mesh(image, size, executor) if "mesh" in words else None
    constants = _constants(image) if "constant" in words else None
    level = {"mesh": meshes and meshes[0], "constant": constants and constants[0], "none": _flat(0.0)}
    rms = {"mesh": meshes and meshes[1], "constant": constants and constants[1]}
    level_map = _chosen(background, level, image, "background")
    rms_map = _chosen(noise, rms, image, "noise")
    method = f"background {_describe(background, size)}, noise {_describe(noise, size)}"
    unknown = _unknown(level_map, rms_map)
    found = {"background": Background(level_map, rms_map, method)}
    if isinstance(image, Mosaic):
        return image.replaced(meta=found, blank=unknown)
    mask = image.mask if unknown is None else either(image.mask, unknown)
    result = CCDData(image.data, unit=image.unit, wcs=image.wcs, mask=mask, meta=image.meta | found)
    result.psf = image.psf
    return result


def _unknown(level, rms) -> np.ndarray | None:
    """Where a map that was given does not say what is wanted of it; `None` where both do everywhere."""
    unknown = ~np.isfinite(level) if isinstance(level, np.ndarray) else None
    if isinstance(rms, np.ndarray):
        unknown = either(unknown, ~(np.isfinite(rms) & (rms > 0)))
    return unknown if unknown is not None and unknown.any() else None


def _cut(known: MeshMap | np.ndarray, region: Region) -> MeshMap | np.ndarray:
    if isinstance(known, np.ndarray):
        return known[region]
    rows, columns = (first + part.start for first, part in zip(known.origin, region, strict=True))
    return replace(known, origin=(rows, columns))


def significance(image: CCDData) -> np.ndarray:
    """Return the whole image in units of its noise, background off.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        From `~astroseg.read_image`; background and noise are measured unless `standardize` did before.

    Returns
    -------
    2-D `~numpy.ndarray` of float32, shape (ny, nx)
        0 where blank.
    """
    if "background" not in image.meta:
        image = standardize(image)
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    return image.meta["background"].significance(image.data, image.mask, whole)


def _describe(what, size) -> str:
    if isinstance(what, str):
        return f"mesh of {size} px" if what == "mesh" else what
    return "given"


def _chosen(what, measured: dict[str, Any], image: CCDData, name: str) -> Any:
    """One of the measured maps, or what the user gave in their place."""
    if isinstance(what, str) and what in measured:
        return measured[what]
    if isinstance(what, str) and not Path(what).exists():
        msg = f"There is no file {what}. The {name} is {', '.join(measured)} or a FITS file."
        raise ImageError(msg)
    given = _compact(read_map(what, image.shape, f"{name} map", image.unit))
    if name == "noise" and not (np.isfinite(given) & (given > 0)).any():
        msg = f"The noise map of {image.meta['name']} is nowhere above 0; it must hold the noise rms of each pixel."
        raise ImageError(msg)
    if not np.isfinite(given).any():
        msg = f"The {name} map of {image.meta['name']} has no finite pixel."
        raise ImageError(msg)
    return given


def _compact(values: np.ndarray) -> np.ndarray:
    """As float32 where its range will do, else float64: some units give numbers like 1e-45."""
    values = _native(values)
    largest = np.max(np.abs(values), where=np.isfinite(values), initial=0)
    return values.astype(np.float32, copy=False) if largest == 0 or TINY < largest < HUGE else values


def _flat(value: float) -> MeshMap:
    return MeshMap(_compact(np.full((1, 1), value)), 1)


def _mesh_size(image: CCDData) -> int:
    beam = image.meta.get("beam")
    widths = beam.fwhm_pixels(pixel_scale(image.wcs)) if beam is not None else None
    size = 64 if widths is None else int(np.ceil(20 * np.sqrt(widths[0] * widths[1])))
    return int(max(32, min(size, min(image.shape) // 4)))


def _native(block: np.ndarray) -> np.ndarray:
    """Machine byte order, float32 for anything that float32 can hold."""
    fits = np.can_cast(block.dtype, np.float32)
    return np.array(block, dtype=np.float32 if fits else np.float64)


def _constants(image: CCDData | Mosaic) -> tuple[MeshMap, MeshMap]:
    """Median of the image and 1.4826 times its median absolute deviation."""
    mosaic = as_mosaic(image)

    def values() -> Iterator[np.ndarray]:
        for strip in strips(mosaic.shape):
            block, mask = _native(mosaic.pixels(strip)), mosaic.blank_pixels(strip)
            yield block.ravel() if mask is None else block[~mask]

    middle = median(values)
    if not np.isfinite(middle):
        return _flat(0.0), _flat(0.0)
    deviation = median(lambda: (np.abs(block - block.dtype.type(middle)) for block in values()))
    # Integer images of a faint sky: more than half of the pixels equal the median.
    sigma = MAD_TO_SIGMA * deviation if deviation > 0 else _spread(values, middle)
    return _flat(middle), _flat(sigma)


def _spread(values, middle) -> float:
    """Standard deviation of values that come in parts."""
    sums = [(part.size, part.sum(), np.square(part).sum()) for part in (each - np.float64(middle) for each in values())]
    number, first, second = np.sum(sums, axis=0)
    return float(np.sqrt(max(second / number - (first / number) ** 2, 0.0)))


def _measure_mesh(image: CCDData | Mosaic, size: int, executor: Executor | None) -> tuple[MeshMap, MeshMap]:
    starts = range(0, image.shape[0], size)
    line = _Line(as_mosaic(image), size)
    with contextlib.ExitStack() as stack:
        executor = executor or stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        lines = [cells for _, cells in run_tiles(line, starts, executor)]
    level, rms = (np.array(values) for values in zip(*lines, strict=True))
    if not np.isfinite(level).any():  # no cell has enough pixels
        return _constants(image)
    return MeshMap(_compact(_smooth(level)), size), MeshMap(_compact(_smooth(rms)), size)


@dataclass(frozen=True)
class _Line:
    """Measures the cells of one line of the mesh, which starts at a row; goes to other processes."""

    mosaic: Mosaic
    size: int

    def __call__(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        height, width = self.mosaic.shape
        region = slice(start, min(start + self.size, height)), slice(0, width)
        full = min(self.size, height) * min(self.size, width)
        return _line_of_cells(self.mosaic.pixels(region), self.mosaic.blank_pixels(region), self.size, full)


def _line_of_cells(data, mask, size, full):
    """Clipped mode and standard deviation of each cell of a strip; NaN with less than a quarter of ``full`` pixels."""
    height, width = data.shape
    n_cells = -(-width // size)
    strip = np.full((height, n_cells * size), np.nan, dtype=_native(data[:0]).dtype)
    strip[:, :width] = data
    if mask is not None:
        strip[:, :width][mask] = np.nan
    cells = strip.reshape(height, n_cells, size).transpose(1, 0, 2).reshape(n_cells, -1)
    cells = np.sort(cells, axis=1)  # NaN comes last
    stats = [_clipped(cell[: np.searchsorted(cell, np.inf, side="right")]) for cell in cells]
    counts = np.count_nonzero(np.isfinite(cells), axis=1)
    level, rms = np.array(stats).T
    few = counts < full / 4
    level[few] = rms[few] = np.nan
    return level, rms


def _clipped(values: np.ndarray) -> tuple[float, float]:
    """Mode and standard deviation of sorted values within `CLIP` sigma of their median."""
    if values.size == 0:
        return np.nan, np.nan
    # Centred on the median and in units of the quartile range, so that the squares keep their
    # digits; what lies beyond 100 of them would be clipped at once, and swamps the sums.
    offset, quarter = float(values[values.size // 2]), values.size // 4
    scale = float(values[values.size - 1 - quarter]) - float(values[quarter])
    scale = scale or float(values[-1]) - float(values[0]) or 1.0
    centred = (values.astype(np.float64) - offset) / scale
    centred = centred[np.abs(centred) <= 100]
    low, high, unclipped = 0, centred.size, 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        first = np.concatenate([[0.0], np.cumsum(centred)])
        second = np.concatenate([[0.0], np.cumsum(centred * centred)])
        for _ in range(20):
            count = high - low
            median = 0.5 * (centred[low + (count - 1) // 2] + centred[low + count // 2])
            mean = (first[high] - first[low]) / count
            sigma = np.sqrt(max((second[high] - second[low]) / count - mean * mean, 0.0))
            unclipped = unclipped or sigma
            new = (
                int(np.searchsorted(centred, median - CLIP * sigma, side="left")),
                int(np.searchsorted(centred, median + CLIP * sigma, side="right")),
            )
            if new == (low, high) or not np.isfinite(sigma) or new[1] <= new[0]:
                break
            low, high = new
    mode = 2.5 * median - 1.5 * mean if abs(mean - median) < 0.3 * sigma else median
    # Few counts on an empty sky are all clipped away, yet they are its noise.
    return mode * scale + offset, (sigma or unclipped) * scale


def _smooth(values: np.ndarray) -> np.ndarray:
    """Fill the empty cells from their neighbours and take the median of 3 x 3 cells."""
    while not np.isfinite(values).all():
        values = np.where(np.isfinite(values), values, _median_of_nine(values))
    return _median_of_nine(values)


def _median_of_nine(values: np.ndarray) -> np.ndarray:
    """Median of each cell and those around it that are there; NaN where none is."""
    around = sliding_window_view(np.pad(values, 1, constant_values=np.nan), (3, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN gives NaN: so be it
        return np.nanmedian(around.reshape(*values.shape, 9), axis=-1)
