"""Injection: added sources of known flux, against what must become of them."""

from __future__ import annotations

import json
import shutil

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from scipy.special import ndtr

from astroseg import AstrosegError, PixelFinder, SourceFinder, UsageError, get_finder, read_catalog, read_image
from astroseg.cli import main
from astroseg.evaluate.estimates import Estimate
from astroseg.evaluate.injection import inject
from astroseg.testing import make_field
from astroseg.truth.model import model_image

THRESHOLD = 5.0


def white_noise(seed=1, shape=(512, 512), **options):
    return read_image(np.random.default_rng(seed).normal(size=shape).astype("f4"), beam="2.5pix", **options)


@pytest.fixture(scope="module")
def on_noise():
    """A plain threshold on white noise of known rms."""
    finder = get_finder("sigma", threshold=THRESHOLD, flood=THRESHOLD, min_pixels=1)
    image = white_noise()
    return image, inject(image, finder, background="none", noise=np.ones(image.shape), snr=(2, 20), radius=1.5, n=3000)


@pytest.fixture(scope="module")
def on_field():
    image, truth = make_field(shape=(384, 384), n_sources=64)
    return image, truth, inject(image, "peaks", n=800)


def chance_of_detection(image, source):
    """That at least one pixel of the source, with its noise, lies above the threshold."""
    model, _ = model_image(source, image)
    return 1 - np.prod(ndtr(THRESHOLD - model[model > 1e-3]))


def test_completeness_is_that_of_the_normal_distribution(on_noise):
    image, result = on_noise
    sources = result.sources[~result.sources["chance"]]
    expected = np.array([chance_of_detection(image, sources[[row]]) for row in range(len(sources))])
    bins = np.digitize(sources["snr"], result.edges)
    for number in np.unique(bins):
        there = bins == number
        error = np.sqrt(np.sum(expected[there] * (1 - expected[there])) + 1)
        assert abs(np.sum(sources["found"][there]) - np.sum(expected[there])) < 3.5 * error
    for level, limit in result.limits.items():
        near = np.abs(sources["snr"] / limit.value - 1) < 0.04
        assert abs(expected[near].mean() - level) < 0.06
        assert limit.low <= limit.value <= limit.high


def test_intervals_hold_the_truth():
    """The S/N of 50 % completeness of other seeds lies in the intervals about as often as they say."""
    results = [inject(white_noise(seed, (256, 256)), "sigma", n=400, seed=seed).limits[0.5] for seed in range(12)]
    middle = np.median([limit.value for limit in results])
    assert sum(limit.low <= middle <= limit.high for limit in results) >= 9
    assert np.std([limit.value for limit in results]) < 0.35


def test_noise_alone_is_not_reliable():
    result = inject(white_noise(), "sigma", threshold=3, flood=3, min_pixels=1, n=50)
    reliability = result.scores["reliability_inverted"]
    assert len(result.before) > 200
    assert reliability.value < 0.25
    assert reliability.low == 0


def test_fluxes_are_unbiased(on_field):
    ratio = on_field[2].scores["flux_ratio"]
    assert abs(ratio.value - 1) < 0.03
    assert ratio.low < ratio.value < ratio.high


def test_sources_lie_apart_and_everywhere(on_field):
    image, _, result = on_field
    for batch in np.unique(result.sources["batch"]):
        there = result.sources[result.sources["batch"] == batch]
        x, y = there["x_centroid"].value, there["y_centroid"].value
        distance = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(x.size)
        assert distance.min(initial=1e9) >= 8 * 5 / 2  # half of 8 beams of 5 pixels
    for name, length in (("x_centroid", image.shape[1]), ("y_centroid", image.shape[0])):
        counts, _ = np.histogram(result.sources[name].value, np.linspace(-0.5, length - 0.5, 9))
        assert abs(counts - 100).max() < 45


