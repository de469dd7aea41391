"""What can go wrong with PyBDSF stays with PyBDSF."""

import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astroseg_bdsf import engine
from astroseg_bdsf.labels import divide

# As in conftest.py.
NX = 140
PIXEL = 1 / 4096

# Lets islands sleep, raise or die in the worker; the rest is PyBDSF's.
FAULTY = """
import os, time
from pathlib import Path
from bdsf import gausfit, gaul2srl
fit = gausfit.Op_gausfit.fit_island
group = gaul2srl.Op_gaul2srl.process_CM

def faulty(self, island, *args, **kwargs):
    fault = FAULTS.get(island.island_id)
    if fault == "hang":
        Path("STARTED").touch()
        time.sleep(600)
    if fault == "raise":
        raise IndexError("index 5 is out of bounds")
    if fault == "die":
        os._exit(9)
    return fit(self, island, *args, **kwargs)

def grouping(self, img, gaussians, island, last):
    if FAULTS.get(island.island_id) == "group":
        raise ZeroDivisionError("empty mask")
    return group(self, img, gaussians, island, last)

gausfit.Op_gausfit.fit_island = faulty
gaul2srl.Op_gaul2srl.process_CM = grouping
from astroseg_bdsf.worker import main
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in, and an empty one for temporary files."""
    here, scratch = tmp_path / "here", tmp_path / "scratch"
    here.mkdir()
    scratch.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    return here, scratch


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """Set what goes wrong with which island."""

    def set_faults(**by_name):
        table = {int(name.removeprefix("island")): fault for name, fault in by_name.items()}
        text = f"FAULTS = {table}" + FAULTY.replace("STARTED", str(tmp_path / "started"))
        (tmp_path / "faulty_worker.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(engine, "_WORKER", "faulty_worker")
        return tmp_path / "started"

    return set_faults


def processes(text):
    command = ["ps", "-A", "-ww", "-o", "args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if text in line]


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def test_bad_islands_cost_themselves_only(field, header, plain, faults, workplace):
    blend = np.flatnonzero(np.bincount(plain.sources["Isl_id"]) > 1).tolist()
    assert blend == [2]  # so its Gaussians are grouped
    faults(island1="hang", island3="raise", island5="die", island2="group")
    start = time.monotonic()
    result = engine.run(field, header(), {}, island_timeout=2.0)
    assert time.monotonic() - start < 300  # half of what hangs takes
    reasons = {failure.island: failure.reason for failure in result.failed}
    assert reasons == {
        2: "the fit took longer than 2 s",
        4: "the fit raised IndexError: index 5 is out of bounds",
        6: "the fit ended its process (exit code 9)",
        3: "the grouping raised ZeroDivisionError: empty mask",
    }
    assert np.array_equal(result.islands, plain.islands)
    kept = ~np.isin(plain.sources["Isl_id"], [1, 2, 3, 5])
    for name in ("Isl_id", "RA", "Total_flux", "E_Maj"):
        assert np.array_equal(plain.sources[name][kept], result.sources[name]), name
    for failure in result.failed:
        x0, x1, y0, y1 = failure.box
        assert x0 <= failure.x < x1
        assert y0 <= failure.y < y1
        part = np.where(result.islands == failure.island, field, -1)
        assert np.unravel_index(np.argmax(part), part.shape) == (failure.y, failure.x)
    labels, order = divide(result.islands, result.sources, result.gaussians)
    assert not labels[np.isin(result.islands, list(reasons))].any()
    assert order.size == kept.sum()
    assert list(workplace[1].iterdir()) == []


def test_a_lost_island_of_a_mirrored_image(field, header, faults):
    faults(island2="raise")
    plain = engine.run(field, header(), {}).failed[0]
    turned = engine.run(field[:, ::-1], header(CDELT1=PIXEL), {}).failed[0]
    assert (turned.x, turned.y) == (NX - 1 - plain.x, plain.y)
    assert turned.box == (NX - plain.box[1], NX - plain.box[0], *plain.box[2:])


def test_the_time_limit(field, header, faults, workplace):
    faults(island1="hang")
    start = time.monotonic()
    with pytest.raises(engine.EngineError, match="did not finish within 4 s"):
        engine.run(field, header(), {}, timeout=4.0)
    assert time.monotonic() - start < 300  # half of what hangs takes
    assert list(workplace[1].iterdir()) == []
    assert processes(str(workplace[1])) == []


def test_a_worker_that_dies_is_one_line(field, header, tmp_path, monkeypatch):
    (tmp_path / "dead_worker.py").write_text("raise ImportError('no bdsf here')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(engine, "_WORKER", "dead_worker")
    with pytest.raises(engine.EngineError, match=r"exit status 1\): ImportError: no bdsf here"):
        engine.run(field, header(), {}, log=tmp_path / "log")
    assert "Traceback" in (tmp_path / "log").read_text()


def test_it_is_silent_and_leaves_no_trace(field, header, workplace, capfd):
    here, scratch = workplace
    loggers = dict(logging.root.manager.loggerDict)
    handlers = list(logging.root.handlers)
    state = np.geterr()
    random = np.random.get_state()[1].tolist()  # noqa: NPY002
    engine.run(field, header(), {}, log=here / "run.log")
    assert [path.name for path in here.iterdir()] == ["run.log"]
    assert list(scratch.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == handlers
    assert not [name for name in logging.root.manager.loggerDict if name not in loggers]
    assert np.geterr() == state
    assert np.random.get_state()[1].tolist() == random  # noqa: NPY002
    assert "bdsf" not in sys.modules
    assert processes(str(scratch)) == []


def test_the_log(field, header, tmp_path):
    result = engine.run(field, header(), {}, log=tmp_path / "run.log")
    assert (tmp_path / "run.log").read_text() == result.log
    assert "Number of islands found" in result.log


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_caller_ends_everything(field, header, faults, workplace, kind):
    here, scratch = workplace
    started = faults(island1="hang", island2="hang")
    np.save(here / "field.npy", field)
    (here / "cards").write_text(header().tostring("\n"))
    script = f"""
import sys, numpy
sys.path[:] = {sys.path}
from astropy.io import fits
from astroseg_bdsf import engine
engine._WORKER = "faulty_worker"
engine.run(numpy.load("field.npy"), fits.Header.fromtextfile("cards"), {{}})
"""
    environment = {**os.environ, "TMPDIR": str(scratch)}
    caller = subprocess.Popen(
        [sys.executable, "-c", script], cwd=here, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert wait_until(started.exists)
        assert processes(str(scratch))
        caller.send_signal(kind)
        _, errors = caller.communicate(timeout=20)
    finally:
        caller.kill()
    assert caller.returncode == -kind
    assert ("KeyboardInterrupt" in errors) == (kind == signal.SIGINT)
    assert wait_until(lambda: not processes(str(scratch)) and not list(scratch.iterdir()))
