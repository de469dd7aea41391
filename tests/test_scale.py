"""Mosaics: the same answer whatever the tiles, the workers, the kind of file and the interruptions."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import active_children

import numpy as np
import pytest
from astropy.io import fits
from deadly import Deadly
from helpers import gaussian, make_wcs
from scipy.ndimage import gaussian_filter

import astroseg.catalog_files
import astroseg.numbering
import astroseg.run_folder
import astroseg.scale
from astroseg import (
    AstrosegError,
    AstrosegWarning,
    PixelFinder,
    UsageError,
    find,
    get_finder,
    read_catalog,
    read_image,
    standardize,
)
from astroseg.errors import ImageError, WorkerLostError
from astroseg.image import open_mosaic
from astroseg.mosaic import Mosaic
from astroseg.scale import MosaicRun
from astroseg.workers import WorkerPool

SHAPE = (300, 340)


@pytest.fixture(scope="module")
def data():
    """Sources everywhere, some of them along and across the seams of tiles of 64 and 100, long objects, blank areas."""
    rng = np.random.default_rng(7)
    points = np.zeros(SHAPE)
    points[rng.integers(30, SHAPE[0], 60), rng.integers(30, SHAPE[1], 60)] = rng.uniform(100, 2000, 60)
    points[64:300:64, 64:340:64] = 900
    points[100:300:100, 100:340:100] = 900
    along = np.linspace(0, 1, 2000)
    points[(40 + 200 * along).astype(int), (60 + 260 * along).astype(int)] = 40
    points[(280 - 90 * along).astype(int), (40 + 200 * along).astype(int)] = 40
    image = gaussian_filter(rng.normal(size=SHAPE), 1.0) * 3.5 + gaussian_filter(points, 1.7)
    image[:25] = image[:, :21] = 0  # the border of a mosaic
    image[150:172, 200:230] = 0
    image[200:203, 90:99] = np.nan
    return image.astype("f4")


@pytest.fixture(scope="module")
def mosaic_file(data, tmp_path_factory):
    header = make_wcs(SHAPE).to_header()
    header["BUNIT"] = "mJy/beam"
    header["BMAJ"] = header["BMIN"] = 8 / 3600
    path = tmp_path_factory.mktemp("mosaic") / "mosaic.fits"
    fits.PrimaryHDU(data, header).writeto(path)
    return path


@pytest.fixture(scope="module")
def whole(mosaic_file):
    with pytest.warns(AstrosegWarning, match="zeros"):
        return get_finder("sigma").find(mosaic_file, tile_size=10_000)


def same(first, second):
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.catalog.colnames == second.catalog.colnames
    for name in first.catalog.colnames:
        np.testing.assert_array_equal(np.asarray(first.catalog[name]), np.asarray(second.catalog[name]), err_msg=name)


def search(path, folder, finder="sigma", *, fresh=False, **options):
    """Find in a folder; the arrays are read before it goes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)
        with MosaicRun(path, get_finder(finder), folder, fresh=fresh) as run:
            detections = run.find(**options)
            detections.labels = np.array(detections.labels)
    assert not folder.exists()
    return detections


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
@pytest.mark.parametrize("options", [{}, {"connectivity": 4, "flood": 2.0}, {"deblend": True}])
@pytest.mark.parametrize("size", [64, 100, 333])
def test_tiles_change_nothing(data, options, size):
    finder, image = get_finder("sigma", **options), read_image(data, beam="8,8,0")
    first, second = finder.find(image, tile_size=10_000), finder.find(image, tile_size=size)
    assert len(first) > 40
    if not finder.deblend:  # there is an object longer than a tile
        assert np.ptp(np.nonzero(first.labels == first.labels[140, 190])[1]) > 110
    same(first, second)


