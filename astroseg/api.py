"""`find`: read, find and measure in one call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy.nddata import CCDData

from astroseg.background import standardize
from astroseg.catalog import complete, stamp
from astroseg.errors import AstrosegWarning, ImageError, PluginError, UsageError
from astroseg.finder import Detections, SourceFinder
from astroseg.image import read_image
from astroseg.measurement import measure
from astroseg.mosaic import Mosaic, as_mosaic
from astroseg.plugins import get_finder

__all__ = ["find"]

READING = ("hdu", "plane", "unit", "beam", "mask", "keep_zeros")


def find(
    image: Any,
    backend: str | SourceFinder = "sigma",
    *,
    background: Any = None,
    noise: Any = None,
    mesh: int | None = None,
    measure_on: Any = None,
    reliability: float | None = None,
    prompts: dict[str, Any] | None = None,
    **options: Any,
) -> Detections:
    """Find the sources of an image.

    Parameters
    ----------
    image : anything that `~astroseg.read_image` takes
    backend : str or `~astroseg.SourceFinder`
        A name that ``astroseg backends`` lists, or a finder.
    background, noise, mesh : optional
        See `~astroseg.standardize`. By default the finder chooses.
    measure_on : anything that `~astroseg.read_image` takes, optional
        Detect on ``image``, measure on this one, which has the same grid. The options for reading and for
        background and noise are those of both.
    reliability : float, optional
        Choose the finder's threshold on this image so that this share of the detections is real, judged by the
        inverted image; see `~astroseg.evaluate.reliability.choose_threshold`.
    prompts : dict, optional
        What belongs to the image and not to the method, for finders that take it.
    **options
        ``hdu``, ``plane``, ``unit``, ``beam``, ``mask`` and ``keep_zeros`` go to `~astroseg.read_image`, all others to
        the finder.

    Returns
    -------
    `~astroseg.Detections`

    Examples
    --------
    >>> import numpy as np
    >>> import astroseg
    >>> rng = np.random.default_rng(1)
    >>> pixels = rng.normal(size=(64, 64))
    >>> pixels[30:33, 40:43] += 20
    >>> detections = astroseg.find(pixels, "sigma", threshold=7)
    >>> len(detections), detections.catalog["x_centroid"].round(0)
    (1, <Quantity [41.] pix>)
    """
    reading = {key: options.pop(key) for key in READING if key in options}
    finder = as_finder(backend, options)
    image = prepared(read_image(image, **reading), finder, background, noise, mesh)
    choice = None
    if reliability is not None:
        from astroseg.evaluate.reliability import choose_threshold

        choice = choose_threshold(image, finder, reliability, prompts=prompts)
        finder = choice.finder
    by_regions = finder.region and not prompts
    detections = finder.search(as_mosaic(image))[0] if by_regions else finder.find(image, **(prompts or {}))
    if not isinstance(detections, Detections):
        # a plugin may break the contract
        msg = f"The finder '{finder.name}' returned a {type(detections).__name__}, not Detections."  # type: ignore[unreachable]
        raise PluginError(msg)
    if isinstance(detections.image, Mosaic):
        detections.image = image
    if choice is not None:
        detections.catalog.meta["reliability"] = choice.note()
    if measure_on is None:
        return detections
    other = read_image(measure_on, **reading)
    _check_same_sky(other, image)
    default = finder.background or "mesh"
    other = standardize(other, default if background is None else background, noise, mesh)
    return _measured_on(other, detections, finder)


def as_finder(backend: Any, options: dict[str, Any]) -> SourceFinder:
    """A finder by its name; one that is made already has its options."""
    if isinstance(backend, str):
        return get_finder(backend, **options)
    if not isinstance(backend, SourceFinder):
        msg = f"The backend must be a name or a finder, for example 'sigma' or SigmaFinder(), not {backend!r}."
        raise UsageError(msg)
    if options:
        msg = f"The finder {backend!r} is made already; give {', '.join(options)} to its constructor."
        raise UsageError(msg)
    return backend


def _check_same_sky(other: CCDData, image: CCDData) -> None:
    """Warn where two images of one size look at different places."""
    if other.shape != image.shape or other.wcs is None or image.wcs is None:
        return
    middle = np.array([[(length - 1) / 2 for length in reversed(image.shape)]])
    try:
        place = other.wcs.wcs_world2pix(image.wcs.wcs_pix2world(middle, 0), 0)
    except ValueError:  # of other axes, or off the sky
        place = np.full((1, 2), np.inf)
    if not np.all(np.abs(place - middle) < 1):
        warnings.warn(
            f"{other.meta['name']} and {image.meta['name']} have the same size, but not the same place on the sky.",
            AstrosegWarning,
            stacklevel=3,
        )


def prepared(image: CCDData, finder: SourceFinder, background: Any, noise: Any, mesh: int | None) -> CCDData:
    """The image with background and noise measured, where the caller wants it otherwise than the finder."""
    if background is None and noise is None and mesh is None:
        return image
    default = finder.background or "mesh"
    return standardize(image, default if background is None else background, noise, mesh)


def _measured_on(image: CCDData, detections: Detections, finder: SourceFinder) -> Detections:
    """Replace every measured column; the finder's own columns, its probability and islands stay."""
    if image.shape != detections.image.shape:
        shapes = [" x ".join(map(str, reversed(shape))) for shape in (image.shape, detections.image.shape)]
        msg = f"The image to measure on has {shapes[0]} pixels, the one to detect on {shapes[1]}."
        raise ImageError(msg)
    old = detections.catalog
    new = measure(image, detections.labels)
    for name in old.colnames:
        if name not in new.colnames or name in ("probability", "island"):
            new[name] = old[name]
    kept = ("image", "image_path", "image_sha256", "reading", "reliability")
    new.meta.update({key: value for key, value in old.meta.items() if key in kept})
    catalog = complete(new, image)
    catalog.meta = {"measured_on": image.meta["name"], **new.meta}
    stamp(catalog, finder, image)
    return Detections(catalog, detections.labels, image, detections.probability)
