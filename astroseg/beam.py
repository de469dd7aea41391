"""The restoring beam of a radio image (or the seeing of any image) as an elliptical Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from astroseg.errors import UsageError

__all__ = ["FWHM_PER_SIGMA", "Beam"]

#: Full width at half maximum of a Gaussian in units of its standard deviation, sqrt(8 ln 2).
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


@dataclass(frozen=True)
class Beam:
    """An elliptical Gaussian beam.

    Parameters
    ----------
    major, minor : `~astropy.units.Quantity`, angle or pixels
        Full widths at half maximum. They are swapped (and ``pa`` turned by 90 degrees) when
        ``minor`` is the larger one.
    pa : `~astropy.units.Quantity`, angle
        Position angle of the major axis, east of north.

    Raises
    ------
    UsageError
        When a width is not positive and finite.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astroseg import Beam
    >>> Beam(6 * u.arcsec, 5 * u.arcsec, 30 * u.deg)
    Beam(6 arcsec, 5 arcsec, 30 deg)
    """

    major: u.Quantity
    minor: u.Quantity
    pa: u.Quantity = 0 * u.deg

    def __post_init__(self) -> None:
        widths = [float(self.major.value), float(self.minor.to_value(self.major.unit))]
        if not all(np.isfinite(width) and width > 0 for width in widths):
            msg = f"A beam needs two positive widths, not {self.major} and {self.minor}."
            raise UsageError(msg)
        if not np.isfinite(self.pa.value):
            msg = f"A beam needs a finite position angle, not {self.pa}."
            raise UsageError(msg)
        if widths[1] > widths[0]:
            major, minor, turned = self.minor, self.major, self.pa + 90 * u.deg
            object.__setattr__(self, "major", major)
            object.__setattr__(self, "minor", minor)
            object.__setattr__(self, "pa", turned)
        object.__setattr__(self, "pa", self.pa.to(u.deg) % (180 * u.deg))

    @classmethod
    def parse(cls, text: str) -> Beam:
        """Read ``MAJ,MIN,PA`` as the command line takes it.

        Plain numbers are arcsec, arcsec and degrees; units may follow the numbers
        (``0.1deg,6arcsec,30`` or ``3pix,3pix``); one number is a circular beam.
        """
        msg = f"Cannot read the beam '{text}'. Give MAJ,MIN,PA, for example 6,5,30 (arcsec, arcsec, deg)."
        parts = text.split(",")
        if len(parts) > 3:
            raise UsageError(msg)
        try:
            widths = [_with_unit(part, u.arcsec) for part in parts[:2]]
            return cls(widths[0], widths[-1], _with_unit(parts[2], u.deg) if len(parts) == 3 else 0 * u.deg)
        except UsageError:  # a kind of ValueError, and says more
            raise
        except (ValueError, TypeError) as error:
            raise UsageError(msg) from error

    def __repr__(self) -> str:
        return f"Beam({self.major:.6g}, {self.minor:.6g}, {self.pa:.6g})"

    def __str__(self) -> str:
        unit = u.pix if self.major.unit == u.pix else u.arcsec
        return f"{self.major.to_value(unit):.4g} x {self.minor.to_value(unit):.4g} {unit}, PA {self.pa.value:.3g} deg"

    def fwhm_pixels(self, pixel_scale: u.Quantity | None) -> tuple[float, float] | None:
        """Both widths in pixels of ``pixel_scale`` (an angle), or `None` where they can't be known."""
        if self.major.unit == u.pix:
            return float(self.major.value), float(self.minor.to_value(u.pix))
        if pixel_scale is None:
            return None
        scale = pixel_scale.to_value(u.arcsec)
        return self.major.to_value(u.arcsec) / scale, self.minor.to_value(u.arcsec) / scale

    def area_pixels(self, pixel_scale: u.Quantity | None) -> float | None:
        """Area of the Gaussian, pi / (4 ln 2) * major * minor, in pixels."""
        widths = self.fwhm_pixels(pixel_scale)
        return None if widths is None else float(np.pi / (4 * np.log(2)) * widths[0] * widths[1])


def _with_unit(text: str, default: u.UnitBase) -> u.Quantity:
    quantity = u.Quantity(text)
    if quantity.unit == u.dimensionless_unscaled:
        return quantity * default
    if not (quantity.unit == u.pix or quantity.unit.is_equivalent(default)):
        msg = f"{text} is no angle"
        raise ValueError(msg)
    return quantity
