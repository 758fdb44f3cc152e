"""The calibration that a campaign gives the simulator: execution times, fidelities, delay of acceptance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from qexp.errors import InputError
from qexp.gap.calibrate.curves import FIDELITY, SERVICE, Family, Parameters
from qexp.gap.calibrate.shrinkage import Jobs, Model, choose
from qexp.gap.measure.load import delays
from qexp.gap.measure.records import Record, column, nodes_of
from qexp.gap.measure.replay import cells, predicted
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats

FORMAT = "qexp-calibration/1"


@dataclass(frozen=True)
class Calibration:
    """Corrections of a scenario's predictions, fitted to a campaign."""

    machines: tuple[str, ...]  # names, in the fleet's order
    base: str  # name of the service-time model that was corrected
    service: Model  # execution time of a job
    fidelity: Model  # normalised fidelity of a job
    delay: float  # median time from arrival to acceptance, seconds: one that hung is not the rule

    @classmethod
    def fit(cls, scenario: Scenario, rows: Sequence[Record]) -> Self:
        """Learn from records.

        Args:
            scenario: The placement problem that they were predicted with.
            rows: Those to learn from; what was left out or has no execution time is passed over.
        """
        names, timed = scenario.fleet.names, [row for row in rows if row.split]
        of_circuits = scenario.circuits.duration[cells(scenario, timed)] * column(timed, "shots")
        times = {"predicted": predicted(scenario, timed), "circuit_time": of_circuits}
        jobs = Jobs(nodes_of(timed, names), times, column(timed, "execution"))
        waited = delays(rows)
        compared = [row for row in rows if row.has_fidelity]
        esp, fidelity = column(compared, "esp"), column(compared, "normalised_fidelity")
        return cls(
            tuple(names),
            type(scenario.service_time).__name__,
            choose(SERVICE, jobs, len(names)),
            choose(FIDELITY, Jobs(nodes_of(compared, names), {"esp": esp}, fidelity), len(names)),
            float(np.median(waited)) if len(waited) else 0.0,
        )

    def seconds(self, scenario: Scenario) -> Floats:
        """Return the corrected execution times, seconds, ``[circuits, machines]``; infinite where none fits.

        Raises:
            InputError: The scenario has other machines or another service-time model.
        """
        if self.base != (base := type(scenario.service_time).__name__):
            raise InputError(f"calibration: it corrects {self.base}, not {base}")
        circuits = scenario.circuits
        times = {"predicted": scenario.service, "circuit_time": scenario.workload.shots * circuits.duration}
        return self._apply(self.service, times[self.service.family.reads], scenario, np.inf)

    def fidelities(self, scenario: Scenario) -> Floats:
        """Return the fidelity to expect, ``[circuits, machines]``; 0 where a circuit does not fit.

        Raises:
            InputError: The scenario has other machines.
        """
        return self._apply(self.fidelity, scenario.circuits.esp, scenario, 0.0)

    def of(self, scenario: Scenario, rows: Sequence[Record]) -> list[Record]:
        """Return the records with calibrated predictions of those that have a machine.

        Args:
            scenario: The placement problem.
            rows: All records.
        """
        placed = [row for row in rows if row.node is not None]
        at = cells(scenario, placed)
        seconds, fidelity = self.seconds(scenario)[at].tolist(), self.fidelities(scenario)[at].tolist()
        calibrated = {
            row.id: replace(row, calibrated_execution=time, calibrated_fidelity=quality)
            for row, time, quality in zip(placed, seconds, fidelity, strict=True)
        }
        return [calibrated.get(row.id, row) for row in rows]

    def _apply(self, model: Model, x: Floats, scenario: Scenario, otherwise: float) -> Floats:
        if list(self.machines) != scenario.fleet.names:
            raise InputError("calibration: it is of other machines than the fleet's")
        corrected = np.full(x.shape, otherwise)
        fits = scenario.circuits.feasible
        corrected[fits] = model.of(np.nonzero(fits)[1], x[fits])
        return corrected

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
            _model(content["service"], SERVICE),
            _model(content["fidelity"], FIDELITY),
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


def _model(content: Mapping[str, Any], families: Sequence[Family]) -> Model:
    known = {family.name: family for family in families}
    machines = content["machines"].values()
    return Model(
        known[content["family"]],
        np.inf if content["prior_jobs"] is None else content["prior_jobs"],
        Parameters(*content["fleet"]),
        tuple(Parameters(*machine["parameters"]) for machine in machines),
        tuple(machine["jobs"] for machine in machines),
        content["held_out_error"],
        content["held_out_error_as_predicted"],
    )
