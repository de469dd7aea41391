"""Finders side by side: every finder on every image, by the same rules, resumed where it stopped."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.api import find
from astroseg.catalog import read_catalog, stamp
from astroseg.errors import AstrosegError, NoDetectionsWarning, UsageError
from astroseg.evaluate import PixelScores, SourceScores, evaluate_pixels, evaluate_sources
from astroseg.finder import Detections, SourceFinder
from astroseg.image import read_image
from astroseg.output import output_paths, stem_of, write_detections
from astroseg.plugins import load_class, registrations
from astroseg.truth import Truth, read_truth
from astroseg.truth.drawn import read_labels

__all__ = ["Backend", "Comparison", "Field", "Run", "compare", "make_backend", "parse_backends"]

#: What must be the same for an earlier run to count as this one.
SAME = ("image_sha256", "parameters", "package", "package_version", "astroseg_version", "numpy_version")


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
    """

    image: CCDData
    truth: Truth | None = None

    @property
    def stem(self) -> str:
        """Name of the image without folder and endings."""
        return stem_of(self.image.meta["name"])

    @cached_property
    def valid(self) -> np.ndarray:
        """Pixels that hold a measurement."""
        mask = self.image.mask
        return np.ones(self.image.shape, dtype=bool) if mask is None else ~mask


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
    resumed: bool = False
    error: str = ""
    sources: SourceScores | None = None
    pixels: PixelScores | None = None

    @property
    def catalog(self) -> QTable:
        """What was found, by a finder that didn't fail."""
        assert self.detections is not None
        return self.detections.catalog


@dataclass(frozen=True)
class Comparison:
    """What `compare` returns.

    Parameters
    ----------
    backends : list of Backend
    fields : list of Field
    runs : list of Run
        Every finder on every image, image by image.
    radius : float or `~astropy.units.Quantity`
        Of a match.
    """

    backends: list[Backend]
    fields: list[Field]
    runs: list[Run]
    radius: float | u.Quantity

    @property
    def has_truth(self) -> bool:
        """Finders are compared with the truth, not with each other."""
        return self.fields[0].truth is not None

    @property
    def failures(self) -> list[Run]:
        """Runs that gave nothing."""
        return [run for run in self.runs if run.detections is None]

    def runs_of(self, backend: Backend) -> list[Run]:
        """The runs of one finder that gave something.

        Parameters
        ----------
        backend : Backend
        """
        return [run for run in self.runs if run.backend is backend and run.detections is not None]


def parse_backends(text: str) -> list[Backend]:
    """Read ``NAME[:key=value[,key=value]]``, several of them separated by commas.

    Parameters
    ----------
    text : str
        A part without ``=`` starts a new finder if it is the name of one, else it continues the value before it.

    Examples
    --------
    >>> from astroseg.compare import parse_backends
    >>> [backend.label for backend in parse_backends("yen,sigma:threshold=4,deblend=true,peaks")]
    ['yen', 'sigma:threshold=4,deblend=true', 'peaks']
    """
    known = {entry.name for entry in registrations("finder")}
    words: list[tuple[str, list[str]]] = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, colon, first = part.partition(":")
        if "=" not in name and (colon or name in known or not words or not words[-1][1]):
            words.append((name, [first] if first else []))
        elif "=" in part and words:
            words[-1][1].append(part)
        elif words:
            words[-1][1][-1] += f",{part}"
        else:
            msg = f"Cannot read '{part}'. Begin with the name of a finder, for example sigma:{part}."
            raise UsageError(msg)
    if not words:
        msg = "There is no finder to compare. Give names, for example --backends sigma,peaks."
        raise UsageError(msg)
    backends = [make_backend(name, pairs) for name, pairs in words]
    _refuse_twice(backend.label for backend in backends)
    return backends


def make_backend(name: str, pairs: Sequence[str]) -> Backend:
    """Build a finder from its name and texts ``key=value``.

    Parameters
    ----------
    name : str
    pairs : sequence of str
    """
    settings = dict(pair.partition("=")[::2] for pair in pairs)
    finder = load_class(name, "finder").from_text(settings)
    finder.validate()
    return Backend(f"{name}:{','.join(pairs)}" if pairs else name, finder)


def _refuse_twice(names) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        msg = f"'{twice[0]}' is there twice; results would overwrite each other."
        raise UsageError(msg)


