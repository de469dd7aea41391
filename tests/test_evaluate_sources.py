"""Source scores: closed cases, chance, sweeps, agreement; and every promise about what goes out."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from helpers import make_wcs, prepared

from astroseg import Beam, find
from astroseg.catalog import complete
from astroseg.errors import UsageError
from astroseg.evaluate import Agreement, Bootstrap, compare_estimates, evaluate_sources
from astroseg.evaluate.curves import sweep
from astroseg.testing import make_field

PIXEL = 1 * u.pix


def table(x, snr=None, **columns):
    x = np.asarray(x, dtype=float)
    result = {"x_centroid": x, "y_centroid": np.zeros(x.size)} | columns
    return result if snr is None else result | {"snr": np.asarray(snr, dtype=float)}


def values(found, truth, **options):
    return evaluate_sources(found, truth, **{"radius": PIXEL, **options}).to_dict()


def random_field(count=3000, side=1000.0, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    truth = {"x_centroid": rng.uniform(0, side, count), "y_centroid": rng.uniform(0, side, count)}
    truth["snr"] = 2 * rng.random(count) ** (-1 / 1.2)
    kept = rng.random(count) < 1 / (1 + np.exp(5 - truth["snr"]))
    found = {name: truth[name][kept] + rng.normal(0, noise, kept.sum()) for name in ("x_centroid", "y_centroid")}
    found["snr"] = truth["snr"][kept] + rng.normal(0, 1, kept.sum())
    false = {
        "x_centroid": rng.uniform(0, side, 200),
        "y_centroid": rng.uniform(0, side, 200),
        "snr": rng.uniform(3, 6, 200),
    }
    return {name: np.append(found[name], false[name]) for name in found}, truth


def test_the_rules():
    """S/N 5 counts, 3 beside it; what matches 2 is not false; below 2 there is nothing."""
    truth = table([0, 100, 200, 300, 400], [10, 5, 4, 2.5, 1.9])
    scores = values(table([0, 200, 300, 400, 500]), truth)
    assert (scores["tp"], scores["fn"], scores["fp"], scores["n_found"]) == (1, 1, 2, 5)
    assert scores["completeness"] == 1 / 2
    assert scores["completeness_3"] == 2 / 3
    assert scores["reliability"] == 3 / 5
    assert scores["f1"] == pytest.approx(2 * 0.5 * 0.6 / 1.1)
    assert scores["null_rate"] == 0
    assert scores["options"] == {
        "radius": "1 pix", "shift": "20 pix", "flux_factor": None, "size_factor": None,
        "counted": 5.0, "beside": 3.0, "floor": 2.0, "swept": "none",
    }  # fmt: skip


def test_a_split_source_is_found_once():
    scores = values(table([0, 0.5]), table([0.1], [9]))
    assert (scores["tp"], scores["fp"]) == (1, 1)


def test_truth_without_snr_counts():
    assert values(table([0]), table([0, 100]))["completeness"] == 0.5
    assert values(table([0]), table([0, 100], [np.nan, 1.0]))["completeness"] == 1


@pytest.mark.parametrize("found", [[1, 2], "found.ecsv", 3.0])
def test_what_is_no_table(found):
    with pytest.raises(UsageError, match=f"dict of columns .*, not {type(found).__name__}"):
        evaluate_sources(found, table([0]))


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [([], [0, 50], (0, None, 0)), ([0], [], (None, 0, 0)), ([], [], (None, None, 1))],
    ids=["nothing found", "nothing there", "neither"],
)
def test_empty(found, truth, expected):
    scores = values(table(found, np.full(len(found), 9)), table(truth, np.full(len(truth), 9)))
    assert (scores["completeness"], scores["reliability"], scores["f1"]) == expected
    json.dumps(scores, allow_nan=False)


def test_catalogues_of_finders():
    """Empty and full catalogues, in arcsec, with the beam and pixels of the image."""
    image, truth = make_field(shape=(256, 256), n_sources=30, snr=(20, 60))
    detections = find(image, "sigma")
    result = evaluate_sources(detections.catalog, truth, image=detections.image)
    assert result.scores["completeness"].value > 0.8
    assert result.agreement["separation"].unit == "arcsec"
    nothing = evaluate_sources(complete({"label": []}, detections.image), truth, image=detections.image)
    assert nothing.scores["completeness"].value == 0
    assert math.isnan(nothing.scores["reliability"].value)


def test_radius_and_shift_in_beams_pixels_and_angles():
    image = prepared(np.zeros((8, 8)), wcs=make_wcs((8, 8)), unit="Jy/beam")  # 2 arcsec a pixel
    image.meta["beam"] = Beam(9 * u.arcsec, 4 * u.arcsec)
    sky = {"ra": [10.0], "dec": [0.0]}
    options = lambda **words: evaluate_sources(sky, sky, image=image, **words).options
    assert options()["radius"] == "3 arcsec"
    assert options()["shift"] == "40 arcsec"
    assert options(radius=2 * u.pix, shift=30 * u.pix)["radius"] == "4 arcsec"
    assert options(radius=0.1 * u.arcmin)["shift"] == "40 arcsec"
    assert options(radius=20 * u.arcsec)["shift"] == "60 arcsec"
    pixels = evaluate_sources(table([0]), table([0]), image=image).options
    assert (pixels["radius"], pixels["shift"]) == ("1.5 pix", "20 pix")
    assert evaluate_sources(sky, sky, radius=1 * u.arcsec).options["shift"] == "16 arcsec"


def test_lengths_that_cannot_be_known():
    sky = {"ra": [10.0], "dec": [0.0]}
    with pytest.raises(UsageError, match="beam is not known"):
        evaluate_sources(sky, sky)
    with pytest.raises(UsageError, match="cannot be converted to arcsec"):
        evaluate_sources(sky, sky, radius=2 * u.pix)
    with pytest.raises(UsageError, match="cannot be converted to pix"):
        evaluate_sources(table([0]), table([0]), radius=2 * u.Jy)
    with pytest.raises(UsageError, match="shift by at least twice"):
        evaluate_sources(sky, sky, radius=2 * u.arcsec, shift=3 * u.arcsec)
    with pytest.raises(UsageError, match="must ascend: floor 4, beside 3"):
        evaluate_sources(sky, sky, radius=2 * u.arcsec, floor=4)


def test_null_rate_is_that_of_chance():
    """A random list matches with probability 1 - exp(-pi r^2 n) for few of n a pixel."""
    rng = np.random.default_rng(1)
    truth = {name: rng.uniform(0, 1000, 9000) for name in ("x_centroid", "y_centroid")} | {"snr": np.full(9000, 9.0)}
    found = {name: rng.uniform(0, 1000, 4000) for name in ("x_centroid", "y_centroid")}
    scores = values(found, truth, radius=1.5 * u.pix)
    expected = 1 - np.exp(-np.pi * 1.5**2 * 9000 / 1000**2)
    assert scores["null_rate"] == pytest.approx(expected, rel=0.08)
    assert scores["null_rate"] == pytest.approx(scores["reliability"], rel=0.15)
    assert scores["null_completeness"] == pytest.approx(scores["null_rate"] * 4000 / 9000)
    assert abs(scores["corrected_reliability"]) < 0.01
    assert scores["corrected_completeness"] == scores["completeness"] - scores["null_completeness"]


def brute_sweep(score, true, counted, n_truth):
    rows = []
    for threshold in sorted(set(score), reverse=True):
        kept = score >= threshold
        rows.append((threshold, counted[kept].sum() / n_truth, true[kept].mean()))
    return np.array(rows).T


def test_sweep_by_brute_force():
    rng = np.random.default_rng(2)
    score = rng.integers(0, 20, 200).astype(float)
    true = rng.random(200) < score / 20
    counted = true & (rng.random(200) < 0.7)
    result = sweep("snr", score, true, counted, 150)
    for mine, expected in zip(
        (result.threshold, result.completeness, result.reliability), brute_sweep(score, true, counted, 150), strict=True
    ):
        np.testing.assert_allclose(mine, expected)
    weights = rng.integers(0, 3, 200)
    repeated = sweep("snr", *(np.repeat(array, weights) for array in (score, true, counted)), 150)
    weighted = sweep("snr", score, true, counted, 150, weights)
    assert weighted.completeness_at(0.6) == repeated.completeness_at(0.6)
    assert result.to_table().meta == {"score": "snr"}
    assert np.all(result.f1 <= 1)


def test_completeness_at_95():
    """Ten true above one false above five true: at 95 % reliability the ten, at 90 % all."""
    truth = table(np.arange(16) * 50, np.full(16, 9.0))
    x = np.append(np.arange(15) * 50, 2000)
    snr = np.append(np.where(np.arange(15) < 10, 30, 5), 20)
    assert values(table(x, snr), truth)["completeness_at_95"] == 10 / 16
    assert evaluate_sources(table(x, snr), truth, radius=PIXEL).sweep.completeness_at(0.9) == 15 / 16
    assert values(table([2000], [9]), truth)["completeness_at_95"] == 0


def test_swept_score_is_probability_where_there_is_one():
    truth = table([0, 50], [9, 9])
    swept = lambda **columns: evaluate_sources(table([0, 50], **columns), truth, radius=PIXEL).sweep.score
    assert swept(snr=[3, 4], probability=[0.5, 0.9]) == "probability"
    assert swept(snr=[3, 4], probability=[np.nan, np.nan]) == "snr"
    assert swept(flux=[3, 4]) == "flux"
    assert swept() == "none"


def test_agreement():
    count = 401
    rng = np.random.default_rng(3)
    x = np.arange(count) * 40.0
    truth = table(x, np.full(count, 9.0), flux=np.full(count, 2.0) * u.Jy, fwhm_major=np.full(count, 4.0),
                  fwhm_minor=np.full(count, 3.0), pa=np.full(count, 178.0))  # fmt: skip
    ratio = 1.1 * np.exp(rng.normal(0, 0.05, count))
    ratio[:20] = 9
    found = table(x + 0.25, flux=2000 * ratio * u.mJy, fwhm_major=np.full(count, 5.0), pa=np.full(count, 4.0))
    found["y_centroid"] = found["y_centroid"] - 0.5
    agreement = evaluate_sources(found, truth, radius=PIXEL).agreement
    assert agreement["flux_ratio"].median == pytest.approx(1.1, abs=0.01)
    assert agreement["flux_ratio"].mad == pytest.approx(0.055, rel=0.2)
    assert agreement["flux_ratio"].error == pytest.approx(0.0553 * math.sqrt(math.pi / 2 / count), rel=0.2)
    assert agreement["flux_ratio"].outliers == pytest.approx(20 / 401)
    assert agreement["offset_x"].median == pytest.approx(0.25)
    assert agreement["offset_y"].median == -0.5
    assert agreement["separation"].median == pytest.approx(math.hypot(0.25, 0.5))
    assert agreement["fwhm_major_ratio"].median == 1.25
    assert agreement["fwhm_minor_ratio"].n == 0
    assert agreement["pa"].median == pytest.approx(6)
    assert evaluate_sources(found, truth, radius=PIXEL).agreement_table()["quantity"][0] == "flux_ratio"


def test_agreement_of_a_normal_distribution():
    item = Agreement.of(np.random.default_rng(4).normal(1, 0.2, 100_000))
    assert item.mad == pytest.approx(0.2, rel=0.02)
    assert item.outliers < 1e-4


def test_fluxes_of_another_kind_are_not_compared():
    found, truth = table([0], flux=[1.0] * u.ct), table([0], flux=[1.0] * u.Jy)
    assert evaluate_sources(found, truth, radius=PIXEL).agreement["flux_ratio"].n == 0


def test_curves():
    found, truth = random_field()
    result = evaluate_sources(found, truth, radius=PIXEL)
    curve = result.curves["completeness_by_snr"]
    assert curve.trials.sum() == 3000
    assert curve.successes.sum() == len(result.matches)
    share = curve.share[curve.trials > 30]
    assert share[0] < 0.3
    assert share[-1] > 0.97
    assert result.curves["reliability_by_snr"].trials.sum() == np.sum(np.asarray(found["snr"]) >= 2)


def test_scores_add_up():
    found, truth = random_field()
    result = evaluate_sources(found, truth, radius=PIXEL)
    counts = result.counts
    assert counts.tp + counts.fn == np.sum(truth["snr"] >= 5)
    assert result.scores["completeness"].value == pytest.approx(counts.recall)
    assert result.scores["reliability"].value == pytest.approx(1 - counts.fp / result.n_found)
    best = result.sweep
    assert best.completeness[-1] == pytest.approx(counts.recall)
    assert best.reliability[-1] == pytest.approx(result.scores["reliability"].value)


def test_every_score_has_an_interval():
    found, truth = random_field()
    result = evaluate_sources(found, truth, radius=PIXEL)
    for score in result.scores.values():
        assert score.low <= score.value <= score.high
        assert score.high - score.low < 0.1
    assert result.to_table()["score"][0] == "completeness"
    scores = result.to_dict()
    assert set(scores) >= {"tp", "fp", "fn", "completeness", "reliability", "f1", "null_rate", "completeness_at_95"}
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    again = evaluate_sources(found, truth, radius=PIXEL).to_dict()
    assert again == scores


def test_intervals_hold_the_completeness_of_other_skies():
    skies = [random_field(1500, seed=seed) for seed in range(30)]
    scores = [evaluate_sources(*sky, radius=PIXEL, bootstrap=Bootstrap(300)).scores["completeness"] for sky in skies]
    mean = np.mean([score.value for score in scores])
    assert np.mean([score.low <= mean <= score.high for score in scores]) > 0.85


def test_which_finder_is_better():
    found, truth = random_field()
    worse = {name: np.delete(values, np.arange(0, 600, 12)) for name, values in found.items()}
    results = [evaluate_sources(table, truth, radius=PIXEL) for table in (found, worse)]
    difference, probability = compare_estimates(*(result.scores["completeness"] for result in results))
    assert difference.low > 0
    assert probability == 1
    other = evaluate_sources(found, random_field(seed=1)[1], radius=PIXEL)
    with pytest.raises(UsageError, match="same truth"):
        compare_estimates(results[0].scores["f1"], other.scores["f1"])


def test_the_order_of_rows_does_not_matter():
    found, truth = random_field(noise=0.6)
    order = np.random.default_rng(1).permutation(len(found["snr"]))
    shuffled = {name: values[order] for name, values in found.items()}
    first, second = (evaluate_sources(table, truth, radius=1.5 * u.pix).to_dict() for table in (found, shuffled))
    for name in ("tp", "fp", "fn", "completeness", "reliability", "null_rate"):
        assert first[name] == pytest.approx(second[name])


def test_sky_and_pixels_agree():
    found, truth = random_field()
    wcs = make_wcs((1000, 1000), cdelt=(-2.0, 2.0), crval=(0.05, -45.0))
    image = SimpleNamespace(wcs=wcs, meta={})
    sky = []
    for pixels in (found, truth):
        ra, dec = wcs.all_pix2world(pixels["x_centroid"], pixels["y_centroid"], 0)
        sky.append({"ra": ra, "dec": dec, "snr": pixels["snr"]})
    assert sky[1]["ra"].max() > 359
    assert sky[1]["ra"].min() < 1
    first = evaluate_sources(found, truth, radius=PIXEL)
    second = evaluate_sources(*sky, radius=2 * u.arcsec, image=image)
    assert first.counts == second.counts
    assert second.scores["null_rate"].value == pytest.approx(first.scores["null_rate"].value, abs=2e-3)
