"""Shapes of radio sources, as sums of Gaussians that add up to their flux.

``point``
    One Gaussian without width.
``gaussian``
    One Gaussian: steep-spectrum sources too small to show lobes.
``disk``
    A star-forming galaxy: an inclined exponential disk.
``plume``
    FR I: a core, and two plumes that widen, fade and bend outwards (Fanaroff & Riley 1974, MNRAS 167, 31P;
    fading as in Laing & Bridle 2002, MNRAS 336, 1161).
``double``
    FR II: a weak core, two lobes, and a hot spot at the end of each. A core holds a few per cent of the flux, the
    lobes are within a factor of two of each other and hot spots hold tens of per cent of a lobe
    (Mullin, Riley & Hardcastle 2008, MNRAS 390, 595).
"""

from __future__ import annotations

import numpy as np

from astroseg.simulate.stamps import Parts, joined

__all__ = ["KINDS", "make_parts"]

# Four Gaussians whose curve of growth is that of an exponential disk within 0.5 %: standard
# deviation (in units of the disk's own) and share of the flux.
DISK_SIGMA = np.array([0.1253, 0.3501, 0.7423, 1.3947])
DISK_SHARE = np.array([0.0104, 0.1246, 0.5007, 0.3643])
KNOTS = 5  # Gaussians in each plume


def make_parts(
    rng: np.random.Generator,
    kind: np.ndarray,
    flux: np.ndarray,
    sigma: np.ndarray,
    ratio: np.ndarray,
    pa: np.ndarray,
    simple: np.ndarray,
) -> tuple[Parts, np.ndarray]:
    """Make the parts of sources.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    kind : 1-D `~numpy.ndarray` of str
        A key of `KINDS` for each source.
    flux : 1-D `~numpy.ndarray`, Jy
    sigma : 1-D `~numpy.ndarray`, pixels
        Root mean square extent along the major axis.
    ratio : 1-D `~numpy.ndarray`
        Minor over major axis; of plumes and doubles that of their lobes.
    pa : 1-D `~numpy.ndarray`
        Position angle of the major axis, radians from +y to -x.
    simple : 1-D `~numpy.ndarray` of bool
        Too small or too faint to show its shape: one Gaussian of the same extent is drawn.

    Returns
    -------
    parts : Parts
        Grouped by shape.
    order : 1-D `~numpy.ndarray` of int
        Index of the source that each one in ``parts`` was.
    """
    groups, order = [], []
    drawn = np.where(simple & (kind != "point"), "gaussian", kind)
    for name, make in KINDS.items():
        chosen = np.flatnonzero(drawn == name)
        groups.append(_placed(make(rng, sigma[chosen], ratio[chosen]), flux[chosen], pa[chosen]))
        order.append(chosen)
    return joined(groups), np.concatenate(order)


def _point(_, sigma, ratio):
    return _shape(np.ones((1, 1)), 0.0, 0.0, 0.0 * sigma[:, None], 0.0 * ratio[:, None])


def _gaussian(_, sigma, ratio):
    return _shape(np.ones((1, 1)), 0.0, 0.0, sigma[:, None], (sigma * ratio)[:, None])


def _disk(_, sigma, ratio):
    major = sigma[:, None] * DISK_SIGMA
    return _shape(DISK_SHARE, 0.0, 0.0, major, major * ratio[:, None])


def _plume(rng, sigma, ratio):
    """Core, and knots at growing distances to both sides; the bend is the same to both, as in a wake."""
    n = sigma.size
    step = (np.arange(KNOTS) + 1) / KNOTS
    fading = np.exp(-rng.uniform(0.5, 2.0, size=(n, 1)) * step)
    share = np.concatenate([fading, rng.uniform(0.6, 1.6, size=(n, 1)) * fading], axis=1)
    along = np.concatenate([step, -step]) * np.ones((n, 1))
    across = rng.normal(0, 0.2, size=(n, 1)) * along**2
    width = 0.06 + ratio[:, None] * 0.3 * np.abs(along)
    core = rng.uniform(0.02, 0.15, size=(n, 1))
    share = np.concatenate([core, share * (1 - core) / share.sum(axis=1, keepdims=True)], axis=1)
    zero = np.zeros((n, 1))
    along, across, width = (np.concatenate([zero, values], axis=1) for values in (along, across, width))
    return _scaled(share, along, across, np.fmax(width, 0.12 * (along != 0)), width, sigma)


def _double(rng, sigma, ratio):
    """Core, two lobes that reach back to it, and a hot spot near the far end of each."""
    n = sigma.size
    core = rng.uniform(0.005, 0.08, size=n)
    one = rng.uniform(0.33, 0.67, size=n) * (1 - core)
    other = 1 - core - one
    spot = rng.uniform(0.15, 0.5, size=(2, n))
    share = np.stack([core, one * (1 - spot[0]), one * spot[0], other * (1 - spot[1]), other * spot[1]], axis=1)
    arm = rng.uniform(0.8, 1.2, size=n)
    along = np.stack([0 * arm, 0.75 * arm, arm, -0.75 * (2 - arm), arm - 2], axis=1)
    across = rng.normal(0, 0.05, size=(n, 5)) * (along != 0)
    lobe = np.array([0, 1, 0, 1, 0])
    major = 0.25 * lobe + np.zeros((n, 1))
    return _scaled(share, along, across, major, ratio[:, None] * major, sigma)


#: Kind of source -> function that makes its shape, pointing north.
KINDS = {"point": _point, "gaussian": _gaussian, "disk": _disk, "plume": _plume, "double": _double}


def _scaled(share, along, across, major, minor, sigma):
    """Shift a shape's centroid to 0 and stretch it until its extent along the axis is ``sigma``."""
    along = along - np.sum(share * along, axis=1, keepdims=True)
    across = across - np.sum(share * across, axis=1, keepdims=True)
    extent = np.sqrt(np.sum(share * (along**2 + major**2), axis=1))
    factor = (sigma / extent)[:, None]
    return _shape(share, along * factor, across * factor, major * factor, minor * factor)


def _shape(share, along, across, major, minor):
    shape = major.shape
    return tuple(np.broadcast_to(values, shape) for values in (share, along, across, major, minor))


def _placed(shapes, flux, pa) -> Parts:
    """Turn shapes (n, k) to their position angles."""
    share, along, across, major, minor = shapes
    sine, cosine = np.sin(pa)[:, None], np.cos(pa)[:, None]
    xx = (major * sine) ** 2 + (minor * cosine) ** 2
    yy = (major * cosine) ** 2 + (minor * sine) ** 2
    xy = (minor**2 - major**2) * sine * cosine
    return Parts(
        np.full(flux.size, major.shape[1]),
        (-along * sine + across * cosine).ravel(),
        (along * cosine + across * sine).ravel(),
        (share * flux[:, None]).ravel(),
        np.stack([xx, xy, yy], axis=-1).reshape(-1, 3),
    )
