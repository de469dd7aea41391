"""Reliability from the inverted image, and the threshold that reaches a target."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from astroseg import (
    AstrosegError,
    AstrosegWarning,
    Detections,
    SourceFinder,
    UsageError,
    find,
    get_finder,
    read_catalog,
    read_image,
    standardize,
)
from astroseg.cli import main
from astroseg.evaluate.matching import match_sources
from astroseg.evaluate.reliability import choose_threshold, estimate_reliability, invert
from astroseg.testing import make_field


@pytest.fixture(scope="module")
def field():
    return make_field(shape=(640, 640), n_sources=300, snr=(4, 40), beam=4.0)


def noise(seed=1):
    return np.random.default_rng(seed).normal(size=(256, 256)).astype("f4")


@pytest.mark.parametrize("name", ["sigma", "peaks", "sep"])
def test_the_estimate_is_what_the_truth_says(field, name):
    if name == "sep":
        pytest.importorskip("astroseg_sep")
    image, truth = field
    found = find(image, name, reliability=0.95)
    note = found.catalog.meta["reliability"]
    assert note["estimate"] >= note["target"] == 0.95
    assert len(found) == note["n_found"]
    option = get_finder(name).threshold_option
    assert found.catalog.meta["parameters"][option] == note["threshold"]
    real = match_sources(found.catalog, truth, truth["fwhm_major"][0])
    assert 0.93 < len(real) / len(found) <= 1
    assert note["threshold"] < 4.5


def test_it_is_the_lowest_threshold(field):
    image, _ = field
    choice = choose_threshold(image, get_finder("peaks"), 0.9)
    lower = get_finder("peaks", threshold=choice.threshold - 0.05)
    n_found, n_inverted = len(lower.find(image)), len(lower.find(invert(read_image(image), lower)))
    assert 1 - (n_inverted + 1) / n_found < 0.9


def test_a_higher_target_takes_a_higher_threshold(field):
    thresholds = [choose_threshold(field[0], get_finder("peaks"), target).threshold for target in (0.7, 0.9, 0.99)]
    assert thresholds == sorted(set(thresholds))


def test_few_sources_cannot_show_a_reliability():
    image, _ = make_field(n_sources=4, snr=(20, 60))
    with pytest.warns(AstrosegWarning, match="No threshold shows a reliability of 0.95: there are too few"):
        found = find(image, "sigma", reliability=0.95)
    assert found.catalog.meta["reliability"]["n_inverted"] == 0
    assert 4 <= len(found) <= 8


def test_noise_alone():
    with pytest.warns(AstrosegWarning, match="which leaves none there"):
        choice = choose_threshold(noise(), get_finder("sigma", min_pixels=1), 0.95)
    assert 3.5 < choice.threshold < 5.5
    assert choice.n_inverted == 0


def test_negative_artefacts():
    data = noise()
    data[100:104, 100:104] -= 1000
    with pytest.raises(AstrosegError, match="negative artefacts"):
        choose_threshold(data, get_finder("sigma"), 0.95)


class Peaks(SourceFinder):
    """Gives peaks of these S/N on the image and on the inverted one, those above the threshold and a floor."""

    name = "peaks of a list"
    threshold_option = "threshold"

    def __init__(self, *, threshold: float = 5.0, floor: float = 0.0, found: tuple = (), inverted: tuple = ()) -> None:
        self.threshold, self.floor, self.found, self.inverted = threshold, floor, found, inverted

    runs: ClassVar[list] = []

    def validate(self):
        """Lists are no options of a command line."""

    def find(self, image, **prompts):
        inverted = image.data[0, 0] < 0
        self.runs.append((self.threshold, "inverted" if inverted else "image"))
        snr = np.array(self.inverted if inverted else self.found)
        snr = snr[(snr > self.threshold) & (snr > self.floor)]
        return Detections(QTable({"snr": snr}), np.zeros(image.shape, dtype="i4"), image)


def chosen(target=0.9, **options):
    """The choice, and how often the finder was run on each image."""
    Peaks.runs = []
    data = np.zeros((32, 32))
    data[0, 0] = 1
    image = standardize(read_image(data), "none", "constant")
    choice = choose_threshold(image, Peaks(**options), target)
    assert len(set(Peaks.runs)) == len(Peaks.runs)
    return choice, [sum(which == name for _, which in Peaks.runs) for name in ("image", "inverted")]


MANY = tuple(np.linspace(4, 40, 200))


def test_a_finder_that_is_as_it_seems_is_run_thrice():
    choice, runs = chosen(found=MANY, inverted=(3.1, 3.2, *np.linspace(3.3, 4.42, 40)))
    assert choice.n_found * 0.1 >= choice.n_inverted + 1
    assert runs == [3, 3]  # where to look, there, and a step below


def test_below_the_floor_nothing_is_tried():
    """PyBDSF has no islands below another threshold than that of their peaks."""
    choice, runs = chosen(found=MANY, inverted=(3.5,), floor=3.0)
    assert (choice.n_found, choice.n_inverted) == (200, 1)
    assert runs == [3, 3]
    assert 2.7 < choice.threshold <= 3


def test_a_target_that_cannot_be_reached_costs_few_runs():
    with pytest.warns(AstrosegWarning, match="No threshold shows"):
        choice, runs = chosen(found=(9.0, 10.0, 11.0), inverted=np.linspace(3, 6.02, 40))
    assert choice.threshold == 6.05
    assert runs == [2, 3]  # the image itself is not asked where only the inverted one matters
    with pytest.raises(AstrosegError, match="negative artefacts"):
        chosen(found=MANY, inverted=(25.0, *MANY))
    assert len(Peaks.runs) == 2


def test_the_inverted_image_mirrors_the_background():
    image = read_image(noise() + 100)
    for background in ("mesh", "constant", "none", np.full(image.shape, 99.0)):
        ready = standardize(image, background)
        level, whole = ready.meta["background"].level, (slice(0, 256), slice(0, 256))
        np.testing.assert_allclose(invert(ready, get_finder("sigma")).data - level[whole], level[whole] - image.data)
    assert "background" in invert(image, get_finder("sigma")).meta


def test_a_measured_background_is_kept_and_used(field):
    image = field[0]
    found = find(image, "sigma", background="constant", reliability=0.9)
    assert found.catalog.meta["background"] == "background constant, noise constant"
    measured = find(image, "sigma", background="constant", reliability=0.9, measure_on=image)
    assert measured.catalog.meta["reliability"] == found.catalog.meta["reliability"]


def test_estimates():
    estimate = estimate_reliability(200, 10)
    assert estimate.value == 0.95
    assert 0.88 < estimate.low < 0.95 < estimate.high < 0.99
    assert estimate_reliability(100, 120).value == 0
    assert np.isnan(estimate_reliability(0, 0).value)
    assert estimate_reliability(0, 5).low == 0


def test_the_interval_holds_the_truth():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        n_noise = rng.poisson(30)
        estimate = estimate_reliability(n_noise + rng.poisson(270), rng.poisson(30))
        held += estimate.low <= 0.9 <= estimate.high
    assert held >= 180


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("yen", {"reliability": 0.9}, "The finder 'yen' has no threshold in units of the noise"),
        ("sigma", {"reliability": 0.9, "threshold": 4}, "Give either a reliability or threshold=4"),
        ("sigma", {"reliability": 1.5}, "between 0 and 1"),
        ("sigma", {"reliability": 0.9, "min_pixels": 0}, "min_pixels"),
    ],
)
def test_bad_usage(name, options, message):
    with pytest.raises(UsageError, match=message):
        find(noise(), name, **options)


def test_the_command(field, tmp_path, capsys):
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(field[0].data, field[0].meta["header"]).writeto(path)
    for words, status, text in (
        (("sigma", "--reliability", "0.95"), 0, ": reliability 0.9"),
        (("yen", "--reliability", "0.95"), 2, "has no threshold"),
        (("sigma:threshold=4", "--reliability", "0.95", "--overwrite"), 2, "Give either"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["find", str(path), "--output", str(tmp_path), "--backend", *words])
        captured = capsys.readouterr()
        assert stop.value.code == status
        assert text in captured.out + captured.err
    assert read_catalog(tmp_path / "field.sigma.ecsv").meta["reliability"]["target"] == 0.95
