"""Divide the pixels of PyBDSF's islands among its sources."""

import numpy as np

__all__ = ["divide"]

# How many pixel-Gaussian pairs are evaluated at once (16 bytes each).
_BLOCK = 2_000_000
_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


def divide(
    islands: np.ndarray, sources: dict[str, np.ndarray], gaussians: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give each pixel of an island to one of the island's sources.

    A pixel belongs to the source whose fitted model (the sum of its
    Gaussians) is brightest there, the earlier source where two are equal. A
    source that wins no pixel takes the one where its model comes nearest to
    the winner's, from a source that keeps another. Islands without sources
    get no label.

    Parameters
    ----------
    islands : 2-D `~numpy.ndarray` of int, shape (ny, nx)
        Island numbers, 0 = background, as in `astroseg_bdsf.engine.Result`.

    sources : dict of 1-D `~numpy.ndarray`
        Columns of the sources; ``Isl_id`` is used (island number minus 1).

    gaussians : dict of 1-D `~numpy.ndarray`
        Columns of the fitted Gaussians: ``source`` (row in ``sources``, in
        rising order), ``peak_flux``, ``x``, ``y`` (0-based pixels), ``major``,
        ``minor`` (FWHM, pixels), ``pa`` (degrees from +y towards -x).

    Returns
    -------
    labels : 2-D `~numpy.ndarray` of int32, shape (ny, nx)
        1 to n, numbered in the raster order of each label's first pixel.

    order : 1-D `~numpy.ndarray` of int
        Row of ``sources`` that owns each label: label ``k`` is row
        ``order[k - 1]``. A row is missing only where an island has fewer
        pixels than sources (the later sources lose) or lies wholly under
        another island.
    """
    islands = np.ascontiguousarray(islands)
    isl_id = np.asarray(sources["Isl_id"])
    owner = _sole_owners(islands, isl_id)
    _share_islands(owner.ravel(), islands, isl_id, gaussians)
    return _number(owner)


def _sole_owners(islands, isl_id):
    """Row of the source that owns each pixel; -1 for none, -2 for several."""
    last = max(int(islands.max(initial=0)), int(isl_id.max(initial=-1)) + 1)
    count = np.bincount(isl_id + 1, minlength=last + 1)
    table = np.full(last + 1, -1)
    table[isl_id + 1] = np.arange(isl_id.size)
    table[count > 1] = -2
    return table[islands]


def _share_islands(owner, islands, isl_id, gaussians):
    """Fill the pixels of ``owner`` (flat) that several sources want (-2)."""
    pixels = np.flatnonzero(owner == -2)
    numbers = islands.ravel()[pixels]
    # Stable sorts keep the raster order of pixels and the order of sources.
    by_island = np.argsort(numbers, kind="stable")
    pixels, numbers = pixels[by_island], numbers[by_island]
    rows = np.argsort(isl_id, kind="stable")
    for number, own in _groups(numbers, pixels):
        first, last = np.searchsorted(isl_id, [number - 1, number], sorter=rows)
        model = _Model(rows[first:last], gaussians)
        y, x = np.divmod(own, islands.shape[1])
        owner[own] = rows[first:last][_share(model, x, y)]


def _groups(keys, values):
    """Split ``values`` where the sorted ``keys`` change."""
    unique, starts = np.unique(keys, return_index=True)
    return zip(unique, np.split(values, starts[1:]), strict=False)


class _Model:
    """The Gaussians of a few sources, as the logarithm of their brightness."""

    def __init__(self, rows, gaussians) -> None:
        source = gaussians["source"]
        first, last = np.searchsorted(source, rows), np.searchsorted(source, rows, side="right")
        pick = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
        self.starts = np.concatenate([[0], np.cumsum(last - first)[:-1]])
        self.size = pick.size
        self.x, self.y = gaussians["x"][pick], gaussians["y"][pick]
        angle = np.radians(gaussians["pa"][pick] + 90.0)
        self.cos, self.sin = np.cos(angle), np.sin(angle)
        # A fit can degenerate to a line or a point: keep the logarithm finite.
        self.major = np.maximum(gaussians["major"][pick] / _FWHM_PER_SIGMA, 0.01)
        self.minor = np.maximum(gaussians["minor"][pick] / _FWHM_PER_SIGMA, 0.01)
        self.peak = np.log(np.maximum(gaussians["peak_flux"][pick], np.finfo(float).tiny))

    def __call__(self, x, y) -> np.ndarray:
        """Log brightness of each source (columns) at some pixels (rows)."""
        dx, dy = x[:, None] - self.x, y[:, None] - self.y
        along = (dx * self.cos + dy * self.sin) / self.major
        across = (dy * self.cos - dx * self.sin) / self.minor
        # In logarithms, since far from a source its brightness underflows to 0.
        return np.logaddexp.reduceat(self.peak - 0.5 * (along**2 + across**2), self.starts, axis=1)


def _share(model, x, y):
    """Index of the source that gets each pixel, every source at least one."""
    step = max(1, _BLOCK // model.size)
    owner = np.concatenate([model(x[i : i + step], y[i : i + step]).argmax(1) for i in range(0, x.size, step)])
    count = np.bincount(owner, minlength=model.starts.size)
    for source in np.flatnonzero(count == 0):
        spare = np.flatnonzero(count[owner] > 1)
        if spare.size == 0:
            break
        bright = model(x[spare], y[spare])
        lag = bright.max(1) - bright[:, source]
        pixel = spare[lag.argmin()]
        count[owner[pixel]] -= 1
        count[source] += 1
        owner[pixel] = source
    return owner


def _number(owner):
    """Turn rows into labels that count up in raster order."""
    inside = np.flatnonzero(owner >= 0)
    rows, first = np.unique(owner.ravel()[inside], return_index=True)
    order = rows[np.argsort(first)]
    table = np.zeros(owner.max(initial=-1) + 2, dtype=np.int32)
    table[order] = np.arange(1, order.size + 1)
    return table[owner], order
