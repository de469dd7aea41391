"""The page: which click does what, in words and in deeds."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable
from importlib import resources

from bokeh.document import Document
from bokeh.events import DoubleTap, PressUp, SelectionGeometry, Tap
from bokeh.layouts import column, row
from bokeh.models import (
    Button,
    ColumnDataSource,
    DataTable,
    Div,
    NumberFormatter,
    RadioGroup,
    RangeSlider,
    Select,
    TableColumn,
    TextInput,
)

from astroseg.catalog import FLAGS
from astroseg.errors import AstrosegError, AstrosegWarning
from astroseg_networks.click_sky import PALETTES, Sky, on_value
from astroseg_networks.click_state import ClickState
from astroseg_networks.click_view import STRETCHES, View

__all__ = ["ClickPage"]

MODES = {
    "points": "New object: click its four extreme points",
    "box": "New object: draw a box around it",
    "belongs": "Correct: click what belongs to it",
    "foreign": "Correct: click what does not belong to it",
    "choose": "Choose: click an object",
}
_HINTS = {
    "points": "Click the leftmost, rightmost, lowest and highest point of an object, in any order. Point {n} of 4.",
    "box": "Press the mouse button, draw a box around an object, and let go. The box may be loose.",
    "belongs": "Click a part of object {chosen} that its outline leaves out.",
    "foreign": "Click a part within the outline of object {chosen} that is not the object.",
    "choose": "Click an object, or its row in the list: then you can correct, name or remove it.",
}
_NOTHING_CHOSEN = "First choose an object: click its row in the list."
_WIDE = {"sizing_mode": "stretch_width"}


class ClickPage:
    """What one browser shows of a state.

    Parameters
    ----------
    state : `~astroseg_networks.click_state.ClickState`
        It outlives the page, so that nothing is lost when the page is loaded again.
    view : `~astroseg_networks.click_view.View`
    document : `~bokeh.document.Document`
    """

    def __init__(self, state: ClickState, view: View, document: Document) -> None:
        self.state, self.document = state, document
        self.sky = Sky(view, document.add_timeout_callback)
        self.mode = RadioGroup(labels=list(MODES.values()), active=0, **_WIDE)
        self.hint, self.message = (Div(disable_math=True, **_WIDE) for _ in range(2))
        self.undo, self.remove, self.save = (Button(label=label) for label in ("Undo", "Remove", "Save"))
        self.name = TextInput(**_WIDE)
        self.rows = ColumnDataSource()
        self.table = self._table()
        self._quiet = False  # while the page itself changes a widget
        self._connect()
        document.add_root(self._named(column(self.sky.figure, sizing_mode="stretch_both"), "sky"))
        document.add_root(self._named(self._tools(), "tools"))
        document.add_root(self._named(self._display(), "display"))
        document.title = f"{state.image.meta['name']} - astroseg click"
        document.template = resources.files(__package__).joinpath("click_page.html.jinja").read_text("utf-8")
        document.template_variables.update(image=state.image.meta["name"], folder=str(state.folder.resolve()))
        self.draw()

    def draw(self) -> None:
        """Show the state as it is."""
        scene = self.state.scene
        self.sky.draw(scene)
        self._quiet = True
        self.rows.data = {
            "number": list(range(1, len(scene.items) + 1)),
            "name": [item.name for item in scene.items],
            "pixels": [int(item.outlined.mask.sum()) for item in scene.items],
            "score": [item.outlined.score for item in scene.items],
        }
        self.rows.selected.indices = [] if scene.chosen is None else [scene.chosen]
        self.name.value = scene.item.name if scene.item else ""
        self.name.title = "Name" if scene.chosen is None else f"Name of object {scene.chosen + 1}"
        self._quiet = False
        self.name.disabled = self.remove.disabled = scene.item is None
        self.save.disabled = not scene.items
        self.save.button_type = "primary" if self.state.unsaved else "default"
        self.hint.text = self._hint()

    def _hint(self) -> str:
        scene, kind = self.state.scene, self._kind
        if kind in ("belongs", "foreign") and scene.item is None:
            return _NOTHING_CHOSEN
        return _HINTS[kind].format(n=len(scene.points) + 1, chosen=(scene.chosen or 0) + 1)

    @property
    def _kind(self) -> str:
        return list(MODES)[self.mode.active]

    def _connect(self) -> None:
        for event in (Tap, DoubleTap, PressUp):  # two quick clicks are a double tap, a slow one is a press
            self.sky.figure.on_event(event, self._clicked)
        self.sky.figure.on_event(SelectionGeometry, self._boxed)
        on_value(self.mode, "active", lambda _: self._changed_mode())
        self.undo.on_click(lambda: self._do(self.state.undo))
        self.remove.on_click(lambda: self._do(self.state.remove))
        self.save.on_click(self._save)
        on_value(self.name, "value", lambda new: self._unless_quiet(lambda: self.state.rename(new)))
        on_value(self.rows.selected, "indices", lambda new: self._unless_quiet(lambda: self._choose(new)))

    def _clicked(self, event: Tap) -> None:
        x, y = event.x, event.y
        actions = {
            "points": lambda: self.state.add_point(x, y),
            "belongs": lambda: self.state.correct(x, y, belongs=True),
            "foreign": lambda: self.state.correct(x, y, belongs=False),
            "choose": lambda: self.state.choose_at(x, y),
        }
        if self._kind in actions:
            self._do(actions[self._kind])

    def _boxed(self, event: SelectionGeometry) -> None:
        place = event.geometry
        if event.final and place["type"] == "rect":
            self._do(lambda: self.state.add_box(place["x0"], place["y0"], place["x1"], place["y1"]))

    def _choose(self, indices: list[int]) -> None:
        self.state.choose(indices[0] if indices else None)

    def _changed_mode(self) -> None:
        self.sky.drag_a_box(self._kind == "box")
        self.hint.text = self._hint()

    def _unless_quiet(self, action: Callable[[], None]) -> None:
        if not self._quiet:
            self._do(action)

    def _do(self, action: Callable[[], object]) -> None:
        """Take a step, and say in a line why it cannot be taken, or what is to be known of the outline."""
        before = self.state.scene.item
        try:
            action()
        except AstrosegError as error:
            self._say(str(error), bad=True)
        except Exception as error:
            self._say(f"{type(error).__name__}; the terminal shows more.", bad=True)
            raise
        else:
            item = self.state.scene.item
            flags = item.outlined.flags if item is not None and item is not before else 0
            notes = [text for bit, text in FLAGS.items() if flags & bit]
            self._say(f"This object: {'; '.join(notes)}." if notes else "")
        self.draw()

    def _save(self) -> None:
        self._say("Saving ...")
        self.document.add_next_tick_callback(lambda: self._do_and_tell(self.state.save))

    def _do_and_tell(self, save: Callable[[], list]) -> None:
        files: list = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AstrosegWarning)
            self._do(lambda: files.extend(save()))
        if files:
            said = [str(one.message) for one in caught if issubclass(one.category, AstrosegWarning)]
            names = ", ".join(file.name for file in files)
            self._say(" ".join([f"Saved {names}.", *dict.fromkeys(said)]))

    def _say(self, text: str, *, bad: bool = False) -> None:
        self.message.text = html.escape(text)
        self.message.styles = {"color": "#b3261e" if bad else "#1d6b3a", "font-weight": "600"}

    def _table(self) -> DataTable:
        columns = [
            TableColumn(field="number", title="No.", width=35),
            TableColumn(field="name", title="Name", width=110),
            TableColumn(field="pixels", title="Pixels", width=65, formatter=NumberFormatter(format="0,0")),
            TableColumn(field="score", title="Probability", width=78, formatter=NumberFormatter(format="0.00")),
        ]
        return DataTable(source=self.rows, columns=columns, index_position=None, height=180, sortable=False,
                         reorderable=False, autosize_mode="none", **_WIDE)  # fmt: skip

    def _tools(self) -> column:
        buttons = row(self.undo, self.remove, self.save)
        return column(self.mode, self.hint, self.table, self.name, buttons, self.message, **_WIDE)

    def _display(self) -> row:
        stretch = Select(title="Scale", options=list(STRETCHES), value=self.sky.stretch, width=110)
        palette = Select(title="Colours", options=list(PALETTES), value="inferno", width=120)
        percent = RangeSlider(title="Darkest and brightest (% of the pixels)", start=0, end=100, step=0.1,
                              value=self.sky.percent, format="0.0", bar_color="#4a90d9", width=270)  # fmt: skip
        whole, closer, farther = (Button(label=label, align="end") for label in ("Whole image", "Zoom in", "Zoom out"))
        on_value(stretch, "value", lambda new: self._recolour(stretch=new))
        on_value(percent, "value_throttled", lambda new: self._recolour(percent=tuple(new)))
        on_value(palette, "value", lambda new: setattr(self.sky.mapper, "palette", PALETTES[new]))
        whole.on_click(self.sky.show_whole)
        closer.on_click(lambda: self.sky.zoom(2))
        farther.on_click(lambda: self.sky.zoom(0.5))
        return row(whole, closer, farther, stretch, palette, percent, styles={"flex-wrap": "wrap"})

    def _recolour(self, **choice: object) -> None:
        vars(self.sky).update(choice)
        self.sky.recolour()

    @staticmethod
    def _named(model: column, name: str) -> column:
        model.name = name
        return model
