"""Labels against brute force: scipy only finds components, the numbering and the rest is ours."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label as skimage_label

from astroseg.labels import compact, components, deblend, hysteresis, remove_small, watershed

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def in_raster_order(labels) -> bool:
    """Whether the first pixels of labels 1, 2, 3, ... come in this order, without gaps."""
    values = labels.ravel()
    present, first = np.unique(values[values > 0], return_index=True)
    return np.array_equal(present, np.arange(1, present.size + 1)) and bool(np.all(np.diff(first) > 0))


@pytest.mark.parametrize("connectivity", [8, 4])
@given(mask=masks)
def test_components_equal_skimage_and_are_numbered_by_first_pixel(connectivity, mask):
    labels = components(mask, connectivity)
    expected = skimage_label(mask, connectivity=2 if connectivity == 8 else 1)
    np.testing.assert_array_equal(labels, compact(expected))
    assert labels.dtype == np.int32
    assert in_raster_order(labels)


@given(score=arrays(np.float32, (9, 11), elements=st.sampled_from([0, 0.5, 1])), min_pixels=st.integers(1, 5))
def test_hysteresis_by_brute_force(score, min_pixels):
    labels = hysteresis(score, 0.5, 1.0, min_pixels)
    islands = components(score >= 0.5)
    expected = [
        number
        for number in range(1, islands.max() + 1)
        if (score[islands == number] >= 1).any() and (islands == number).sum() >= min_pixels
    ]
    assert labels.max() == len(expected)
    for new, old in enumerate(expected, start=1):
        np.testing.assert_array_equal(labels == new, islands == old)


@given(mask=masks, min_pixels=st.integers(1, 6))
def test_small_labels_go_and_the_rest_is_numbered_anew(mask, min_pixels):
    labels = remove_small(components(mask), min_pixels)
    sizes = np.bincount(labels.ravel())[1:]
    assert (sizes >= min_pixels).all()
    assert in_raster_order(labels)


@given(labels=arrays(np.int32, (8, 8), elements=st.integers(0, 5)))
def test_compact_keeps_the_partition(labels):
    result = compact(labels)
    assert in_raster_order(result)
    pairs = set(zip(labels.ravel(), result.ravel(), strict=True))
    assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})
    assert np.array_equal(result == 0, labels == 0)


def test_deblend_splits_two_peaks_and_leaves_one_alone():
    shape = (40, 90)
    height = (
        gaussian(shape, 15, 20, 3, peak=50) + gaussian(shape, 27, 20, 3, peak=40) + gaussian(shape, 70, 20, 4, peak=60)
    )
    labels = components(height > 2)
    assert labels.max() == 2
    split = deblend(labels, height)
    assert split.max() == 3
    assert in_raster_order(split)
    assert split[20, 15] != split[20, 27]
    np.testing.assert_array_equal(split > 0, labels > 0)


def test_watershed_gives_each_pixel_to_the_peak_it_slopes_up_to():
    shape = (30, 60)
    left, right = gaussian(shape, 20, 15, 4), gaussian(shape, 36, 15, 4)
    height = left + right
    seeds = np.zeros(shape, dtype=int)
    seeds[15, 20], seeds[15, 36] = 7, 3
    labels = watershed(height, seeds, height > 0.05)
    inside = labels > 0
    np.testing.assert_array_equal(inside, height > 0.05)
    wrong = (labels[15, 20] == labels) != (left > right)
    columns = np.nonzero(wrong & inside)[1]
    assert np.all(np.abs(columns - 28) <= 1)  # only along the divide, where both are equally bright
