"""Points and boxes, and what is refused."""

import numpy as np
import pytest
from astroseg_networks.dextr_input import FORMS, Guides, guide_planes, network_planes, views
from astroseg_networks.prompts import Prompt, as_prompts, extreme_points
from hypothesis import given, settings
from hypothesis import strategies as st

from astroseg.errors import UsageError

FOUR = [(10, 30), (50, 35), (28, 12), (33, 60)]
BAD = {
    "three points": ({"points": FOUR[:3]}, "needs four extreme points; the object has 3"),
    "many": ({"points": np.zeros((10_000, 2))}, "has 10000"),
    "one and the same": ({"points": [(5, 5)] * 4}, "one and the same"),
    "a line": ({"points": [(5, 5), (9, 5), (7, 5), (6, 5)]}, "lie on a line"),
    "not finite": ({"points": [*FOUR[:3], (np.nan, 5)]}, "not a finite number"),
    "no pairs": ({"points": [1, 2, 3, 4]}, "pairs"),
    "words": ({"points": "here"}, "pairs"),
    "nothing": ({}, "either four extreme points or a box; the object has none"),
    "both": ({"points": FOUR, "box": (0, 0, 9, 9)}, "has both"),
    "empty box": ({"box": (9, 9, 9, 20)}, "no area"),
    "box turned over": ({"box": (20, 9, 9, 20)}, "no area"),
    "box of three": ({"box": (1, 2, 3)}, "four finite numbers"),
    "clicks": ({"points": FOUR, "inside": [(np.inf, 2)]}, "not a finite number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_prompts(case):
    options, message = BAD[case]
    with pytest.raises(UsageError, match=message) as caught:
        Prompt(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("points", "message"),
    [([], "no points"), (np.zeros((3, 3, 2)), r"\(3, 3, 2\)"), ("abc", "four"), (None, "four|no points")],
)
def test_bad_lists(points, message):
    with pytest.raises(UsageError, match=message):
        as_prompts(points)


def test_one_or_several():
    assert len(as_prompts(FOUR)) == 1
    assert len(as_prompts([FOUR, FOUR])) == 2
    assert len(as_prompts(Prompt(points=FOUR))) == 1
    assert as_prompts([Prompt(box=(0, 0, 4, 4))])[0].bounds == (0, 0, 4, 4)


@given(st.integers(0, 2**31))
def test_extreme_points_are_extreme_and_on_the_object(seed):
    mask = np.random.default_rng(seed).random((12, 9)) > 0.8
    mask[3, 4] = True
    points = extreme_points(*np.nonzero(mask))
    y, x = np.nonzero(mask)
    np.testing.assert_array_equal(points[:2, 0], [x.min(), x.max()])
    np.testing.assert_array_equal(points[2:, 1], [y.min(), y.max()])
    assert all(mask[int(row), int(column)] for column, row in points)


def test_of_a_run_the_middle():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 3] = mask[4, 3:8] = True
    np.testing.assert_array_equal(extreme_points(*np.nonzero(mask)), [[3, 4], [7, 4], [3, 2], [3, 6]])


def planes(image, prompt, form="light"):
    return network_planes([(image, None)], prompt, FORMS[form].crop(prompt), FORMS[form])


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(3)
    data = rng.normal(size=(90, 80))
    data[15:55, 12:48] += 6
    return data


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_the_points_is_nothing(image, form):
    first = planes(image, Prompt(points=FOUR), form)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        np.testing.assert_array_equal(planes(image, Prompt(points=[FOUR[i] for i in order]), form), first)


def test_repeated_points_are_one(image):
    """A triangle has an extreme point twice."""
    points = [(10, 30), (50, 12), (50, 12), (33, 60)]
    hills = planes(image, Prompt(points=points))[2]
    assert hills.max() <= 1
    guides = Guides.of(Prompt(points=points), FORMS["light"].crop(Prompt(points=points)))
    np.testing.assert_allclose(hills.sum(), guide_planes(
        Guides(guides.points[[0, 1, 3]], guides.box, guides.inside, guides.outside), 256, 6.0
    )[0].sum(), rtol=1e-6)  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(st.floats(-6, 6), st.floats(-1e3, 1e3))
def test_unit_and_zero_point_are_nothing(power, shift):
    data = np.random.default_rng(4).normal(size=(90, 80))
    data[15:55, 12:48] += 6
    prompt, factor = Prompt(points=FOUR), 10.0**power
    np.testing.assert_allclose(planes(factor * (data + shift), prompt), planes(data, prompt), atol=1e-4)


def test_hills_have_their_width():
    guides = Guides(np.array([[100.0, 50.0]]), (90, 40, 110, 60), np.empty((0, 2)), np.empty((0, 2)))
    hill = guide_planes(guides, 256, 10.0)[0]
    assert hill[50, 100] == 1
    np.testing.assert_allclose(hill[50, [95, 105]], 0.5, rtol=1e-6)
    np.testing.assert_allclose(hill[[45, 55], 100], 0.5, rtol=1e-6)


def test_a_box_is_filled():
    prompt = Prompt(box=(10, 20, 29, 49))
    crop = FORMS["light"].crop(prompt)
    filled = planes(np.random.default_rng(5).normal(size=(80, 80)), prompt)
    assert not filled[2].any()
    area = filled[3].sum() * (crop.width / 256) ** 2
    assert area == pytest.approx(20 * 30, rel=0.03)


def test_points_have_a_box_around_them(image):
    boxes = [planes(image, prompt)[3] for prompt in (Prompt(points=FOUR), Prompt(box=Prompt(points=FOUR).bounds))]
    np.testing.assert_array_equal(*boxes)
    assert boxes[0].any()


def test_a_coarser_form_shows_the_same(image):
    """Blocks of 2 x 2 pixels of the fine one."""
    prompt, fine, coarse = Prompt(points=FOUR), FORMS["light"], FORMS["light"].of_size(128)
    assert (coarse.size, coarse.fwhm) == (128, fine.fwhm / 2)
    seen = [network_planes([(image, None)], prompt, form.crop(prompt), form)[2] for form in (fine, coarse)]
    blocks = seen[0].reshape(128, 2, 128, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks, seen[1], atol=0.1)


def test_nothing_to_tell_apart_is_nothing():
    for values in (np.full((32, 32), np.nan), np.full((32, 32), 5.0), np.full((32, 32), 1e9)):
        assert not views(values, (8, 8, 24, 24)).any()
