"""What became of added sources: curves in S/N, the S/N of a given completeness, a table, a text and a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable
from scipy.optimize import isotonic_regression

from astroseg.catalog import write_catalog
from astroseg.evaluate.curves import Curve, share_in_bins
from astroseg.evaluate.estimates import Estimate, wilson
from astroseg.evaluate.reliability import estimate_reliability
from astroseg.evaluate.tables import column, plain
from astroseg.output import refuse_existing, stem_of, write_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LEVELS", "InjectionResult"]

#: Completeness at which the S/N is read off the curve.
LEVELS = (0.5, 0.8, 0.9, 0.95)

BRIGHT = 10.0  # S/N from which on the flux bias is summed up: below it, selection alone biases fluxes
RESAMPLES = 1000
_PROVENANCE = ("backend", "parameters", "package", "package_version", "astroseg_version", "image", "image_sha256",
               "reading", "image_unit", "beam", "background", "date")  # fmt: skip


class InjectionResult:
    """What `inject` returns.

    Parameters
    ----------
    sources : `~astropy.table.QTable`
        One row per added source. As added: ``batch``, position, ``flux``, ``peak_flux``, sizes, ``snr``. What became of
        it: ``found``; ``chance`` where the finder had a detection at the place before; ``shifted``, the share of the
        shifted catalogues that match; ``found_flux`` and the like, as measured.
    before, inverted : `~astropy.table.QTable`
        Catalogues of the image as it is, and inverted.
    options : dict
        All that the result depends on.
    """

    def __init__(self, sources: QTable, before: QTable, inverted: QTable, options: dict[str, Any]) -> None:
        self.sources = sources
        self.before = before
        self.inverted = inverted
        self.options = options
        self.sources.meta = {key: before.meta[key] for key in _PROVENANCE if key in before.meta} | {
            "injection": options
        }

    def __len__(self) -> int:
        return len(self.sources)

    def __repr__(self) -> str:
        meta = self.sources.meta
        return f"<InjectionResult: {len(self)} sources in {meta.get('image')}, looked for by {meta.get('backend')}>"

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins in S/N."""
        low, high = self.options["snr"]
        return np.geomspace(low, high, self.options["n_bins"] + 1)

    @cached_property
    def completeness(self) -> Curve:
        """Share of the added sources that were found, chance matches taken off."""
        clear = self.sources[~self.sources["chance"]]
        confidence = self.options["confidence"]
        return share_in_bins("snr", column(clear, "snr"), clear["found"], self.edges, confidence=confidence)

    @cached_property
    def limits(self) -> dict[float, Estimate]:
        """S/N at which completeness reaches each of `LEVELS`: infinite where it does not, 0 where the faintest do."""
        curve, middle = self.completeness, self._middles()
        used = np.flatnonzero(curve.trials)
        if used.size == 0:
            return dict.fromkeys(LEVELS, Estimate(math.nan, math.nan, math.nan))
        x, hits, trials = middle[used], curve.successes[used], curve.trials[used]
        rng = np.random.default_rng(self.options["seed"])
        draws = rng.binomial(trials, hits / trials, size=(RESAMPLES, used.size))
        curves = [_ascending(drawn / trials, trials) for drawn in draws]
        tail = (1 - self.options["confidence"]) / 2
        limits = {}
        for level in LEVELS:
            samples = [_crossing(x, share, level) for share in curves]
            # No interpolation: it would make NaN of samples that never reach the level.
            low, high = np.quantile(samples, [tail, 1 - tail], method="inverted_cdf")
            value = _crossing(x, _ascending(hits / trials, trials), level)
            limits[level] = Estimate(value, float(low), float(high))
        return limits

    @cached_property
    def scores(self) -> dict[str, Estimate]:
        """Numbers for the whole image.

        ``reliability_inverted``: 1 - detections on the inverted image / detections. ``chance_rate``: share of the
        places that had a detection before. ``shifted_rate``: share that a shifted catalogue matches.
        ``reliability_shifted``: share of the matches with added sources that are not by chance, from the latter.
        ``flux_ratio``: median of measured over true flux at S/N 10 and more.
        """
        confidence = self.options["confidence"]
        chance, found, shifted = (
            np.asarray(self.sources[name], dtype=float) for name in ("chance", "found", "shifted")
        )
        rates = {
            name: _mean(values, confidence) for name, values in (("chance_rate", chance), ("shifted_rate", shifted))
        }
        hits, by_chance = max(found.mean(), 1 / found.size), rates["shifted_rate"]
        real, least, most = (max(1 - rate / hits, 0.0) for rate in (by_chance.value, by_chance.high, by_chance.low))
        ratio = self._ratios()[self.sources["snr"] >= BRIGHT]
        return {
            "reliability_inverted": estimate_reliability(len(self.before), len(self.inverted), confidence),
            "reliability_shifted": Estimate(real, least, most),
            **rates,
            "flux_ratio": _median(ratio, confidence),
        }

    def curve(self) -> QTable:
        """One row per bin in S/N: completeness, flux ratio, and the reliability of the detections in the image.

        Bins of completeness and fluxes are of the true S/N; those of reliability of the measured one.
        """
        table, confidence = self.completeness.to_table(), self.options["confidence"]
        table.rename_columns(["successes", "trials", "share"], ["n_found", "n_clear", "completeness"])
        table.rename_columns(["low", "high"], ["completeness_low", "completeness_high"])
        table.add_column(self._middles(), index=2, name="snr")
        chance = np.histogram(column(self.sources, "snr")[self.sources["chance"]], self.edges)[0]
        table.add_column(chance, index=4, name="n_chance")
        bins = np.digitize(column(self.sources, "snr"), self.edges)
        ratios = [_median(self._ratios()[bins == number], confidence) for number in range(1, self.edges.size)]
        _add(table, "flux_ratio", ratios)
        counts = [np.histogram(column(catalog, "snr"), self.edges)[0] for catalog in (self.before, self.inverted)]
        table["n_detections"], table["n_inverted"] = counts
        _add(table, "reliability", [estimate_reliability(n, m, confidence) for n, m in zip(*counts, strict=True)])
        table.meta = {**self.sources.meta, **self.to_dict()}
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: each with value, low and high; what is not known, or not reached, is None."""
        limits = {f"snr_at_{100 * level:.0f}": limit for level, limit in self.limits.items()}
        numbers = {name: {key: getattr(item, key) for key in ("value", "low", "high")}
                   for name, item in (limits | self.scores).items()}  # fmt: skip
        counts = {"n": len(self), "n_found": int(self.sources["found"].sum()), "n_detections": len(self.before),
                  "n_inverted": len(self.inverted)}  # fmt: skip
        return plain(counts | numbers)

    def summary(self) -> str:
        """A few lines for the terminal."""
        meta, scores = self.sources.meta, self.scores
        limits = [f"{100 * level:.0f} % {_words(limit, self.options['snr'])}" for level, limit in self.limits.items()]
        added = f"{len(self):,} sources added in {self.options['n_batches']} batches"
        mirrored = f"{len(self.inverted):,} detections on the inverted image, {len(self.before):,} on the image"
        rates = {
            name: f"{100 * scores[name].value:.1f} %" for name in ("chance_rate", "shifted_rate", "reliability_shifted")
        }
        chances = (
            f"{rates['shifted_rate']} match by chance, {rates['chance_rate']} of the places had a detection before"
        )
        lines = (
            f"{meta['image']}: {added}, {int(self.sources['found'].sum()):,} found again by {meta['backend']}",
            f"completeness reaches {'; '.join(limits)}",
            f"flux measured / true {_range(scores['flux_ratio'])}, median at S/N {BRIGHT:g} and more",
            f"reliability {_range(scores['reliability_inverted'])}: {mirrored}",
            f"reliability of the matches {_range(scores['reliability_shifted'])}: {chances}",
        )
        return "\n  ".join(lines)

    def plot(self) -> Figure:
        """Draw completeness, reliability and flux ratio against S/N."""
        from astroseg.evaluate.recovery_plot import plot_recovery

        return plot_recovery(self)

    def write(self, folder: str | Path = ".", *, stem: str | None = None, overwrite: bool = False) -> list[Path]:
        """Write the curve, the sources, a summary and a picture.

        The files are ``STEM.BACKEND.injection.ecsv``, ``.injected.ecsv``, ``.injection.json`` and ``.injection.png``.

        Parameters
        ----------
        folder : path
            Made where it does not exist.
        stem : str, optional
            Start of the file names, by default that of the image.
        overwrite : bool
            Replace existing files.

        Returns
        -------
        list of `~pathlib.Path`
        """
        paths = injection_paths(folder, stem or stem_of(self.sources.meta["image"]), self.sources.meta["backend"])
        if not overwrite:
            refuse_existing(paths)
        writers: dict[str, Callable[[Path], Any]] = {
            "curve": partial(write_catalog, self.curve()),
            "sources": partial(write_catalog, self.sources),
            "json": lambda path: path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8"),
            "plot": lambda path: self.plot().savefig(path, format="png", dpi=150),
        }
        write_all({path: writers[key] for key, path in paths.items()})
        return list(paths.values())

    def _middles(self) -> np.ndarray:
        """Mean S/N of the sources in each bin, its geometric middle where there is none."""
        clear = column(self.sources, "snr")[~self.sources["chance"]]
        count, total = (np.histogram(clear, self.edges, weights=weights)[0] for weights in (None, clear))
        return np.where(count > 0, total / np.maximum(count, 1), np.sqrt(self.edges[1:] * self.edges[:-1]))

    def _ratios(self) -> np.ndarray:
        """Measured over true flux; NaN where it was not found, or something was there before."""
        ratios = column(self.sources, "found_flux", self.sources["flux"].unit) / column(self.sources, "flux")
        return np.where(self.sources["found"] & ~self.sources["chance"], ratios, np.nan)


def injection_paths(folder: str | Path, stem: str, backend: str) -> dict[str, Path]:
    """What `InjectionResult.write` writes."""
    ends = {"curve": "injection.ecsv", "sources": "injected.ecsv", "json": "injection.json", "plot": "injection.png"}
    return {key: Path(folder) / f"{stem}.{backend}.{end}" for key, end in ends.items()}


def _add(table, name, estimates) -> None:
    for key, end in (("value", ""), ("low", "_low"), ("high", "_high")):
        table[f"{name}{end}"] = [getattr(estimate, key) for estimate in estimates]


def _ascending(share, trials):
    """The curve made monotonic: a brighter source isn't harder to find."""
    return isotonic_regression(share, weights=trials).x


