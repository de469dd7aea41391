"""Matching: as many pairs as possible, of these the closest; on the sky, across RA 0 and at the poles."""

from __future__ import annotations

from itertools import combinations, permutations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from astroseg.errors import UsageError
from astroseg.evaluate import match_sources
from astroseg.evaluate.positions import common_positions
from astroseg.evaluate.tables import column, length, plain

coordinates = st.lists(st.tuples(st.floats(0, 4), st.floats(0, 4)), max_size=5)


def pixels(points):
    points = np.array(points, dtype=float).reshape(-1, 2)
    return {"x_centroid": points[:, 0], "y_centroid": points[:, 1]}


def brute(found, truth, radius):
    """The most pairs, and the least sum of squared separations, of all one-to-one matchings."""
    squares = (found["x_centroid"][:, None] - truth["x_centroid"]) ** 2
    squares = squares + (found["y_centroid"][:, None] - truth["y_centroid"]) ** 2
    n, m = squares.shape
    for size in range(min(n, m), 0, -1):
        totals = [
            squares[rows, order].sum()
            for rows in combinations(range(n), size)
            for order in permutations(range(m), size)
            if np.all(squares[rows, order] <= radius**2)
        ]
        if totals:
            return size, min(totals)
    return 0, 0.0


@settings(deadline=None)
@given(coordinates, coordinates, st.floats(0.3, 3))
def test_matching_by_brute_force(found, truth, radius):
    found, truth = pixels(found), pixels(truth)
    matches = match_sources(found, truth, radius * u.pix)
    size, total = brute(found, truth, radius)
    assert len(matches) == size
    assert np.sum(matches.separation.value**2) == pytest.approx(total, abs=1e-9)
    assert len(set(matches.found)) == len(set(matches.truth)) == size
    again = match_sources(found, truth, radius * u.pix)
    np.testing.assert_array_equal(matches.truth, again.truth)


def test_most_pairs_come_before_the_closest():
    matches = match_sources(pixels([[0, 0], [1, 0]]), pixels([[1.1, 0], [2.4, 0]]), 1.5 * u.pix)
    assert list(zip(matches.found, matches.truth, strict=True)) == [(0, 0), (1, 1)]


def test_a_long_chain_of_rivals():
    """Every detection has two candidates; a greedy match would strand the last."""
    count = 2000
    found, truth = pixels([[i, 0] for i in range(count)]), pixels([[i + 0.6, 0] for i in range(-1, count - 1)])
    matches = match_sources(found, truth, 0.65 * u.pix)
    assert len(matches) == count
    assert np.allclose(matches.separation.value, 0.4)


def random_sky(count, centre, width, seed):
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-width, width, (2, count)) * u.arcsec
    return SkyCoord(*centre, unit="deg").spherical_offsets_by(*offsets)


@pytest.mark.parametrize(
    "centre", [(0, -30), (180, 0), (12, 89.99), (200, -90)], ids=["RA 0", "equator", "pole", "on the pole"]
)
def test_separations_on_the_sky(centre):
    truth = random_sky(300, centre, 120, 1)
    found = truth[::-1].directional_offset_by(np.linspace(0, 360, 300) * u.deg, np.linspace(0, 1.2, 300) * u.arcsec)
    tables = [{"ra": sky.ra.deg, "dec": sky.dec.deg} for sky in (found, truth)]
    tables[0]["ra"][::2] -= 360
    matches = match_sources(*tables, 1 * u.arcsec)
    expected = found[matches.found].separation(truth[matches.truth])
    np.testing.assert_allclose(matches.separation.to_value("arcsec"), expected.arcsec, atol=1e-8)
    assert matches.separation.max() <= 1 * u.arcsec
    assert len(matches) >= 248  # two in 300 fall within an arcsec of a stranger at most


def test_a_list_matches_itself():
    sky = random_sky(500, (0, -30), 600, 2)
    table = {"ra": sky.ra.deg, "dec": sky.dec.deg}
    matches = match_sources(table, table, 1 * u.arcsec)
    np.testing.assert_array_equal(matches.found, matches.truth)
    assert len(matches) == 500
    assert np.all(matches.separation == 0)
    twice = {name: np.append(values, values) for name, values in table.items()}
    assert len(match_sources(twice, table, 1 * u.arcsec)) == 500


