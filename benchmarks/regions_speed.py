"""DS9 regions from columns against `regions` objects, written one by one, in the same run.

python benchmarks/regions_speed.py [NUMBER_OF_SOURCES]
"""

import sys
import time

import numpy as np
from astropy.io import fits

import astroseg
from astroseg.shapes import ds9_text, to_regions


def field(number: int) -> astroseg.Detections:
    """Square sources on a grid, with random pixels taken from their edges."""
    side = int(np.ceil(np.sqrt(number)))
    labels = np.zeros((8 * side, 8 * side), dtype=np.int32)
    labels[::8, ::8].flat[:number] = np.arange(1, number + 1)
    rows = np.repeat(np.repeat(labels[::8, ::8], 8, axis=0), 8, axis=1)
    inside = np.random.default_rng(0).random(labels.shape) < 0.9
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]] % 8
    inside |= (abs(x - 3) <= 1) & (abs(y - 3) <= 1)
    labels = np.where(inside & (x < 6) & (y < 6), rows, 0).astype(np.int32)
    hdu = fits.PrimaryHDU((labels > 0) + np.float32(0.1))
    hdu.header.update(
        CTYPE1="RA---SIN",
        CTYPE2="DEC--SIN",
        CRVAL1=150.0,
        CRVAL2=-30.0,
        CRPIX1=1.0,
        CRPIX2=1.0,
        CDELT1=-1 / 3600,
        CDELT2=1 / 3600,
        BUNIT="Jy/beam",
    )
    image = astroseg.standardize(astroseg.read_image(hdu), "none", noise=np.ones(labels.shape))
    return astroseg.Detections(astroseg.measure(image, labels), labels, image)


def seconds(function, *arguments) -> tuple[float, object]:
    """Return how long a call took, and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def main() -> None:
    """Print one line per kind of region."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    detections = field(number)
    print(f"{len(detections)} sources; seconds")
    print(f"{'kind':10}{'text from columns':>20}{'objects':>10}{'their serialize':>18}{'ratio':>8}")
    for kind in ("ellipse", "box", "polygon"):
        fast, _ = seconds(ds9_text, detections, kind)
        made, regions = seconds(to_regions, detections, kind)
        written, _ = seconds(lambda regions=regions: regions.serialize(format="ds9"))
        print(f"{kind:10}{fast:20.3f}{made:10.2f}{written:18.2f}{(made + written) / fast:8.0f}")


if __name__ == "__main__":
    main()
