"""The answer of a run: one row per scheduler, best first, and one sentence: did learning pay?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qexp.problem.metric import Metric
from qexp.report.statistics import bootstrap_means, interval, iqm, percent_changes, win_rate
from qexp.report.table import BAD, STRONG, Column, Row, Table
from qexp.report.wording import metric_part, number_of, rounded, share

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LeaderboardRow:
    """One scheduler over all episodes, in the metric's unit; None where a figure is not defined.

    Attributes:
        scheduler: Its name.
        episodes: How many it was evaluated on.
        mean: Mean of the metric over episodes.
        iqm: Interquartile mean of the same.
        ci_low: Lower end of the mean's 95 % bootstrap interval; None with a single episode.
        ci_high: Upper end.
        change_pct: Change of the mean against the reference's, percent; negative is better.
            None if the reference was not run.
        change_ci_low_pct: Lower end of its 95 % interval, episodes drawn jointly for both.
        change_ci_high_pct: Upper end.
        win_rate: Share of episodes below the reference, ties half; the reference's own row has 0.5.
        counted: Mean of the metric's counted column, where it has one.
        gap_closed: (reference - this) / (reference - ideal) of the means: 0 is the reference, 1 the ideal;
            None if either was not run or the ideal is no better than the reference.
        ratio: Mean over episodes of the metric over the optimum, where the metric has that ratio.
        ratio_ci_low: Lower end of its 95 % interval.
        ratio_ci_high: Upper end.
        optimal: Share of episodes in which this reaches the optimum.
        proved: Share of episodes whose optimum is proved; in the others the best that any scheduler found
            takes its place.
        error: Why it did not come to the end of its episodes, or None; it then has no figures.
    """

    scheduler: str
    episodes: int
    mean: float = np.nan
    iqm: float = np.nan
    ci_low: float | None = None
    ci_high: float | None = None
    change_pct: float | None = None
    change_ci_low_pct: float | None = None
    change_ci_high_pct: float | None = None
    win_rate: float | None = None
    counted: float | None = None
    gap_closed: float | None = None
    ratio: float | None = None
    ratio_ci_low: float | None = None
    ratio_ci_high: float | None = None
    optimal: float | None = None
    proved: float | None = None
    error: str | None = None

    def record(self, metric: Metric) -> dict[str, Any]:
        """Return the row as columns of leaderboard.csv, named after what is measured and the reference."""
        base = metric.reference
        columns = {
            "scheduler": self.scheduler,
            "episodes": self.episodes,
            f"{metric.column}_mean": None if self.error else self.mean,
            f"{metric.column}_iqm": None if self.error else self.iqm,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            f"vs_{base}_pct": self.change_pct,
            f"vs_{base}_ci_low_pct": self.change_ci_low_pct,
            f"vs_{base}_ci_high_pct": self.change_ci_high_pct,
            f"win_rate_vs_{base}": self.win_rate,
        }
        if metric.counted is not None:
            columns[f"{metric.counted}_mean"] = self.counted
        columns["gap_closed"] = self.gap_closed
        if metric.ratio is not None:
            columns |= {
                metric.ratio: self.ratio,
                f"{metric.ratio}_ci_low": self.ratio_ci_low,
                f"{metric.ratio}_ci_high": self.ratio_ci_high,
                "optimal_share": self.optimal,
                "optimum_proved_share": self.proved,
            }
        return columns if self.error is None else columns | {"error": self.error}


def leaderboard(
    episodes: pd.DataFrame,
    metric: Metric,
    *,
    seed: int = 0,
    failed: Mapping[str, str] | None = None,
) -> list[LeaderboardRow]:
    """Summarise paired episodes, best mean first; schedulers that failed come last.

    Args:
        episodes: One row per (scheduler, episode), with the metric's columns.
        metric: What they are compared by.
        seed: Of the bootstrap: the same table and seed give the same rows.
        failed: Why a scheduler has no episodes, by scheduler.

    Raises:
        ValueError: If the schedulers were not evaluated on the same episodes, or a figure is missing.
    """
    failures = [LeaderboardRow(name, 0, error=error) for name, error in (failed or {}).items()]
    if failures and episodes.empty:
        return failures
    figures = paired(episodes, metric)
    table = figures.to_numpy(dtype=np.float64)
    means = table.mean(axis=0)
    mean_of = dict(zip(figures.columns, means.tolist(), strict=True))
    ends = _ends(table, seed)
    base = figures[metric.reference].to_numpy(dtype=np.float64) if metric.reference in figures else None
    changes = [] if base is None else percent_changes(table, base, seed=seed)
    counted = None if metric.counted is None else episodes.groupby("scheduler")[metric.counted].mean()
    gap = mean_of.get(metric.reference, np.nan) - mean_of.get(metric.ideal, np.nan)
    rows = [
        LeaderboardRow(
            scheduler=str(name),
            episodes=len(table),
            mean=float(means[k]),
            iqm=iqm(table[:, k]),
            ci_low=ends[k][0],
            ci_high=ends[k][1],
            change_pct=changes[k].value if changes else None,
            change_ci_low_pct=changes[k].low if changes else None,
            change_ci_high_pct=changes[k].high if changes else None,
            win_rate=None if base is None else win_rate(table[:, k], base),
            counted=None if counted is None else float(counted[name]),
            gap_closed=float((mean_of[metric.reference] - means[k]) / gap) if gap > 0 else None,
        )
        for k, name in enumerate(figures.columns)
    ]
    rows = _with_ratios(rows, episodes, metric, seed)
    return [*sorted(rows, key=lambda row: (row.mean, row.scheduler)), *failures]


def _with_ratios(
    rows: list[LeaderboardRow], episodes: pd.DataFrame, metric: Metric, seed: int
) -> list[LeaderboardRow]:
    """Add each scheduler's ratio to the optimum, in the rows' order, where there is one."""
    if metric.ratio is None or metric.ratio not in episodes:
        return rows
    ratios = paired(episodes, replace(metric, column=metric.ratio))
    table = ratios[[row.scheduler for row in rows]].to_numpy(dtype=np.float64)
    means, optimal = ([float(column.mean()) for column in columns] for columns in (table.T, (table <= 1).T))
    proved = float(episodes["optimum_proved"].mean())
    return [
        replace(row, ratio=mean, ratio_ci_low=low, ratio_ci_high=high, optimal=share_of, proved=proved)
        for row, mean, share_of, (low, high) in zip(rows, means, optimal, _ends(table, seed), strict=True)
    ]


def _ends(table: npt.NDArray[np.float64], seed: int) -> list[tuple[float | None, float | None]]:
    """Return the ends of the interval of each column's mean; one episode says nothing about spread."""
    if len(table) < 2:
        return [(None, None)] * table.shape[1]
    low, high = interval(bootstrap_means(table, seed=seed))
    return list(zip(low.tolist(), high.tolist(), strict=True))


