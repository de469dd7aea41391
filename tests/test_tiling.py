"""Tiles: every pixel owned once, halos cropped, results in order whatever the executor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from astroseg.tiling import plan_tiles, run_tiles

shapes = st.tuples(st.integers(1, 70), st.integers(1, 70))


@settings(deadline=None)
@given(shape=shapes, size=st.integers(1, 40), halo=st.integers(0, 20))
def test_every_pixel_is_owned_once_and_read_with_its_halo(shape, size, halo):
    owned = np.zeros(shape, dtype=int)
    values = np.arange(shape[0] * shape[1]).reshape(shape)
    for tile in plan_tiles(shape, size, halo):
        owned[tile.own] += 1
        np.testing.assert_array_equal(values[tile.read][tile.crop], values[tile.own])
        for own, read, length in zip(tile.own, tile.read, shape, strict=True):
            assert read.start == max(own.start - halo, 0)
            assert read.stop == min(own.stop + halo, length)
    assert (owned == 1).all()


def test_a_filter_by_tiles_equals_the_filter_of_the_whole():
    data = np.random.default_rng(1).normal(size=(90, 130))
    whole = uniform_filter(data, 7)
    out = np.empty_like(data)
    with ThreadPoolExecutor(2) as pool:
        for tile, result in run_tiles(
            lambda tile: uniform_filter(data[tile.read], 7)[tile.crop], plan_tiles(data.shape, 32, 3), pool, window=3
        ):
            out[tile.own] = result
    np.testing.assert_allclose(out, whole, atol=1e-12)


def test_results_come_in_order_and_only_a_window_is_in_flight():
    flying = []

    class Pool(ThreadPoolExecutor):
        def submit(self, *args):
            flying.append(args[1])
            return super().submit(*args)

    tiles = list(plan_tiles((10, 100), 10))
    with Pool(2) as pool:
        runner = run_tiles(lambda tile: tile.own[1].start, tiles, pool, window=4)
        assert next(runner)[1] == 0
        assert len(flying) == 4
        assert [result for _, result in runner] == list(range(10, 100, 10))


def test_an_error_in_a_tile_is_raised_and_the_rest_cancelled():
    def fail(tile):
        msg = "broken tile"
        raise RuntimeError(msg)

    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="broken tile"):
        list(run_tiles(fail, plan_tiles((64, 64), 8), pool))


@pytest.mark.parametrize(("size", "halo"), [(0, 0), (8, -1)])
def test_impossible_tiles_are_refused(size, halo):
    with pytest.raises(ValueError, match="size of at least 1"):
        list(plan_tiles((8, 8), size, halo))
