"""Time from a click on the page to its new outline, on the side of the server, and to a zoomed view.

    python benchmarks/click_speed.py [--size 4096] [--repeats 20] [--browser]

The image holds discs of several sizes; the fourth point of each, a correction, and a zoom are timed, from the event
that comes from the browser to the models that go back. The time of the processor is what an idle machine would take,
where OMP_NUM_THREADS=1. With --browser also in a headless Chromium (with chromedriver, and selenium): from the button
of the mouse to the frame that shows the new outline.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from astropy.io import fits
from astroseg_networks.click_page import MODES, ClickPage
from astroseg_networks.click_state import ClickState
from astroseg_networks.click_view import View
from astroseg_networks.dextr_finder import DEXTRFinder
from bokeh.document import Document
from bokeh.events import Tap

from astroseg import read_image

RADII = (30, 100, 300, 600)  # pixels
FINGER = 0.02  # least radius, over the side of the image, of what is pointed at in a view of all of it
WATCH = """
const find = (view) => view.frame ? view : [...(view.child_views ?? [])].map(find).find((view) => view);
const outlines = [...Bokeh.index.roots].map(find).find((view) => view).model.renderers[2].data_source;
window.pressed = window.seen = 0;
document.addEventListener("pointerup", () => { window.pressed = performance.now(); }, {capture: true, once: true});
const look = () => {
    if (window.pressed && outlines.get("xs").length) {
        requestAnimationFrame(() => { window.seen = performance.now(); });
    } else {
        requestAnimationFrame(look);
    }
};
look();
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--browser", action="store_true")
    arguments = parser.parse_args()
    image = read_image(discs(arguments.size))
    print(f"{arguments.size} x {arguments.size} pixels; medians of {arguments.repeats} in seconds (largest)")
    print(f"{'':24} {'elapsed':>15} {'processor':>15}")
    view, *start = timed(View, image)
    show("start, once", [start])
    with tempfile.TemporaryDirectory() as folder:
        page = ClickPage(ClickState(image, DEXTRFinder(device="cpu"), folder=folder), view, Document())
        for radius, (x, y) in places(arguments.size).items():
            measured = [outlined(page, x, y, radius) for _ in range(arguments.repeats)]
            for name, rows in zip(("outline", "correction"), zip(*measured, strict=True), strict=True):
                show(f"{name}, radius {radius}", rows)
        show("zoom", [timed(page.sky.zoom, factor)[1:] for factor in (2, 2, 2, 0.5, 0.5, 0.5) * 4])
        if arguments.browser:
            fits.writeto(Path(folder) / "discs.fits", image.data)
            in_browser(Path(folder) / "discs.fits", arguments)


def in_browser(path, arguments):
    """Print how long a user waits for the outline after the fourth point, which is taken back each time."""
    sys.path.append(str(Path(__file__).parents[1] / "plugins" / "astroseg-networks" / "tests"))
    from click_browser import open_page

    with open_page(path, path.parent) as page:
        for radius, (x, y) in places(arguments.size).items():
            if radius < FINGER * arguments.size:
                continue  # nobody points at that before zooming
            for point in ((x - radius, y), (x + radius, y), (x, y - radius)):
                page.click(*point)
            seconds = []
            for _ in range(arguments.repeats):
                page.browser.execute_script(WATCH)
                page.click(x, y + radius)
                page.wait(lambda: page.outlines() == 1 and page.browser.execute_script("return window.seen > 0"))
                seconds.append([page.browser.execute_script("return (window.seen - window.pressed) / 1000")])
                page.press("Undo")
                page.wait(lambda: page.outlines() == 0)
            show(f"browser, radius {radius}", seconds)
            for _ in range(3):
                page.press("Undo")
                time.sleep(0.5)


def show(name, rows):
    """Print medians and largest of (elapsed, processor)."""
    print(f"{name:24}", *(f"{median(column):7.3f} ({max(column):.3f})" for column in zip(*rows, strict=True)))


def places(size):
    """Radius -> centre of each disc that the image holds."""
    return {radius: (size * (1 + 2 * (number % 2)) // 4, size * (1 + 2 * (number // 2)) // 4)
            for number, radius in enumerate(RADII) if radius < size / 5}  # fmt: skip


def discs(size):
    data = np.random.default_rng(1).normal(size=(size, size)).astype(np.float32)
    y, x = np.ogrid[:size, :size]
    for radius, place in places(size).items():
        data[(x - place[0]) ** 2 + (y - place[1]) ** 2 < radius**2] += 8
    return data


def outlined(page, x, y, radius):
    """Seconds of the fourth point, and of a correction; both are taken back."""
    page.mode.active = list(MODES).index("points")
    for point in ((x - radius, y), (x + radius, y), (x, y - radius)):
        click(page, *point)
    _, *first = timed(click, page, x, y + radius)
    assert page.state.scene.item is not None, page.message.text
    page.mode.active = list(MODES).index("belongs")
    _, *second = timed(click, page, x + 0.75 * radius, y + 0.75 * radius)
    while page.state.scene.items or page.state.scene.points:
        page.state.undo()
    return first, second


def click(page, x, y):
    page.sky.figure._trigger_event(Tap(page.sky.figure, x=x, y=y, sx=0, sy=0))  # noqa: SLF001 - as Bokeh's server does


def timed(action, *arguments):
    """What it returns, and the seconds that it took: elapsed, and of the processor."""
    elapsed, processor = time.perf_counter(), time.process_time()
    made = action(*arguments)
    return made, time.perf_counter() - elapsed, time.process_time() - processor


if __name__ == "__main__":
    main()
