"""Comparisons: equal to the scores themselves, resumed, and not stopped by one broken finder."""

from __future__ import annotations

import time

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astroseg import UsageError, compare, digest, read_catalog, runs
from astroseg.cli import main
from astroseg.compare import parse_backends
from astroseg.evaluate import Estimate, evaluate_pixels, evaluate_sources
from astroseg.evaluate.estimates import Bootstrap
from astroseg.report import agreement_of_pairs, consensus_table, cross_match, objects_table, pool, score_table
from astroseg.simulate.radio import simulate_radio
from astroseg.testing import make_field
from astroseg.threshold import SigmaFinder
from astroseg.truth import Truth


@pytest.fixture(scope="module")
def skies():
    return [simulate_radio(seed=seed, size=160, density=3000) for seed in (1, 2)]


@pytest.fixture(scope="module")
def comparison(skies, tmp_path_factory):
    truth = [Truth(sky.truth, sky.labels) for sky in skies]
    folder = tmp_path_factory.mktemp("study")
    return compare.compare([sky.image for sky in skies], "sigma,peaks,yen", folder, truth=truth)


@pytest.fixture
def calls(monkeypatch):
    """The images that `sigma` was run on, in order."""
    seen = []
    find = SigmaFinder.find

    def counting(self, image, **prompts):
        seen.append(image.meta["name"])
        return find(self, image, **prompts)

    monkeypatch.setattr(SigmaFinder, "find", counting)
    monkeypatch.setattr(runs, "_WARM", {"sigma"})
    return seen


@pytest.fixture
def broken(monkeypatch):
    def fail(self, image, **prompts):
        msg = "<b>no</b> islands today\nand a second line"
        raise ValueError(msg)

    monkeypatch.setattr(SigmaFinder, "find", fail)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


@pytest.fixture
def files(skies, tmp_path):
    for name, sky in zip("ab", skies, strict=True):
        sky.write(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("yen", ["yen"]),
        ("yen,sigma,peaks", ["yen", "sigma", "peaks"]),
        ("sigma:threshold=4,deblend=true,yen", ["sigma:threshold=4,deblend=true", "yen"]),
        (" sigma:threshold=4 , sigma:threshold=5 ", ["sigma:threshold=4", "sigma:threshold=5"]),
    ],
)
def test_backends_are_split_at_names(text, labels):
    assert [backend.label for backend in parse_backends(text)] == labels


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "no finder to compare"),
        ("threshold=4", "Begin with the name"),
        ("sigma,sigma", "there twice"),
        ("sigma:threshhold=4", "Did you mean 'threshold'"),
        ("sigma:threshold=4,yenn", "threshold takes"),
    ],
)
def test_backends_that_make_no_sense(text, fragment):
    with pytest.raises(UsageError, match=fragment):
        parse_backends(text)


def test_a_name_that_nobody_has():
    with pytest.raises(Exception, match="Did you mean 'yen'"):
        parse_backends("sigma,yenn")


def test_key_tells_settings_apart():
    keys = {backend.key for backend in parse_backends("sigma,sigma:threshold=4,sigma:deblend=true")}
    assert len(keys) == 3
    assert {len(key.partition(".")[2]) for key in keys} == {8}
    assert parse_backends("sigma")[0].key == parse_backends("sigma:threshold=5")[0].key


def test_scores_are_those_of_evaluate(comparison, skies):
    table = score_table(comparison)
    for run in comparison.runs:
        sky = skies[comparison.fields.index(run.field)]
        sources = evaluate_sources(run.catalog, sky.truth, image=sky.image)
        pixels = evaluate_pixels(sky.labels, run.detections.labels)
        row = table[(table["backend"] == run.backend.label) & (table["image"] == sky.image.meta["name"])][0]
        for name, score in sources.scores.items():
            expected = [score.value, score.low, score.high]
            np.testing.assert_array_equal([row[name + end] for end in ("", "_low", "_high")], expected)
        assert row["pixel_iou"] == pixels.scores["iou"].value
        assert (row["tp"], row["fp"], row["fn"]) == (sources.counts.tp, sources.counts.fp, sources.counts.fn)


def test_scores_over_all_images_are_those_of_all_counts(comparison):
    table = score_table(comparison)
    for row in table[table["image"] == "all"]:
        completeness = row["tp"] / (row["tp"] + row["fn"])
        reliability = 1 - row["fp"] / row["n_found"]
        np.testing.assert_allclose(row["completeness"], completeness)
        np.testing.assert_allclose(row["reliability"], reliability)
        np.testing.assert_allclose(row["f1"], 2 * completeness * reliability / (completeness + reliability))
        assert row["f1_low"] <= row["f1"] <= row["f1_high"]
        assert row["n_images"] == 2
    best_first = list(table["f1"][table["image"] == "all"])
    assert best_first == sorted(best_first, reverse=True)


