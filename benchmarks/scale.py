"""Mosaics of growing size: memory, time, identity of the results, and what an interruption costs.

Mosaics are simulated once into the folder. Each run is the command itself, in a process of its own, looked at 20 times
a second: peak of the anonymous resident memory of the main process and of each worker.

Usage: python benchmarks/scale.py FOLDER [--sizes 4096 8192] [--finders sigma unet] [--only memory identity kills
       speedup sep overlap] [--kills 20]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

ASTROSEG = (sys.executable, "-m", "astroseg")
INTERVAL = 0.05


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


def digest(output: Path, path: Path, finder: str) -> str:
    """Of the catalogue but its date, of the labels and of the regions."""
    sha = hashlib.sha256()
    stem = output / f"{path.stem}.{finder.partition(':')[0]}"
    lines = Path(f"{stem}.ecsv").read_text().splitlines()
    sha.update("\n".join(line for line in lines if "{date:" not in line).encode())
    for ending in (".labels.fits", ".reg"):
        sha.update(Path(f"{stem}{ending}").read_bytes())
    return sha.hexdigest()[:16]


def memory_table(folder: Path, options: argparse.Namespace) -> None:
    print(f"{'finder':8} {'size':>6} {'s':>8} {'s/Mpix':>8} {'main GiB':>9} {'worker GiB':>10}")
    for finder in options.finders:
        for size in options.sizes:
            path = mosaic(folder, size)
            for words in ((), ("--workers", "2")):
                seconds, main, worker = run(path, finder, folder / "out", *words)
                speed = seconds / size**2 * 1e6
                label = f"{finder} x{words[1]}" if words else finder
                print(f"{label:8} {size:6} {seconds:8.1f} {speed:8.3f} {main:9.2f} {worker:10.2f}", flush=True)


def identity_table(folder: Path, options: argparse.Namespace) -> None:
    path, finder = mosaic(folder, options.sizes[0]), options.finders[0]
    ways = [("--tile", str(tile), *more) for tile in (512, 1024, 4096) for more in ((), ("--workers", "2"))]
    ways += [("--dask", options.dask)] if options.dask else []
    found = {}
    for words in ways:
        run(path, finder, folder / "out", *words)
        found[words] = digest(folder / "out", path, finder)
        print(f"{' '.join(words):28} {found[words]}", flush=True)
    print("identical" if len(set(found.values())) == 1 else "DIFFERENT")


def kill_table(folder: Path, options: argparse.Namespace) -> None:
    """Kill the main process or a worker at random times, and give the same command again."""
    path, finder, output = mosaic(folder, options.sizes[0]), options.finders[0], folder / "out"
    words = ("--workers", "2", "--tile", "128", "--overwrite")
    seconds, *_ = run(path, finder, output, *words)
    expected = digest(output, path, finder)
    shutil.rmtree(output)
    rng, ended, resumed = random.Random(1), 0, 0  # noqa: S311 - no secret
    for number in range(options.kills + 1):
        process = start(path, finder, output, *words)
        until = time.monotonic() + rng.uniform(0.3, 1.0) * seconds
        while process.poll() is None and (number == options.kills or time.monotonic() < until):
            time.sleep(INTERVAL)
        if process.poll() is None:  # a worker, or what started it
            os.kill(rng.choice(children(process.pid) or [process.pid]) if number % 2 else process.pid, signal.SIGKILL)
        if process.wait() == 0:
            ended += check(output, path, finder, expected)
        else:
            resumed += len(list(output.glob("*.run/*.tile.*.npz")))
    print(
        f"{options.kills} kills: {ended} runs came to their end, all identical; {resumed} tiles were not searched again"
    )


def check(output: Path, path: Path, finder: str, expected: str) -> int:
    """Compare the results of a run that came to its end, and make room for the next."""
    if digest(output, path, finder) != expected:
        sys.exit("DIFFERENT")
    shutil.rmtree(output, ignore_errors=True)  # workers whose master was killed may be at their last tile
    return 1


def speedup_table(folder: Path, options: argparse.Namespace) -> None:
    path = mosaic(folder, options.sizes[-1])
    for finder in ("sigma", "bdsf"):
        one, *_ = run(path, finder, folder / "out", "--workers", "1")
        two, *_ = run(path, finder, folder / "out", "--workers", "2")
        print(f"{finder:8} {path.name}: {one:.1f} s with one worker, {two:.1f} s with two: {one / two:.2f}", flush=True)


def sep_table(folder: Path, options: argparse.Namespace) -> None:
    import sep

    sep.set_extract_pixstack(10_000_000)
    path = mosaic(folder, options.sizes[-1])
    seconds, *_ = run(path, "sigma", folder / "out")
    begin = time.perf_counter()
    data = fits.getdata(path).astype("f4")
    background = sep.Background(data)
    found = sep.extract(data - background.back(), 3.0, err=background.globalrms, minarea=3)
    other = time.perf_counter() - begin
    print(f"{path.name}: sigma {seconds:.1f} s, sep {other:.1f} s ({len(found):,} sources): {other / seconds:.2f}x")


def overlap_table(folder: Path, options: argparse.Namespace) -> None:
    """What differs between an image searched by regions and as a whole, for finders that overlap them."""
    from astroseg import find, get_finder, read_image

    path = mosaic(folder, options.sizes[0])
    for name in options.finders:
        finder = get_finder(name)
        if not finder.region:
            continue
        image = read_image(path)
        whole, parts = finder.find(image).catalog, find(image, finder).catalog
        pairs = {(round(row["x_centroid"].value, 1), round(row["y_centroid"].value, 1)) for row in whole}
        shared = sum((round(row["x_centroid"].value, 1), round(row["y_centroid"].value, 1)) in pairs for row in parts)
        fluxes = [np.sum(table["flux"]).value for table in (whole, parts)]
        print(f"{name}: {len(whole)} as a whole, {len(parts)} by regions, {shared} at the same place within 0.1 px; "
              f"total flux differs by {fluxes[1] / fluxes[0] - 1:.2e}")  # fmt: skip


TABLES = {
    "memory": memory_table,
    "identity": identity_table,
    "kills": kill_table,
    "speedup": speedup_table,
    "sep": sep_table,
    "overlap": overlap_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 8192])
    parser.add_argument("--finders", nargs="+", default=["sigma", "unet"])
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--dask", help="address of a scheduler, for the table of identity")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        print(f"\n{name}")
        TABLES[name](options.folder, options)


if __name__ == "__main__":
    main()
