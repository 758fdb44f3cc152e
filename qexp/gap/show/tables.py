"""The gap report's tables; console and page show the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from math import exp
from typing import TYPE_CHECKING

from qexp.gap.calibrate.calibration import Calibration
from qexp.gap.calibrate.holdout import HoldOut
from qexp.gap.calibrate.shrinkage import Model
from qexp.gap.gap import Gap
from qexp.gap.measure.clusters import FEWEST
from qexp.gap.measure.decomposition import PARTS, QUEUE_PARTS, Decomposition
from qexp.gap.measure.load import ASSUMPTION
from qexp.gap.measure.schedulers import SchedulerGap
from qexp.report.table import Column, Row, Table
from qexp.report.wording import number, number_of

if TYPE_CHECKING:
    from rich.console import Group

QUANTITIES = {
    "wait": "wait, at the decision (s)",
    "wait_open_loop": "wait, simulated (s)",
    "execution": "execution (s)",
    "completion_open_loop": "completion, simulated (s)",
    "quantum_seconds": "quantum time (s)",
    "fidelity": "fidelity against ESP",
}
WAYS = {
    "recorded": "its recorded placements",
    "simulated": "simulated",
    "simulated_calibrated": "simulated, calibrated",
    "replayed": "replayed",
    "replayed_calibrated": "replayed, calibrated",
    "replayed_informed": "replayed, calibrated, informed",
}
FAMILIES = {
    "as_predicted": "as predicted",
    "factor": "factor x predicted",
    "affine": "overhead (s) + factor x predicted",
    "circuit_time": "overhead (s) + factor x shots x circuit duration",
    "power": "ESP ^ exponent",
    "scaled_power": "scale x ESP ^ exponent",
}

WORDS = partial(Column, words=True)
FIGURE = partial(Column, format=number)
SIGNED = partial(Column, format=partial(number, sign="+"))
PERCENT = "{:+z.1f} %".format


def tables(gap: Gap) -> list[Table]:
    """Return the tables that there are figures for, the most important first."""
    made = [
        decomposition(gap),
        machines(gap),
        schedulers(gap),
        agreement(gap),
        calibration(gap.calibration),
        hold_out(gap.hold_out),
        counterfactual(gap),
        shadows(gap),
    ]
    return [table for table in made if table.rows]


def render(made: Iterable[Table], notes: Iterable[str]) -> Group:
    """Return tables for the console, those without rows left out, of under 120 columns, and notes.

    Args:
        made: In the order to show.
        notes: A line each, below the tables.
    """
    from rich.console import Group
    from rich.text import Text

    parts = [part for table in made if table.rows for part in (table, Text())]
    return Group(*parts, *(Text(f"note: {note}") for note in notes))


def decomposition(gap: Gap) -> Table:
    """The gap of the total completion time, per task, for each scheduler and in all."""
    groups: dict[str, list[Decomposition]] = {}
    for segment in gap.segments:
        groups.setdefault(segment.scheduler, []).append(segment)
    groups = dict(sorted(groups.items(), key=lambda item: per_task(item[1], "measured")))
    if len(groups) > 1:
        groups["all"] = gap.segments
    parts = [*PARTS[:-1], *QUEUE_PARTS, "unknown"]
    titles = {
        "queue_execution": "queue: own jobs",
        "queue_submission": "queue: acceptance",
        "queue_foreign": "queue: foreign",
    }
    rows = [
        {"scheduler": name, "tasks": sum(segment.tasks for segment in segments)}
        | {key: per_task(segments, key) for key in ("simulated", *parts, "measured")}
        for name, segments in groups.items()
    ]
    return Table(
        "Where the gap of the completion time comes from",
        [
            WORDS("scheduler"),
            Column("tasks"),
            FIGURE("simulated"),
            *(SIGNED(part, titles.get(part)) for part in parts),
            FIGURE("measured"),
        ],
        rows,
        "Seconds per task. Simulated (from an empty cloud, with the recorded placements) + delay + execution "
        "+ queue + unknown = measured. Queue = what our own jobs' execution times do to it + what acceptance "
        "after arrival does + foreign load.",
    )


def machines(gap: Gap) -> Table:
    """Bias and error factor of each quantity on each machine."""
    return Table(
        "Predicted and measured on each machine",
        [
            WORDS("machine"),
            WORDS("quantity"),
            Column("tasks"),
            FIGURE("measured"),
            FIGURE("predicted"),
            SIGNED("bias"),
            SIGNED(("bias_low", "bias_high"), "interval"),
            FIGURE("factor"),
            FIGURE(("factor_low", "factor_high"), "interval"),
            FIGURE("spread"),
        ],
        [vars(row) | {"quantity": QUANTITIES[row.quantity]} for row in gap.machines],
        "Bias: mean of measured - predicted. Factor: median of measured / predicted where both are above 0; "
        "spread: its geometric standard deviation. 95 % intervals over segments, none with fewer than "
        f"{FEWEST} of them.",
    )


def schedulers(gap: Gap) -> Table:
    """Measured and simulated mean completion time of the schedulers that ran."""
    rows = [vars(row) for row in gap.schedulers if row.ran]
    others, base = len(rows) - 1, gap.schedulers[0].reference if gap.schedulers else None
    several = f"; the {others} intervals hold together in 95 % of campaigns (Bonferroni)."
    return Table(
        "Schedulers, measured and simulated",
        [
            WORDS("scheduler"),
            FIGURE("measured"),
            FIGURE("simulated"),
            SIGNED("difference", f"against {base}"),
            SIGNED(("difference_low", "difference_high"), "interval"),
            SIGNED("simulated_difference", f"simulated against {base}"),
            FIGURE("measured_held_out", "measured, calibrated's blocks"),
            FIGURE("simulated_calibrated", "calibrated"),
        ],
        rows,
        f"Mean completion time, seconds, of {extent(gap.schedulers)}. Simulated: from an empty cloud, "
        f"each scheduler choosing for itself. Against: difference to {base}, fixed beforehand, with an "
        f"interval by Student's t over paired blocks{several if others > 1 else ', 95 %.'} {_blocks(gap)}",
    )


def agreement(gap: Gap) -> Table:
    """Agreement of simulation and measurement in the order of schedulers."""
    return Table(
        "Does simulation put the schedulers in the measured order?",
        [
            WORDS("way", "simulation"),
            Column("schedulers"),
            SIGNED("kendall", "Kendall tau"),
            SIGNED("spearman", "Spearman rho"),
            Column("same_best", "same best"),
        ],
        [vars(row) | {"way": WAYS[row.way]} for row in gap.ranks],
        f"1: the same order, -1: the reverse. {_blocks(gap)}",
    )


def calibration(fitted: Calibration) -> Table:
    """The curves that were fitted."""
    models = {"execution": fitted.service, "fidelity": fitted.fidelity}
    return Table(
        "Calibration, fitted to the first half",
        [
            WORDS("model"),
            WORDS("form"),
            Column("jobs"),
            FIGURE("first", "overhead or scale"),
            FIGURE("second", "factor or exponent"),
        ],
        [row for what, model in models.items() for row in _curves(what, model, fitted.machines)],
        "Chosen by held-out error within the first half, in percent of the mean (mean absolute error + "
        "absolute mean error): "
        + "; ".join(_chosen(what, model) for what, model in models.items())
        + f". Median delay of acceptance: {number(fitted.delay)} s.",
    )


def _curves(what: str, model: Model, names: Sequence[str]) -> list[Row]:
    """Return a row for each machine's curve, or one if all have the same."""
    curves = list(zip(names, model.machines, model.jobs, strict=True))
    if len(set(model.machines)) == 1:
        curves = [("every machine", model.fleet, sum(model.jobs))]
    reads = exp if model.family.reads == "esp" else float
    return [
        {"model": f"{what}, {name}", "form": FAMILIES[model.family.name], "jobs": jobs}
        | {"first": reads(first), "second": second}
        for name, (first, second), jobs in curves
    ]