def test_pool_of_one_is_itself():
    estimate = Bootstrap().estimate(lambda weights: weights @ np.array([1, 0, 1, 1]) / weights.sum(axis=1), 4)
    pooled = pool([estimate, Estimate(np.nan, np.nan, np.nan)], [3, 0])
    assert (pooled.value, pooled.low, pooled.high) == (estimate.value, estimate.low, estimate.high)


def test_what_is_there_is_not_made_again(calls, tmp_path):
    image, _ = make_field()
    first = compare.compare([image], "sigma,peaks", tmp_path)
    again = compare.compare([image], "sigma,peaks,yen", tmp_path)
    assert len(calls) == 1
    assert [run.resumed for run in again.runs] == [True, True, False]
    for old, new in zip(first.runs, again.runs, strict=False):
        np.testing.assert_array_equal(old.detections.labels, new.detections.labels)
        np.testing.assert_array_equal(old.catalog["flux"], new.catalog["flux"])
        assert new.seconds == pytest.approx(old.seconds, abs=1e-3)


@pytest.mark.parametrize("change", ["options", "image", "version", "overwrite", "half"])
def test_what_has_changed_is_made_again(calls, tmp_path, change, monkeypatch):
    image, _ = make_field()
    compare.compare([image], "sigma", tmp_path)
    options = {"overwrite": change == "overwrite"}
    if change == "image":
        image.data[0, 0] += 1e-6
    if change == "version":
        path = next((tmp_path / "detections").glob("*.ecsv"))
        catalog = read_catalog(path)
        catalog.meta["package_version"] = "0.0"
        catalog.write(path, format="ascii.ecsv", overwrite=True)
    if change == "half":
        next((tmp_path / "detections").glob("*.labels.fits")).unlink()
    compare.compare([image], "sigma:threshold=6" if change == "options" else "sigma", tmp_path, **options)
    assert len(calls) == 2
    assert len(list((tmp_path / "detections").glob("*.ecsv"))) == (2 if change == "options" else 1)
    assert not list((tmp_path / "detections").glob(".*"))


@pytest.mark.parametrize(
    "how",
    [{"beam": "4pix"}, {"unit": "mJy/beam"}, {"background": "none"}, {"mesh": 32}, {"noise": np.ones((64, 64))}],
)
def test_how_an_image_is_read_and_measured_is_part_of_a_run(calls, tmp_path, how):
    image = make_field(shape=(64, 64), n_sources=2)[0].data
    for given, number in (({}, 1), (how, 2), (how, 2), ({}, 3)):
        compare.compare([image], "sigma", tmp_path, **given)
        assert len(calls) == number


def test_other_weights_of_the_same_name_are_another_run(calls, tmp_path, monkeypatch):
    image, _ = make_field(shape=(64, 64), n_sources=2)
    for content, number in (("a", 1), ("a", 1), ("b", 2)):
        monkeypatch.setattr(SigmaFinder, "identity", lambda _, content=content: {"weights_sha256": content})
        run = compare.compare([image], "sigma", tmp_path).runs[0]
        assert len(calls) == number
        assert run.catalog.meta["weights_sha256"] == content


def test_weights_that_cannot_be_read_are_the_error_of_a_run(tmp_path, monkeypatch):
    def unreadable(_):
        msg = "no.onnx"
        raise FileNotFoundError(msg)

    monkeypatch.setattr(SigmaFinder, "identity", unreadable)
    image, _ = make_field(shape=(64, 64), n_sources=2)
    failed, done = compare.compare([image], "sigma,peaks", tmp_path).runs
    assert failed.error == "FileNotFoundError: no.onnx"
    assert done.detections is not None


def test_what_a_finder_does_once_is_not_timed(tmp_path, monkeypatch):
    first, find = [True], SigmaFinder.find

    def slow_at_first(self, image, **prompts):
        time.sleep(0.5 * first.pop() if first else 0)
        return find(self, image, **prompts)

    monkeypatch.setattr(SigmaFinder, "find", slow_at_first)
    monkeypatch.setattr(runs, "_WARM", set())
    image, _ = make_field(shape=(64, 64), n_sources=2)
    assert compare.compare([image], "sigma", tmp_path).runs[0].seconds < 0.5
    assert {"sigma"} == runs._WARM


