"""Mosaics of growing size: memory, time, where the time goes, sameness of the results, what an interruption costs.

Each row is printed as soon as it is known and appended to FOLDER/TABLE.csv; rows that are there already are not
measured again, so that the same command goes on where it was. Mosaics are simulated once into the folder (a side of
32768 pixels takes 4.3 GB, and a search of it as much again). Runs are the command itself, in a process of its own,
looked at 20 times a second: peak of the anonymous resident memory of the main process and of its largest worker.

Usage: python benchmarks/scale.py FOLDER TABLE [--sizes 4096 8192 ...] [--finders sigma unet ...] [--workers 0 1 2]
       [--kills 20]

Tables:
  memory    peak memory and time by size, finder and number of workers (0: no worker processes)
  shares    where the time goes, in one process: read, standardise, predict, label, measure, write
  identity  digests of the results by tile size, and with processes, threads, and a Dask LocalCluster
  kills     results after random kill -9 of workers and of the main process
  speedup   two workers against one, on the largest of the sizes
  sep       sigma on the largest of the sizes, and sep on the largest image up to 16384 that fits in memory
  seams     sources on seams and corners: how many are lost, how many double
  overlap   rows that differ between a search by tiles or regions and one of the whole image: on a simulated sky, on the
            sources of the table of seams, and on 100 objects that are longer than a tile or an overlap
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from scipy.spatial import KDTree

ASTROSEG = (sys.executable, "-m", "astroseg")
INTERVAL = 0.05
SEAM_TILE = 256  # pixels, for finders that take --tile
SEAM_STEP = 11  # pixels between the sources on a seam
N_LONG = 100


class Table:
    """Rows on the screen and in a file."""

    def __init__(self, folder: Path, name: str, keys: str, values: str) -> None:
        self.path = folder / f"{name}.csv"
        self.names = [*keys.split(), *values.split()]
        self.n_keys = len(keys.split())
        if not self.path.exists():
            self._append(self.names)
        with self.path.open(newline="") as stream:
            self.known = {tuple(row[: self.n_keys]): row for row in csv.reader(stream)}
        print("  ".join(f"{item:>10}" for item in self.names))

    def row(self, *keys: Any, measure: Callable[[], tuple]) -> list[str]:
        """A row, measured unless it is known."""
        key = tuple(map(str, keys))
        if key not in self.known:
            values = [f"{item:.4g}" if isinstance(item, float) else str(item) for item in measure()]
            self.known[key] = [*key, *values]
            self._append(self.known[key])
        print("  ".join(f"{item:>10}" for item in self.known[key]), flush=True)
        return self.known[key]

    def _append(self, row) -> None:
        with self.path.open("a", newline="") as stream:
            csv.writer(stream).writerow(row)


def mosaic(folder: Path, size: int) -> Path:
    """A simulated mosaic, made when it isn't there yet."""
    path = folder / f"mosaic-{size}.fits"
    if not path.exists():
        stem = folder / path.stem
        subprocess.run([*ASTROSEG, "simulate", "mosaic", "--size", str(size), "--output", str(stem)], check=True)
    return path


def start(path: Path, finder: str, output: Path, *words: str) -> subprocess.Popen:
    command = [*ASTROSEG, "find", str(path), "--backend", finder, "--output", str(output), "--quiet", *words]
    return subprocess.Popen(command, start_new_session=True)


def run(path: Path, finder: str, output: Path, *words: str) -> tuple[float, float, float]:
    """Seconds, and peaks of anonymous memory (GiB) of the main process and of the largest worker."""
    shutil.rmtree(output, ignore_errors=True)
    begin = time.perf_counter()
    process = start(path, finder, output, *words)
    main = worker = 0.0
    while process.poll() is None:
        main = max(main, anonymous(process.pid))
        worker = max([worker, *map(anonymous, children(process.pid))])
        time.sleep(INTERVAL)
    seconds = time.perf_counter() - begin
    if process.returncode:
        sys.exit(f"{finder} on {path.name} ended with status {process.returncode}")
    return seconds, main, worker