@pytest.mark.parametrize("size", [64, 100])
def test_a_file_searched_in_a_folder_equals_the_image_in_memory(mosaic_file, whole, tmp_path, size):
    found = search(mosaic_file, tmp_path / "run", tile_size=size)
    same(whole, found)
    assert isinstance(found.image, Mosaic)
    assert {key: value for key, value in found.catalog.meta.items() if key != "date"} == {
        key: value for key, value in whole.catalog.meta.items() if key != "date"
    }


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
@pytest.mark.parametrize("name", ["yen", "otsu", "triangle", "peaks:matched", "sigma:constant"])
def test_what_needs_the_whole_image_is_worked_out_in_parts(mosaic_file, tmp_path, name):
    finder = get_finder(name.split(":")[0], **({"matched_filter": True} if "matched" in name else {}))
    background = {"background": "constant"} if "constant" in name else {}
    with MosaicRun(mosaic_file, finder, tmp_path / "run", **background) as run:
        same(find(mosaic_file, finder, **background), run.find(tile_size=70))


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
@pytest.mark.parametrize("kind", ["compressed", "scaled", "four axes", "gzipped", "zarr", "zarr group"])
def test_other_kinds_of_files_are_read_by_regions(data, tmp_path, kind):
    header = make_wcs(SHAPE).to_header()
    path = tmp_path / "mosaic.fits"
    if kind == "compressed":
        fits.CompImageHDU(data, header, compression_type="GZIP_2", quantize_level=0, tile_shape=(50, 64)).writeto(path)
    elif kind == "scaled":
        hdu = fits.PrimaryHDU(np.nan_to_num(data), header)
        hdu.scale("int16", bscale=0.01)
        hdu.writeto(path)
    elif kind.startswith("zarr"):
        zarr = pytest.importorskip("zarr")
        path = path.with_suffix(".zarr")
        store, name = (zarr.create_group(path), "sky") if kind == "zarr group" else (path, None)
        like = {"shape": (1, *SHAPE), "dtype": "f4", "chunks": (1, 50, 64), "attributes": dict(header)}
        array = store.create_array(name, **like) if name else zarr.create_array(store, **like)
        array[0] = data
    elif kind == "gzipped":
        path = path.with_suffix(".fits.gz")
        fits.PrimaryHDU(data, header).writeto(path)
    else:
        fits.PrimaryHDU(data[np.newaxis, np.newaxis], header).writeto(path)
    image, mosaic = read_image(path), open_mosaic(path)
    assert mosaic.shape == SHAPE
    for region in ((slice(0, 40), slice(10, 90)), (slice(130, 300), slice(190, 340))):
        cut = mosaic.cut(region)
        np.testing.assert_array_equal(cut.data, image.data[region])
        np.testing.assert_array_equal(cut.mask, image.mask[region])
        np.testing.assert_allclose(cut.wcs.wcs_pix2world([[0, 0]], 0), image.wcs.wcs_pix2world(
            [[region[1].start, region[0].start]], 0))  # fmt: skip
    np.testing.assert_array_equal(
        standardize(image).meta["background"].rms.values, standardize(mosaic).meta["background"].rms.values
    )


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
def test_labels_and_probability_as_zarr(data, tmp_path):
    zarr = pytest.importorskip("zarr")
    found = Soft().find(read_image(np.nan_to_num(data) + 1, unit="Jy/beam", beam="8,8,0"))
    found.write(tmp_path, stem="sky", probability=True, maps="zarr", regions="none")
    for name, values in (("labels", found.labels), ("probability", found.probability)):
        path = tmp_path / f"sky.soft.{name}.zarr.zip"
        with zarr.storage.ZipStore(path) as store:
            array = zarr.open_array(store, mode="r")
            np.testing.assert_array_equal(array[:], values)
            assert array.dtype == values.dtype
            assert array.attrs["BACKEND"] == "soft"
        np.testing.assert_array_equal(read_image(path, keep_zeros=True).data, values)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
@pytest.mark.parametrize(("attribute", "says"), [("group", "no array.*none of two axes"), ("damaged", "Cannot read")])
def test_zarr_that_holds_no_image_is_one_line(tmp_path, attribute, says):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "sky.zarr"
    zarr.create_group(path).create_array("line", shape=(7,), dtype="f4")
    if attribute == "damaged":
        (path / "zarr.json").write_text("{")
    with pytest.raises(ImageError, match=says):
        open_mosaic(path)


