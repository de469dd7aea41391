"""Run PyBDSF in a process of its own: files in, files out.

`astroseg_bdsf.engine` starts this module in a fresh interpreter whose standard
input is a pipe that it never writes to. PyBDSF forks, so it gets a process
without threads; it leaks, logs and prints, and all that ends with the process.
"""

import json
import os
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from .fitting import Lost, fit_islands

__all__ = ["main"]


class NoNoiseError(RuntimeError):
    """PyBDSF failed on the way to its noise map."""


def main(folder: str) -> None:
    """
    Do the job described in a folder and leave the answer there.

    Parameters
    ----------
    folder : str
        Holds ``job.json`` and the files it names; gets ``answer.json`` and
        ``answer.npz``.
    """
    folder = Path(folder)
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    job = json.loads((folder / "job.json").read_text())
    failed = []
    try:
        arrays = _arrays(_process(job, failed))
        np.savez(folder / "answer.npz", **arrays)
        answer = {"failed": [_describe(*loss, arrays["islands"]) for loss in failed]}
    except Exception as error:  # noqa: BLE001 (the engine makes one line of it)
        traceback.print_exc()
        text = str(error) if type(error) in (RuntimeError, NoNoiseError) else f"{type(error).__name__}: {error}"
        answer = {"error": " ".join(text.split()), "noise": isinstance(error, NoNoiseError)}
    (folder / "answer.json").write_text(json.dumps(answer))


def _end_with_parent(folder):
    """End this process group when the caller is gone, leaving nothing behind."""
    os.read(0, 1)  # returns when the other end of the pipe is closed
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _process(job, failed):
    """Run PyBDSF's chain and return its image object."""
    # PyBDSF imports pyplot only to draw, which costs half a second and may
    # look for a display; it runs without when the import fails.
    sys.modules["matplotlib.pyplot"] = None
    from bdsf.image import Image

    _guard(job["workers"], job["island_timeout"], failed)
    if job["typical"] is not None:
        _need_no_statistics(job["typical"])
    np.random.seed(0)  # noqa: NPY002 (PyBDSF draws its Monte Carlo errors from it)
    # Not bdsf.process_image, which first tries to unpickle the image file.
    image = Image({"filename": job["filename"], **job["options"]})
    try:
        image.process()
    except (RuntimeError, ArithmeticError, IndexError, ValueError) as error:
        if "FDR thresholding failed" in str(error):
            # PyBDSF takes it for a fault that no pixel is significant.
            image.islands, image.sources = [], []
        elif "readimage" in image.completed_Ops and "rmsimage" not in image.completed_Ops:
            msg = f"it cannot measure the noise (too few pixels, or no noise): {error}"
            raise NoNoiseError(msg) from error
        else:
            raise
    return image


def _guard(workers, limit, failed):
    """Make islands that can't be fitted cost themselves only."""
    from bdsf import gaul2srl, gausfit, multi_proc

    # PyBDSF keeps one processor free for its main process, which only waits.
    multi_proc._ncpus = workers + 1  # noqa: SLF001 (there is no public way)

    def parallel_map(function, sequence, numcores=None, bar=None, weights=None):  # noqa: ARG001
        tasks = list(sequence)
        results = fit_islands(function, tasks, weights, workers=workers, limit=limit)
        for i, result in enumerate(results):
            if isinstance(result, Lost):
                failed.append((tasks[i][1], f"the fit {result.reason}"))
                results[i] = [[], []]  # no Gaussians, none flagged
        return results

    gausfit.mp = SimpleNamespace(parallel_map=parallel_map)

    group = gaul2srl.Op_gaul2srl.process_CM

    def process_island(self, img, gaussians, island, last):
        try:
            return group(self, img, gaussians, island, last)
        except Exception as error:  # noqa: BLE001 (whatever the grouping can raise)
            failed.append((island, f"the grouping raised {type(error).__name__}: {error}"))
            return last, []

    gaul2srl.Op_gaul2srl.process_CM = process_island


def _need_no_statistics(typical):
    """Let PyBDSF go on without its statistics of the image, which it takes even where it is given both maps."""
    from bdsf import functions

    measured = functions.bstat

    def bstat(data, mask, kappa):
        try:
            return measured(data, mask, kappa)
        except ArithmeticError:  # every pixel is clipped
            return (*typical, *typical, 0)

    functions.bstat = bstat


def _describe(island, reason, islands):
    """An island without a fit, in the image's pixels (x, y; end excluded)."""
    bright = np.where(island.mask_active, -np.inf, island.image)
    x, y = np.add(np.unravel_index(np.argmax(bright), island.shape), island.origin).tolist()
    along_x, along_y = island.bbox
    # Its number at the end: wavelets renumber the islands on the way.
    return {
        "island": int(islands[y, x]),
        "x": x,
        "y": y,
        "box": [along_x.start, along_x.stop, along_y.start, along_y.stop],
        "reason": " ".join(reason.split()),
    }


def _arrays(image):
    """Columns and maps of a processed image."""
    lone = [island.island_id + 1 for island in image.islands if not island.sources]
    return {
        **{f"source:{name}": column for name, column in _sources(image).items()},
        **{f"gaussian:{name}": column for name, column in _gaussians(image).items()},
        "islands": _islands(image),
        "lone_islands": np.array(lone, dtype=int),
        # PyBDSF's arrays are [x, y].
        "rms": np.ascontiguousarray(image.rms_arr.T, dtype=np.float32),
        "mean": np.ascontiguousarray(image.mean_arr.T, dtype=np.float32),
    }


def _sources(image):
    """The columns of PyBDSF's source catalogue, and the place in pixels."""
    from bdsf.output import make_output_columns

    aperture = image.opts.aperture is not None
    rows = []
    for source in image.sources:
        values, names, _, _ = make_output_columns(source, fits=True, objtype="srl", incl_aper=aperture)
        place = source.gaussians[0].centre_pix if source.ngaus == 1 else image.sky2pix(source.posn_sky_centroid)
        rows.append([*values, *place, source.ngaus])
    if not rows:
        return {}
    names = [*names, "Xposn", "Yposn", "N_gaus"]
    columns = (np.array(column) for column in zip(*rows, strict=True))
    # Doubles, as PyBDSF writes them.
    columns = (column.astype(float) if column.dtype.kind == "f" else column for column in columns)
    return dict(zip(names, columns, strict=True))


def _gaussians(image):
    """The fitted Gaussians in pixels: FWHM, angle from +y towards -x."""
    rows = [
        (row, gaussian.peak_flux, *gaussian.centre_pix, *gaussian.size_pix)
        for row, source in enumerate(image.sources)
        for gaussian in source.gaussians
    ]
    names = ("source", "peak_flux", "x", "y", "major", "minor", "pa")
    table = np.array(rows, dtype=float).reshape(-1, len(names))
    columns = dict(zip(names, table.T, strict=True))
    columns["source"] = columns["source"].astype(int)
    return columns


def _islands(image):
    """Number of the island (from 1) of each pixel; the first where two overlap."""
    islands = np.zeros(image.ch0_arr.shape, dtype=np.int32)
    for island in image.islands:
        part = islands[tuple(island.bbox)]
        part[~island.mask_active & (part == 0)] = island.island_id + 1
    return np.ascontiguousarray(islands.T)
