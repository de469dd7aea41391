"""The SDC1 field: the official scorer's numbers, and what PyBDSF through astroseg scores."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import sdc1_lists
from astropy.table import Table

from astroseg import AstrosegWarning, find, read_image
from astroseg.evaluate import evaluate_sources, sdc1_list, sdc1_score

if "ASTROSEG_REAL_DATA" not in os.environ:
    pytest.skip("set ASTROSEG_REAL_DATA to the folder of real images", allow_module_level=True)

SDC1 = Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio" / "sdc1"
ORACLE = json.loads((Path(__file__).parents[1] / "data" / "sdc1_oracle.json").read_text())
CASES = sdc1_lists.real()
# Name of the list: options of the finder, published score, detections, matches, null rate in %.
PYBDSF = {
    "pybdsf 4/5": ({"thresh_isl": 4.0, "thresh_pix": 5.0}, 734, 947, 946, 3.4),
    "pybdsf 3/5": ({"thresh_isl": 3.0, "thresh_pix": 5.0}, 869, 1159, 1151, 3.8),
    "pybdsf tuned": ({"preset": "tuned"}, 1193, 1731, 1683, 4.1),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_official_scorer(name):
    result, official = sdc1_score(*CASES[name][:2]), ORACLE[name]
    assert result.score == pytest.approx(official["score"], abs=1e-6)
    counts = {key: getattr(result, key) for key in ("n_det", "n_match", "n_false", "n_bad")}
    assert counts == {key: official[key] for key in counts}
    if result.n_det:
        assert result.null_rate == official["null_match"] / official["n_det"]


@pytest.mark.parametrize("name", PYBDSF)
def test_pybdsf_through_astroseg(name):
    pytest.importorskip("astroseg_bdsf")
    options, score, n_det, n_match, null = PYBDSF[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)  # of islands that PyBDSF could not fit
        catalog = find(SDC1 / "sdc1_b1_1000h_west.fits", "bdsf", **options).catalog
    found = sdc1_list(catalog, read_image(SDC1 / "PrimaryBeam_B1.fits", unit=""))
    result = sdc1_score(found, CASES[name].truth)
    assert result.score == pytest.approx(score, rel=0.01)
    assert (result.n_det, result.n_match) == pytest.approx((n_det, n_match), rel=0.01)
    assert 100 * result.null_rate == pytest.approx(null, abs=0.2)


def test_primary_beam_is_that_of_the_truth():
    table = Table.read(SDC1 / "sdc1_b1_1000h_west_truth.csv")
    catalog = {"ra": table["ra_cent"], "dec": table["dec_cent"], "flux": table["flux_apparent"]}
    flux = sdc1_list(catalog, read_image(SDC1 / "PrimaryBeam_B1.fits", unit=""))["flux"]
    np.testing.assert_allclose(flux, table["flux"], rtol=1e-6)


def test_sources_of_the_west_image():
    """The detectable truth of the field, by position: chance is small, and most of it is found."""
    table = Table.read(SDC1 / "sdc1_b1_1000h_west_truth.csv")
    truth = {"ra": table["ra_cent"] % 360, "dec": table["dec_cent"], "snr": table["flux_apparent"] / 4.1e-7}
    tuned = CASES["pybdsf tuned"].found
    found = {"ra": tuned["ra_core"], "dec": tuned["dec_core"], "snr": tuned["flux"]}
    result = evaluate_sources(found, truth, image=read_image(SDC1 / "sdc1_b1_1000h_west.fits"))
    assert result.options["radius"] == "0.75 arcsec"
    assert result.scores["reliability"].value > 0.95
    assert 0.01 < result.scores["null_rate"].value < 0.05
    assert result.agreement["separation"].median < 0.2
