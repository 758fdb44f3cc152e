"""Do schedulers compare in simulation as they compare when measured? And what would the others have reached?

All figures are over the tasks that every scheduler of a block completed, so that none gains by a task that it
failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qexp.gap.measure.clusters import margin
from qexp.gap.measure.records import Record
from qexp.gap.measure.simulations import SIMULATED, Simulations
from qexp.problem.arrays import Floats
from qexp.report.statistics import LEVEL

WAYS = ("recorded", *SIMULATED)
"""Ways to predict a mean completion time, see `SchedulerGap`."""
CALIBRATED = tuple(name for name, way in SIMULATED.items() if way.calibrated)
"""Those with figures of the blocks that the calibration was not fitted to, see `SchedulerGap.held_out`."""
RANKED = WAYS[:-1]
"""Ways whose order of schedulers is held against the measured one; in the last they know more than then."""
FEWEST_RANKED = 4
"""The order of fewer schedulers agrees too easily by chance: three do so perfectly once in six times."""
REFERENCE = "mct"
"""Who the others are compared with, if it ran."""


@dataclass(frozen=True)
class SchedulerGap:
    """Mean completion time of one scheduler in several ways, seconds, None where a way is not open.

    The interval of the difference is Student's t over the blocks' paired differences, as wide as it takes for
    the intervals of all schedulers to hold together in 95 % of campaigns (Bonferroni).
    """

    scheduler: str
    ran: bool  # it placed tasks in the campaign
    blocks: int  # behind each figure
    tasks: int  # behind each figure
    measured: float | None
    # Blocks behind the calibrated figures: those of the second half, or all where the campaign is not halved
    # by blocks and the calibration was fitted to tasks of each.
    held_out: int
    measured_held_out: float | None  # in these, None if it has no task there
    recorded: float | None  # simulated from an empty cloud with the placements of the campaign
    simulated: float | None  # simulated from an empty cloud, the scheduler choosing
    # The same, but machines take the calibrated execution times, which the scheduler does not know, and
    # acceptance the calibrated delay.
    simulated_calibrated: float | None
    # The campaign again in the simulator, the scheduler choosing, with the foreign load and the delay of
    # acceptance that were recorded.
    replayed: float | None
    replayed_calibrated: float | None  # the same, but machines take the calibrated execution times
    replayed_informed: float | None  # the same, and the scheduler knows those times
    reference: str | None = None  # who it is compared with, see `reference`
    difference: float | None = None  # measured mean - that of the reference
    difference_low: float | None = None  # lower end of its interval, None with fewer than five blocks
    difference_high: float | None = None  # upper end
    simulated_difference: float | None = None  # simulated mean - that of the reference, over the same tasks


@dataclass(frozen=True)
class _Block:
    number: int
    tasks: list[Record]  # each once, in order of arrival
    common: set[int]  # positions of the tasks that all schedulers completed
    counted: dict[str, dict[int, Record]]  # each scheduler's counted records by position

    def total(self, name: str, key: str) -> float:
        """Return the sum of a scheduler's values over the common tasks."""
        return float(sum(getattr(self.counted[name][position], key) for position in sorted(self.common)))

    def simulated(self, name: str, by: Simulations, way: str) -> float:
        """Return the total completion time over the common tasks in the simulator."""
        seconds = by.completion(name, self.tasks, SIMULATED[way])
        return float(seconds[[task.position in self.common for task in self.tasks]].sum())


def reference(ran: Sequence[str], named: Sequence[str]) -> str:
    """Return who the others are compared with: `REFERENCE` if it ran, else the first named that did.

    A choice by the measurement, as of the best, would find differences where there are none.

    Args:
        ran: Who completed tasks.
        named: The campaign's schedulers in the order in which they were named.
    """
    return next(name for name in (REFERENCE, *named, *ran) if name in ran)