def anonymous(pid: int) -> float:
    """GiB of memory that belongs to no file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("RssAnon")), 0.0)


def children(pid: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(word) for word in task.read_text().split()]
        except OSError:
            continue
        found += [each for child in direct for each in (child, *children(child))]
    return found


def base(output: Path, path: Path, finder: str) -> str:
    return str(output / f"{path.stem}.{finder.partition(':')[0]}")


def n_rows(output: Path, path: Path, finder: str) -> int:
    with Path(base(output, path, finder) + ".ecsv").open() as stream:
        return sum(not line.startswith("#") for line in stream) - 1


def digest(output: Path, path: Path, finder: str) -> str:
    """Of the catalogue but its date, of the labels and of the regions."""
    sha = hashlib.sha256()
    stem = base(output, path, finder)
    lines = Path(f"{stem}.ecsv").read_text().splitlines()
    sha.update("\n".join(line for line in lines if "{date:" not in line).encode())
    for ending in (".labels.fits", ".reg"):
        sha.update(Path(f"{stem}{ending}").read_bytes())
    return sha.hexdigest()[:16]


def memory_table(folder: Path, options: argparse.Namespace) -> None:
    table = Table(folder, "memory", "finder size workers", "s s/Mpix Mpix/s main_GiB worker_GiB sources")
    for finder in options.finders:
        for size in options.sizes:
            for number in options.workers:
                table.row(finder, size, number, measure=partial(memory, folder, finder, size, number))


def memory(folder: Path, finder: str, size: int, number: int) -> tuple:
    path = mosaic(folder, size)
    words = ("--workers", str(number)) if number else ()
    seconds, main, worker = run(path, finder, folder / "out", *words)
    found = n_rows(folder / "out", path, finder)
    return seconds, seconds / size**2 * 1e6, size**2 / 1e6 / seconds, main, worker, found


class Clock:
    """Seconds in some functions, each without those inside of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inside.pop()
            if self._inside:
                self._inside[-1] += spent

    def watch(self, holder: Any, attribute: str, name: str) -> None:
        function = getattr(holder, attribute)

        def timed(*arguments, **named):
            with self.part(name):
                return function(*arguments, **named)

        setattr(holder, attribute, timed)


PARTS = ("read", "standardise", "predict", "label", "measure", "write", "rest")


def shares_table(folder: Path, options: argparse.Namespace) -> None:
    table = Table(folder, "shares", "finder size", f"s {' '.join(PARTS)}")
    for finder in options.finders:
        for size in options.sizes:
            table.row(finder, size, measure=partial(shares_apart, folder, finder, size))


def shares_apart(folder: Path, finder: str, size: int) -> tuple[float, ...]:
    mosaic(folder, size)
    command = [sys.executable, __file__, str(folder), "_shares", "--sizes", str(size), "--finders", finder]
    return tuple(map(float, subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()))


def shares(folder: Path, options: argparse.Namespace) -> None:
    """Time the parts of a search in this process; prints seconds, and the share of each part."""
    import astroseg.overlap
    import astroseg.pieces
    import astroseg.scale
    import astroseg.streaming
    from astroseg import finder as finders
    from astroseg import get_finder
    from astroseg.file_pixels import FilePixels
    from astroseg.run_folder import RunFolder

    (name,), (size,) = options.finders, options.sizes
    finder, clock = get_finder(name), Clock()
    get = FilePixels.__getitem__
    FilePixels.__getitem__ = lambda pixels, region: np.array(get(pixels, region))  # a map would be read later, unseen
    watched = [
        (FilePixels, "__getitem__", "read"),
        (astroseg.scale, "checksum", "read"),
        (astroseg.scale, "standardize", "standardise"),
        (finders, "significance", "standardise"),
        (type(finder), "predict", "predict"),
        (type(finder), "checked_labels", "label"),
        (astroseg.pieces, "_open", "label"),
        (astroseg.streaming, "join_islands", "label"),
        (astroseg.pieces, "sum_labels", "measure"),
        (astroseg.pieces, "_islands", "measure"),
        (finders, "columns", "measure"),
        (RunFolder, "put", "write"),
        (RunFolder, "get", "write"),
        (astroseg.streaming, "_numbered", "write"),
    ]
    if name == "unet":
        import astroseg_networks.unet_finder as unet

        watched += [(unet, "significance", "standardise"), (unet, "scan", "predict")]
        watched += [(unet, each, "label") for each in ("find_centres", "add_certain", "_labels")]
        watched += [
            (unet, each, "measure") for each in ("measure", "list_parts", "source_parameters", "put_parameters")
        ]
    if name == "bdsf":
        import astroseg_bdsf.finder as bdsf

        watched += [(bdsf, "run", "predict"), (bdsf, "divide", "label"), (bdsf, "make_catalog", "measure")]
    for holder, attribute, part in watched:
        if hasattr(holder, attribute):
            clock.watch(holder, attribute, part)
    begin = time.perf_counter()
    with warnings.catch_warnings(), astroseg.scale.MosaicRun(mosaic(folder, size), finder, folder / "run") as search:
        warnings.simplefilter("ignore")
        detections = search.find()
        with clock.part("write"):
            detections.write(folder / "out", overwrite=True)
    total = time.perf_counter() - begin
    known = [clock.seconds.get(part, 0.0) / total for part in PARTS[:-1]]
    print(total, *known, 1 - sum(known))


