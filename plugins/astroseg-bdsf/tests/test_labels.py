"""Division of islands among sources, against the same rule pixel by pixel."""

import numpy as np
import pytest
from astroseg_bdsf.labels import divide

NAMES = ("source", "peak_flux", "x", "y", "major", "minor", "pa")


def table(rows):
    columns = dict(zip(NAMES, np.array(rows, dtype=float).reshape(-1, 7).T, strict=True))
    columns["source"] = columns["source"].astype(int)
    return columns


def brightness(gaussians, row, x, y):
    """Sum of one source's Gaussians at one pixel, spelled out."""
    total = 0.0
    for k in np.flatnonzero(gaussians["source"] == row):
        sigma = [gaussians[name][k] / 2.3548200450309493 for name in ("major", "minor")]
        # The major axis points `pa` degrees from +y towards -x.
        pa = np.radians(gaussians["pa"][k])
        dx, dy = x - gaussians["x"][k], y - gaussians["y"][k]
        along, across = -dx * np.sin(pa) + dy * np.cos(pa), dx * np.cos(pa) + dy * np.sin(pa)
        exponent = -0.5 * ((along / sigma[0]) ** 2 + (across / sigma[1]) ** 2)
        total += gaussians["peak_flux"][k] * np.exp(exponent)
    return total


def field(seed, ny=60, nx=80):
    """Rectangular islands, each with up to four sources of up to three Gaussians."""
    rng = np.random.default_rng(seed)
    islands = np.zeros((ny, nx), dtype=np.int32)
    isl_id, rows = [], []
    for number, (y, x) in enumerate([(2, 3), (2, 45), (30, 3), (30, 45)], 1):
        islands[y : y + 22, x : x + 30] = number
        for _ in range(rng.integers(0, 5) if number > 1 else 4):
            for _ in range(rng.integers(1, 4)):
                place = rng.uniform(x, x + 30), rng.uniform(y, y + 22)
                size = np.sort(rng.uniform(3, 12, 2))[::-1]
                rows.append((len(isl_id), rng.uniform(1, 5), *place, *size, rng.uniform(0, 180)))
            isl_id.append(number - 1)
    return islands, {"Isl_id": np.array(isl_id, dtype=int)}, table(rows)


@pytest.mark.parametrize("seed", range(5))
def test_every_pixel_goes_to_the_brightest_model(seed):
    islands, sources, gaussians = field(seed)
    labels, order = divide(islands, sources, gaussians)
    assert labels.dtype == np.int32
    assert sorted(order) == list(range(sources["Isl_id"].size))
    for (y, x), island in np.ndenumerate(islands):
        rows = np.flatnonzero(sources["Isl_id"] == island - 1)
        if rows.size == 0:
            assert labels[y, x] == 0
            continue
        bright = [brightness(gaussians, row, x, y) for row in rows]
        assert order[labels[y, x] - 1] == rows[np.argmax(bright)]


def test_labels_count_up_in_raster_order():
    islands, sources, gaussians = field(1)
    labels, _ = divide(islands, sources, gaussians)
    seen = labels[labels > 0]
    first = seen[np.sort(np.unique(seen, return_index=True)[1])]
    assert first.tolist() == list(range(1, labels.max() + 1))


def test_rows_out_of_island_order():
    islands = np.array([[1, 0, 2]])
    sources = {"Isl_id": np.array([1, 0])}
    gaussians = table([(0, 1, 2, 0, 2, 2, 0), (1, 1, 0, 0, 2, 2, 0)])
    labels, order = divide(islands, sources, gaussians)
    assert labels.tolist() == [[1, 0, 2]]
    assert order.tolist() == [1, 0]


def test_a_source_that_wins_no_pixel_keeps_its_best_one():
    islands = np.ones((5, 9), dtype=np.int32)
    sources = {"Isl_id": np.array([0, 0])}
    # The second source is 100 times fainter everywhere, and nearest at its centre.
    gaussians = table([(0, 100, 4, 2, 30, 30, 0), (1, 0.1, 7, 3, 2, 2, 0)])
    labels, order = divide(islands, sources, gaussians)
    assert np.argwhere(labels == 2).tolist() == [[3, 7]]
    assert order.tolist() == [0, 1]


def test_centres_outside_the_island_and_far_away():
    islands = np.zeros((3, 40), dtype=np.int32)
    islands[1, 5:35] = 1
    sources = {"Isl_id": np.array([0, 0])}
    # So narrow that both models underflow to 0 on most of the island.
    gaussians = table([(0, 1, -3, 1, 1, 1, 0), (1, 1, 43, 1, 1, 1, 0)])
    labels, _ = divide(islands, sources, gaussians)
    assert np.all(labels[1, 5:20] == 1)
    assert np.all(labels[1, 21:35] == 2)


def test_more_sources_than_pixels_leaves_the_last_ones_out():
    islands = np.array([[0, 1, 1, 0]])
    sources = {"Isl_id": np.zeros(3, dtype=int)}
    gaussians = table([(row, 1, 1 + row, 0, 2, 2, 0) for row in range(3)])
    labels, order = divide(islands, sources, gaussians)
    assert labels.tolist() == [[0, 1, 2, 0]]
    assert order.tolist() == [0, 1]


def test_a_degenerate_gaussian_still_has_its_place():
    islands = np.ones((3, 7), dtype=np.int32)
    sources = {"Isl_id": np.array([0, 0])}
    gaussians = table([(0, 1, 1, 1, 3, 3, 0), (1, 1, 5, 1, 0, 0, 0)])
    labels, _ = divide(islands, sources, gaussians)
    assert labels[1, 5] == 2


def test_nothing():
    labels, order = divide(np.zeros((4, 5), int), {"Isl_id": np.zeros(0, int)}, table([]))
    assert not labels.any()
    assert order.size == 0


def test_islands_in_any_memory_order():
    islands, sources, gaussians = field(2)
    labels, order = divide(islands, sources, gaussians)
    again, same = divide(np.asfortranarray(islands), sources, gaussians)
    assert np.array_equal(labels, again)
    assert np.array_equal(order, same)
