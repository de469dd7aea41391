"""Label images, masks and outlines: drawn by people and programs, and read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from helpers import make_wcs

from astroseg import find, read_image
from astroseg.sky import to_pixels
from astroseg.truth import read_truth
from astroseg.truth.outlines import draw_outlines


def write(tmp_path, text, name="truth"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def image():
    image = read_image(np.random.default_rng(1).normal(0, 1e-3, (64, 64)), unit="Jy/beam", beam="6,5,30")
    image.wcs = make_wcs()
    return image


@pytest.fixture
def sun():
    image = read_image(np.ones((64, 64)), keep_zeros=True)
    image.wcs = make_wcs(kinds=("HPLN-TAN", "HPLT-TAN"), crval=(0.0, 0.0), cdelt=(20, 20))
    return image


def test_label_images(tmp_path, image):
    labels = np.zeros((64, 64), dtype=np.int16)
    labels[10:14, 20:26], labels[40:42, 40:42] = 3, 7
    path = tmp_path / "labels.fits"
    fits.PrimaryHDU(labels, image.wcs.to_header()).writeto(path)
    for truth in (read_truth(path), read_truth(path, image=image)):
        assert truth.catalog["label"].tolist() == [3, 7]
        assert truth.catalog["x_centroid"].value.tolist() == [22.5, 40.5]
        assert truth.catalog["n_pixels"].tolist() == [24, 4]
        assert np.isfinite(truth.catalog["ra"]).all()
        np.testing.assert_array_equal(truth.labels, labels)
    fits.PrimaryHDU((labels > 0) * 1.0).writeto(path, overwrite=True)
    assert len(read_truth(path, format="mask")) == 2


def test_pybdsf_counts_islands_from_zero(tmp_path):
    path = tmp_path / "rank.fits"
    fits.PrimaryHDU(np.array([[-1, -1, 0], [1, -1, 0]], dtype=np.int32)).writeto(path)
    truth = read_truth(path)
    assert truth.labels.tolist() == [[0, 0, 1], [2, 0, 1]]
    assert truth.catalog["n_pixels"].tolist() == [2, 1]


def test_labelme_counts_from_the_top(tmp_path):
    shapes = [
        {"label": "a", "points": [[2, 1], [8, 1], [8, 4], [2, 4]]},
        {"label": "b", "points": [[10, 10], [14, 13]], "shape_type": "rectangle"},
        {"label": "b", "points": [[12, 3], [12, 5]], "shape_type": "circle"},
    ]
    path = write(tmp_path, json.dumps({"imageHeight": 20, "imageWidth": 30, "shapes": shapes}))
    truth = read_truth(path)
    assert truth.labels.shape == (20, 30)
    assert truth.labels[19 - 2, 5] == 1
    assert truth.labels[19 - 11, 12] == 2
    assert truth.labels[19 - 3, 12] == 3
    np.testing.assert_allclose(truth.catalog["y_centroid"].value, [16.5, 7.5, 16])
    assert truth.catalog["labelme_kind"].tolist() == ["a", "b", "b"]
    assert len(read_truth(path, kind="b")) == 2


def test_hek_polygons(tmp_path, sun):
    ring = "(-200 -100,200 -100,200 100,-200 100,-200 -100)"
    hole = "(-50 -50,50 -50,50 50,-50 50,-50 -50)"
    events = [
        {"event_type": "CH", "hpc_boundcc": f"POLYGON({ring},{hole})", "frm_name": "SPoCA"},
        {"event_type": "AR", "hpc_boundcc": "", "hpc_bbox": "POLYGON((300 300,400 300,400 400,300 400,300 300))"},
    ]
    path = write(tmp_path, json.dumps({"result": events, "overmax": False}))
    alone = read_truth(path)
    assert alone.labels is None
    np.testing.assert_allclose(alone.catalog["hpc_x"].to_value("arcsec"), [0, 350], atol=1e-6)
    placed = read_truth(path, image=sun)
    assert placed.catalog["hek_kind"].tolist() == ["CH", "AR"]
    assert placed.catalog["hek_frm_name"].tolist() == ["SPoCA", ""]
    x, y = (int(value) for (value,) in to_pixels(sun.wcs, np.array([150 / 3600]), np.array([0.0])))
    assert placed.labels[y, x] == 1
    assert placed.labels[31, 31] == 0  # the hole
    assert np.count_nonzero(placed.labels == 1) == pytest.approx((400 * 200 - 100 * 100) / 20**2, rel=0.1)
    assert len(read_truth(path, image=sun, kind="AR")) == 1


@pytest.mark.parametrize("kind", ["ellipse", "polygon", "box"])
def test_our_regions_come_back(tmp_path, image, kind):
    rows, columns = np.indices((64, 64))
    ring = np.hypot(rows - 30, columns - 24)
    image.data[(ring < 9) & (ring > 4)] += 1  # a source with a hole
    image.data[45:53, 40:52] += 1
    detections = find(image, "sigma", background="none", noise=np.full(image.shape, 1e-2))
    detections.write(tmp_path, stem="x", regions=kind)
    truth = read_truth(next(tmp_path.glob("*.reg")), image=image)
    assert truth.catalog["ds9_kind"].tolist() == [str(label) for label in detections.catalog["label"]]
    if kind == "polygon":
        np.testing.assert_array_equal(truth.labels, detections.labels)
        return
    x = detections.catalog["x_centroid"].value
    np.testing.assert_allclose(truth.catalog["x_centroid"].value, x, atol=0.5)
    # An ellipse of full axes a, b has the area pi a b / 4.
    axes = detections.catalog["fwhm_major"].value * detections.catalog["fwhm_minor"].value / 2.0**2
    area = np.bincount(truth.labels.ravel(), minlength=3)[1:]
    assert kind == "box" or area == pytest.approx(np.pi / 4 * axes, rel=0.06)
    np.testing.assert_array_equal(truth.catalog["n_pixels"], area)


def test_ellipses_turn_as_in_ds9(tmp_path, image):
    path = write(tmp_path, 'fk5\nellipse(30.0,-45.0,30",10",30)\nimage\nellipse(12,50,6.5,2.5,90)\npoint(40,50)\n')
    truth = read_truth(path, image=image)
    assert len(truth) == 3
    y, x = np.nonzero(truth.labels == 1)
    # In DS9 the angle turns the first axis from west through north: up and to the right, with east on the left.
    assert np.degrees(np.arctan2(*np.linalg.eigh(np.cov(x, y))[1][::-1, 1])) % 180 == pytest.approx(30, abs=2)
    y, x = np.nonzero(truth.labels == 2)
    assert (np.ptp(y), np.ptp(x)) == (12, 4)
    assert truth.catalog["n_pixels"][2] == 0
    np.testing.assert_allclose([truth.catalog["x_centroid"].value[2], truth.catalog["y_centroid"].value[2]], [39, 49])


def test_of_overlapping_outlines_the_smaller_is_seen():
    small, large = (np.array([[5, 5], [5 + side, 5], [5 + side, 5 + side], [5, 5 + side]]) for side in (4.0, 12.0))
    labels = draw_outlines((32, 32), [([small], []), ([large], [])])
    assert np.bincount(labels.ravel()).tolist()[1:] == [21, 165 - 21]  # of the corners a quarter
