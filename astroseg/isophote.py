"""What a source keeps of its flux and size above the isophote that cuts it off.

An island of pixels above a level ``T`` misses the flux below it, and looks too small. For a Gaussian
of peak ``P`` and variance ``s2`` the missing part is known, and so is the noise's trace: pixels that
noise lifted over the level are in the island, those that it pushed under are not.

With ``u = ln(P / T)``, ``t = exp(-u)`` and ``k`` the level in units of the noise, integrating the expected value
of a noisy pixel above the level, over an area element ``2 pi s2 dS / S`` at surface brightness ``S``, gives

* flux share ``f = 1 - t (1 - q)`` and
* variance share ``v = (1 - t - t u (1 - q)) / f``, where
* ``q = k**-2 (1 + k**-2)`` is what noise adds at the border (the first terms of an asymptotic series).

The level itself follows from the faintest pixel of the island: ``2 pi s2 / T`` pixels lie in a unit interval of
brightness, so that the faintest one is on average ``T / (2 pi s2)`` above the level.
"""

from __future__ import annotations

import numpy as np

__all__ = ["isophote_shares"]

MOST_NOISE = 0.6  # the series for q is useless below k = 1.5
STEPS = 24  # bisections of u, to 2e-6


def isophote_shares(
    flux: np.ndarray, variance: np.ndarray, faintest: np.ndarray, rms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Share of flux and of variance that a Gaussian source keeps above its isophote.

    Parameters
    ----------
    flux : 1-D `~numpy.ndarray`
        Sum of the pixels above the isophote, background off.
    variance : 1-D `~numpy.ndarray`
        Geometric mean of the two variances above the isophote, in pixels squared.
    faintest : 1-D `~numpy.ndarray`
        Faintest pixel, background off. Where it is not positive nothing is cut off.
    rms : 1-D `~numpy.ndarray`
        Noise of a pixel.

    Returns
    -------
    flux_share, variance_share : 1-D `~numpy.ndarray`
        In 0 to 1. The true flux of a Gaussian is ``flux / flux_share``.
    """
    low, high = np.full(flux.shape, 0.02), np.full(flux.shape, 30.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(STEPS):
            u = (low + high) / 2
            share, spread, level = _model(u, variance, faintest, rms)
            too_bright = 2 * np.pi * variance / spread * level * np.exp(u) * share > flux
            low, high = np.where(too_bright, low, u), np.where(too_bright, u, high)
        share, spread, _ = _model(u, variance, faintest, rms)
    cut = faintest > 0
    return np.where(cut, share, 1.0), np.where(cut, spread, 1.0)


def _model(u, variance, faintest, rms):
    """Shares and level of a source whose peak is ``exp(u)`` times its level."""
    level = faintest
    for _ in range(2):
        noise = np.where(level > 0, (rms / level) ** 2, 0.0)
        kept = 1 - np.minimum(noise * (1 + noise), MOST_NOISE)
        t = np.exp(-u)
        share = 1 - t * kept
        spread = (1 - t - t * u * kept) / share
        level = faintest / (1 + spread / (2 * np.pi * variance))
    return share, spread, level
