"""The finder: an image to PyBDSF's engine, its sources back into the common columns."""

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import astropy.units as u
import numpy as np
from annotated_types import Gt
from astropy.io import fits
from astropy.nddata import CCDData

from astroseg import AstrosegError, AstrosegWarning, Detections, SourceFinder, UsageError, read_image, standardize
from astroseg.background import Background
from astroseg.errors import ImageError
from astroseg.header import pixel_scale
from astroseg.options import Option

from . import options as bdsf_options
from .catalog import make_catalog, to_jy
from .engine import EngineError, NoiseError, Result, run
from .labels import divide
from .prepare import header_frequency

__all__ = ["PRESETS", "BDSFFinder"]

LARGEST = 1e30  # beyond it PyBDSF, whose maps are in single precision, does not end

PRESETS = {
    "default": {},
    # For crowded, coarsely sampled fields: PyBDSF's own least island, a third of the beam but six
    # pixels, throws away point sources below 7 sigma there.
    "tuned": {"thresh_isl": 2.5, "thresh_pix": 3.0, "minpix_isl": 3},
}


class _PassedOn(Option):
    """An option of PyBDSF itself, parsed and checked by PyBDSF's own types."""

    @property
    def kind(self) -> str:
        """PyBDSF's type, in words."""
        return str(self.annotation)

    def parse(self, text: str) -> Any:
        """Turn text into a value of PyBDSF's type."""
        return _usage(bdsf_options.parse, self.name, text)

    def check(self, value: Any) -> Any:
        """Return the value as PyBDSF's type, or raise `~astroseg.UsageError`."""
        return _usage(bdsf_options.check, {self.name: value})[self.name]


def _usage(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except ValueError as error:
        raise UsageError(str(error)) from error


# Options of the class that PyBDSF has too: there, None is not "as in the preset".
_OWN = ("thresh_isl", "thresh_pix", "minpix_isl")
_PASSED_ON = {
    name: _PassedOn(name, spec.type, spec.default, "", spec.doc)
    for name, spec in bdsf_options.option_specs().items()
    if name not in _OWN
}


class BDSFFinder(SourceFinder):
    """PyBDSF: islands above a threshold, each fitted by one or more Gaussians.

    The options below are followed by PyBDSF's own, which are passed on.

    Parameters
    ----------
    preset : str
        ``default``: PyBDSF's own thresholds, 3 and 5. ``tuned``: thresh_isl 2.5, thresh_pix 3, minpix_isl 3,
        which finds most on crowded fields and admits noise on sparse ones.
    thresh_isl : float or None, in units of the noise
        Islands are the pixels above it; none: as in the preset.
    thresh_pix : float or None, in units of the noise
        An island has at least one pixel above it; none: as in the preset.
    minpix_isl : int or None, pixels
        Least size of an island; none: as in the preset (PyBDSF's own: a third of the beam, at least 6).
    island_timeout : float or None, seconds
        The fit of one island may take so long; one that takes longer is left out and reported.
    timeout : float or None, seconds
        The whole run may take so long.
    log : str or None
        File for PyBDSF's log.

    Notes
    -----
    Mohan & Rafferty 2015, Astrophysics Source Code Library, ascl:1502.007. Fluxes, sizes and their errors are the
    fitted ones, in the columns that every finder has. The pixels of an island are divided among its sources: each
    pixel belongs to the source whose model is brightest there, and the island's number is in ``island``.
    """

    name = "bdsf"
    region = 2560  # PyBDSF needs 100 bytes for each pixel of it and of its overlap
    threshold_option = "thresh_pix"
    citation = "Mohan & Rafferty 2015, PyBDSF: Python Blob Detection and Source Finder, ascl:1502.007"

    def __init__(
        self,
        *,
        preset: Literal["default", "tuned"] = "default",
        thresh_isl: Annotated[float | None, Gt(0)] = None,
        thresh_pix: Annotated[float | None, Gt(0)] = None,
        minpix_isl: Annotated[int | None, Gt(0)] = None,
        island_timeout: Annotated[float | None, Gt(0)] = 300.0,
        timeout: Annotated[float | None, Gt(0)] = None,
        log: str | None = None,
        **passed_on: Any,
    ) -> None:
        self.preset = preset
        self.thresh_isl = thresh_isl
        self.thresh_pix = thresh_pix
        self.minpix_isl = minpix_isl
        self.island_timeout = island_timeout
        self.timeout = timeout
        self.log = log
        unknown = sorted(passed_on.keys() - _PASSED_ON.keys())
        if unknown:
            msg = f"BDSFFinder has no option {unknown[0]!r}"
            raise TypeError(msg)
        vars(self).update({name: option.default for name, option in _PASSED_ON.items()} | passed_on)

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return this class's options, and those of PyBDSF that can be passed on."""
        own = {name: option for name, option in super().options().items() if name not in _PASSED_ON}
        return own | _PASSED_ON

    def validate(self) -> None:
        """Check every option, and that the log can be put where it is wanted."""
        super().validate()
        if self.log is not None and (not Path(self.log).parent.is_dir() or Path(self.log).is_dir()):
            msg = f"There is no folder for the log {self.log}; log=FILE takes a file in an existing folder."
            raise UsageError(msg)

    def find(self, image: Any, **prompts: Any) -> Detections:
        """Run PyBDSF on an image; see `astroseg.SourceFinder.find`."""
        self.validate()
        self.check_prompts(prompts)
        image = read_image(image)
        image, result = self._run(image)
        labels, order = divide(result.islands, result.sources, result.gaussians)
        lost = result.sources["Isl_id"].size - order.size
        if lost:
            warnings.warn(
                f"bdsf: {lost} sources share too few pixels to have one each; left out.", AstrosegWarning, stacklevel=2
            )
        image = _with_noise(image, result)
        catalog = make_catalog(image, labels, order, result)
        catalog.meta["bdsf_failed_islands"] = [
            {"island": loss.island, "x": loss.x, "y": loss.y, "reason": loss.reason} for loss in result.failed
        ]
        return self.detections(image, catalog, labels)

    def _chosen(self) -> dict[str, Any]:
        """PyBDSF's options where they differ from its defaults."""
        given = {name: getattr(self, name) for name in _OWN if getattr(self, name) is not None}
        changed = {
            name: getattr(self, name) for name, option in _PASSED_ON.items() if getattr(self, name) != option.default
        }
        return PRESETS[self.preset] | given | changed

    def _run(self, image: CCDData) -> tuple[CCDData, Result]:
        """PyBDSF's answer, and the image with the maps that it was given."""
        try:
            image, result = self._with_any_noise(image)
        except EngineError as error:
            msg = f"bdsf on {image.meta['name']}: {error}"
            raise AstrosegError(msg) from error
        for note in result.notes:
            warnings.warn(f"bdsf: {note}", AstrosegWarning, stacklevel=3)
        for loss in result.failed:
            warnings.warn(
                f"bdsf: the island at x = {loss.x}, y = {loss.y} has no sources: {loss.reason}.",
                AstrosegWarning,
                stacklevel=3,
            )
        return image, result

    def _with_any_noise(self, image: CCDData) -> tuple[CCDData, Result]:
        """Run with PyBDSF's own noise, or with astroseg's where PyBDSF cannot measure it."""
        try:
            return image, self._engine(image)
        except NoiseError:
            if "background" in image.meta:
                raise
        image = standardize(image)
        try:
            result = self._engine(image)
        except EngineError as error:
            msg = f"{str(error).removesuffix('.')}. Try --background constant."
            raise EngineError(msg) from error
        method = image.meta["background"].method
        result.notes.insert(0, f"PyBDSF cannot measure the noise of this image; used astroseg's ({method}).")
        return image, result

    def _engine(self, image: CCDData) -> Result:
        header = fits.Header() if image.wcs is None else image.wcs.to_header(relax=True)
        options = self._chosen()
        options.setdefault("beam", _beam_degrees(image))
        options.setdefault("frequency", header_frequency(image.meta["header"] or {}))
        return run(
            _values(image),
            header,
            {name: value for name, value in options.items() if value is not None},
            **_given_maps(image),
            timeout=self.timeout,
            island_timeout=self.island_timeout,
            log=self.log,
        )


# The constructor's arguments, PyBDSF's own by name among them: what options, repr and provenance are made from.
_signature = inspect.signature(BDSFFinder.__init__)
BDSFFinder.__signature__ = _signature.replace(
    parameters=[
        *(each for each in _signature.parameters.values() if each.name != "self" and each.kind is each.KEYWORD_ONLY),
        *(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default)
            for name, option in _PASSED_ON.items()
        ),
    ],
    return_annotation=inspect.Signature.empty,
)


