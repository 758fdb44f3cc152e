"""``deploy=simulator``: the campaign on simulated machines, in no time, before it costs anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.deploy.deployment import Deployment
from qexp.deploy.executors.simulator import SimulatorExecutor
from qexp.placement.scenario import Scenario


@option("deploy", "simulator")
@dataclass
class Simulator(Deployment):
    """Simulated machines: a campaign in no time, before it costs anything."""

    simulated: ClassVar[bool] = True

    jitter: Annotated[
        float, Ge(0), Doc("Standard deviation of log(actual / predicted service time); 0: as predicted.")
    ] = 0.0

    def executor(self, scenario: Scenario) -> SimulatorExecutor:
        """Return simulated machines."""
        return SimulatorExecutor(scenario, self.jitter, self.seed)
