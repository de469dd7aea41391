"""Fields with truth for benchmarks, in groups: images of the real data, and simulated skies.

``west`` is the SDC1 field, ``deepsource`` three fields, ``synthetic`` Aegean's test field. There are five simulated
skies a group, with a beam of 2.5 pixels: ``sparse`` is preset sdc1 thinned to one source of S/N >= 5 per 94 x 94
pixels, ``extended`` is its preset (one per 46 x 46; rich in lobes) and ``crowded`` its preset: one per 10.5 x 10.5, one
of S/N >= 2 per 59 square pixels, one at all per 20. ``beam2`` to ``beam15``: three skies of preset sdc1 each, with a
beam of so many pixels.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.table import Table

import astroseg
from astroseg.compare import Field
from astroseg.evaluate.sdc1 import SDC1_COLUMNS
from astroseg.simulate.radio import simulate_radio
from astroseg.truth import read_truth


@dataclass(frozen=True)
class Sky:
    """A field, and what scoring it needs besides.

    Parameters
    ----------
    field : Field
    margin : int, pixels
        Detections and pixels so close to the edge are not scored: the truth leaves them out.
    sdc1 : tuple, optional
        Truth list of SDC1, and the primary beam.
    """

    field: Field
    margin: int = 0
    sdc1: tuple[Any, Any] | None = None


def real(name: str) -> Path:
    if "ASTROSEG_REAL_DATA" not in os.environ:
        sys.exit("Set ASTROSEG_REAL_DATA to the folder of the real images, or choose simulated --groups.")
    return Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio" / name


def west() -> list[Sky]:
    image = astroseg.read_image(real("sdc1/sdc1_b1_1000h_west.fits"))
    path, beam = real("sdc1/sdc1_b1_1000h_west_truth_sdc1.cat"), real("sdc1/PrimaryBeam_B1.fits")
    whole = read_truth(path).catalog
    official = Table({name: whole[f"sdc1_{name}"] for name in SDC1_COLUMNS})
    truth = read_truth(path, image=image, primary_beam=beam)
    return [Sky(Field(image, truth), sdc1=(official, astroseg.read_image(beam, unit="")))]


def deepsource() -> list[Sky]:
    """Sources are 1.69 times as bright as the truth says, and it leaves out a rim (see the README of the data)."""
    skies = []
    for number in (1, 2, 3):
        image = astroseg.read_image(real(f"deepsource/image{number}.fits"))
        truth = read_truth(real(f"deepsource/image{number}.txt"), image=image)
        truth.catalog["snr"] *= 1.69
        skies.append(Sky(Field(image, truth), margin=12))
    return skies


def synthetic() -> list[Sky]:
    image = astroseg.read_image(real("aegean/synthetic_test.fits"))
    return [Sky(Field(image, read_truth(real("aegean/synthetic_test_truth.csv"), image=image)))]


def simulated(folder: Path, *, name: str, seeds: range, size: int, **options: Any) -> list[Sky]:
    """Skies whose seeds nothing was trained on, written to the folder once."""
    skies = []
    for seed in seeds:
        stem = folder / f"{name}-{size}-{seed}"
        if not stem.with_name(f"{stem.name}.fits").exists():
            folder.mkdir(parents=True, exist_ok=True)
            simulate_radio(seed=seed, size=size, **options).write(stem)
        image = astroseg.read_image(f"{stem}.fits")
        skies.append(Sky(Field(image, read_truth(f"{stem}.truth.ecsv", image=image))))
    return skies


REAL = {"west": west, "deepsource": deepsource, "synthetic": synthetic}
SIMULATED: dict[str, dict[str, Any]] = {
    "sparse": {"seeds": range(900001, 900006), "size": 1024, "preset": "sdc1", "density": 620},
    "extended": {"seeds": range(900021, 900026), "size": 512, "preset": "extended"},
    "crowded": {"seeds": range(900011, 900016), "size": 384, "preset": "crowded"},
}
# As many sources to a beam as in preset sdc1, with beams of other widths.
SIMULATED |= {
    f"beam{width}": {
        "seeds": range(900100 + 10 * width, 900103 + 10 * width),
        "size": size,
        "preset": "sdc1",
        "density": 17700 * (2.5 / width) ** 2,
        "beam": 0.604 * width,
    }
    for width, size in ((2, 384), (4, 512), (6, 768), (15, 1536))
}
GROUPS = (*REAL, *SIMULATED)


def make_skies(group: str, folder: Path) -> list[Sky]:
    """The fields of a group; the folder is for simulated ones."""
    return REAL[group]() if group in REAL else simulated(folder, name=group, **SIMULATED[group])