def paired(episodes: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return the metric with one row per episode and one column per scheduler.

    Args:
        episodes: One row per (scheduler, episode).
        metric: The column that is compared.

    Raises:
        ValueError: If a scheduler lacks an episode another one has, or a figure is missing.
    """
    # Not pivot_table: it would average a (scheduler, episode) pair that occurs twice, pivot refuses it.
    figures = episodes.pivot(index="episode", columns="scheduler", values=metric.column)  # noqa: PD010
    holes = figures.columns[figures.isna().any()]
    if figures.empty or len(holes):
        which = ", ".join(map(str, holes)) or "no scheduler at all"
        raise ValueError(f"the comparison is not paired: not every episode has a {metric.title} of {which}")
    return figures


def metrics(rows: Sequence[LeaderboardRow], metric: Metric) -> dict[str, float]:
    """Return the rows as flat metrics named `eval/<scheduler>/<column>`, undefined ones left out.

    Args:
        rows: The leaderboard.
        metric: What schedulers are compared by.
    """
    return {
        f"eval/{metric_part(row.scheduler)}/{key}": float(value)
        for row in rows
        if row.error is None
        for key, value in row.record(metric).items()
        if key != "scheduler" and value is not None
    }


def render(rows: Sequence[LeaderboardRow], metric: Metric, learned: str | None = None) -> Table:
    """Return a leaderboard as a table.

    Args:
        rows: See `board`, as `leaderboard` has them.
        metric: See `board`.
        learned: See `board`.
    """
    return board([row.record(metric) for row in rows], metric, learned)


def board(records: Sequence[Row], metric: Metric, learned: str | None = None) -> Table:
    """Return a leaderboard as a table, of under 100 columns on a console.

    Args:
        records: At least one, see `LeaderboardRow.record`.
        metric: What they are compared by.
        learned: Whose row to highlight.
    """
    first, base = records[0], metric.reference
    notes = [f"{row['scheduler']} failed: {row['error']}" for row in records if row.get("error")]
    if unproved(first):
        several = round((1 - first["optimum_proved_share"]) * first["episodes"])
        notes.append(f"* not proved: in {several} episodes the best schedule found takes the optimum's place")
    return Table(
        f"{metric.title.capitalize()} of an episode",
        [
            Column("scheduler", words=True),
            *_columns(metric, relative=first.get(str(metric.ratio)) is not None),
        ],
        records,
        f"{number_of(first['episodes'], 'paired episode')}, 95 % intervals; vs {base}: negative is faster",
        notes,
        lambda row: BAD if row.get("error") else STRONG if row["scheduler"] == learned else "",
    )


def _columns(metric: Metric, *, relative: bool) -> list[Column]:
    """Return what stands beside a scheduler's name."""
    vs, signed = f"vs_{metric.reference}", partial(rounded, sign="+")
    mean = Column(f"{metric.column}_mean", "mean", metric.unit, rounded, mark=_failed)
    change = [
        Column(f"{vs}_pct", f"vs {metric.reference}".replace("_", "_\n", 1), "%", signed),
        Column((f"{vs}_ci_low_pct", f"{vs}_ci_high_pct"), "interval", "%", signed),
    ]
    if relative:
        ratio = str(metric.ratio)
        return [
            mean,
            Column(ratio, "over\noptimum", format="{:z.3f}".format, mark=unproved),
            Column((f"{ratio}_ci_low", f"{ratio}_ci_high"), "interval", format="{:z.3f}".format),
            Column("optimal_share", "opti-\nmal", format=share, mark=unproved),
            *change,
        ]
    counted = Column(f"{metric.counted}_mean", metric.counted_title, format=rounded)
    return [
        mean,
        Column(("ci_low", "ci_high"), "interval", metric.unit, rounded),
        Column(f"{metric.column}_iqm", "IQM", metric.unit, rounded),
        *change,
        Column(f"win_rate_{vs}", "wins", format=share),
        *([] if metric.counted is None else [counted]),
        Column("gap_closed", "gap\nclosed", format=share),
    ]


def _failed(row: Row) -> str:
    return "failed" if row.get("error") else ""


def unproved(row: Row) -> str:
    """Return what stands behind figures of which an optimum that is not proved is part."""
    proved = row.get("optimum_proved_share")
    return "*" if proved is not None and proved < 1 else ""


def verdict(
    rows: Sequence[LeaderboardRow],
    episodes: pd.DataFrame,
    learned: str,
    metric: Metric,
    *,
    seed: int = 0,
) -> str:
    """One sentence: is the learned scheduler faster than the best of the others, the ideal left out?

    Args:
        rows: From `leaderboard`, best first.
        episodes: What they were made of.
        learned: The name of the learned scheduler.
        metric: What they are compared by.
        seed: Of the bootstrap.

    Raises:
        ValueError: If `learned` was not evaluated.
    """
    if learned not in {row.scheduler for row in rows}:
        raise ValueError(f"no episodes of {learned!r} to judge")
    if any(row.scheduler == learned and row.error is not None for row in rows):
        return f"{learned} failed: there is nothing to judge."
    heuristics = [
        row.scheduler
        for row in rows
        if row.error is None
        and row.scheduler not in {learned, metric.ideal}
        and not row.scheduler.startswith("policy ")  # another trained one
    ]
    if not heuristics:
        return f"{learned} was evaluated alone: there is no heuristic to compare it with."
    best = heuristics[0]
    figures = paired(episodes, metric)
    change = percent_changes(figures[[learned]].to_numpy(), figures[best].to_numpy(), seed=seed)[0]
    if change.low is None or change.high is None:
        return f"One episode cannot tell {learned} from {best}: {change.value:+z.1f} % {metric.title}."
    evidence = (
        f"{change.value:+z.1f} % {metric.title} "
        f"(95 % interval {change.low:+z.1f} to {change.high:+z.1f}, {len(figures)} paired episodes)"
    )
    if change.high < 0:
        return f"{learned} beats the best heuristic, {best}: {evidence}."
    if change.low > 0:
        return f"{learned} is NOT better than the best heuristic, {best}: {evidence}."
    return f"{learned} cannot be told from the best heuristic, {best}: {evidence}."
