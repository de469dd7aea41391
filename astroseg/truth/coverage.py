"""How much of each pixel lies within a polygon: exact, however small it is or wherever it lies between the pixels."""

from __future__ import annotations

import numpy as np

__all__ = ["covered_pixels", "pixel_coverage"]

HALF = 0.5 - 1e-9  # of a pixel; where an edge runs through its centre, rounding errors decide nothing


def covered_pixels(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels of which at least half lies within a polygon.

    Parameters
    ----------
    corners : `~numpy.ndarray`, shape (n, 2)
        In 0-based pixels (x, y), on the image or not.
    shape : (int, int)
        Of the image, (ny, nx).

    Returns
    -------
    1-D `~numpy.ndarray` of int
        Flat indices.
    """
    size = np.array(shape[::-1])
    low = np.clip(np.floor(corners.min(axis=0) + 0.5), 0, size).astype(np.intp)
    high = np.clip(np.ceil(corners.max(axis=0) + 0.5), low, size).astype(np.intp)
    rows, columns = np.nonzero(pixel_coverage(corners - low, tuple((high - low)[::-1].tolist())) >= HALF)
    return (rows + low[1]) * shape[1] + columns + low[0]


def pixel_coverage(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Share of each pixel that lies within a polygon.

    Parameters
    ----------
    corners : `~numpy.ndarray`, shape (n, 2)
        In 0-based pixels (x, y).
    shape : (int, int)
        (ny, nx).

    Returns
    -------
    2-D `~numpy.ndarray`
        0 to 1; more where the polygon runs around a pixel more than once.

    Notes
    -----
    What lies to the right of an edge is within the polygon or, where the edge runs the other way, no longer: each piece
    of an edge within a pixel adds its height to all pixels on its right, and to its own pixel that times the share of
    it that is on the right.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.truth.coverage import pixel_coverage
    >>> pixel_coverage(np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 1.5]]), (3, 4))
    array([[0.  , 0.  , 0.  , 0.  ],
           [0.  , 0.25, 0.75, 0.  ],
           [0.  , 0.  , 0.  , 0.  ]])
    """
    start, end = _pieces(corners + 0.5, shape[::-1])  # a pixel reaches from its number to the next
    height, middle = end[:, 1] - start[:, 1], (start + end) / 2
    row = np.floor(middle[:, 1]).astype(np.intp)
    seen = (row >= 0) & (row < shape[0])
    row, height, x = row[seen], height[seen], np.clip(middle[seen, 0], 0, shape[1])
    column = np.floor(x).astype(np.intp)
    steps = np.zeros((shape[0], shape[1] + 2))
    np.add.at(steps, (row, column), height * (column + 1 - x))
    np.add.at(steps, (row, column + 1), height * (x - column))
    return np.abs(np.cumsum(steps, axis=1)[:, : shape[1]])


def _pieces(corners, size) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of all pieces into which the lines between the pixels of an image cut the edges."""
    along = np.roll(corners, -1, axis=0) - corners
    cuts = [_crossings(corners[:, axis], along[:, axis], size[axis]) for axis in (0, 1)]
    every, zero = np.arange(len(corners)), np.zeros(len(corners))
    edge = np.concatenate([every, every, *(edges for edges, _ in cuts)])
    way = np.concatenate([zero, zero + 1, *(ways for _, ways in cuts)])
    order = np.lexsort((way, edge))
    edge, points = edge[order], corners[edge[order]] + way[order, None] * along[edge[order]]
    whole = edge[1:] == edge[:-1]
    return points[:-1][whole], points[1:][whole]


def _crossings(start, along, length) -> tuple[np.ndarray, np.ndarray]:
    """Where edges cross the lines 0 to ``length``: numbers of the edges, and the shares of them that lie before."""
    first = np.clip(np.ceil(np.fmin(start, start + along)), 0, length + 1).astype(np.intp)
    last = np.clip(np.floor(np.fmax(start, start + along)), -1, length).astype(np.intp)
    count = np.where(along == 0, 0, np.fmax(last - first + 1, 0))
    edge = np.repeat(np.arange(start.size), count)
    line = first[edge] + np.arange(edge.size) - (np.cumsum(count) - count)[edge]
    return edge, (line - start[edge]) / along[edge]
