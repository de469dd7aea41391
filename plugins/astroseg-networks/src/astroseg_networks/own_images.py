"""Examples to train on from the user's own images, each with a list of what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from astroseg import read_image, standardize
from astroseg.background import significance
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.catalog import flux_scale
from astroseg.ellipse import covariance_from_fwhm
from astroseg.errors import UsageError
from astroseg.sky import beam_covariance, pixel_covariance
from astroseg.truth import Truth, noise_of, read_truth
from astroseg_networks.grid import Grid, choose_grid
from astroseg_networks.normalisation import CANONICAL_BEAM, network_input
from astroseg_networks.targets import Sources, source_targets

__all__ = ["OwnImages"]

UNSEEN = 5  # of so many blocks one is for validation
LEAST_SEEN = 0.1  # share of a patch that is not blank
TRIES = 100
MARGIN = 16  # pixels: a source so far outside of a patch does not matter to it


class OwnImages:
    """Patches of images whose sources are known.

    Of the blocks of ``size`` x ``size`` pixels that show something, every fifth is for validation; no patch to train on
    reaches into one.

    Parameters
    ----------
    images : sequence of anything that `~astroseg.read_image` takes
    truths : sequence of path
        Of each image; anything that `~astroseg.truth.read_truth` takes.
    size : int, pixels
        Side of the patches, on the grid on which the network sees the images.

    Raises
    ------
    UsageError
        An image has less than two such blocks.
    """

    def __init__(self, images: Sequence[Any], truths: Sequence[Any], size: int) -> None:
        self.size = size
        self.skies = [_read(image, truth) for image, truth in zip(images, truths, strict=True)]
        split = [_split(sky, size) for sky in self.skies]
        self.blocks = np.concatenate([_numbered(index, blocks) for index, (blocks, _) in enumerate(split)])
        self.kept = [kept for _, kept in split]

    def draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A patch at a random place, turned and mirrored at random; its keys are those of `draw_sky`."""
        index, *block = self.blocks[rng.integers(len(self.blocks))]
        row, column = self._near(rng, index, np.array(block))
        return self.skies[index].patch(row, column, self.size, turns=int(rng.integers(4)), mirrored=rng.random() < 0.5)

    def unseen(self, count: int) -> list[dict[str, np.ndarray]]:
        """At most so many blocks for validation, spread evenly."""
        kept = np.concatenate([_numbered(index, blocks) for index, blocks in enumerate(self.kept)])
        chosen = np.unique(np.linspace(0, len(kept) - 1, count).astype(int))
        return [self.skies[index].patch(row, column, self.size) for index, row, column in kept[chosen]]

    def _near(self, rng, index, block) -> np.ndarray:
        """Corner of a patch to train on, at most a block away from one."""
        low = np.fmax(block - self.size, 0)
        high = np.fmin(block, np.array(self.skies[index].seen.shape) - 2 * self.size) + self.size
        for _ in range(TRIES):
            corner = rng.integers(low, high + 1)
            if self.is_free(index, *corner):
                return corner
        return block

    def is_free(self, index: int, row: int, column: int) -> bool:
        """Whether the patch with this corner, of the image of this number, is one to train on."""
        touched = np.abs(self.kept[index] - (row, column)).max(axis=1) < self.size
        return not touched.any() and _shows(self.skies[index], row, column, self.size)


@dataclass(frozen=True)
class _Sky:
    """An image on the grid of the network: in units of its noise, where it is not blank, labels, sources, beam."""

    name: str
    significance: np.ndarray
    seen: np.ndarray
    labels: np.ndarray
    sources: Sources
    beam: float

    def patch(self, row, column, size, *, turns=0, mirrored=False) -> dict[str, np.ndarray]:
        """The input of the network and the answers asked for."""
        box = np.s_[row : row + size, column : column + size]
        significance, seen, labels = (
            _turned(values[box], turns, mirrored=mirrored) for values in (self.significance, self.seen, self.labels)
        )
        sources = self.sources.moved(-column, -row)
        inside = np.fmin(sources.x, sources.y) > -MARGIN
        inside &= np.fmax(sources.x, sources.y) < size + MARGIN
        inside[np.unique(labels[labels > 0]) - 1] = True
        number = np.append(0, np.where(inside, np.cumsum(inside), 0))
        targets = source_targets(
            sources[inside].turned(turns, size, mirrored=mirrored), number[labels], seen, self.beam
        )
        return {"image": network_input(significance, self.beam), **targets}


