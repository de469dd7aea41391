"""How many sources of which kind, how bright and how large: the populations, and the presets made of them.

Everything is in units of the noise and the beam, so that a preset looks alike at any depth and resolution. The
populations of SDC1 are those of its simulated sky, T-RECS (Bonaldi et al. 2019, MNRAS 482, 2), as the challenge drew
them at 560 MHz (Bonaldi et al. 2021, MNRAS 500, 3821): broken power laws and log-normals fitted to its public truth
catalogue, for the 1000-hour image with a noise of 0.334 uJy/beam and a beam of 1.5 arcsec.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from astroseg.errors import UsageError

__all__ = ["PRESETS", "Population", "RadioSettings", "draw_sources", "radio_settings"]


@dataclass(frozen=True)
class Population:
    """Sources of one kind.

    Parameters
    ----------
    kinds : tuple of (str, float)
        Shapes (`astroseg.simulate.morphology.KINDS`) and their shares.
    share : float
        Of all sources.
    counts : tuple of (float, float)
        Pairs of flux and slope: dN / dlnS falls as S to the power of minus the slope up to the next pair's flux;
        fluxes in units of the noise. The last pair is the end: no source is brighter.
    size : float, beams
        Median full width at half maximum, of the Gaussian of equal moments, of a source of 1 noise.
    growth : float
        Size grows as flux to this power.
    scatter : float, dex
        Of the size.
    smallest : float, beams
        Medians don't fall below it.
    ratio : (float, float)
        Mean and scatter of minor over major axis, drawn within 0.1 to 1.
    """

    kinds: tuple[tuple[str, float], ...]
    share: float
    counts: tuple[tuple[float, float], ...]
    size: float = 0.0
    growth: float = 0.0
    scatter: float = 0.0
    smallest: float = 0.0
    ratio: tuple[float, float] = (0.6, 0.2)


@dataclass(frozen=True)
class RadioSettings:
    """Everything that decides how a radio sky looks.

    Parameters
    ----------
    populations : tuple of Population
    density : float, sources per megapixel
        Mean number; the actual one is Poisson distributed.
    beam, pixel : float, arcsec
        Full width at half maximum of the round beam, side of a pixel.
    rms : float, Jy/beam
        Noise; its typical value where it varies.
    noise_kernel, noise_ratio, noise_hole, noise_hole_width : float
        Correlation of the noise, see `astroseg.simulate.noise.correlated_noise`; widths in beams.
    uneven : float
        Scatter of the logarithm of the noise over the field.
    primary_beam : float, arcsec
        Full width of the Gaussian that attenuates sources away from the middle; 0 for none.
    clean_depth : float, in units of the noise
        CLEAN stopped here: what is fainter keeps its sidelobes.
    sidelobes : float
        First sidelobe of the dirty beam, relative to its peak.
    artefacts : float
        Error of the calibration: sources above the clean depth keep sidelobes of their peak times a random number
        of this standard deviation.
    zero_mean : bool
        The mean of the image is 0, as that of an interferometer without total power.
    blank : float
        Share of the image that is beyond the edge of the mosaic, NaN.
    isophote : float, in units of the noise
        Level that bounds the truth labels.
    """

    populations: tuple[Population, ...] = field(repr=False)
    density: float
    beam: float = 1.5
    pixel: float = 0.6
    rms: float = 4e-7
    noise_kernel: float = 0.65
    noise_ratio: float = 1.0
    noise_hole: float = 0.0
    noise_hole_width: float = 0.0
    uneven: float = 0.0
    primary_beam: float = 0.0
    clean_depth: float = 20.0
    sidelobes: float = 0.0
    artefacts: float = 0.0
    zero_mean: bool = False
    blank: float = 0.0
    isophote: float = 2.0

    def __post_init__(self) -> None:
        positive, shares = ("beam", "pixel", "rms", "noise_kernel", "noise_ratio", "isophote"), ("noise_hole", "blank")
        for name, value in vars(self).items():
            if name == "populations":
                continue
            least_excluded = name in positive
            if not (np.isfinite(value) and (value > 0 if least_excluded else value >= 0)):
                _refuse(name, value, "positive" if least_excluded else "zero or positive")
            if name in shares and not value < 1:
                _refuse(name, value, "at least 0 and below 1")
        if self.beam < 1.5 * self.pixel:
            msg = (
                f"A beam of {self.beam} arcsec needs pixels of at most {self.beam / 1.5:.4g} arcsec, not {self.pixel}."
            )
            raise UsageError(msg)


def _refuse(name, value, accepted):
    msg = f"The option '{name}' is {value}; it must be {accepted}."
    raise UsageError(msg)


STAR_FORMING = Population(
    (("disk", 1.0),), 0.95, ((0.27, 0.39), (3.0, 0.58), (15.0, 0.8), (70.0, 1.4), (3000.0, 0.0)),
    size=0.10, growth=0.47, scatter=0.25, smallest=0.09, ratio=(0.55, 0.14),
)  # fmt: skip
FLAT_SPECTRUM = Population((("point", 1.0),), 0.02, ((0.3, 0.9), (3.0, 0.3), (320.0, 0.0)))
STEEP_SPECTRUM = Population(
    (("gaussian", 0.5), ("plume", 0.25), ("double", 0.25)), 0.03,
    ((0.03, 0.0), (0.16, 0.45), (6.4, 0.25), (4800.0, 0.0)),
    size=3.5, scatter=0.38, ratio=(0.6, 0.17),
)  # fmt: skip
COMPACT = (
    Population((("point", 1.0),), 0.7, ((3.0, 1.6), (3000.0, 0.0))),
    Population((("gaussian", 1.0),), 0.3, ((3.0, 1.6), (3000.0, 0.0)), size=1.4, scatter=0.2, ratio=(0.65, 0.2)),
)
EXTENDED = (
    Population((("disk", 1.0),), 0.7, ((1.0, 1.0), (300.0, 0.0)), size=0.5, growth=0.3, scatter=0.25),
    Population((("double", 0.5), ("plume", 0.5)), 0.3, ((30.0, 0.6), (10000.0, 0.0)), size=5.0, scatter=0.3,
               ratio=(0.45, 0.1)),
)  # fmt: skip
SDC1_NOISE = {"noise_kernel": 0.97, "noise_ratio": 1.12, "noise_hole": 0.993, "noise_hole_width": 0.12}

#: Name -> settings of a kind of field.
PRESETS = {
    "compact": RadioSettings(COMPACT, 1000.0),
    "sdc1": RadioSettings(
        (STAR_FORMING, FLAT_SPECTRUM, STEEP_SPECTRUM), 17700.0, pixel=0.604, rms=3.34e-7, **SDC1_NOISE,
        clean_depth=24.0, sidelobes=0.003, artefacts=0.002, zero_mean=True,
    ),
    "crowded": RadioSettings(
        (STAR_FORMING, FLAT_SPECTRUM, STEEP_SPECTRUM), 50000.0, clean_depth=10.0, sidelobes=0.01, artefacts=0.01,
        zero_mean=True,
    ),
    "extended": RadioSettings(EXTENDED, 1200.0, clean_depth=10.0, sidelobes=0.005, artefacts=0.01, uneven=0.1),
}  # fmt: skip


def radio_settings(preset: str, **changes: float) -> RadioSettings:
    """Settings of a preset, some of them changed.

    Parameters
    ----------
    preset : str
        A key of `PRESETS`.
    **changes
        Fields of `RadioSettings`.

    Raises
    ------
    UsageError
        When there is no such preset or field, or a value makes no sense.
    """
    if preset not in PRESETS:
        msg = f"There is no preset '{preset}'. Choose from {', '.join(PRESETS)}."
        raise UsageError(msg)
    known = vars(PRESETS[preset])
    unknown = sorted(set(changes) - set(known))
    if unknown:
        msg = f"There is no option '{unknown[0]}'. Options: {', '.join(known)}."
        raise UsageError(msg)
    return RadioSettings(**{**known, **changes})


def draw_sources(rng: np.random.Generator, settings: RadioSettings, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Draw the sources of a field.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    settings : RadioSettings
    shape : (int, int)
        (ny, nx).

    Returns
    -------
    dict of 1-D `~numpy.ndarray`
        ``kind``, ``x``, ``y`` (0-based pixels), ``flux`` (Jy, intrinsic), ``size`` (arcsec, full width at half maximum
        of the Gaussian of equal moments), ``ratio`` and ``pa`` (degrees).
    """
    shares = np.array([population.share for population in settings.populations])
    total = rng.poisson(settings.density * shape[0] * shape[1] / 1e6)
    numbers = rng.multinomial(total, shares / shares.sum())
    drawn = [_draw(rng, population, n) for population, n in zip(settings.populations, numbers, strict=True)]
    sources = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
    sources["flux"] *= settings.rms
    sources["size"] *= settings.beam
    sources["x"], sources["y"] = (rng.uniform(-0.5, length - 0.5, size=total) for length in shape[::-1])
    sources["pa"] = rng.uniform(0, 180, size=total)
    return sources


