"""The finder."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import astropy.units as u
import numpy as np
import sep
from annotated_types import Ge, Gt, Interval
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg import Detections, SourceFinder, measure, read_image, standardize
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.errors import UsageError
from astroseg.header import pixel_scale
from astroseg_sep.extraction import extract, in_raster_order

__all__ = ["PRESETS", "SepFinder"]

#: What the options of value None become.
PRESETS = {
    "default": {"thresh": 3.0, "minarea": 5, "deblend_nthresh": 32, "deblend_cont": 0.005},
    "cold": {"thresh": 5.0, "minarea": 10, "deblend_nthresh": 64, "deblend_cont": 0.01},
    "hot": {"thresh": 4.0, "minarea": 6, "deblend_nthresh": 64, "deblend_cont": 0.0001},
}

ENDLESS = 1e30  # noise of blank pixels; sep takes the same

# The filter that SExtractor and sep apply by default.
_PYRAMID = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32)

# Columns of sep.extract that go to the catalogue: name, unit ("image" for that of the pixels), sentence.
_EXTRA = (
    ("x", "pix", "Barycentre of the pixels above the threshold, 0-based, along the first FITS axis"),
    ("y", "pix", "Barycentre of the pixels above the threshold, 0-based, along the second FITS axis"),
    ("flux", "image pix", "Sum of the pixels"),
    ("cflux", "image pix", "Sum of the pixels of the filtered image"),
    ("peak", "image", "Brightest pixel"),
    ("cpeak", "image", "Brightest pixel of the filtered image"),
    ("a", "pix", "Standard deviation along the major axis"),
    ("b", "pix", "Standard deviation along the minor axis"),
    ("theta", "rad", "Angle of the major axis from +x towards +y"),
    ("tnpix", "", "Number of pixels above the threshold before filtering"),
    ("flag", "", "Flags of sep.extract: 1 deblended, 2 cut at the edge, ..."),
)


class SepFinder(SourceFinder):
    """SExtractor's method through `sep`: filter, threshold, deblend, clean.

    Parameters
    ----------
    preset : str
        Values of the four options that follow where they are none. ``cold`` keeps bright, extended objects
        whole, ``hot`` splits blends and goes fainter; ``default`` is sep's own but for the threshold.
    thresh : float, in units of the noise
        The filtered image is above it in all pixels of an object. 3 in the default preset (SExtractor's
        own 1.5 admits noise in radio images, where the filter does not lower it), 5 in ``cold``, 4 in ``hot``.
    minarea : int, pixels
        Smaller objects are dropped. 5 in the default preset, 10 in ``cold``, 6 in ``hot``.
    deblend_nthresh : int
        Number of thresholds of the deblending, between ``thresh`` and the peak; 1 turns it off. 32 in the
        default preset, 64 in the others.
    deblend_cont : float
        Least share of a blend's flux that a branch must hold to become an object. 0.005 in the default
        preset, 0.01 in ``cold``, 0.0001 in ``hot``.
    kernel : str
        Detection filter: sep's 3 x 3 ``pyramid``, a round Gaussian as wide as the ``beam``, or ``none``.
    filter_type : str
        ``conv`` compares the filtered image with the noise before filtering, as SExtractor does;
        ``matched`` is the matched filter for noise that is not correlated from pixel to pixel.
    clean : bool
        Drop objects that would not be detected without the wings of their neighbours.
    clean_param : float
        Exponent of the Moffat profile of these wings; smaller values clean more.
    mesh : int, pixels
        Side of the cells in which sep measures background and noise. An image that brings its own keeps
        them: on the command line any of ``--background``, ``--noise`` and ``--mesh`` asks for astroseg's
        mesh in the place of sep's, so that the side of sep's cells is ``--set mesh=N``.
    mesh_filter : int, cells
        Side of the median filter over the cells.

    Notes
    -----
    Bertin & Arnouts 1996, A&AS 117, 393; Barbary 2016, Journal of Open Source Software 1, 58.
    """

    name = "sep"
    threshold_option = "thresh"
    citation = "Bertin & Arnouts 1996, A&AS 117, 393; Barbary 2016, JOSS 1, 58, doi:10.21105/joss.00058"

    def __init__(
        self,
        *,
        preset: Literal["default", "cold", "hot"] = "default",
        thresh: Annotated[float | None, Gt(0)] = None,
        minarea: Annotated[int | None, Ge(1)] = None,
        deblend_nthresh: Annotated[int | None, Ge(1)] = None,
        deblend_cont: Annotated[float | None, Interval(ge=0, le=1)] = None,
        kernel: Literal["pyramid", "beam", "none"] = "pyramid",
        filter_type: Literal["conv", "matched"] = "conv",
        clean: bool = True,
        clean_param: Annotated[float, Gt(0)] = 1.0,
        mesh: Annotated[int, Ge(4)] = 64,
        mesh_filter: Annotated[int, Ge(1)] = 3,
    ) -> None:
        self.preset = preset
        self.thresh = thresh
        self.minarea = minarea
        self.deblend_nthresh = deblend_nthresh
        self.deblend_cont = deblend_cont
        self.kernel = kernel
        self.filter_type = filter_type
        self.clean = clean
        self.clean_param = clean_param
        self.mesh = mesh
        self.mesh_filter = mesh_filter

    def find(self, image: Any, **prompts: Any) -> Detections:
        """Find the sources of an image; see `astroseg.SourceFinder.find`."""
        self.validate()
        self.check_prompts(prompts)
        image = read_image(image)
        if "background" not in image.meta:
            image = self._standardized(image)
        objects, labels = in_raster_order(*self._extract(image))
        catalog = measure(image, labels)
        _add_columns(catalog, objects, image)
        return self.detections(image, catalog, labels)

    def settings(self) -> dict[str, Any]:
        """Return the four options of the preset, with those that were given in their place."""
        preset = PRESETS[self.preset]
        return {key: value if getattr(self, key) is None else getattr(self, key) for key, value in preset.items()}

    def _standardized(self, image: CCDData) -> CCDData:
        """Measure background and noise with sep."""
        # sep takes native byte order; it works in float32, but an int32 or float64 image must get there whole.
        small = image.data.dtype.kind == "f" and image.data.dtype.itemsize <= 4
        data = np.array(image.data, dtype=np.float32 if small else np.float64, order="C")
        if image.mask is not None:
            data[image.mask] = 0
        measured = sep.Background(
            data, mask=image.mask, bw=self.mesh, bh=self.mesh, fw=self.mesh_filter, fh=self.mesh_filter
        )
        noise = measured.rms()
        if not noise.any():  # a constant or blank image, in which nothing is found whatever its background
            return standardize(image, "none")
        image = standardize(image, measured.back(), noise)
        method = f"background and noise of sep, mesh of {self.mesh} px"
        image.meta["background"] = replace(image.meta["background"], method=method)
        return image

    def _extract(self, image: CCDData) -> tuple[np.ndarray, np.ndarray]:
        background = image.meta["background"]
        whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        data = np.array(background.residual(image.data, whole), dtype=np.float32, order="C")
        noise = np.array(background.rms[whole], dtype=np.float32, order="C")
        blank = ~(np.isfinite(data) & (noise > 0))
        if image.mask is not None:
            blank |= image.mask
        data[blank] = 0
        noise[blank] = ENDLESS  # the filter spreads sources over blank pixels, where sep would see them
        settings = self.settings()
        objects, labels = extract(
            data,
            settings.pop("thresh"),
            err=noise,
            mask=blank,
            filter_kernel=self._kernel(image),
            filter_type=self.filter_type,
            clean=self.clean,
            clean_param=self.clean_param,
            **settings,
        )
        return objects, np.where(blank, 0, labels)

    def _kernel(self, image: CCDData) -> np.ndarray | None:
        if self.kernel != "beam":
            return _PYRAMID if self.kernel == "pyramid" else None
        beam = image.meta["beam"]
        widths = None if beam is None else beam.fwhm_pixels(pixel_scale(image.wcs))
        if widths is None:
            msg = f"kernel=beam needs the beam of {image.meta['name']}; give it with --beam, or take kernel=pyramid."
            raise UsageError(msg)
        sigma = np.sqrt(widths[0] * widths[1]) / FWHM_PER_SIGMA
        reach = int(np.ceil(3 * sigma))
        profile = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        return np.outer(profile, profile).astype(np.float32)


def _add_columns(catalog: QTable, objects: np.ndarray, image: CCDData) -> None:
    """Add the columns of sep, named ``sep_...``."""
    units = {"image": image.unit, "image pix": image.unit * u.pix}
    for name, unit, description in _EXTRA:
        values = np.array(objects[name])
        column = f"sep_{name}"
        catalog[column] = u.Quantity(values, units.get(unit, unit)) if unit else values
        catalog[column].info.description = description