def _values(image: CCDData) -> np.ndarray:
    factor = to_jy(image)
    kind = np.float32 if image.data.dtype.itemsize <= 4 and image.data.dtype.kind == "f" else np.float64
    data = (
        np.array(image.data, dtype=kind) if factor == 1 else (np.asarray(image.data, dtype=float) * factor).astype(kind)
    )
    if image.mask is not None:
        data[image.mask] = np.nan
    largest = np.nanmax(np.abs(data), initial=0)
    if largest > LARGEST:
        name = image.meta["name"]
        msg = f"{name} holds values of {largest:.0e}; PyBDSF can't go beyond {LARGEST:.0e}. Change the unit."
        raise ImageError(msg)
    return data


def _given_maps(image: CCDData) -> dict[str, np.ndarray]:
    """Background and noise that the caller chose; without them PyBDSF measures its own."""
    background = image.meta.get("background")
    if background is None:
        return {}
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    return {"background": background.level[whole] * to_jy(image), "rms": background.rms[whole] * to_jy(image)}


def _beam_degrees(image: CCDData) -> tuple[float, float, float] | None:
    beam = image.meta.get("beam")
    scale = pixel_scale(image.wcs)
    widths = beam.fwhm_pixels(scale) if beam is not None else None
    if widths is None:
        # An angle without a pixel scale says nothing of the pixels.
        return None
    # The engine's stand-in for a missing sky has pixels of one arcsec. Many headers hold single-precision
    # numbers, 1.5000000363 arcsec for 1.5: seven digits are what they mean.
    arcsec = [float(f"{width * (1.0 if scale is None else scale.to_value(u.arcsec)):.7g}") for width in widths]
    return arcsec[0] / 3600, arcsec[1] / 3600, beam.pa.to_value(u.deg)


def _with_noise(image: CCDData, result: Result) -> CCDData:
    """The image with the background and noise that PyBDSF used."""
    factor = to_jy(image)
    meta = dict(image.meta)
    if "background" not in meta:
        meta["background"] = Background(result.mean / factor, result.rms / factor, "measured by PyBDSF")
    return CCDData(image.data, unit=image.unit, wcs=image.wcs, mask=image.mask, meta=meta)
