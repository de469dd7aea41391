"""`find`: read, find and measure in one call."""

from __future__ import annotations

from typing import Any

from astropy.nddata import CCDData

from astroseg.background import standardize
from astroseg.catalog import complete, stamp
from astroseg.errors import ImageError, PluginError
from astroseg.finder import Detections, PixelFinder, SourceFinder
from astroseg.image import read_image
from astroseg.measurement import measure
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
        Detect on ``image``, measure on this one, which has the same grid.
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
    finder = get_finder(backend, **options) if isinstance(backend, str) else backend
    image = _prepared(read_image(image, **reading), finder, background, noise, mesh)
    detections = finder.find(image, **(prompts or {}))
    if not isinstance(detections, Detections):
        # a plugin may break the contract
        msg = f"The finder '{finder.name}' returned a {type(detections).__name__}, not Detections."  # type: ignore[unreachable]
        raise PluginError(msg)
    if measure_on is None:
        return detections
    other = _prepared(read_image(measure_on), finder, background, noise, mesh)
    return _measured_on(other, detections, finder)


def _prepared(image: CCDData, finder: SourceFinder, background, noise, mesh) -> CCDData:
    if background is None and noise is None and mesh is None:
        return image
    default = finder.background if isinstance(finder, PixelFinder) else "mesh"
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
    new.meta.update({key: value for key, value in old.meta.items() if key in ("image", "image_sha256", "background")})
    catalog = complete(new, image)
    catalog.meta = {"measured_on": image.meta["name"], **new.meta}
    stamp(catalog, finder, image)
    return Detections(catalog, detections.labels, image, detections.probability)
