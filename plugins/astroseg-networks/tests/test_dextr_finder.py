"""The finder around the network: with one that is simple and known, and with the weights that ship."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astroseg_networks import outline as outlining
from astroseg_networks.dextr_finder import DEXTRFinder
from astroseg_networks.dextr_input import FORMS
from astroseg_networks.object_masks import object_mask, share_pixels, solidity
from astroseg_networks.outline import Network, outline
from astroseg_networks.prompts import Prompt
from astroseg_networks.weights import WeightsError

from astroseg import AstrosegWarning, NoDetectionsWarning, UsageError, read_image
from astroseg.catalog import CONCAVE, EDGE, FRAGMENTED
from astroseg.cli import main
from astroseg.errors import AstrosegError
from astroseg.testing import parametrize_finders


class Simple:
    """A network that says yes to what differs most from the surroundings, within a little more than the points' box."""

    device = "cpu"

    def __init__(self):
        self.card = {"architecture": {"name": "dextr"}, "calibration": {}, "form": "light"}
        self.seen = []

    def __call__(self, batch):
        self.seen.append(batch)
        return {"segmentation": np.stack([self.one(planes) for planes in batch])[:, np.newaxis]}

    @staticmethod
    def one(planes):
        sky, guides = planes[0], planes[-4] + planes[-3]
        y, x = np.nonzero(guides > 0.4)
        box = np.zeros(sky.shape, dtype=bool)
        box[y.min() - 2 : y.max() + 3, x.min() - 2 : x.max() + 3] = True
        height = np.abs(sky)
        middle = 0.5 * np.percentile(height[box], 98)
        return np.where(box, np.clip(8 * (height / middle - 1), -8, 8), -8).astype("f4")


@pytest.fixture
def simple(monkeypatch):
    """The finder with that network."""
    network = Simple()
    for module in ("outline", "dextr_finder"):
        monkeypatch.setattr(f"astroseg_networks.{module}.hash_weights", lambda *_: "0" * 64)
    monkeypatch.setattr(outlining, "_opened", lambda *_: Network(network, FORMS["light"], 1))
    return network


def scene(*boxes, sign=1, shape=(120, 150), seed=1):
    """Noise, and rectangles of 20 times it: (left, bottom, right, top), all included."""
    data = np.random.default_rng(seed).normal(size=shape).astype("f4")
    truth = np.zeros(shape, dtype=int)
    for label, (left, bottom, right, top) in enumerate(boxes, start=1):
        data[bottom : top + 1, left : right + 1] += 20 * sign
        truth[bottom : top + 1, left : right + 1] = label
    return data, truth


def corners(left, bottom, right, top):
    return [(left, (bottom + top) / 2), (right, (bottom + top) / 2), ((left + right) / 2, bottom), (left, top)]


def iou(found, true):
    return np.count_nonzero(found & true) / np.count_nonzero(found | true)


BOX, OTHER = (30, 40, 69, 79), (95, 10, 134, 49)


def test_points_become_labels_rows_and_regions(simple):
    data, truth = scene(BOX, OTHER)
    found = DEXTRFinder().find(data, points=[corners(*BOX), corners(*OTHER)])
    assert len(found) == 2
    np.testing.assert_array_equal(found.catalog["dextr_prompt"], [2, 1])  # rows are in raster order
    for label, true in ((1, 2), (2, 1)):
        assert iou(found.labels == label, truth == true) > 0.97
        assert found.catalog["n_pixels"][label - 1] == np.count_nonzero(found.labels == label)
        assert found.catalog["dextr_area"][label - 1].value == found.catalog["n_pixels"][label - 1]
    assert (found.catalog["probability"] > 0.9).all()
    assert len(found.regions("polygon")) >= 2


def test_the_order_of_the_objects_is_nothing(simple):
    boxes = [(20, 20, 50, 60), (45, 30, 80, 70), (60, 50, 99, 99)]
    data, _ = scene(*boxes)
    first = DEXTRFinder().find(data, points=[corners(*box) for box in boxes])
    for order in ([2, 1, 0], [1, 2, 0]):
        again = DEXTRFinder().find(data, points=[corners(*boxes[number]) for number in order])
        np.testing.assert_array_equal(again.labels, first.labels)
        np.testing.assert_array_equal(again.probability, first.probability)