def identity_table(folder: Path, options: argparse.Namespace) -> None:
    table = Table(folder, "identity", "finder size way", "digest")
    size = options.sizes[0]
    for finder in options.finders:
        path, ways = mosaic(folder, size), {}
        for tile in (512, 1024, 4096):
            for number in "12":
                words = ("--tile", str(tile), "--workers", number)
                ways[" ".join(words)] = partial(command, folder, path, finder, words)
            ways[f"threads {tile}"] = partial(threads, folder, path, finder, tile)
        ways["dask 1024"] = partial(dask, folder, path, finder)
        found = {table.row(finder, size, way, measure=measure)[-1] for way, measure in ways.items()}
        print(f"{finder}: {'identical' if len(found) == 1 else 'DIFFERENT'}")


def command(folder: Path, path: Path, finder: str, words: tuple[str, ...]) -> tuple[str]:
    run(path, finder, folder / "out", *words)
    return (digest(folder / "out", path, finder),)


def threads(folder: Path, path: Path, finder: str, tile: int) -> tuple[str]:
    with ThreadPoolExecutor(2) as pool:
        return in_python(folder, path, finder, pool, tile)


def dask(folder: Path, path: Path, finder: str) -> tuple[str]:
    """On two processes of a LocalCluster."""
    from distributed import Client, LocalCluster

    from astroseg.workers import DaskPool

    where = str(folder / "dask")
    local = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=where)
    with local, Client(local) as client, DaskPool(client) as pool:
        return in_python(folder, path, finder, pool, 1024)


def in_python(folder: Path, path: Path, finder: str, pool: Any, tile: int) -> tuple[str]:
    from astroseg import get_finder
    from astroseg.scale import MosaicRun

    with warnings.catch_warnings(), MosaicRun(path, get_finder(finder), folder / "run", fresh=True) as search:
        warnings.simplefilter("ignore")
        search.find(tile_size=tile, executor=pool).write(folder / "out", overwrite=True)
    return (digest(folder / "out", path, finder),)


def kill_table(folder: Path, options: argparse.Namespace) -> None:
    """Kill the main process or a worker at random times, and give the same command again."""
    table = Table(folder, "kills", "finder size kills", "ended resumed_tiles result")
    size = options.sizes[0]
    for finder in options.finders:
        table.row(finder, size, options.kills, measure=partial(kills, folder, finder, size, options.kills))


def kills(folder: Path, finder: str, size: int, count: int) -> tuple[int, int, str]:
    path = mosaic(folder, size)
    output, words = folder / "out", ("--workers", "2", "--tile", "128", "--overwrite")
    seconds, *_ = run(path, finder, output, *words)
    expected = digest(output, path, finder)
    shutil.rmtree(output)
    rng, ended, resumed = random.Random(1), 0, 0  # noqa: S311 - no secret
    for number in range(count + 1):
        process = start(path, finder, output, *words)
        until = time.monotonic() + rng.uniform(0.3, 1.0) * seconds
        while process.poll() is None and (number == count or time.monotonic() < until):
            time.sleep(INTERVAL)
        if process.poll() is None:  # a worker, or what started it
            os.kill(rng.choice(children(process.pid) or [process.pid]) if number % 2 else process.pid, signal.SIGKILL)
        if process.wait() == 0:
            ended += 1
            if digest(output, path, finder) != expected:
                return ended, resumed, "DIFFERENT"
            shutil.rmtree(output, ignore_errors=True)  # workers whose master was killed may be at their last tile
        else:
            resumed += len(list(output.glob("*.run/*.tile.*.npz")))
    return ended, resumed, "identical"


def speedup_table(folder: Path, options: argparse.Namespace) -> None:
    table = Table(folder, "speedup", "finder size", "s_one s_two ratio")
    size = options.sizes[-1]
    for finder in options.finders:
        table.row(finder, size, measure=partial(speedup, folder, finder, size))