def compare(
    images: Sequence[Any],
    backends: str | Sequence[Backend],
    folder: str | Path,
    *,
    truth: Sequence[str | Path | Truth] = (),
    truth_format: str | None = None,
    radius: float | u.Quantity = 0.5,
    overwrite: bool = False,
    tell: Callable[[Run], object] | None = None,
) -> Comparison:
    """Run every finder on every image, and score what it finds against the truth.

    Parameters
    ----------
    images : sequence of anything that `~astroseg.read_image` takes
    backends : str or sequence of Backend
        See `parse_backends`.
    folder : path
        Detections go to its folder ``detections``, and come from there where image, options and versions are the
        same as in an earlier run.
    truth : sequence of path or `~astroseg.truth.Truth`, optional
        One an image.
    truth_format : str, optional
        See `~astroseg.truth.read_truth`.
    radius : float or `~astropy.units.Quantity`
        Largest separation of a match: in beams, an angle, or pixels.
    overwrite : bool
        Run the finders again in any case.
    tell : callable, optional
        Is told of each run when it is done.

    Returns
    -------
    Comparison
        A finder that fails has runs with an ``error``; the others go on.

    Examples
    --------
    >>> import tempfile
    >>> from astroseg.compare import compare
    >>> from astroseg.testing import make_field
    >>> image, _ = make_field()
    >>> comparison = compare([image], "sigma,peaks", tempfile.mkdtemp())
    >>> [len(run.detections) for run in comparison.runs]
    [12, 12]
    """
    chosen = parse_backends(backends) if isinstance(backends, str) else list(backends)
    if truth and len(truth) != len(images):
        msg = f"There are {len(images)} images and {len(truth)} truth files; give one for each image, in their order."
        raise UsageError(msg)
    fields = [Field(read_image(image)) for image in images]
    _refuse_twice(field.stem for field in fields)
    if truth:
        fields = [
            replace(field, truth=_truth(given, field, truth_format)) for field, given in zip(fields, truth, strict=True)
        ]
    runs = []
    for field in fields:
        for backend in chosen:
            run = _scored(_run(backend, field, Path(folder) / "detections", overwrite=overwrite), radius)
            runs.append(run)
            if tell is not None:
                tell(run)
    return Comparison(chosen, fields, runs, radius)


def _truth(given, field, truth_format) -> Truth:
    return given if isinstance(given, Truth) else read_truth(given, format=truth_format, image=field.image)


def _run(backend: Backend, field: Field, folder: Path, *, overwrite: bool) -> Run:
    """What was found earlier, or is found now."""
    old = None if overwrite else _resume(backend, field, folder)
    if old is not None:
        return Run(backend, field, old, float(old.catalog.meta.get("seconds", np.nan)), resumed=True)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoDetectionsWarning)  # a row of zeros says it too
            detections = find(field.image, backend.finder)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises, the other finders are still wanted
        return Run(backend, field, error=_one_line(error))
    seconds = time.perf_counter() - start
    detections.catalog.meta["seconds"] = round(seconds, 4)
    _keep(detections, backend, field, folder)
    return Run(backend, field, detections, seconds)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if isinstance(error, AstrosegError) else f"{type(error).__name__}: {lines[0]}"


def _resume(backend, field, folder) -> Detections | None:
    """Detections of the same image, options and versions, where all of their files can be read."""
    paths = output_paths(folder, field.stem, backend.key, probability=True)
    expected = QTable()
    stamp(expected, backend.finder, field.image)
    try:
        catalog = read_catalog(paths["ecsv"])
        if any(catalog.meta.get(key) != expected.meta[key] for key in SAME):
            return None
        labels = read_labels(paths["labels"])[0]
        there = paths["probability"].exists()
        probability = read_image(paths["probability"], keep_zeros=True).data if there else None
    except (AstrosegError, OSError):
        return None
    return Detections(catalog, labels, field.image, probability)


def _keep(detections, backend, field, folder) -> None:
    """Write the files under the names that hold the options; the catalogue comes last, and says that all are there."""
    folder.mkdir(parents=True, exist_ok=True)
    probability = detections.probability is not None
    final = output_paths(folder, field.stem, backend.key, probability=probability)
    made = output_paths("", field.stem, backend.finder.name, probability=probability)
    final["ecsv"].unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as draft:
        write_detections(detections, draft, stem=field.stem, probability=probability)
        for kind in sorted(final, key=lambda kind: kind == "ecsv"):
            (Path(draft) / made[kind].name).replace(final[kind])


def _scored(run: Run, radius: float | u.Quantity) -> Run:
    truth, found = run.field.truth, run.detections
    if truth is None or found is None:
        return run
    sources = evaluate_sources(found.catalog, truth.catalog, image=run.field.image, radius=radius)
    if truth.labels is None:
        return replace(run, sources=sources)
    pixels = evaluate_pixels(
        truth.labels, found.labels, probability=found.probability, truth=truth.catalog, valid=run.field.valid
    )
    return replace(run, sources=sources, pixels=pixels)