@pytest.mark.parametrize(
    "other", [np.ones((4, 4)) * u.mJy, np.ones((2, 8)) * u.Jy, np.ones((4, 4), dtype="f4") * u.Jy, np.ones((4, 4))]
)
def test_unit_shape_and_type_belong_to_a_map(other):
    assert digest.fingerprint(other) != digest.fingerprint(np.ones((4, 4)) * u.Jy)


def test_a_map_is_known_by_its_content(calls, tmp_path):
    image, path = make_field(shape=(64, 64), n_sources=2)[0].data, tmp_path / "map.fits"
    for name in ("mask", "noise"):
        for content, number in ((np.ones((64, 64)), 1), (np.ones((64, 64)), 1), (2 - np.eye(64), 2)):
            fits.writeto(path, content - (name == "mask"), overwrite=True)
            compare.compare([image], "sigma", tmp_path, **{name: str(path)})
            assert len(calls) == number
        calls.clear()


def test_time_and_memory_of_a_run_are_kept(comparison, tmp_path):
    image, _ = make_field()
    first, again = (compare.compare([image], "sigma", tmp_path).runs[0] for _ in range(2))
    assert again.memory == pytest.approx(first.memory, abs=0.1, nan_ok=True)
    table = score_table(comparison)
    runs = comparison.runs_of(comparison.backends[0])
    row = table[(table["backend"] == comparison.backends[0].label) & (table["image"] == "all")][0]
    assert row["seconds"] == pytest.approx(sum(run.seconds for run in runs))
    assert row["memory"] == pytest.approx(max(run.memory for run in runs), nan_ok=True)
    assert (table["seconds"].unit, table["memory"].unit) == ("s", "Mbyte")


@pytest.mark.parametrize("kind", ["astropy", "pandas", "dict"])
def test_truth_may_be_any_table(skies, comparison, tmp_path, kind):
    sky = skies[0]
    truth = sky.truth["ra", "dec", "flux", "deconvolved_major", "deconvolved_minor", "deconvolved_pa"]
    if kind == "pandas":
        pytest.importorskip("pandas")
    given = {"astropy": truth, "pandas": truth.to_pandas() if kind == "pandas" else None, "dict": dict(truth)}[kind]
    run = compare.compare([sky.image], "sigma", tmp_path, truth=[given]).runs[0]
    assert run.sources.counts == pytest.approx(comparison.runs[0].sources.counts, abs=3)
    assert run.pixels is not None


def test_one_image_and_one_truth_need_no_list(skies, comparison, tmp_path):
    run = compare.compare(skies[0].image, "sigma", tmp_path, truth=skies[0].truth).runs[0]
    assert run.sources.counts == comparison.runs[0].sources.counts


def test_nothing_found_is_a_row(tmp_path):
    image, truth = make_field(n_sources=4)
    comparison = compare.compare([image], "sigma:threshold=500,peaks", tmp_path, truth=[Truth(truth)])
    row = score_table(comparison)[1]
    assert (row["backend"], row["n_found"], row["f1"]) == ("sigma:threshold=500", 0, 0)


def test_truth_for_each_image(tmp_path):
    image, truth = make_field()
    with pytest.raises(UsageError, match="1 images and 2 truth"):
        compare.compare([image], "sigma", tmp_path, truth=[Truth(truth)] * 2)
    with pytest.raises(UsageError, match="there twice"):
        compare.compare([image, image], "sigma", tmp_path)


# Without truth


def test_objects_of_several_catalogues():
    def table(*x):
        return Table({"x_centroid": np.array(x, dtype=float), "y_centroid": np.zeros(len(x))})

    members = cross_match([table(1, 9), table(), table(9.2, 20), table(20.1, 1.1)], 1 * u.pix)
    assert members.tolist() == [[0, -1, -1, 1], [1, -1, 0, -1], [-1, -1, 1, 0]]


def test_finders_against_each_other(tmp_path):
    image, truth = make_field(snr=(15, 60))
    comparison = compare.compare([image], "sigma,peaks,sigma:threshold=500", tmp_path)
    assert not comparison.has_truth
    table = consensus_table(comparison)
    assert table["n_found"].tolist() == [len(truth), len(truth), 0]
    assert table["others_1"].tolist() == [len(truth), len(truth), 0]
    assert table["residual"][2] > table["residual"][0]
    objects = objects_table(comparison)
    assert objects["n_finders"].tolist() == [2] * len(truth)
    assert set(objects["sigma"]) == set(range(1, len(truth) + 1))
    pair = agreement_of_pairs(comparison)[0]
    assert pair["n_both"] == len(truth)
    assert abs(pair["flux_ratio"] - 1) < 0.05


