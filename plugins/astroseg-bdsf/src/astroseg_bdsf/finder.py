"""The finder: an image to PyBDSF's engine, its sources back into the common columns."""

import inspect
import warnings
from collections.abc import Callable
from typing import Annotated, Any, Literal

import astropy.units as u
import numpy as np
from annotated_types import Gt
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs.utils import wcs_to_celestial_frame

from astroseg import AstrosegError, AstrosegWarning, Detections, SourceFinder, UsageError, measure, read_image
from astroseg.background import Background
from astroseg.catalog import flux_scale
from astroseg.errors import ImageError
from astroseg.header import pixel_scale
from astroseg.options import Option
from astroseg.sky import local_matrix, sky_frame, to_sky

from . import options as bdsf_options
from .engine import EngineError, Result, run
from .labels import divide
from .prepare import header_frequency

__all__ = ["PRESETS", "BDSFFinder"]

_POSITIONS = (("ra", "dec"), ("hpc_x", "hpc_y"), ("hg_lon", "hg_lat"))
JY_BEAM = u.Jy / u.beam
LARGEST = 1e30  # beyond it PyBDSF, whose maps are in single precision, does not end
FITTED = 16 | 32  # flags of moments measured on pixels, which say nothing of a fit

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

    def find(self, image: Any, **prompts: Any) -> Detections:
        """Run PyBDSF on an image; see `astroseg.SourceFinder.find`."""
        self.validate()
        self.check_prompts(prompts)
        image = read_image(image)
        result = self._run(image)
        labels, order = divide(result.islands, result.sources, result.gaussians)
        lost = result.sources["Isl_id"].size - order.size
        if lost:
            warnings.warn(
                f"bdsf: {lost} sources share too few pixels to have one each; left out.", AstrosegWarning, stacklevel=2
            )
        image = _with_noise(image, result)
        catalog = _catalog(image, labels, order, result)
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

    def _run(self, image: CCDData) -> Result:
        header = fits.Header() if image.wcs is None else image.wcs.to_header(relax=True)
        options = self._chosen()
        options.setdefault("beam", _beam_degrees(image))
        options.setdefault("frequency", header_frequency(image.meta["header"] or {}))
        try:
            result = run(
                _values(image),
                header,
                {name: value for name, value in options.items() if value is not None},
                **_given_maps(image),
                timeout=self.timeout,
                island_timeout=self.island_timeout,
                log=self.log,
            )
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
        return result


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


def _to_jy(image: CCDData) -> float:
    """Factor from the image's unit to PyBDSF's Jy/beam; 1 where there is none, and units are the image's."""
    return image.unit.to(JY_BEAM) if image.unit.is_equivalent(JY_BEAM) else 1.0


def _values(image: CCDData) -> np.ndarray:
    factor = _to_jy(image)
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
    return {"background": background.level[whole] * _to_jy(image), "rms": background.rms[whole] * _to_jy(image)}


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
    factor = _to_jy(image)
    meta = dict(image.meta)
    if "background" not in meta:
        meta["background"] = Background(result.mean / factor, result.rms / factor, "measured by PyBDSF")
    return CCDData(image.data, unit=image.unit, wcs=image.wcs, mask=image.mask, meta=meta)


