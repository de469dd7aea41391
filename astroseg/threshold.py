"""The classical finders: histogram thresholds, k-sigma islands, local maxima.

They are the honest yardsticks that learned finders must beat, and come in by the visitors' door.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt
from astropy.nddata import CCDData
from scipy import ndimage

from astroseg.background import MAD_TO_SIGMA, significance
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.errors import AstrosegWarning
from astroseg.finder import PixelFinder
from astroseg.header import pixel_scale
from astroseg.labels import components, deblend, hysteresis, remove_small, watershed
from astroseg.median import median
from astroseg.mosaic import Mosaic, Place, as_mosaic
from astroseg.tiling import strips, widened, within

__all__ = ["OtsuFinder", "PeaksFinder", "SigmaFinder", "TriangleFinder", "YenFinder"]

FLOOD = 0.5
SEED = 1.0


class SigmaFinder(PixelFinder):
    """Islands above k sigma, with hysteresis: a seed pixel, flooded down to a lower level.

    Parameters
    ----------
    threshold : float, in units of the noise
        A source has at least one pixel above it.
    flood : float, in units of the noise
        All pixels of a source are above it; at most ``threshold``.
    min_pixels : int, pixels
        Smaller islands are dropped.
    connectivity : int
        8 if pixels that touch at a corner are connected, else 4.
    deblend : bool
        Split islands with several peaks by multi-thresholding and watershed.

    Notes
    -----
    Seeds and flooding as in Aegean's islands (Hancock et al. 2012, MNRAS 422, 1812, section 3).
    """

    name = "sigma"
    threshold_option = "threshold"
    is_probability = False
    local = True
    citation = "Hancock et al. 2012, MNRAS 422, 1812 (seed and flood thresholds)"

    def __init__(
        self,
        *,
        threshold: Annotated[float, Gt(0)] = 5.0,
        flood: Annotated[float, Gt(0)] = 3.0,
        min_pixels: Annotated[int, Ge(1)] = 3,
        connectivity: Literal[8, 4] = 8,
        deblend: bool = False,
    ) -> None:
        self.threshold = threshold
        self.flood = flood
        self.min_pixels = min_pixels
        self.connectivity = connectivity
        self.deblend = deblend

    def predict(self, batch: np.ndarray, **prepared: Any) -> np.ndarray:
        """Score 1 above the threshold, 0.5 above the flood level."""
        return _steps(batch, min(self.flood, self.threshold), self.threshold)

    def label(self, maps: dict[str, np.ndarray], image: CCDData) -> np.ndarray:
        """Label the flooded islands that hold a seed, and deblend them if asked to."""
        labels = hysteresis(maps["probability"], FLOOD, SEED, self.min_pixels, self.connectivity)
        return deblend(labels, significance(image), origin=Place.of(image).origin) if self.deblend else labels


class PeaksFinder(PixelFinder):
    """Local maxima above k sigma; each gets the pixels that slope up to it.

    Parameters
    ----------
    threshold : float, in units of the noise
        A local maximum below it is no source.
    flood : float, in units of the noise
        Pixels of a source are above it.
    matched_filter : bool
        Look for the maxima in the image convolved with its beam (3 pixels without one). This helps
        where the noise is white (optical, counts); an interferometer's noise has the beam's own
        correlation, and the filter then loses close pairs and gains nothing.
    min_pixels : int, pixels
        Smaller sources are dropped.
    """

    name = "peaks"
    threshold_option = "threshold"
    is_probability = False
    local = True
    halo = 64
    citation = "Vikhlinin et al. 1995, ApJ 451, 542 (matched filter)"

    def __init__(
        self,
        *,
        threshold: Annotated[float, Gt(0)] = 5.0,
        flood: Annotated[float, Gt(0)] = 2.5,
        matched_filter: bool = False,
        min_pixels: Annotated[int, Ge(1)] = 1,
    ) -> None:
        self.threshold = threshold
        self.flood = flood
        self.matched_filter = matched_filter
        self.min_pixels = min_pixels

    def prepare(self, image: CCDData) -> dict[str, Any]:
        """Return the sigma of the filter in pixels (at most 16), and its gain in signal to noise."""
        if not self.matched_filter:
            return {"width": 0.0, "gain": 1.0}
        beam = image.meta.get("beam")
        widths = beam.fwhm_pixels(pixel_scale(image.wcs)) if beam is not None else None
        width = (3.0 if widths is None else float(np.sqrt(widths[0] * widths[1]))) / FWHM_PER_SIGMA
        width = min(width, self.halo / _TRUNCATE)
        mosaic = as_mosaic(image)

        def filtered() -> Iterator[np.ndarray]:
            for strip in strips(mosaic.shape):
                wide = widened(strip, self.halo, mosaic.shape)
                part = mosaic.cut(wide)
                values, crop = _smooth(significance(part), width), within(strip, wide)
                yield values[crop].ravel() if part.mask is None else values[crop][~part.mask[crop]]

        middle = np.float32(median(filtered))
        spread = median(lambda: (np.abs(values - middle) for values in filtered())) * MAD_TO_SIGMA
        return {"width": width, "gain": 1 / spread if spread > 0 else 1.0}

    def predict(  # type: ignore[override] # prepare() gives both
        self, batch: np.ndarray, *, width: float, gain: float, **prepared: Any
    ) -> dict[str, np.ndarray]:
        """Return the (filtered) image as ``height``, and a score of 1 at its peaks, 0.5 above the flood level."""
        height = batch if width == 0 else np.stack([_smooth(image, width) for image in batch]) * np.float32(gain)
        score = np.where(height >= min(self.flood, self.threshold), np.float32(FLOOD), np.float32(0))
        highest = ndimage.maximum_filter(height, size=(1, 3, 3), mode="constant", cval=-np.inf)
        score[(height == highest) & (height >= self.threshold)] = SEED
        return {"probability": score, "height": height}

    def label(self, maps: dict[str, np.ndarray], image: CCDData) -> np.ndarray:
        """Give each flooded pixel to a peak by watershed."""
        seeds = components(maps["probability"] == SEED)
        labels = watershed(maps["height"], seeds, maps["probability"] >= FLOOD)
        return remove_small(labels, self.min_pixels)


class _HistogramFinder(PixelFinder):
    """One threshold for the whole image, chosen from the histogram of its pixels.

    Parameters
    ----------
    transform : str
        What is put into the histogram: ``asinh`` of the image in units of its noise, or ``raw``,
        the same without the asinh. On raw pixels of a radio image the bright tail wins, and the
        threshold lands far above the noise.
    min_pixels : int, pixels
        Smaller islands are dropped.
    n_bins : int
        Bins of the histogram.
    """

    is_probability = False

    def __init__(
        self,
        *,
        transform: Literal["asinh", "raw"] = "asinh",
        min_pixels: Annotated[int, Ge(1)] = 1,
        n_bins: Annotated[int, Ge(2)] = 256,
    ) -> None:
        self.transform = transform
        self.min_pixels = min_pixels
        self.n_bins = n_bins

    def prepare(self, image: CCDData) -> dict[str, Any]:
        """Choose the threshold, in units of the noise; warn where it is far above it."""
        counts, centres = self._histogram(as_mosaic(image))
        if counts.size == 0:
            return {"threshold": np.inf}
        threshold = float(self.choose(counts, centres))
        threshold = float(np.sinh(threshold)) if self.transform == "asinh" else threshold
        if threshold > 20:
            warnings.warn(
                f"{self.name} puts its threshold at {threshold:.0f} times the noise; most sources lie below. "
                "Use transform=asinh (the default) or the finder 'sigma'.",
                AstrosegWarning,
                stacklevel=4,
            )
        return {"threshold": threshold}

    def _histogram(self, mosaic: Mosaic) -> tuple[np.ndarray, np.ndarray]:
        """Counts and centres of the bins between the least and the largest pixel; empty where all are the same."""
        extremes = [(part.min(), part.max()) for part in self._values(mosaic) if part.size]
        if not extremes:
            return np.zeros(0, int), np.zeros(0)
        low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
        if low == high:
            return np.zeros(0, int), np.zeros(0)
        parts = [np.histogram(part, self.n_bins, (low, high)) for part in self._values(mosaic)]
        edges = parts[0][1]
        return np.sum([counts for counts, _ in parts], axis=0), (edges[:-1] + edges[1:]) / 2

    def _values(self, mosaic: Mosaic) -> Iterator[np.ndarray]:
        """The (transformed) pixels that are not blank, strip by strip."""
        for strip in strips(mosaic.shape):
            image = mosaic.cut(strip)
            values = significance(image)
            values = values.ravel() if image.mask is None else values[~image.mask]
            yield np.arcsinh(values) if self.transform == "asinh" else values

    def choose(self, counts: np.ndarray, centres: np.ndarray) -> float:
        """Return the threshold that a histogram of the (transformed) pixels suggests."""
        from skimage import filters

        return getattr(filters, f"threshold_{self.name}")(hist=(counts, centres))

    def predict(  # type: ignore[override] # prepare() gives it
        self, batch: np.ndarray, *, threshold: float, **prepared: Any
    ) -> np.ndarray:
        """Score 1 above the threshold."""
        return (batch > threshold).astype(np.float32)


class YenFinder(_HistogramFinder):
    """Yen's maximum-correlation threshold on the histogram of the whole image.

    Notes
    -----
    Yen, Chang & Chang 1995, IEEE Trans. Image Processing 4, 370; `skimage.filters.threshold_yen`.
    On a field of a few thousand sources about one in six of its detections is a chance match.
    """

    name = "yen"
    citation = "Yen, Chang & Chang 1995, IEEE Transactions on Image Processing 4, 370"


class OtsuFinder(_HistogramFinder):
    """Otsu's threshold: the least variance within sky and sources.

    Notes
    -----
    Otsu 1979, IEEE Trans. Systems, Man and Cybernetics 9, 62; `skimage.filters.threshold_otsu`.
    """

    name = "otsu"
    expected_failures: ClassVar[dict[str, str]] = {
        "bright_source": "the threshold lies within the noise where sources fill little of the image"
    }
    citation = "Otsu 1979, IEEE Transactions on Systems, Man, and Cybernetics 9, 62"


class TriangleFinder(_HistogramFinder):
    """The triangle threshold: the bin farthest from the line between the peak and the tail.

    Notes
    -----
    Zack, Rogers & Latt 1977, J. Histochemistry and Cytochemistry 25, 741;
    `skimage.filters.threshold_triangle`.
    """

    name = "triangle"
    citation = "Zack, Rogers & Latt 1977, Journal of Histochemistry and Cytochemistry 25, 741"

    def choose(self, counts: np.ndarray, centres: np.ndarray) -> float:
        """Return the threshold that a histogram of the (transformed) pixels suggests."""
        # scikit-image's function takes no histogram.
        peak, filled = int(np.argmax(counts)), np.flatnonzero(counts)
        end = int(max(filled[0], filled[-1], key=lambda place: abs(place - peak)))
        if end == peak:
            return centres[peak]
        steps = np.arange(abs(end - peak))
        place = end + steps * np.sign(peak - end)
        return centres[place[np.argmax(counts[peak] * steps - steps.size * counts[place])]]


_TRUNCATE = 4.0  # sigmas at which the Gaussian filter is cut off


def _smooth(image: np.ndarray, width: float) -> np.ndarray:
    return ndimage.gaussian_filter(image, width, truncate=_TRUNCATE, mode="constant")


def _steps(batch: np.ndarray, flood: float, seed: float) -> np.ndarray:
    """0 below the flood level, 0.5 above it, 1 above the seed level."""
    score = (batch >= flood).astype(np.float32)
    score += batch >= seed
    score *= FLOOD
    return score