def _turned(values, turns, *, mirrored) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(values[:, ::-1] if mirrored else values, turns))


def _read(image, truth) -> _Sky:
    """An image and its truth, on the grid of the network."""
    image = standardize(read_image(image))
    known = read_truth(truth, image=image)
    if known.labels is None:
        msg = f"The truth of {image.meta['name']} has neither fluxes nor outlines: there is nothing to learn from."
        raise UsageError(msg)
    beam = beam_covariance(image.meta.get("beam"), image.wcs)
    grid = choose_grid(image.shape, beam)
    seen = np.ones(image.shape, dtype=bool) if image.mask is None else ~image.mask
    row = np.zeros(int(max(known.catalog["label"].max(), 0)) + 1 if len(known) else 1, dtype=np.int32)
    row[known.catalog["label"]] = np.arange(1, len(known) + 1)
    return _Sky(
        image.meta["name"],
        grid.sample(significance(image)),
        _nearest(grid, seen),
        _nearest(grid, row[known.labels]),
        _sources(known, image, grid, beam),
        grid.beam,
    )


def _nearest(grid: Grid, values: np.ndarray) -> np.ndarray:
    """Values of the image at the pixels of the grid without any in between; 0 outside."""
    if grid.same:
        return values
    inverse = np.linalg.inv(grid.matrix)
    offset = -inverse @ grid.offset
    return ndimage.affine_transform(values, inverse[::-1, ::-1], offset[::-1], grid.shape, order=0, cval=0)


def _sources(truth: Truth, image, grid: Grid, beam) -> Sources:
    """The rows of a truth catalogue in pixels of the grid, in units of the local noise and of the beam."""
    catalog = truth.catalog
    x, y = catalog["x_centroid"].value, catalog["y_centroid"].value
    row, column = (
        np.clip(np.rint(at).astype(int), 0, length - 1) for at, length in zip((y, x), image.shape, strict=True)
    )
    rms = noise_of(image)[0][row, column]
    own = np.eye(2) * (CANONICAL_BEAM / FWHM_PER_SIGMA) ** 2 if beam is None else beam
    area = 2 * np.pi * np.sqrt(np.linalg.det(own)) * flux_scale(image)[0]
    major, minor, pa = (catalog[f"deconvolved_{name}"].value for name in ("major", "minor", "pa"))
    size = covariance_from_fwhm(major, np.where(np.isfinite(minor), minor, major), np.nan_to_num(pa))
    size = grid.matrix @ pixel_covariance(size, image.wcs, x, y) @ grid.matrix.T
    peak = catalog["peak_flux"].value / rms
    u, v = grid.matrix @ np.stack([x, y]) + grid.offset[:, None]
    return Sources(
        x=u,
        y=v,
        peak=np.where(np.isfinite(peak), peak, np.inf),  # what was drawn by hand was seen
        flux=catalog["flux"].value / area / rms,
        size=np.stack([size[:, 0, 0], size[:, 0, 1], size[:, 1, 1]], axis=1) / (grid.beam / FWHM_PER_SIGMA) ** 2,
    )


def _split(sky: _Sky, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners (row, column) of the blocks around which to train, and of those for validation."""
    height, width = sky.seen.shape
    corners = np.argwhere(np.ones((height // size, width // size), dtype=bool)) * size
    blocks = corners[[_shows(sky, row, column, size) for row, column in corners]]
    if len(blocks) < 2:
        msg = (
            f"{sky.name} has {width} x {height} pixels at the sampling that the network knows, and "
            f"{np.mean(~sky.seen):.0%} of them are blank: too few to train and to validate on patches of {size}. "
            "Choose a smaller size."
        )
        raise UsageError(msg)
    kept = np.zeros(len(blocks), dtype=bool)
    kept[UNSEEN - 1 :: UNSEEN] = True
    kept[-1] |= not kept.any()
    return blocks[~kept], blocks[kept]


def _shows(sky: _Sky, row: int, column: int, size: int) -> bool:
    """Whether a patch shows something."""
    return bool(np.mean(sky.seen[row : row + size, column : column + size]) >= LEAST_SEEN)


def _numbered(index: int, corners: np.ndarray) -> np.ndarray:
    """Corners with the number of their image in front."""
    return np.insert(corners, 0, index, axis=1)
