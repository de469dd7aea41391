"""The page without a browser: events in, models out."""

import numpy as np
import pytest

pytest.importorskip("bokeh", reason="needs the extra click")
from astroseg_networks.click_page import MODES, ClickPage
from astroseg_networks.click_state import ClickState
from astroseg_networks.click_view import View
from astroseg_networks.dextr_finder import DEXTRFinder
from bokeh.document import Document
from bokeh.events import DoubleTap, RangesUpdate, SelectionGeometry, Tap

from astroseg import read_image

PLACE, RADIUS = (60, 50), 20
FOUR = [(40, 50), (80, 50), (60, 30), (60, 70)]


@pytest.fixture(scope="module")
def image():
    y, x = np.mgrid[:100, :140]
    disc = (x - PLACE[0]) ** 2 + (y - PLACE[1]) ** 2 < RADIUS**2
    return read_image((np.random.default_rng(1).normal(size=disc.shape) + 20 * disc).astype("f4"))


@pytest.fixture
def page(image, tmp_path):
    return ClickPage(ClickState(image, DEXTRFinder(device="cpu"), folder=tmp_path), View(image), Document())


def choose_mode(page, name):
    page.mode.active = list(MODES).index(name)


def click(page, x, y, event=Tap):
    fire(page, event(page.sky.figure, x=x, y=y, sx=0, sy=0))


def fire(page, event):
    page.sky.figure._trigger_event(event)


def outline_disc(page):
    choose_mode(page, "points")
    for number, (x, y) in enumerate(FOUR):
        click(page, x, y, DoubleTap if number % 2 else Tap)  # as quick clicks come


def models(page, name):
    return getattr(page.sky, name).data


def test_four_clicks_draw_an_outline(page):
    for number, (x, y) in enumerate(FOUR[:3], start=2):
        click(page, x, y)
        assert f"Point {number} of 4" in page.hint.text
    assert models(page, "_marks")["x"] == [40, 80, 60]
    click(page, *FOUR[3])
    assert page.rows.data["number"] == [1]
    xs, ys = models(page, "_outlines")["xs"][0][0][0], models(page, "_outlines")["ys"][0][0][0]
    area = abs(np.dot(xs, np.roll(ys, -1)) - np.dot(ys, np.roll(xs, -1))) / 2
    assert area == pytest.approx(np.pi * RADIUS**2, rel=0.1)
    assert page.rows.data["pixels"][0] == pytest.approx(area)
    assert "Point 1 of 4" in page.hint.text


def test_a_box_draws_an_outline(page):
    geometry = {"type": "rect", "x0": 30, "y0": 20, "x1": 90, "y1": 80}
    choose_mode(page, "box")
    assert page.sky.figure.toolbar.active_drag is page.sky._box
    click(page, 60, 50)  # is no box
    fire(page, SelectionGeometry(page.sky.figure, geometry=geometry, final=False))
    assert not page.state.scene.items
    fire(page, SelectionGeometry(page.sky.figure, geometry=geometry, final=True))
    assert len(page.state.scene.items) == 1
    choose_mode(page, "points")
    assert page.sky.figure.toolbar.active_drag is page.sky._pan


def test_corrections_are_marked(page):
    outline_disc(page)
    choose_mode(page, "belongs")
    assert "object 1" in page.hint.text
    click(page, 80, 60)
    choose_mode(page, "foreign")
    click(page, 42, 50)
    prompt = page.state.scene.item.prompt
    np.testing.assert_array_equal(prompt.inside, [(80, 60)])
    np.testing.assert_array_equal(prompt.outside, [(42, 50)])
    assert models(page, "_marks")["marker"] == ["circle"] * 4 + ["cross", "x"]


def test_a_row_of_the_table_chooses(page):
    outline_disc(page)
    assert page.rows.selected.indices == [0]
    page.rows.selected.indices = []
    assert page.state.scene.chosen is None
    assert page.remove.disabled
    choose_mode(page, "belongs")
    assert "First choose an object" in page.hint.text
    click(page, 60, 50)
    assert "Choose the object" in page.message.text
    page.rows.selected.indices = [0]
    assert page.state.scene.chosen == 0
    assert page.name.title == "Name of object 1"


def test_names_are_shown_as_text(page):
    outline_disc(page)
    page.name.value = "<img src=x onerror=alert(1)> $$x$$"
    assert models(page, "_names")["text"] == ["1 <img src=x onerror=alert(1)> $$x$$"]
    assert page.rows.data["name"] == [page.name.value]


def test_messages_are_escaped(page):
    page._say("<b>&")
    assert page.message.text == "&lt;b&gt;&amp;"


def test_clicks_that_cannot_be_are_explained(page):
    click(page, -20, 5)
    assert "lies outside the image, which has 140 x 100 pixels" in page.message.text
    outline_disc(page)
    assert page.message.text == ""


def test_undo_and_remove(page):
    outline_disc(page)
    page._do(page.state.remove)
    assert page.rows.data["number"] == []
    page._do(page.state.undo)
    assert page.rows.data["number"] == [1]


def test_saving_says_which_files(page, tmp_path):
    assert page.save.disabled
    outline_disc(page)
    assert page.save.button_type == "primary"
    page._do_and_tell(page.state.save)
    assert "array.dextr.ecsv" in page.message.text
    assert page.save.button_type == "default"
    assert (tmp_path / "array.dextr.ecsv").exists()


def test_a_second_page_shows_the_same(page, image):
    outline_disc(page)
    again = ClickPage(page.state, View(image), Document())
    assert again.rows.data["number"] == [1]


def test_pixels_are_square_at_any_size_of_the_window(page):
    whole = page.sky.bounds
    for width, height in ((300, 900), (1600, 300), (800, 600)):
        page.sky._resize(width, height)
        left, bottom, right, top = page.sky.bounds
        assert (right - left) / width == pytest.approx((top - bottom) / height)
        assert left < -0.5
        assert bottom < -0.5
        assert right > 139.5
        assert top > 99.5
    assert page.sky.bounds == pytest.approx(whole)


def test_zooming_in_sends_the_part_that_is_seen(page):
    page.sky.zoom(4)
    left, _, right, _ = page.sky.bounds
    shown = page.sky._pictures[1].data
    assert left - 1 <= shown["x"][0] <= left
    assert right <= shown["x"][0] + shown["dw"][0] <= right + 1
    assert shown["image"][0].dtype == np.uint8


def test_a_turn_of_the_wheel_is_one_refresh(page):
    waiting = []
    page.sky._later = lambda function, _: waiting.append(function)
    before = page.sky._pictures[1].data
    for start in (10, 12, 14):
        page.sky.figure.x_range.update(start=start, end=start + 20)
        fire(page, RangesUpdate(page.sky.figure, x0=start, x1=start + 20, y0=0, y1=20))
    assert len(waiting) == 1
    waiting[0]()
    assert page.sky._pictures[1].data is not before
    assert page.sky._pictures[1].data["x"] == [13.5]


def test_scale_and_limits_change_the_colours(page):
    seen = [page.sky._pictures[0].data["image"][0]]
    for choice in ({"stretch": "linear"}, {"percent": (20.0, 80.0)}):
        page._recolour(**choice)
        seen.append(page.sky._pictures[0].data["image"][0])
    assert (seen[0] != seen[1]).any()
    assert np.mean(seen[2] == 255) == pytest.approx(0.2, abs=0.01)
