"""Who is better over a whole sweep: every scheduler with its runs pooled, and how sure that is.

The aggregates follow Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021): interquartile means, probability of improvement, intervals from a stratified bootstrap. The
strata are runs (training seeds): runs are drawn with replacement, and within each the episodes, so that an
interval holds both what another seed and what other episodes would have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from qexp.problem.metric import Metric
from qexp.report.statistics import TIE_TOLERANCE, interval, iqm

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 2_000
RATIO = ("ratio", "ratio_low", "ratio_high", "proved")
"""Fields that only metrics with a ratio have."""
_BLOCK = 2_000_000  # episodes drawn at once: bounds the memory


@dataclass(frozen=True)
class Sample:
    """One run of one contender.

    Attributes:
        section: What is the same for all who are compared with each other: machines, workload, episodes.
        name: The contender.
        times: The metric's figure of each episode, ``[episodes]``.
        reference: The reference scheduler's on the same episodes, or None.
        clairvoyant: The ideal scheduler's, or None.
        trained: Whether the run trained the contender.
        metric: What is measured.
        ratios: The figures over the optimum of each episode, ``[episodes]``, or None.
        proved: Whether that optimum is proved, ``[episodes]``, or None.
    """

    section: str
    name: str
    times: Floats
    metric: Metric
    reference: Floats | None = None
    clairvoyant: Floats | None = None
    trained: bool = False
    ratios: Floats | None = None
    proved: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Contender:
    """One contender over all its runs, in the metric's unit; None where a figure is not defined.

    Attributes:
        section: See `Sample`.
        name: See `Sample`.
        runs: How many runs, each with its own seed.
        episodes: Episodes over all runs.
        mean: Mean of the metric over episodes.
        iqm: Interquartile mean of it, over runs and episodes.
        iqm_low: Lower end of its 95 % interval.
        iqm_high: Upper end.
        change_pct: Change of the mean against the reference's, percent; negative is faster.
        change_low_pct: Lower end of its 95 % interval.
        change_high_pct: Upper end.
        improvement: Probability of improvement over the reference: share of episodes that are faster, ties
            half.
        improvement_low: Lower end of its 95 % interval.
        improvement_high: Upper end.
        gap_closed: Share of the way from the reference to the ideal, of the means.
        of_runs_pct: Each run's own change against the reference, percent.
        trained: Whether its runs trained it.
        metric: What is measured.
        ratio: Mean of the figure over the optimum, where the metric has that ratio.
        ratio_low: Lower end of its 95 % interval.
        ratio_high: Upper end.
        proved: Share of episodes whose optimum is proved.
    """

    section: str
    name: str
    runs: int
    episodes: int
    mean: float
    iqm: float
    iqm_low: float | None
    iqm_high: float | None
    change_pct: float | None
    change_low_pct: float | None
    change_high_pct: float | None
    improvement: float | None
    improvement_low: float | None
    improvement_high: float | None
    gap_closed: float | None
    metric: Metric
    of_runs_pct: tuple[float, ...] = ()
    trained: bool = False
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    proved: float | None = None

    def record(self) -> dict[str, Any]:
        """Return the contender as columns of sweep_leaderboard.csv."""
        base = f"vs_{self.metric.reference}"
        names = {
            "change_pct": f"{base}_pct",
            "change_low_pct": f"{base}_low_pct",
            "change_high_pct": f"{base}_high_pct",
        }
        unnamed = {"of_runs_pct", "metric", *((RATIO) if self.metric.ratio is None else ())}
        columns = {
            names.get(f.name, f.name): getattr(self, f.name) for f in fields(self) if f.name not in unnamed
        }
        if self.metric.ratio is not None:
            for key in RATIO:
                columns[key.replace("ratio", self.metric.ratio).replace("proved", "optimum_proved_share")] = (
                    columns.pop(key)
                )
        return columns


def contenders(samples: Sequence[Sample], *, seed: int = 0) -> list[Contender]:
    """Pool the runs of each contender; in each section, the best mean comes first.

    Args:
        samples: One per run and contender.
        seed: Of the bootstrap.

    Raises:
        ValueError: Runs of one contender differ in their number of episodes.
    """
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.section, sample.name), []).append(sample)
    sections = list(dict.fromkeys(section for section, _ in groups))
    rows = [_contender(group, np.random.default_rng(seed)) for group in groups.values()]
    return sorted(rows, key=lambda row: (sections.index(row.section), row.mean, row.name))


def _contender(runs: list[Sample], rng: np.random.Generator) -> Contender:
    if len({len(run.times) for run in runs}) > 1:
        raise ValueError(f"the runs of {runs[0].name!r} were evaluated on different numbers of episodes")
    times = np.stack([run.times for run in runs])
    reference = _stack([run.reference for run in runs])
    clairvoyant = _stack([run.clairvoyant for run in runs])
    change = improvement = None
    of_runs: tuple[float, ...] = ()
    if reference is not None:
        change = float(_percent(times, reference))
        improvement = float(_wins(times, reference).mean())
        of_runs = tuple(_percent(times, reference, axis=1).tolist())
    gap = None
    if reference is not None and clairvoyant is not None and reference.mean() > clairvoyant.mean():
        gap = float((reference.mean() - times.mean()) / (reference.mean() - clairvoyant.mean()))
    metric = runs[0].metric
    ratios = _stack([run.ratios for run in runs])
    ends = _intervals(times, reference, ratios, rng)
    return Contender(
        section=runs[0].section,
        name=runs[0].name,
        runs=len(runs),
        episodes=times.size,
        mean=float(times.mean()),
        iqm=iqm(times.ravel()),
        iqm_low=ends["iqm"][0],
        iqm_high=ends["iqm"][1],
        change_pct=change,
        change_low_pct=ends["change"][0],
        change_high_pct=ends["change"][1],
        improvement=improvement,
        improvement_low=ends["improvement"][0],
        improvement_high=ends["improvement"][1],
        gap_closed=gap,
        of_runs_pct=of_runs,
        trained=runs[0].trained,
        metric=metric,
        ratio=None if ratios is None else float(ratios.mean()),
        ratio_low=ends["ratio"][0],
        ratio_high=ends["ratio"][1],
        proved=_proved(runs),
    )


def _proved(runs: list[Sample]) -> float | None:
    known = [run.proved for run in runs if run.proved is not None]
    return float(np.concatenate(known).mean()) if known else None


def _intervals(
    times: Floats, reference: Floats | None, ratios: Floats | None, rng: np.random.Generator
) -> dict[str, tuple[float | None, float | None]]:
    """Return the ends of the bootstrap intervals; one episode says nothing about spread."""
    keys = ("iqm", "change", "improvement", "ratio")
    ends: dict[str, tuple[float | None, float | None]] = dict.fromkeys(keys, (None, None))
    if times.size < 2:
        return ends
    drawn: dict[str, list[Floats]] = {key: [] for key in keys}
    wins = None if reference is None else _wins(times, reference).ravel()
    left = RESAMPLES
    while left > 0:
        size = min(left, max(1, _BLOCK // times.size))
        left -= size
        rows = _draw(times.shape, size, rng)
        mine = times.ravel()[rows]
        drawn["iqm"].append(_iqms(mine))
        if ratios is not None:
            drawn["ratio"].append(ratios.ravel()[rows].mean(axis=1))
        if reference is not None and wins is not None:
            drawn["change"].append(_percent(mine, reference.ravel()[rows], axis=1))
            drawn["improvement"].append(wins[rows].mean(axis=1))
    for key, parts in drawn.items():
        if parts:
            low, high = interval(np.concatenate(parts))
            ends[key] = (float(low), float(high))
    return ends


def _draw(shape: tuple[int, ...], size: int, rng: np.random.Generator) -> Ints:
    """Draw runs, and within each its episodes; return flat indices, ``[size, runs * episodes]``."""
    runs, episodes = shape
    strata = rng.integers(runs, size=(size, runs, 1))
    within = rng.integers(episodes, size=(size, runs, episodes))
    return (strata * episodes + within).reshape(size, -1)


def _iqms(values: Floats) -> Floats:
    """Interquartile mean of each row, as `iqm` computes it."""
    cut = values.shape[1] // 4
    ordered: Floats = np.sort(values, axis=1)[:, cut : values.shape[1] - cut]
    return np.asarray(ordered.mean(axis=1))


def _percent(times: Floats, reference: Floats, axis: int | None = None) -> Floats:
    return np.asarray(100.0 * (times - reference).mean(axis=axis) / reference.mean(axis=axis))


def _wins(times: Floats, reference: Floats) -> Floats:
    faster = times < reference * (1 - TIE_TOLERANCE)
    slower = times > reference * (1 + TIE_TOLERANCE)
    return np.where(faster, 1.0, np.where(slower, 0.0, 0.5))


def _stack(parts: list[Floats | None]) -> Floats | None:
    known = [part for part in parts if part is not None]
    return np.stack(known) if len(known) == len(parts) else None
