"""Simulated radio skies to train on, each one drawn anew, and what the U-Net is to answer for them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from astroseg.background import significance
from astroseg.beam import FWHM_PER_SIGMA, Beam
from astroseg.simulate.field import RadioField, radio_field
from astroseg.simulate.populations import PRESETS, Population, RadioSettings
from astroseg_networks.normalisation import network_input
from astroseg_networks.targets import Sources, source_targets

__all__ = ["draw_noise", "draw_settings", "draw_sky", "sky_significance", "sky_targets"]

STRIPED = 0.12  # share of the skies

# What no preset has: large and smooth sources (nearby galaxies, halos, relics), and ones that are brighter by far than
# all others (calibrators). Their number, of all the others, is drawn from `SHARES`.
RARE = (
    Population(
        (("gaussian", 0.5), ("disk", 0.5)), 1.0, ((30.0, 0.5), (2e4, 0.0)), size=5.0, scatter=0.35, ratio=(0.55, 0.2)
    ),
    Population(
        (("point", 0.5), ("gaussian", 0.3), ("double", 0.2)), 1.0, ((300.0, 0.4), (5e4, 0.0)), size=1.0, scatter=0.4
    ),
)
SHARES = (0.0, 0.002, 0.02)

# Populations, how often they are taken, and the range of their density per megapixel at a beam of 2.5 pixels.
MIXTURE = (
    (PRESETS["sdc1"].populations, 0.42, (3000.0, 60000.0)),
    (PRESETS["compact"].populations, 0.13, (100.0, 4000.0)),
    (PRESETS["extended"].populations, 0.33, (200.0, 3000.0)),
    (PRESETS["compact"].populations, 0.12, (1.0, 200.0)),  # next to empty
)


def draw_settings(rng: np.random.Generator) -> RadioSettings:
    """Draw a kind of sky: populations, density, beam, noise and defects, in units of pixels and of the noise.

    The ranges contain what interferometers deliver, and more.
    """
    kind, _, (low, high) = MIXTURE[rng.choice(len(MIXTURE), p=[share for _, share, _ in MIXTURE])]
    beam = float(np.exp(rng.uniform(np.log(2.0), np.log(3.6))))
    density = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * (2.5 / beam) ** 2
    rare = (replace(population, share=float(rng.choice(SHARES))) for population in RARE)
    populations = tuple(_varied(rng, population) for population in (*kind, *rare))
    ringing = rng.random() < 0.4  # of uniform weights: a hole in the middle of the (u, v) plane
    return RadioSettings(
        populations,
        density=density,
        beam=beam,
        pixel=1.0,
        rms=1.0,
        noise_kernel=float(rng.uniform(0.85, 1.05) if ringing else rng.uniform(0.55, 1.02)),
        noise_ratio=float(rng.uniform(1.0, 1.15)),
        noise_hole=float(rng.uniform(0.9, 0.998)) if ringing else 0.0,
        noise_hole_width=float(rng.uniform(0.06, 0.2)) if ringing else 0.0,
        uneven=float(rng.choice([0.0, rng.uniform(0, 0.3)])),
        primary_beam=float(rng.choice([0.0, rng.uniform(250, 800)], p=[0.8, 0.2])),
        clean_depth=float(rng.uniform(5, 30)),
        sidelobes=float(rng.uniform(0, 0.015)),
        artefacts=float(rng.choice([0.0, 10 ** rng.uniform(-4, -1.5)], p=[0.3, 0.7])),
        zero_mean=bool(rng.random() < 0.7),
        blank=float(rng.choice([0.0, rng.uniform(0.05, 0.5)], p=[0.85, 0.15])),
    )


def _varied(rng: np.random.Generator, population: Population) -> Population:
    """The same kind of sources, but larger or smaller, and fewer or more faint ones."""
    tilt = rng.normal(0, 0.15)
    return replace(
        population,
        share=population.share * float(np.exp(rng.normal(0, 0.5))),
        size=population.size * float(np.exp(rng.normal(0, 0.3))),
        counts=tuple((flux, slope + tilt) for flux, slope in population.counts),
    )


def draw_sky(rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """Draw one example for the U-Net: its input (key ``image``) and the answers asked for (`sky_targets`)."""
    return _draw(rng, draw_settings(rng), size)


def draw_noise(rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """Draw an example like those of `draw_sky`, but without sources."""
    return _draw(rng, replace(draw_settings(rng), density=0.0), size)


def _draw(rng, settings, size) -> dict[str, np.ndarray]:
    field = radio_field(rng, settings, (size, size))
    if rng.random() < STRIPED:
        field.data[...] += _stripes(rng, size)
    return {
        "image": network_input(sky_significance(field, settings.beam), settings.beam),
        **sky_targets(field, settings),
    }


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wave over the whole image, in units of the noise: what a bad baseline leaves."""
    angle, length = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(8), np.log(120)))
    place = np.cos(angle) * np.arange(size) + np.sin(angle) * np.arange(size)[:, None]
    return (rng.uniform(0.1, 1.0) * np.sin(2 * np.pi * (place / length + rng.random()))).astype(np.float32)


def sky_significance(field: RadioField, beam: float) -> np.ndarray:
    """The field in units of its noise, measured as a finder would; 0 where blank."""
    mask = ~np.isfinite(field.data)
    image = CCDData(field.data, unit="Jy / beam", mask=mask if mask.any() else None)
    image.meta.update(beam=Beam(beam * u.pix, beam * u.pix), name="training", path=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return significance(image)


def sky_targets(field: RadioField, settings: RadioSettings) -> dict[str, np.ndarray]:
    """What the U-Net is to answer; see `astroseg_networks.targets.source_targets`.

    Parameters
    ----------
    field : `~astroseg.simulate.field.RadioField`
    settings : `~astroseg.simulate.populations.RadioSettings`
        With pixels of 1 arcsec.
    """
    variance = (settings.beam / FWHM_PER_SIGMA) ** 2
    sources = Sources(
        x=field.sources["x"],
        y=field.sources["y"],
        peak=field.parts.brightest() * (2 * np.pi * variance) / settings.rms,
        flux=field.sources["flux"] * field.sources["attenuation"] / settings.rms,
        size=(field.parts.moments() - variance * np.array([1.0, 0.0, 1.0])) / variance,
    )
    return source_targets(sources, field.labels, np.isfinite(field.data), settings.beam)
