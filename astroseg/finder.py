"""The shape that every source finder has, and the answer that every finder gives.

`SourceFinder` is the contract. `PixelFinder` is the short way in: write ``predict`` and inherit
background, tiling, labels and measurement.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg import catalog as cat
from astroseg.background import significance, standardize
from astroseg.contract import valid_labels, valid_map
from astroseg.errors import NoDetectionsWarning, PluginError, UsageError
from astroseg.image import read_image
from astroseg.labels import hysteresis
from astroseg.measurement import columns, measure
from astroseg.mosaic import Mosaic, as_mosaic
from astroseg.options import Configurable
from astroseg.streaming import Lost, Report, Shelf, search, silent
from astroseg.tiling import Tile, plan_tiles, run_tiles

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from matplotlib.axes import Axes
    from photutils.segmentation import SegmentationImage
    from regions import Regions

    from astroseg.shapes import Kind

__all__ = ["Detections", "PixelFinder", "SourceFinder"]


class Detections:
    """What a finder found in one image: table, label image, and (for some) probability map.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        One row per label, in the order of the labels; columns of `astroseg.catalog.COLUMNS`.
    labels : 2-D `~numpy.ndarray` of int32, shape (ny, nx)
        0 is background. May be a memory map.
    image : `~astropy.nddata.CCDData`
        The image that was measured, for its world coordinates and unit.
    probability : 2-D `~numpy.ndarray` of float32, optional
        Probability of each pixel to belong to a source.
    """

    def __init__(
        self, catalog: QTable, labels: np.ndarray, image: CCDData, probability: np.ndarray | None = None
    ) -> None:
        self.catalog = catalog
        self.labels = labels
        self.image = image
        self.probability = probability

    def __len__(self) -> int:
        return len(self.catalog)

    def __repr__(self) -> str:
        backend = self.catalog.meta.get("backend", "?")
        return f"<Detections: {len(self)} by {backend} in {self.image.meta['name']}>"

    def regions(self, kind: Kind = "ellipse") -> Regions:
        """Return one region per source: ``"ellipse"``, ``"polygon"`` or ``"box"``, on the sky where possible."""
        from astroseg.shapes import to_regions

        return to_regions(self, kind)

    def to_photutils(self) -> SegmentationImage:
        """Return the labels as a `photutils.segmentation.SegmentationImage`."""
        from photutils.segmentation import SegmentationImage

        return SegmentationImage(np.asarray(self.labels))

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the image and the outlines of the detections; see `astroseg.plot.plot_detections`."""
        from astroseg.plot import plot_detections

        return plot_detections(self, ax, **options)

    def write(self, folder: str | Path = ".", **options: Any) -> list[Path]:
        """Write catalogue, regions and labels into ``folder``; see `astroseg.output.write_detections`."""
        from astroseg.output import write_detections

        return write_detections(self, folder, **options)


