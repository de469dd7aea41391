"""Speed of the U-Net: the network alone on each engine, then `find` from file to catalogue against tuned PyBDSF.

The network alone sees patches as `astroseg_networks.scan` cuts them, with a halo that is not kept.
`find` runs on SDC1's west image, where ASTROSEG_REAL_DATA says where it is, and on a simulated sky of preset sdc1.
In this process after the imports, the best of three; PyBDSF once, with two cores, in a process of its own, the start
and the imports of which are taken off. Memory is the peak above that before.

Usage: ASTROSEG_REAL_DATA=FOLDER python benchmarks/network_speed.py [--quick] [--weights NAME|FILE.onnx] [--size 4096]

--quick leaves out PyBDSF and the simulated sky.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import torch
from astroseg_networks.normalisation import CANONICAL_BEAM, network_input
from astroseg_networks.runtime import Runtime, load_network
from astroseg_networks.scan import HALO, OWN
from astroseg_networks.unet import UNet
from astroseg_networks.weights import find_weights, master_of, read_weights

import astroseg
from astroseg.memory import PeakMemory
from astroseg.simulate.radio import simulate_radio

REPEATS = 3
SIDE = OWN + 2 * HALO
MEGAPIXEL = 1e6

Network = Callable[[np.ndarray], object]


def onnx_network(path: Path, threads: int) -> Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as in astroseg_networks.runtime
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"image": batch})


def torch_network(path: Path, threads: int, *, reduced: bool, compiled: bool = False) -> Network:
    torch.set_num_threads(threads)
    network = load_network(read_weights(path), lambda arguments: UNet(**arguments))
    network = network.to(memory_format=torch.channels_last)
    if compiled:
        network = torch.compile(network)

    @torch.inference_mode()
    def run(batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            return network(torch.from_numpy(batch).to(memory_format=torch.channels_last))

    return run


def engines(path: Path) -> dict[str, Callable[[int], Network]]:
    """Name of each engine -> what makes the network ready, for a number of threads."""
    master, int8 = master_of(path), path.with_suffix(".int8.onnx")
    return {
        "ONNX fp32": lambda threads: onnx_network(path, threads),
        "ONNX int8": lambda threads: onnx_network(int8, threads),
        "torch eager fp32": lambda threads: torch_network(master, threads, reduced=False),
        "torch eager bf16": lambda threads: torch_network(master, threads, reduced=True),
        "torch compiled bf16": lambda threads: torch_network(master, threads, reduced=True, compiled=True),
    }


def best(network: Network, batch: np.ndarray) -> float:
    """Seconds of the fastest call, after a first one, which compiles and takes its memory."""
    network(batch)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        network(batch)
        times.append(time.perf_counter() - start)
    return min(times)


def network_alone(path: Path) -> None:
    noise = np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32)
    batch = network_input(noise, CANONICAL_BEAM)[np.newaxis]
    print(f"network alone, patches of {SIDE} x {SIDE} pixels, {OWN} x {OWN} of them kept")
    print(f"  {'engine':20} threads  Mpix/s  Mpix/s kept")
    for name, make in engines(path).items():
        for threads in (1, 2):
            try:
                seconds = best(make(threads), batch)
            except Exception as error:  # noqa: BLE001 -- torch.compile fails in many ways; the others go on
                print(f"  {name:20} {threads:7}  {type(error).__name__}: {str(error).splitlines()[0][:60]}", flush=True)
                continue
            whole, kept = (side**2 / MEGAPIXEL / seconds for side in (SIDE, OWN))
            print(f"  {name:20} {threads:7} {whole:7.2f} {kept:12.2f}", flush=True)


@contextmanager
def inside_network() -> Iterator[list[float]]:
    """Seconds that each call of the network takes."""
    seconds: list[float] = []
    call = Runtime.__call__

    def timed(runtime, batch):
        start = time.perf_counter()
        answer = call(runtime, batch)
        seconds.append(time.perf_counter() - start)
        return answer

    with mock.patch.object(Runtime, "__call__", timed):
        yield seconds


def run(path: Path, name: str, repeats: int, **options) -> tuple[float, float, float, int]:
    """Seconds in all and outside the network of the fastest run, most megabytes, and number of sources."""
    times, peak, found = [], 0.0, []
    for _ in range(repeats):
        with PeakMemory() as memory, inside_network() as inside:
            start = time.perf_counter()
            found = astroseg.find(path, name, **options)
            whole = time.perf_counter() - start
        times.append((whole, whole - sum(inside)))
        peak = max(peak, memory.megabytes)
    return *min(times), peak, len(found)


def start_of_bdsf() -> float:
    """Seconds that a process takes to start and to import PyBDSF."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-W", "ignore", "-c", "import astroseg_bdsf.worker, bdsf"], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def whole_find(path: Path, weights: Path, *, with_bdsf: bool) -> None:
    height, width = astroseg.read_image(path).shape
    size = height * width / MEGAPIXEL
    jobs = {
        "unet": ("unet", REPEATS, 0.0, {"weights": str(weights), "device": "cpu"}),
        "unet, int8": ("unet", REPEATS, 0.0, {"weights": str(weights.with_suffix(".int8.onnx")), "device": "cpu"}),
    }
    if with_bdsf:
        jobs["PyBDSF tuned, 2 cores"] = ("bdsf", 1, start_of_bdsf(), {"preset": "tuned", "ncores": 2})
    print(f"\n{path.name}, {height} x {width}: from file to catalogue")
    print(f"  {'finder':22}       s  sources  Mpix/s  outside the network, s a Mpix  peak MB  times unet")
    first = None
    for label, (name, repeats, start, options) in jobs.items():
        whole, outside, peak, number = run(path, name, repeats, **options)
        whole -= start
        first = first or whole
        share = f"{outside / size:.2f}" if name == "unet" else ""
        print(
            f"  {label:22} {whole:7.2f} {number:8,} {size / whole:7.2f} {share:>30} {peak:8.0f} {whole / first:11.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without PyBDSF and without the simulated sky")
    parser.add_argument("--weights", default="unet", help="name, or .onnx with the two other files beside it")
    parser.add_argument("--size", type=int, default=4096, help="side of the simulated sky in pixels")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    weights = find_weights(options.weights)
    network_alone(weights)
    if "ASTROSEG_REAL_DATA" in os.environ:
        west = Path(os.environ["ASTROSEG_REAL_DATA"]) / "radio" / "sdc1" / "sdc1_b1_1000h_west.fits"
        whole_find(west, weights, with_bdsf=not options.quick)
    if not options.quick:
        with tempfile.TemporaryDirectory() as folder:
            sky = simulate_radio(preset="sdc1", size=options.size, seed=1_000_003)
            path = sky.write(Path(folder) / "sdc1-like")[0]
            del sky
            whole_find(path, weights, with_bdsf=True)


if __name__ == "__main__":
    main()
