"""What clicks do, without a page: steps, the way back, and the files."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astroseg_networks import click_state
from astroseg_networks.click_state import ClickState
from astroseg_networks.dextr_finder import DEXTRFinder

from astroseg import read_image
from astroseg.errors import AstrosegError, UsageError

SHAPE = (120, 160)
FOUR = [(20, 30), (50, 32), (33, 20), (35, 48)]


class Rectangles:
    """Outlines the box of the points; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, image, *, points, box, inside, outside, channels, finder):
        self.asked.append(SimpleNamespace(points=points, box=box, inside=inside, outside=outside, channels=channels))
        left, bottom, right, top = box if box is not None else (*np.min(points, axis=0), *np.max(points, axis=0))
        place = slice(int(bottom), int(top) + 1), slice(int(left), int(right) + 1)
        mask = np.zeros((place[0].stop - place[0].start, place[1].stop - place[1].start), dtype=bool)
        mask[:, :] = not len(outside)
        return SimpleNamespace(mask=mask, place=place)


@pytest.fixture
def rectangles(monkeypatch):
    made = Rectangles()
    monkeypatch.setattr(click_state, "outline", made)
    return made


@pytest.fixture
def state(rectangles, tmp_path):
    return ClickState(read_image(np.random.default_rng(1).normal(size=SHAPE)), DEXTRFinder(), folder=tmp_path)


def outline_four(state, shift=0):
    for x, y in FOUR:
        state.add_point(x + shift, y)


def test_the_fourth_point_outlines_an_object(state, rectangles):
    for number, (x, y) in enumerate(FOUR[:3], start=1):
        state.add_point(x, y)
        assert len(state.scene.points) == number
        assert not rectangles.asked
    state.add_point(*FOUR[3])
    np.testing.assert_array_equal(rectangles.asked[0].points, FOUR)
    assert state.scene.points == ()
    assert state.scene.chosen == 0
    assert state.unsaved


def test_a_box_counts_as_far_as_the_image_goes(state, rectangles):
    state.add_box(-30, 100, 40, 500)
    assert rectangles.asked[0].box == (0, 100, 40, 119)


def test_corrections_go_to_the_chosen_object(state, rectangles):
    outline_four(state)
    outline_four(state, shift=70)
    state.choose(0)
    state.correct(60, 40, belongs=True)
    asked = rectangles.asked[-1]
    np.testing.assert_array_equal(asked.points, FOUR)
    np.testing.assert_array_equal(asked.inside, [(60, 40)])
    state.correct(61, 41, belongs=True)
    np.testing.assert_array_equal(rectangles.asked[-1].inside, [(60, 40), (61, 41)])
    assert len(state.scene.items[1].prompt.inside) == 0


def test_where_nothing_is_left_nothing_changes(state):
    outline_four(state)
    before = state.scene
    with pytest.raises(AstrosegError, match="sees no object"):
        state.correct(30, 30, belongs=False)
    assert state.scene is before


@pytest.mark.parametrize(("x", "y"), [(-1, 5), (160, 5), (5, 120), (np.nan, 5)])
def test_points_beyond_the_image_are_refused(state, x, y):
    with pytest.raises(UsageError, match="lies outside the image, which has 160 x 120 pixels"):
        state.add_point(x, y)
    assert not state.scene.points


def test_four_points_on_a_line_are_refused_and_the_fourth_can_be_another(state):
    for x in (10, 20, 30):
        state.add_point(x, 10)
    with pytest.raises(UsageError, match="lie on a line"):
        state.add_point(40, 10)
    assert len(state.scene.points) == 3
    state.add_point(25, 30)
    assert len(state.scene.items) == 1


def test_every_step_can_be_taken_back(state):
    steps = [
        lambda: outline_four(state),
        lambda: state.rename("a"),
        lambda: state.correct(60, 40, belongs=True),
        lambda: state.add_box(80, 80, 100, 100),
        state.remove,
    ]
    scenes = []
    for step in steps:
        scenes.append(state.scene)
        step()
    for scene in reversed(scenes[1:]):
        state.undo()
        assert state.scene is scene
    for left in (3, 2, 1, 0):
        state.undo()
        assert len(state.scene.points) == left
    with pytest.raises(UsageError, match="nothing to take back"):
        state.undo()


def test_the_smallest_object_under_a_click_is_chosen(state):
    state.add_box(10, 10, 100, 100)
    state.add_box(30, 30, 40, 40)
    for place, index in (((35, 35), 1), ((20, 20), 0), ((150, 5), None), ((40.4, 30.2), 1), ((40.6, 30.2), 0)):
        state.choose_at(*place)
        assert state.scene.chosen == index


