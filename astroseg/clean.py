"""CLEAN: a dirty image as a sum of points, found one after the other (Högbom 1974, A&AS 15, 417)."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from astropy.nddata import CCDData

from astroseg.background import MAD_TO_SIGMA
from astroseg.dirty import DirtyImage
from astroseg.restorer import Restorer

__all__ = ["CleanRestorer", "hogbom"]


class CleanRestorer(Restorer):
    """CLEAN by Högbom (1974): points at the brightest residual, one after the other.

    Parameters
    ----------
    gain : float
        Share of the brightest residual that is taken off at a time.
    niter : int
        Most points that are taken off.
    threshold : float, in units of the noise
        Stop where the brightest residual is below this. The noise is that of the visibilities where their errors are
        known, else it is measured on what is left.
    negative : bool
        Take off negative points, too; they let CLEAN follow noise and errors of calibration.
    """

    name = "clean"
    citation = "Högbom 1974, A&AS 15, 417"

    def __init__(
        self,
        *,
        gain: Annotated[float, Gt(0), Le(1)] = 0.1,
        niter: Annotated[int, Ge(1)] = 1000,
        threshold: Annotated[float, Ge(0)] = 1.0,
        negative: bool = False,
    ) -> None:
        self.gain = gain
        self.niter = niter
        self.threshold = threshold
        self.negative = negative

    def restore(self, image: Any, *, psf: Any = None, visibilities: Any = None, **prompts: Any) -> CCDData:
        """Clean an image.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
        psf, visibilities : optional
            See `~astroseg.dirty.DirtyImage.of`.
        **prompts
            Not used.

        Returns
        -------
        `~astropy.nddata.CCDData`
            See `~astroseg.dirty.DirtyImage.restored`: the components with the restoring beam, plus the residual.
        """
        self.validate()
        dirty = DirtyImage.of(image, psf, visibilities)
        model, residual = hogbom(
            dirty.data,
            dirty.psf,
            dirty.blank,
            gain=self.gain,
            niter=self.niter,
            threshold=self.threshold,
            noise=dirty.noise,
            negative=self.negative,
        )
        restored = dirty.restored(model, residual)
        restored.meta["restorer"] = {"name": self.name, **self.get_params()}
        return restored


def hogbom(
    data: np.ndarray,
    psf: np.ndarray,
    blank: np.ndarray | None = None,
    *,
    gain: float = 0.1,
    niter: int = 1000,
    threshold: float = 0.0,
    noise: float | None = None,
    negative: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Take points off a dirty image.

    Parameters
    ----------
    data : 2-D `~numpy.ndarray`, shape (ny, nx)
        The dirty image; blank pixels are finite.
    psf : 2-D `~numpy.ndarray`
        Odd sides, and a peak of 1 in the middle; 0 beyond.
    blank : 2-D `~numpy.ndarray` of bool, optional
        Where no point is put.
    gain, niter, threshold, negative
        See `CleanRestorer`.
    noise : float, optional
        In the unit of the image. By default it is measured on the residual (median absolute deviation).

    Returns
    -------
    model, residual : 2-D `~numpy.ndarray` of float64, shape (ny, nx)
        Flux per pixel; and the image minus the model convolved with ``psf``.
    """
    model, residual = np.zeros(data.shape), np.array(data, dtype=float)
    beam, work = np.ascontiguousarray(psf, dtype=float), np.empty(data.shape)
    valid = None if blank is None or not blank.any() else ~blank
    if valid is not None and not valid.any():
        return model, residual
    level = np.inf
    for _ in range(niter):
        y, x = divmod(int(_candidates(residual, valid, work, negative=negative).argmax()), data.shape[1])
        peak = residual[y, x]
        height = abs(peak) if negative else peak
        if not height > level:  # what is left has become less, and so has the noise measured on it
            level = threshold * (_noise(residual, valid) if noise is None else noise)
        if not height > level or (valid is not None and not valid[y, x]):
            break
        model[y, x] += gain * peak
        _subtract(residual, beam, y, x, gain * peak, work)
    return model, residual


def _noise(residual, valid) -> float:
    values = residual if valid is None else residual[valid]
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def _candidates(residual, valid, work, *, negative) -> np.ndarray:
    """The residual, or its amount, 0 where it is blank."""
    if negative:
        residual = np.abs(residual, out=work)
    return residual if valid is None else np.multiply(residual, valid, out=work)


def _subtract(residual, beam, y, x, flux, work) -> None:
    """Take one point off: its beam, cut at the borders of the image."""
    ny, nx = residual.shape
    half_y, half_x = beam.shape[0] // 2, beam.shape[1] // 2
    top, left = max(0, y - half_y), max(0, x - half_x)
    bottom, right = min(ny, y + half_y + 1), min(nx, x + half_x + 1)
    part = beam[top - y + half_y : bottom - y + half_y, left - x + half_x : right - x + half_x]
    here = residual[top:bottom, left:right]
    product = np.multiply(part, flux, out=work[: here.shape[0], : here.shape[1]])
    np.subtract(here, product, out=here)
