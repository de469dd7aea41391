"""Bring an image into the one form that PyBDSF accepts."""

import re
import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

__all__ = ["Prepared", "header_frequency", "prepare"]

# Used only where nothing better is known; see the notes they leave.
_FREQUENCY = 1.4e9
_BEAM_PIXELS = 3.0
_PIXEL = 1.0 / 3600.0

# The widest stand-in sky (deg).
_WIDEST = 5.0

_CARDS = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CROTA)[12]|(PC|CD)[12]_[12]|PV[12]_\d+"
    r"|LONPOLE|LATPOLE|EQUINOX|EPOCH|RADESYS|RADECSYS"
)


@dataclass
class Prepared:
    """
    An image, its header and what had to be assumed.

    Attributes
    ----------
    data : 2-D `~numpy.ndarray` of float, shape (ny, nx)
        Blank pixels are NaN; columns reversed where ``mirrored``.

    header : `~astropy.io.fits.Header`
        Two celestial axes, longitude first, with CDELT.

    beam : tuple of float
        FWHM and position angle in degrees, at the scale of ``header``.

    frequency : float
        Hz.

    mirrored : bool
        Whether east is to the right in the caller's image.

    known_frequency : bool
        Whether ``frequency`` comes from the caller.

    stand_in_sky : bool
        Whether ``header`` is not the image's own sky.

    notes : list of str
        One sentence for each thing that was assumed.
    """

    data: np.ndarray
    header: fits.Header
    beam: tuple
    frequency: float
    mirrored: bool
    known_frequency: bool
    stand_in_sky: bool
    notes: list


def prepare(
    data: np.ndarray,
    header: fits.Header,
    beam: tuple[float, float, float] | None = None,
    frequency: float | None = None,
) -> Prepared:
    """
    Fill in what PyBDSF insists on and turn the image the way it expects.

    Parameters
    ----------
    data : 2-D `~numpy.ndarray` of float, shape (ny, nx)
        The image; NaN and infinite pixels are blank.

    header : `~astropy.io.fits.Header`
        The image's header.

    beam : tuple of float, optional
        FWHM of the axes and position angle (deg), instead of the header's.

    frequency : float, optional
        Frequency (Hz), instead of the header's.

    Returns
    -------
    prepared : `Prepared`
    """
    notes = []
    sky, scale = _sky(header, data.shape)
    own = scale is None
    step = abs(sky["CDELT2"])
    if not own:
        notes.append(
            "The image has no RA/Dec or Galactic coordinates that PyBDSF can use: positions "
            f"were taken on a stand-in sky with pixels of {step * 3600:g} arcsec."
        )
    beam = beam or _header_beam(header)
    if beam is None:
        beam = (_BEAM_PIXELS * step, _BEAM_PIXELS * step, 0.0)
        notes.append(
            "The header has no beam: a round one of 3 pixels FWHM was assumed, "
            "and total fluxes are only as good as that."
        )
    elif not own and scale != step:  # what counts is the beam in pixels
        beam = (beam[0] / scale * step, beam[1] / scale * step, beam[2])
    known = frequency or header_frequency(header)
    if not known:
        notes.append(
            "The frequency is unknown: the threshold is thresh_pix as given "
            "(PyBDSF decides on its false-detection rule by the frequency)."
        )
    mirrored = _turn(sky, data.shape)
    if mirrored:
        notes.append("East is to the right: PyBDSF saw the image mirrored.")
        data = data[:, ::-1]
    return Prepared(
        data=np.where(np.isfinite(data), data, np.nan),
        header=sky,
        beam=tuple(float(value) for value in beam),
        frequency=float(known or _FREQUENCY),
        mirrored=mirrored,
        known_frequency=bool(known),
        stand_in_sky=not own,
        notes=notes,
    )