# The command


def test_compare_from_the_command_line(run, files):
    words = ("compare", "a.fits", "b.fits", "--truth", "a.truth.ecsv", "b.truth.ecsv", "-b", "sigma,peaks", "-o", "out")
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert "a.fits: sigma: " in out
    assert "F1 0." in out
    assert "report.html" in out
    table = Table.read(files / "out" / "scores.ecsv")
    assert len(table) == 6
    assert Table.read(files / "out" / "scores.csv").colnames == table.colnames
    stamps = {path: path.stat().st_mtime_ns for path in (files / "out" / "detections").iterdir()}
    assert len(stamps) == 12
    status, out, _ = run(*words)
    assert out.count("from earlier") == 4
    assert stamps == {path: path.stat().st_mtime_ns for path in (files / "out" / "detections").iterdir()}
    run(*words, "--overwrite", "--quiet")
    assert not set(stamps.values()) & {path.stat().st_mtime_ns for path in (files / "out" / "detections").iterdir()}


def test_one_finder_fails(run, files, broken):
    status, out, err = run("compare", "a.fits", "--truth", "a.truth.ecsv", "-b", "sigma,peaks", "-o", "out")
    assert status == 3
    assert err == "astroseg: a.fits: sigma: ValueError: <b>no</b> islands today\n"
    assert "peaks" in out
    page = (files / "out" / "report.html").read_text("utf-8")
    assert "1 of 2 runs failed" in page
    assert "&lt;b&gt;no&lt;/b&gt; islands today" in page
    assert "failed on 1 of 1 images" in list(Table.read(files / "out" / "scores.ecsv")["error"])
    assert run("compare", "a.fits", "-b", "sigma", "-o", "out")[0] == 1


def test_a_finder_at_its_best(run, files):
    words = ("compare", "a.fits", "--truth", "a.truth.ecsv", "-b", "peaks", "-o", "out")
    status, out, err = run(*words, "--sweep", "sigma:threshold=4/5/50,min_pixels=1/4")
    assert (status, err) == (0, "")
    swept = Table.read(files / "out" / "sweeps" / "sigma.ecsv")
    assert len(swept) == 6
    assert f"best f1 of 6 settings: {swept['backend'][0]}\n" in out
    scores = Table.read(files / "out" / "scores.ecsv")
    chosen = scores[scores["backend"] == f"{swept['backend'][0]} (best of 6)"]
    assert chosen["f1"].tolist() == [max(swept["f1"])] * 2
    assert run(*words[:2], "-b", "peaks", "-o", "out", "--sweep", "sigma:threshold=4/5")[0] == 2
    assert run(*words, "--sweep", "sigma")[0] == 2


@pytest.mark.parametrize(
    ("words", "status", "fragment"),
    [
        (("a.fits", "-o", "x"), 2, "--backends"),
        (("a.fits", "-b", "sigma"), 2, "--output"),
        (("a.fits", "-b", "sigma", "-o", "x", "--match-radius", "wide"), 2, "Cannot read the radius 'wide'"),
        (("a.fits", "-b", "sigma", "-o", "x", "--figures", "gif"), 2, "no figure format 'gif'"),
        (("a.fits", "b.fits", "-b", "sigma", "-o", "x", "--truth", "a.truth.ecsv"), 2, "2 images and 1 truth"),
        (("a.fits", "-b", "sigma", "-o", "x", "--truth", "none.ecsv"), 1, "none.ecsv"),
        (("c.fits", "-b", "sigma", "-o", "x"), 1, "no file c.fits"),
    ],
)
def test_bad_usage_is_one_line(run, files, words, status, fragment):
    code, out, err = run("compare", *words)
    assert (code, out) == (status, "")
    assert fragment in err
    assert err.count("\n") == 1
    assert not (files / "x").exists()


def test_images_without_a_sky(run, tmp_path):
    data = np.random.default_rng(1).normal(size=(64, 64))
    data[30:33, 40:43] += 30
    fits.PrimaryHDU(data.astype("f4")).writeto(tmp_path / "plain.fits")
    status, _, err = run("compare", "plain.fits", "-b", "sigma,peaks", "-o", "out", "--match-radius", "2pix", "-q")
    assert (status, err) == (0, "")
    assert Table.read(tmp_path / "out" / "pairs.ecsv")["n_both"].tolist() == [1]
