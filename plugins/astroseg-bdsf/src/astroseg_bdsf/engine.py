"""Run PyBDSF on an array, and take its sources back as arrays."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from . import options as bdsf_options
from .prepare import prepare

__all__ = ["EngineError", "Failure", "NoiseError", "Result", "run"]

_WORKER = "astroseg_bdsf.worker"

# PyBDSF's source catalogue and what the worker adds, for a result without rows.
_INTEGERS = ("Source_id", "Isl_id", "N_gaus")
_FLOATS = """
    RA E_RA DEC E_DEC Total_flux E_Total_flux Peak_flux E_Peak_flux RA_max E_RA_max
    DEC_max E_DEC_max Maj E_Maj Min E_Min PA E_PA Maj_img_plane E_Maj_img_plane Min_img_plane
    E_Min_img_plane PA_img_plane E_PA_img_plane DC_Maj E_DC_Maj DC_Min E_DC_Min DC_PA E_DC_PA
    DC_Maj_img_plane E_DC_Maj_img_plane DC_Min_img_plane E_DC_Min_img_plane DC_PA_img_plane
    E_DC_PA_img_plane Isl_Total_flux E_Isl_Total_flux Isl_rms Isl_mean Resid_Isl_rms
    Resid_Isl_mean Xposn Yposn
