"""From maps to sources: what was asked for is found again in perfect maps."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from astroseg_networks.decoding import AGREE, CERTAIN, add_certain, assign_pixels, find_centres, source_parameters
from astroseg_networks.skies import draw_settings, sky_significance, sky_targets
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial import KDTree

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.simulate.field import radio_field
from astroseg.simulate.populations import PRESETS

BEAM = 2.5
CHANNELS = {"segmentation": 1, "centre": 1, "vote": 2, "log_flux": 2, "log_major": 2, "log_minor": 2, "angle": 2}


def empty(shape=(40, 50)):
    """Maps of a sky without sources."""
    maps = {name: np.zeros((count, *shape), "f4") for name, count in CHANNELS.items()}
    maps["segmentation"] -= 5
    maps["centre"] -= 10
    return maps


def perfect(targets, significance):
    """What a network would say that knows the answer."""
    maps = empty(significance.shape)
    maps["segmentation"][:] = np.where(targets["segmentation"] > 0, 6, -6)
    hill = np.clip(targets["centre"], 1e-6, 1 - 1e-6)
    maps["centre"][:] = np.log(hill / (1 - hill))
    maps["vote"][:] = targets["vote"]
    maps["log_flux"][0] = targets["shape"][0] - np.arcsinh(significance / 2)
    maps["log_major"][0], maps["log_minor"][0] = targets["shape"][1:3]
    maps["angle"][:] = targets["shape"][3:5]
    for name in ("log_flux", "log_major", "log_minor"):
        maps[name][1] = np.log(0.05**2)
    return maps


@pytest.fixture(scope="module", params=["sdc1", "compact", "extended"])
def known(request):
    """A simulated field, its maps, and what to find: places and parameters of the sources that were asked for."""
    drawn = draw_settings(np.random.default_rng(3))
    sky = replace(drawn, populations=PRESETS[request.param].populations, density=4000.0, beam=BEAM, blank=0.0,
                  primary_beam=0.0)  # fmt: skip
    field = radio_field(np.random.default_rng(4), sky, (320, 320))
    targets = sky_targets(field, sky)
    significance = sky_significance(field, BEAM)
    row, column = np.nonzero(targets["centre"][0] == 1)
    place = np.stack([column + targets["vote"][0][row, column], row + targets["vote"][1][row, column]], axis=1)
    alone = KDTree(place).query(place, 2)[0][:, 1] > BEAM
    shape = targets["shape"][:, row, column]
    return perfect(targets, significance), significance, place[alone], shape[:, alone], len(place), field


def test_perfect_maps_give_all_sources(known):
    maps, significance, place, shape, number, field = known
    centres = find_centres(maps, 0.0, BEAM)
    assert len(place) > 50
    assert len(place) <= centres.x.size <= number
    distance, index = KDTree(np.stack([centres.x, centres.y], axis=1)).query(place)
    assert distance.max() < 1e-3
    assert np.unique(index).size == len(place)
    # These are the sources of the simulation.
    true = np.stack([field.sources["x"], field.sources["y"]], axis=1)
    assert KDTree(true).query(place)[0].max() < 0.01

    found = {name: values[index] for name, values in source_parameters(maps, centres, significance, BEAM).items()}
    np.testing.assert_allclose(found["flux"], np.exp(shape[0]), rtol=1e-4)
    np.testing.assert_allclose(found["flux_error"], 0.05, rtol=1e-4)
    variances, axes = np.linalg.eigh(found["covariance"])
    np.testing.assert_allclose(np.sqrt(variances[:, ::-1]) * FWHM_PER_SIGMA / BEAM, np.exp(shape[1:3]).T, rtol=1e-4)
    long = found["elongation"] > 0.99
    long &= shape[1] > shape[2] + 0.01
    angle = np.arctan2(axes[:, 1, 1], axes[:, 0, 1])
    difference = 2 * angle - np.arctan2(shape[4], shape[3])
    np.testing.assert_allclose(np.cos(difference[long]), 1, atol=1e-4)


def test_perfect_maps_give_the_pixels(known):
    maps = known[0]
    centres = find_centres(maps, 0.0, BEAM)
    owner = assign_pixels(maps, centres, BEAM)
    number = np.arange(1, centres.x.size + 1)
    np.testing.assert_array_equal(owner[centres.row, centres.column], number)
    inside = maps["segmentation"][0] > 0
    assert np.count_nonzero((owner > 0) & inside) > 0.98 * np.count_nonzero(inside)
    # A pixel belongs to the source that it votes for.
    row, column = np.nonzero(inside & (np.hypot(*maps["vote"]) > 0) & (owner > 0))
    goal = np.stack([column + maps["vote"][0][row, column], row + maps["vote"][1][row, column]], axis=1)
    distance, nearest = KDTree(np.stack([centres.x, centres.y], axis=1)).query(goal)
    exact = distance < 1e-3
    assert np.mean(owner[row, column][exact] == nearest[exact] + 1) > 0.97


def test_a_double_is_one_source():
    maps = empty()
    y, x = np.mgrid[:40, :50]
    for left in (10, 30):
        lobe = np.hypot(x - left, y - 20) <= 3
        maps["segmentation"][0][lobe] = 5
        maps["vote"][:, lobe] = np.stack([20 - x, 20 - y])[:, lobe]
        maps["centre"][0, 20, left] = 4 + left / 100
    centres = find_centres(maps, 0.0, BEAM)
    assert (centres.x, centres.y) == (20, 20)
    owner = assign_pixels(maps, centres, BEAM)
    assert set(np.unique(owner)) == {0, 1}
    assert ndimage.label(owner)[1] == 2


def test_nothing_found():
    centres = find_centres(empty(), 0.0, BEAM)
    assert centres.x.size == 0
    assert not assign_pixels(empty(), centres, BEAM).any()
    for name, values in source_parameters(empty(), centres, np.zeros((40, 50)), BEAM).items():
        assert values.shape == ((0, 2, 2) if name == "covariance" else (0,))
    assert find_centres(empty(), np.inf, BEAM).x.size == 0
    assert find_centres(empty((1, 1)), -20.0, BEAM).x.size == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (5, 2)])
def test_equal_neighbours_are_one_peak(size):
    maps = empty()
    maps["centre"][0, 10 : 10 + size[0], 20 : 20 + size[1]] = 3
    centres = find_centres(maps, 0.0, BEAM)
    assert (centres.row, centres.column) == (10, 20)
    assert find_centres({**empty(), "centre": np.full((1, 40, 50), 2, "f4")}, 0.0, BEAM).x.size == 1


@settings(max_examples=60)
@given(hnp.arrays("f4", hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-3, 3)))
def test_every_top_has_a_peak(logit):
    """Each connected set of equal pixels without a higher neighbour."""
    maps = empty(logit.shape) | {"centre": logit[None]}
    centres = find_centres(maps, 0.0, 1e-6)
    peaks = np.zeros(logit.shape, dtype=bool)
    peaks[centres.row, centres.column] = True
    eight = np.ones((3, 3))
    for value in np.unique(logit[logit >= 0]):
        tops, number = ndimage.label(logit == value, eight)
        for top in (tops == index for index in range(1, number + 1)):
            outdone = (logit[ndimage.binary_dilation(top, eight)] > value).any()
            assert outdone or peaks[top].any()
    highest = ndimage.maximum_filter(logit, 3, mode="nearest")
    assert not np.any(peaks & (logit < highest))
    assert not np.any(peaks & (logit < 0))


def test_no_number_is_no_peak():
    maps = empty()
    maps["centre"][0, 5, 5], maps["centre"][0, 20:25, 20:25], maps["centre"][0, 30, 30] = 2, np.nan, 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        centres = find_centres(maps, 0.0, BEAM)
    assert centres.row.tolist() == [30, 5]


def test_a_vote_that_leaves_the_image_ends_at_its_edge():
    maps = empty()
    maps["centre"][0, 0, 49], maps["centre"][0, 39, 0] = 3, 2
    maps["vote"][:, 0, 49], maps["vote"][:, 39, 0] = [30, -0.2], [-0.2, 30]
    centres = find_centres(maps, 0.0, BEAM)
    np.testing.assert_allclose(centres.x, [49.5, -0.2], rtol=1e-6)
    np.testing.assert_allclose(centres.y, [-0.2, 39.5], rtol=1e-6)
    assert set(np.unique(assign_pixels(maps, centres, BEAM))) == {0, 1, 2}


@pytest.mark.parametrize(("apart", "number"), [(0.9 * AGREE, 1), (1.1 * AGREE, 2)])
def test_peaks_that_agree_are_one_source(apart, number):
    maps = empty()
    maps["centre"][0, 10, 10], maps["centre"][0, 10, 16] = 2, 3
    maps["vote"][0, 10, 10], maps["vote"][0, 10, 16] = 3 - apart * BEAM / 2, -3 + apart * BEAM / 2
    centres = find_centres(maps, 0.0, BEAM)
    assert centres.x.size == number
    assert centres.column[0] == 16  # the more probable one comes first
    np.testing.assert_allclose(centres.score, [3, 2][:number])


def test_a_chain_of_peaks_keeps_every_other_one():
    maps = empty()
    for index in range(5):
        column = 10 + 4 * index
        maps["centre"][0, 10, column] = 5 - index
        maps["vote"][0, 10, column] = 20 + 0.8 * AGREE * BEAM * index - column
    np.testing.assert_allclose(find_centres(maps, 0.0, BEAM).score, [5, 3, 1])


class TestPixels:
    def two(self, *, segmented):
        """Two sources 10 pixels apart."""
        maps = empty()
        for column in (15, 25):
            maps["centre"][0, 20, column] = column
        if segmented:
            maps["segmentation"][0, 18:23, 10:31] = 5
        return maps, find_centres(maps, 0.0, BEAM)

    def test_a_source_that_the_segmentation_misses_has_a_disk(self):
        maps, centres = self.two(segmented=False)
        owner = assign_pixels(maps, centres, BEAM)
        y, x = np.mgrid[:40, :50]
        np.testing.assert_array_equal(owner == 1, np.hypot(x - 25, y - 20) <= BEAM / 2)
        np.testing.assert_array_equal(owner == 2, np.hypot(x - 15, y - 20) <= BEAM / 2)

    def test_a_disk_takes_no_pixel_of_another_source_and_ends_at_the_edge(self):
        maps = empty()
        maps["centre"][0, 0, 0], maps["centre"][0, 0, 2] = 3, 2
        maps["segmentation"][0, 0, 2] = 5
        maps["vote"][0, 0, 0] = -0.3
        owner = assign_pixels(maps, find_centres(maps, 0.0, 1.0), 4.0)
        assert (owner[0, 0], owner[0, 2]) == (1, 2)
        assert np.count_nonzero(owner == 2) == 1
        assert not owner[3:].any()

    def test_votes_decide(self):
        maps, centres = self.two(segmented=True)
        x = np.arange(50)
        maps["vote"][0] = np.where(x < 18, 15 - x, 25 - x)
        owner = assign_pixels(maps, centres, BEAM)
        assert np.all(owner[18:23, 10:18] == 2)
        assert np.all(owner[18:23, 18:31] == 1)
        assert not owner[:18].any()

    def test_stray_pixels_follow_the_nearest_of_their_island(self):
        maps, centres = self.two(segmented=True)
        maps["segmentation"][0, 25:30, 10:31] = 5  # another island, without a source
        maps["vote"][0, :, :] = 500.0
        maps["vote"][:, 20, 15] = maps["vote"][:, 20, 25] = 0
        owner = assign_pixels(maps, centres, BEAM)
        assert np.all(owner[18:23, 10:20] == 2)
        assert np.all(owner[18:23, 21:31] == 1)
        assert not owner[24:].any()

    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_every_source_has_a_pixel_and_every_island_is_full(self, data):
        shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
        numbers = st.integers(-2, 2)
        maps = empty(shape)
        for name in ("segmentation", "centre", "vote"):
            maps[name] = data.draw(hnp.arrays("f4", maps[name].shape, elements=numbers))
        centres = find_centres(maps, 0.0, BEAM)
        owner = assign_pixels(maps, centres, BEAM)
        assert owner.dtype == np.int32
        np.testing.assert_array_equal(owner[centres.row, centres.column], np.arange(1, centres.x.size + 1))
        # Where one pixel of an island has an owner that was voted for, all have one.
        islands, number = ndimage.label(maps["segmentation"][0] >= 0, np.ones((3, 3)))
        for index in range(1, number + 1):
            owned = owner[islands == index] > 0
            assert owned.all() or not owned.any()


class TestCertain:
    """In a sky as bright as the segmentation is sure."""

    def add(self, maps, least=0.0):
        centres = find_centres(maps, least, BEAM)
        return centres, add_certain(maps, centres, maps["segmentation"][0], BEAM)

    def island(self, maps, columns, height):
        maps["segmentation"][0, 18:23, columns] = 1
        maps["segmentation"][0, 20, columns.start + 1] = height

    def test_an_island_beyond_doubt_has_a_source_at_its_best_pixel(self):
        maps = empty()
        self.island(maps, slice(5, 15), CERTAIN)
        self.island(maps, slice(25, 35), CERTAIN - 0.1)
        maps["centre"][0, 21, 12] = maps["centre"][0, 21, 30] = -3
        _, centres = self.add(maps)
        assert (centres.row, centres.column, centres.score) == (21, 12, -3)
        owner = assign_pixels(maps, centres, BEAM)
        assert np.all(owner[18:23, 5:15] == 1)
        assert np.count_nonzero(owner) == 50

    def test_an_island_that_votes_for_a_source_elsewhere_needs_none(self):
        maps = empty()
        self.island(maps, slice(5, 15), 9)
        maps["centre"][0, 20, 25] = 2
        maps["vote"][0, 18:23, 5:15] = 25 - np.arange(5, 15)
        centres, more = self.add(maps)
        assert centres.x.size == more.x.size == 1

    def test_a_hill_that_its_neighbours_do_not_claim_is_a_source(self):
        maps = empty()
        maps["segmentation"][0, 18:23, 5:35] = 1
        maps["segmentation"][0, 20, [6, 20]] = 9
        maps["centre"][0, 20, 6], maps["centre"][0, 20, 19] = 2, -3
        at = np.arange(50)
        maps["vote"][0] = np.where(at < 10, 6 - at, 20 - at)
        centres, more = self.add(maps)
        assert centres.x.size == 1
        np.testing.assert_array_equal([more.x, more.y], [[6, 20], [20, 20]])
        owner = assign_pixels(maps, more, BEAM)
        assert (np.count_nonzero(owner == 1), np.count_nonzero(owner == 2)) == (25, 125)
        # Without a top of its own it is a wing.
        maps["segmentation"][0, 20, 20] = 1
        maps["segmentation"][0, 20, 9:12] = 8, 7, 6
        assert self.add(maps)[1].x.size == 1

    def test_two_lobes_that_vote_for_one_place_are_one_source(self):
        maps = empty()
        for columns in (slice(5, 15), slice(30, 40)):
            self.island(maps, columns, 9)
            maps["vote"][0, 18:23, columns] = 22.5 - np.arange(50)[columns]
            maps["vote"][1, 18:23, columns] = (20 - np.arange(18, 23))[:, np.newaxis]
        _, centres = self.add(maps)
        assert (centres.x, centres.y) == (22.5, 20)
        assert np.count_nonzero(assign_pixels(maps, centres, BEAM) == 1) == 100

    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_no_island_beyond_doubt_is_lost_and_no_source(self, data):
        shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
        maps = empty(shape)
        for name, reach in (("segmentation", 6), ("centre", 2)):
            maps[name] = data.draw(hnp.arrays("f4", maps[name].shape, elements=st.integers(-reach, reach)))
        centres, more = self.add(maps)
        assert set(zip(centres.row, centres.column, strict=True)) <= set(zip(more.row, more.column, strict=True))
        islands, number = ndimage.label(maps["segmentation"][0] >= 0, np.ones((3, 3)))
        owner = assign_pixels(maps, more, BEAM)
        for index in range(1, number + 1):
            if maps["segmentation"][0][islands == index].max() >= CERTAIN:
                assert owner[islands == index].any()


@given(
    major=st.floats(-3, 3), minor=st.floats(-3, 3), angle=st.floats(0, np.pi), length=st.floats(0.1, 3),
    flux=st.floats(-3, 10), value=st.floats(-5, 1e5),
)  # fmt: skip
def test_parameters(major, minor, angle, length, flux, value):
    maps = empty((3, 3))
    maps["centre"][0, 1, 1] = 1
    maps["log_flux"][:, 1, 1] = flux, -2
    maps["log_major"][:, 1, 1], maps["log_minor"][:, 1, 1] = (major, -4), (minor, -6)
    maps["angle"][:, 1, 1] = length * np.cos(2 * angle), length * np.sin(2 * angle)
    found = source_parameters(maps, find_centres(maps, 0.0, 4.0), np.full((3, 3), value), 4.0)
    assert found["flux"][0] == pytest.approx(np.exp(flux + np.arcsinh(value / 2)), rel=1e-4)
    errors = [found[name][0] for name in ("flux_error", "major_error", "minor_error")]
    np.testing.assert_allclose(errors, np.exp([-1, -2, -3]))
    assert found["elongation"][0] == pytest.approx(min(length, 1), rel=1e-5)
    # Turned back by the angle, the covariance is diagonal.
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = turn @ found["covariance"][0] @ turn.T * (FWHM_PER_SIGMA / 4) ** 2
    widths = np.exp([2 * max(major, minor), 2 * min(major, minor)])
    np.testing.assert_allclose(turned, np.diag(widths), atol=1e-4 * widths[0])
