"""Whether weights know images of a kind."""

from __future__ import annotations

import math
import warnings

import numpy as np
from astropy.nddata import CCDData

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.errors import AstrosegWarning
from astroseg.header import sky_kind
from astroseg.sky import beam_covariance

__all__ = ["is_untrained"]


def is_untrained(
    name: str, image: CCDData, *, narrowest: float, widest: float = math.inf, elongation: float = math.inf
) -> bool:
    """Say whether an image is one that the weights were not trained for, and warn where it is.

    Parameters
    ----------
    name : str
        Of the finder; its ``find`` is the caller.
    image : `~astropy.nddata.CCDData`
    narrowest, widest : float, pixels
        Beams that the weights know, both axes.
    elongation : float
        Largest ratio of the axes that they know.
    """
    why = _reason(image, narrowest, widest, elongation)
    if why:
        warnings.warn(f"{name} has not been trained for {image.meta['name']}: {why}.", AstrosegWarning, stacklevel=3)
    return bool(why)


def _reason(image, narrowest, widest, elongation) -> str:
    """Why the image is not one that the weights were trained for; empty where it is."""
    if sky_kind(image.wcs) in ("helioprojective", "heliographic"):
        return "it shows the Sun, and the weights know the radio sky only"
    beam = beam_covariance(image.meta.get("beam"), image.wcs)
    if beam is None:
        return "it has no beam that is known in pixels (--beam says how wide it is)"
    minor, major = np.round(FWHM_PER_SIGMA * np.sqrt(np.linalg.eigvalsh(beam)), 3)
    if minor < narrowest:
        return f"its beam is {minor:g} pixels wide, and the weights know {narrowest:g} or more"
    if major > widest:
        return f"its beam is {major:g} pixels wide, and the weights know {widest:g} or less"
    if major > elongation * minor:
        return f"its beam is more than {elongation:g} times as long as wide"
    return ""
