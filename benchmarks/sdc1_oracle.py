"""The official SDC1 scorer, ska-sdc 2.0.0, on the lists of the tests: makes tests/data/sdc1_oracle.json.

It needs old pandas and setuptools, so it lives in an environment of its own:

    python -m venv SIDE && SIDE/bin/pip install ska-sdc==2.0.0 "pandas<3" "setuptools<81"
    export ASTROSEG_REAL_DATA=FOLDER
    python benchmarks/sdc1_oracle.py detect         # PyBDSF through astroseg: tests/data/sdc1_pybdsf.npz
    python benchmarks/sdc1_oracle.py lists WORK     # all lists, as the official scorer reads them
    SIDE/bin/python benchmarks/sdc1_oracle.py score WORK
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
sys.path.insert(0, str(ROOT / "tests"))
RUNS = {
    "pybdsf 4/5": {"thresh_isl": 4.0, "thresh_pix": 5.0},
    "pybdsf 3/5": {"thresh_isl": 3.0, "thresh_pix": 5.0},
    "pybdsf tuned": {"preset": "tuned"},
}


def detect() -> None:
    """Only what differs from row to row is kept, sizes and fluxes in single precision."""
    import astroseg
    from astroseg.evaluate import sdc1_list

    folder = Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio" / "sdc1"
    beam = astroseg.read_image(folder / "PrimaryBeam_B1.fits")
    arrays = {}
    for name, options in RUNS.items():
        found = sdc1_list(astroseg.find(folder / "sdc1_b1_1000h_west.fits", "bdsf", **options).catalog, beam)
        arrays[f"{name} position"] = np.stack([found["ra_core"], found["dec_core"]])
        arrays[f"{name} rest"] = np.stack([found[key] for key in ("flux", "b_maj", "b_min", "pa")]).astype("f4")
    np.savez_compressed(DATA / "sdc1_pybdsf.npz", **arrays)


def lists(work: Path, cases: dict | None = None) -> None:
    import sdc1_lists

    work.mkdir(exist_ok=True)
    index = {}
    for number, (name, case) in enumerate((cases or sdc1_lists.made_up() | sdc1_lists.real()).items()):
        for part in ("found", "truth"):
            columns = [np.asarray(getattr(case, part)[key], dtype=float) for key in sdc1_lists.COLUMNS]
            np.save(work / f"{number}.{part}.npy", np.stack(columns, axis=-1))
        index[name] = {"number": number, "options": case.options}
    (work / "index.json").write_text(json.dumps(index))


def scorer(work: Path, number: int, options: dict, shift: float = 0.0):
    """A call of the official scorer."""
    import pandas as pd
    from sdc1_lists import COLUMNS
    from ska_sdc import Sdc1Scorer

    found, truth = (
        pd.DataFrame(np.load(work / f"{number}.{part}.npy"), columns=COLUMNS) for part in ("found", "truth")
    )
    found[["dec_core", "dec_cent"]] += shift
    mode = 1 if options.get("mode") == "centroid" else 0
    frequency, train = options.get("frequency", 560), options.get("train", True)
    return lambda: Sdc1Scorer(found.copy(), truth.copy(), frequency).run(mode=mode, train=train)


def score(work: Path) -> None:
    import sdc1_lists

    result = {}
    for name, case in json.loads((work / "index.json").read_text()).items():
        official = scorer(work, **case)()
        shifted = scorer(work, **case, shift=sdc1_lists.NULL_SHIFT)()
        result[name] = {key: int(getattr(official, key)) for key in ("n_det", "n_match", "n_false", "n_bad")}
        result[name] |= {"score": float(official.value), "null_match": int(shifted.n_match)}
    (DATA / "sdc1_oracle.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, values in result.items():
        print(f"{name:40} {values}")


def best_of(call, repeats: int = 25) -> float:
    """CPU seconds (both scorers run on one core), which other programs disturb least."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def clock(work: Path) -> None:
    """CPU seconds of the official scorer on each list, as JSON."""
    index = json.loads((work / "index.json").read_text())
    print(json.dumps({name: best_of(scorer(work, **case)) for name, case in index.items()}))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    arguments = [Path(word) for word in sys.argv[2:]]
    {"detect": detect, "lists": lists, "score": score, "clock": clock}[sys.argv[1]](*arguments)