@pytest.mark.parametrize("act", [lambda state: state.correct(5, 5, belongs=True), ClickState.remove,
                                 lambda state: state.rename("a")])  # fmt: skip
def test_without_a_choice(state, act):
    with pytest.raises(UsageError, match="Choose the object"):
        act(state)


def test_names_are_one_line(state):
    outline_four(state)
    state.rename("  two\nlines \t" + 200 * "x")
    name = state.scene.item.name
    assert name.startswith("two lines xxx")
    assert len(name) == 80


# With the network


def discs(*places, radius=20):
    """Noise, and discs of 20 times it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = [(x - place[0]) ** 2 + (y - place[1]) ** 2 < radius**2 for place in places]
    return np.random.default_rng(1).normal(size=SHAPE).astype("f4") + 20 * np.any(truth, axis=0), truth


def around(place, radius=20):
    x, y = place
    return [(x - radius, y), (x + radius, y), (x, y - radius), (x, y + radius)]


PLACES = (45, 75), (110, 40)


@pytest.fixture
def real(tmp_path):
    """Two discs, outlined by the network that ships; the later one comes first in raster order."""
    fits.writeto(tmp_path / "sky.fits", discs(*PLACES)[0])
    state = ClickState(read_image(tmp_path / "sky.fits"), DEXTRFinder(device="cpu"), folder=tmp_path / "out")
    for place, name in zip(PLACES, ("upper", 'lower; "quoted", <b>ü</b>'), strict=True):
        for point in around(place):
            state.add_point(*point)
        state.rename(name)
    return state


def test_saving_writes_what_is_seen(real):
    files = real.save()
    assert sorted(path.name for path in files) == ["sky.dextr.ecsv", "sky.dextr.labels.fits", "sky.dextr.reg"]
    assert not real.unsaved
    catalog = QTable.read(real.folder / "sky.dextr.ecsv")
    labels = fits.getdata(real.folder / "sky.dextr.labels.fits")
    truth = discs(*PLACES)[1]
    for row in catalog:
        item = real.scene.items[row["dextr_prompt"] - 1]
        assert row["dextr_name"] == item.name
        np.testing.assert_array_equal(labels == row["label"], item.outlined.labels(SHAPE) > 0)
        true = truth[row["dextr_prompt"] - 1]
        own = labels == row["label"]
        assert np.count_nonzero(own & true) / np.count_nonzero(own | true) > 0.9
    assert list(catalog["dextr_prompt"]) == [2, 1]
    assert (real.folder / "sky.dextr.reg").read_text().count("polygon(") == 2


def test_files_of_others_are_kept_and_own_ones_replaced(real):
    real.folder.mkdir()
    there = real.folder / "sky.dextr.reg"
    there.write_text("mine")
    with pytest.raises(AstrosegError, match=r"sky\.dextr\.reg exists already .* --overwrite"):
        real.save()
    assert [path.name for path in real.folder.iterdir()] == ["sky.dextr.reg"]
    assert there.read_text() == "mine"
    there.unlink()
    real.save()
    real.remove()
    assert real.unsaved
    real.save()
    assert len(QTable.read(real.folder / "sky.dextr.ecsv")) == 1


def test_overwrite_replaces(real):
    real.folder.mkdir()
    (real.folder / "sky.dextr.reg").write_text("old")
    real.overwrite = True
    real.save()
    assert "polygon(" in (real.folder / "sky.dextr.reg").read_text()


@pytest.mark.parametrize("name", ["../../evil.fits", "/etc/evil.fits", "..", "a/../../evil"])
def test_nothing_is_written_outside_of_the_folder(real, tmp_path, name):
    """Whatever the image and the objects are called."""
    before = {path for path in tmp_path.rglob("*") if real.folder not in path.parents}
    real.image.meta["name"] = name
    real.rename("../../evil")
    for path in real.save():
        assert path.resolve().parent == real.folder.resolve()
    assert {path for path in tmp_path.rglob("*") if real.folder not in path.parents} - before == {real.folder}


def test_a_link_out_of_the_folder_is_not_followed(real, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    real.folder.mkdir()
    (real.folder / "sky.dextr.reg").symlink_to(outside)
    with pytest.raises(AstrosegError, match="exists already"):
        real.save()
    real.overwrite = True
    real.save()
    assert outside.read_text() == "mine"
    assert not (real.folder / "sky.dextr.reg").is_symlink()


def test_nothing_to_save(state):
    with pytest.raises(UsageError, match="nothing to save yet"):
        state.save()
