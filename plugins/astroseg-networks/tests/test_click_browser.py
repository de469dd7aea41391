"""The page in a real browser: real clicks on the image, and the files that come of them."""

import time

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

pytest.importorskip("bokeh", reason="needs the extra click")
pytest.importorskip("selenium", reason="needs selenium")
from click_browser import CHROMIUM, DRIVER, SHOWN, open_page
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver is installed")

SHAPE = (300, 400)
DISC, OTHER, RADIUS = (110, 170), (300, 100), 45
NAME = "<img src=x onerror=alert(1)> spot"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("click")
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    discs = [(x - place[0]) ** 2 + (y - place[1]) ** 2 < RADIUS**2 for place in (DISC, OTHER)]
    data = np.random.default_rng(1).normal(size=SHAPE) + 20 * np.any(discs, axis=0)
    fits.writeto(folder / "sky.fits", data.astype("f4"))
    with open_page(folder / "sky.fits", folder) as opened:
        yield opened


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
