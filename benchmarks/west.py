"""The SDC1 field: Yen by transform and noise, PyBDSF through astroseg against PyBDSF alone, 2 to 5 axes.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/west.py [yen] [bdsf] [axes]
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits

import astroseg
from astroseg.errors import AstrosegWarning

BEAM = (1.5 / 3600, 1.5 / 3600, 0.0)  # deg; the header has it in single precision


def yen(path: Path) -> None:
    print("yen on the west image")
    for transform, background, noise in (
        ("raw", "none", "constant"),
        ("asinh", "none", "constant"),
        ("asinh", "none", "mesh"),
        ("asinh", "mesh", "mesh"),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AstrosegWarning)
            found = astroseg.find(path, "yen", transform=transform, background=background, noise=noise)
        said = "; ".join(str(item.message).split(";")[0] for item in caught)
        print(f"  transform {transform:5}  background {background:4}  noise {noise:8} {len(found):6,} labels  {said}")


def alone(path: Path, **options) -> dict[str, np.ndarray]:
    """PyBDSF by itself, on the file; without BPA in the header it has to be told the beam."""
    import bdsf

    with tempfile.TemporaryDirectory() as folder:
        logging.disable(logging.CRITICAL)
        image = bdsf.process_image(str(path), quiet=True, outdir=folder, beam=BEAM, **options)
        logging.disable(logging.NOTSET)
        Path(f"{path}.pybdsf.log").unlink(missing_ok=True)
    sources = image.sources
    return {
        "ra": np.array([source.posn_sky_centroid[0] for source in sources]) % 360,
        "dec": np.array([source.posn_sky_centroid[1] for source in sources]),
        "flux": np.array([source.total_flux for source in sources]),
        "peak_flux": np.array([source.peak_flux_max for source in sources]),
    }


def bdsf(path: Path) -> None:
    print("PyBDSF through astroseg against PyBDSF alone, west image")
    presets = {
        "thresh_isl=4, thresh_pix=5": ({"thresh_isl": 4.0, "thresh_pix": 5.0},) * 2,
        "tuned": ({"preset": "tuned"}, {"thresh_isl": 2.5, "thresh_pix": 3.0, "minpix_isl": 3}),
    }
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "west.fits"
        copy.write_bytes(path.read_bytes())
        for name, (ours, theirs) in presets.items():
            found = astroseg.find(path, "bdsf", **ours)
            reference = alone(copy, **theirs)
            catalog = found.catalog
            ids = np.argsort(catalog["bdsf_source_id"])
            worst = {key: np.max(np.abs(np.asarray(catalog[key].value)[ids] / reference[key] - 1)) for key in reference}
            labels = np.unique(found.labels)
            print(
                f"  {name:28} {len(catalog):,} sources, alone {reference['ra'].size:,}; labels {labels.size - 1:,}; "
                + ", ".join(f"{key} {value:.1e}" for key, value in worst.items())
            )


def axes(path: Path) -> None:
    print("one sky in 2 to 5 axes, finder sigma")
    small = path.parents[1] / "aegean"
    compare("aegean/small", [small / f"small{end}.fits" for end in ("", "_3D", "_4D", "_5D")])
    with tempfile.TemporaryDirectory() as folder:
        with fits.open(path) as hdul:
            data, header = hdul[0].data.squeeze(), astroseg.read_image(path).wcs.to_header()
            header.update({key: hdul[0].header[key] for key in ("BUNIT", "BMAJ", "BMIN")})
        paths = []
        for count in (2, 3, 4, 5):
            shape = (1,) * (count - 2) + data.shape
            paths.append(Path(folder) / f"west_{count}d.fits")
            fits.PrimaryHDU(data.reshape(shape), header).writeto(paths[-1])
        compare("west", paths)


def compare(name: str, paths: list[Path]) -> None:
    catalogs = [astroseg.find(path, "sigma").catalog for path in paths]
    for column in catalogs[0].colnames:
        for other in catalogs[1:]:
            np.testing.assert_array_equal(np.asarray(catalogs[0][column]), np.asarray(other[column]))
    print(f"  {name:14} {len(paths)} files, {len(catalogs[0]):,} rows each: identical")


if __name__ == "__main__":
    if "ASTROSEG_REAL_DATA" not in os.environ:
        sys.exit("Set ASTROSEG_REAL_DATA to the folder of the real images.")
    warnings.simplefilter("ignore", AstrosegWarning)
    west = Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio/sdc1/sdc1_b1_1000h_west.fits"
    for part in sys.argv[1:] or ["yen", "bdsf", "axes"]:
        {"yen": yen, "bdsf": bdsf, "axes": axes}[part](west)
