"""Label image -> outlines along the edges of the pixels, for all labels at once.

An outline through the middle of the pixels (as of marching squares) loses half of the area of a small
source. Along the edges the area is the number of pixels, exactly, and a single pixel is a square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Outline", "trace_labels"]

# An edge runs with its pixel on the left. By direction (+x, +y, -x, -y): where the pixel's neighbour
# lies, and where the edge starts as seen from the pixel's lower left corner; both as (y, x).
_NEIGHBOURS = ((-1, 0), (0, 1), (1, 0), (0, -1))
_STARTS = ((0, 0), (0, 1), (1, 1), (1, 0))
_LEFT, _STRAIGHT, _RIGHT = 1, 0, -1


@dataclass(frozen=True)
class Outline:
    """A closed line around a label, or around a hole in it.

    Parameters
    ----------
    label : int
    vertices : `~numpy.ndarray`, shape (n, 2)
        Corners as 0-based pixels (x, y), the first one not repeated. They turn counterclockwise
        (+x to +y) around a label and clockwise around a hole, so that signed areas add up to the
        number of pixels.
    hole : bool
    """

    label: int
    vertices: np.ndarray
    hole: bool


def trace_labels(labels: np.ndarray) -> list[Outline]:
    """Outline every label.

    Parameters
    ----------
    labels : 2-D `~numpy.ndarray` of int, shape (ny, nx)
        0 is background.

    Returns
    -------
    list of Outline
        In the order of the labels. Pixels that touch at a corner belong together: an 8-connected
        label has one outline and one more for each hole; separate parts have one each.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.contours import trace_labels
    >>> trace_labels(np.array([[0, 7]]))[0].vertices.tolist()
    [[0.5, -0.5], [1.5, -0.5], [1.5, 0.5], [0.5, 0.5]]
    """
    width = labels.shape[1] + 1
    code, label = _edges(np.asarray(labels), width)
    order, first = _cycles(_following(code, label, width))
    order_code, length = code[order], np.diff(first, append=order.size)
    direction = order_code % 4
    turns = direction != np.roll(direction, 1)
    # The edge before the first one of a loop is its last one.
    turns[first] = direction[first] != direction[first + length - 1]
    y, x = np.divmod(order_code[turns] // 4, width)
    vertices = np.column_stack([x, y]) - 0.5
    ends = np.cumsum(turns)[first + length - 1]
    starts = np.concatenate([[0], ends[:-1]]).astype(int)
    # A loop starts at its lowest, leftmost corner: there the label lies above, or below if this is a hole.
    hole, owner = direction[first] != 0, label[order[first]]
    return [
        Outline(int(owner[loop]), vertices[starts[loop] : ends[loop]], bool(hole[loop]))
        for loop in np.argsort(owner, kind="stable").tolist()
    ]


def _edges(labels: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted codes (4 * start corner + direction) of all edges, and the labels they surround."""
    height = labels.shape[0]
    padded = np.pad(labels, 1)
    inside = labels > 0
    codes, owners = [], []
    for direction, ((dy, dx), (start_y, start_x)) in enumerate(zip(_NEIGHBOURS, _STARTS, strict=True)):
        neighbour = padded[1 + dy : 1 + dy + height, 1 + dx : dx + width]
        y, x = np.nonzero(inside & (labels != neighbour))
        codes.append(((y + start_y) * width + x + start_x) * 4 + direction)
        owners.append(labels[y, x])
    code = np.concatenate(codes)
    order = np.argsort(code)
    return code[order], np.concatenate(owners)[order]


def _following(code: np.ndarray, label: np.ndarray, width: int) -> np.ndarray:
    """Return the index of the edge that each edge runs into.

    Where two pixels of a label touch at a corner, the right turn leads from one to the other.
    """
    direction = code % 4
    end = code // 4 + np.array([1, width, -1, -width])[direction]
    following = np.empty(code.size, dtype=np.intp)
    for turn in (_LEFT, _STRAIGHT, _RIGHT):
        wanted = end * 4 + (direction + turn) % 4
        index = np.minimum(np.searchsorted(code, wanted), code.size - 1)
        found = (code[index] == wanted) & (label[index] == label)
        following[found] = index[found]
    return following


def _cycles(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges in walking order, and where in that order each loop starts."""
    ahead, seen = following.tolist(), bytearray(following.size)
    order: list[int] = []
    first: list[int] = []
    for edge in range(following.size):
        if seen[edge]:
            continue
        first.append(len(order))
        step = edge
        while not seen[step]:
            seen[step] = 1
            order.append(step)
            step = ahead[step]
    return np.array(order, dtype=np.intp), np.array(first, dtype=np.intp)