@pytest.mark.parametrize("size", [64, 77])
def test_labels_and_maps_are_made_some_rows_at_a_time(data, tmp_path, monkeypatch, size):
    image = np.nan_to_num(data) + 1
    whole = Soft().find(image, tile_size=10_000)
    monkeypatch.setattr(astroseg.numbering, "ROWS", 50)
    same(whole, Soft().find(image, tile_size=size))
    with MosaicRun(image, Soft(), tmp_path / "run") as run:
        found = run.find(tile_size=size)
        same(whole, found)
        np.testing.assert_array_equal(whole.probability, found.probability)


def test_workers_fill_the_labels_and_write_the_rows(mosaic_file, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(astroseg.numbering, "ROWS", 50)
    monkeypatch.setattr(astroseg.catalog_files, "ROWS", 7)
    with WorkerPool(2) as pool:
        same(whole, search(mosaic_file, tmp_path / "run", tile_size=100, executor=pool))
        whole.write(tmp_path / "pool", formats=["ecsv", "votable"], executor=pool)
    whole.write(tmp_path / "alone", formats=["ecsv", "votable"])
    for ending in (".ecsv", ".vot"):
        written = [next((tmp_path / folder).glob(f"*{ending}")).read_bytes() for folder in ("pool", "alone")]
        assert written[0] == written[1]


def test_a_finder_of_probabilities_gives_its_map(data):
    finder = Soft()
    first, second = (
        finder.find(np.nan_to_num(data) + 1, tile_size=10_000),
        finder.find(np.nan_to_num(data) + 1, tile_size=77),
    )
    same(first, second)
    np.testing.assert_array_equal(first.probability, second.probability)


class Soft(PixelFinder):
    """A smooth score."""

    name = "soft"
    background = "none"
    min_pixels = 2

    def predict(self, batch, **prepared):
        return 1 / (1 + np.exp(3 - np.clip(batch, -10, 10))).astype("f4")


class Counting(PixelFinder):
    """Counts what it is asked for, and stops when told to."""

    name = "sigma"
    is_probability = False
    asked = 0
    stop_at = -1

    def predict(self, batch, **prepared):
        type(self).asked += 1
        if type(self).asked == self.stop_at:
            raise KeyboardInterrupt
        return (batch > 5).astype("f4")


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
def test_an_interrupted_run_goes_on_where_it_was(mosaic_file, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.setattr(Counting, "asked", 0)
    monkeypatch.setattr(Counting, "stop_at", 8)
    with pytest.raises(KeyboardInterrupt), MosaicRun(mosaic_file, Counting(), folder) as run:
        run.find(tile_size=100)
    assert len(list(folder.glob("*.tile.*"))) == 7
    # A power cut may leave a file cut off.
    damaged = sorted(folder.glob("*.tile.*"))[2]
    damaged.write_bytes(damaged.read_bytes()[:300])
    monkeypatch.setattr(Counting, "stop_at", -1)
    seen = []
    with MosaicRun(mosaic_file, Counting(), folder) as run:
        found = run.find(tile_size=100, report=lambda *numbers: seen.append(numbers))
        assert Counting.asked == 8 + 12 - 6
        assert seen[0][:2] == (6, 12)
        assert seen[-1][:2] == (12, 12)
        same(Counting().find(read_image(mosaic_file)), found)
    assert not folder.exists()


def test_a_fresh_start_needs_nothing_to_start_from(mosaic_file, whole, tmp_path):
    same(whole, search(mosaic_file, tmp_path / "run", fresh=True, tile_size=100))


def stop_at_the_end(done, total, n_sources):
    if done == total:
        raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:.*zeros:astroseg.AstrosegWarning")
@pytest.mark.parametrize("change", ["image", "option", "background", "fresh"])
def test_nothing_of_another_run_is_used(mosaic_file, tmp_path, change):
    folder, path = tmp_path / "run", tmp_path / "copy.fits"
    path.write_bytes(mosaic_file.read_bytes())
    with pytest.raises(KeyboardInterrupt), MosaicRun(path, get_finder("sigma"), folder) as run:
        run.find(tile_size=100, report=stop_at_the_end)
    before = set(folder.glob("*.tile.*"))
    assert len(before) == 12
    if change == "image":
        with fits.open(path, mode="update") as hdul:
            hdul[0].data[40, 40] += 100
    finder = get_finder("sigma", threshold=6.0 if change == "option" else 5.0)
    options = {"background": "none"} if change == "background" else {"fresh": change == "fresh"}
    word = {"image": "image_sha256", "option": "parameters", "background": "background"}.get(change)
    with MosaicRun(path, finder, folder, **options) as run, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = []
        run.find(tile_size=100, report=lambda *numbers: seen.append(numbers))
    assert seen[0] == (0, 12, 0)
    assert [str(note.message) for note in caught if "interrupted run" in str(note.message)] == (
        [f"{folder} holds an interrupted run that differs in {word}: starting over."] if word else []
    )


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(mosaic_file, whole, tmp_path, monkeypatch):
    folder, calls = tmp_path / "run", []

    def full(*args):
        calls.append(args)
        if len(calls) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(astroseg.run_folder.os, "fsync", full)
    with (
        pytest.warns(AstrosegWarning, match="zeros"),
        pytest.raises(AstrosegError, match=r"No space left on device.*the same command goes on"),
        MosaicRun(mosaic_file, get_finder("sigma"), folder) as run,
    ):
        run.find(tile_size=100)
    monkeypatch.undo()
    assert not list(folder.glob("*.part"))
    same(whole, search(mosaic_file, folder, tile_size=100))


def test_a_truncated_mosaic_is_one_line(mosaic_file, tmp_path):
    path = tmp_path / "cut.fits"
    path.write_bytes(mosaic_file.read_bytes()[:100_000])
    with pytest.raises(ImageError, match="truncated"):
        open_mosaic(path)


def test_a_folder_that_is_no_image_is_not_read_through(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(astroseg.scale, "file_digest", read.append)
    with pytest.raises(ImageError, match="is a folder"):
        MosaicRun(tmp_path, get_finder("sigma"), tmp_path / "run")
    assert read == []


def test_a_finder_that_needs_the_whole_image_says_so(mosaic_file, tmp_path):
    class Whole(PixelFinder):
        name = "whole"

        def label(self, maps, image):
            return super().label(maps, image)

    with pytest.raises(UsageError, match="needs the whole image"):
        MosaicRun(mosaic_file, Whole(), tmp_path / "run")


@pytest.fixture
def marked(data, tmp_path):
    """A mosaic with a pixel that Deadly does not survive."""
    image = np.where(np.isnan(data), 1, data)
    image[image == 0] = 1
    image[260, 310] = 1e9
    path = tmp_path / "marked.fits"
    fits.PrimaryHDU(image, make_wcs(SHAPE).to_header()).writeto(path)
    return path


@pytest.mark.parametrize(("how", "timeout"), [("kill", 60), ("sleep", 6)])
def test_a_worker_that_dies_or_hangs_costs_nothing_but_time(marked, tmp_path, how, timeout):
    finder = Deadly(how=how, marks=str(tmp_path / "marks"), times=1)
    with WorkerPool(2, timeout=timeout) as pool, MosaicRun(marked, finder, tmp_path / "run") as run:
        found = run.find(tile_size=128, executor=pool)
        assert not run.lost
        (tmp_path / "marks").write_text("xx")
        same(finder.find(marked), found)
    assert not active_children()


def test_a_tile_that_always_kills_is_split_and_at_last_reported(marked, tmp_path):
    finder = Deadly(how="memory", marks=str(tmp_path / "marks"), times=100)
    folder = tmp_path / "run"
    with MosaicRun(marked, finder, folder) as run:
        found = run.find(tile_size=300)
    (lost,) = found.catalog.meta["lost"]
    assert lost["x"] == [300, 339]
    assert lost["y"] == [150, 299]
    assert lost["reason"] == "MemoryError"
    assert np.isfinite(lost["sky"]).all()
    assert folder.exists()  # the same command tries again
    (tmp_path / "marks").write_text(101 * "x")
    complete = finder.find(marked)
    assert not found.labels[:, 300:][150:].any()
    far = complete.labels[:, :280] > 0
    np.testing.assert_array_equal(far, found.labels[:, :280] > 0)


def test_a_tile_that_kills_every_process_is_split_and_reported_with_its_place(marked, tmp_path):
    finder = Deadly(how="kill", marks=str(tmp_path / "marks"), times=100)
    with WorkerPool(2, timeout=60) as pool, MosaicRun(marked, finder, tmp_path / "run") as run:
        found = run.find(tile_size=300, executor=pool)
    (lost,) = found.catalog.meta["lost"]
    assert (lost["x"], lost["y"]) == ([300, 339], [150, 299])
    assert "SIGKILL, out of memory?" in lost["reason"]
    x, y = 319.5, 224.5
    np.testing.assert_allclose(lost["sky"], np.ravel(make_wcs(SHAPE).wcs_pix2world([[x, y]], 0)))
    (tmp_path / "marks").write_text(101 * "x")
    complete = finder.find(marked)
    assert 0 < len(found) <= len(complete)
    np.testing.assert_array_equal(found.labels[:, :280] > 0, complete.labels[:, :280] > 0)


def test_nothing_left_is_an_error(marked, tmp_path):
    class Never(Deadly):
        name = "never"

        def predict(self, batch, **prepared):
            raise MemoryError

    with (
        pytest.raises(AstrosegError, match="No part of the image could be searched: MemoryError"),
        MosaicRun(marked, Never(), tmp_path / "run") as run,
    ):
        run.find(tile_size=300)


def test_a_folder_that_cannot_be_written_is_one_line(mosaic_file, tmp_path, capsys):
    from astroseg.cli import main

    (tmp_path / "file").touch()
    words = ["find", str(mosaic_file), "--backend", "sigma", "--output", str(tmp_path / "file"), "--tile", "100"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert re.search("Cannot write into .*mosaic.sigma.run: ", lines[0])


def test_errors_of_a_finder_are_not_taken_for_accidents(mosaic_file):
    class Wrong(PixelFinder):
        name = "wrong"

        def predict(self, batch, **prepared):
            return batch[:, :-1]

    with pytest.warns(AstrosegWarning), pytest.raises(AstrosegError, match="it must be"):
        Wrong().find(mosaic_file, tile_size=100)


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
def test_threads_change_nothing(mosaic_file, whole):
    with ThreadPoolExecutor(2) as pool:
        same(whole, get_finder("sigma").find(mosaic_file, tile_size=100, executor=pool))


def test_a_pool_passes_on_results_errors_and_warnings():
    with WorkerPool(1) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result()
        with pytest.raises(WorkerLostError, match=r"died \(exit status 3"):
            pool.submit(os._exit, 3).result()
        assert pool.submit(abs, -3).result() == 3


def test_the_seam_of_every_tile_has_sources(tmp_path):
    """Sources on all seams and corners of the tiles, and bars longer than a tile: none lost, none double."""
    shape, step = (260, 260), 20
    image = np.random.default_rng(3).normal(size=shape) * 0.01
    places = [(y, x) for y in range(10, 250, step) for x in range(10, 250, step)]
    for y, x in places:
        image[y - 2 : y + 3, x - 2 : x + 3] += gaussian((5, 5), 2, 2, 1, peak=30)
    for size in (20, 30, 64):  # 20: every source lies in one tile; 30: most lie on a seam
        found = get_finder("sigma").find(read_image(image, keep_zeros=True), tile_size=size)
        assert len(found) == len(places)
    image[:] = np.random.default_rng(4).normal(size=shape) * 0.01
    for x in range(5, 255, 10):
        image[5:255, x] += 1
    finder = get_finder("sigma", threshold=30.0, flood=30.0)
    found = finder.find(standardize(read_image(image), "none", np.full(shape, 0.01)), tile_size=64)
    assert len(found) == 25
    assert (found.catalog["n_pixels"] == 250).all()


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
def test_the_command_line_resumes_what_was_cut_off_while_writing(mosaic_file, tmp_path, monkeypatch, capsys):
    from astroseg.cli import main

    words = ["find", str(mosaic_file), "--backend", "sigma", "--output", str(tmp_path), "--tile", "100"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("mosaic.*") if path.suffix != ".ecsv"}
    for path in tmp_path.glob("mosaic.*"):
        path.unlink()

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("astroseg.output._write_map", stopped)
        with pytest.raises(SystemExit) as stop:
            main(words)
    assert stop.value.code == 130
    assert "mosaic.sigma.run: the same command goes on with it." in capsys.readouterr().err
    assert json.loads((tmp_path / "mosaic.sigma.run/manifest.json").read_text())["parameters"]["threshold"] == 5
    (tmp_path / "mosaic.sigma.reg").write_text("of the run that was cut off")
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0, capsys.readouterr().err
    assert not (tmp_path / "mosaic.sigma.run").exists()
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content


@pytest.mark.filterwarnings("ignore")
def test_dask_changes_nothing(mosaic_file, whole, tmp_path):
    distributed = pytest.importorskip("distributed")
    from astroseg.workers import DaskPool

    local = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.Client(**local) as client, DaskPool(client) as pool:
        same(whole, search(mosaic_file, tmp_path / "run", tile_size=100, executor=pool))
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result()


def test_no_scheduler_is_one_line():
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    from astroseg.workers import DaskPool

    with dask.config.set({"distributed.comm.timeouts.connect": 0.5}):
        for address in ("tcp://127.0.0.1:9", "nowhere"):
            with pytest.raises(UsageError, match=f"no Dask scheduler at {address}"):
                DaskPool(address)


def test_a_killed_command_given_again_ends_as_if_nothing_had_been(mosaic_file, whole, tmp_path):
    from astroseg.cli import main

    words = ["find", str(mosaic_file), "--backend", "sigma", "--output", str(tmp_path), "--quiet", "--tile", "64"]
    process = subprocess.Popen([sys.executable, "-m", "astroseg", *words])
    folder = tmp_path / "mosaic.sigma.run"
    while process.poll() is None and len(list(folder.glob("*.tile.*.npz"))) < 5:
        time.sleep(0.01)
    process.kill()
    process.wait()
    with pytest.raises(SystemExit) as stop:
        main([*words, "--overwrite"])  # on a machine that is busy elsewhere it may have come to its end
    assert stop.value.code == 0
    np.testing.assert_array_equal(fits.getdata(tmp_path / "mosaic.sigma.labels.fits"), whole.labels)
    found = read_catalog(tmp_path / "mosaic.sigma.ecsv")
    for name in whole.catalog.colnames:
        np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(whole.catalog[name]), err_msg=name)


def test_the_command_line_says_what_was_not_searched(marked, tmp_path, monkeypatch, capsys):
    from astroseg.cli import main
    from astroseg.threshold import SigmaFinder

    whole = SigmaFinder.predict

    def predict(self, batch, **prepared):
        if (batch > 1e6).any():
            raise MemoryError
        return whole(self, batch, **prepared)

    monkeypatch.setattr(SigmaFinder, "predict", predict)
    words = ["find", str(marked), "--backend", "sigma", "--output", str(tmp_path), "--tile", "128"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    captured = capsys.readouterr()
    assert stop.value.code == 3
    assert re.search(
        r"marked.fits: not searched: x 256 to 339, y 256 to 299 \(around [\d., -]+ deg\): Mem", captured.err
    )
    assert "sources by sigma" in captured.out
    monkeypatch.undo()
    with pytest.raises(SystemExit) as stop:
        main(words)  # the same command tries again what is missing
    assert stop.value.code == 0
    same_labels = get_finder("sigma").find(marked).labels
    np.testing.assert_array_equal(fits.getdata(tmp_path / "marked.sigma.labels.fits"), same_labels)
