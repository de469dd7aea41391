"""A median in parts is that of the whole, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from astroseg.median import median


@settings(deadline=None, max_examples=60)
@given(
    data=st.sampled_from([np.float32, np.float64]).flatmap(
        lambda kind: arrays.arrays(
            kind, st.integers(1, 40), elements=st.floats(allow_nan=False, width=np.dtype(kind).itemsize * 8)
        )
    ),
    cut=st.integers(0, 40),
)
def test_parts_have_the_median_of_the_whole(data, cut):
    with np.errstate(all="ignore"):  # the mean of two infinities, or of the largest numbers
        np.testing.assert_array_equal(median(lambda: [data[:cut], data[cut:]]), float(np.median(data)))


def test_many_numbers_with_ties():
    data = np.random.default_rng(1).normal(size=10_000).astype("f4").round(1)
    assert median(lambda: np.array_split(data, 7)) == np.median(data)


@pytest.mark.parametrize("parts", [[], [np.zeros(0, np.float32)]])
def test_no_numbers(parts):
    assert np.isnan(median(lambda: parts))
