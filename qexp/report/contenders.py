"""Who is better over a whole sweep: every scheduler with its runs pooled, and how sure that is.

The aggregates follow Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021): interquartile means, probability of improvement, intervals from a stratified bootstrap. The
strata are runs (training seeds): runs are drawn with replacement, and within each the episodes, so that an
interval holds both what another seed and what other episodes would have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from qexp.problem.metric import Metric
from qexp.report.statistics import TIE_TOLERANCE, Estimate, Floats, interval, iqm

RESAMPLES = 2_000
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
        change: Change of the mean against the reference's, percent; negative is faster.
        improvement: Probability of improvement over the reference: share of episodes that are faster, ties
            half.
        gap_closed: Share of the way from the reference to the ideal, of the means.
        metric: What is measured.
        of_runs_pct: Each run's own change against the reference, percent.
        trained: Whether its runs trained it.
        ratio: Mean of the figure over the optimum, where the metric has that ratio.
        proved: Share of episodes whose optimum is proved.
    """

    section: str
    name: str
    runs: int
    episodes: int
    mean: float
    iqm: Estimate
    change: Estimate | None
    improvement: Estimate | None
    gap_closed: float | None
    metric: Metric
    of_runs_pct: tuple[float, ...] = ()
    trained: bool = False
    ratio: Estimate | None = None
    proved: float | None = None

    def record(self) -> dict[str, Any]:
        """Return the contender as columns of sweep_leaderboard.csv."""
        record: dict[str, Any] = {
            key: getattr(self, key) for key in ("section", "name", "runs", "episodes", "mean")
        }
        record |= _columns("iqm", self.iqm) | _columns(f"vs_{self.metric.reference}", self.change, "_pct")
        record |= _columns("improvement", self.improvement)
        record |= {"gap_closed": self.gap_closed, "trained": self.trained}
        if self.metric.ratio is not None:
            record |= _columns(self.metric.ratio, self.ratio) | {"optimum_proved_share": self.proved}
        return record


def _columns(name: str, estimate: Estimate | None, unit: str = "") -> dict[str, float | None]:
    """Return an estimate as three columns."""
    value, low, high = (None, None, None) if estimate is None else astuple(estimate)
    return {f"{name}{unit}": value, f"{name}_low{unit}": low, f"{name}_high{unit}": high}


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
    ideal = _stack([run.clairvoyant for run in runs])
    ratios = _stack([run.ratios for run in runs])
    proved = [run.proved for run in runs if run.proved is not None]
    gap = None
    if reference is not None and ideal is not None and reference.mean() > ideal.mean():
        gap = float((reference.mean() - times.mean()) / (reference.mean() - ideal.mean()))
    estimates = _estimates(times, reference, ratios, rng)
    return Contender(
        section=runs[0].section,
        name=runs[0].name,
        runs=len(runs),
        episodes=times.size,
        mean=float(times.mean()),
        iqm=replace(estimates["iqm"], value=iqm(times.ravel())),
        change=estimates.get("change"),
        improvement=estimates.get("improvement"),
        gap_closed=gap,
        of_runs_pct=() if reference is None else tuple(_percent(times, reference).tolist()),
        trained=runs[0].trained,
        metric=runs[0].metric,
        ratio=estimates.get("ratio"),
        proved=float(np.concatenate(proved).mean()) if proved else None,
    )


def _estimates(
    times: Floats, reference: Floats | None, ratios: Floats | None, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Return what can be estimated, with bootstrap intervals; one episode says nothing about spread."""

    def figures(rows: Any) -> dict[str, Floats]:
        mine = times.ravel()[rows]
        known = {"iqm": _iqms(mine)}
        if reference is not None:
            base = reference.ravel()[rows]
            known |= {"change": _percent(mine, base), "improvement": _wins(mine, base).mean(axis=-1)}
        if ratios is not None:
            known["ratio"] = ratios.ravel()[rows].mean(axis=-1)
        return known

    values = figures(np.arange(times.size))
    if times.size < 2:
        return {key: Estimate(float(value), None, None) for key, value in values.items()}
    draws = [figures(rows) for rows in _draws(times.shape, rng)]
    ends = {key: interval(np.concatenate([draw[key] for draw in draws])) for key in values}
    return {key: Estimate(float(values[key]), float(low), float(high)) for key, (low, high) in ends.items()}


def _draws(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Draw runs, and within each its episodes; yield flat indices, ``[some, runs * episodes]``."""
    runs, episodes = shape
    most = max(1, _BLOCK // (runs * episodes))
    for begin in range(0, RESAMPLES, most):
        size = min(most, RESAMPLES - begin)
        strata = rng.integers(runs, size=(size, runs, 1))
        within = rng.integers(episodes, size=(size, runs, episodes))
        yield (strata * episodes + within).reshape(size, -1)


def _iqms(values: Floats) -> Floats:
    """Interquartile mean along the last axis, as `iqm` computes it."""
    cut = values.shape[-1] // 4
    return np.asarray(np.sort(values)[..., cut : values.shape[-1] - cut].mean(axis=-1))


def _percent(times: Floats, reference: Floats) -> Floats:
    return np.asarray(100.0 * (times - reference).mean(axis=-1) / reference.mean(axis=-1))


def _wins(times: Floats, reference: Floats) -> Floats:
    faster = times < reference * (1 - TIE_TOLERANCE)
    slower = times > reference * (1 + TIE_TOLERANCE)
    return np.where(faster, 1.0, np.where(slower, 0.0, 0.5))


def _stack(parts: list[Floats | None]) -> Floats | None:
    known = [part for part in parts if part is not None]
    return np.stack(known) if len(known) == len(parts) else None
