"""Dirty maps to train on, with their truth: flares behind grids, and radio fields seen by arrays of antennas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroseg.beam import FWHM_PER_SIGMA

__all__ = ["DirtySky", "Gaussians", "SimulatedSkies", "draw_dirty_sky"]

#: Pixels: full width at half maximum of the restoring beams.
BEAMS = (2.5, 9.0)
RADIO = 0.3  # share of the examples
STIX = 0.6  # share of the flares that are seen by the grids of STIX (Massa et al. 2023, Sol. Phys. 298, 114)
#: Of flares with one, two and three sources: as many of each, and as they would come.
BALANCED, UNBALANCED = (1 / 3, 1 / 3, 1 / 3), (0.9, 0.08, 0.02)
ARC = 15  # Gaussians in a loop
VALIDATION = 7_000_001  # a seed that no training has

Covariance = np.ndarray


@dataclass(frozen=True)
class Gaussians:
    """What a sky consists of.

    Parameters
    ----------
    x, y : 1-D `~numpy.ndarray`, pixels
        Positions from the middle of the map.
    covariance : 2-D `~numpy.ndarray`, shape (n, 3), square pixels
        xx, xy, yy.
    flux : 1-D `~numpy.ndarray`
    """

    x: np.ndarray
    y: np.ndarray
    covariance: Covariance
    flux: np.ndarray


@dataclass(frozen=True)
class DirtySky:
    """What is seen of a sky, and what is there. The dirty beam is 1 in its middle.

    Parameters
    ----------
    dirty : 2-D `~numpy.ndarray`, shape (n, n)
        Dirty map, in flux per dirty beam.
    psf : 2-D `~numpy.ndarray`, shape (2 n - 1, 2 n - 1)
        Dirty beam.
    beam : 2-D `~numpy.ndarray`, shape (2 n - 1, 2 n - 1)
        Restoring beam.
    truth : 2-D `~numpy.ndarray`, shape (n, n)
        The sky convolved with the restoring beam, in flux per beam.
    noise : float
        Standard deviation of the noise in the dirty map.
    sources : Gaussians, optional
        Where they are known.
    """

    dirty: np.ndarray
    psf: np.ndarray
    beam: np.ndarray
    truth: np.ndarray
    noise: float
    sources: Gaussians | None = None


def draw_dirty_sky(
    rng: np.random.Generator,
    size: int,
    *,
    radio: float = RADIO,
    balanced: bool = True,
    beams: tuple[float, float] = BEAMS,
) -> DirtySky:
    """Draw a sky and observe it.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    size : int, pixels
        Side of the map.
    radio : float
        Probability of a radio field; otherwise it is a flare.
    balanced : bool
        As many flares of two and of three sources as of one; otherwise nine in ten have one.
    beams : (float, float), pixels
        Narrowest and widest restoring beam, full widths at half maximum.

    Returns
    -------
    DirtySky
    """
    width = float(np.exp(rng.uniform(*np.log(beams))))
    if rng.uniform() < radio:
        return _radio(rng, size, width)
    return _flare(rng, size, width, BALANCED if balanced else UNBALANCED)


def _flare(rng, size, width, shares) -> DirtySky:
    """Seen by a few grids: all visibilities weigh the same, and have the same noise."""
    along_u, along_v = _grids(rng) / width  # per pixel; the finest grids resolve the width
    middle = size / 2 - 1.5 * width
    sources = _flare_sources(rng, width, min(middle, 5 * width), shares)
    counts = np.exp(rng.uniform(np.log(500), np.log(20000)))
    error = np.sqrt(counts) * 1.57 / counts  # of a total flux of 1; see `astroseg.simulate.xray`
    value = _visibilities(sources, along_u, along_v)
    value += error * (rng.normal(size=value.size) + 1j * rng.normal(size=value.size))
    steps = np.arange(size) - (size - 1) / 2
    wide = np.arange(1 - size, size)
    covariance = np.array([1.0, 0.0, 1.0]) * (width / FWHM_PER_SIGMA) ** 2
    return DirtySky(
        _transform(along_u, along_v, value, steps),
        _transform(along_u, along_v, np.ones(value.size), wide),
        _gaussian(covariance, wide, wide),
        _restored(sources, covariance, steps),
        float(error / np.sqrt(value.size)),
        sources,
    )


def _grids(rng) -> np.ndarray:
    """Spatial frequencies (u, v) in units of half of the finest resolution, shape (2, n)."""
    if rng.uniform() < STIX:
        coarsest, resolutions, angles, first, turn = 12.23, 8, 3, np.radians(50), np.radians(-20)
        jitter = 0.01
    else:
        coarsest, resolutions = np.exp(rng.uniform(np.log(6), np.log(25))), int(rng.integers(5, 11))
        angles, first, turn = int(rng.integers(3, 9)), rng.uniform(0, np.pi), rng.uniform(0, np.pi)
        jitter = rng.choice([0.01, 0.1])
    frequency = np.repeat(0.5 / np.geomspace(1, coarsest, resolutions), angles)
    angle = first + np.repeat(turn * np.arange(resolutions), angles)
    angle += np.tile(np.pi / angles * np.arange(angles), resolutions) + jitter * rng.normal(size=angle.size)
    return frequency * np.stack([np.cos(angle), np.sin(angle)])


def _flare_sources(rng, width, reach, shares) -> Gaussians:
    """One to three footpoints and loops, not within a beam of each other; total flux 1."""
    number = 1 + int(rng.choice(3, p=shares))
    flux = rng.uniform(0.2, 1.0, number)
    centres = _apart(rng, number, reach, rng.uniform(1.0, 1.6) * width)
    groups = [(_loop if rng.uniform() < 0.35 else _footpoint)(rng, width) for _ in range(number)]
    x, y, covariance, share = (np.concatenate([group[index] for group in groups]) for index in range(4))
    belongs = np.repeat(np.arange(number), [len(group[0]) for group in groups])
    return Gaussians(x + centres[belongs, 0], y + centres[belongs, 1], covariance, share * flux[belongs] / flux.sum())


def _apart(rng, number, reach, least) -> np.ndarray:
    """Points around a common middle, at least so far from each other; shape (number, 2)."""
    spread = rng.uniform(1.0, 2.5) * least
    while True:
        points = rng.uniform(-0.5, 0.5, 2) * reach + rng.uniform(-spread, spread, (number, 2))
        gaps = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))[np.triu_indices(number, 1)]
        if (gaps >= least).all():
            return np.clip(points, -reach, reach)
        spread *= 1.05


def _footpoint(rng, width):
    """One Gaussian."""
    major = rng.uniform(0.1, 0.5) * width
    minor, angle = major * rng.uniform(0.4, 1), rng.uniform(0, np.pi)
    return np.zeros(1), np.zeros(1), _turned(major, minor, angle)[None], np.ones(1)


def _loop(rng, width):
    """Round Gaussians along an arc, with their centroid in the middle."""
    radius, half, turn = rng.uniform(0.5, 1.5) * width, rng.uniform(0.5, 1.4), rng.uniform(0, 2 * np.pi)
    angle = turn + np.linspace(-half, half, ARC)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    covariance = np.tile([1.0, 0.0, 1.0], (ARC, 1)) * (rng.uniform(0.12, 0.3) * width) ** 2
    return x - x.mean(), y - y.mean(), covariance, np.full(ARC, 1 / ARC)


def _turned(major, minor, angle) -> Covariance:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array(
        [
            (major * cos) ** 2 + (minor * sin) ** 2,
            (major**2 - minor**2) * sin * cos,
            (major * sin) ** 2 + (minor * cos) ** 2,
        ]
    )


def _visibilities(sources, u, v) -> np.ndarray:
    xx, xy, yy = sources.covariance.T
    phase = 2j * np.pi * (np.outer(u, sources.x) + np.outer(v, sources.y))
    spread = np.outer(u**2, xx) + 2 * np.outer(u * v, xy) + np.outer(v**2, yy)
    return np.exp(phase - 2 * np.pi**2 * spread) @ sources.flux


def _transform(u, v, value, steps) -> np.ndarray:
    along_x, along_y = (np.exp(-2j * np.pi * np.outer(one, steps)) for one in (u, v))
    return ((along_y * value[:, None]).T @ along_x).real / value.size


def _gaussian(covariance, x, y) -> np.ndarray:
    """A Gaussian of peak 1 around the origin of two axes."""
    xx, xy, yy = covariance
    inverse = np.array([yy, -xy, xx]) / (xx * yy - xy**2)
    x, y = x[np.newaxis, :], y[:, np.newaxis]
    return np.exp(-0.5 * (inverse[0] * x**2 + 2 * inverse[1] * x * y + inverse[2] * y**2))


def _restored(sources, covariance, steps) -> np.ndarray:
    """The sky convolved with a Gaussian of peak 1."""
    total = np.zeros((steps.size, steps.size))
    area = np.sqrt(_determinant(covariance))
    for x, y, own, flux in zip(sources.x, sources.y, sources.covariance, sources.flux, strict=True):
        both = own + covariance
        total += flux * area / np.sqrt(_determinant(both)) * _gaussian(both, steps - x, steps - y)
    return total


def _determinant(covariance) -> float:
    return covariance[0] * covariance[2] - covariance[1] ** 2


def _radio(rng, size, width) -> DirtySky:
    """Seen by an array: each cell of the (u, v) plane weighs as much as there are visibilities in it."""
    weight = _coverage(rng, 2 * size, width)
    total = weight.sum()
    covariance = _main_lobe(weight)
    sources, noise = _radio_sources(rng, size, width)
    frequency = np.fft.fftfreq(2 * size)
    rows, columns = np.nonzero(weight)
    seen = np.zeros(weight.shape, dtype=complex)
    seen[rows, columns] = _visibilities(sources, -frequency[columns], -frequency[rows])
    white = np.fft.fft2(rng.normal(size=weight.shape)) / weight.shape[0]
    seen = weight * seen + noise * np.sqrt(weight * total) * white
    to_corner = np.exp(-1j * np.pi * frequency * (size - 1))  # positions are from the middle
    scale = weight.size / total
    dirty = np.fft.ifft2(seen * to_corner[:, np.newaxis] * to_corner).real * scale
    psf = np.roll(np.fft.ifft2(weight).real * scale, (size - 1, size - 1), (0, 1))
    wide = np.arange(1 - size, size)
    truth = _restored(sources, covariance, np.arange(size) - (size - 1) / 2)
    return DirtySky(dirty[:size, :size], psf[:-1, :-1], _gaussian(covariance, wide, wide), truth, noise, sources)


def _coverage(rng, cells, width) -> np.ndarray:
    """Visibilities in each cell of the (u, v) plane, for a main lobe of about this width; shape (cells, cells)."""
    antennas = int(rng.integers(7, 33))
    ground = rng.normal(size=(antennas, 2)) * rng.exponential(size=(antennas, 1)) ** rng.uniform(0, 1)
    baselines = (ground[:, np.newaxis] - ground)[np.triu_indices(antennas, 1)]
    angle = np.pi / 12 * np.arange(0, rng.uniform(0.05, 10), 0.1) + rng.uniform(0, np.pi)
    declination = np.sin(rng.uniform(0.5, np.pi / 2))  # foreshortens the tracks
    u = (baselines[:, :1] * np.cos(angle) + baselines[:, 1:] * np.sin(angle)).ravel()
    v = declination * (baselines[:, 1:] * np.cos(angle) - baselines[:, :1] * np.sin(angle)).ravel()
    rms = np.sqrt(np.mean(u**2 + v**2) / 2)
    scale = FWHM_PER_SIGMA / (2 * np.pi * width * rms) * cells
    column, row = (np.rint(np.concatenate([one, -one]) * scale).astype(int) for one in (u, v))
    inside = np.maximum(np.abs(column), np.abs(row)) < cells // 2
    weight = np.zeros((cells, cells))
    np.add.at(weight, (row[inside], column[inside]), 1.0)
    return weight ** rng.choice([1.0, 0.5])  # natural, and towards uniform


def _main_lobe(weight) -> Covariance:
    """Of the Gaussian that falls off as the dirty beam does in its middle."""
    frequency = 2 * np.pi * np.fft.fftfreq(weight.shape[0])
    share = weight / weight.sum()
    xx, yy = (share.sum(axis) @ frequency**2 for axis in (0, 1))
    xy = frequency @ share @ frequency
    return np.array([yy, -xy, xx]) / (xx * yy - xy**2)


def _radio_sources(rng, size, width) -> tuple[Gaussians, float]:
    """Points and Gaussians with many more faint ones, and the noise; the brightest has a flux of 1."""
    number = 1 + int(rng.exponential(0.02 * (size / width) ** 2))
    faintest = np.exp(rng.uniform(np.log(0.003), np.log(0.1)))
    flux = np.minimum(faintest * rng.uniform(size=number) ** (-1 / rng.uniform(0.6, 1.2)), 1)
    flux /= flux.max()
    size_of = np.where(rng.uniform(size=number) < 0.7, 0.02, rng.uniform(0.1, 0.8, number)) * width
    shapes = [_turned(major, major * rng.uniform(0.5, 1), rng.uniform(0, np.pi)) for major in size_of]
    x, y = rng.uniform(-0.5, 0.5, (2, number)) * size * 0.9
    return Gaussians(x, y, np.array(shapes), flux), float(faintest * np.exp(rng.uniform(-2.5, -0.7)))


@dataclass(frozen=True)
class SimulatedSkies:
    """Skies as `draw_dirty_sky` draws them.

    Parameters
    ----------
    size : int, pixels
        Side of the maps.
    radio : float
        Share of radio fields.
    balanced : bool
        As many flares of two and of three sources as of one.
    beams : (float, float), pixels
        Narrowest and widest restoring beam.
    """

    size: int
    radio: float
    balanced: bool
    beams: tuple[float, float] = BEAMS

    def draw(self, rng: np.random.Generator) -> DirtySky:
        """One to train on."""
        return draw_dirty_sky(rng, self.size, radio=self.radio, balanced=self.balanced, beams=self.beams)

    def unseen(self, count: int) -> list[DirtySky]:
        """To validate on: as many of two and of three sources as of one, in any case."""
        seeds = [np.random.default_rng([VALIDATION, index]) for index in range(count)]
        return [draw_dirty_sky(rng, self.size, radio=self.radio, beams=self.beams) for rng in seeds]