def hold_out(held: HoldOut) -> Table:
    """The calibration's worth on the second half."""
    totals = {
        "total completion time (s), before": held.total_before,
        "total completion time (s), calibrated": held.total_after,
        "the same with the foreign load of the first half": held.total_after_load,
    }
    errors = {
        "mean execution (s), before": held.execution_before,
        "mean execution (s), calibrated": held.execution_after,
        "mean fidelity, ESP": held.fidelity_before,
        "mean fidelity, calibrated": held.fidelity_after,
    }
    rows: list[Row] = [
        vars(total) | {"quantity": name, "error": total.error_pct} for name, total in totals.items()
    ]
    for name, error in errors.items():
        row = vars(error) | {"quantity": name, "error": error.bias}
        if error.measured is not None and error.bias is not None:
            row["predicted"] = error.measured + error.bias
        rows.append(row)
    return Table(
        "The second half, predicted with and without calibration",
        [
            WORDS("quantity"),
            FIGURE("measured"),
            FIGURE("predicted"),
            SIGNED("error", mark=lambda row: " %" if row.get("error_pct") is not None else ""),
            FIGURE("absolute", "mean absolute error"),
        ],
        rows if held.held_out else [],
        f"Fitted to {held.fitted} tasks, judged on {held.held_out} later ones, {held.fidelity_tasks} of them "
        f"with a fidelity; halved by {held.split}. Total completion time: open loop, from an empty cloud "
        "with the recorded placements.",
    )


