"""What was clicked so far: objects with their outlines and names, and the way back. It knows nothing of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.nddata import CCDData

from astroseg import Detections
from astroseg.errors import AstrosegError, UsageError
from astroseg.output import output_paths, refuse_existing, stem_of
from astroseg_networks.dextr_finder import DEXTRFinder
from astroseg_networks.outline import Outlined, outline
from astroseg_networks.prompts import Prompt

__all__ = ["ClickState", "Item", "Scene"]

LONGEST_NAME = 80  # characters


@dataclass(frozen=True, eq=False)
class Item:
    """An object.

    Parameters
    ----------
    prompt : `~astroseg_networks.prompts.Prompt`
        What was clicked.
    outlined : `~astroseg_networks.outline.Outlined`
        What the network made of it.
    name : str
        As the user calls it.
    """

    prompt: Prompt
    outlined: Outlined
    name: str = ""

    def holds(self, x: float, y: float) -> bool:
        """Tell whether the pixel at (x, y) is of the object."""
        rows, columns = self.outlined.place
        row, column = round(y) - rows.start, round(x) - columns.start
        ny, nx = self.outlined.mask.shape
        return 0 <= row < ny and 0 <= column < nx and bool(self.outlined.mask[row, column])


@dataclass(frozen=True)
class Scene:
    """All that one step can change, and another take back.

    Parameters
    ----------
    items : tuple of Item
    points : tuple of (x, y)
        The first extreme points of the next object.
    chosen : int or None
        Index of the object that corrections and names go to.
    """

    items: tuple[Item, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    chosen: int | None = None

    @property
    def item(self) -> Item | None:
        """The chosen object."""
        return None if self.chosen is None else self.items[self.chosen]


class ClickState:
    """The objects of one image. A step that fails raises one line, and changes nothing.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        As `astroseg.read_image` makes it.
    finder : `~astroseg_networks.dextr_finder.DEXTRFinder`
    channels : sequence of `~astropy.nddata.CCDData`
        Of the same grid.
    folder : path
        Where the files go; nothing is ever written elsewhere.
    overwrite : bool
        Replace files that were there before.
    """

    def __init__(
        self,
        image: CCDData,
        finder: DEXTRFinder,
        *,
        channels: Sequence[CCDData] = (),
        folder: str | Path = ".",
        overwrite: bool = False,
    ) -> None:
        self.image = image
        self.finder = finder
        self.channels = channels
        self.folder = Path(folder)
        self.overwrite = overwrite
        self.scene = Scene()
        self._before: list[Scene] = []
        self._saved = self.scene

    @property
    def unsaved(self) -> bool:
        """Whether the objects differ from those in the files."""
        return self.scene.items != self._saved.items

    def add_point(self, x: float, y: float) -> None:
        """Take an extreme point of the next object; the fourth one outlines it.

        Parameters
        ----------
        x, y : float, pixels
            0-based.
        """
        self._check_inside(x, y)
        points = (*self.scene.points, (x, y))
        if len(points) < 4:
            self._step(replace(self.scene, points=points, chosen=None))
        else:
            self._add(Prompt(points=points))

    def add_box(self, left: float, bottom: float, right: float, top: float) -> None:
        """Outline the object in a box, of which only the part in the image counts.

        Parameters
        ----------
        left, bottom, right, top : float, pixels
            0-based.
        """
        ny, nx = self.image.shape
        x, y = np.clip((left, right), 0, nx - 1), np.clip((bottom, top), 0, ny - 1)
        self._add(Prompt(box=(x[0], y[0], x[1], y[1])))

    def correct(self, x: float, y: float, *, belongs: bool) -> None:
        """Outline the chosen object again, with a pixel that belongs to it or does not.

        Parameters
        ----------
        x, y : float, pixels
            0-based.
        belongs : bool
        """
        self._check_inside(x, y)
        item = self._chosen("corrected")
        if belongs:
            prompt = replace(item.prompt, inside=[*item.prompt.inside, (x, y)])
        else:
            prompt = replace(item.prompt, outside=[*item.prompt.outside, (x, y)])
        self._change(replace(item, prompt=prompt, outlined=self._outline(prompt)))

    def choose(self, index: int | None) -> None:
        """Choose an object by its index, or none. This is no step that can be taken back."""
        self.scene = replace(self.scene, chosen=index)

    def choose_at(self, x: float, y: float) -> None:
        """Choose the object at (x, y), the smallest of several; none where there is none."""
        here = [index for index, item in enumerate(self.scene.items) if item.holds(x, y)]
        area = {index: np.count_nonzero(self.scene.items[index].outlined.mask) for index in here}
        self.choose(min(here, key=area.__getitem__, default=None))

    def rename(self, name: str) -> None:
        """Name the chosen object."""
        item, name = self._chosen("named"), " ".join(name.split())[:LONGEST_NAME]
        if name != item.name:
            self._change(replace(item, name=name))

    def remove(self) -> None:
        """Remove the chosen object."""
        self._chosen("removed")
        items = tuple(item for number, item in enumerate(self.scene.items) if number != self.scene.chosen)
        self._step(replace(self.scene, items=items, chosen=None))

    def undo(self) -> None:
        """Take back the last step."""
        if not self._before:
            msg = "There is nothing to take back."
            raise UsageError(msg)
        self.scene = self._before.pop()

    def check_files(self) -> None:
        """Raise `AstrosegError` where files are in the way that must not be replaced."""
        if not self.overwrite:
            refuse_existing(output_paths(self.folder, stem_of(self.image.meta["name"]), self.finder.name))

    def save(self) -> list[Path]:
        """Write catalogue, regions and labels of all objects, as `astroseg.Detections.write` does.

        Files that this state wrote before are replaced.

        Returns
        -------
        list of `~pathlib.Path`

        Raises
        ------
        AstrosegError
            There are no objects, files are in the way, or cannot be written.
        """
        self.check_files()
        files = self.detections().write(self.folder, regions="polygon", overwrite=self.overwrite)
        self._saved, self.overwrite = self.scene, True
        return files

    def detections(self) -> Detections:
        """All objects, measured; the column ``dextr_name`` holds their names."""
        items = self.scene.items
        if not items:
            msg = "There is nothing to save yet: outline an object first."
            raise UsageError(msg)
        prompts = [item.prompt for item in items]
        found = self.finder.find(self.image, points=prompts, channels=self.channels)
        names = [items[number - 1].name for number in found.catalog["dextr_prompt"]]
        found.catalog["dextr_name"] = np.array(names, dtype=str)
        found.catalog["dextr_name"].info.description = "What the user called it"
        return found

    def _add(self, prompt: Prompt) -> None:
        items = (*self.scene.items, Item(prompt, self._outline(prompt)))
        self._step(Scene(items, chosen=len(items) - 1))

    def _outline(self, prompt: Prompt) -> Outlined:
        asked = {key: getattr(prompt, key) for key in ("points", "box", "inside", "outside")}
        found = outline(self.image, **asked, channels=self.channels, finder=self.finder)
        if not found.mask.any():
            msg = "The network sees no object there. Try a box around it, or click somewhat further out."
            raise AstrosegError(msg)
        return found

    def _change(self, item: Item) -> None:
        items = tuple(item if number == self.scene.chosen else old for number, old in enumerate(self.scene.items))
        self._step(replace(self.scene, items=items))

    def _chosen(self, what: str) -> Item:
        if self.scene.item is None:
            msg = f"Choose the object that is to be {what}: click its row in the list."
            raise UsageError(msg)
        return self.scene.item

    def _check_inside(self, x: float, y: float) -> None:
        ny, nx = self.image.shape
        if not (-0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5):
            msg = f"The point ({x:.0f}, {y:.0f}) lies outside the image, which has {nx} x {ny} pixels."
            raise UsageError(msg)

    def _step(self, scene: Scene) -> None:
        self._before.append(self.scene)
        self.scene = scene