def _catalog(image: CCDData, labels: np.ndarray, order: np.ndarray, result: Result) -> QTable:
    """Rows in the order of the labels: pixel counts and flags measured, all else as fitted."""
    catalog = measure(image, labels, correct=False)
    rows = {name: values[order] for name, values in result.sources.items()}
    factor = _to_jy(image)
    catalog["x_centroid"] = rows["Xposn"] * u.pix
    catalog["y_centroid"] = rows["Yposn"] * u.pix
    catalog["peak_flux"] = rows["Peak_flux"] / factor * image.unit
    catalog["local_rms"] = rows["Isl_rms"] / factor * image.unit
    with np.errstate(divide="ignore", invalid="ignore"):
        catalog["snr"] = rows["Peak_flux"] / rows["Isl_rms"]
    catalog["island"] = (rows["Isl_id"] + 1).astype(np.int32)
    catalog["flags"] = catalog["flags"] & ~FITTED
    scale, unit = flux_scale(image)
    if unit != u.Jy or not image.unit.is_equivalent(JY_BEAM):
        scale *= np.pi / (4 * np.log(2)) * result.beam[0] * result.beam[1] / result.pixel_scale**2
    else:
        scale = 1.0
    catalog["flux"] = rows["Total_flux"] * scale * unit
    catalog["flux_err"] = rows["E_Total_flux"] * scale * unit
    _put_shapes(catalog, rows, image, result)
    _put_positions(catalog, rows, image, result)
    used = {"Xposn", "Yposn", "Isl_id", "Isl_rms", "Total_flux", "E_Total_flux", "Peak_flux"}
    for name, values in rows.items():
        if name not in used:
            unit = _unit(name)
            catalog[f"bdsf_{name.lower()}"] = values * unit if unit is not None else values
    return catalog


def _put_shapes(catalog: QTable, rows: dict[str, np.ndarray], image: CCDData, result: Result) -> None:
    """Sizes and position angles; through pixels where PyBDSF saw a stand-in for the sky."""
    scale = pixel_scale(image.wcs)
    size = 3600.0 * u.arcsec
    pa = {"pa": rows["PA"], "deconvolved_pa": rows["DC_PA"]}
    if result.stand_in_sky:
        size = (1.0 * u.pix if scale is None else scale) / result.pixel_scale
        matrix = local_matrix(image.wcs, rows["Xposn"], rows["Yposn"])
        pa = {name: _turned(angle, matrix) for name, angle in pa.items()}
    for name, column in (("fwhm", ""), ("deconvolved", "DC_")):
        catalog[f"{name}_major"] = rows[f"{column}Maj"] * size
        catalog[f"{name}_minor"] = rows[f"{column}Min"] * size
    catalog["pa"] = pa["pa"] % 180 * u.deg
    catalog["deconvolved_pa"] = np.where(rows["DC_Maj"] > 0, pa["deconvolved_pa"] % 180, np.nan) * u.deg


def _turned(angle: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Angle from +y towards -x, as a position angle east of north."""
    direction = np.stack([-np.sin(np.radians(angle)), np.cos(np.radians(angle))], axis=-1)
    east, north = np.einsum("nij,nj->in", matrix, direction)
    return np.degrees(np.arctan2(east, north))


def _put_positions(catalog: QTable, rows: dict[str, np.ndarray], image: CCDData, result: Result) -> None:
    """PyBDSF's positions on an equatorial sky; on any other those of the fitted pixels, with its errors."""
    first, second = next(pair for pair in _POSITIONS if pair[0] in catalog.colnames)
    if not result.stand_in_sky and wcs_to_celestial_frame(image.wcs).name == sky_frame(image.wcs):
        position = rows["RA"] % 360, rows["DEC"]
    else:
        position = to_sky(image.wcs, rows["Xposn"], rows["Yposn"])
    scale = pixel_scale(image.wcs)
    stretch = scale.to_value(u.deg) / result.pixel_scale if result.stand_in_sky and scale is not None else 1.0
    known = np.isfinite(position[0])
    for name, values, errors in ((first, position[0], rows["E_RA"]), (second, position[1], rows["E_DEC"])):
        catalog[name] = values * u.deg
        catalog[f"{name}_err"] = np.where(known, errors * stretch, np.nan) * u.deg


def _unit(name: str) -> u.UnitBase | None:
    if "flux" in name.lower():
        return JY_BEAM if name == "E_Peak_flux" else u.Jy
    if any(part in name for part in ("RA", "DEC", "Maj", "Min", "PA")):
        return u.deg
    return None
