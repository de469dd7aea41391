"""Finders that search an image as a whole, on one that is searched by overlapping regions."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import gaussian
from plain_finder import Plain

from astroseg import AstrosegError, NoDetectionsWarning, find, measure, read_image, standardize
from astroseg.catalog import CUT
from astroseg.labels import compact
from astroseg.mosaic import Place
from astroseg.overlap import Part
from astroseg.scale import MosaicRun
from astroseg.workers import WorkerPool

SHAPE = (260, 300)


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


def test_the_noise_is_measured_once_for_all_regions(image):
    plain = read_image(image.data)
    same(Plain().find(standardize(plain, "constant")), find(plain, Plain()))


def test_order_and_threads_change_nothing(image):
    first = find(image, Plain())
    with ThreadPoolExecutor(2) as pool:
        same(first, Plain().search(_mosaic(image), executor=pool)[0])


def _mosaic(image):
    from astroseg.mosaic import as_mosaic

    return as_mosaic(image)


def test_an_interrupted_search_goes_on_in_other_processes(tmp_path):
    """Between the regions and those around the objects that they cut off; nothing is searched twice."""
    data = np.random.default_rng(1).normal(size=(310, 330))
    data[120:200, 98:101] += 50
    data[250:254, 150:230] += 40
    maps, seen = {"background": "none", "noise": np.ones(data.shape)}, []
    image = standardize(read_image(data), **maps)

    def stop(done, total, n_sources):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), MosaicRun(image, Plain(), tmp_path / "run", **maps) as run:
        run.find(report=stop)
    with WorkerPool(2) as pool, MosaicRun(image, Plain(), tmp_path / "run", **maps) as run:
        found = run.find(executor=pool, report=lambda *numbers: seen.append(numbers))
        same(Plain().find(image), found)
    assert [numbers[:2] for numbers in seen] == [(16, 16)]


def test_an_object_larger_than_a_region_is_one_and_flagged():
    data = np.random.default_rng(1).normal(size=(120, 290))
    data[98:103, 5:285] += 50
    found = find(standardize(read_image(data), "none", np.ones(data.shape)), Plain())
    assert len(found) == 1
    assert found.catalog["flags"][0] & CUT


class Parted(Plain):
    """Islands cut into sources every 20 pixels, at the same places everywhere."""

    name = "parted"

    def find(self, image, **prompts):
        islands = super().find(image).labels
        top, left = Place.of(image).origin
        row, column = np.nonzero(islands)
        labels = np.zeros_like(islands)
        labels[row, column] = 1 + (row + top) // 20 * 100 + (column + left) // 20
        labels = compact(labels)
        return self.detections(image, measure(image, labels), labels)


def test_no_source_of_an_island_larger_than_a_region_is_lost_or_double():
    """A cross of bars through all regions, made of sources that touch: as in the whole image, but for the flag."""
    data = np.random.default_rng(1).normal(size=(330, 350)) * 0.5
    data[150:154, 5:345] += 50
    data[10:320, 97:103] += 50
    data[40:44, 230:236] += 50
    image = standardize(read_image(data), "none", np.ones(data.shape))
    whole, regions = Parted().find(image), find(image, Parted())
    assert len(whole) > 35
    np.testing.assert_array_equal(whole.labels, regions.labels)
    np.testing.assert_allclose(whole.catalog["flux"].value, regions.catalog["flux"].value, rtol=1e-9)
    assert np.count_nonzero(regions.catalog["flags"] & CUT == 0) == 1


@pytest.mark.parametrize("start", [40, 90, 110, 150])
def test_an_object_larger_than_the_overlap_is_searched_again_as_a_whole(start, tmp_path):
    """Bars of 80 pixels, along and across the seams at 100 and 200, where the overlap is 24."""
    data = np.random.default_rng(1).normal(size=(310, 330))
    data[start : start + 80, 98:101] += 50
    data[250:254, start : start + 80] += 40
    data[30:34, start + 100 : start + 180] += 30
    for y in range(10, 310, 20):
        data[y : y + 3, 320:323] += 60
    image = standardize(read_image(data), "none", np.ones(data.shape))
    whole, regions = Plain().find(image), find(image, Plain())
    same(whole, regions)
    assert not (regions.catalog["flags"] & CUT).any()
    with MosaicRun(image, Plain(), tmp_path / "run", background="none", noise=np.ones(data.shape)) as run:
        kept = run.find()
        same(kept, regions)


def test_sources_on_seams_and_corners_are_found_once():
    """None lost, none double, where regions of 100 pixels meet every 100."""
    side, step = 1200, 12
    data = np.random.default_rng(5).normal(size=(side, side)) * 0.3
    stamp = gaussian((7, 7), 3, 3, 1.0, peak=60)
    places = {(y, x) for y in range(step, side - 4, step) for x in range(100, side - 4, 100)}
    places |= {(y, x) for x in range(step, side - 4, step) for y in range(100, side - 4, 100)}
    places = _apart(sorted(places))
    for y, x in places:
        data[y - 3 : y + 4, x - 3 : x + 4] += stamp
    found = find(standardize(read_image(data), "none", np.ones(data.shape)), Plain())
    assert len(found) == len(places)
    assert {(round(row["y_centroid"].value), round(row["x_centroid"].value)) for row in found.catalog} == places


def _apart(places):
    """Those that have no neighbour before them."""
    kept = set()
    for y, x in places:
        if not any((y + dy, x + dx) in kept for dy in range(-9, 10) for dx in range(-9, 10)):
            kept.add((y, x))
    return kept


def test_a_part_survives_its_file(image):
    found = Plain().find(image)
    part = Part(
        found.catalog,
        np.arange(3),
        np.zeros(3, np.int32),
        np.zeros(len(found), bool),
        (slice(0, 3), slice(4, 9)),
        np.ones((3, 5), "f4"),
    )
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
