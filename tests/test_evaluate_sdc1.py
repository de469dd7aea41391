"""The SDC1 score against the numbers of the official scorer, and the conversion of catalogues."""

from __future__ import annotations

import json
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from helpers import make_wcs
from sdc1_lists import COLUMNS, made_up

from astroseg import read_image
from astroseg.errors import UsageError
from astroseg.evaluate import SDC1_COLUMNS, Bootstrap, compare_estimates, sdc1_list, sdc1_score

ORACLE = json.loads((Path(__file__).parent / "data" / "sdc1_oracle.json").read_text())
CASES = made_up()


@pytest.mark.parametrize("name", CASES)
def test_equals_the_official_scorer(name):
    found, truth, options = CASES[name]
    result, official = sdc1_score(found, truth, **options), ORACLE[name]
    assert result.score == pytest.approx(official["score"], abs=1e-6)
    counts = {key: getattr(result, key) for key in ("n_det", "n_match", "n_false", "n_bad")}
    assert counts == {key: official[key] for key in counts}
    if result.n_det:
        assert result.null_rate == official["null_match"] / official["n_det"]


def test_every_kind_of_list():
    found, truth, _ = CASES["crowded"]
    expected = sdc1_score(found, truth).score
    array = np.stack([found[name] for name in SDC1_COLUMNS], axis=-1)
    for kind in (Table(found), QTable(found), array, Table(found).as_array()):
        assert sdc1_score(kind, truth).score == expected
    assert SDC1_COLUMNS == COLUMNS


def test_incomplete_rows_are_dropped():
    found, truth, _ = CASES["crowded"]
    holes = {name: values.copy() for name, values in found.items()}
    holes["flux"][:7] = np.nan
    rest = {name: values[7:] for name, values in found.items()}
    assert sdc1_score(holes, truth).score == sdc1_score(rest, truth).score


def test_matches_and_points():
    found, truth, _ = CASES["crowded"]
    result = sdc1_score(found, truth, null_shift=None)
    assert np.isnan(result.null_rate)
    assert len(result.found) == len(set(result.found)) == len(set(result.truth)) == result.n_match
    assert result.points.sum() == pytest.approx(result.score)
    assert np.sum(result.points == -1) == result.n_false
    mean = np.mean(list(result.subscores.values()))
    assert mean * result.n_match - result.n_false == pytest.approx(result.score)


def test_results_as_json_and_table():
    found, truth, _ = CASES["crowded"]
    result = sdc1_score(found, truth)
    values = result.to_dict()
    assert set(values) >= {"score", "n_det", "n_match", "n_false", "purity", "null_rate", "subscores"}
    assert values["purity"] == result.n_match / result.n_det
    low, high = values["intervals"]["score"]
    assert low < values["score"] < high
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    table = result.to_table()
    assert table["value"][list(table["score"]).index("flux score")] == values["subscores"]["flux"]
    empty = sdc1_score(*CASES["empty"][:2]).to_dict()
    assert (empty["score"], empty["purity"], empty["null_rate"]) == (0, None, None)
    json.dumps(empty, allow_nan=False)


def test_lists_are_compared_in_pairs():
    found, truth, _ = CASES["crowded"]
    worse = found | {"flux": found["flux"] * 1.3}
    scores = [sdc1_score(table, truth).estimate(Bootstrap(400)) for table in (found, worse)]
    difference, probability = compare_estimates(*scores)
    assert difference.low > 0
    assert probability == 1


def test_wrong_input():
    found, truth, _ = CASES["crowded"]
    with pytest.raises(UsageError, match="this one lacks core_frac, pa"):
        sdc1_score({name: found[name] for name in COLUMNS if name not in ("core_frac", "pa")}, truth)
    with pytest.raises(UsageError, match=r"no image, in MHz, 800\. Choose from 560, 1400, 9200"):
        sdc1_score(found, truth, frequency=800)
    with pytest.raises(UsageError, match="Choose from core, centroid"):
        sdc1_score(found, truth, mode="middle")


def test_catalogue_to_list():
    catalog = QTable(
        {
            "ra": [359.75, 0.5] * u.deg, "dec": [-29.7, -29.8] * u.deg, "flux": [2.0, 3.0] * u.mJy,
            "deconvolved_major": [0.0, 2.5] * u.arcsec, "deconvolved_minor": [np.nan, 0.02] * u.arcmin,
            "deconvolved_pa": [np.nan, 100.0] * u.deg,
        }
    )  # fmt: skip
    result = sdc1_list(catalog)
    assert result.colnames == list(SDC1_COLUMNS)
    expected = {
        "id": [0, 1], "ra_core": [-0.25, 0.5], "ra_cent": [-0.25, 0.5], "dec_core": [-29.7, -29.8],
        "dec_cent": [-29.7, -29.8], "flux": [2e-3, 3e-3], "core_frac": [0.0375] * 2, "b_maj": [0.3, 2.5],
        "b_min": [0.3, 1.2], "pa": [90, 170], "size": [2, 2], "class": [3, 3],
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(result[name], values)


def test_fluxes_are_divided_by_the_primary_beam():
    rows, columns = np.mgrid[:33, :33]
    beam = read_image(0.5 + 0.01 * columns + 0.002 * rows)
    beam.wcs = make_wcs((33, 33), cdelt=(-300.0, 300.0), crval=(0.0, -30.0))
    x, y = np.array([3.25, 30.5, 50.0]), np.array([4.5, 20.75, 3.0])
    ra, dec = beam.wcs.all_pix2world(x, y, 0)
    catalog = {"ra": ra % 360, "dec": dec, "flux": np.ones(3)}
    flux = sdc1_list(catalog, beam)["flux"]
    np.testing.assert_allclose(flux[:2], 1 / (0.5 + 0.01 * x[:2] + 0.002 * y[:2]))
    assert np.isnan(flux[2])