def counterfactual(gap: Gap) -> Table:
    """Every scheduler's mean completion time in this campaign, had it placed all of it."""
    return Table(
        "The campaign replayed under every scheduler",
        [
            WORDS("scheduler"),
            WORDS("ran"),
            FIGURE("measured"),
            FIGURE("replayed"),
            FIGURE("measured_held_out", "measured, calibrated's blocks"),
            FIGURE("replayed_calibrated", "calibrated"),
            Column("error", format=PERCENT),
            FIGURE("replayed_informed", "informed"),
        ],
        [
            vars(row) | {"error": _change_pct(row.replayed_calibrated, row.measured_held_out)}
            for row in gap.schedulers
        ],
        f"Mean completion time, seconds, of {extent(gap.schedulers)}. Each scheduler chooses in the "
        f"simulator, with the foreign load and delay that were recorded. {ASSUMPTION} Calibrated: machines "
        "take the calibrated execution times. Error: of that, against the measurement in the same blocks. "
        f"Informed: the scheduler knows those times when it chooses. {_blocks(gap)}",
    )


def shadows(gap: Gap) -> Table:
    """How often those that were asked without effect agreed with those that placed."""
    return Table(
        "What shadows would have chosen",
        [
            WORDS("scheduler"),
            WORDS("shadow"),
            WORDS("difference", "most frequent difference"),
            Column("tasks"),
            Column("agreement", format="{:.0%}".format),
        ],
        [
            vars(row) | ({"difference": f"{row.times} x {row.instead} for {row.chosen}"} if row.times else {})
            for row in gap.shadows
        ],
        "Asked in the situations that the scheduler met, without effect. Agreement: share of its tasks for "
        "which the shadow chose the same machine.",
    )


def per_task(segments: Sequence[Decomposition], part: str) -> float:
    """Return a part of the gap of some segments, mean per task, seconds.

    Args:
        segments: At least one.
        part: Name of a field of theirs.
    """
    return float(sum(getattr(segment, part) for segment in segments)) / sum(s.tasks for s in segments)


def extent(rows: Sequence[SchedulerGap]) -> str:
    """Say of how many tasks and blocks figures are."""
    if not rows:
        return "no tasks"
    return f"{number_of(rows[0].tasks, 'task')} in {number_of(rows[0].blocks, 'block')}"


def _blocks(gap: Gap) -> str:
    """Say which blocks calibrated figures are of."""
    if not gap.schedulers or gap.hold_out.split != "blocks":
        return "Calibrated: it was fitted to half of the same tasks."
    count = gap.schedulers[0].held_out
    return f"Calibrated: of the {number_of(count, 'block')} that it was not fitted to."


def _change_pct(value: float | None, measured: float | None) -> float | None:
    return None if value is None or not measured else 100 * (value / measured - 1)


def _chosen(what: str, model: Model) -> str:
    if model.error is None or model.error_as_predicted is None:
        return f"{what} left as predicted, for want of tasks"
    return f"{what} {model.error:.1%}, as predicted {model.error_as_predicted:.1%}"
