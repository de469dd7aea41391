"""PyBDSF's sources as a catalogue: the common columns, and its own after them."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs.utils import wcs_to_celestial_frame

from astroseg import measure
from astroseg.catalog import flux_scale
from astroseg.header import pixel_scale
from astroseg.sky import local_matrix, sky_frame, to_sky

from .engine import Result

__all__ = ["make_catalog", "to_jy"]

JY_BEAM = u.Jy / u.beam
FITTED = 16 | 32  # flags of moments measured on pixels, which say nothing of a fit
_POSITIONS = (("ra", "dec"), ("hpc_x", "hpc_y"), ("hg_lon", "hg_lat"))

# Columns of PyBDSF that become common ones.
_USED = {"Xposn", "Yposn", "Isl_id", "Isl_rms", "Total_flux", "E_Total_flux", "Peak_flux"}

# PyBDSF's other columns: what is in them (see _scales), and a sentence. E_NAME is the standard error of NAME.
_EXTRA = {
    "Source_id": ("", "PyBDSF's number of the source"),
    "S_Code": ("", "S: one Gaussian, alone in its island; C: one Gaussian of several sources; M: several Gaussians"),
    "N_gaus": ("", "Number of fitted Gaussians"),
    "RA": ("sky", "Longitude of the centroid, in the image's own frame"),
    "DEC": ("sky", "Latitude of the centroid, in the image's own frame"),
    "RA_max": ("sky", "Longitude of the brightest point of the model, in the image's own frame"),
    "DEC_max": ("sky", "Latitude of the brightest point of the model, in the image's own frame"),
    "Peak_flux": ("peak", "Peak of the model"),
    "Aperture_flux": ("flux", "Flux within the aperture"),
    "Maj": ("size", "Major full width at half maximum"),
    "Min": ("size", "Minor full width at half maximum"),
    "PA": ("sky", "Position angle of the major axis, east of north in the image's own frame"),
    "DC_Maj": ("size", "Major axis with the beam taken off, 0 = unresolved"),
    "DC_Min": ("size", "Minor axis with the beam taken off, 0 = unresolved"),
    "DC_PA": ("sky", "Position angle of the deconvolved major axis, in the image's own frame"),
    "Maj_img_plane": ("size", "Major full width at half maximum in the image plane"),
    "Min_img_plane": ("size", "Minor full width at half maximum in the image plane"),
    "PA_img_plane": ("angle", "Angle of the major axis in the image plane, from +y to -x"),
    "DC_Maj_img_plane": ("size", "Major axis with the beam taken off, in the image plane"),
    "DC_Min_img_plane": ("size", "Minor axis with the beam taken off, in the image plane"),
    "DC_PA_img_plane": ("angle", "Angle of the deconvolved major axis in the image plane, from +y to -x"),
    "Isl_Total_flux": ("flux", "Flux of the island, the sum of its pixels"),
    "Isl_mean": ("peak", "Background of the island"),
    "Resid_Isl_rms": ("peak", "Standard deviation of the island with its model taken off"),
    "Resid_Isl_mean": ("peak", "Mean of the island with its model taken off"),
}


def to_jy(image: CCDData) -> float:
    """Return the factor from the image's unit to PyBDSF's Jy/beam; 1 where there is none, and units are the image's."""
    return image.unit.to(JY_BEAM) if image.unit.is_equivalent(JY_BEAM) else 1.0


def make_catalog(image: CCDData, labels: np.ndarray, order: np.ndarray, result: Result) -> QTable:
    """Make the rows in the order of the labels: pixel counts and flags measured, all else as fitted.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        With background and noise.
    labels : 2-D `~numpy.ndarray` of int, shape (ny, nx)
    order : 1-D `~numpy.ndarray` of int
        Row of PyBDSF's source for each label.
    result : `~astroseg_bdsf.engine.Result`

    Returns
    -------
    `~astropy.table.QTable`
    """
    catalog = measure(image, labels, correct=False)
    rows = {name: values[order] for name, values in result.sources.items()}
    scales = _scales(image, result)
    catalog["x_centroid"] = rows["Xposn"] * u.pix
    catalog["y_centroid"] = rows["Yposn"] * u.pix
    catalog["peak_flux"] = rows["Peak_flux"] * scales["peak"]
    catalog["local_rms"] = rows["Isl_rms"] * scales["peak"]
    with np.errstate(divide="ignore", invalid="ignore"):
        catalog["snr"] = rows["Peak_flux"] / rows["Isl_rms"]
    catalog["island"] = (rows["Isl_id"] + 1).astype(np.int32)
    catalog["flags"] = catalog["flags"] & ~FITTED
    catalog["flux"] = rows["Total_flux"] * scales["flux"]
    catalog["flux_err"] = rows["E_Total_flux"] * scales["flux"]
    matrix = _to_sky_matrix(image, rows, result)
    _put_shapes(catalog, rows, matrix, scales["size"])
    _put_positions(catalog, rows, matrix, image, result)
    _put_extra(catalog, rows, scales)
    return catalog


