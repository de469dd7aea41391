"""The page in a real browser: real clicks on the image, and the files that come of them."""

import contextlib
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

pytest.importorskip("bokeh", reason="needs the extra click")
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
from selenium.common import WebDriverException  # noqa: E402 - after the check
from selenium.webdriver import ActionChains  # noqa: E402 - after the check
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver is installed")

SHAPE = (300, 400)
DISC, OTHER, RADIUS = (110, 170), (300, 100), 45
NAME = "<img src=x onerror=alert(1)> spot"
VIEW = """
const find = (view) => view.frame ? view : [...(view.child_views ?? [])].map(find).find((view) => view);
const sky = [...Bokeh.index.roots].map(find).find((view) => view);
"""
PLACE = f"""{VIEW}
const box = sky.canvas_view.el.getBoundingClientRect();
return [box.left + sky.frame.x_scale.compute(arguments[0]), box.top + sky.frame.y_scale.compute(arguments[1])];
"""
SHOWN = f"{VIEW} return sky.model.renderers[arguments[0]].data_source.get(arguments[1]).length;"
SCALE = f"{VIEW} const x = sky.frame.x_range; return sky.frame.bbox.width / (x.end - x.start);"
ALL = """
const all = (root) => [...root.querySelectorAll(arguments[0])].concat(
    ...[...root.querySelectorAll("*")].filter((item) => item.shadowRoot).map((item) => all(item.shadowRoot)));
return all(document);
"""
OUTLINES = 2  # the renderer that draws them


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The command, as a user starts it, and a browser at the address that it prints."""
    folder = tmp_path_factory.mktemp("click")
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    discs = [(x - place[0]) ** 2 + (y - place[1]) ** 2 < RADIUS**2 for place in (DISC, OTHER)]
    data = np.random.default_rng(1).normal(size=SHAPE) + 20 * np.any(discs, axis=0)
    fits.writeto(folder / "sky.fits", data.astype("f4"))
    command = [sys.executable, "-m", "astroseg", "click", str(folder / "sky.fits"), "--no-browser"]
    with subprocess.Popen([*command, "--output", str(folder)], stdout=subprocess.PIPE, text=True) as server:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,900"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        try:
            address = next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
            yield Page(browser, folder, address)
        finally:
            browser.quit()
            server.terminate()
            server.communicate(timeout=60)


class Page:
    """What a user does."""

    def __init__(self, browser, folder, address):
        self.browser, self.folder = browser, folder
        browser.get(address)
        self.wait(lambda: self.all("button") and self.all("input[type=radio]"))
        time.sleep(0.5)  # the figure takes its size

    def wait(self, true):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(WebDriverException):  # the page is being drawn, or loaded
                if true():
                    return
            time.sleep(0.05)
        pytest.fail("the page did not come so far")

    def all(self, selector):
        return self.browser.execute_script(ALL, selector)

    def choose(self, number):
        self.all("input[type=radio]")[number].click()

    def press(self, label):
        next(button for button in self.all("button") if button.text == label).click()

    def place(self, x, y):
        return [round(value) for value in self.browser.execute_script(PLACE, x, y)]

    def click(self, x, y):
        chain = ActionChains(self.browser, duration=10)
        chain.w3c_actions.pointer_action.move_to_location(*self.place(x, y)).click()
        chain.perform()

    def outlines(self):
        return self.browser.execute_script(SHOWN, OUTLINES, "xs")

    def says(self, text):
        return any(text in item.text for item in self.all(".bk-clearfix"))

    def scale(self):
        return self.browser.execute_script(SCALE)


def test_a_session(page):
    """Points, a name, a box, corrections, the wheel, saving, and the page loaded again: one after the other."""
    x, y = DISC
    for place in ((x - RADIUS, y), (x + RADIUS, y), (x, y - RADIUS), (x, y + RADIUS)):
        page.click(*place)  # quick ones: Bokeh takes each second for a double click
    page.wait(lambda: page.outlines() == 1)
    field = page.all("input[type=text]")[0]
    page.wait(field.is_enabled)
    field.send_keys(f"{NAME}\n")

    page.choose(1)
    time.sleep(0.5)
    corners = page.place(OTHER[0] - 55, OTHER[1] - 55), page.place(OTHER[0] + 55, OTHER[1] + 55)
    chain = ActionChains(page.browser, duration=50)
    pointer = chain.w3c_actions.pointer_action
    pointer.move_to_location(*corners[0]).pointer_down()
    pointer.move_to_location(*page.place(*OTHER)).move_to_location(*corners[1]).pointer_up()
    chain.perform()
    page.wait(lambda: page.outlines() == 2)

    page.choose(2)
    page.wait(lambda: page.says("object 2 that its outline leaves out"))
    page.click(OTHER[0] + RADIUS, OTHER[1] + 3)
    page.wait(lambda: page.browser.execute_script(SHOWN, 5, "x") == 1)  # a box has no points, only this click

    scale = page.scale()
    page.choose(4)
    wheel = ScrollOrigin.from_viewport(*page.place(*DISC))
    ActionChains(page.browser).scroll_from_origin(wheel, 0, -150).perform()
    page.wait(lambda: page.scale() > 1.1 * scale)
    page.click(*DISC)  # the clicks still go where they are seen
    page.wait(lambda: page.says("Name of object 1") or "object 1" in page.all("label")[-1].text)

    page.press("Save")
    page.wait(lambda: page.says("Saved sky.dextr.ecsv, sky.dextr.reg, sky.dextr.labels.fits."))
    catalog = QTable.read(page.folder / "sky.dextr.ecsv")
    catalog.sort("dextr_prompt")
    assert list(catalog["dextr_name"].filled("")) == [NAME, ""]
    labels = fits.getdata(page.folder / "sky.dextr.labels.fits")
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for label, (x, y) in zip(catalog["label"], (DISC, OTHER), strict=True):
        true = (columns - x) ** 2 + (rows - y) ** 2 < RADIUS**2
        own = labels == label
        assert np.count_nonzero(own & true) / np.count_nonzero(own | true) > 0.9

    page.browser.refresh()
    page.wait(lambda: page.all("button"))
    page.wait(lambda: page.outlines() == 2)
    page.press("Remove")
    page.wait(lambda: page.outlines() == 1)
    page.press("Undo")
    page.wait(lambda: page.outlines() == 2)


def test_the_console_is_silent(page):
    assert [line for line in page.browser.get_log("browser") if line["level"] in ("WARNING", "SEVERE")] == []


def test_nothing_comes_from_elsewhere(page):
    urls = page.browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert urls
    assert all(url.startswith(("http://127.0.0.1:", "data:")) for url in urls)


def test_without_the_token_there_is_no_page(page):
    page.browser.get(page.browser.current_url.partition("?")[0])
    assert "The address is not complete" in page.browser.page_source
