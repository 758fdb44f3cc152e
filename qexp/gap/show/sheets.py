"""The gap report's tables, as text; console and page show the same."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from qexp.gap.calibrate.calibration import Calibration
from qexp.gap.calibrate.holdout import Error, HoldOut, Total
from qexp.gap.calibrate.shrinkage import Model
from qexp.gap.gap import Gap
from qexp.gap.measure.clusters import FEWEST
from qexp.gap.measure.decomposition import PARTS, QUEUE_PARTS, Decomposition
from qexp.gap.measure.load import ASSUMPTION
from qexp.gap.measure.schedulers import SchedulerGap
from qexp.gap.show.sheet import Sheet, ends, number
from qexp.report.wording import number_of

TITLES = {
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
    "replayed_informed": "replayed, calibrated and told",
}
FAMILIES = {
    "as_predicted": "as predicted",
    "factor": "factor x predicted",
    "affine": "overhead (s) + factor x predicted",
    "circuit_time": "overhead (s) + factor x shots x circuit duration",
    "power": "ESP ^ exponent",
    "scaled_power": "scale x ESP ^ exponent",
}


def sheets(gap: Gap) -> list[Sheet]:
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
    return [sheet for sheet in made if sheet.rows]


def decomposition(gap: Gap) -> Sheet:
    """The gap of the total completion time, per task, for each scheduler and in all."""
    groups: dict[str, list[Decomposition]] = {}
    for segment in gap.segments:
        groups.setdefault(segment.scheduler, []).append(segment)
    groups = dict(sorted(groups.items(), key=lambda item: _per_task(item[1], "measured")))
    if len(groups) > 1:
        groups["all"] = gap.segments
    rows = []
    for name, segments in groups.items():
        keys = ("simulated", *PARTS[:-1], *QUEUE_PARTS, "unknown", "measured")
        means = [_per_task(segments, key) for key in keys]
        signs = ["", *["+"] * (len(keys) - 2), ""]
        cells = [number(value, sign) for value, sign in zip(means, signs, strict=True)]
        rows.append([name, str(sum(segment.tasks for segment in segments)), *cells])
    return Sheet(
        "Where the gap of the completion time comes from",
        "Seconds per task. Simulated (from an empty cloud, with the recorded placements) + delay + execution "
        "+ queue + unknown = measured. Queue = what our own jobs' execution times do to it + what acceptance "
        "after arrival does + foreign load.",
        (
            "scheduler",
            "tasks",
            "simulated",
            "delay",
            "execution",
            "queue",
            "queue: own jobs",
            "queue: acceptance",
            "queue: foreign",
            "unknown",
            "measured",
        ),
        rows,
    )


def machines(gap: Gap) -> Sheet:
    """Bias and error factor of each quantity on each machine."""
    rows = [
        [
            row.machine,
            TITLES[row.quantity],
            str(row.tasks),
            number(row.measured),
            number(row.predicted),
            number(row.bias, "+"),
            ends(row.bias_low, row.bias_high, "+"),
            number(row.factor),
            ends(row.factor_low, row.factor_high),
            number(row.spread),
        ]
        for row in gap.machines
    ]
    return Sheet(
        "Predicted and measured on each machine",
        "Bias: mean of measured - predicted. Factor: median of measured / predicted where both are above 0; "
        "spread: its geometric standard deviation. 95 % intervals over segments, none with fewer than "
        f"{FEWEST} of them.",
        (
            "machine",
            "quantity",
            "tasks",
            "measured",
            "predicted",
            "bias",
            "interval",
            "factor",
            "interval",
            "spread",
        ),
        rows,
        left=2,
    )


def schedulers(gap: Gap) -> Sheet:
    """Measured and simulated mean completion time of the schedulers that ran."""
    rows = [
        [
            row.scheduler,
            number(row.measured),
            number(row.simulated),
            number(row.difference, "+"),
            ends(row.difference_low, row.difference_high, "+"),
            number(row.simulated_difference, "+"),
            number(row.measured_held_out),
            number(row.simulated_calibrated),
        ]
        for row in gap.schedulers
        if row.ran
    ]
    others, base = len(rows) - 1, gap.schedulers[0].reference if gap.schedulers else None
    return Sheet(
        "Schedulers, measured and simulated",
        f"Mean completion time, seconds, of {_extent(gap.schedulers)}. Simulated: from an empty cloud, "
        f"each scheduler choosing for itself. Against: difference to {base}, fixed beforehand, with an "
        "interval by Student's t over paired blocks"
        + (
            f"; the {others} intervals hold together in 95 % of campaigns (Bonferroni)."
            if others > 1
            else ", 95 %."
        )
        + f" {_blocks(gap)}",
        (
            "scheduler",
            "measured",
            "simulated",
            f"against {base}",
            "interval",
            f"simulated against {base}",
            "measured, calibrated's blocks",
            "calibrated",
        ),
        rows,
    )


def agreement(gap: Gap) -> Sheet:
    """Whether simulation puts the schedulers in the measured order."""
    rows = [
        [
            WAYS[row.way],
            str(row.schedulers),
            number(row.kendall, "+"),
            number(row.spearman, "+"),
            "yes" if row.same_best else "no",
        ]
        for row in gap.ranks
    ]
    return Sheet(
        "Does simulation put the schedulers in the measured order?",
        f"1: the same order, -1: the reverse. {_blocks(gap)}",
        ("simulation", "schedulers", "Kendall tau", "Spearman rho", "same best"),
        rows,
    )


def calibration(found: Calibration) -> Sheet:
    """The curves that were fitted."""
    rows = []
    models = (("execution", found.service), ("fidelity", found.fidelity))
    for what, model in models:
        curves = {f"{what}, {name}": row for name, row in zip(found.machines, model.machines, strict=True)}
        if len(set(curves.values())) == 1:
            curves = {f"{what}, every machine": model.fleet}
        jobs = (
            dict.fromkeys(curves, sum(model.jobs))
            if len(curves) == 1
            else dict(zip(curves, model.jobs, strict=True))
        )
        rows += [
            [name, FAMILIES[model.family.name], str(jobs[name]), *_parameters(model, curve)]
            for name, curve in curves.items()
        ]
    return Sheet(
        "Calibration, fitted to the first half",
        "Chosen by held-out error within the first half, in percent of the mean (mean absolute error + "
        "absolute mean error): "
        + "; ".join(_chosen(what, model) for what, model in models)
        + f". Median delay of acceptance: {number(found.delay)} s.",
        ("model", "form", "jobs", "overhead or scale", "factor or exponent"),
        rows,
        left=2,
    )


def hold_out(held: HoldOut) -> Sheet:
    """What the calibration is worth on the second half."""
    if not held.held_out:
        return Sheet("", "", (), ())

    def total(name: str, total: Total) -> list[str]:
        error = "-" if total.error_pct is None else f"{number(total.error_pct, '+')} %"
        return [name, number(total.measured), number(total.predicted), error, "-"]

    def error(name: str, error: Error) -> list[str]:
        if error.measured is None or error.bias is None:
            return [name, *["-"] * 4]
        predicted = error.measured + error.bias
        return [
            name,
            number(error.measured),
            number(predicted),
            number(error.bias, "+"),
            number(error.absolute),
        ]

    rows = [
        total("total completion time (s), before", held.total_before),
        total("total completion time (s), calibrated", held.total_after),
        total("the same with the foreign load of the first half", held.total_after_load),
        error("mean execution (s), before", held.execution_before),
        error("mean execution (s), calibrated", held.execution_after),
        error("mean fidelity, ESP", held.fidelity_before),
        error("mean fidelity, calibrated", held.fidelity_after),
    ]
    return Sheet(
        "The second half, predicted with and without calibration",
        f"Fitted to {held.fitted} tasks, judged on {held.held_out} later ones, {held.fidelity_tasks} of them "
        f"with a fidelity; halved by {held.split}. Total completion time: open loop, from an empty cloud "
        "with the recorded placements.",
        ("quantity", "measured", "predicted", "error", "mean absolute error"),
        rows,
    )


def counterfactual(gap: Gap) -> Sheet:
    """What every scheduler would have reached in this campaign."""
    rows = [
        [
            row.scheduler,
            "yes" if row.ran else "no",
            number(row.measured),
            number(row.replayed),
            number(row.measured_held_out),
            number(row.replayed_calibrated),
            _change(row.replayed_calibrated, row.measured_held_out),
            number(row.replayed_informed),
        ]
        for row in gap.schedulers
    ]
    return Sheet(
        "The campaign replayed under every scheduler",
        f"Mean completion time, seconds, of {_extent(gap.schedulers)}. Each scheduler chooses in the "
        f"simulator, with the foreign load and delay that were recorded. {ASSUMPTION} Calibrated: machines "
        "take the calibrated execution times. Error: of that, against the measurement in the same blocks. "
        f"And told: the scheduler knows those times when it chooses. {_blocks(gap)}",
        (
            "scheduler",
            "ran",
            "measured",
            "replayed",
            "measured, calibrated's blocks",
            "calibrated",
            "error",
            "and told",
        ),
        rows,
        left=2,
    )


def shadows(gap: Gap) -> Sheet:
    """How often those that were asked without effect agreed with those that placed."""
    rows = [
        [
            row.scheduler,
            row.shadow,
            f"{row.times} x {row.instead} for {row.chosen}" if row.times else "-",
            str(row.tasks),
            f"{row.agreement:.0%}",
        ]
        for row in gap.shadows
    ]
    return Sheet(
        "What shadows would have chosen",
        "Asked in the situations that the scheduler met, without effect. Agreement: share of its tasks for "
        "which the shadow chose the same machine.",
        ("scheduler", "shadow", "most frequent difference", "tasks", "agreement"),
        rows,
        left=3,
    )


def _per_task(segments: Sequence[Decomposition], key: str) -> float:
    return float(sum(getattr(segment, key) for segment in segments)) / sum(s.tasks for s in segments)


def _extent(rows: Sequence[SchedulerGap]) -> str:
    if not rows:
        return "no tasks"
    return f"{number_of(rows[0].tasks, 'task')} in {number_of(rows[0].blocks, 'block')}"


def _blocks(gap: Gap) -> str:
    """Say which blocks calibrated figures are of."""
    if not gap.schedulers or gap.hold_out.split != "blocks":
        return "Calibrated: it was fitted to half of the same tasks."
    count = gap.schedulers[0].held_out
    return f"Calibrated: of the {number_of(count, 'block')} that it was not fitted to."


def _change(value: float | None, measured: float | None) -> str:
    return "-" if value is None or not measured else f"{100 * (value / measured - 1):+z.1f} %"


def _chosen(what: str, model: Model) -> str:
    if model.error is None or model.error_as_predicted is None:
        return f"{what} left as predicted, for want of tasks"
    return f"{what} {model.error:.1%}, as predicted {model.error_as_predicted:.1%}"


def _parameters(model: Model, curve: tuple[float, float]) -> tuple[str, str]:
    first = exp(curve[0]) if model.family.reads == "esp" else curve[0]
    return number(first), number(curve[1])