def test_places_of_sources_that_were_there_do_not_count(on_field):
    _, truth, result = on_field
    chance = result.sources[result.sources["chance"]]
    distance = np.hypot(
        chance["x_centroid"].value[:, None] - truth["x_centroid"].value,
        chance["y_centroid"].value[:, None] - truth["y_centroid"].value,
    )
    assert len(chance) > 0
    assert distance.min(axis=1).max() < 3.5
    assert result.completeness.trials.sum() == len(result) - len(chance)
    expected = 64 * np.pi * 2.5**2 / 384**2
    assert result.scores["chance_rate"].low < expected < result.scores["chance_rate"].high
    assert 0.9 < result.scores["reliability_shifted"].value <= 1


def test_the_seed_repeats(on_field):
    image, _, result = on_field
    again = inject(image, "peaks", n=100, seed=3)
    assert again.to_dict() == inject(image, "peaks", n=100, seed=3).to_dict()
    assert again.sources["x_centroid"][0] != result.sources["x_centroid"][0]


def test_the_image_is_left_alone():
    image, _ = make_field()
    before = image.data.copy()
    inject(image, "sigma", n=20)
    np.testing.assert_array_equal(image.data, before)
    assert "background" not in image.meta


def test_fluxes_and_sizes_of_a_catalogue(on_field):
    image = on_field[0]
    like = QTable({"flux": [3.0, 6.0] * u.mJy, "deconvolved_major": [0.0, 15.0] * u.arcsec})
    sources = inject(image, "sigma", n=60, like=like, snr=(1, 100)).sources
    assert set(sources["flux"].to_value("mJy").round(9)) == {3.0, 6.0}
    resolved = sources["flux"] > 4 * u.mJy
    np.testing.assert_allclose(sources["fwhm_major"][resolved].to_value("arcsec"), np.hypot(10, 15), rtol=1e-3)
    np.testing.assert_allclose(sources["fwhm_major"][~resolved].to_value("arcsec"), 10, rtol=1e-3)


class Bright(SourceFinder):
    """The two brightest islands: no threshold, no noise."""

    name = "bright"

    def find(self, image, **prompts):
        found = get_finder("sigma").find(image)
        keep = np.isin(found.labels, np.argsort(found.catalog["peak_flux"].value)[-2:] + 1)
        labels = np.where(keep, found.labels, 0)
        catalog = found.catalog[np.unique(labels[labels > 0]) - 1]
        catalog["label"] = np.unique(labels[labels > 0])
        catalog.meta = {}
        return self.detections(image, catalog, labels)


class Blind(PixelFinder):
    """Finds nothing at all."""

    name = "blind"

    def predict(self, batch, **prepared):
        return np.zeros_like(batch)


def test_any_finder(on_field):
    image = on_field[0]
    assert inject(image, Bright(), n=40).sources["found"].sum() < 15
    result = inject(image, Blind(), n=40)
    assert result.limits[0.5].value == np.inf
    assert "50 % nowhere below S/N 30" in result.summary()
    assert json.loads(json.dumps(result.to_dict()))["snr_at_50"]["value"] is None
    assert "flux measured / true not known" in result.summary()
    result.plot()


def test_a_single_source_that_does_not_count():
    image, _ = make_field(n_sources=1)
    result = inject(image, "sigma", n=1)
    result.sources["chance"][:] = True
    assert "50 % not known" in result.summary()
    assert result.to_dict()["snr_at_50"]["value"] is None
    result.plot()


def test_a_level_that_the_faintest_reach():
    result = inject(white_noise(shape=(128, 128)), "sigma", n=60, snr=(20, 40))
    assert result.limits[0.5] == Estimate(0.0, 0.0, 0.0)
    assert "50 % already below S/N 20" in result.summary()