def speedup(folder: Path, finder: str, size: int) -> tuple[float, float, float]:
    one, two = (run(mosaic(folder, size), finder, folder / "out", "--workers", number)[0] for number in "12")
    return one, two, one / two


def sep_table(folder: Path, options: argparse.Namespace) -> None:
    table = Table(folder, "sep", "what size", "s s/Mpix sources")
    large = options.sizes[-1]
    rates = [
        float(table.row(what, size, measure=partial(measure, folder, size))[3])
        for what, size, measure in (("sigma", large, sigma_seconds), ("sep", min(large, 16384), sep_seconds))
    ]
    print(f"sigma has {rates[1] / rates[0]:.2f} times the speed of sep")


def sigma_seconds(folder: Path, size: int) -> tuple[float, float, int]:
    path, output = mosaic(folder, size), folder / "out"
    seconds, *_ = run(path, "sigma", output)
    return seconds, seconds / size**2 * 1e6, n_rows(output, path, "sigma")


def sep_seconds(folder: Path, size: int) -> tuple[float, float, int]:
    import sep

    path = mosaic(folder, size)
    sep.set_extract_pixstack(100_000_000)
    begin = time.perf_counter()
    data = fits.getdata(path).astype("f4")
    background = sep.Background(data)
    found = sep.extract(data - background.back(), 3.0, err=background.globalrms, minarea=3)
    seconds = time.perf_counter() - begin
    return seconds, seconds / size**2 * 1e6, len(found)


def seam_places(size: int, tile: int) -> np.ndarray:
    """Rows and columns of sources on all seams and corners, and beside them where there is room."""
    along = np.arange(SEAM_STEP, size - SEAM_STEP, SEAM_STEP)
    seams = np.arange(tile, size - SEAM_STEP, tile)
    lines = seams if seams.size > 5 else np.concatenate([seam + 16 * np.arange(-17, 18) for seam in seams])
    lines = np.unique(lines[(lines > SEAM_STEP) & (lines < size - SEAM_STEP)])
    first = np.stack(np.meshgrid(lines, along, indexing="ij"), axis=-1).reshape(-1, 2)
    places = np.concatenate(
        [np.stack(np.meshgrid(seams, seams, indexing="ij"), axis=-1).reshape(-1, 2), first, first[:, ::-1]]
    )
    kept, taken = [], np.zeros((size, size), dtype=bool)
    reach = SEAM_STEP - 1
    for y, x in places:
        if not taken[y, x]:
            kept.append((y, x))
            taken[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1] = True
        if len(kept) == 10_000:
            break
    return np.array(kept)


def radio_noise(path: Path, size: int, draw: Callable[[np.ndarray, float], None]) -> None:
    """Write a sky of noise, to which something is added."""
    from astroseg.simulate.mosaic import RadioMosaic

    empty = RadioMosaic(size=size, density=0, seed=1)
    rms = empty.settings.rms
    empty.write(path.with_suffix(""))
    with fits.open(path) as hdul:
        data, header = np.array(hdul[0].data, dtype=np.float32), hdul[0].header
    draw(data, rms)
    fits.writeto(path, data, header, overwrite=True)


def seams_table(folder: Path, options: argparse.Namespace) -> None:
    from astroseg import get_finder

    table = Table(folder, "seams", "finder size tile", "sources rows lost double spurious")
    for name in options.finders:
        region, size = get_finder(name).region, options.sizes[0]
        words = () if region else ("--tile", str(SEAM_TILE))
        tile = region or SEAM_TILE
        table.row(name, size, tile, measure=partial(seams, folder, name, size, tile, words))


def seams(folder: Path, name: str, size: int, tile: int, words: tuple[str, ...]) -> tuple:
    from astroseg import read_catalog

    path, places = sky_of(folder, "seams", size, tile), seam_places(size, tile)
    run(path, name, folder / "out", *words)
    found = read_catalog(base(folder / "out", path, name) + ".ecsv")
    rows = np.stack([found["y_centroid"].value, found["x_centroid"].value], axis=1)
    near = np.array([len(each) for each in KDTree(rows).query_ball_point(places, 3)])
    far = int(np.count_nonzero(KDTree(places).query(rows)[0] > 3))
    return len(places), len(rows), int((near == 0).sum()), int((near > 1).sum()), far


