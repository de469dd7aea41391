"""Detections -> files, all of them or none: temporary names first, then a rename each."""

from __future__ import annotations

import contextlib
import glob
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from astropy.io import fits

from astroseg.catalog_files import FORMATS, check_format, write_catalog
from astroseg.errors import AstrosegError, UsageError
from astroseg.finder import Detections
from astroseg.zarr_files import need_zarr, write_zarr

__all__ = [
    "MAPS",
    "map_beside",
    "output_paths",
    "refuse_existing",
    "remove_drafts",
    "stem_of",
    "write_all",
    "write_detections",
]

_SUFFIXES = (".gz", ".fz", ".bz2", ".zip", ".fits", ".fit", ".fts", ".zarr")

#: Format of labels and probability -> ending of their files.
MAPS = {"fits": ".fits", "zarr": ".zarr.zip"}

TILE = 512  # pixels: side of the tiles of compressed maps; rows, the default, take three times as long


def stem_of(name: str) -> str:
    """Name of an image file without folder and FITS endings."""
    stem = Path(name).name
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            stem = stem[: -len(suffix)]
    return stem


def output_paths(
    folder: str | Path,
    stem: str,
    backend: str,
    *,
    formats: Sequence[str] = ("ecsv",),
    regions: str = "ellipse",
    maps: str = "fits",
    probability: bool = False,
    preview: bool = False,
) -> dict[str, Path]:
    """Return what `write_detections` will write: catalogues by format, regions, labels, ..."""
    for form in formats:
        check_format(form)
    if maps == "zarr":
        need_zarr()
    base = f"{stem}.{backend}"
    names = {form: FORMATS[form] for form in formats}
    if regions != "none":
        names["regions"] = ".reg"
    names["labels"] = f".labels{MAPS[maps]}"
    if probability:
        names["probability"] = f".probability{MAPS[maps]}"
    if preview:
        names["preview"] = ".png"
    return {key: Path(folder) / f"{base}{suffix}" for key, suffix in names.items()}


def map_beside(catalog: Path, kind: str) -> Path | None:
    """The ``labels`` or the ``probability`` that lie beside a catalogue of ours, of whatever format, if they do."""
    stem = next(
        (catalog.name.removesuffix(end) for end in FORMATS.values() if catalog.name.endswith(end)), catalog.stem
    )
    places = (catalog.with_name(f"{stem}.{kind}{end}") for end in MAPS.values())
    return next((place for place in places if place.exists()), None)


def refuse_existing(paths: dict[str, Path]) -> None:
    """Raise `UsageError` when an output file is there already."""
    there = [path.name for path in paths.values() if path.exists()]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        msg = f"{there[0]}{more} exists already in {next(iter(paths.values())).parent}. Replace with --overwrite."
        raise AstrosegError(msg)


def write_detections(
    detections: Detections,
    folder: str | Path = ".",
    *,
    stem: str | None = None,
    formats: Sequence[str] = ("ecsv",),
    regions: str = "ellipse",
    maps: str = "fits",
    probability: bool = False,
    preview: bool = False,
    overwrite: bool = False,
    executor: Executor | None = None,
) -> list[Path]:
    """Write catalogue, regions and labels.

    Parameters
    ----------
    detections : `~astroseg.Detections`
    folder : path
        Made where it does not exist.
    stem : str, optional
        Start of the file names, by default that of the image.
    formats : sequence of str
        Of the catalogue: ``ecsv``, ``votable``, ``fits``, ``parquet``, ``csv``.
    regions : {"ellipse", "polygon", "box", "none"}
        What the region file holds; ``none`` leaves it out.
    maps : {"fits", "zarr"}
        Format of labels and probability: tile-compressed FITS, or Zarr in a zip archive.
    probability, preview : bool
        Also write the probability map, and a PNG.
    overwrite : bool
        Replace existing files.
    executor : `~concurrent.futures.Executor`, optional
        Turns the rows of a long catalogue into text.

    Returns
    -------
    list of `~pathlib.Path`

    Raises
    ------
    AstrosegError
        Files exist, or cannot be written. Nothing is left half-written.
    """
    if probability and detections.probability is None:
        msg = f"The finder '{detections.catalog.meta['backend']}' gives no probability map."
        raise UsageError(msg)
    stem = stem or stem_of(detections.image.meta["name"])
    backend = detections.catalog.meta["backend"]
    paths = output_paths(
        folder, stem, backend, formats=formats, regions=regions, maps=maps, probability=probability, preview=preview
    )
    if not overwrite:
        refuse_existing(paths)
    writers = {form: _catalog_writer(detections, form, executor) for form in formats}
    writers |= {
        "regions": lambda path: _write_regions(detections, path, regions),
        "labels": lambda path: _write_map(detections, np.asarray(detections.labels, dtype=np.int32), path, maps),
        "probability": lambda path: _write_map(detections, detections.probability, path, maps),
        "preview": lambda path: _write_preview(detections, path),
    }
    write_all({path: writers[key] for key, path in paths.items()})
    return list(paths.values())


def write_all(jobs: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write files under temporary names beside their own, and rename them when all of them are complete.

    Parameters
    ----------
    jobs : dict of path to callable
        The callable writes the file at the path it is given.

    Raises
    ------
    AstrosegError
        The disk is full, the folder read-only, ...: no new file is left behind.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in jobs}
    path = next(iter(jobs))
    folders = [path for path in jobs if path.is_dir()]
    if folders:
        msg = f"Cannot write {folders[0]}: there is a folder of that name. Nothing was written."
        raise AstrosegError(msg)
    try:
        for path, write in jobs.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write(parts[path])
        for path, part in parts.items():
            part.replace(path)
    except FileExistsError as error:
        msg = f"Cannot write {path}: {path.parent} is not a folder. Choose another with --output."
        raise AstrosegError(msg) from error
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        msg = f"Cannot write {path}: {reason}. Nothing was written."
        raise AstrosegError(msg) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def remove_drafts(folder: Path, stem: str) -> None:
    """Remove what a process that was killed while it wrote ``STEM.*`` left under temporary names."""
    for part in folder.glob(f".{glob.escape(stem)}.*.part"):
        part.unlink(missing_ok=True)


def _catalog_writer(detections, form, executor):
    return lambda path: write_catalog(detections.catalog, path, form, executor)


def _write_regions(detections, path, kind):
    from astroseg.shapes import ds9_text

    path.write_text(ds9_text(detections, kind), encoding="ascii")


def _write_map(detections, values, path, form):
    header = fits.Header()
    if detections.image.wcs is not None:
        header = detections.image.wcs.to_header(relax=True)
    header["ORIGIN"] = "astroseg"
    header["BACKEND"] = detections.catalog.meta["backend"]
    if form == "zarr":
        write_zarr(values, header, path)
        return
    lossless = "RICE_1" if values.dtype.kind == "i" else "GZIP_2"
    tile = tuple(min(TILE, length) for length in values.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.CompImageHDU(values, header=header, compression_type=lossless, quantize_level=0, tile_shape=tile).writeto(
            path, overwrite=True
        )


def _write_preview(detections, path):
    from astroseg.plot import save_preview

    save_preview(detections, path)
