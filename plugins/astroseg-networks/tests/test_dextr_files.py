"""Files of points, boxes and polygons."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astroseg_networks.prompt_files import outline_prompt, read_prompts

from astroseg import AstrosegWarning, read_image
from astroseg.errors import AstrosegError, UsageError
from astroseg.sky import to_sky
from astroseg.truth.outlines import Outline

FOUR = np.array([(10, 30), (50, 35), (28, 12), (33, 60)], dtype=float)


def image(kind="sky"):
    made = read_image(np.random.default_rng(1).normal(size=(90, 80)).astype("f4"))
    if kind != "pixel":
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"] if kind == "sky" else ["HPLN-TAN", "HPLT-TAN"]
        wcs.wcs.crval = [150.0, 20.0] if kind == "sky" else [0.05, -0.03]
        wcs.wcs.crpix = [40.5, 45.5]
        wcs.wcs.cdelt = [-1 / 3600 if kind == "sky" else 1 / 3600, 1 / 3600]
        wcs.wcs.cunit = ["deg", "deg"]
        if kind == "sun":
            wcs.wcs.dateobs = "2013-02-01T00:00:00"
        made.wcs = wcs
    return made


def table(path, **columns):
    Table(columns).write(path, format="ascii.ecsv")
    return path


def points_of(path, kind="sky"):
    return [prompt.points for prompt in read_prompts(path, image(kind))]


def test_a_table_of_pixels(tmp_path):
    path = table(tmp_path / "points.ecsv", x=FOUR[:, 0], y=FOUR[:, 1])
    np.testing.assert_array_equal(points_of(path, "pixel"), [FOUR])


def test_fours_follow_one_another_unless_the_rows_say_otherwise(tmp_path):
    twice = np.concatenate([FOUR, FOUR + 2])
    path = table(tmp_path / "points.ecsv", x=twice[:, 0], y=twice[:, 1])
    np.testing.assert_array_equal(points_of(path), [FOUR, FOUR + 2])
    mixed = np.ravel([np.arange(4), np.arange(4) + 4], "F")
    path = table(tmp_path / "named.ecsv", x=twice[mixed, 0], y=twice[mixed, 1], object=["a", "b"] * 4)
    np.testing.assert_array_equal(points_of(path), [FOUR, FOUR + 2])


@pytest.mark.parametrize(("kind", "names", "factor"), [("sky", ("ra", "dec"), 1), ("sun", ("hpc_x", "hpc_y"), 3600)])
def test_a_table_of_the_sky(tmp_path, kind, names, factor):
    sky = np.array(to_sky(image(kind).wcs, *FOUR.T)) * factor
    path = table(tmp_path / "points.ecsv", **dict(zip(names, sky, strict=True)))
    np.testing.assert_allclose(points_of(path, kind), [FOUR], atol=1e-6)


def test_kinds_of_rows(tmp_path):
    path = table(
        tmp_path / "points.ecsv",
        object=[1, 1, 1, 2, 2, 2, 2, 2],
        kind=["box", "box", "outside", "extreme", "extreme", "extreme", "extreme", "inside"],
        x=[50, 10, 12, *FOUR[:, 0], 30],
        y=[40, 20, 22, *FOUR[:, 1], 31],
    )
    box, points = read_prompts(path, image())
    assert box.box == (10, 20, 50, 40)
    np.testing.assert_array_equal(box.outside, [[12, 22]])
    np.testing.assert_array_equal(points.points, FOUR)
    np.testing.assert_array_equal(points.inside, [[30, 31]])


def ds9(path, *lines, frame="image"):
    path.write_text("\n".join(["# Region file format: DS9 version 4.1", frame, *lines, ""]))
    return path


def test_ds9_points_boxes_and_polygons(tmp_path):
    """DS9 counts from 1."""
    marks = [f"point({x + 1},{y + 1}) # point=cross text={{7}}" for x, y in FOUR]
    path = ds9(tmp_path / "a.reg", *marks, "box(31,41,20,10,0)", "polygon(10.5,10.5,30.5,10.5,20.5,40.5)")
    found = read_prompts(path, image("pixel"))
    assert [prompt.box is not None for prompt in found] == [True, False, False]
    assert found[0].bounds == (20, 35, 40, 45)
    left, bottom, right, top = found[1].bounds
    assert (left, bottom, right) == (10, 10, 29)
    assert 36 <= top <= 39
    np.testing.assert_array_equal(found[2].points, FOUR)


def test_ds9_points_on_the_sky(tmp_path):
    marks = [f"point({x:.9f},{y:.9f})" for x, y in zip(*to_sky(image().wcs, *FOUR.T), strict=True)]
    np.testing.assert_allclose(points_of(ds9(tmp_path / "a.reg", *marks, frame="icrs")), [FOUR], atol=1e-3)


def hek(path, *polygons):
    events = [{"event_type": "CH", "hpc_boundcc": text, "hpc_bbox": ""} for text in polygons]
    path.write_text(json.dumps({"result": events}))
    return path


def polygon(points):
    sky = np.array(to_sky(image("sun").wcs, *np.array(points, dtype=float).T)).T * 3600
    return "POLYGON((" + ",".join(f"{x} {y}" for x, y in sky) + "))"


def test_hek_polygons(tmp_path):
    shape = [(9.5, 9.5), (40.5, 9.5), (40.5, 30.5), (24, 45.5), (9.5, 30.5)]
    rectangle = [(9.5, 9.5), (40.5, 9.5), (40.5, 30.5), (9.5, 30.5)]
    far = np.array(shape) + 500
    path = hek(tmp_path / "hek.json", polygon(shape), polygon(far), polygon(rectangle))
    with pytest.warns(AstrosegWarning, match="1 of 3 outlines of hek.json do not show"):
        drawn, box = read_prompts(path, image("sun"))
    assert drawn.bounds == (10, 10, 40, 45)
    np.testing.assert_allclose(box.bounds, (9.5, 9.5, 40.5, 30.5), atol=1e-3)


def test_an_outline_that_reaches_beyond_the_image():
    ring = np.array([(-20.0, 10), (30, -15), (60, 70), (20, 200)])
    prompt = outline_prompt(Outline([ring]), (90, 80), "it")
    left, bottom, right, top = prompt.bounds
    assert min(left, bottom) >= 0
    assert right < 80
    assert top == 89


def test_labelme(tmp_path):
    """labelme counts from the top."""
    shape = {"label": "x", "points": [[9.5, 79.5], [30.5, 79.5], [20, 50]], "shape_type": "polygon"}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"imageHeight": 90, "imageWidth": 80, "shapes": [shape]}))
    assert read_prompts(path, image("pixel"))[0].bounds[1] == 10


XY = {"x": FOUR[:, 0], "y": FOUR[:, 1]}
MANY = np.arange(1e4)
MADE = {
    "empty": lambda path: path.write_text(""),
    "no rows": lambda path: table(path, x=np.empty(0), y=np.empty(0)),
    "three points": lambda path: table(path, x=FOUR[:3, 0], y=FOUR[:3, 1]),
    "nine points": lambda path: table(path, x=np.arange(9.0), y=np.arange(9.0) ** 2),
    "all equal": lambda path: table(path, x=[5.0] * 4, y=[5.0] * 4),
    "NaN": lambda path: table(path, x=[1.0, 5, 9, np.nan], y=[1.0, 5, 9, 3]),
    "10,000 points": lambda path: table(path, x=MANY, y=MANY),
    "of one object": lambda path: table(path, x=MANY, y=MANY, object=[1] * 10_000),
    "other columns": lambda path: table(path, a=[1.0, 2, 3, 4]),
    "other kinds": lambda path: table(path, **XY, kind=["corner"] * 4),
    "on the sky": lambda path: ds9(path, "polygon(150,20,150.1,20,150,20.1)", frame="icrs"),
    "on the Sun": lambda path: hek(path, "POLYGON((1 2,3 4,5 9))"),
    "elsewhere": lambda path: ds9(path, "polygon(500,500,600,500,550,600)"),
}


BAD = {
    "empty": "is empty",
    "no rows": "has no rows",
    "three points": "needs four extreme points; object 1 of points.ecsv has 3",
    "nine points": "object 3 of points.ecsv has 1",
    "all equal": "one and the same",
    "NaN": "not a finite number",
    "10,000 points": "has 2,500 objects; at most 1,000",
    "of one object": "object 1 of points.ecsv has 10000",
    "other columns": "no columns x and y",
    "other kinds": "of the kind 'corner'",
    "on the sky": "are on the sky",
    "on the Sun": "need an image of the Sun",
    "elsewhere": "nothing in points.ecsv that lies on",
}


@pytest.mark.filterwarnings("ignore::astroseg.AstrosegWarning")
@pytest.mark.parametrize("kind", BAD)
def test_bad_files(tmp_path, kind):
    path = tmp_path / "points.ecsv"
    MADE[kind](path)
    with pytest.raises((AstrosegError, UsageError), match=BAD[kind]) as caught:
        read_prompts(path, image("pixel"))
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(AstrosegError, match="There is no file"):
        read_prompts(tmp_path / "none.reg", image())


def test_an_image_is_no_list_of_points(tmp_path):
    path = tmp_path / "labels.fits"
    fits.writeto(path, np.eye(8, dtype="i4"))
    with pytest.raises(UsageError, match="is an image"):
        read_prompts(path, image())