def stamp(places: np.ndarray, data: np.ndarray, peak: float) -> None:
    """Add sources as wide as the beam, 2.5 pixels."""
    rows, columns = np.mgrid[-5:6, -5:6]
    shape = (peak * np.exp(-4 * np.log(2) * (rows**2 + columns**2) / 2.5**2)).astype(np.float32)
    for y, x in places:
        data[y - 5 : y + 6, x - 5 : x + 6] += shape


def bars(data: np.ndarray, peak: float) -> None:
    """Add long objects in all directions: one in five is longer than a quarter of the image."""
    rng, size = np.random.default_rng(3), len(data)
    for number in range(N_LONG):
        length = size * (0.35 if number % 5 == 0 else 0.15)
        angle = rng.uniform(0, np.pi)
        y, x = rng.uniform(length / 2 + 8, size - length / 2 - 8, 2)
        steps = np.linspace(-0.5, 0.5, int(2 * length)) * length
        rows, columns = (
            np.rint(start + steps * part).astype(int) for start, part in ((y, np.sin(angle)), (x, np.cos(angle)))
        )
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                data[rows + dy, columns + dx] = np.maximum(data[rows + dy, columns + dx], peak)


def overlap_table(folder: Path, options: argparse.Namespace) -> None:
    table = Table(
        folder, "overlap", "finder size sky",
        "whole parts shared only_whole only_parts snr_only flux_0.1% flux_1% labels_px cut total_flux",
    )  # fmt: skip
    size = options.sizes[0]
    for name in options.finders:
        for sky in ("mosaic", "seams", "long"):
            table.row(name, size, sky, measure=partial(differences, folder, name, sky, size))


def sky_of(folder: Path, sky: str, size: int, tile: int) -> Path:
    """A simulated mosaic, one with sources on the seams of its tiles, or one with long objects."""
    if sky == "mosaic":
        return mosaic(folder, size)
    path = folder / (f"seams-{size}-{tile}.fits" if sky == "seams" else f"long-{size}.fits")
    if not path.exists():
        peak = 50 if sky == "seams" else 30
        draw = partial(stamp, seam_places(size, tile)) if sky == "seams" else bars
        radio_noise(path, size, lambda data, rms: draw(data=data, peak=peak * rms))
    return path


def differences(folder: Path, name: str, sky: str, size: int) -> tuple:
    """Rows as a whole and in parts, those at the same place within half a pixel, and how their fluxes differ."""
    from astroseg import find, get_finder, read_image
    from astroseg.catalog import CUT

    finder = get_finder(name)
    path = sky_of(folder, sky, size, finder.region or SEAM_TILE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = read_image(path)
        if finder.region:
            whole, parts = finder.find(image), find(image, finder)
        else:
            whole, parts = finder.find(image, tile_size=10**6), finder.find(image, tile_size=SEAM_TILE)
    xy = [
        np.stack([each.catalog[key].value for key in ("x_centroid", "y_centroid")], axis=1) for each in (whole, parts)
    ]
    distance, at = KDTree(xy[1]).query(xy[0], distance_upper_bound=0.5)
    same = np.isfinite(distance)
    alone = np.setdiff1d(np.arange(len(parts)), at[same])
    snr = np.concatenate([whole.catalog["snr"][~same], parts.catalog["snr"][alone]])
    flux = [each.catalog["flux"].value for each in (whole, parts)]
    change = np.abs(flux[1][at[same]] / flux[0][same] - 1)
    return (
        len(whole), len(parts), int(same.sum()), int((~same).sum()), alone.size,
        float(np.max(snr, initial=0)), int((change > 1e-3).sum()), int((change > 1e-2).sum()),
        int(np.count_nonzero((whole.labels > 0) != (parts.labels > 0))),
        int(np.count_nonzero(parts.catalog["flags"] & CUT)), f"{np.nansum(flux[1]) / np.nansum(flux[0]) - 1:.2e}",
    )  # fmt: skip


TABLES = {
    "memory": memory_table,
    "shares": shares_table,
    "identity": identity_table,
    "kills": kill_table,
    "speedup": speedup_table,
    "sep": sep_table,
    "seams": seams_table,
    "overlap": overlap_table,
    "_shares": shares,  # in a process of its own
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096])
    parser.add_argument("--finders", nargs="+", default=["sigma"])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    TABLES[options.table](options.folder, options)


if __name__ == "__main__":
    main()