def scheduler_gaps(rows: Sequence[Record], by: Simulations, named: Sequence[str] = ()) -> list[SchedulerGap]:
    """Return the figures of all schedulers: first those that ran, the best measured first.

    Args:
        rows: From `with_simulation`.
        by: Who and what to simulate.
        named: The campaign's schedulers in the order in which they were named.
    """
    ran = list(dict.fromkeys(row.scheduler for row in rows if row.counted))
    blocks = _blocks(rows, ran)
    if not blocks:
        return []
    counts = np.array([len(block.common) for block in blocks], dtype=np.float64)
    totals = {name: _totals(blocks, name, name in ran, by) for name in dict.fromkeys([*ran, *by.schedulers])}
    unseen = np.array([block.number in by.held_out for block in blocks])
    late = counts * unseen if unseen.any() else counts
    base = reference(ran, named)
    level = 1 - (1 - LEVEL) / max(1, len(ran) - 1)
    gaps = [
        SchedulerGap(
            scheduler=name,
            ran=name in ran,
            blocks=len(blocks),
            tasks=int(counts.sum()),
            held_out=int((late > 0).sum()),
            measured_held_out=_mean(of_way.get("measured"), late),
            **{
                way: _mean(of_way.get(way), late if way in CALIBRATED else counts)
                for way in ("measured", *WAYS)
            },
            reference=base,
            **({} if name == base else _differences(of_way, totals[base], counts, level)),
        )
        for name, of_way in totals.items()
    ]
    return sorted(gaps, key=lambda gap: (not gap.ran, gap.measured or gap.replayed_calibrated or 0.0))


def _blocks(rows: Sequence[Record], ran: Sequence[str]) -> list[_Block]:
    """Return the blocks of which all schedulers completed some task."""
    by_block: dict[int, list[Record]] = {}
    for row in rows:
        by_block.setdefault(row.block, []).append(row)
    blocks = []
    for number, members in sorted(by_block.items()):
        counted: dict[str, dict[int, Record]] = {name: {} for name in ran}
        for row in members:
            if row.counted:
                counted[row.scheduler][row.position] = row
        common = set.intersection(*map(set, counted.values())) if counted else set()
        if common:
            each = {row.position: row for row in members}
            tasks = sorted(each.values(), key=lambda row: (row.offset, row.position))
            blocks.append(_Block(number, tasks, common, counted))
    return blocks


def _totals(blocks: Sequence[_Block], name: str, ran: bool, by: Simulations) -> dict[str, Floats]:
    """Return total completion time over the common tasks of each block, by way, shape ``[blocks]``."""
    totals: dict[str, Floats] = {}
    if ran:
        for way, key in (("measured", "completion"), ("recorded", "simulated_completion")):
            totals[way] = np.array([block.total(name, key) for block in blocks])
    if name in by.schedulers:
        totals |= {way: np.array([block.simulated(name, by, way) for block in blocks]) for way in SIMULATED}
    return totals


def _mean(totals: Floats | None, counts: Floats) -> float | None:
    """Return the mean per task of the blocks that have a count."""
    return None if totals is None else float(totals[counts > 0].sum() / counts.sum())


def _differences(
    mine: Mapping[str, Floats], base: Mapping[str, Floats], counts: Floats, level: float
) -> dict[str, float | None]:
    differences: dict[str, float | None] = {}
    if "simulated" in mine and "simulated" in base:
        differences["simulated_difference"] = _mean(mine["simulated"] - base["simulated"], counts)
    if "measured" in mine:
        difference = mine["measured"] - base["measured"]
        mean, reach = float(difference.sum() / counts.sum()), margin(difference, counts, level)
        differences["difference"] = mean
        if reach is not None:
            differences |= {"difference_low": mean - reach, "difference_high": mean + reach}
    return differences


@dataclass(frozen=True)
class Ranks:
    """How far a simulated order of the schedulers that ran agrees with the measured one."""

    way: str  # which simulation, one of `RANKED`
    schedulers: int  # how many
    kendall: float | None  # Kendall's tau-b: 1 is the same order, -1 the reverse; None if not defined
    spearman: float | None  # Spearman's rho, likewise
    same_best: bool  # both have the same scheduler in front


def ranks(gaps: Sequence[SchedulerGap]) -> list[Ranks]:
    """Return the agreement of each simulation with the measurement, where it has two schedulers or more."""
    from scipy.stats import kendalltau, spearmanr

    agreements = []
    for way in RANKED:
        measured_as = "measured_held_out" if way in CALIBRATED else "measured"
        pairs = [(getattr(gap, measured_as), getattr(gap, way)) for gap in gaps if gap.ran]
        known = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)
        if len(known) < 2:
            continue
        # Totals that differ by rounding alone are ties.
        measured, simulated = np.round(known, 9).T
        varied = bool(np.ptp(measured) > 0 and np.ptp(simulated) > 0)
        agreements.append(
            Ranks(
                way=way,
                schedulers=len(known),
                kendall=float(kendalltau(measured, simulated).statistic) if varied else None,
                spearman=float(spearmanr(measured, simulated).statistic) if varied else None,
                same_best=bool(measured.argmin() == simulated.argmin()),
            )
        )
    return agreements
