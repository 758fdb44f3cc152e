"""The gap report of a campaign: everything in it follows from the journal and the scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from qexp.deploy.campaign.journal import Journal
from qexp.gap.calibrate.calibration import Calibration
from qexp.gap.calibrate.holdout import HoldOut, held_out_blocks, hold_out
from qexp.gap.measure.decomposition import Decomposition, decompose
from qexp.gap.measure.load import ASSUMPTION, Load
from qexp.gap.measure.machines import MachineGap, machine_gaps
from qexp.gap.measure.notes import of_calibration, of_schedulers, of_tasks
from qexp.gap.measure.records import Fidelity, Record, left_out, records, undisturbed
from qexp.gap.measure.replay import with_simulation
from qexp.gap.measure.schedulers import Ranks, SchedulerGap, ranks, scheduler_gaps
from qexp.gap.measure.shadows import Shadow, gap_shadows
from qexp.gap.measure.simulations import Simulations
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer

FORMAT = "qexp-gap/1"


@dataclass(frozen=True)
class Calibrated:
    """A campaign, calibrated on its first half."""

    scenario: Scenario  # the placement problem, as the campaign met it
    tasks: list[Record]  # one per task
    segments: list[Decomposition]  # the gap of each segment's total completion time, in parts
    foreign: dict[int, float]  # foreign wait by task, seconds
    calibration: Calibration
    hold_out: HoldOut  # its worth on the second half
    notes: list[str]  # needed to read the figures rightly


@dataclass(frozen=True)
class Gap(Calibrated):
    """How far simulation was from measurement."""

    campaign: dict[str, str]  # its settings, for the reader: name and value
    machines: list[MachineGap]  # how far off predictions were on each machine
    schedulers: list[SchedulerGap]  # mean completion time of each scheduler, measured and simulated
    ranks: list[Ranks]  # how far simulation and measurement agree in the order of schedulers
    shadows: list[Shadow]  # agreement of those that were asked without effect (`deploy.shadow=true`)

    @property
    def counted(self) -> int:
        """How many tasks take part in the figures."""
        return sum(row.counted for row in self.tasks)

    def total(self, part: str) -> float:
        """Return the sum over segments of one part of the gap (or of ``gap``, ``measured``, ...), seconds."""
        return float(sum(getattr(segment, part) for segment in self.segments))

    def to_json(self) -> dict[str, Any]:
        """Return all but the tasks; JSON."""
        return {
            "format": FORMAT,
            "campaign": self.campaign,
            "tasks": {"all": len(self.tasks), "counted": self.counted, "left_out": left_out(self.tasks)},
            "segments": [asdict(row) for row in self.segments],
            "machines": [asdict(row) for row in self.machines],
            "schedulers": [asdict(row) for row in self.schedulers],
            "ranks": [asdict(row) for row in self.ranks],
            "calibration": self.calibration.to_json(),
            "hold_out": asdict(self.hold_out),
            "shadows": [asdict(row) for row in self.shadows],
            "assumption": ASSUMPTION,
            "notes": self.notes,
        }

    def metrics(self) -> dict[str, float | None]:
        """Return the main figures for a tracker, named ``gap/...``."""
        figures: dict[str, float | None] = {
            "gap/tasks": len(self.tasks),
            "gap/tasks_counted": self.counted,
            "gap/tasks_left_out": len(self.tasks) - self.counted,
        }
        if self.segments:
            for name in ("measured", "simulated", "gap", "delay", "execution", "queue", "unknown"):
                figures[f"gap/total/{name}"] = self.total(name)
        for row in self.machines:
            name = f"gap/{row.quantity}/{row.machine.replace(' ', '_')}"
            figures[f"{name}/bias"], figures[f"{name}/factor"] = row.bias, row.factor
        for gap in self.schedulers:
            name = f"gap/scheduler/{gap.scheduler.replace('=', ':')}"
            for way in ("measured", "simulated", "replayed", "replayed_calibrated"):
                figures[f"{name}/{way}"] = getattr(gap, way)
        for rank in self.ranks:
            figures[f"gap/ranks/{rank.way}/kendall"] = rank.kendall
        for shadow in self.shadows:
            names = "/".join(name.replace("=", ":") for name in (shadow.scheduler, shadow.shadow))
            figures[f"gap/shadow/{names}/agreement"] = shadow.agreement
        for when in ("before", "after"):
            total, execution, fidelity = (
                getattr(self.hold_out, f"{what}_{when}") for what in ("total", "execution", "fidelity")
            )
            figures[f"gap/held_out/total_error_pct_{when}"] = total.error_pct
            figures[f"gap/held_out/execution_error_{when}"] = execution.absolute
            figures[f"gap/held_out/fidelity_error_{when}"] = fidelity.absolute
        figures["gap/held_out/total_error_pct_after_load"] = self.hold_out.total_after_load.error_pct
        return figures


def calibrate(journal: Journal, scenario: Scenario, fidelity: Fidelity) -> Calibrated:
    """Fit execution times and fidelities to the first half of a campaign, and judge them on the second.

    Args:
        journal: See `measure`.
        scenario: See `measure`.
        fidelity: See `measure`.

    Raises:
        InputError: See `measure`.
    """
    if scenario.initial_backlog or not scenario.mask:
        # A campaign begins with queues that are empty of its jobs, and sends none where it does not fit.
        scenario = replace(scenario, initial_backlog=0.0, mask=True)
    rows = with_simulation(scenario, records(journal, fidelity))
    segments, foreign = decompose(scenario, rows)
    calibration, held_out = hold_out(scenario, undisturbed(rows), foreign)
    rows = calibration.of(scenario, rows)
    return Calibrated(scenario, rows, segments, foreign, calibration, held_out, list(of_tasks(rows)))


def measure(
    journal: Journal, scenario: Scenario, schedulers: Mapping[str, Placer], fidelity: Fidelity
) -> Gap:
    """Work out a campaign's gap.

    Args:
        journal: The campaign's.
        scenario: The placement problem that it was run with.
        schedulers: Who can be simulated, by name: those of the campaign, and others to ask what they would
            have reached.
        fidelity: Of measured counts.

    Raises:
        InputError: The journal has a circuit or a machine that the scenario has not.
    """
    campaign = calibrate(journal, scenario, fidelity)
    rows = undisturbed(campaign.tasks)
    simulations = Simulations(
        campaign.scenario,
        schedulers,
        Load.of(rows, campaign.foreign),
        int(journal.meta.get("seed", 0)),
        campaign.calibration.seconds(campaign.scenario),
        campaign.calibration.delay,
        held_out_blocks(rows),
    )
    gaps = scheduler_gaps(rows, simulations, journal.meta.get("schedulers", ()))
    notes = [*of_schedulers(campaign.tasks, gaps, schedulers), *of_calibration(campaign.hold_out)]
    return Gap(
        **vars(campaign) | {"notes": campaign.notes + notes},
        campaign=_settings(journal),
        machines=machine_gaps(campaign.tasks, scenario.fleet.names),
        schedulers=gaps,
        ranks=ranks(gaps),
        shadows=gap_shadows(campaign.tasks, journal.shadows()),
    )


def _settings(journal: Journal) -> dict[str, str]:
    """Return the journal's meta data that are plain values."""
    settings = {}
    for key, value in journal.meta.items():
        if key in {"format", "origin"} or (key == "speed" and journal.meta.get("clock") == "real"):
            continue  # no setting, a moment on the computer's clock, and a setting without effect
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            settings[key] = ", ".join(value)
        elif isinstance(value, str | int | float):
            settings[key] = str(value)
    return settings
