"""What a restorer is given: a dirty image with its point spread function, and how well a model explains it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.wcs import WCS
from scipy import fft, signal

from astroseg.beam import Beam
from astroseg.errors import ImageError
from astroseg.header import pixel_scale
from astroseg.image import read_image
from astroseg.psf import centred, fit_beam
from astroseg.sky import beam_covariance
from astroseg.visibilities import Visibilities, dirty_beam, dirty_map, predict
from astroseg.visibility_files import read_visibilities

__all__ = ["DirtyImage"]

REACH = 4.5  # sigmas of the restoring beam that are drawn; beyond, it is below 4e-5 of its peak
SAME_PIXEL = 1e-3  # two pixel sizes that differ by less are the same
AGREE = 0.9  # least correlation of an image with the map of visibilities that are said to be its own


@dataclass(frozen=True, eq=False)
class DirtyImage:
    """A dirty image, its point spread function, and the beam to restore with.

    Models are in flux per pixel: ``convolved(model)`` is in the unit of the image, whose point sources have a peak as
    high as their flux.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        As `~astroseg.read_image` returns it: name, world coordinates, unit and blank pixels are taken from it.
    data : 2-D `~numpy.ndarray` of float32, shape (ny, nx)
        Its pixels; blank ones are 0.
    blank : 2-D `~numpy.ndarray` of bool, shape (ny, nx)
    psf : 2-D `~numpy.ndarray` of float32
        Odd sides, at most (2 ny - 1, 2 nx - 1), and a peak of 1 in the middle.
    beam : `~astroseg.Beam`
        To restore with: that of the image where it has one, else what the finest visibilities resolve, else the
        Gaussian that fits the core of the point spread function.
    visibilities : `~astroseg.visibilities.Visibilities` or None
    """

    image: CCDData
    data: np.ndarray
    blank: np.ndarray
    psf: np.ndarray
    beam: Beam
    visibilities: Visibilities | None = None

    @classmethod
    def of(cls, image: Any, psf: Any = None, visibilities: Any = None) -> DirtyImage:
        """Bring an image together with what belongs to it.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
        psf : 2-D array, path or image, optional
            By default that of the image, or of its file, or else the dirty beam of the visibilities.
        visibilities : anything that `~astroseg.visibility_files.read_visibilities` takes, optional
            By default those of the image, or of its file.

        Raises
        ------
        ImageError
            There is no point spread function, or it does not belong to the image: pixels of another size, a peak that
            is not in the middle, values that are not finite.
        """
        image = read_image(image)
        known = image.meta.get("visibilities")
        seen = known if visibilities is None else read_visibilities(visibilities)
        if seen is not None:
            _check_unit(image, seen)
        if psf is not None:
            psf = _read_psf(psf, image)
        elif image.psf is not None and visibilities is None:
            psf = image.psf
        elif seen is not None:
            psf = dirty_beam(seen, image.shape, image.wcs)
        else:
            msg = (
                f"{image.meta['name']} has no point spread function. "
                "Give it with --psf FILE, or the measurement with --visibilities FILE."
            )
            raise ImageError(msg)
        psf = centred(psf, image.shape, f"The point spread function of {image.meta['name']}")
        pixels = np.asarray(image.data)
        blank = ~np.isfinite(pixels) if image.mask is None else image.mask | ~np.isfinite(pixels)
        data = np.where(blank, 0, pixels).astype(np.float32)
        beam = image.meta["beam"] or (fit_beam(psf, image.wcs) if seen is None else seen.beam)
        made = cls(image, data, blank, psf, beam, seen)
        if visibilities is not None and seen is not None:
            _check_map(made, dirty_map(seen, image.shape, image.wcs).data)
        return made

    @property
    def wcs(self) -> WCS | None:
        """World coordinates of the pixels."""
        return self.image.wcs

    @property
    def pixel(self) -> u.Quantity | None:
        """Side of a pixel (an angle), `None` where it is not known."""
        return pixel_scale(self.image.wcs)

    @property
    def noise(self) -> float | None:
        """Noise of the dirty image that follows from the errors of the visibilities, `None` where they are not known.

        The mean of n visibilities, of each of which only the part in phase counts.
        """
        if self.visibilities is None or not np.isfinite(self.visibilities.error).all():
            return None
        return float(np.sqrt(np.sum(self.visibilities.error**2)) / self.visibilities.error.size)

    @cached_property
    def beam_kernel(self) -> np.ndarray:
        """The restoring beam on pixels: 2-D float32, odd sides, peak of 1 in the middle."""
        covariance = beam_covariance(self.beam, self.wcs)
        if covariance is None:
            msg = f"The size of the beam of {self.image.meta['name']} ({self.beam}) in pixels is not known."
            raise ImageError(msg)
        reach = np.ceil(REACH * np.sqrt(np.diag(covariance))).astype(int)[::-1]  # y, x
        half = np.minimum(reach, np.array(self.data.shape) - 1)
        y, x = np.mgrid[-half[0] : half[0] + 1, -half[1] : half[1] + 1]
        xx, xy, yy = np.linalg.inv(covariance).ravel()[[0, 1, 3]]
        return np.exp(-0.5 * (xx * x * x + 2 * xy * x * y + yy * y * y)).astype(np.float32)

    def convolved(self, model: np.ndarray) -> np.ndarray:
        """The model as the dirty image would show it: convolved (not cyclically) with the point spread function.

        Parameters
        ----------
        model : 2-D `~numpy.ndarray`, shape (ny, nx)
            Flux per pixel.

        Returns
        -------
        2-D `~numpy.ndarray` of float64, shape (ny, nx)
        """
        ny, nx = self.data.shape
        spectrum = fft.rfft2(np.asarray(model, dtype=float), self._padded) * self._transfer
        rows, columns = (length // 2 for length in self.psf.shape)
        return fft.irfft2(spectrum, self._padded)[rows : rows + ny, columns : columns + nx]

    def residual(self, model: np.ndarray) -> np.ndarray:
        """The dirty image minus the convolved model; 0 where the image is blank. float32, shape (ny, nx)."""
        return np.where(self.blank, 0, self.data - self.convolved(model)).astype(np.float32)

    def fidelity(self, model: np.ndarray) -> dict[str, float]:
        """How well a model explains the measurement.

        Parameters
        ----------
        model : 2-D `~numpy.ndarray`, shape (ny, nx)

        Returns
        -------
        dict
            ``"residual_rms"``: root mean square of the residual image, in the unit of the image; and, where there are
            visibilities with errors, ``"chi2"``: the mean of ``|V - F(model)|**2 / (2 error**2)``, 1 for a model that
            explains them within their noise. No degrees of freedom are taken off: of a CLEAN model they are not known.
        """
        residual = self.residual(model)[~self.blank]
        found = {"residual_rms": float(np.sqrt(np.mean(np.square(residual, dtype=float)))) if residual.size else np.nan}
        seen = self.visibilities
        if seen is not None and np.isfinite(seen.error).all():
            missed = np.abs(seen.value - predict(seen, model, self.image.wcs)) / seen.error
            found["chi2"] = float(np.mean(missed**2) / 2)
        return found

    def restored(self, model: np.ndarray, residual: np.ndarray | None = None) -> CCDData:
        """Restored image: the model convolved with the restoring beam, plus the residual.

        Parameters
        ----------
        model : 2-D `~numpy.ndarray`, shape (ny, nx)
            Flux per pixel.
        residual : 2-D `~numpy.ndarray`, optional
            Added as it is; `None` adds nothing. Usually ``self.residual(model)``.

        Returns
        -------
        `~astropy.nddata.CCDData`
            On the grid of the image, in its unit, blank (NaN) where it is blank; its ``psf`` is the restoring beam. Its
            meta is the image's with ``"beam"`` (the restoring beam), ``"model"``, ``"residual"`` (of the model, added
            or not), ``"fidelity"`` and ``"fidelity_before"`` (that of an empty model). ``meta["restorer"]`` is for the
            restorer to set.
        """
        smooth = signal.fftconvolve(np.asarray(model, dtype=float), self.beam_kernel, mode="same")
        data = (smooth if residual is None else smooth + residual).astype(np.float32)
        left = self.residual(model)
        meta = {key: value for key, value in self.image.meta.items() if key not in ("background", "visibilities")}
        meta |= {
            "beam": self.beam,
            "model": np.asarray(model, dtype=np.float32),
            "residual": np.where(self.blank, np.float32(np.nan), left),
            "fidelity": self.fidelity(model),
            "fidelity_before": self.fidelity(np.zeros_like(self.data)),
        }
        mask = self.blank.copy() if self.blank.any() else None
        data = np.where(self.blank, np.float32(np.nan), data)
        restored = CCDData(data, unit=self.image.unit, wcs=self.wcs, mask=mask, meta=meta)
        restored.psf = self.beam_kernel
        return restored

    @cached_property
    def _padded(self) -> tuple[int, int]:
        """Size of the transforms: what wraps around falls beyond the image."""
        rows, columns = (
            fft.next_fast_len(length + side // 2, real=True)
            for length, side in zip(self.data.shape, self.psf.shape, strict=True)
        )
        return rows, columns

    @cached_property
    def _transfer(self) -> np.ndarray:
        """Transform of the point spread function, folded into the padded size."""
        folded = np.zeros(self._padded)
        rows, columns = (np.arange(side) % length for side, length in zip(self.psf.shape, self._padded, strict=True))
        np.add.at(folded, np.ix_(rows, columns), self.psf)
        return fft.rfft2(folded)


def _read_psf(source, image) -> np.ndarray:
    """A point spread function from an array or file, whose pixels must be those of the image."""
    if isinstance(source, np.ndarray):
        return source
    read = read_image(source, keep_zeros=True)
    theirs, ours = pixel_scale(read.wcs), pixel_scale(image.wcs)
    if theirs is not None and ours is not None and abs(float(theirs / ours) - 1) > SAME_PIXEL:
        msg = (
            f"The pixels of the point spread function {read.meta['name']} are {theirs.to_value('arcsec'):.4g} arcsec, "
            f"those of {image.meta['name']} {ours.to_value('arcsec'):.4g} arcsec; they must be the same."
        )
        raise ImageError(msg)
    return np.asarray(read.data)


def _check_unit(image, visibilities) -> None:
    known = u.dimensionless_unscaled
    if image.unit not in (known, visibilities.unit) and visibilities.unit != known:
        msg = (
            f"{image.meta['name']} is in {image.unit}, {visibilities.name} in {visibilities.unit}; "
            "they must be the same. Overrule the image's with --unit."
        )
        raise ImageError(msg)


def _check_map(dirty: DirtyImage, expected: np.ndarray) -> None:
    """Refuse visibilities of something else, by the map that they make."""
    pixels, expected = (values[~dirty.blank].astype(float) for values in (dirty.data, expected))
    if pixels.size and np.ptp(pixels) > 0:
        correlation = float(np.corrcoef(pixels, expected)[0, 1])
        if not correlation > AGREE:
            name = dirty.image.meta["name"]
            msg = (
                f"The visibilities do not belong to {name}: the correlation of their dirty map with it is "
                f"{correlation:.2f}. Check the phase centre, and CRPIX and CRVAL of the image."
            )
            raise ImageError(msg)