@pytest.mark.parametrize("kind", [">f4", "f8", "i2"])
def test_pixels_of_any_kind(kind):
    data = (1000 * np.random.default_rng(1).normal(size=(96, 96))).astype(kind)
    if kind != "i2":
        data[:20] = np.nan
    result = inject(data, "sigma", beam="3pix", unit="ct", n=40)
    assert result.limits[0.5].value < 10
    assert kind == "i2" or result.sources["y_centroid"].value.min() > 19


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "at least 1"),
        ({"snr": (5, 2)}, "must ascend"),
        ({"snr": (0, 2)}, "begin above 0"),
        ({"spacing": 1}, "at least 4"),
        ({"n_bins": 1}, "at least 2"),
        ({"confidence": 1}, "between 0 and 1"),
        ({"seed": -1}, "at least 0"),
        ({"like": {"ra": [1.0]}}, "need a column flux"),
        ({"like": {"flux": [1e-9] * u.Jy}}, "None of the 1 sources"),
        ({"like": {"flux": [1.0] * u.m}}, "do not fit field"),
        ({"radius": 1 * u.s}, "matching radius"),
        ({"threshold": -1}, "threshold"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UsageError, match=message):
        inject(make_field()[0], "sigma", **options)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.ones((64, 64)), {}, "no beam.*--beam 3pix"),
        (np.ones((64, 64)), {"beam": "3pix"}, "no noise anywhere"),
        (np.full((64, 64), np.nan), {"beam": "3pix"}, "no noise anywhere"),
    ],
)
def test_bad_images(data, options, message):
    with pytest.raises(AstrosegError, match=message):
        inject(data, "sigma", **options)


# The command


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    image, _ = make_field(n_sources=4)
    target = tmp_path_factory.mktemp("field") / "field.fits"
    fits.PrimaryHDU(image.data, image.meta["header"]).writeto(target)
    return target


def run(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main(["inject", *map(str, words)])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_files_of_the_command(path, tmp_path, capsys):
    words = (path, "--backend", "sigma:threshold=4", "--n", 60, "--output", tmp_path)
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "field.fits: 60 sources added in" in out
    curve = read_catalog(tmp_path / "field.sigma.injection.ecsv")
    sources = read_catalog(tmp_path / "field.sigma.injected.ecsv")
    assert len(curve) == 16
    assert len(sources) == 60
    assert sources.meta["parameters"]["threshold"] == 4
    assert curve.meta["injection"]["seed"] == 1
    for name in ("ra", "flux", "snr", "found", "chance", "found_flux"):
        assert name in sources.colnames
    summary = json.loads((tmp_path / "field.sigma.injection.json").read_text())
    assert summary["n"] == 60
    assert (tmp_path / "field.sigma.injection.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = run(capsys, *words)
    assert status == 1
    assert "exists already" in err
    status, out, _ = run(capsys, *words, "--overwrite", "--json")
    assert json.loads(out) == summary


def test_sources_like_those_of_a_file(path, tmp_path, capsys):
    shutil.copy(path, tmp_path)
    (tmp_path / "list.csv").write_text("ra,dec,flux\n1,2,0.0015\n3,4,0.002\n")
    status, _, err = run(
        capsys, path, "-b", "sigma", "--like", tmp_path / "list.csv", "--n", 20, "-o", tmp_path, "--quiet"
    )
    assert (status, err) == (0, "")
    assert set(read_catalog(tmp_path / "field.sigma.injected.ecsv")["flux"].value.round(9)) == {0.0015, 0.002}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--snr", "3"), 2, "Write LOW,HIGH"),
        (("--snr", "a,b"), 2, "Write LOW,HIGH"),
        (("--n", "0"), 2, "at least 1"),
        (("--set", "treshold=4"), 2, "Did you mean 'threshold'"),
        (("--like", "nowhere.csv"), 1, "nowhere.csv"),
        (("--backend", "sgma"), 2, "Did you mean 'sigma'"),
    ],
)
def test_bad_usage_of_the_command(path, tmp_path, capsys, words, status, message):
    code, _, err = run(capsys, path, "--backend", "sigma", "--output", tmp_path, *words)
    assert code == status
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
