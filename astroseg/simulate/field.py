"""A radio field as plain arrays: fast enough to be made anew for every step of a training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.simulate.morphology import make_parts
from astroseg.simulate.noise import correlated_noise, sidelobe_map, uneven
from astroseg.simulate.populations import RadioSettings, draw_sources
from astroseg.simulate.stamps import Parts, draw_stamps

__all__ = ["RadioField", "draw_parts", "radio_field"]

SMALL = 0.4  # beams (sigma over sigma): a smaller source, convolved, is a Gaussian within 1 %
FAINT = 3.0  # times the noise: the shape of a fainter source is lost in it


@dataclass(frozen=True)
class RadioField:
    """A radio field.

    Parameters
    ----------
    data : 2-D `~numpy.ndarray` of float32, Jy/beam
        The image, NaN where blank.
    model : 2-D `~numpy.ndarray` of float32, Jy/beam
        The sources alone, convolved with the beam: no noise and no sidelobes.
    labels : 2-D `~numpy.ndarray` of int32
        1 + index of the source that is the brightest, where the model is above the isophote.
    rms : 2-D `~numpy.ndarray` of float32, Jy/beam
        Noise of each pixel.
    sources : dict of 1-D `~numpy.ndarray`
        As `~astroseg.simulate.populations.draw_sources` returns it, and ``attenuation`` by the primary beam.
    parts : `~astroseg.simulate.stamps.Parts`
        What the sources consist of, attenuated, convolved with the beam.
    """

    data: np.ndarray
    model: np.ndarray
    labels: np.ndarray
    rms: np.ndarray
    sources: dict[str, np.ndarray]
    parts: Parts


def radio_field(rng: np.random.Generator, settings: RadioSettings, shape: tuple[int, int]) -> RadioField:
    """Make a radio field.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        In the same state it gives the same field.
    settings : `~astroseg.simulate.populations.RadioSettings`
    shape : (int, int)
        (ny, nx).

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.simulate.field import radio_field
    >>> from astroseg.simulate.populations import PRESETS
    >>> field = radio_field(np.random.default_rng(1), PRESETS["sdc1"], (64, 64))
    >>> field.data.shape, field.data.dtype
    ((64, 64), dtype('float32'))
    """
    rms = _rms(rng, settings, shape)
    blank = _blank(rng, shape, settings.blank)
    sources = _seen(draw_sources(rng, settings, shape), blank)
    sources, parts = draw_parts(rng, settings, sources, shape)
    beam = settings.beam / settings.pixel
    # Jy/beam over Jy per square pixel.
    area = 2 * np.pi * (beam / FWHM_PER_SIGMA) ** 2
    model, owner = draw_stamps(shape, sources["x"], sources["y"], parts, settings.rms / area)
    model *= np.float32(area)
    labels = np.where((model > settings.isophote * rms) & ~blank, owner, np.int32(0))
    data = model + rms * _noise(rng, settings, shape, beam)
    if settings.sidelobes or settings.artefacts:
        data += sidelobe_map(_wrong(rng, settings, model, sources, area), beam)
    if settings.zero_mean:
        data -= model.mean()
    data[blank] = np.nan
    return RadioField(data, model, labels, rms, sources, parts)


def draw_parts(
    rng: np.random.Generator, settings: RadioSettings, sources: dict[str, np.ndarray], shape: tuple[int, int]
) -> tuple[dict[str, np.ndarray], Parts]:
    """Give sources their shapes.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    settings : `~astroseg.simulate.populations.RadioSettings`
    sources : dict of 1-D `~numpy.ndarray`
        From `~astroseg.simulate.populations.draw_sources`.
    shape : (int, int)
        Of the image, (ny, nx).

    Returns
    -------
    sources : dict of 1-D `~numpy.ndarray`
        In the order of their parts, with their ``attenuation``.
    parts : `~astroseg.simulate.stamps.Parts`
        Attenuated, and convolved with the beam.
    """
    beam = settings.beam / settings.pixel / FWHM_PER_SIGMA
    sigma = sources["size"] / settings.pixel / FWHM_PER_SIGMA
    pa = np.radians(sources["pa"])
    simple = (sigma < SMALL * beam) | (sources["flux"] < FAINT * settings.rms)
    parts, order = make_parts(rng, sources["kind"], sources["flux"], sigma, sources["ratio"], pa, simple)
    sources = {name: values[order] for name, values in sources.items()}
    sources["attenuation"] = _attenuation(settings, shape, sources["x"], sources["y"])
    return sources, parts.scaled(sources["attenuation"]).smeared(beam**2)


def _rms(rng, settings, shape) -> np.ndarray:
    rms = np.full(shape, settings.rms, dtype=np.float32)
    return rms * uneven(rng, shape, settings.uneven) if settings.uneven else rms


def _noise(rng, settings, shape, beam) -> np.ndarray:
    return correlated_noise(
        rng, shape, settings.noise_kernel * beam, ratio=settings.noise_ratio,
        hole=settings.noise_hole, hole_width=settings.noise_hole_width * beam,
    )  # fmt: skip


def _blank(rng, shape, share) -> np.ndarray:
    """Everything on one side of a straight line at a random angle."""
    if not share:
        return np.zeros(shape, dtype=bool)
    angle = rng.uniform(0, 2 * np.pi)
    distance = np.sin(angle) * np.arange(shape[0])[:, None] + np.cos(angle) * np.arange(shape[1])
    return distance > np.quantile(distance, 1 - share)


def _seen(sources, blank) -> dict[str, np.ndarray]:
    """Sources that the mosaic covers."""
    column, row = (np.rint(sources[name]).astype(np.intp) for name in ("x", "y"))
    inside = ~blank[np.clip(row, 0, blank.shape[0] - 1), np.clip(column, 0, blank.shape[1] - 1)]
    return {name: values[inside] for name, values in sources.items()}


def _attenuation(settings, shape, x, y) -> np.ndarray:
    if not settings.primary_beam:
        return np.ones(x.size)
    radius = np.hypot(x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2) * settings.pixel
    return np.exp(-0.5 * (radius * FWHM_PER_SIGMA / settings.primary_beam) ** 2)


def _wrong(rng, settings, model, sources, area) -> np.ndarray:
    """Brightness whose sidelobes are still in the image: what CLEAN left, and calibration errors of what it took."""
    depth = np.float32(settings.clean_depth * settings.rms)
    wrong = np.minimum(model, depth) * np.float32(settings.sidelobes / area)
    column, row = (
        np.clip(np.rint(sources[name]).astype(np.intp), 0, length - 1)
        for name, length in zip(("x", "y"), model.shape[::-1], strict=True)
    )
    peak = np.where(sources["flux"] > depth, model[row, column], 0)
    error = settings.artefacts * rng.standard_normal(peak.size) * peak * (peak > depth)
    np.add.at(wrong, (row, column), error.astype(np.float32))
    return wrong