def test_overlap_goes_to_the_higher_probability():
    prompts = [Prompt(points=corners(0, 0, 5, 5)), Prompt(points=corners(3, 0, 9, 5))]
    place = np.s_[0:6, 0:10]
    maps = [(place, np.tile(np.linspace(1, 0, 10, dtype="f4"), (6, 1)))]
    maps.append((place, maps[0][1][:, ::-1]))
    owner, highest = share_pixels((6, 10), maps, prompts, 0.5)
    np.testing.assert_array_equal(owner, np.tile(np.repeat([1, 2], 5), (6, 1)))
    np.testing.assert_array_equal(highest, np.fmax(maps[0][1], maps[1][1]))
    swapped, _ = share_pixels((6, 10), maps[::-1], prompts[::-1], 0.5)
    np.testing.assert_array_equal(swapped, np.array([0, 2, 1])[owner])


def test_the_largest_part_and_those_that_were_clicked_on():
    inside = np.zeros((30, 30), dtype=bool)
    inside[2:12, 2:12] = inside[20:24, 20:24] = inside[2:4, 20:22] = True
    place = np.s_[100:130, 50:80]
    mask, fragments = object_mask(inside, Prompt(box=(50, 100, 80, 130)), place, 1.5)
    assert fragments == 2
    assert np.count_nonzero(mask) == 100
    mask, fragments = object_mask(inside, Prompt(box=(50, 100, 80, 130), inside=[(72, 121)]), place, 1.5)
    assert fragments == 1
    assert np.count_nonzero(mask) == 116
    inside[20:25, 20:24] = True  # a fifth of the largest part
    mask, fragments = object_mask(inside, Prompt(box=(50, 100, 80, 130)), place, 1.5)
    assert (fragments, np.count_nonzero(mask)) == (1, 120)
    mask, fragments = object_mask(inside, Prompt(points=[(52, 105), (61, 105), (56, 102), (56, 111)]), place, 1.5)
    assert (fragments, np.count_nonzero(mask)) == (2, 100)


def test_fragments_and_concave_outlines_are_flagged(simple):
    data, _ = scene((20, 20, 80, 25), (20, 26, 25, 90), (60, 70, 66, 76))
    found = DEXTRFinder().find(data, points=[corners(20, 20, 80, 90)])
    assert found.catalog["dextr_fragments"][0] == 1
    assert found.catalog["flags"][0] & FRAGMENTED
    assert found.catalog["flags"][0] & CONCAVE
    assert found.catalog["dextr_solidity"][0] < 0.5


def test_solidity_is_that_of_a_polygon():
    mask = np.ones((20, 20), dtype=bool)
    assert solidity(mask) == pytest.approx(1)
    mask[10:, 10:] = False
    assert solidity(mask) == pytest.approx(300 / 350)
    assert np.isnan(solidity(np.zeros((4, 4), dtype=bool)))


def test_an_object_at_the_edge(simple):
    data, truth = scene((0, 50, 29, 89))
    answer = outline(data, points=corners(0, 50, 29, 89))
    assert answer.flags & EDGE
    assert iou(answer.labels(data.shape) > 0, truth > 0) > 0.97


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_unit_and_zero_point_are_nothing(simple, factor):
    data, _ = scene(BOX)
    first = outline(data.astype("f8"), points=corners(*BOX)).mask
    again = outline(factor * (data.astype("f8") + 100), points=corners(*BOX)).mask
    assert iou(first, again) >= 0.99


def test_outline_and_finder_agree(simple):
    data, _ = scene(BOX)
    data[50:60, 50:60] = np.nan
    image = read_image(data)
    answer = outline(image, points=corners(*BOX), inside=[(40, 60)])
    found = DEXTRFinder().find(image, points=[Prompt(points=corners(*BOX), inside=[(40, 60)])])
    np.testing.assert_array_equal(answer.labels(data.shape), found.labels)
    assert answer.score == pytest.approx(found.catalog["probability"][0])
    assert not answer.labels(data.shape)[50:60, 50:60].any()
    area = sum(_area(ring) for ring in answer.polygons) + sum(_area(ring) for ring in answer.holes)
    assert area == pytest.approx(np.count_nonzero(answer.mask))