""".split()  # noqa: SIM905 (a list of 44 strings is harder to read)
_GAUSSIANS = ("peak_flux", "x", "y", "major", "minor", "pa")


class EngineError(RuntimeError):
    """PyBDSF could not give an answer; one line says why."""


class NoiseError(EngineError):
    """PyBDSF could not measure the noise."""


@dataclass
class Failure:
    """
    An island that has no sources because its fit hung or failed.

    Attributes
    ----------
    island : int
        Its number in `Result.islands`, 0 where it is not there (wavelets).

    x, y : int
        Its brightest pixel (0-based).

    box : tuple of int
        First and last-plus-one pixel along x, then along y.

    reason : str
        What happened.
    """

    island: int
    x: int
    y: int
    box: tuple
    reason: str


@dataclass
class Result:
    """
    What PyBDSF found.

    Attributes
    ----------
    sources : dict of 1-D `~numpy.ndarray`
        The columns of PyBDSF's source catalogue in PyBDSF's order, plus the
        place ``Xposn``, ``Yposn`` (0-based pixels) and ``N_gaus``. PyBDSF's
        units: Jy, Jy/beam, degrees; angles east of north, those of the
        ``img_plane`` columns from +y towards -x.

    gaussians : dict of 1-D `~numpy.ndarray`
        The fitted Gaussians: ``source`` (row in ``sources``), ``peak_flux``,
        ``x``, ``y``, ``major``, ``minor`` (FWHM) in pixels, ``pa`` in degrees
        from +y towards -x.

    islands : 2-D `~numpy.ndarray` of int32, shape (ny, nx)
        PyBDSF's island number plus 1 (``Isl_id + 1``), 0 = background; the
        islands without sources too.

    rms, mean : 2-D `~numpy.ndarray` of float32, shape (ny, nx)
        PyBDSF's noise and background; NaN where the image is blank.

    beam : tuple of float
        FWHM of the axes and position angle in degrees that were used.

    pixel_scale : float
        Degrees per pixel along y that were used.

    stand_in_sky : bool
        Whether the image has no sky that PyBDSF can use, so that positions
        mean nothing and sizes are only good in pixels.

    notes : list of str
        What was assumed, in sentences.

    failed : list of `Failure`
        Islands that were lost.

    log : str
        PyBDSF's log.
    """

    sources: dict
    gaussians: dict
    islands: np.ndarray
    rms: np.ndarray
    mean: np.ndarray
    beam: tuple
    pixel_scale: float
    stand_in_sky: bool
    notes: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    log: str = ""


def run(
    data: np.ndarray,
    header: fits.Header,
    options: dict[str, Any],
    *,
    background: np.ndarray | None = None,
    rms: np.ndarray | None = None,
    timeout: float | None = None,
    island_timeout: float | None = None,
    log: str | Path | None = None,
) -> Result:
    """
    Find and measure sources with PyBDSF.

    PyBDSF runs in a process group of its own, with its files in a temporary
    folder. Nothing of it outlives the call, however the call ends.

    Parameters
    ----------
    data : 2-D `~numpy.ndarray` of float, shape (ny, nx)
        Image in Jy/beam. NaN and infinite pixels are blank.

    header : `~astropy.io.fits.Header`
        Celestial coordinates of the two axes, the beam (``BMAJ``, ``BMIN``,
        ``BPA`` in degrees) and the frequency (a ``FREQ`` axis, ``RESTFREQ`` or
        ``FREQ`` in Hz), as far as they are known.

    options : dict
        PyBDSF's options; see `astroseg_bdsf.options.option_specs`.

    background, rms : 2-D `~numpy.ndarray` of float, shape (ny, nx), optional
        Maps to use instead of PyBDSF's own. Pixels without a positive rms
        are blank. With ``rms`` alone the background is 0; with ``background``
        alone it is subtracted and PyBDSF measures the rms.

    timeout : float, optional
        Seconds after which to give up.

    island_timeout : float, optional
        Seconds that the fit of one island may take; an island that takes
        longer is reported in `Result.failed`.

    log : path-like, optional
        Where to put a copy of PyBDSF's log. Where that fails, the notes of
        the result say so.

    Returns
    -------
    result : `Result`

    Raises
    ------
    EngineError
        If PyBDSF stops, or does not finish in time; `NoiseError` if it
        stops because it cannot measure the noise.

    ValueError
        If an option is unknown, refused or of the wrong type.
    """
    options = bdsf_options.check(options)
    data, background, rms = _maps(np.asarray(data), background, rms)
    image = prepare(data, header, options.pop("beam", None), options.pop("frequency", None))
    known = image.data[np.isfinite(image.data)]
    if known.size == 0 or known.min() == known.max():
        image.notes.append("The image is blank or constant: there is nothing to find.")
        return _result(image, {}, [], "")
    with tempfile.TemporaryDirectory(prefix="astroseg-bdsf-") as name:
        folder = Path(name)
        _write_job(folder, image, options, background, rms, island_timeout)
        try:
            arrays, failed = _work(folder, timeout)
        finally:
            text = _read_log(folder)
            if log is not None:
                _keep_log(log, text, image.notes)
    result = _result(image, arrays, failed, text)
    if image.mirrored:
        result = _mirrored(result)
    if background is not None and rms is None:
        result.mean += background
    return result


def _maps(data, background, rms):
    """Check the maps against the image, and blank what they leave out."""
    if data.ndim != 2:
        msg = f"PyBDSF needs an image of 2 axes, not {data.ndim}."
        raise EngineError(msg)
    for name, given in (("background", background), ("rms", rms)):
        if given is not None and np.shape(given) != data.shape:
            msg = f"The {name} has shape {np.shape(given)}, the image {data.shape}."
            raise EngineError(msg)
    if data.dtype.kind != "f":
        data = data.astype(float)
    if rms is not None:
        background = np.zeros(data.shape) if background is None else np.asarray(background)
        rms = np.asarray(rms)
        data = np.where(np.isfinite(background) & np.isfinite(rms) & (rms > 0), data, np.nan)
    elif background is not None:
        data = data - background
    return data, background, rms


def _write_job(folder, image, options, background, rms, island_timeout):
    """Write the files that the worker reads."""
    options = {**options, "beam": image.beam, "frequency": image.frequency, "quiet": True}
    if not image.known_frequency:
        options["thresh"] = options.get("thresh") or "hard"
    planes, typical = {"image": image.data}, None
    if rms is not None:
        side = slice(None, None, -1 if image.mirrored else 1)
        planes["mean"] = np.asarray(background, np.float32)[:, side]
        planes["rms"] = np.asarray(rms, np.float32)[:, side]
        known = np.isfinite(image.data)
        typical = [float(np.median(planes[name][known])) for name in ("mean", "rms")]
        options |= {
            "rmsmean_map_filename": ["mean.fits", "rms.fits"],
            "rms_map": True,
            "mean_map": "map",
            # PyBDSF drops the maps where its box looks too large for the image.
            "rms_box": (1, 1),
            "adaptive_rms_box": False,
        }
    for name, plane in planes.items():
        fits.writeto(folder / f"{name}.fits", plane, image.header)
    job = {
        "filename": f"{folder}/image.fits",
        "workers": options.pop("ncores", None) or _processors(),
        "island_timeout": island_timeout or math.inf,
        "typical": typical,
        "options": options,
    }
    (folder / "job.json").write_text(json.dumps(job))


def _processors():
    """Number of processors that this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(there, int(os.environ.get("OMP_NUM_THREADS") or there))