def _scales(image: CCDData, result: Result) -> dict[str, u.Quantity]:
    """What a 1 of PyBDSF is worth, by kind of column."""
    factor = to_jy(image)
    scale, unit = flux_scale(image)
    # PyBDSF divides its sums by the area of the beam, in pixels.
    area = np.pi / (4 * np.log(2)) * result.beam[0] * result.beam[1] / result.pixel_scale**2
    total = 1.0 if unit == u.Jy and image.unit.is_equivalent(JY_BEAM) else scale / factor * area
    size, pixel = 3600.0 * u.arcsec, pixel_scale(image.wcs)
    if result.stand_in_sky:
        size = (1.0 * u.pix if pixel is None else pixel.to(u.arcsec)) / result.pixel_scale
    return {
        "peak": u.Quantity(1 / factor, image.unit),
        "flux": u.Quantity(total, unit),
        "size": size,
        "sky": (np.nan if result.stand_in_sky else 1.0) * u.deg,
        "angle": 1.0 * u.deg,
    }


def _to_sky_matrix(image: CCDData, rows: dict[str, np.ndarray], result: Result) -> np.ndarray:
    """(East, north) in the catalogue's frame from (east, north) on the sky that PyBDSF saw, at each source."""
    if result.stand_in_sky:  # its east is -x, its north +y
        return local_matrix(image.wcs, rows["Xposn"], rows["Yposn"]) * [-1, 1] / (3600 * result.pixel_scale)
    frame = wcs_to_celestial_frame(image.wcs)
    if frame.name == sky_frame(image.wcs) or rows["RA"].size == 0:
        return np.broadcast_to(np.eye(2), (rows["RA"].size, 2, 2))
    here = SkyCoord(rows["RA"], rows["DEC"], unit="deg", frame=frame)
    angle = here.icrs.position_angle(here.directional_offset_by(0 * u.deg, 1 * u.arcsec).icrs).rad
    return np.moveaxis(np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]), -1, 0)


def _put_shapes(catalog: QTable, rows: dict[str, np.ndarray], matrix: np.ndarray, size: u.Quantity) -> None:
    for name, column in (("fwhm", ""), ("deconvolved", "DC_")):
        catalog[f"{name}_major"] = rows[f"{column}Maj"] * size
        catalog[f"{name}_minor"] = rows[f"{column}Min"] * size
    catalog["pa"] = _turned(rows["PA"], matrix) * u.deg
    catalog["deconvolved_pa"] = np.where(rows["DC_Maj"] > 0, _turned(rows["DC_PA"], matrix), np.nan) * u.deg


def _turned(angle: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Position angle on the sky that PyBDSF saw, as one in the catalogue's frame."""
    direction = np.stack([np.sin(np.radians(angle)), np.cos(np.radians(angle))], axis=-1)
    east, north = np.einsum("nij,nj->in", matrix, direction)
    return np.degrees(np.arctan2(east, north)) % 180


def _put_positions(
    catalog: QTable, rows: dict[str, np.ndarray], matrix: np.ndarray, image: CCDData, result: Result
) -> None:
    """PyBDSF's positions on an equatorial sky; on any other those of the fitted pixels, with its errors."""
    first, second = next(pair for pair in _POSITIONS if pair[0] in catalog.colnames)
    if not result.stand_in_sky and wcs_to_celestial_frame(image.wcs).name == sky_frame(image.wcs):
        position = rows["RA"] % 360, rows["DEC"]
    else:
        position = to_sky(image.wcs, rows["Xposn"], rows["Yposn"])
    # PyBDSF gives no correlation between the two errors.
    errors = np.sqrt(np.einsum("nij,jn->in", matrix**2, np.array([rows["E_RA"], rows["E_DEC"]]) ** 2))
    for name, values, error in ((first, position[0], errors[0]), (second, position[1], errors[1])):
        catalog[name] = values * u.deg
        catalog[f"{name}_err"] = np.where(np.isfinite(values), error, np.nan) * u.deg


def _put_extra(catalog: QTable, rows: dict[str, np.ndarray], scales: dict[str, u.Quantity]) -> None:
    """Add PyBDSF's other columns, named ``bdsf_...``."""
    for name, values in rows.items():
        if name in _USED:
            continue
        kind, description = _EXTRA[name.removeprefix("E_")]
        if name.startswith("E_"):
            kind = "angle" if name in ("E_PA", "E_DC_PA") else kind
            description = f"Standard error: {description[0].lower()}{description[1:]}"
        column = f"bdsf_{name.lower()}"
        catalog[column] = values * scales[kind] if kind else values
        catalog[column].info.description = description
