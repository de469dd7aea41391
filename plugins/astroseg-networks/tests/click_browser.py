"""The page of ``astroseg click`` in a headless Chromium, as a user has it before them."""

import contextlib
import re
import shutil
import subprocess
import sys
import time

from selenium import webdriver
from selenium.common import WebDriverException
from selenium.webdriver import ActionChains

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
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


@contextlib.contextmanager
def open_page(image, folder):
    """The command, as a user starts it, and a browser at the address that it prints."""
    command = [sys.executable, "-m", "astroseg", "click", str(image), "--no-browser", "--output", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
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
        msg = "the page did not come so far"
        raise TimeoutError(msg)

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
