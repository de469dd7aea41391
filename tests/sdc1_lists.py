"""Lists in the format of SDC1, made up: what the official scorer and ours are asked to score."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

COLUMNS = (
    "id", "ra_core", "dec_core", "ra_cent", "dec_cent", "flux", "core_frac", "b_maj", "b_min", "pa", "size", "class",
)  # fmt: skip
# Centre and half width (deg) of a small part of the training area of each image.
FIELDS = {560: (-0.3, -29.7, 0.02), 1400: (-0.1, -29.85, 0.008), 9200: (-0.02, -29.925, 0.001)}
NULL_SHIFT = 12 / 3600  # deg

List = dict[str, np.ndarray]


class Case(NamedTuple):
    """A list, its truth and the options of the score."""

    found: List
    truth: List
    options: dict[str, Any]


def sky(rng, count=400, frequency=560) -> List:
    """A truth of all kinds, dense enough that sources compete for matches."""
    ra, dec, half = FIELDS[frequency]
    arcsec = half / 0.02 / 3600
    core = rng.uniform(-half, half, (2, count)) + np.array([[ra], [dec]])
    cent = core + rng.normal(0, 0.5 * arcsec, (2, count)) * (rng.random(count) < 0.5)
    major = rng.uniform(0.2, 6, count) * 3600 * arcsec
    size = rng.integers(1, 4, count)
    values = [
        np.arange(count) + 1000, *core, *cent, 10 ** rng.uniform(-7, -4, count), rng.choice([0, 0.02, 0.75], count),
        major, major * rng.uniform(0.2, 1, count), rng.uniform(0, 360, count), size, rng.integers(1, 4, count),
    ]  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def noisy(truth, rng, frequency=560) -> List:
    """The truth as a finder might have it: shuffled, in part missed, with errors and false detections."""
    arcsec = FIELDS[frequency][2] / 0.02 / 3600
    count = len(truth["id"])
    rows = rng.permutation(count)[: count * 3 // 4]
    found = {name: values[rows].astype(float) for name, values in truth.items()}
    for name in ("ra_core", "dec_core", "ra_cent", "dec_cent"):
        found[name] += rng.normal(0, 0.4 * arcsec, rows.size)
    for name in ("flux", "b_maj", "b_min", "core_frac"):
        found[name] *= np.exp(rng.normal(0, 0.25, rows.size))
    found["pa"] = (found["pa"] + rng.normal(0, 20, rows.size)) % 180
    for name in ("size", "class"):
        found[name] = np.where(rng.random(rows.size) < 0.3, rng.integers(1, 4, rows.size), found[name])
    false = sky(rng, 60, frequency)
    found = {name: np.append(found[name], false[name]) for name in COLUMNS}
    return found | {"id": np.arange(len(found["id"]))}


def odd(found) -> List:
    """Rows that the scorer drops or treats in a way of its own."""
    found = {name: values.copy() for name, values in found.items()}
    found["ra_core"][:40] += 360
    found["ra_cent"][:40] += 360
    found["flux"][40:43] = -1e-6, 0.0, np.inf
    found["b_min"][44:47] = -1.0, 0.0, 50.0
    found["core_frac"][48:51] = -0.1, 0.0, 3.0
    found["pa"][52:60] = -400, -91, -45, 0, 90, 181, 361, 700
    found["dec_core"][60:64] += 1.0
    found["id"][64:80] = 3
    return found


def twice(found) -> List:
    return {name: np.append(values, values) for name, values in found.items()} | {"id": np.arange(2 * len(found["id"]))}


def moved(found, degrees) -> List:
    return found | {name: found[name] + degrees for name in ("ra_core", "ra_cent")}


def select(found, which) -> List:
    return {name: values[which] for name, values in found.items()}


def made_up() -> dict[str, Case]:
    """Every case that needs no real data, by name."""
    rng = np.random.default_rng(20191101)
    truth = sky(rng)
    found = noisy(truth, rng)
    flat = truth | {"b_maj": np.where(np.arange(400) < 9, 0.0, truth["b_maj"])}
    flat["b_min"] = np.minimum(flat["b_maj"], flat["b_min"])
    cases = {
        "truth itself": Case(truth, truth, {}),
        "crowded": Case(found, truth, {}),
        "twice": Case(twice(found), truth, {}),
        "centroids": Case(found, truth, {"mode": "centroid"}),
        "outside the training area": Case(moved(found, 0.3), moved(truth, 0.3), {"train": False}),
        "odd rows": Case(odd(found), truth, {}),
        "truth without size": Case(found, flat, {}),
        "truth without size itself": Case(flat, flat, {}),
        "empty": Case(select(found, slice(0)), truth, {}),
        "far from any truth": Case(moved(found, 0.1), truth, {}),
    }
    for frequency in (1400, 9200):
        there = sky(rng, 400, frequency)
        cases[f"{frequency} MHz"] = Case(noisy(there, rng, frequency), there, {"frequency": frequency})
    return cases


def real() -> dict[str, Case]:
    """The cases of the real field: the official list, and what PyBDSF found through astroseg."""
    folder = Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio" / "sdc1"
    truth = dict(zip(COLUMNS, np.loadtxt(folder / "sdc1_b1_1000h_west_truth_sdc1.cat").T, strict=True))
    lists = {"official list": official_list(folder), "official list, unfolded": official_list(folder, folded=False)}
    lists |= {name: pybdsf(name) for name in ("pybdsf 4/5", "pybdsf 3/5", "pybdsf tuned")}
    lists |= {
        "real truth itself": truth,
        "nothing found": select(truth, slice(0)),
        "pybdsf tuned, twice": twice(lists["pybdsf tuned"]),
    }
    return {name: Case(found, truth, {}) for name, found in lists.items()}


def pybdsf(name) -> List:
    """A list as PyBDSF made it through astroseg, once; see benchmarks/sdc1_oracle.py."""
    with np.load(Path(__file__).parent / "data" / "sdc1_pybdsf.npz") as file:
        (ra, dec), (flux, major, minor, pa) = file[f"{name} position"], file[f"{name} rest"].astype(float)
    constants = [np.full(ra.size, value) for value in (0.0375, 2, 3)]
    values = [np.arange(ra.size), ra, dec, ra, dec, flux, constants[0], major, minor, pa, *constants[1:]]
    return dict(zip(COLUMNS, values, strict=True))


def official_list(folder, *, folded=True) -> List:
    """The PyBDSM list that came with the challenge.

    Sizes as they are (0 included) and angles that are not folded into 0 to 180 degrees score more.
    """
    from astroseg import read_image
    from astroseg.evaluate import sdc1_list

    path = folder / "sdc1_b1_1000h_west.pybdsm.srl"
    names = path.read_text().splitlines()[4].lstrip("# ").split()
    table = dict(zip(names, np.genfromtxt(path, usecols=range(len(names) - 1)).T, strict=False))
    major, minor = table["DC_Maj"] * 3600, table["DC_Min"] * 3600
    catalog = {"ra": table["RA"], "dec": table["DEC"], "flux": table["Total_flux"], "deconvolved_major": major,
               "deconvolved_minor": minor, "deconvolved_pa": table["DC_PA"]}  # fmt: skip
    found = sdc1_list(catalog, read_image(folder / "PrimaryBeam_B1.fits", unit=""))
    found = {name: np.asarray(found[name]) for name in COLUMNS}
    return found if folded else found | {"b_maj": major, "b_min": minor, "pa": 90 - table["DC_PA"]}
