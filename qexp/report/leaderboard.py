"""The answer of a run: one row per scheduler, best first, and one sentence: did learning pay?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from qexp.report.statistics import bootstrap_means, interval, iqm, percent_changes, win_rate

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

_TITLES = (
    "mean\ns",
    "interval\ns",
    "IQM\ns",
    "vs mct\n%",
    "interval\n%",
    "wins",
    "refused\nper ep.",
    "gap\nclosed",
)


@dataclass(frozen=True)
class LeaderboardRow:
    """One scheduler over all episodes. Times in seconds; None where a figure is not defined.

    Attributes:
        scheduler: Its name.
        episodes: How many it was evaluated on.
        total_completion_time_mean: Mean over episodes of the sum over tasks of
            rescheduling delay + wait + service.
        total_completion_time_iqm: Interquartile mean of the same.
        ci_low: Lower end of the mean's 95 % bootstrap interval; None with a single episode.
        ci_high: Upper end.
        vs_mct_pct: Change of the mean against the reference's, percent; negative is faster.
            None if the reference was not run.
        vs_mct_ci_low_pct: Lower end of its 95 % interval, episodes drawn jointly for both.
        vs_mct_ci_high_pct: Upper end.
        win_rate_vs_mct: Share of episodes below the reference, ties half; the reference's own row has 0.5.
        reschedules_mean: Refused placements per episode.
        gap_closed: (reference - this) / (reference - clairvoyant) of the means: 0 is the reference, 1 the
            clairvoyant; None if either was not run or the clairvoyant is no better than the reference.
    """

    scheduler: str
    episodes: int
    total_completion_time_mean: float
    total_completion_time_iqm: float
    ci_low: float | None
    ci_high: float | None
    vs_mct_pct: float | None
    vs_mct_ci_low_pct: float | None
    vs_mct_ci_high_pct: float | None
    win_rate_vs_mct: float | None
    reschedules_mean: float
    gap_closed: float | None


def leaderboard(
    episodes: pd.DataFrame, *, reference: str = "mct", clairvoyant: str = "clairvoyant", seed: int = 0
) -> list[LeaderboardRow]:
    """Summarise paired episodes, best mean first.

    Args:
        episodes: One row per (scheduler, episode), with `total_completion_time` (s) and `reschedules`.
        reference: The scheduler all others are measured against.
        clairvoyant: The scheduler that knows the future.
        seed: Of the bootstrap: the same table and seed give the same rows.

    Raises:
        ValueError: If the schedulers were not evaluated on the same episodes, or a time is missing.
    """
    times = paired(episodes)
    reschedules = episodes.groupby("scheduler")["reschedules"].mean()
    table = times.to_numpy(dtype=np.float64)
    means = table.mean(axis=0)
    mean_of = dict(zip(times.columns, means.tolist(), strict=True))

    low: list[float | None] = [None] * table.shape[1]
    high = list(low)
    if len(table) > 1:
        ends = interval(bootstrap_means(table, seed=seed))
        low, high = ends[0].tolist(), ends[1].tolist()
    base = times[reference].to_numpy(dtype=np.float64) if reference in times else None
    changes = [] if base is None else percent_changes(table, base, seed=seed)

    gap = mean_of.get(reference, np.nan) - mean_of.get(clairvoyant, np.nan)
    rows = [
        LeaderboardRow(
            scheduler=str(name),
            episodes=len(table),
            total_completion_time_mean=float(means[k]),
            total_completion_time_iqm=iqm(table[:, k]),
            ci_low=low[k],
            ci_high=high[k],
            vs_mct_pct=changes[k].pct if changes else None,
            vs_mct_ci_low_pct=changes[k].low if changes else None,
            vs_mct_ci_high_pct=changes[k].high if changes else None,
            win_rate_vs_mct=None if base is None else win_rate(table[:, k], base),
            reschedules_mean=float(reschedules[name]),
            gap_closed=float((mean_of[reference] - means[k]) / gap) if gap > 0 else None,
        )
        for k, name in enumerate(times.columns)
    ]
    return sorted(rows, key=lambda row: (row.total_completion_time_mean, row.scheduler))


def paired(episodes: pd.DataFrame) -> pd.DataFrame:
    """Total completion time in seconds, one row per episode and one column per scheduler.

    Raises:
        ValueError: If a scheduler lacks an episode another one has, or a time is missing.
    """
    # Not pivot_table: it would average a (scheduler, episode) pair that occurs twice, pivot refuses it.
    times = episodes.pivot(index="episode", columns="scheduler", values="total_completion_time")  # noqa: PD010
    holes = times.columns[times.isna().any()]
    if times.empty or len(holes):
        which = ", ".join(map(str, holes)) or "no scheduler at all"
        raise ValueError(f"the comparison is not paired: not every episode has a time of {which}")
    return times


def metrics(rows: Sequence[LeaderboardRow]) -> dict[str, float]:
    """The rows as flat metrics named `eval/<scheduler>/<column>`, undefined ones left out."""
    return {
        f"eval/{row.scheduler}/{key}": float(value)
        for row in rows
        for key, value in asdict(row).items()
        if key != "scheduler" and value is not None
    }


def render(rows: Sequence[LeaderboardRow], learned: str | None = None) -> Table:
    """A table of under 100 columns for the console, the learned scheduler's row highlighted.

    Args:
        rows: At least one, from `leaderboard`.
        learned: Whose row to highlight.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="Total completion time of an episode",
        caption=f"{rows[0].episodes} paired episodes, 95 % intervals; vs mct: negative is faster",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    table.add_column("scheduler", no_wrap=True)
    for title in _TITLES:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = (
            row.scheduler,
            _number(row.total_completion_time_mean),
            _range(row.ci_low, row.ci_high),
            _number(row.total_completion_time_iqm),
            _number(row.vs_mct_pct, "+"),
            _range(row.vs_mct_ci_low_pct, row.vs_mct_ci_high_pct, "+"),
            "-" if row.win_rate_vs_mct is None else f"{row.win_rate_vs_mct:.0%}",
            _number(row.reschedules_mean),
            "-" if row.gap_closed is None else f"{row.gap_closed:z.0%}",
        )
        style = "bold green" if row.scheduler == learned else ""
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def verdict(
    rows: Sequence[LeaderboardRow],
    episodes: pd.DataFrame,
    learned: str,
    *,
    clairvoyant: str = "clairvoyant",
    seed: int = 0,
) -> str:
    """One sentence: is the learned scheduler faster than the best of the others that do not know the future?

    Args:
        rows: From `leaderboard`, best first.
        episodes: What they were made of.
        learned: The name of the learned scheduler.
        clairvoyant: Left out of the comparison.
        seed: Of the bootstrap.

    Raises:
        ValueError: If `learned` was not evaluated.
    """
    if learned not in {row.scheduler for row in rows}:
        raise ValueError(f"no episodes of {learned!r} to judge")
    heuristics = [row.scheduler for row in rows if row.scheduler not in {learned, clairvoyant}]
    if not heuristics:
        return f"{learned} was evaluated alone: there is no heuristic to compare it with."
    best = heuristics[0]
    times = paired(episodes)
    change = percent_changes(times[[learned]].to_numpy(), times[best].to_numpy(), seed=seed)[0]
    if change.low is None or change.high is None:
        return f"One episode cannot tell {learned} from {best}: {change.pct:+z.1f} % total completion time."
    evidence = (
        f"{change.pct:+z.1f} % total completion time "
        f"(95 % interval {change.low:+z.1f} to {change.high:+z.1f}, {len(times)} paired episodes)"
    )
    if change.high < 0:
        return f"{learned} beats the best heuristic, {best}: {evidence}."
    if change.low > 0:
        return f"{learned} is NOT better than the best heuristic, {best}: {evidence}."
    return f"{learned} cannot be told from the best heuristic, {best}: {evidence}."


def _number(value: float | None, sign: str = "") -> str:
    """Format with one decimal up to 100 and none above: the intervals are wider than that."""
    if value is None:
        return "-"
    return f"{value:{sign}z.{1 if abs(value) < 99.95 else 0}f}"


def _range(low: float | None, high: float | None, sign: str = "") -> str:
    return "-" if low is None or high is None else f"{_number(low, sign)}..{_number(high, sign)}"