def _area(ring):
    x, y = ring.T
    return np.dot(x, np.roll(y, -1)) / 2 - np.dot(y, np.roll(x, -1)) / 2


def test_further_channels(simple):
    """A network of one channel sees one after the other, as it is and turned, and its logits are averaged."""
    data, truth = scene(BOX)
    nothing = scene(seed=2)[0]
    DEXTRFinder().find(data, points=[corners(*BOX)], channels=[nothing, data])
    assert len(simple.seen) == 2 * 3
    found = DEXTRFinder().find(data, points=[corners(*BOX)], channels=[data, data])
    assert iou(found.labels > 0, truth > 0) > 0.97


def test_an_image_turned_by_half_a_turn_has_the_answer_turned():
    data, _ = scene(BOX)
    points = np.array(corners(*BOX))
    turned = np.array(data.shape[::-1]) - 1 - points
    first, second = (DEXTRFinder().find(sky, points=[four]).labels > 0 for sky, four in
                     ((data, points), (np.ascontiguousarray(data[::-1, ::-1]), turned)))  # fmt: skip
    assert iou(first, second[::-1, ::-1]) > 0.995


def test_a_channel_of_another_size(simple):
    with pytest.raises(AstrosegError, match="has 150 x 119 pixels, array has 150 x 120"):
        DEXTRFinder().find(scene()[0], points=[corners(*BOX)], channels=[scene()[0][1:]])


def test_a_network_of_several_channels_wants_them_all(simple, monkeypatch):
    monkeypatch.setattr(outlining, "_opened", lambda *_: Network(simple, FORMS["light"], 2))
    data, _ = scene(BOX)
    with pytest.raises(UsageError, match="take 2 images on one grid, not 1"):
        DEXTRFinder().find(data, points=[corners(*BOX)])
    DEXTRFinder().find(data, points=[corners(*BOX)], channels=[data])
    assert simple.seen[-1].shape == (1, 8, 256, 256)


@pytest.mark.parametrize(("sign", "polarity"), [(1, "auto"), (1, "bright"), (-1, "dark"), (-1, "both")])
def test_objects_are_proposed(simple, sign, polarity):
    data, truth = scene(BOX, OTHER, sign=sign)
    found = DEXTRFinder(polarity=polarity).find(data)
    assert len(found) == 2
    assert iou(found.labels > 0, truth > 0) > 0.95


@pytest.mark.parametrize("data", [np.zeros((64, 64)), np.random.default_rng(1).normal(size=(200, 200))])
def test_nothing_is_proposed_in_nothing(simple, data):
    image = read_image(data, keep_zeros=True)
    with pytest.warns(NoDetectionsWarning):
        found = DEXTRFinder().find(image)
    assert len(found) == 0
    assert {"dextr_prompt", "dextr_fragments", "dextr_solidity", "dextr_area"} <= set(found.catalog.colnames)


def test_what_the_network_does_not_see_is_said(simple, monkeypatch):
    monkeypatch.setattr(Simple, "one", staticmethod(lambda planes: np.full(planes[0].shape, -8, "f4")))
    with pytest.warns(AstrosegWarning, match="1 of 1 objects|found nothing"):
        found = DEXTRFinder().find(scene(BOX)[0], points=[corners(*BOX)])
    assert len(found) == 0


def test_areas_on_the_sun(simple):
    """A pixel at the angle t from the middle of the disk shows 1 / cos t times its own area."""
    pytest.importorskip("sunpy")
    import astropy.units as u
    from sunpy.coordinates import HeliographicStonyhurst, Helioprojective

    data, _ = scene((300, 250, 309, 259), shape=(500, 500), sign=-1)
    image = read_image(data)
    image.wcs = _full_disk(500, 4.0)
    found = DEXTRFinder().find(image, points=[corners(300, 250, 309, 259)])
    assert found.catalog["dextr_area"].unit == u.arcsec**2
    row = found.catalog[0]
    assert row["dextr_area"].value == pytest.approx(16 * row["n_pixels"])
    y, x = np.nonzero(found.labels)
    offset = 4.0 * np.hypot(x - 249.5, y - 249.5) / 960
    mm = (4 / 3600 * np.pi / 180 * 1.4959787e5) ** 2  # of a pixel, at an astronomical unit
    assert row["dextr_solar_area"].value == pytest.approx(mm * np.sum(1 / np.sqrt(1 - offset**2)), rel=0.02)
    observer = HeliographicStonyhurst(0 * u.deg, 0 * u.deg, 1 * u.AU, obstime="2013-02-01")
    angles = (4 * (middle - 249.5) * u.arcsec for middle in (x.mean(), y.mean()))
    place = Helioprojective(*angles, observer=observer, obstime="2013-02-01")
    place = place.transform_to(HeliographicStonyhurst(obstime="2013-02-01"))
    assert row["dextr_hg_lon"].value == pytest.approx(place.lon.deg, abs=0.1)
    assert row["dextr_hg_lat"].value == pytest.approx(place.lat.deg, abs=0.1)


