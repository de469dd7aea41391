"""Files: complete or not there."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from helpers import gaussian, make_wcs
from regions import Regions

from astroseg import AstrosegError, UsageError, find, output, read_catalog, read_image
from astroseg.output import stem_of, write_all, write_detections


@pytest.fixture(scope="module")
def detections():
    rng = np.random.default_rng(4)
    data = rng.normal(size=(64, 80)) + gaussian((64, 80), 20, 30, 2, peak=50) + gaussian((64, 80), 60, 40, 2, peak=80)
    image = read_image(data, unit="Jy/beam", beam="9,9,0")
    image.wcs = make_wcs((64, 80))
    image.meta["name"] = "field.fits"
    return find(image, "sigma")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.fits", "a"),
        ("dir/a.b.FITS", "a.b"),
        ("a.fits.gz", "a"),
        ("a.fits.fz", "a"),
        ("a.fit", "a"),
        (".fits", ".fits"),
        ("a", "a"),
    ],
)
def test_stems(name, stem):
    assert stem_of(name) == stem


def test_catalogue_regions_and_labels_correspond(detections, tmp_path):
    paths = detections.write(tmp_path / "new" / "folder")
    assert sorted(path.name for path in paths) == ["field.sigma.ecsv", "field.sigma.labels.fits", "field.sigma.reg"]
    catalog = read_catalog(paths[0])
    with fits.open(tmp_path / "new/folder/field.sigma.labels.fits") as hdul:
        labels, header, kind = hdul[1].data, hdul[1].header, type(hdul[1])
    assert kind is fits.CompImageHDU
    assert labels.dtype.newbyteorder("=") == np.int32
    np.testing.assert_array_equal(labels, detections.labels)
    assert WCS(header).wcs.compare(detections.image.wcs.wcs, tolerance=1e-12)
    regions = Regions.read(tmp_path / "new/folder/field.sigma.reg", format="ds9")
    assert [str(region.meta["text"]) for region in regions] == [str(label) for label in catalog["label"]]
    for region, row in zip(regions, catalog, strict=True):
        assert region.center.ra.deg == pytest.approx(row["ra"].value, abs=1e-6)


def test_all_that_can_be_asked_for(detections, tmp_path):
    paths = write_detections(detections, tmp_path, stem="x", formats=["ecsv", "votable", "fits", "csv"], preview=True)
    names = {
        "x.sigma.ecsv",
        "x.sigma.vot",
        "x.sigma.cat.fits",
        "x.sigma.csv",
        "x.sigma.reg",
        "x.sigma.labels.fits",
        "x.sigma.png",
    }
    assert {path.name for path in paths} == names == {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "x.sigma.png").read_bytes().startswith(b"\x89PNG")


def test_a_probability_that_is_not_there_is_refused(detections, tmp_path):
    with pytest.raises(UsageError, match="gives no probability map"):
        detections.write(tmp_path, probability=True)


def test_existing_files_are_kept_unless_told(detections, tmp_path):
    (tmp_path / "field.sigma.reg").write_text("mine")
    with pytest.raises(AstrosegError, match=r"field.sigma.reg exists already .* --overwrite"):
        detections.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["field.sigma.reg"]
    detections.write(tmp_path, overwrite=True)
    assert "mine" not in (tmp_path / "field.sigma.reg").read_text()


def test_a_failure_in_any_file_leaves_none(detections, tmp_path, monkeypatch):
    def full(detections, path, kind):
        path.write_text("half of")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output, "_write_regions", full)
    with pytest.raises(AstrosegError, match=r"No space left on device. Nothing was written"):
        detections.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_none(tmp_path):
    def interrupt(path):
        path.write_text("half of")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all({tmp_path / "a": lambda path: path.write_text("whole"), tmp_path / "b": interrupt})
    assert not list(tmp_path.iterdir())


def test_a_folder_of_the_same_name_is_said(detections, tmp_path):
    (tmp_path / "field.sigma.labels.fits").mkdir()
    with pytest.raises(AstrosegError, match="a folder of that name"):
        detections.write(tmp_path, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_a_file_is_said(detections, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AstrosegError, match="Cannot write"):
        detections.write(tmp_path / "file")
