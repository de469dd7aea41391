"""Single irregular objects with what surrounds them, in the skies that astroseg simulates, drawn in milliseconds.

``solar``
    Sunspots, coronal holes, filaments, ribbons and active regions: their own brightness on a rough surface, with
    others beside them. The truth is the object itself.
``group``
    Sunspots and active regions with others of their kind that touch them.
``radio``
    Galaxies with lobes or plumes, of the shapes of `astroseg.simulate.morphology`, in noise with the autocorrelation
    of a dirty beam. The truth is where the sky without noise is brighter than twice the noise.
``optical``
    Galaxies with arms, tails and clumps, and stars, in white noise. The truth is the same isophote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.simulate.morphology import make_parts
from astroseg.simulate.noise import correlated_noise, uneven
from astroseg.simulate.stamps import Parts, draw_stamps
from astroseg_networks.irregular_shapes import EIGHT, central_part, random_field, random_level

__all__ = ["DOMAINS", "Scene", "draw_scene"]

ISOPHOTE = 2.0  # in units of the noise
LENGTHS = 12.0, 200.0  # pixels, of the objects
LEAST = 40  # pixels of an object
APART = 2  # pixels between the two ribbons of a flare
TRIES = 50
ROOM = 1.6  # side of a scene over the length of its object
RIM = 14  # pixels more
TWINS = 0.8  # share of the winding lines that have a second one beside them
QUIET = 30.0  # the disk of the Sun over the noise of its surface
LIMBS = 0.15  # share of the scenes of the Sun that show its limb
FLATTER = 0.3, 1.0  # power that is taken of the surface brightness


@dataclass(frozen=True)
class Scene:
    """An object, and the image that shows it.

    Parameters
    ----------
    image : 2-D `~numpy.ndarray` of float32
        In units of its noise.
    mask : 2-D `~numpy.ndarray` of bool
        The object.
    domain : str
    snr : float
        Brightness of the object over the noise: that of its peak, of solar features that of the whole.
    """

    image: np.ndarray
    mask: np.ndarray
    domain: str
    snr: float


def draw_scene(rng: np.random.Generator, domain: str | None = None, *, snr: tuple[float, float] = (3.0, 30.0)) -> Scene:
    """Draw an object.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    domain : str, optional
        A key of `DOMAINS`; by default one of them at random.
    snr : (float, float)
        Range of the signal to noise, in which its logarithm is uniform.
    """
    domain = str(rng.choice(list(DOMAINS))) if domain is None else domain
    for _ in range(TRIES):
        length = float(np.exp(rng.uniform(*np.log(LENGTHS))))
        ratio = float(np.exp(rng.uniform(*np.log(snr))))
        image, mask = DOMAINS[domain](rng, length, ratio)
        if np.count_nonzero(mask) >= LEAST and _extended(mask):
            break
    return Scene(image.astype(np.float32, copy=False), mask, domain, ratio)


def _extended(mask) -> bool:
    """Whether an object is more than three pixels high and wide, and long enough."""
    sides = [np.count_nonzero(mask.any(axis=axis)) for axis in (0, 1)]
    return bool(min(sides) > 3 and max(sides) >= LENGTHS[0])


def _room(rng, length) -> tuple[tuple[int, int], tuple[float, float]]:
    """Shape of a scene, and where in it the object is."""
    shape = tuple((np.array([ROOM, ROOM]) * length * rng.uniform(0.95, 1.15, 2) + 2 * RIM).astype(int).tolist())
    slack = np.array([shape[1] - 1.3 * length, shape[0] - 1.3 * length]) / 2
    offset = rng.uniform(-1, 1, 2) * np.fmax(slack, 0)
    if rng.random() < 0.15:
        offset *= 2.5  # some are cut by the edge of the image
    return shape, tuple((np.array(shape[::-1]) / 2 + offset).tolist())


# The Sun


@dataclass(frozen=True)
class _Feature:
    """What a kind of feature looks like.

    Share of winding lines; sign of its brightness; softness of its border in pixels; slope of the power of the surface;
    probability of a core that differs more, and of saturation.
    """

    thin: float
    sign: int
    soft: tuple[float, float]
    slope: tuple[float, float]
    core: float = 0.0
    saturated: float = 0.0


SOLAR = {
    "spot": _Feature(0.0, -1, (0.3, 1.5), (0.0, 1.0), core=0.7),
    "hole": _Feature(0.1, -1, (0.5, 3.0), (1.0, 3.0)),
    "filament": _Feature(1.0, -1, (0.5, 2.0), (0.5, 2.0)),
    "ribbon": _Feature(0.9, 1, (0.1, 2.0), (0.5, 2.0), core=0.3, saturated=0.5),
    "region": _Feature(0.1, 1, (0.5, 3.0), (1.0, 3.0), core=0.4, saturated=0.1),
}
GROUPED = ["spot", "region"]


def _solar(rng, length, snr, *, grouped=False) -> tuple[np.ndarray, np.ndarray]:
    feature = SOLAR[str(rng.choice(GROUPED if grouped else list(SOLAR)))]
    shape, centre = _room(rng, length)
    level = random_level(rng, shape, centre, length, thin=feature.thin)
    rivals = _rivals(rng, shape, centre, length) if grouped else []
    mask = central_part((level > 0) & (level >= np.max([level, *rivals], axis=0)), level)
    mask = ndimage.binary_fill_holes(mask) if rng.random() < 0.7 else mask
    blur = rng.uniform(*feature.soft)
    height = _softened(mask, blur) * (1 + rng.uniform(0, 0.3) * random_field(rng, shape, 2.0))
    for rival in rivals:  # of the same kind, brightness and softness: only the shapes tell the one from the other
        height = np.where(mask, height, np.fmax(height, _softened((rival > 0) | mask, blur)))
    if rng.random() < feature.core:
        deep = np.quantile(level[mask], rng.uniform(0.4, 0.85)) if mask.any() else np.inf
        core = np.any([mask & (level > deep), *((rival > deep) & ~mask for rival in rivals)], axis=0)
        height += rng.uniform(0.5, 3) * _softened(core, blur)
    for other, bright in _others(rng, shape, length, mask, feature):
        height = np.where(mask, height, height + bright * _softened(other, blur))
    surface = random_field(rng, shape, rng.uniform(*feature.slope), shortest=rng.uniform(1.0, 4.0))
    image = feature.sign * snr * height + surface + _slope_of_light(rng, mask, snr)
    if rng.random() < feature.saturated:
        image = _saturated(rng, image, snr)
    return _displayed(rng, image), mask


def _rivals(rng, shape, centre, length) -> list[np.ndarray]:
    """Others of its kind that touch an object: each pixel belongs to the one whose level is the highest there."""
    rivals = []
    for _ in range(int(rng.integers(1, 4))):
        angle, size = rng.uniform(0, 2 * np.pi), length * rng.uniform(0.6, 1.4)
        far = 0.5 * (length + size) * rng.uniform(0.7, 1.1)
        place = centre[0] + far * np.cos(angle), centre[1] + far * np.sin(angle)
        rivals.append(random_level(rng, shape, place, size))
    return rivals


def _softened(mask, blur) -> np.ndarray:
    return ndimage.gaussian_filter(mask.astype(np.float32), blur)


def _others(rng, shape, length, mask, feature):
    """Other features beside the object, which may touch it, and their brightness in units of it."""
    if rng.random() < TWINS * feature.thin:  # the other ribbon of a flare runs along the first one
        angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.45) * length
        twin = np.roll(mask, np.rint([shift * np.sin(angle), shift * np.cos(angle)]).astype(int), axis=(0, 1))
        if not (twin & ndimage.binary_dilation(mask, EIGHT, iterations=APART)).any():
            yield twin, rng.uniform(0.6, 1.4)
    number = rng.poisson(1.5)
    roughness = random_field(rng, shape, 3.5, longest=length / 2) if number else None
    for _ in range(number):
        place = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        size = length * rng.uniform(0.15, 0.8)
        level = random_level(rng, shape, place, size, thin=feature.thin, roughness=roughness)
        gap = 0 if rng.random() < 0.15 else int(rng.integers(1, 4))
        near = ndimage.binary_dilation(mask, EIGHT, iterations=gap) if gap else mask
        # Of a hole the brighter regions beside it matter as much as other holes.
        yield (level > 0) & ~near, (rng.uniform(0.4, 1.4) if rng.random() < 0.7 else rng.uniform(-1.5, -0.3))


def _slope_of_light(rng, mask, snr) -> np.ndarray:
    """Brightness that changes slowly over the scene: the darkening towards the limb, and the limb itself."""
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in mask.shape)
    snr = min(snr, QUIET)  # a flare is brighter than the Sun's disk, and that does not change with it
    across = np.cos(angle := rng.uniform(0, 2 * np.pi)) * x + np.sin(angle) * y[:, None]
    slope = rng.normal(0, 0.3) * snr * across
    if rng.random() < LIMBS:
        # The disk is round, and beyond it the corona fades, or there is nothing at once.
        beside = np.sin(angle) * x - np.cos(angle) * y[:, None]
        height = across + rng.uniform(0, 0.3) * beside**2
        height -= max(rng.uniform(0.45, 1.0), float(height[mask].max(initial=0)))
        slope = slope - rng.uniform(0.5, 4) * snr * (1 - np.exp(-np.fmax(height, 0) / rng.uniform(0.01, 0.4)))
    return slope


def _saturated(rng, image, snr) -> np.ndarray:
    """A detector whose wells are full: they spill along the columns, and the brightest part shows a cross."""
    full = snr * rng.uniform(0.3, 1.2)
    over = np.fmax(image - full, 0)
    reach = int(rng.integers(1, 12))  # in each direction
    image = np.fmin(image, full) + ndimage.uniform_filter1d(over, 2 * reach + 1, axis=0) * rng.uniform(0, 1)
    if rng.random() < 0.5 and over.any():
        row, column = np.unravel_index(int(np.argmax(over)), over.shape)
        arm = rng.uniform(0.1, 0.5) * snr
        image[row, :] += arm / (1 + np.abs(np.arange(image.shape[1]) - column) / 6)
        image[:, column] += arm / (1 + np.abs(np.arange(image.shape[0]) - row) / 6)
    return np.fmin(image, full)


def _displayed(rng, image) -> np.ndarray:
    """Often as a picture shows it, a power of the brightness, or as the corona does, whose brightness is log-normal."""
    chosen = rng.random()
    if chosen < 0.5:
        return image
    share = (image - image.min()) / max(float(np.ptp(image)), 1e-9)
    return 100 * (share + 0.01) ** rng.uniform(0.35, 1.2) if chosen < 0.8 else np.exp(rng.uniform(1, 4) * share)


# The radio sky


def _radio(rng, length, snr) -> tuple[np.ndarray, np.ndarray]:
    shape, centre = _room(rng, length)
    beam = rng.uniform(2.0, min(8.0, max(length / 4, 2.1)))
    kind = np.array([rng.choice(["double", "plume", "disk", "gaussian"], p=[0.45, 0.35, 0.1, 0.1])])
    reach = rng.uniform(2.5, 4.0)  # lengths of an isophote over the root mean square extent
    parts, _ = make_parts(
        rng,
        kind,
        np.ones(1),
        np.array([max(length / reach, 1.0)]),
        np.exp(rng.uniform(np.log(0.25), 0, 1)),
        rng.uniform(0, np.pi, 1),
        np.zeros(1, dtype=bool),
    )
    source = _drawn(_bent(rng, parts, length), shape, [centre], beam)
    model = snr * _flatter(rng, source)
    mask = _isophote(rng, model)
    noise = correlated_noise(rng, shape, rng.uniform(0.55, 0.75) * beam)
    if rng.random() < 0.3:
        noise = noise * uneven(rng, shape, 0.2)
    return model + _points(rng, shape, beam, mask) + noise, mask


def _bent(rng, parts: Parts, length) -> Parts:
    """Jets bend: the offsets along x, of whatever direction, push the parts sideways, to one side or in an S."""
    x, y = parts.dx / length, parts.dy / length
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    push = length * (rng.normal(0, 0.5) * along**2 + rng.normal(0, 0.6) * along**3)
    return Parts(
        parts.count, parts.dx - push * np.sin(angle), parts.dy + push * np.cos(angle), parts.flux, parts.covariance
    )


def _drawn(parts: Parts, shape, places, beam) -> np.ndarray:
    x, y = np.transpose(places)
    parts = parts.smeared((beam / FWHM_PER_SIGMA) ** 2)
    return draw_stamps(shape, x, y, parts, 0.002 * float(parts.peaks().max()))[0]


def _flatter(rng, source) -> np.ndarray:
    """The source with a peak of 1 and a surface brightness that changes less.

    At a low signal to noise a core or a hot spot would be all that is above the isophote.
    """
    return (source / source.max()) ** rng.uniform(*FLATTER)


def _isophote(rng, model) -> np.ndarray:
    """What is above the isophote: the part with the peak, or all parts of the source."""
    inside = model > ISOPHOTE
    return inside if rng.random() < 0.3 else central_part(inside, model)


def _points(rng, shape, beam, mask) -> np.ndarray:
    """Point sources beside the object: at least a beam away from it."""
    number = rng.poisson(2.0)
    away = ~ndimage.binary_dilation(mask, iterations=int(np.ceil(1.2 * beam)))
    free = np.flatnonzero(away)
    if number == 0 or free.size == 0:
        return np.zeros(shape, dtype=np.float32)
    y, x = np.unravel_index(rng.choice(free, number), shape)
    zero = np.zeros(number)
    flux = np.exp(rng.uniform(np.log(2), np.log(40), number)) * 2 * np.pi * (beam / FWHM_PER_SIGMA) ** 2
    parts = Parts(np.ones(number, dtype=int), zero, zero, flux, np.zeros((number, 3)))
    return draw_stamps(shape, x.astype(float), y.astype(float), parts.smeared((beam / FWHM_PER_SIGMA) ** 2), 1.0)[0]


# The optical sky


def _optical(rng, length, snr) -> tuple[np.ndarray, np.ndarray]:
    shape, centre = _room(rng, length)
    seeing = rng.uniform(1.5, 5.0)
    source = _drawn(_galaxy(rng, length / rng.uniform(1.2, 2.0)), shape, [centre], seeing)
    if rng.random() < 0.7:
        source = source * np.exp(rng.uniform(0.2, 1.0) * random_field(rng, shape, 3.0, longest=length / 2))
    model = snr * _flatter(rng, source)
    mask = central_part(model > ISOPHOTE, model)
    image = model + _points(rng, shape, seeing, mask) + rng.standard_normal(shape, dtype=np.float32)
    return image, mask


def _galaxy(rng, length) -> Parts:
    """A bulge and a disk, knots along two arms, and at times a tail to one side."""
    half = length / 2
    winding, ratio, turn = rng.uniform(-4, 4), rng.uniform(0.3, 1), rng.uniform(0, 2 * np.pi)
    step = np.linspace(0.25, 1, 8)
    angle = np.concatenate([winding * step, winding * step + np.pi])
    radius = half * np.concatenate([step, step]) * rng.uniform(0.85, 1.15, 16)
    bright = rng.uniform(0, 4, 16) * np.exp(-rng.uniform(0, 2) * np.concatenate([step, step]))
    tail = np.linspace(1, rng.uniform(1.2, 2.5), 6)
    bend = rng.normal(0, 0.6)
    angle = np.concatenate([[0, 0], angle, winding + bend * (tail - 1)])
    radius = np.concatenate([[0, 0], radius, half * tail])
    bright = np.concatenate([rng.uniform(0.3, 3, 2), bright, (rng.random() < 0.5) * rng.uniform(0.5, 2.5) / tail**2])
    width = half * np.concatenate([[0.12, 0.5], rng.uniform(0.06, 0.2, 22)])
    x, y = radius * np.cos(angle), ratio * radius * np.sin(angle)
    xx, yy = width**2, (ratio * width) ** 2
    cosine, sine = np.cos(turn), np.sin(turn)
    covariance = np.stack(
        [xx * cosine**2 + yy * sine**2, (xx - yy) * sine * cosine, xx * sine**2 + yy * cosine**2], axis=-1
    )
    return Parts(np.array([bright.size]), x * cosine - y * sine, x * sine + y * cosine, bright * width**2, covariance)


#: Domain -> draws an image in units of its noise, and the mask of its object, of about a length in pixels and a
#: signal to noise.
DOMAINS: dict[str, Callable[[np.random.Generator, float, float], tuple[np.ndarray, np.ndarray]]] = {
    "solar": _solar,
    "group": partial(_solar, grouped=True),
    "radio": _radio,
    "optical": _optical,
}
