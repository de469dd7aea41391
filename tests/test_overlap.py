"""Finders that search an image as a whole, on one that is searched by overlapping regions."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import gaussian

from astroseg import AstrosegError, NoDetectionsWarning, SourceFinder, find, measure, read_image, standardize
from astroseg.background import significance
from astroseg.labels import hysteresis
from astroseg.overlap import Part
from astroseg.scale import MosaicRun

SHAPE = (260, 300)


class Plain(SourceFinder):
    """Islands above 5 sigma, in regions of 100 pixels."""

    name = "plain"
    background = "constant"
    region = 100
    overlap = 24

    def find(self, image, **prompts):
        image = read_image(image)
        image = image if "background" in image.meta else standardize(image, self.background)
        labels = hysteresis(significance(image), 3, 5, 3)
        catalog = measure(image, labels)
        catalog["plain_kind"] = np.where(catalog["snr"] > 20, "bright", "faint")
        catalog.meta["plain_notes"] = [{"x": int(x), "y": int(y)} for x, y in zip(
            catalog["x_centroid"].value, catalog["y_centroid"].value, strict=True)]  # fmt: skip
        return self.detections(image, catalog, labels)


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(2)
    data = rng.normal(size=SHAPE)
    for y in range(20, 260, 40):
        for x in range(20, 300, 40):  # 100 and 200, where the regions meet, among them
            data += gaussian(SHAPE, x + rng.uniform(-1, 1), y + rng.uniform(-1, 1), 2, peak=rng.uniform(10, 90))
    data += gaussian(SHAPE, 150, 240, 15, 2, peak=30)
    data[:, 280:] = np.nan
    return standardize(read_image(data.astype("f4")), "constant")


def same(first, second):
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.catalog.colnames == second.catalog.colnames
    for name in first.catalog.colnames:
        values = [np.asarray(each.catalog[name]) for each in (first, second)]
        if values[0].dtype.kind == "f":
            np.testing.assert_allclose(*values, rtol=1e-9, err_msg=name)
        else:
            np.testing.assert_array_equal(*values, err_msg=name)


def test_regions_give_what_the_whole_gives(image):
    whole, regions = Plain().find(image), find(image, Plain())
    assert len(whole) > 40
    same(whole, regions)
    notes = [sorted((note["x"], note["y"]) for note in each.catalog.meta["plain_notes"]) for each in (whole, regions)]
    assert set(notes[0]) <= set(notes[1])
    assert regions.catalog.meta["image_sha256"] == whole.catalog.meta["image_sha256"]


def test_order_and_threads_change_nothing(image):
    first = find(image, Plain())
    with ThreadPoolExecutor(2) as pool:
        same(first, Plain().search(_mosaic(image), executor=pool)[0])


def _mosaic(image):
    from astroseg.mosaic import as_mosaic

    return as_mosaic(image)


def test_an_object_beyond_the_overlap_is_one_all_the_same():
    data = np.random.default_rng(1).normal(size=(120, 290))
    data[98:103, 5:285] += 50
    found = find(standardize(read_image(data), "none", np.ones(data.shape)), Plain())
    assert len(found) == 1


def test_a_part_survives_its_file(image):
    found = Plain().find(image)
    part = Part(found.catalog, np.arange(3), np.zeros(3, np.int32), (slice(0, 3), slice(4, 9)), np.ones((3, 5), "f4"))
    again = Part.from_arrays(part.to_arrays())
    assert again.region == part.region
    for name in found.catalog.colnames:
        np.testing.assert_array_equal(again.catalog[name], found.catalog[name])
        assert again.catalog[name].unit == found.catalog[name].unit
    np.testing.assert_array_equal(again.probability, part.probability)


def test_nothing_is_an_answer_and_a_region_that_fails_is_reported(image, tmp_path):
    class Failing(Plain):
        name = "failing"

        def find(self, image, **prompts):
            if image.meta["place"].origin == (76, 176):
                msg = "cannot do this one"
                raise AstrosegError(msg)
            return super().find(image, **prompts)

    with MosaicRun(image, Failing(), tmp_path / "run", background="constant") as run:
        found = run.find()
    (lost,) = found.catalog.meta["lost"]
    assert (lost["x"], lost["y"], lost["reason"]) == ([200, 299], [100, 199], "cannot do this one")
    assert 30 < len(found) < len(Plain().find(image))
    empty = standardize(read_image(np.random.default_rng(1).normal(size=(150, 150))), "constant")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        assert len(find(empty, Plain())) == 0