def _crossing(x, share, level) -> float:
    """Where an ascending curve reaches a level, between two points of it."""
    above = int(np.searchsorted(share, level))
    if above in (0, share.size):
        return 0.0 if above == 0 else math.inf
    part = (level - share[above - 1]) / (share[above] - share[above - 1])
    return float(x[above - 1] + part * (x[above] - x[above - 1]))


def _mean(values, confidence) -> Estimate:
    """Share of the sources, with its interval."""
    low, high = wilson(values.sum(), values.size, confidence)
    return Estimate(float(values.mean()), float(low), float(high))


def _median(values, confidence) -> Estimate:
    """Median, with the interval between order statistics that holds it whatever the distribution."""
    values = np.sort(values[np.isfinite(values)])
    if values.size == 0:
        return Estimate(math.nan, math.nan, math.nan)
    from scipy.stats import binom  # slow to import

    low, high = binom.interval(confidence, values.size, 0.5)
    least, most = (float(values[int(np.clip(rank, 0, values.size - 1))]) for rank in (low - 1, high))
    return Estimate(float(np.median(values)), least, most)


def _words(limit, snr) -> str:
    if math.isnan(limit.value):
        return "not known"
    if math.isinf(limit.value):
        return f"nowhere below S/N {snr[1]:g}"
    if limit.value == 0:
        return f"already below S/N {snr[0]:g}"
    low, high = (f"{value:.2f}" if 0 < value < math.inf else "..." for value in (limit.low, limit.high))
    return f"at S/N {limit.value:.2f} ({low} to {high})"


def _range(estimate) -> str:
    if math.isnan(estimate.value):
        return "not known"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
