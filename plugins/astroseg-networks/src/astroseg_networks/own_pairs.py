"""Dirty maps to train on from the user's own images or visibilities, with what they are to become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.nddata import CCDData
from scipy.signal import fftconvolve

from astroseg import read_image
from astroseg.clean import hogbom
from astroseg.dirty import DirtyImage
from astroseg.errors import ImageError, UsageError
from astroseg.visibilities import choose_grid, dirty_map, grid
from astroseg.visibility_files import read_visibilities
from astroseg_networks.dirty_skies import DirtySky, SimulatedSkies
from astroseg_networks.image_pairs import Scale, exposure_of, flare_numbers, match_pair
from astroseg_networks.own_files import paths_of
from astroseg_networks.pix2pix_restorer import placed

__all__ = ["CleanedSkies", "OwnPairs", "check_pairs", "check_size"]

UNSEEN = 5  # of so many flares one is for validation
POINTS = 300  # of CLEAN


@dataclass(frozen=True)
class CleanedSkies:
    """Simulated skies, of which one is to know no more than CLEAN finds.

    Parameters
    ----------
    skies : `~astroseg_networks.dirty_skies.SimulatedSkies`
    """

    skies: SimulatedSkies

    def draw(self, rng: np.random.Generator) -> DirtySky:
        """One to train on."""
        return _cleaned(self.skies.draw(rng))

    def unseen(self, count: int) -> list[DirtySky]:
        """To validate on: the truth itself."""
        return self.skies.unseen(count)


class OwnPairs:
    """Dirty maps and restored ones of the same pixels, in units per second of exposure.

    Of the flares (see `~astroseg_networks.image_pairs.flare_numbers`) every fifth is for validation, with all its maps.

    Parameters
    ----------
    images : sequence of path
        Dirty maps with their point spread functions, or visibilities.
    targets : sequence of path
        Of each dirty map the restored one; where there are none, CLEAN makes them.
    size : int, pixels
        Side of what the network sees: around the brightest pixel.

    Raises
    ------
    ImageError
        A pair does not have the same pixels, or a dirty map has no point spread function.
    UsageError
        All are of one flare.
    """

    def __init__(self, images: Sequence[Path], targets: Sequence[Path], size: int) -> None:
        dirty = [_read(path, size) for path in images]
        flares = flare_numbers(dirty)
        if flares.max() == 0:
            msg = "All maps are of one flare: give those of another, or there is nothing to validate on."
            raise UsageError(msg)
        wanted: Sequence[Path | None] = targets or [None] * len(dirty)
        skies = [_sky(image, target, size) for image, target in zip(dirty, wanted, strict=True)]
        kept = (flares % UNSEEN == UNSEEN - 1) | (flares == flares.max())
        self.skies = [sky for sky, unseen in zip(skies, kept, strict=True) if not unseen]
        self.kept = [sky for sky, unseen in zip(skies, kept, strict=True) if unseen]
        self.scale = Scale.of(sky.dirty for sky in self.skies)

    def draw(self, rng: np.random.Generator) -> DirtySky:
        """One of those to train on. It isn't turned or mirrored: no point spread function would be its own then."""
        return self.skies[rng.integers(len(self.skies))]

    def unseen(self, count: int) -> list[DirtySky]:
        """At most so many to validate on."""
        return self.kept[:count]


def check_pairs(images: str | None, targets: str | None) -> None:
    """Check that each dirty map has its restored one, where there are any, and that all files are there.

    Parameters
    ----------
    images, targets : str, optional
        Paths, separated by commas.

    Raises
    ------
    UsageError
    """
    dirty, restored = paths_of(images), paths_of(targets)
    if restored and len(restored) != len(dirty):
        msg = f"Each dirty map needs its restored one: there are {len(dirty)} images and {len(restored)} targets."
        raise UsageError(msg)
    absent = [path for path in (*dirty, *restored) if not path.is_file()]
    if absent:
        msg = f"There is no file {absent[0]} to train on."
        raise UsageError(msg)


def check_size(size: int, stride: int) -> None:
    """Check that maps are as wide as a network can take.

    Parameters
    ----------
    size, stride : int, pixels

    Raises
    ------
    UsageError
        The size is no multiple of the stride.
    """
    if size % stride:
        msg = f"The size is {size}; it must be a multiple of {stride}."
        raise UsageError(msg)


def _read(path: Path, size: int) -> CCDData:
    """A dirty map, made here where the file holds visibilities alone."""
    try:
        return read_image(path)
    except ImageError:
        seen = read_visibilities(path)
    side, pixel = choose_grid(seen)
    side = max(side, size)
    return dirty_map(seen, (side, side), grid(seen, side, pixel))


def _sky(image: CCDData, target: Path | None, size: int) -> DirtySky:
    restored = None
    if target is not None:
        restored = read_image(target)
        if restored.unit != image.unit:
            msg = f"{image.meta['name']} is in {image.unit}, {restored.meta['name']} in {restored.unit}."
            raise ImageError(msg)
        psf, seen = image.psf, image.meta.get("visibilities")
        image, restored = match_pair(image, restored)
        image.psf, image.meta["visibilities"] = psf, seen
    dirty = DirtyImage.of(image)
    if restored is not None and restored.meta["beam"] is not None:
        dirty = replace(dirty, beam=restored.meta["beam"])
    exposure = exposure_of(image)
    sides = 2 * (2 * size - 1,)
    brightest = np.unravel_index(np.argmax(dirty.data), dirty.data.shape)
    box = tuple(_around(int(at), size, length) for at, length in zip(brightest, dirty.data.shape, strict=True))
    sky = DirtySky(
        placed(dirty.data[box], (size, size)) / exposure,
        placed(dirty.psf, sides, centred=True),
        placed(dirty.beam_kernel, sides, centred=True),
        np.zeros((size, size), dtype=np.float32),
        np.nan if dirty.noise is None else dirty.noise / exposure,
    )
    if restored is None:
        return _cleaned(sky)
    pixels = np.where(dirty.blank, 0, np.asarray(restored.data))
    return replace(sky, truth=placed(pixels[box], (size, size)) / exposure)


def _around(at: int, size: int, length: int) -> slice:
    """So many pixels around one of them, or all."""
    start = int(np.clip(at - size // 2, 0, max(length - size, 0)))
    return slice(start, min(start + size, length))


def _cleaned(sky: DirtySky) -> DirtySky:
    """A sky whose truth is the map that CLEAN makes: points, convolved with the restoring beam, and the residual."""
    model, residual = hogbom(sky.dirty, sky.psf, niter=POINTS)
    return replace(sky, truth=fftconvolve(model, sky.beam, mode="same") + residual)
