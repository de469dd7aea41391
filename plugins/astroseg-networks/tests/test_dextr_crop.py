"""Cutting, resampling and pasting back."""

import numpy as np
import pytest
from astroseg_networks.crop import Crop, resampling
from hypothesis import given, settings
from hypothesis import strategies as st

OPTIONS = {"share": 0.25, "least": 6.0, "square": True}


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(1, 300))
def test_rows_of_the_matrix_add_up_to_one(length, wanted):
    matrix = resampling(length, wanted)
    assert matrix.shape == (wanted, length)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    if length >= wanted:  # every pixel counts as much as the others
        np.testing.assert_allclose(matrix.sum(axis=0), wanted / length)


def test_halving_is_the_mean_of_blocks():
    values = np.random.default_rng(1).normal(size=(20, 12))
    found = resampling(20, 10) @ values @ resampling(12, 6).T
    np.testing.assert_allclose(found, values.reshape(10, 2, 6, 2).mean(axis=(1, 3)))


def test_finer_pixels_lie_on_a_line():
    line = 3 + 2 * np.arange(10.0)
    found = resampling(10, 40) @ line
    place = np.clip((np.arange(40) + 0.5) / 4 - 0.5, 0, 9)
    np.testing.assert_allclose(found, 3 + 2 * place)


@pytest.mark.parametrize("corner", [(40, 50), (0, 0), (180, 200), (-20, 150)])
def test_there_and_back_at_scale_one(corner):
    """The objects at the edges of the image, too: what lies on it comes back bit for bit."""
    mask = np.random.default_rng(2).random((230, 260)) > 0.5
    crop = Crop(*corner, 64, 64, 64)
    place, back = crop.paste(np.nan_to_num(crop.cut(mask, None)), mask.shape)
    assert back.size > 0
    np.testing.assert_array_equal(back > 0.5, mask[place])


def test_a_crop_beyond_the_image_is_blank_there():
    crop = Crop(-10, -20, 64, 64, 32)
    seen = crop.cut(np.ones((40, 40)), None)
    np.testing.assert_array_equal(np.isnan(seen), ~np.outer(np.arange(32) >= 5, np.arange(32) >= 10) | (
        ~np.outer(np.arange(32) < 25, np.arange(32) < 30)
    ))  # fmt: skip


def test_blank_pixels_do_not_count():
    data, blank = np.full((32, 32), 7.0), np.zeros((32, 32), dtype=bool)
    data[5:9, 5:9], blank[5:9, 5:9] = np.nan, True
    data[20, 20] = np.inf  # whether the mask says so or not
    for size in (8, 32, 64):
        seen = Crop(0, 0, 32, 32, size).cut(data, blank)
        np.testing.assert_allclose(seen[np.isfinite(seen)], 7)
    assert np.isnan(Crop(0, 0, 32, 32, 32).cut(data, blank)[6, 6])


@given(
    st.floats(-50, 200), st.floats(-50, 200), st.floats(1, 400), st.floats(1, 400), st.booleans()
)  # fmt: skip
def test_the_crop_holds_object_and_margin(left, bottom, width, height, square):
    bounds = left, bottom, left + width, bottom + height
    crop = Crop.around(bounds, 256, **{**OPTIONS, "square": square})
    margin = max(0.25 * max(width + 1, height + 1), 6) - 1
    assert crop.column <= left - margin
    assert crop.row <= bottom - margin
    assert crop.column + crop.width - 1 >= left + width + margin
    assert crop.row + crop.height - 1 >= bottom + height + margin
    assert not square or crop.width == crop.height


def test_points_go_with_the_pixels():
    data = np.zeros((100, 100))
    data[30:34, 60:64] = 1
    crop = Crop(20, 40, 40, 40, 80)
    seen = crop.cut(data, None)
    y, x = np.indices(seen.shape)
    centre = (x * seen).sum() / seen.sum(), (y * seen).sum() / seen.sum()
    np.testing.assert_allclose(crop.to_network(np.array([[61.5, 31.5]]))[0], centre, atol=1e-9)