def _sky(header, shape):
    """Cards of a sky for PyBDSF; the true pixel scale (deg) where it is a stand-in."""
    # Copies: a header made of another's cards would change them with its own.
    cards = fits.Header([copy(card) for card in header.cards if _CARDS.fullmatch(card.keyword)])
    for key in ("CTYPE1", "CTYPE2"):
        if key in cards:
            # PyBDSF ignores distortion terms, and WCS warns when they are missing.
            cards[key] = str(cards[key]).removesuffix("-SIP")
    wcs = _read_wcs(cards)
    if wcs is None or not wcs.has_celestial:
        return _stand_in(shape, _PIXEL), _PIXEL
    if _usable(cards, wcs, shape):
        if "CD1_1" in cards or "CDELT1" not in cards:
            _set_matrix(cards, wcs.pixel_scale_matrix)
        return cards, None
    scale = float(proj_plane_pixel_scales(wcs)[1])
    # A tangent plane distorts sizes off its centre: a wide one is scaled down.
    step = scale if max(shape) * scale < _WIDEST else _PIXEL
    return _stand_in(shape, step), scale


def _read_wcs(cards):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(cards, naxis=2)
            wcs.wcs.set()
        except Exception:  # noqa: BLE001 (wcslib has a dozen kinds of error for a bad header)
            return None
    return wcs


def _usable(cards, wcs, shape):
    """Whether PyBDSF reads these axes, and the image's centre is on the sky."""
    axes = tuple(str(cards[key]).split("-")[0].strip() for key in ("CTYPE1", "CTYPE2"))
    if axes not in {("RA", "DEC"), ("GLON", "GLAT")}:
        return False
    centre = np.array([[(shape[1] - 1) / 2, (shape[0] - 1) / 2]])
    try:
        back = wcs.wcs_world2pix(wcs.wcs_pix2world(centre, 0), 0)
    except Exception:  # noqa: BLE001 (as in _read_wcs)
        return False
    return bool(np.allclose(back, centre, atol=1e-3))


def _stand_in(shape, step):
    """A tangent plane on the equator with square pixels of ``step`` degrees."""
    sky = fits.Header()
    for axis, (kind, length) in enumerate((("RA---TAN", shape[1]), ("DEC--TAN", shape[0])), 1):
        sky[f"CTYPE{axis}"] = kind
        sky[f"CRVAL{axis}"] = 0.0
        sky[f"CRPIX{axis}"] = (length + 1) / 2
        sky[f"CDELT{axis}"] = -step if axis == 1 else step
    return sky


def _set_matrix(cards, matrix):
    """Write the linear part as CDELT and PC (PyBDSF needs CDELT)."""
    for key in [key for key in cards if re.fullmatch(r"(CROTA[12]|(PC|CD)[12]_[12])", key)]:
        del cards[key]
    size = np.hypot(*matrix)  # the length of each pixel axis on the sky
    for i in range(2):
        cards[f"CDELT{i + 1}"] = size[i]
        for j in range(2):
            cards[f"PC{i + 1}_{j + 1}"] = matrix[i, j] / size[i]


def _turn(sky, shape):
    """Reverse the columns of the sky where east is to the right."""
    matrix = _read_wcs(sky).pixel_scale_matrix
    if np.linalg.det(matrix) <= 0:
        return False
    # PyBDSF takes angles from +y to -x for angles from north to east, whatever
    # the sign of CDELT1, so a mirrored image gets mirrored angles and beams.
    _set_matrix(sky, matrix * [-1, 1])
    sky["CRPIX1"] = shape[1] + 1 - sky.get("CRPIX1", 0.0)
    return True


def _header_beam(header):
    """Beam of the header (deg) with what is missing filled in, or None."""
    major = header.get("BMAJ")
    minor = header.get("BMIN", major)
    angle = header.get("BPA", 0.0)
    try:
        beam = np.array([major, minor, angle], dtype=float)
    except (TypeError, ValueError):
        return None
    return tuple(beam.tolist()) if np.isfinite(beam).all() and beam[:2].min() > 0 else None


def header_frequency(header: Mapping[str, Any]) -> float | None:
    """Return the frequency of the first channel (Hz), or None."""
    for axis in range(1, 6):
        if str(header.get(f"CTYPE{axis}", "")).startswith("FREQ"):
            unit = u.Unit(header.get(f"CUNIT{axis}") or "Hz", parse_strict="silent")
            step = (1 - header.get(f"CRPIX{axis}", 0.0)) * header.get(f"CDELT{axis}", 1.0)
            value = header.get(f"CRVAL{axis}", 0.0) + step
            return value * (unit.to(u.Hz) if unit.is_equivalent(u.Hz) else 1.0)
    for key in ("RESTFREQ", "FREQ", "RESTFRQ"):
        value = header.get(key)
        if isinstance(value, int | float) and value > 0:
            return value
    return None
