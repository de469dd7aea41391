"""The median of more numbers than fit in memory, exactly: the same as that of all of them at once.

Floating-point numbers keep their order when their bits are read as integers, those of negative ones turned round. So
the number of a given rank is found digit by digit, 16 bits at a time, by counting how often each digit occurs: one
pass over the numbers for each digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

__all__ = ["median"]

DIGIT = 16  # bits


def median(parts: Callable[[], Iterable[np.ndarray]]) -> float:
    """Return the median of numbers that come in parts.

    Parameters
    ----------
    parts : callable
        Gives all parts anew each time: 1-D arrays, all of float32 or all of float64, without NaN.

    Returns
    -------
    float
        That of `numpy.median`; NaN where there is no number.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.median import median
    >>> median(lambda: [np.array([3.0, 1.0]), np.array([10.0])])
    3.0
    """
    number, dtype = 0, np.dtype(np.float32)
    for values in parts():
        number, dtype = number + values.size, values.dtype
    if number == 0:
        return float("nan")
    middle = sorted({(number - 1) // 2, number // 2})
    return float(np.mean(_of_rank(parts, dtype, middle)))


def _of_rank(parts, dtype, ranks) -> np.ndarray:
    """The numbers of some ranks, from 0."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    ranks, found = list(ranks), [0] * len(ranks)  # within the numbers that begin with what is found
    for shift in range(8 * dtype.itemsize - DIGIT, -1, -DIGIT):
        counts = {start: np.zeros(1 << DIGIT, dtype=np.int64) for start in found}
        for values in parts():
            keys = _keys(values, unsigned) >> unsigned.type(shift)
            for start in counts:
                same = keys >> unsigned.type(DIGIT) == start
                digits = (keys if same.all() else keys[same]) & unsigned.type((1 << DIGIT) - 1)
                counts[start] += np.bincount(digits.astype(np.intp), minlength=1 << DIGIT)
        for index, start in enumerate(found):
            below = np.cumsum(counts[start])
            digit = int(np.searchsorted(below, ranks[index], side="right"))
            ranks[index] -= int(below[digit - 1]) if digit else 0
            found[index] = start << DIGIT | digit
    return _values(np.array(found, dtype=unsigned), dtype)


def _keys(values, unsigned) -> np.ndarray:
    bits = np.ascontiguousarray(values).view(unsigned)
    sign = unsigned.type(1 << (8 * unsigned.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign)


def _values(keys, dtype) -> np.ndarray:
    sign = keys.dtype.type(1 << (8 * dtype.itemsize - 1))
    return np.where(keys & sign, keys ^ sign, ~keys).view(dtype)