class SourceFinder(Configurable):
    """Base of all finders.

    A subclass stores its options in a keyword-only constructor and writes `find`. It begins with
    ``self.validate()`` and ``self.check_prompts(prompts)``, and ends with
    ``return self.detections(image, catalog, labels)``, which checks the answer and notes the
    provenance.

    Class attributes: ``name`` (as users type it), ``citation`` (what to cite, free text or BibTeX),
    ``prompts`` (keyword arguments of `find` it understands), ``repeatable`` (False when two runs
    may differ), ``threshold_option`` (name of the option, in units of the noise, that makes the finder
    stricter; ``--reliability`` chooses its value), ``background`` (what `~astroseg.standardize` does by default;
    `None` where the finder measures its own), ``region`` and ``overlap`` (side of the regions, in pixels, that a
    larger image is searched by, and how far they reach beyond it; 0 where it has to be searched as a whole),
    ``uses`` (distributions whose version belongs to the provenance), ``expected_failures`` (conformance checks
    known to fail, with the reason).
    """

    name: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    prompts: ClassVar[frozenset[str]] = frozenset()
    repeatable: ClassVar[bool] = True
    threshold_option: ClassVar[str] = ""
    background: ClassVar[str | None] = None
    region: ClassVar[int] = 0
    overlap: ClassVar[int] = 256
    uses: ClassVar[tuple[str, ...]] = ()
    expected_failures: ClassVar[dict[str, str]] = {}

    def find(self, image: Any, **prompts: Any) -> Detections:
        """Find the sources of an image.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
        **prompts
            What belongs to the image and not to the method, for finders that ask for it.

        Returns
        -------
        Detections
            Nothing found is an answer too: an empty catalogue with every column.
        """
        msg = f"The finder '{self.name}' does not implement find()."
        raise PluginError(msg)

    @property
    def scales(self) -> bool:
        """Whether images may be larger than the memory."""
        return self.region > 0

    @property
    def largest(self) -> int:
        """Side of the largest image that is searched in one piece, in pixels."""
        return self.region + self.overlap

    def search(
        self,
        mosaic: Mosaic,
        *,
        tile_size: int | None = None,
        executor: Executor | None = None,
        shelf: Shelf | None = None,
        report: Report = silent,
    ) -> tuple[Detections, list[Lost]]:
        """Find the sources of an image of any size.

        Parameters
        ----------
        mosaic : `~astroseg.mosaic.Mosaic`
            With its background, unless the finder measures its own.
        tile_size : int, optional
            Side of the tiles in pixels, for a finder that doesn't prescribe it; the result does not depend on it.
        executor : `~concurrent.futures.Executor`, optional
            Searches the tiles.
        shelf : `~astroseg.streaming.Shelf`, optional
            Keeps what they hold; by default the memory does.
        report : callable
            Told how many tiles are done, of how many, and how many sources they hold.

        Returns
        -------
        `Detections`, list of `~astroseg.streaming.Lost`
        """
        if not self.region or max(mosaic.shape) <= self.largest:
            return self.find(mosaic.as_image()), []
        from astroseg.overlap import search_regions

        return search_regions(self, mosaic, executor=executor, shelf=shelf, report=report)

    def identity(self) -> dict[str, str]:
        """Return hashes of the files that decide the result, such as weights, by name: ``weights_sha256``.

        They are noted in the catalogue, and compared when a run is resumed: read the file for it, but load no network.
        """
        return {}

    def detections(
        self, image: CCDData, catalog: QTable, labels: np.ndarray, probability: np.ndarray | None = None
    ) -> Detections:
        """Check the answer against the contract, note the provenance and wrap it up.

        Raises
        ------
        PluginError
            When the answer breaks the contract: wrong shape or type, NaN labels, or rows and
            labels that are not one to one.
        """
        labels = valid_labels(labels, image.shape, self.name)
        catalog = cat.complete(catalog, image)
        present = np.unique(labels[labels > 0])
        if not np.array_equal(np.asarray(catalog["label"]), present):
            msg = (
                f"The finder '{self.name}' returned {len(catalog)} rows for {present.size} labels; "
                "there must be one row per label, in ascending order."
            )
            raise PluginError(msg)
        if probability is not None:
            probability = valid_map(probability, image.shape, self.name, "probability")
        return self.noted(image, catalog, labels, probability)

    def noted(
        self, image: CCDData | Mosaic, catalog: QTable, labels: np.ndarray, probability: np.ndarray | None = None
    ) -> Detections:
        """Note the provenance of an answer that needs no checks."""
        cat.stamp(catalog, self, image)
        if len(catalog) == 0:
            warnings.warn(f"{self.name} found nothing in {image.meta['name']}.", NoDetectionsWarning, stacklevel=3)
        return Detections(catalog, labels, image, probability)

    def check_prompts(self, prompts: Iterable[str]) -> None:
        """Raise `UsageError` where `find` was given a prompt that this finder does not take."""
        unknown = sorted(set(prompts) - self.prompts)
        if unknown:
            takes = ", ".join(sorted(self.prompts)) or "none"
            msg = f"The finder '{self.name}' does not take {', '.join(unknown)} (prompts it takes: {takes})."
            raise UsageError(msg)