def _full_disk(size, pixel):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    wcs.wcs.cdelt = [pixel / 3600, pixel / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.dateobs = "2013-02-01T00:00:00"
    wcs.wcs.aux.rsun_ref, wcs.wcs.aux.dsun_obs = 6.957e8, 1.4959787e11
    wcs.wcs.aux.hgln_obs = wcs.wcs.aux.hglt_obs = 0.0
    return wcs


BAD = {
    "outside": (corners(500, 500, 600, 600), r"lies outside array, which has 150 x 120 pixels"),
    "three": (corners(*BOX)[:3], r"shape \(n, 4, 2\)"),
    "blank": (corners(5, 5, 20, 20), "is blank there, or of one brightness"),
    "blank, and noise around it": (corners(8, 8, 34, 34), "is blank there, or of one brightness"),
    "nan": ([*corners(*BOX)[:3], (np.nan, 4)], "not a finite number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_points(simple, case):
    data, _ = scene(BOX)
    data[:39, :39] = np.nan
    points, message = BAD[case]
    with pytest.raises(AstrosegError, match=message):
        DEXTRFinder().find(data, points=points)


def test_weights_of_another_form(simple, monkeypatch):
    monkeypatch.undo()
    network = Simple()
    network.card = network.card | {"form": "other"}
    monkeypatch.setattr(outlining, "open_runtime", lambda *_, **__: network)
    with pytest.raises(WeightsError, match="their form 'other' is none of light, published"):
        outlining._opened.__wrapped__("unet", "cpu", "")


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def test_on_the_command_line(simple, tmp_path, capsys):
    data, truth = scene(BOX)
    image, points = tmp_path / "a.fits", tmp_path / "points.ecsv"
    fits.writeto(image, data)
    Table(dict(zip("xy", np.transpose(corners(*BOX)), strict=True))).write(points)
    options = ("--points", points, "--channel", image, "--regions", "polygon", "--output", tmp_path, "--quiet")
    assert run("find", image, "--backend", "dextr", *options) == 0
    labels = fits.getdata(tmp_path / "a.dextr.labels.fits")
    assert iou(labels > 0, truth > 0) > 0.97
    assert "polygon(" in (tmp_path / "a.dextr.reg").read_text()
    assert run("find", image, "--backend", "sigma", "--points", points, "--output", tmp_path) == 2
    assert "does not take points" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "status", "message"),
    [
        ([(1, 1), (5, 5), (3, 9)], 2, "needs four extreme points"),
        ([(5, 5)] * 4, 2, "one and the same"),
        (corners(900, 900, 950, 950), 2, "lies outside"),
        (corners(2, 2, 20, 20), 1, "is blank there"),
        ([(np.nan, 5), *corners(*BOX)[1:]], 2, "not a finite number"),
        (np.arange(20_000).reshape(-1, 2), 2, "at most 1,000"),
        ([], 2, "has no rows"),
    ],
)
def test_bad_files_end_in_one_line(simple, tmp_path, capsys, rows, status, message):
    data, _ = scene(BOX)
    data[:39, :39] = np.nan
    image, points = tmp_path / "a.fits", tmp_path / "points.ecsv"
    fits.writeto(image, data)
    x, y = np.reshape(np.array(rows, dtype=float), (-1, 2)).T
    Table({"x": x, "y": y}).write(points)
    assert run("find", image, "--backend", "dextr", "--points", points, "--output", tmp_path) == status
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(tmp_path.glob("*.dextr.*"))


@parametrize_finders(DEXTRFinder(device="cpu"))
def test_conformance(finder, check):
    check(finder)
