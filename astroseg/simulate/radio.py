"""Radio skies with truth, as an interferometer would image them."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS
from scipy import ndimage

from astroseg.beam import FWHM_PER_SIGMA, Beam
from astroseg.catalog import complete
from astroseg.ellipse import fwhm_from_covariance
from astroseg.simulate.field import RadioField, radio_field
from astroseg.simulate.noise import correlated_noise
from astroseg.simulate.populations import RadioSettings, radio_settings
from astroseg.simulate.sky import Sky, check_size
from astroseg.simulate.stamps import Parts
from astroseg.sky import to_sky

__all__ = ["correlated_noise", "simulate_radio"]


def simulate_radio(
    *, preset: str = "compact", size: int | tuple[int, int] = 512, seed: int = 1, **options: float
) -> Sky:
    """Make a radio field.

    Parameters
    ----------
    preset : {"compact", "sdc1", "crowded", "extended"}
        ``compact``: points and small Gaussians brighter than the noise, nothing else; a finder's score here is an upper
        limit. ``sdc1``: the sky and the noise of SKA Science Data Challenge 1 at 560 MHz, 1000 hours, with sources down
        to a quarter of the noise. ``crowded``: three times as many. ``extended``: rich in radio galaxies with lobes.
    size : int or (int, int), pixels
        Side of the square image, or (ny, nx).
    seed : int
        The same seed gives the same bytes.
    **options
        Fields of `~astroseg.simulate.populations.RadioSettings` to change, for example
        ``density=500, beam=6, pixel=2``.

    Returns
    -------
    `~astroseg.simulate.sky.Sky`
        The truth has three columns of its own: ``simulate_kind``, ``simulate_parts`` (number of Gaussians drawn) and
        ``simulate_intrinsic_flux`` (before the primary beam).

    Examples
    --------
    >>> from astroseg.simulate.radio import simulate_radio
    >>> sky = simulate_radio(preset="sdc1", size=128, seed=1, blank=0.1)
    >>> sky.image.shape, sky.image.unit.to_string()
    ((128, 128), 'Jy / beam')
    """
    shape = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    check_size(*shape)
    settings = radio_settings(preset, **options)
    field = radio_field(np.random.default_rng(seed), settings, shape)
    image = _image(field.data, settings, f"radio-{preset}-{seed}")
    truth = _truth(field, settings, image)
    plain = {name: value for name, value in vars(settings).items() if name != "populations"}
    truth.meta = {"simulator": "radio", "preset": preset, "seed": seed, "size": list(shape), **plain}
    return Sky(image, field.model, truth, field.labels)


def empty_radio(shape: tuple[int, int], settings: RadioSettings, name: str) -> CCDData:
    """An image without pixels of its own: what a simulated radio image of this shape has beside them."""
    return _image(np.broadcast_to(np.float32(0), shape), settings, name)


def _image(data, settings, name) -> CCDData:
    beam = Beam(settings.beam * u.arcsec, settings.beam * u.arcsec)
    meta = {"beam": beam, "name": name, "path": None, "header": None}
    mask = ~np.isfinite(data)
    wcs = _wcs(data.shape, settings.pixel)
    return CCDData(data, unit=u.Jy / u.beam, wcs=wcs, meta=meta, mask=mask if mask.any() else None)


def _wcs(shape, pixel) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = [0.0, -30.0]
    wcs.wcs.crpix = [shape[1] / 2 + 0.5, shape[0] / 2 + 0.5]
    wcs.wcs.cdelt = [-pixel / 3600, pixel / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    return wcs


def _truth(field: RadioField, settings: RadioSettings, image: CCDData) -> QTable:
    x, y = field.sources["x"], field.sources["y"]
    longitude, latitude = to_sky(image.wcs, x, y)
    measured = measured_parts(field.parts, settings, image)
    row, column = _pixels(field)
    rms = field.rms[row, column].astype(float)
    number = np.arange(1, x.size + 1)
    values = {
        "label": number,
        "x_centroid": x,
        "y_centroid": y,
        "ra": longitude,
        "dec": latitude,
        "flux": field.sources["flux"] * field.sources["attenuation"],
        **measured,
        "n_pixels": np.bincount(field.labels.ravel(), minlength=number.size + 1)[1:],
        "snr": measured["peak_flux"] / rms,
        "local_rms": rms,
        "island": _islands(field.labels, number.size),
        "simulate_kind": field.sources["kind"],
        "simulate_parts": field.parts.count,
        "simulate_intrinsic_flux": field.sources["flux"] * u.Jy,
    }
    return complete(values, image)


def measured_parts(parts: Parts, settings: RadioSettings, image: CCDData) -> dict[str, np.ndarray]:
    """Columns that follow from the shapes of sources: their peaks, sizes and angles.

    Parameters
    ----------
    parts : `~astroseg.simulate.stamps.Parts`
        Convolved with the beam.
    settings : `~astroseg.simulate.populations.RadioSettings`
    image : `~astropy.nddata.CCDData`
    """
    seen = parts.moments()
    beam = np.array([1.0, 0.0, 1.0]) * (settings.beam / settings.pixel / FWHM_PER_SIGMA) ** 2
    major, minor, pa = _axes(seen, settings.pixel)
    true_major, true_minor, _ = _axes(seen - beam, settings.pixel)
    return {
        # Jy/beam over Jy per square pixel.
        "peak_flux": parts.brightest() * image.meta["beam"].area_pixels(settings.pixel * u.arcsec),
        "fwhm_major": major,
        "fwhm_minor": minor,
        "pa": pa,
        "deconvolved_major": true_major,
        "deconvolved_minor": true_minor,
        "deconvolved_pa": pa,
    }


def _axes(covariance, pixel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Full widths in arcsec and position angle in degrees (from +y to -x) of covariances (xx, xy, yy)."""
    xx, xy, yy = covariance.T
    major, minor, pa = fwhm_from_covariance(np.array([[xx, -xy], [-xy, yy]]).transpose(2, 0, 1))
    # A variance of rounding errors is none: a point stays a point.
    least = FWHM_PER_SIGMA * np.sqrt(1e-9 * np.fmax((xx + yy) / 2, 1))
    major, minor = (np.where(width > least, pixel * width, 0) for width in (major, minor))
    return major, minor, np.where(major > 0, pa, 0.0)


def _pixels(field) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        np.clip(np.rint(field.sources[name]).astype(np.intp), 0, length - 1)
        for name, length in zip(("y", "x"), field.model.shape, strict=True)
    )


def _islands(labels, number) -> np.ndarray:
    """Number of the connected region that each source's pixels lie in, 0 for a source without pixels.

    A source whose pixels fall apart has the lowest.
    """
    islands, _ = ndimage.label(labels > 0, np.ones((3, 3)))
    found = np.full(number + 1, np.iinfo(np.int32).max)
    np.minimum.at(found, labels.ravel(), islands.ravel())
    return np.where(found[1:] == found.dtype.type(np.iinfo(np.int32).max), 0, found[1:])