class PixelFinder(SourceFinder):
    """A finder that scores pixels. A subclass needs one method, `predict`.

    Class attributes: ``halo`` (pixels that a prediction depends on around each pixel),
    ``local`` (whether `label` treats each island, of connected pixels of score 0.5 and more, without regard to what
    lies around it: such images can be searched tile by tile. A class with its own `label` or `measure` has to say so),
    ``background`` (what `~astroseg.standardize` does by default), ``is_probability`` (False where
    the score is a mere threshold: the catalogue then has no probability), ``min_pixels``
    (smallest source, in pixels; an option of that name overrules it).

    Examples
    --------
    >>> class ConstantFinder(PixelFinder):
    ...     name = "constant"
    ...     def __init__(self, *, level: float = 5.0):
    ...         self.level = level
    ...     def predict(self, batch, **prepared):
    ...         return (batch > self.level).astype("f4")
    >>> ConstantFinder(level=6.0)
    ConstantFinder(level=6.0)
    """

    halo: ClassVar[int] = 0
    local: ClassVar[bool] = True
    background: ClassVar[str] = "mesh"
    is_probability: ClassVar[bool] = True
    min_pixels: int = 1
    tile_size: ClassVar[int] = 1024

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not {"label", "measure"}.isdisjoint(vars(cls)) and "local" not in vars(cls):
            cls.local = False

    def prepare(self, image: CCDData) -> dict[str, Any]:
        """Return what `predict` needs to know about the whole image; runs once, before tiling."""
        return {}

    def predict(self, batch: np.ndarray, **prepared: Any) -> np.ndarray | dict[str, np.ndarray]:
        """Score the pixels.

        Parameters
        ----------
        batch : `~numpy.ndarray` of float32, shape (n, ny, nx)
            Images in units of their noise, background off; blank pixels are 0.
        **prepared
            What `prepare` returned.

        Returns
        -------
        `~numpy.ndarray` of shape (n, ny, nx), or dict of such
            A score in 0 to 1 per pixel: at least 0.5 inside a source, above 0.5 somewhere in it.
            A dict must have the key ``probability``.
        """
        msg = f"The finder '{self.name}' does not implement predict()."
        raise PluginError(msg)

    def label(self, maps: dict[str, np.ndarray], image: CCDData) -> np.ndarray:
        """Return the label image: pixels of score >= 0.5, connected, with a score above 0.5 in each."""
        return hysteresis(maps["probability"], 0.5, np.nextafter(np.float32(0.5), np.float32(1)), self.min_pixels)

    def measure(self, maps: dict[str, np.ndarray], labels: np.ndarray, image: CCDData) -> QTable:
        """Return the catalogue of the labels."""
        return measure(image, labels, probability=maps["probability"] if self.is_probability else None)

    def find(
        self, image: Any, *, tile_size: int | None = None, executor: Executor | None = None, **prompts: Any
    ) -> Detections:
        """Find the sources of an image; see `SourceFinder.find`.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes
            Background and noise are measured here unless `~astroseg.standardize` did before.
        tile_size : int, optional
            Side of the tiles in pixels. The result does not depend on it.
        executor : `~concurrent.futures.Executor`, optional
            Runs the tiles; by default they run one after the other.
        **prompts
            What belongs to the image and not to the method.
        """
        self.validate()
        self.check_prompts(prompts)
        image = read_image(image)
        if "background" not in image.meta:
            image = standardize(image, self.background)
        if self.local:
            detections = self.search(as_mosaic(image), tile_size=tile_size, executor=executor)[0]
            detections.image = image
            return detections
        maps = self._score_whole(image, tile_size or self.tile_size, executor)
        labels = self.checked_labels(maps, image)
        catalog = self.measure(maps, labels, image)
        return self.detections(image, catalog, labels, maps["probability"] if self.is_probability else None)

    @property
    def scales(self) -> bool:
        """Whether images may be larger than the memory."""
        return self.local

    @property
    def largest(self) -> int:
        """Side of the largest image that is searched in one piece, in pixels."""
        return self.tile_size

    def search(
        self,
        mosaic: Mosaic,
        *,
        tile_size: int | None = None,
        executor: Executor | None = None,
        shelf: Shelf | None = None,
        report: Report = silent,
    ) -> tuple[Detections, list[Lost]]:
        """Find the sources of an image of any size; see `SourceFinder.search`."""
        tile_size = tile_size or self.tile_size
        found, lost = search(self, mosaic, tile_size=tile_size, executor=executor, shelf=shelf, report=report)
        catalog = columns(found.sums, mosaic, found.islands)
        return self.noted(mosaic, catalog, found.labels, found.probability), lost

    def score(self, image: CCDData, **prepared: Any) -> dict[str, np.ndarray]:
        """Standardize an image, predict, and check the answer.

        Parameters
        ----------
        image : `~astropy.nddata.CCDData`
            With its background; may be a region that was cut out of a larger one.
        **prepared
            What `prepare` returned.

        Returns
        -------
        dict of 2-D `~numpy.ndarray` of float32
            ``probability`` is 0 where the image is blank.
        """
        block = significance(image)
        answer = self.predict(block[np.newaxis], **prepared)
        answer = answer if isinstance(answer, dict) else {"probability": answer}
        if "probability" not in answer:
            msg = f"The finder '{self.name}' returned maps {sorted(answer)} without 'probability'."
            raise PluginError(msg)
        shape = (1, *block.shape)
        maps = {key: valid_map(value, shape, self.name, key)[0] for key, value in answer.items()}
        if image.mask is not None:
            maps["probability"][image.mask] = 0
        return maps

    def checked_labels(self, maps: dict[str, np.ndarray], image: CCDData) -> np.ndarray:
        """What `label` returns, checked."""
        return valid_labels(self.label(maps, image), image.shape, self.name)

    def _score_whole(self, image: CCDData, tile_size: int, executor: Executor | None) -> dict[str, np.ndarray]:
        """The maps of the whole image, for what can only be labelled or measured as a whole."""
        mosaic, prepared = as_mosaic(image), self.prepare(image)

        def score(tile: Tile) -> dict[str, np.ndarray]:
            return {key: value[tile.crop] for key, value in self.score(mosaic.cut(tile.read), **prepared).items()}

        maps: dict[str, np.ndarray] = {}
        for tile, scores in run_tiles(score, plan_tiles(image.shape, tile_size, self.halo), executor):
            for key, value in scores.items():
                if key not in maps:
                    maps[key] = np.zeros(image.shape, dtype=value.dtype)
                maps[key][tile.own] = value
        return maps
