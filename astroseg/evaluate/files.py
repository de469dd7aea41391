"""From files to scores: a list of detections, its labels, the truth and the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable, Table, vstack

from astroseg.background import standardize
from astroseg.catalog import FORMATS, read_catalog
from astroseg.errors import AstrosegError, UsageError
from astroseg.evaluate.pixels import PixelScores, evaluate_pixels
from astroseg.evaluate.sdc1 import SDC1_COLUMNS, Sdc1Score, sdc1_score
from astroseg.evaluate.sdc1_list import sdc1_list
from astroseg.evaluate.sources import SourceScores, evaluate_sources
from astroseg.image import read_image, read_map
from astroseg.output import map_beside
from astroseg.truth import Truth, read_truth
from astroseg.zarr_files import is_zarr

__all__ = ["Evaluation", "evaluate_files"]


@dataclass(frozen=True)
class Evaluation:
    """All scores of one list of detections.

    Parameters
    ----------
    name : str
        Of the file.
    sources : `~astroseg.evaluate.SourceScores`
    pixels : `~astroseg.evaluate.PixelScores` or None
        Where both sides have labels.
    sdc1 : `~astroseg.evaluate.Sdc1Score` or None
        Where it was asked for.
    """

    name: str
    sources: SourceScores
    pixels: PixelScores | None
    sdc1: Sdc1Score | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        parts = {"sources": self.sources, "pixels": self.pixels, "sdc1": self.sdc1}
        return {key: part.to_dict() for key, part in parts.items() if part is not None}

    def to_table(self) -> Table:
        """One row a score, of all kinds."""
        parts = {"sources": self.sources, "pixels": self.pixels, "sdc1": self.sdc1}
        tables = []
        for kind, part in parts.items():
            if part is not None:
                table = part.to_table()
                table.meta = {}
                table.add_column([kind] * len(table), name="kind", index=0)
                tables.append(table)
        return vstack(tables)


def evaluate_files(
    detections: str | Path,
    truth: str | Path,
    *,
    truth_format: str | None = None,
    columns: dict[str, str] | None = None,
    image: Any = None,
    labels: str | Path | None = None,
    match_radius: float = 0.5,
    sdc1: bool = False,
    primary_beam: str | Path | None = None,
    background: Any = None,
    noise: Any = None,
    mesh: int | None = None,
    **reading: Any,
) -> Evaluation:
    """Evaluate a list of detections, ours or somebody else's, against a truth list.

    Parameters
    ----------
    detections, truth : path
        Of any format that `~astroseg.truth.read_truth` knows.
    truth_format, columns : optional
        Of the truth, see `~astroseg.truth.read_truth`.
    image : path, optional
        By default the one that the catalogue's provenance names.
    labels : path, optional
        By default the ``.labels.fits`` or ``.labels.zarr.zip`` beside the catalogue, where there is one.
    match_radius : float, in beams
        Largest separation of a match.
    sdc1 : bool
        Also give the score of the SKA Science Data Challenge 1.
    primary_beam : path, optional
        Map by which the fluxes of the truth are attenuated.
    background, noise, mesh : optional
        How to measure the noise that the S/N of the truth refers to, see `~astroseg.standardize`.
    **reading
        ``hdu``, ``plane``, ``unit``, ``beam``, ``mask`` and ``keep_zeros`` of the image, see `~astroseg.read_image`; by
        default as the catalogue's provenance has them.
    """
    detections = Path(detections)
    found = _read_found(detections)
    sky = _image_of(found, detections, image, reading)
    if sky is not None and (background, noise, mesh) != (None, None, None):
        sky = standardize(sky, "mesh" if background is None else background, noise, mesh)
    known = read_truth(truth, format=truth_format, columns=columns, image=sky, primary_beam=primary_beam)
    if sky is None and "snr" not in found.colnames and "ra" not in found.colnames:
        msg = f"{detections.name} has no positions on the sky; give the image with --image."
        raise UsageError(msg)
    radius = match_radius if sky is not None and sky.meta["beam"] is not None else _without_beam(match_radius, sky)
    return Evaluation(
        detections.name,
        evaluate_sources(found, known.catalog, image=sky, radius=radius),
        _pixels(detections, known, sky, labels),
        _sdc1(found, truth, truth_format, primary_beam) if sdc1 else None,
    )


def _read_found(path: Path) -> QTable:
    """A catalogue of ours with its provenance, or any other list."""
    if not path.exists():
        msg = f"There is no file {path}."
        raise AstrosegError(msg)
    ours = path.name.endswith(tuple(FORMATS.values())) and not path.name.endswith(".csv")
    if ours:
        catalog = read_catalog(path)
        if "backend" in catalog.meta:
            return catalog
    return read_truth(path).catalog


def _image_of(found: QTable, path: Path, image: Any, reading: dict[str, Any]) -> CCDData | None:
    """The image of the catalogue, read as it was then but for what the user says now; or the one that is given."""
    if image is not None:
        return read_image(image, **reading)
    if "image" not in found.meta:
        return None
    then = {key: value for key, value in found.meta.get("reading", {}).items() if value != "array"}
    now = {key: value for key, value in reading.items() if value not in (None, False)}
    return read_image(_place_of(found.meta, path), **then | now)


def _place_of(meta: dict[str, Any], path: Path) -> Path:
    places = [Path(meta.get("image_path") or ""), path.parent / meta["image"], Path(meta["image"])]
    there = next((place for place in places if place.is_file() or is_zarr(place)), None)
    if there is None:
        msg = f"The image {meta['image']} of {path.name} is not where it was; give it with --image."
        raise AstrosegError(msg)
    return there


def _without_beam(radius: float, sky: CCDData | None) -> u.Quantity:
    """Without a beam, a radius in beams is one in units of 3 pixels; without an image there is no telling."""
    if sky is None:
        msg = "The match radius is in beams: give the image with --image."
        raise UsageError(msg)
    return 3 * radius * u.pix


def _pixels(path: Path, truth: Truth, sky: CCDData | None, labels: str | Path | None) -> PixelScores | None:
    labels = labels or map_beside(path, "labels")
    if labels is None or truth.labels is None or sky is None:
        return None
    values = read_map(labels, sky.shape, "label image").astype(np.int64)
    valid = None if sky.mask is None else ~sky.mask
    probability = map_beside(path, "probability")
    scores = None if probability is None else read_map(probability, sky.shape, "probability")
    return evaluate_pixels(truth.labels, values, truth=truth.catalog, valid=valid, probability=scores)


def _sdc1(found: QTable, truth: str | Path, truth_format: str | None, primary_beam: Any) -> Sdc1Score:
    """The official score: the whole truth, with its own fluxes, against ours divided by the primary beam."""
    known = read_truth(truth, format=truth_format).catalog
    if f"sdc1_{SDC1_COLUMNS[0]}" not in known.colnames:
        msg = f"{Path(truth).name} is not a truth list of SDC1, which --sdc1 needs."
        raise UsageError(msg)
    table = Table({name: known[f"sdc1_{name}"] for name in SDC1_COLUMNS})
    beam = None if primary_beam is None else read_image(primary_beam, unit="")
    return sdc1_score(sdc1_list(found, beam), table)
