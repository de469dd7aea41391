"""The report: one page that needs nothing else, shows what the tables hold, and trusts no text."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from astroseg.compare import compare
from astroseg.report import curve_tables, score_table, write_report
from astroseg.report.figures import FIGURES, draw, render, styles_of
from astroseg.report.gallery import disputes
from astroseg.report.ranking import COLUMNS, SHOWN
from astroseg.simulate.radio import simulate_radio
from astroseg.testing import make_field
from astroseg.truth import Truth

HOSTILE = "<script>alert('x')<|script>\"><img src=x onerror=alert(1)>$_{\\frac$"
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """What a browser would build: tags with attributes, and whether all of them are closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Folder and comparison of two finders on two images with truth, one of a hostile name."""
    skies = [simulate_radio(seed=seed, size=160, density=3000) for seed in (1, 2)]
    skies[0].image.meta["name"] = HOSTILE
    skies[0].truth.meta["truth"] = HOSTILE
    truth = [Truth(sky.truth, sky.labels) for sky in skies]
    folder = tmp_path_factory.mktemp("study")
    comparison = compare([sky.image for sky in skies], "sigma,peaks,otsu", folder, truth=truth)
    write_report(comparison, folder, figures="pdf")
    return folder, comparison


def shown():
    """Figures of a comparison with truth; memory is not known everywhere."""
    return set(FIGURES) - {"consensus"} - (set() if sys.platform == "linux" else {"memory"})


@pytest.fixture(scope="module")
def page(study):
    return Page((study[0] / "report.html").read_text("utf-8"))


def test_the_page_is_whole(page):
    assert not page.open
    assert page.all("html")[0]["lang"] == "en"
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert len(page.all("h1")) == 1


def test_the_page_needs_nothing_else(study, page):
    text = (study[0] / "report.html").read_text("utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    for _, attributes in page.tags:
        for name in ("src", "href", "data", "action"):
            assert attributes.get(name, "data:").startswith("data:")


def test_text_is_text(page):
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert any(HOSTILE in word for word in page.words)
    assert all(image.get("src") != "x" for image in page.all("img"))


def test_every_picture_is_one_and_is_described(page):
    pictures = page.all("img")
    assert all(picture["alt"] for picture in pictures)
    kinds = [picture["src"].partition(",")[0] for picture in pictures]
    assert kinds.count("data:image/svg+xml;base64") == len(shown())
    assert kinds.count("data:image/png;base64") >= 20
    for picture in pictures:
        head, _, content = picture["src"].partition(",")
        content = base64.b64decode(content, validate=True)
        if "svg" in head:
            assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own figure
        else:
            assert content.startswith(b"\x89PNG")


def test_disputed_sources_are_shown_as_every_finder_sees_them(study, page):
    shown = list(disputes(study[1]))
    assert 0 < len(shown) <= 4 * 3
    for start in range(0, len(shown), 3):
        verdicts = {cutout.caption.rpartition(" ")[2] for cutout in shown[start : start + 3]}
        assert verdicts == {"found", "missed"}
    assert "Where the finders disagree" in page.words


def test_the_ranking_shows_the_scores(study, page):
    table = score_table(study[1])
    for value in table["f1"][table["image"] == "all"]:
        assert f"{value:.3f}" in page.words
    heads = {*SHOWN.values(), "Seconds", "Memory (MB)"}
    assert heads - set(page.words) == {"Average precision"}  # no finder here gives a probability


def test_every_column_of_the_scores_has_a_sentence(study):
    table = Table.read(study[0] / "scores.ecsv")
    for name in table.colnames:
        assert COLUMNS[name.removesuffix("_low").removesuffix("_high")]
        assert table[name].description or name.endswith(("_low", "_high"))
    assert not set(COLUMNS) - set(table.colnames)


def test_curves_are_files_and_hold_the_counts(study):
    folder, comparison = study
    names = {path.stem for path in (folder / "curves").iterdir()}
    assert names == {path.stem for path in (folder / "figures").iterdir()} == shown()
    curve = QTable.read(folder / "curves" / "completeness.ecsv")
    for backend in comparison.backends:
        part = curve[curve["backend"] == backend.label]
        runs = comparison.runs_of(backend)
        assert sum(part["successes"]) == sum(
            np.sum(run.sources.curves["completeness_by_snr"].successes) for run in runs
        )
        assert np.all((part["low"] <= part["high"])[part["trials"] > 0])


def test_the_last_point_of_the_sweep_is_the_finder_itself(study):
    comparison = study[1]
    curve, scores = curve_tables(comparison)["purity_completeness"], score_table(comparison)
    for backend in comparison.backends:
        last = curve[curve["backend"] == backend.label][-1]
        row = scores[(scores["backend"] == backend.label) & (scores["image"] == "all")][0]
        np.testing.assert_allclose(
            [last["completeness"], last["reliability"]], [row["completeness"], row["reliability"]]
        )


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_figures_are_the_same_each_time(study, form):
    tables = curve_tables(study[1])
    styles = styles_of([backend.label for backend in study[1].backends])
    for name in ("completeness", "seconds"):
        first, second = (render(draw(name, tables[name], styles), form) for _ in range(2))
        assert first == second


def test_eight_finders_differ_in_more_than_colour():
    styles = styles_of([str(number) for number in range(12)]).values()
    assert len({style["marker"] for style in list(styles)[:8]}) == 8
    assert len({(style["color"], style["marker"], style["linestyle"]) for style in styles}) == 12


@pytest.mark.parametrize("n_sources", [6, 0])
def test_without_truth(tmp_path, n_sources):
    image, _ = make_field(n_sources=n_sources)
    files = write_report(compare([image], "sigma:threshold=8,peaks:threshold=8", tmp_path), tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in files}
    assert {"consensus.ecsv", "pairs.ecsv", "objects.ecsv", "curves/consensus.ecsv", "report.html"} <= names
    assert len(Table.read(tmp_path / "objects.ecsv")) == n_sources
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert not page.open
    assert "Who agrees with whom" in page.words


def test_truth_without_labels_and_nothing_found(tmp_path):
    image, truth = make_field(n_sources=5)
    comparison = compare([image], "sigma:threshold=900", tmp_path, truth=[Truth(truth)])
    write_report(comparison, tmp_path)
    assert not Page((tmp_path / "report.html").read_text("utf-8")).open


@pytest.mark.parametrize("megabytes", [[0.0, 3.0], [0.0, 0.0]])
def test_memory_too_small_to_be_measured(megabytes):
    columns = {"backend": ["a", "b"], "memory": megabytes * u.Mbyte, "megapixels": [1.0, 1.0]}
    assert render(draw("memory", QTable(columns), styles_of(["a", "b"])), "svg")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def browse(path, profile):
    """Open a page; standard output gets what became of it, standard error what its console shows."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
               f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=3000"]  # fmt: skip
    return subprocess.run(
        [CHROMIUM, *options, "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_console_of_the_browser_is_seen(tmp_path):
    (tmp_path / "page.html").write_text("<script>nothing.is.there()</script>", "utf-8")
    assert "CONSOLE" in browse(tmp_path / "page.html", tmp_path / "profile").stderr


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_tables_sort_in_a_browser(study, tmp_path):
    """Click a head twice, and let the page say what it did: nothing may come up in the console on the way."""
    text = (study[0] / "report.html").read_text("utf-8")
    script = """<script>
    const buttons = document.querySelectorAll("table.sortable th button");
    const body = document.querySelector("table.sortable").tBodies[0];
    const column = () => [...body.rows].map(row => row.cells[1].dataset.value);
    buttons[1].click(); const down = column(); buttons[1].click(); const up = column();
    const images = [...document.images].every(image => image.complete && image.naturalWidth > 0);
    document.title = JSON.stringify([down, up, images]);
    </script>"""
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{script}</body>"), "utf-8")
    done = browse(tmp_path / "page.html", tmp_path / "profile")
    assert "CONSOLE" not in done.stderr
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    down, up, images = json.loads(title)
    assert [float(value) for value in down] == sorted(map(float, down), reverse=True)
    assert up == down[::-1]
    assert images