def _draw(rng, population, n) -> dict[str, np.ndarray]:
    flux = draw_fluxes(rng, population.counts, n)
    median = np.fmax(population.size * flux**population.growth, population.smallest)
    kinds, shares = zip(*population.kinds, strict=True)
    kind = rng.choice(np.array(kinds), size=n, p=np.array(shares) / sum(shares))
    return {
        "kind": kind,
        "flux": flux,
        "size": median * 10 ** (population.scatter * rng.standard_normal(n)),
        "ratio": np.clip(rng.normal(*population.ratio, size=n), 0.1, 1.0),
    }


def draw_fluxes(rng: np.random.Generator, counts: tuple[tuple[float, float], ...], n: int) -> np.ndarray:
    """Fluxes that follow a broken power law, by inversion of its integral.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    counts : tuple of (float, float)
        As in `Population`.
    n : int
    """
    flux, slope = np.array(counts).T
    ends, slope = np.log(flux), slope[:-1]
    steps = np.diff(ends)
    height = np.exp(-np.concatenate([[0.0], np.cumsum(slope * steps)[:-1]]))
    flat = np.abs(slope) < 1e-9
    safe = np.where(flat, 1.0, slope)
    area = height * np.where(flat, steps, -np.expm1(-safe * steps) / safe)
    piece = rng.choice(area.size, size=n, p=area / area.sum())
    uniform = rng.uniform(size=n)
    bent = -np.log1p(uniform * np.expm1(-safe * steps)[piece]) / safe[piece]
    return np.exp(ends[piece] + np.where(flat[piece], uniform * steps[piece], bent))
