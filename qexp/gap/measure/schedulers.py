"""Do schedulers compare in simulation as they compare when measured? And what would the others have reached?

All figures are over the tasks that every scheduler of a block completed, so that none gains by a task that it
failed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qexp.gap.measure.clusters import margin
from qexp.gap.measure.decide import decide
from qexp.gap.measure.load import Load
from qexp.gap.measure.records import Record
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer
from qexp.problem.arrays import Floats
from qexp.report.statistics import LEVEL

WAYS = (
    "recorded",
    "simulated",
    "simulated_calibrated",
    "replayed",
    "replayed_calibrated",
    "replayed_informed",
)
"""Ways to foresee a mean completion time, see `SchedulerGap`."""
CALIBRATED = ("simulated_calibrated", "replayed_calibrated", "replayed_informed")
"""Those with a calibration: told of the blocks that it was not fitted to, see `SchedulerGap.held_out`."""
RANKED = WAYS[:-1]
"""Ways whose order of schedulers is held against the measured one; in the last they know more than then."""
FEWEST_RANKED = 4
"""The order of fewer schedulers agrees too easily by chance: three do so perfectly once in six times."""
REFERENCE = "mct"
"""Who the others are compared with, if it ran."""


@dataclass(frozen=True)
class SchedulerGap:
    """Mean completion time of one scheduler in several ways, seconds, None where a way is not open.

    Attributes:
        scheduler: Its name.
        ran: Whether it placed tasks in the campaign.
        blocks: Blocks behind each figure.
        tasks: Tasks behind each figure.
        measured: As measured.
        held_out: Blocks behind the calibrated figures: those of the second half, or all where the campaign is
            not halved by blocks and the calibration has seen tasks of each.
        measured_held_out: As measured in these, None if it has no task there.
        recorded: Simulated from an empty cloud with the placements that it chose in the campaign.
        simulated: Simulated from an empty cloud, the scheduler choosing.
        simulated_calibrated: The same, but machines take the calibrated execution times, which the scheduler
            does not know, and acceptance the calibrated delay.
        replayed: The campaign again in the simulator, the scheduler choosing, with the foreign load and the
            delay of acceptance that were recorded.
        replayed_calibrated: The same, but machines take the calibrated execution times.
        replayed_informed: The same, and the scheduler knows those times.
        reference: Who it is compared with, see `reference`.
        difference: Measured mean - that of the reference.
        difference_low: Lower end of its interval: Student's t over the blocks' paired differences, as wide as
            it takes for the intervals of all schedulers to hold together in 95 % of campaigns (Bonferroni).
            None with fewer than five blocks.
        difference_high: Upper end.
        simulated_difference: Simulated mean - that of the same reference, over the same tasks.
    """

    scheduler: str
    ran: bool
    blocks: int
    tasks: int
    measured: float | None
    held_out: int
    measured_held_out: float | None
    recorded: float | None
    simulated: float | None
    simulated_calibrated: float | None
    replayed: float | None
    replayed_calibrated: float | None
    replayed_informed: float | None
    reference: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    simulated_difference: float | None = None


@dataclass(frozen=True)
class _Block:
    """One block.

    Attributes:
        number: Which.
        tasks: Each task once, in order of arrival.
        common: Positions of the tasks that all schedulers completed.
        counted: Each scheduler's counted records by position.
    """

    number: int
    tasks: list[Record]
    common: set[int]
    counted: dict[str, dict[int, Record]]


@dataclass(frozen=True)
class Simulations:
    """What schedulers are simulated with.

    Attributes:
        scenario: The placement problem.
        schedulers: Who can be simulated, by name.
        load: What was there beside our own jobs.
        seed: The campaign's.
        calibrated: Calibrated execution times, ``[circuits, nodes]``.
        delay: Calibrated delay of acceptance, seconds.
        held_out: Blocks that the calibration was not fitted to.
    """

    scenario: Scenario
    schedulers: Mapping[str, Placer]
    load: Load
    seed: int
    calibrated: Floats
    delay: float
    held_out: Collection[int]


def reference(ran: Sequence[str], named: Sequence[str]) -> str:
    """Return who the others are compared with; what was measured has no say in it.

    A choice by the measurement, as of the best, would find differences where there are none.

    Args:
        ran: Who completed tasks.
        named: The campaign's schedulers in the order in which they were named.

    Returns:
        `REFERENCE` if it ran, else the first named that did.
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
    found = [
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
    return sorted(found, key=lambda gap: (not gap.ran, gap.measured or gap.replayed_calibrated or 0.0))


def _blocks(rows: Sequence[Record], ran: Sequence[str]) -> list[_Block]:
    by_block: dict[int, list[Record]] = {}
    for row in rows:
        by_block.setdefault(row.block, []).append(row)
    found = []
    for number, members in sorted(by_block.items()):
        counted: dict[str, dict[int, Record]] = {name: {} for name in ran}
        for row in members:
            if row.counted:
                counted[row.scheduler][row.position] = row
        common = set.intersection(*(set(mine) for mine in counted.values())) if counted else set()
        if common:
            each = {row.position: row for row in members}
            tasks = sorted(each.values(), key=lambda row: (row.offset, row.position))
            found.append(_Block(number, tasks, common, counted))
    return found


def _totals(blocks: Sequence[_Block], name: str, ran: bool, by: Simulations) -> dict[str, Floats]:
    """Return total completion time over the common tasks of each block, by way, shape ``[blocks]``."""
    found: dict[str, Floats] = {}
    if ran:
        for way, key in (("measured", "completion"), ("recorded", "simulated_completion")):
            found[way] = np.array(
                [sum(getattr(block.counted[name][p], key) for p in sorted(block.common)) for block in blocks]
            )
    if name in by.schedulers:
        scenario, told, times, load = by.scenario, by.scenario.service, by.calibrated, by.load
        empty = [np.zeros(len(scenario.fleet))] * len(blocks)
        met = [load.seconds(block.number, scenario.fleet.names) for block in blocks]
        found["simulated"] = _played(blocks, name, by, empty, told, told, 0.0)
        found["simulated_calibrated"] = _played(blocks, name, by, empty, times, told, by.delay)
        found["replayed"] = _played(blocks, name, by, met, told, told, load.delay)
        found["replayed_calibrated"] = _played(blocks, name, by, met, times, told, load.delay)
        found["replayed_informed"] = _played(blocks, name, by, met, times, times, load.delay)
    return found


def _played(
    blocks: Sequence[_Block],
    name: str,
    by: Simulations,
    load: Sequence[Floats],
    service: Floats,
    told: Floats,
    delay: float,
) -> Floats:
    """Return total completion time over the common tasks of each block in the simulator, ``[blocks]``."""
    totals = []
    for block, foreign in zip(blocks, load, strict=True):
        _, seconds = decide(
            by.scenario,
            by.schedulers[name],
            name,
            block.tasks,
            seed=by.seed,
            load=foreign,
            service=service,
            told=told,
        )
        common = np.array([task.position in block.common for task in block.tasks])
        totals.append(float((seconds[common] + delay).sum()))
    return np.array(totals)


def _mean(totals: Floats | None, counts: Floats) -> float | None:
    """Return the mean per task of the blocks that have a count."""
    return None if totals is None else float(totals[counts > 0].sum() / counts.sum())


def _differences(
    mine: Mapping[str, Floats], base: Mapping[str, Floats], counts: Floats, level: float
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    if "simulated" in mine and "simulated" in base:
        found["simulated_difference"] = _mean(mine["simulated"] - base["simulated"], counts)
    if "measured" in mine:
        difference = mine["measured"] - base["measured"]
        mean, reach = float(difference.sum() / counts.sum()), margin(difference, counts, level)
        found["difference"] = mean
        if reach is not None:
            found |= {"difference_low": mean - reach, "difference_high": mean + reach}
    return found


@dataclass(frozen=True)
class Ranks:
    """How far a simulated order of the schedulers that ran agrees with the measured one.

    Attributes:
        way: Which simulation, one of `RANKED`.
        schedulers: How many.
        kendall: Kendall's tau-b: 1 is the same order, -1 the reverse; None if it is not defined.
        spearman: Spearman's rho, likewise.
        same_best: Whether both have the same scheduler in front.
    """

    way: str
    schedulers: int
    kendall: float | None
    spearman: float | None
    same_best: bool


def ranks(gaps: Sequence[SchedulerGap]) -> list[Ranks]:
    """Return the agreement of each simulation with the measurement, where it has two schedulers or more."""
    from scipy.stats import kendalltau, spearmanr

    found = []
    for way in RANKED:
        measured_as = "measured_held_out" if way in CALIBRATED else "measured"
        pairs = [(getattr(gap, measured_as), getattr(gap, way)) for gap in gaps if gap.ran]
        known = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)
        if len(known) < 2:
            continue
        # Totals that differ by rounding alone are ties.
        measured, foreseen = np.round(known, 9).T
        varied = bool(np.ptp(measured) > 0 and np.ptp(foreseen) > 0)
        found.append(
            Ranks(
                way=way,
                schedulers=len(known),
                kendall=float(kendalltau(measured, foreseen).statistic) if varied else None,
                spearman=float(spearmanr(measured, foreseen).statistic) if varied else None,
                same_best=bool(measured.argmin() == foreseen.argmin()),
            )
        )
    return found
