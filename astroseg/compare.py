"""Finders side by side: every finder on every image, by the same rules, resumed where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import astropy.units as u
from astropy.nddata import CCDData

from astroseg.background import standardize
from astroseg.errors import UsageError
from astroseg.evaluate import evaluate_pixels, evaluate_sources
from astroseg.image import read_image
from astroseg.plugins import load_class, registrations
from astroseg.runs import Backend, Field, Run, run_finder
from astroseg.truth import Truth, read_truth

__all__ = ["Backend", "Comparison", "Field", "Run", "compare", "make_backend", "parse_backends"]


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
    images: Any,
    backends: str | Sequence[Backend],
    folder: str | Path,
    *,
    truth: Any = (),
    truth_format: str | None = None,
    radius: float | u.Quantity = 0.5,
    background: Any = None,
    noise: Any = None,
    mesh: int | None = None,
    overwrite: bool = False,
    tell: Callable[[Run], object] | None = None,
    **reading: Any,
) -> Comparison:
    """Run every finder on every image, and score what it finds against the truth.

    Parameters
    ----------
    images : anything that `~astroseg.read_image` takes, or a sequence of such
    backends : str or sequence of Backend
        See `parse_backends`.
    folder : path
        Detections go to its folder ``detections``, and come from there where image, options, weights and versions
        are the same as in an earlier run.
    truth : path, table (astropy, pandas or a dict), `~astroseg.truth.Truth`, or a sequence of such, optional
        One an image.
    truth_format : str, optional
        See `~astroseg.truth.read_truth`.
    radius : float or `~astropy.units.Quantity`
        Largest separation of a match: in beams, an angle, or pixels.
    background, noise, mesh : optional
        For all images and finders, see `~astroseg.standardize`. By default each finder chooses.
    overwrite : bool
        Run the finders again in any case.
    tell : callable, optional
        Is told of each run when it is done.
    **reading
        ``hdu``, ``plane``, ``unit``, ``beam``, ``mask`` and ``keep_zeros`` go to `~astroseg.read_image`.

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
    images, truth = _listed(images), _listed(truth)
    if truth and len(truth) != len(images):
        msg = f"There are {len(images)} images and {len(truth)} truth files; give one for each image, in their order."
        raise UsageError(msg)
    given = {"background": background, "noise": noise, "mesh": mesh}
    measuring = {key: value for key, value in given.items() if value is not None}
    fields = [Field(read_image(image, **reading), None, measuring) for image in images]
    _refuse_twice(field.stem for field in fields)
    skies = [standardize(field.image, **{"background": "mesh", **measuring}) if measuring else field.image
             for field in fields]  # fmt: skip
    if truth:
        known = [_truth(item, sky, truth_format) for item, sky in zip(truth, skies, strict=True)]
        fields = [replace(field, truth=item) for field, item in zip(fields, known, strict=True)]
    runs = []
    for field in fields:
        for backend in chosen:
            run = _scored(run_finder(backend, field, Path(folder) / "detections", overwrite=overwrite), radius)
            runs.append(run)
            if tell is not None:
                tell(run)
    return Comparison(chosen, fields, runs, radius)


def _listed(given: Any) -> list[Any]:
    """A path, an image and a table are one thing, a sequence is several."""
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _truth(given: Any, image: CCDData, form: str | None) -> Truth:
    if isinstance(given, Truth):
        return given
    return read_truth(given, format=form, image=image)


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
