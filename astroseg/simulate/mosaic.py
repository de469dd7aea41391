"""A radio mosaic of any size, made and written block by block.

Each block draws its own white noise and its own sources, from a seed of its own; what reaches into the neighbours, the
kernel that correlates the noise and the wings of the sources, is taken from theirs. So there are no seams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from scipy import fft, ndimage

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.catalog import complete
from astroseg.catalog_files import write_parts
from astroseg.errors import UsageError
from astroseg.output import write_all
from astroseg.simulate.field import draw_parts
from astroseg.simulate.populations import RadioSettings, draw_sources, radio_settings
from astroseg.simulate.radio import empty_radio, measured_parts
from astroseg.simulate.sky import check_size, sky_header
from astroseg.simulate.stamps import Parts, draw_stamps, joined
from astroseg.sky import to_sky

__all__ = ["RadioMosaic"]

Watch = Callable[[Iterator[np.ndarray], int], Iterable[np.ndarray]]

BLOCK = 1024  # pixels
KERNEL = 32  # pixels: half the width of the kernel that correlates the noise
REACH = 96  # pixels: how far sources reach into the neighbouring blocks
WHOLE_IMAGE = ("uneven", "primary_beam", "sidelobes", "artefacts", "zero_mean", "blank", "noise_hole")


class RadioMosaic:
    """A radio mosaic that is never in memory as a whole.

    Parameters
    ----------
    size : int, pixels
    preset, seed, options
        As those of `~astroseg.simulate.radio.simulate_radio`, without what a whole image shares: an uneven noise, a
        primary beam, sidelobes.

    Raises
    ------
    UsageError
        An option that only a whole image can have.
    """

    def __init__(self, *, size: int, preset: str = "compact", seed: int = 1, **options: float) -> None:
        check_size(size)
        self.settings: RadioSettings = radio_settings(preset, **options)
        for name in WHOLE_IMAGE:
            if getattr(self.settings, name):
                msg = f"A mosaic is made block by block and has no '{name}'; set {name}=0, or take another preset."
                raise UsageError(msg)
        self.size, self.seed = size, seed
        self.frame: CCDData = empty_radio((size, size), self.settings, f"mosaic-{preset}-{seed}")
        plain = {name: value for name, value in vars(self.settings).items() if name != "populations"}
        self.meta = {"simulator": "mosaic", "preset": preset, "seed": seed, "size": [size, size], **plain}
        self._sources = lru_cache(4 * (size // BLOCK + 2))(self._draw_sources)
        self._white = lru_cache(4 * (size // BLOCK + 2))(self._draw_white)

    def write(self, stem: str | Path, watch: Watch = lambda rows, _: rows) -> list[Path]:
        """Write ``STEM.fits`` and ``STEM.truth.ecsv``; ``watch`` is handed the rows of blocks, and their number."""
        stem = Path(stem)
        files = {
            ".fits": lambda path: self._write_image(path, watch),
            ".truth.ecsv": lambda path: write_parts(self.truth(), path),
        }
        jobs = {stem.with_name(stem.name + end): write for end, write in files.items()}
        write_all(jobs)
        return list(jobs)

    def rows(self) -> Iterator[np.ndarray]:
        """The image as rows of blocks, float32, Jy/beam."""
        number = -(-self.size // BLOCK)
        for y in range(number):
            row = np.concatenate([self._block(y, x) for x in range(number)], axis=1)
            yield row[: self.size - y * BLOCK, : self.size]

    def truth(self) -> Iterator[QTable]:
        """The sources, one table a block."""
        number, start = -(-self.size // BLOCK), 1
        for y, x in np.ndindex(number, number):
            table = self._truth(y, x, start)
            start += len(table)
            yield table

    def _truth(self, block_y, block_x, start) -> QTable:
        sources, parts = self._sources(block_y, block_x)
        x, y = sources["x"] + block_x * BLOCK, sources["y"] + block_y * BLOCK
        inside = (x < self.size - 0.5) & (y < self.size - 0.5)
        longitude, latitude = to_sky(self.frame.wcs, x, y)
        values = measured_parts(parts, self.settings, self.frame) | {
            "x_centroid": x,
            "y_centroid": y,
            "ra": longitude,
            "dec": latitude,
            "flux": sources["flux"],
            "local_rms": np.full(x.size, self.settings.rms),
            "simulate_kind": sources["kind"],
        }
        values["snr"] = values["peak_flux"] / self.settings.rms
        table = complete({name: np.asarray(column)[inside] for name, column in values.items()}, self.frame)
        table["label"] = np.arange(start, start + len(table), dtype=np.int32)
        table.meta = self.meta
        return table

    def _write_image(self, path: Path, watch: Watch) -> None:
        header = fits.PrimaryHDU(np.zeros((1, 1), np.float32), sky_header(self.frame, self.meta)).header
        header["NAXIS1"] = header["NAXIS2"] = self.size
        hdu = fits.StreamingHDU(path, header)
        try:
            for rows in watch(self.rows(), -(-self.size // BLOCK)):
                hdu.write(rows)
        finally:
            hdu.close()

    def _block(self, y, x) -> np.ndarray:
        return self._model(y, x) + np.float32(self.settings.rms) * self._noise(y, x)

    def _model(self, block_y, block_x) -> np.ndarray:
        groups, columns, rows = [], [], []
        for dy, dx in np.ndindex(3, 3):
            sources, parts = self._sources(block_y + dy - 1, block_x + dx - 1)
            groups.append(parts)
            columns.append(sources["x"] + (dx - 1) * BLOCK + REACH)
            rows.append(sources["y"] + (dy - 1) * BLOCK + REACH)
        area = 2 * np.pi * self._beam**2
        side = BLOCK + 2 * REACH
        x, y, parts = _within(np.concatenate(columns), np.concatenate(rows), joined(groups), side)
        model, _ = draw_stamps((side, side), x, y, parts, self.settings.rms / area)
        return model[REACH:-REACH, REACH:-REACH] * np.float32(area)

    def _noise(self, y, x) -> np.ndarray:
        width = self.settings.noise_kernel * self._beam
        around = [[self._white(y + dy, x + dx) for dx in (-1, 0, 1)] for dy in (-1, 0, 1)]
        part = slice(BLOCK - KERNEL, 2 * BLOCK + KERNEL)
        noise = np.block(around)[part, part]
        for axis, sigma in enumerate((width * self.settings.noise_ratio, width)):
            noise = ndimage.convolve1d(noise, _kernel(sigma), axis=axis)
        return noise[KERNEL:-KERNEL, KERNEL:-KERNEL]

    @property
    def _beam(self) -> float:
        """Standard deviation of the beam, pixels."""
        return self.settings.beam / self.settings.pixel / FWHM_PER_SIGMA

    def _rng(self, what: int, y: int, x: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, what, y + 1, x + 1])  # there are blocks beyond the edges, too

    def _draw_white(self, y: int, x: int) -> np.ndarray:
        return self._rng(0, y, x).standard_normal((BLOCK, BLOCK), dtype=np.float32)

    def _draw_sources(self, y: int, x: int) -> tuple[dict[str, np.ndarray], Parts]:
        rng = self._rng(1, y, x)
        return draw_parts(rng, self.settings, draw_sources(rng, self.settings, (BLOCK, BLOCK)), (BLOCK, BLOCK))


def _kernel(sigma: float) -> np.ndarray:
    """What correlates white noise, keeping its variance: the transform of a Gaussian, as the weights are."""
    frequency = fft.fftfreq(2 * KERNEL + 1)
    kernel = fft.fftshift(fft.ifft(np.exp(-2 * (np.pi * sigma * frequency) ** 2)).real)
    return kernel / np.sqrt(np.square(kernel).sum())


def _within(x, y, parts: Parts, side) -> tuple[np.ndarray, np.ndarray, Parts]:
    """The sources in a square."""
    inside = (x >= 0) & (x <= side - 1) & (y >= 0) & (y <= side - 1)
    each = np.repeat(inside, parts.count)
    kept = Parts(parts.count[inside], parts.dx[each], parts.dy[each], parts.flux[each], parts.covariance[each])
    return x[inside], y[inside], kept