def test_flux_and_size_must_agree():
    found = pixels([[0, 0], [5, 0], [9, 0]]) | {"flux": [1.0, 9.0, np.nan] * u.Jy, "fwhm_major": [2.0, 2.0, 2.0]}
    truth = pixels([[0, 0], [5, 0], [9, 0]]) | {"flux": [1500.0, 1500.0, 1.0] * u.mJy, "fwhm_major": [2.5, 2.5, 9.0]}
    pairs = lambda **options: list(match_sources(found, truth, 1 * u.pix, **options).found)
    assert pairs() == [0, 1, 2]
    assert pairs(flux_factor=2) == [0, 2]
    assert pairs(size_factor=2) == [0, 1]
    assert pairs(flux_factor=1.2, size_factor=2) == []
    with pytest.raises(UsageError, match=r"is 0\.5; it must be at least 1"):
        pairs(flux_factor=0.5)
    truth["flux"] = [1, 1, 1] * u.ct
    with pytest.raises(UsageError, match="units differ"):
        pairs(flux_factor=2)


def test_pixels_where_one_has_no_sky():
    found = pixels([[1, 1]]) | {"ra": [10.0], "dec": [5.0]}
    truth = pixels([[1, 2]]) | {"ra": [np.nan], "dec": [np.nan]}
    assert match_sources(found, truth, 2 * u.pix).separation.unit == u.pix
    with pytest.raises(UsageError, match="in pixels, as one"):
        match_sources(found, truth, 2 * u.arcsec)
    with pytest.raises(UsageError, match="an angle"):
        match_sources(found, found, 2 * u.pix)
    with pytest.raises(UsageError, match="no positions in common"):
        match_sources({"ra": [10.0], "dec": [5.0]}, pixels([[1, 1]]), 2 * u.pix)
    with pytest.raises(UsageError, match="above 0"):
        match_sources(found, truth, 0 * u.pix)


def test_solar_positions():
    found = {"hpc_x": [100.0, 300.0] * u.arcsec, "hpc_y": [0.0, 0.0] * u.arcsec}
    truth = {"hpc_x": [103.0, -300.0], "hpc_y": [4.0, 0.0]}
    np.testing.assert_allclose(match_sources(found, truth, 6 * u.arcsec).separation.to_value("arcsec"), [5.0])


def test_rows_without_position_match_nothing():
    matches = match_sources(pixels([[np.nan, 1], [2, 2]]), pixels([[2, 2], [1, np.nan]]), 9 * u.pix)
    assert (list(matches.found), list(matches.truth)) == ([1], [0])
    assert len(match_sources(pixels([]), pixels([[1, 1]]), 1 * u.pix)) == 0


def data_frame(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


@pytest.mark.parametrize("kind", [dict, Table, QTable, data_frame, lambda columns: Table(columns).as_array()])
def test_every_kind_of_table(kind):
    table = kind({"x_centroid": [1.0, 2.0], "y_centroid": [1.0, 2.0]})
    assert length(table) == 2
    assert len(match_sources(table, table, 0.1 * u.pix)) == 2
    assert np.all(np.isnan(column(table, "snr")))


def test_columns_and_units():
    table = QTable({"a": [1, 2] * u.deg, "b": MaskedColumn([1, 2], mask=[True, False]), "c": [1, 2]})
    np.testing.assert_array_equal(column(table, "a", u.arcsec), [3600, 7200])
    np.testing.assert_array_equal(column(table, "b"), [np.nan, 2])
    np.testing.assert_array_equal(column(table, "c", u.deg, u.arcsec), np.array([1, 2]) / 3600)
    assert plain({"a": np.float64(1), "b": [np.nan, np.int64(2)]}) == {"a": 1.0, "b": [None, 2]}


def test_shifts_and_offsets_are_inverse():
    sky = random_sky(50, (0, 60), 500, 3)
    table = {"ra": sky.ra.deg, "dec": sky.dec.deg}
    here, _ = common_positions(table, table)
    there = here.shifted(30.0, -40.0)
    east, north = there.offsets(here)
    np.testing.assert_allclose(east, 30, atol=1e-9)
    np.testing.assert_allclose(north, -40, atol=1e-9)
