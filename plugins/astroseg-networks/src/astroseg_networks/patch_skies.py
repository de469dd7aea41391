"""Patches of simulated skies, and their masks, for the networks that see no more than a patch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from astroseg.simulate.field import RadioField, radio_field
from astroseg.simulate.populations import RadioSettings
from astroseg_networks.patches import BEAMS
from astroseg_networks.skies import draw_settings, sky_significance

__all__ = ["SKY", "draw_patches", "draw_wide_settings", "draw_wide_sky"]

#: Pixels: side of the skies, a few cells of the mesh that background and noise are measured in.
SKY = 192
ON_SOURCES = 0.5  # share of the patches that hold a source for sure


def draw_patches(rng: np.random.Generator, size: int, count: int) -> dict[str, np.ndarray]:
    """Draw a sky and take patches of it.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    size : int, pixels
        Side of a patch.
    count : int
        Number of patches.

    Returns
    -------
    dict of `~numpy.ndarray` of float32, shape (count, size, size)
        ``image``: asinh(image over noise). ``segmentation``: 1 where the noise-free sky is brighter than twice the
        noise. ``weight``: 0 where blank.
    """
    field, image = draw_wide_sky(rng)
    whole = {"image": image, "segmentation": field.labels > 0, "weight": np.isfinite(field.data)}
    corners = _corners(rng, field.labels, size, count)
    return {
        name: np.stack([values[y : y + size, x : x + size] for y, x in corners]).astype(np.float32)
        for name, values in whole.items()
    }


def draw_wide_sky(rng: np.random.Generator) -> tuple[RadioField, np.ndarray]:
    """Draw a sky of the kinds of `draw_wide_settings`.

    Parameters
    ----------
    rng : `~numpy.random.Generator`

    Returns
    -------
    field : `~astroseg.simulate.field.RadioField`
        `SKY` pixels wide and high.
    image : `~numpy.ndarray` of float32, shape (ny, nx)
        asinh(image over noise), 0 where blank.
    """
    settings = draw_wide_settings(rng)
    field = radio_field(rng, settings, (SKY, SKY))
    return field, np.arcsinh(sky_significance(field, settings.beam))


def draw_wide_settings(rng: np.random.Generator) -> RadioSettings:
    """Draw a kind of sky with a beam out of a wider range than `astroseg_networks.skies.draw_settings` has."""
    settings = draw_settings(rng)
    # At the same number of sources per beam.
    beam = float(np.exp(rng.uniform(*np.log(BEAMS))))
    return replace(settings, beam=beam, density=settings.density * (settings.beam / beam) ** 2)


def _corners(rng, labels, size, count) -> np.ndarray:
    """First row and column of each patch, some of them around a source: each source is as likely as any other."""
    corners = rng.integers(0, SKY - size + 1, (count, 2))
    inside = np.flatnonzero(labels)
    first = inside[np.unique(labels.ravel()[inside], return_index=True)[1]]
    if first.size:
        chosen = rng.choice(first, int(ON_SOURCES * count))
        around = np.stack(np.unravel_index(chosen, labels.shape), axis=1) - rng.integers(0, size, (chosen.size, 2))
        corners[: chosen.size] = np.clip(around, 0, SKY - size)
    return corners