def _work(folder, timeout):
    """Run the worker in a fresh interpreter and read its answer."""
    # A fork of this process would carry its threads' locks and its memory.
    path = [str(Path(e).absolute()) if Path(e).is_dir() else e for e in sys.path]
    code = f"import sys; sys.path[:] = {path}; from {_WORKER} import main; main({str(folder)!r})"
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-P", "-W", "ignore", "-c", code],
            cwd=folder,
            stdin=subprocess.PIPE,  # closes when this process ends; see the worker
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        msg = f"PyBDSF did not finish within {timeout:g} s."
        raise EngineError(msg) from None
    finally:
        _end(process)
    return _read_answer(folder, process.returncode)


def _end(process):
    """End the worker and all that it started."""
    # Nothing may be left to kill, which macOS calls a lack of permission.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()


def _read_answer(folder, status):
    answer = folder / "answer.json"
    if not answer.exists():
        output = (folder / "output.txt").read_text(errors="replace").strip().splitlines()
        last = output[-1] if output else "no output"
        msg = f"PyBDSF ended without an answer (exit status {status}): {last}"
        raise EngineError(msg)
    answer = json.loads(answer.read_text())
    if "error" in answer:
        msg = f"PyBDSF stopped: {answer['error']}"
        raise (NoiseError if answer["noise"] else EngineError)(msg)
    with np.load(folder / "answer.npz") as file:
        arrays = dict(file)
    return arrays, [Failure(**{**loss, "box": tuple(loss["box"])}) for loss in answer["failed"]]


def _read_log(folder):
    """PyBDSF's log; what it printed follows where it gave no result."""
    names = [*folder.glob("*.pybdsf.log")]
    if not (folder / "answer.npz").exists():
        names.append(folder / "output.txt")
    return "\n".join(name.read_text(errors="replace") for name in names if name.exists())


def _keep_log(path, text, notes):
    """Write the log; what PyBDSF found, or why it stopped, matters more than a full disk."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        notes.append(f"The log could not be written: {error}.")


def _result(image, arrays, failed, log):
    """Put together a result, with every column even where nothing was found."""
    shape = image.data.shape
    sources = _columns(arrays, "source:")
    if not sources:
        sources = {name: np.zeros(0) for name in _FLOATS}
        sources |= {name: np.zeros(0, dtype=int) for name in _INTEGERS}
        sources["S_Code"] = np.zeros(0, dtype="U1")
    gaussians = _columns(arrays, "gaussian:") or {name: np.zeros(0) for name in _GAUSSIANS}
    gaussians["source"] = gaussians.get("source", np.zeros(0)).astype(int)
    lone = set(arrays.get("lone_islands", np.zeros(0, int)).tolist())
    flagged = sorted(lone - {failure.island for failure in failed})
    if flagged:
        image.notes.append(f"PyBDSF accepted no Gaussian in {len(flagged)} islands.")
    return Result(
        sources=sources,
        gaussians=gaussians,
        islands=arrays.get("islands", np.zeros(shape, np.int32)),
        rms=arrays.get("rms", np.full(shape, np.nan, np.float32)),
        mean=arrays.get("mean", np.full(shape, np.nan, np.float32)),
        beam=image.beam,
        pixel_scale=abs(image.header["CDELT2"]),
        stand_in_sky=image.stand_in_sky,
        notes=image.notes,
        failed=failed,
        log=log,
    )


def _columns(arrays, prefix):
    return {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}


def _mirrored(result):
    """Undo the mirroring of the image in everything counted in pixels."""
    last = result.islands.shape[1] - 1
    for table, place in ((result.sources, "Xposn"), (result.gaussians, "x")):
        table[place] = last - table[place]
    for table, name in (
        (result.sources, "PA_img_plane"),
        (result.sources, "DC_PA_img_plane"),
        (result.gaussians, "pa"),
    ):
        table[name] = -table[name] % 180.0
    for name in ("islands", "rms", "mean"):
        setattr(result, name, np.ascontiguousarray(getattr(result, name)[:, ::-1]))
    for failure in result.failed:
        start, stop, *rest = failure.box
        failure.x, failure.box = last - failure.x, (last + 1 - stop, last + 1 - start, *rest)
    return result
