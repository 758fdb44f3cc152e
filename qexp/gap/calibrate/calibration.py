"""What a campaign teaches the simulator: execution times, fidelities and the delay of acceptance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from qexp.errors import InputError
from qexp.gap.calibrate import fidelity_fit, service_fit
from qexp.gap.calibrate.shrinkage import Jobs, Model, choose
from qexp.gap.measure.load import typical_delay
from qexp.gap.measure.records import Record, column, nodes_of
from qexp.gap.measure.replay import circuits_of, predicted
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats, Ints

FORMAT = "qexp-calibration/1"


@dataclass(frozen=True)
class Calibration:
    """Corrections of a scenario's predictions, fitted to a campaign.

    Attributes:
        machines: Names, in the fleet's order.
        base: Name of the service-time model that was corrected.
        service: Execution time of a job.
        fidelity: Normalised fidelity of a job.
        delay: Median time from arrival to acceptance, seconds.
    """

    machines: tuple[str, ...]
    base: str
    service: Model
    fidelity: Model
    delay: float

    @classmethod
    def fit(cls, scenario: Scenario, rows: Sequence[Record]) -> Self:
        """Learn from records.

        Args:
            scenario: The placement problem that they were predicted with.
            rows: Those to learn from; what was left out or has no execution time is passed over.
        """
        names, timed = scenario.fleet.names, [row for row in rows if row.split]
        times = {"predicted": predicted(scenario, timed), "circuit_time": _circuit_times(scenario, timed)}
        jobs = Jobs(_index(timed, names), times, column(timed, "execution"))
        seen = [row for row in rows if row.seen]
        circuits = Jobs(
            _index(seen, names), {"esp": column(seen, "esp")}, column(seen, "normalised_fidelity")
        )
        return cls(
            tuple(names),
            type(scenario.service_time).__name__,
            choose(service_fit.FAMILIES, jobs, len(names)),
            choose(fidelity_fit.FAMILIES, circuits, len(names)),
            typical_delay(rows),
        )

    def seconds(self, scenario: Scenario) -> Floats:
        """Return the corrected execution times, ``[circuits, nodes]``; infinite where a circuit does not fit.

        Raises:
            InputError: The scenario has other machines or another service-time model.
        """
        if self.base != (base := type(scenario.service_time).__name__):
            raise InputError(f"calibration: it corrects {self.base}, not {base}")
        circuits = scenario.circuits
        times = {"predicted": scenario.service, "circuit_time": scenario.workload.shots * circuits.duration}
        return self._apply(self.service, times[self.service.family.reads], scenario, np.inf)

    def fidelities(self, scenario: Scenario) -> Floats:
        """Return the fidelity to expect, ``[circuits, nodes]``; 0 where a circuit does not fit.

        Raises:
            InputError: The scenario has other machines.
        """
        return self._apply(self.fidelity, scenario.circuits.esp, scenario, 0.0)

    def of(self, scenario: Scenario, rows: Sequence[Record]) -> list[Record]:
        """Return the records with what the calibration foresees of those that have a machine."""
        placed = [row for row in rows if row.node is not None]
        at = circuits_of(scenario, placed), nodes_of(placed, scenario.fleet.names)
        seconds, fidelity = self.seconds(scenario)[at].tolist(), self.fidelities(scenario)[at].tolist()
        found = {
            row.id: replace(row, calibrated_execution=time, calibrated_fidelity=quality)
            for row, time, quality in zip(placed, seconds, fidelity, strict=True)
        }
        return [found.get(row.id, row) for row in rows]

    def _apply(self, model: Model, x: Floats, scenario: Scenario, otherwise: float) -> Floats:
        if list(self.machines) != scenario.fleet.names:
            raise InputError("calibration: it is of other machines than the fleet's")
        found = np.full(x.shape, otherwise)
        for machine, fits in enumerate(scenario.circuits.feasible.T):
            found[fits, machine] = model.family.curve(model.machines[machine], x[fits, machine])
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "format": FORMAT,
            "base": self.base,
            "delay": self.delay,
            "service": self._of_model(self.service),
            "fidelity": self._of_model(self.fidelity),
        }

    def _of_model(self, model: Model) -> dict[str, Any]:
        return {
            "family": model.family.name,
            "prior_jobs": None if np.isinf(model.prior) else model.prior,
            "held_out_error": model.error,
            "held_out_error_as_predicted": model.error_as_predicted,
            "fleet": list(model.fleet),
            "machines": {
                name: {"parameters": list(parameters), "jobs": jobs}
                for name, parameters, jobs in zip(self.machines, model.machines, model.jobs, strict=True)
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the calibration that `to_json` wrote down."""
        return cls(
            tuple(content["service"]["machines"]),
            content["base"],
            _model(content["service"], service_fit.FAMILIES),
            _model(content["fidelity"], fidelity_fit.FAMILIES),
            content["delay"],
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a calibration.json.

        Raises:
            InputError: It is none.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise InputError(f"{path}: not a {FORMAT} file")
            return cls.from_json(content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a calibration: {error}") from error


def _model(content: Mapping[str, Any], families: Sequence[Any]) -> Model:
    known = {family.name: family for family in families}
    machines = content["machines"].values()
    first, second = content["fleet"]
    return Model(
        known[content["family"]],
        np.inf if content["prior_jobs"] is None else content["prior_jobs"],
        (first, second),
        tuple((machine["parameters"][0], machine["parameters"][1]) for machine in machines),
        tuple(machine["jobs"] for machine in machines),
        content["held_out_error"],
        content["held_out_error_as_predicted"],
    )


def _index(rows: Sequence[Record], names: Sequence[str]) -> Ints:
    return np.array(nodes_of(rows, names), dtype=np.int64)


def _circuit_times(scenario: Scenario, rows: Sequence[Record]) -> Floats:
    """Return shots x duration of each task's circuit on its machine, seconds, NaN where it is not known."""
    duration: Floats = scenario.circuits.duration[
        circuits_of(scenario, rows), nodes_of(rows, scenario.fleet.names)
    ]
    return duration * column(rows, "shots")
