"""Find the sources of a mosaic: of any size, with any number of workers, interrupted as often as may be."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np

from astroseg.background import Background, MeshMap, standardize
from astroseg.catalog import SAME, provenance
from astroseg.digest import file_digest, fingerprint
from astroseg.errors import AstrosegWarning, UsageError
from astroseg.finder import Detections, PixelFinder, SourceFinder
from astroseg.image import checksum, open_mosaic
from astroseg.mosaic import Mosaic
from astroseg.overlap import Part
from astroseg.pieces import Piece
from astroseg.run_folder import RunFolder
from astroseg.sky import to_sky
from astroseg.streaming import Lost, Report, silent

__all__ = ["MosaicRun"]


class MosaicRun:
    """A search of a mosaic that is kept in a folder until its results are written.

    Parameters
    ----------
    source : anything that `~astroseg.read_image` takes
        Of a FITS file, only what is worked on is in memory.
    finder : `~astroseg.SourceFinder`
        That `~astroseg.SourceFinder.scales`.
    folder : path
        Made for this run, and removed at its end.
    fresh : bool
        Start over, whatever an interrupted run left.
    background, noise, mesh : optional
        See `~astroseg.standardize`. By default the finder chooses.
    **reading
        See `~astroseg.read_image`.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg import get_finder
    >>> from astroseg.scale import MosaicRun
    >>> sky = np.random.default_rng(1).normal(size=(300, 300))
    >>> sky[145:155, 145:155] += 50
    >>> tmp = getfixture("tmp_path")
    >>> with MosaicRun(sky, get_finder("sigma"), tmp / "run") as run:
    ...     detections = run.find(tile_size=150)
    >>> len(detections)
    1
    """

    def __init__(
        self,
        source: Any,
        finder: SourceFinder,
        folder: str | Path,
        *,
        fresh: bool = False,
        background: Any = None,
        noise: Any = None,
        mesh: int | None = None,
        **reading: Any,
    ) -> None:
        if not finder.scales:
            msg = f"The finder '{finder.name}' needs the whole image at once, in memory."
            raise UsageError(msg)
        finder.validate()
        self.finder = finder
        self.measuring = {
            "background": finder.background if background is None else background,
            "noise": noise,
            "mesh": mesh,
        }
        with ThreadPoolExecutor(1) as beside:  # both read the whole file
            digest = beside.submit(file_digest, source) if _is_file(source) else None
            self.mosaic = open_mosaic(source, **reading)
            self.mosaic.meta["sha256"] = checksum(self.mosaic) if digest is None else digest.result()
        kind = Piece if isinstance(finder, PixelFinder) else Part
        self.folder = RunFolder(folder, self._identity(reading), kind)
        self.lost: list[Lost] = []
        self._fresh = fresh

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None and not self.lost:
            self.folder.remove()

    def find(
        self,
        *,
        tile_size: int | None = None,
        executor: Executor | None = None,
        report: Report = silent,
    ) -> Detections:
        """Find the sources, or go on finding them.

        Parameters
        ----------
        tile_size : int, optional
            Side of the tiles in pixels. The result does not depend on it.
        executor : `~concurrent.futures.Executor`, optional
            Threads, a `~astroseg.workers.WorkerPool` or a `~astroseg.workers.DaskPool`.
        report : callable
            Told how many tiles are done, of how many, and how many sources they hold.

        Returns
        -------
        `~astroseg.Detections`
            Its arrays are files in the folder of the run, its image is a `~astroseg.mosaic.Mosaic`. What was lost is in
            the ``meta`` of the catalogue, as ``lost``. An image of a single tile needs no folder.
        """
        shelf = self._opened() if max(self.mosaic.shape) > (tile_size or self.finder.largest) else None
        self.mosaic = self._standardized(executor, shelf)
        detections, self.lost = self.finder.search(
            self.mosaic, tile_size=tile_size, executor=executor, shelf=shelf, report=report
        )
        if self.lost:
            detections.catalog.meta["lost"] = [self._where(lost) for lost in self.lost]
        return detections

    def _opened(self) -> RunFolder:
        changed = self.folder.open(fresh=self._fresh)
        if changed:
            warnings.warn(
                f"{self.folder.path} holds an interrupted run that differs in {', '.join(changed)}: starting over.",
                AstrosegWarning,
                stacklevel=3,
            )
        return self.folder

    def _identity(self, reading: dict[str, Any]) -> dict[str, Any]:
        """All that decides what is found."""
        known = provenance(self.finder, self.mosaic)
        maps = {key: fingerprint(value) for key, value in self.measuring.items() if value is not None}
        mask = {} if reading.get("mask") is None else {"mask": fingerprint(reading["mask"])}
        return {key: known[key] for key in SAME if key in known} | self.finder.identity() | maps | mask

    def _standardized(self, executor: Executor | None, folder: RunFolder | None) -> Mosaic:
        """The mosaic with its background, measured now or in the run that was interrupted."""
        if all(value is None for value in self.measuring.values()):
            return self.mosaic  # the finder measures its own
        kept = folder and folder.kept_arrays("background")
        if kept:
            level, rms = (MeshMap(kept[name], int(kept[f"{name}_size"])) for name in ("level", "rms"))
            return self.mosaic.replaced(meta={"background": Background(level, rms, str(kept["method"]))}, blank=None)
        measuring = self.measuring | {
            "background": "mesh" if self.measuring["background"] is None else self.measuring["background"]
        }
        mosaic = standardize(self.mosaic, **measuring, executor=executor)
        background = mosaic.meta["background"]
        if folder and isinstance(background.level, MeshMap) and isinstance(background.rms, MeshMap):
            folder.keep_arrays(
                "background",
                level=background.level.values,
                level_size=np.array(background.level.size),
                rms=background.rms.values,
                rms_size=np.array(background.rms.size),
                method=np.array(background.method),
            )
        return mosaic

    def _where(self, lost: Lost) -> dict[str, Any]:
        """Place of a lost tile in the image, 0-based pixels, and of its middle on the sky, degrees."""
        rows, columns = lost.region
        place = to_sky(self.mosaic.wcs, *(np.array([(part.start + part.stop - 1) / 2]) for part in (columns, rows)))
        return {
            "x": [columns.start, columns.stop - 1],
            "y": [rows.start, rows.stop - 1],
            "sky": [float(angle[0]) for angle in place],
            "reason": lost.reason,
        }


def _is_file(source: Any) -> bool:
    """Whether an image is a single file: a folder may hold anything, until it is opened as Zarr."""
    return isinstance(source, str | os.PathLike) and Path(source).is_file()
