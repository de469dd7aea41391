"""One finder on one image: run, kept in files, and read from them when nothing has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.api import find
from astroseg.catalog import SAME, provenance, read_catalog
from astroseg.digest import fingerprint
from astroseg.errors import AstrosegError, NoDetectionsWarning
from astroseg.evaluate import PixelScores, SourceScores
from astroseg.finder import Detections, SourceFinder
from astroseg.image import read_image
from astroseg.memory import PeakMemory
from astroseg.output import output_paths, stem_of, write_detections
from astroseg.simulate.radio import simulate_radio
from astroseg.truth import Truth
from astroseg.truth.drawn import read_labels

__all__ = ["Backend", "Field", "Run", "run_finder"]

_WARM: set[str] = set()  # names of the finders that have run in this process


@dataclass(frozen=True)
class Backend:
    """A finder with its options.

    Parameters
    ----------
    label : str
        As the user typed it, and as tables and figures show it.
    finder : `~astroseg.SourceFinder`
    """

    label: str
    finder: SourceFinder

    @property
    def key(self) -> str:
        """Name and a hash of all options, so that two settings of one finder have files of their own."""
        options = json.dumps(self.finder.get_params(), sort_keys=True, default=repr)
        return f"{self.finder.name}.{hashlib.sha256(options.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Field:
    """An image, and what is truly in it.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    truth : `~astroseg.truth.Truth`, optional
    measuring : dict
        ``background``, ``noise`` and ``mesh``, as far as the user chose them and not the finder.
    """

    image: CCDData
    truth: Truth | None = None
    measuring: dict[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Name of the image without folder and endings."""
        return stem_of(self.image.meta["name"])

    @cached_property
    def valid(self) -> np.ndarray:
        """Pixels that hold a measurement."""
        mask = self.image.mask
        return np.ones(self.image.shape, dtype=bool) if mask is None else ~mask

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the detections depend on beside the image's own file and how it was read: maps by their content."""
        maps = {key: fingerprint(value) for key, value in self.measuring.items()}
        masked = "mask" in self.image.meta["reading"]
        return maps | ({"mask": fingerprint(self.image.mask)} if masked else {})


@dataclass(frozen=True)
class Run:
    """One finder on one image.

    Parameters
    ----------
    backend : Backend
    field : Field
    detections : `~astroseg.Detections` or None
        None where the finder failed.
    seconds : float
        That the finder took, when it ran.
    memory : float
        Peak in 10^6 bytes above the start, when it ran; see `~astroseg.memory.PeakMemory`. NaN where it is not known.
    resumed : bool
        The detections are those of an earlier run.
    error : str
        Why it failed, in a line.
    sources : `~astroseg.evaluate.SourceScores` or None
    pixels : `~astroseg.evaluate.PixelScores` or None
        None without truth, or truth labels.
    """

    backend: Backend
    field: Field
    detections: Detections | None = None
    seconds: float = float("nan")
    memory: float = float("nan")
    resumed: bool = False
    error: str = ""
    sources: SourceScores | None = None
    pixels: PixelScores | None = None

    @property
    def catalog(self) -> QTable:
        """What was found, by a finder that didn't fail."""
        assert self.detections is not None
        return self.detections.catalog


def run_finder(backend: Backend, on: Field, folder: Path, *, overwrite: bool = False) -> Run:
    """What was found earlier, or is found now; a finder that fails gives a run with an ``error``.

    Parameters
    ----------
    backend : Backend
    on : Field
    folder : path
        Of the files of all runs.
    overwrite : bool
        Run the finder in any case.
    """
    try:
        old = None if overwrite else _resume(backend, on, folder)
        if old is not None:
            seconds, memory = (float(old.catalog.meta.get(key, np.nan)) for key in ("seconds", "memory"))
            return Run(backend, on, old, seconds, memory, resumed=True)
        _warm_up(backend.finder)
        with warnings.catch_warnings(), PeakMemory() as peak:
            warnings.simplefilter("ignore", NoDetectionsWarning)  # a row of zeros says it too
            start = time.perf_counter()
            detections = find(on.image, backend.finder, **on.measuring)
            seconds = time.perf_counter() - start
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises, the other finders are still wanted
        return Run(backend, on, error=_one_line(error))
    noted = {"seconds": round(seconds, 4), "memory": round(peak.megabytes, 1), "measuring": on.identity}
    detections.catalog.meta.update(noted)
    _keep(detections, backend, on, folder)
    return Run(backend, on, detections, seconds, peak.megabytes)


def _warm_up(finder: SourceFinder) -> None:
    """Let a finder import and load what it keeps, on a small sky, so that neither time nor memory of a run holds it."""
    if finder.name in _WARM:
        return
    _WARM.add(finder.name)
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # the run itself says what is wrong
        warnings.simplefilter("ignore")
        find(simulate_radio(size=64).image, finder)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if isinstance(error, AstrosegError) else f"{type(error).__name__}: {lines[0]}"


def _resume(backend, on, folder) -> Detections | None:
    """Detections of the same image, options and versions, where all of their files can be read."""
    paths = output_paths(folder, on.stem, backend.key, probability=True)
    expected = provenance(backend.finder, on.image) | {"measuring": on.identity}
    try:
        catalog = read_catalog(paths["ecsv"])
        if any(catalog.meta.get(key) != expected[key] for key in (*SAME, *backend.finder.identity())):
            return None
        labels = read_labels(paths["labels"])[0]
        there = paths["probability"].exists()
        probability = read_image(paths["probability"], keep_zeros=True).data if there else None
    except (AstrosegError, OSError):
        return None
    return Detections(catalog, labels, on.image, probability)


def _keep(detections, backend, on, folder) -> None:
    """Write the files under the names that hold the options; the catalogue comes last, and says that all are there."""
    folder.mkdir(parents=True, exist_ok=True)
    probability = detections.probability is not None
    final = output_paths(folder, on.stem, backend.key, probability=probability)
    made = output_paths("", on.stem, backend.finder.name, probability=probability)
    final["ecsv"].unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as draft:
        write_detections(detections, draft, stem=on.stem, probability=probability)
        for kind in sorted(final, key=lambda kind: kind == "ecsv"):
            (Path(draft) / made[kind].name).replace(final[kind])
