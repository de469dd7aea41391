"""The image on the page: what is drawn, and how it follows the user's zoom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from bokeh.events import RangesUpdate
from bokeh.models import BoxSelectTool, ColumnDataSource, LinearColorMapper, Model, PanTool, Range1d, WheelZoomTool
from bokeh.palettes import Greys256, Inferno256, Viridis256
from bokeh.plotting import figure

from astroseg_networks.click_state import Item, Scene
from astroseg_networks.click_view import Bounds, Part, View, to_bytes

__all__ = ["PALETTES", "Sky", "on_value"]

PALETTES = {"inferno": Inferno256, "viridis": Viridis256, "grey": Greys256, "grey, inverted": Greys256[::-1]}
BLANK = "#8a929c"
OTHER, CHOSEN = "#3be8ff", "#ffe14d"  # seen against all of the palettes, with any kind of colour vision
MARKS = {  # what a click was -> how it is shown
    "extreme": ("circle", "#ffffff"),
    "inside": ("cross", "#59f08a"),
    "outside": ("x", "#ff7ad9"),
}
PATIENCE = 80  # milliseconds after a zoom, during which more of it is awaited
MARGIN = 0.05  # of the image, around it


class Sky:
    """The figure with the image, the outlines and the clicks.

    Parameters
    ----------
    view : `~astroseg_networks.click_view.View`
    later : callable
        ``later(function, milliseconds)`` calls a function once; that of a Bokeh document.
    """

    def __init__(self, view: View, later: Callable[[Callable[[], None], int], Any]) -> None:
        self.view = view
        self.stretch, self.percent = "asinh", (0.1, 99.9)
        self._later, self._waiting = later, False
        self.mapper = LinearColorMapper(palette=PALETTES["inferno"], low=1, high=255, low_color=BLANK)
        self._pan, self._box = PanTool(), BoxSelectTool(renderers=[])
        wheel = WheelZoomTool()
        self.figure = figure(
            tools=[self._pan, self._box, wheel],
            active_drag=self._pan,
            active_scroll=wheel,
            toolbar_location=None,
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            x_axis_label="x (pixels)",
            y_axis_label="y (pixels)",
            sizing_mode="stretch_both",
            background_fill_color="#20242a",
            border_fill_color=None,
            lod_threshold=None,
            output_backend="canvas",
        )
        self.figure.grid.visible = False
        self._pictures = [ColumnDataSource(_no_picture()) for _ in range(2)]  # the whole, and what is looked at
        for source in self._pictures:
            place = {"image": "image", "x": "x", "y": "y", "dw": "dw", "dh": "dh"}
            self.figure.image(**place, source=source, color_mapper=self.mapper, level="image")
        self._outlines, self._marks, self._names = (ColumnDataSource() for _ in range(3))
        self._add_glyphs()
        self.figure.on_event(RangesUpdate, lambda _: self._moved())
        on_value(self.figure, "inner_width", lambda width: self._resize(width, self._size[1]))
        on_value(self.figure, "inner_height", lambda height: self._resize(self._size[0], height))
        self._size = (800, 600)
        self.show_whole()
        self.recolour()

    def _add_glyphs(self) -> None:
        for width, color in ((4.5, "black"), (2, "color")):  # dark beneath bright: seen on any background
            self.figure.multi_polygons(
                "xs", "ys", source=self._outlines, fill_color=None, line_color=color, line_width=width
            )
        for width, color in ((5, "black"), (2, "color")):
            self.figure.scatter(
                "x", "y", marker="marker", size=13, source=self._marks,
                fill_color=None, line_color=color, line_width=width,
            )  # fmt: skip
        self.figure.text(
            "x", "y", "text", source=self._names, text_color="color", text_font_size="14px", text_align="center",
            text_baseline="bottom", y_offset=-4, background_fill_color="black", background_fill_alpha=0.65, padding=3,
            border_radius=3,
        )  # fmt: skip

    @property
    def bounds(self) -> Bounds:
        """What is looked at: left, bottom, right and top, in pixels of the image."""
        x, y = self.figure.x_range, self.figure.y_range
        return x.start, y.start, x.end, y.end

    def drag_a_box(self, on: bool) -> None:  # noqa: FBT001 - on or off
        """Choose what dragging with the mouse does: draw a box, or else move the image."""
        self.figure.toolbar.active_drag = self._box if on else self._pan

    def show_whole(self) -> None:
        """Zoom out to all of the image."""
        ny, nx = self.view.shape
        self._show((-MARGIN * nx, -MARGIN * ny, (1 + MARGIN) * nx, (1 + MARGIN) * ny))

    def zoom(self, factor: float) -> None:
        """Zoom in, or out with a factor below 1."""
        left, bottom, right, top = self.bounds
        half = (right - left) / 2 / factor, (top - bottom) / 2 / factor
        x, y = (left + right) / 2, (bottom + top) / 2
        self._show((x - half[0], y - half[1], x + half[0], y + half[1]))

    def recolour(self) -> None:
        """Draw the image anew, after a change of `stretch` or `percent`."""
        self._put(0, self.view.overview)
        self._refresh()

    def draw(self, scene: Scene) -> None:
        """Draw outlines, names and clicks."""
        colors = [CHOSEN if item is scene.item else OTHER for item in scene.items]
        rings = [[*item.outlined.polygons, *item.outlined.holes] for item in scene.items]
        self._outlines.data = {
            "xs": [[[ring[:, 0].tolist() for ring in several]] for several in rings],
            "ys": [[[ring[:, 1].tolist() for ring in several]] for several in rings],
            "color": colors,
        }
        tops = [_top(item) for item in scene.items]
        self._names.data = {
            "x": [x for x, _ in tops],
            "y": [y for _, y in tops],
            "text": [f"{number} {item.name}".rstrip() for number, item in enumerate(scene.items, start=1)],
            "color": colors,
        }
        clicks: list[tuple[str, Sequence[float]]] = [("extreme", point) for point in scene.points]
        if scene.item is not None:
            prompt = scene.item.prompt
            named = (("extreme", prompt.points), ("inside", prompt.inside), ("outside", prompt.outside))
            clicks += [(kind, point) for kind, points in named if points is not None for point in points]
        self._marks.data = {
            "x": [float(point[0]) for _, point in clicks],
            "y": [float(point[1]) for _, point in clicks],
            "marker": [MARKS[kind][0] for kind, _ in clicks],
            "color": [MARKS[kind][1] for kind, _ in clicks],
        }

    def _show(self, bounds: Bounds) -> None:
        """Look at these bounds, and at more where the screen has another shape: pixels stay square."""
        self._wanted = left, bottom, right, top = bounds
        width, height = self._size
        scale = max((right - left) / width, (top - bottom) / height)
        x, y = (left + right) / 2, (bottom + top) / 2
        self.figure.x_range.update(start=x - scale * width / 2, end=x + scale * width / 2)
        self.figure.y_range.update(start=y - scale * height / 2, end=y + scale * height / 2)
        self._refresh()

    def _resize(self, width: int, height: int) -> None:
        self._size = (max(width, 1), max(height, 1))
        self._show(self._wanted)

    def _moved(self) -> None:
        """The user zoomed. A turn of the wheel is many small ones: refresh once, when they are over."""
        self._wanted = self.bounds
        if not self._waiting:
            self._waiting = True
            self._later(self._refresh, PATIENCE)

    def _refresh(self) -> None:
        self._waiting = False
        self._put(1, self.view.part(self.bounds, self._size[0]))

    def _put(self, index: int, part: Part) -> None:
        left, bottom, right, top = part.bounds
        colours = to_bytes(part.values, self.view.limits(self.percent), self.stretch)
        place = {"x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}
        self._pictures[index].data = {"image": [colours], **place}


def on_value(model: Model, name: str, action: Callable[[Any], None]) -> None:
    """Call ``action(value)`` when a property of a model changes."""
    model.on_change(name, lambda attr, old, new: action(new))  # noqa: ARG005 - Bokeh passes all three


def _no_picture() -> dict[str, list[Any]]:
    return {"image": [np.zeros((1, 1), dtype=np.uint8)], "x": [0], "y": [0], "dw": [1], "dh": [1]}


def _top(item: Item) -> tuple[float, float]:
    """Where the name of an object begins: above the middle of its highest edge."""
    vertices = np.concatenate(item.outlined.polygons)
    highest = vertices[vertices[:, 1] == vertices[:, 1].max()]
    return float(highest[:, 0].mean()), float(highest[0, 1])
