"""``deploy=ibm``: the account is the client's own, from its environment variables or its saved file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from qexp.config.option import option
from qexp.deploy.campaign.spend_guard import Guard
from qexp.deploy.deployment import Clock, Deployment, Settle
from qexp.deploy.executors.executor import Executor
from qexp.errors import InputError
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats

MODES = ("job", "batch")


@option("deploy", "ibm")
@dataclass
class IBM(Deployment):
    """The machines of your IBM Quantum account: real jobs, with limits on what they cost."""

    chooses: ClassVar[Mapping[str, str]] = {"backend": "ibm"}
    paid: ClassVar[bool] = True

    clock: Clock = "real"
    settle: Settle = 30.0
    mode: Annotated[str, Doc("job: each job queues by itself; batch: one batch for each machine.")] = "job"
    confirm: Annotated[bool, Doc("Nothing is submitted without it: deploy.confirm=true.")] = False
    max_jobs: Annotated[
        int, Ge(1), Doc("Jobs that the campaign may have, refused and cancelled ones included.")
    ] = 100
    max_quantum_seconds: Annotated[
        float,
        Gt(0),
        Doc(
            "Quantum time that the campaign may use, seconds: as charged, and max_execution_time for "
            "each job whose bill is still to come; where that fills the limit, orders wait for bills."
            " The open plan has 600 in 28 days."
        ),
    ] = 300.0
    max_execution_time: Annotated[
        float, Ge(1), Le(10_800), Doc("Quantum time that stops a job, seconds: several circuits' worth.")
    ] = 10.0
    poll_interval: Annotated[float, Gt(0), Doc("Between two questions about a job, seconds.")] = 10.0
    status_interval: Annotated[float, Gt(0), Doc("Between two questions about the machines, seconds.")] = 30.0
    timeout: Annotated[float, Gt(0), Le(900), Doc("The longest wait for an answer, seconds.")] = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise InputError(f"deploy.mode: expected one of {', '.join(MODES)}, got {self.mode!r}")

    def offsets(self, arrival: Floats) -> Floats:
        """Return when tasks arrive: real machines cannot be hurried, but arrivals can."""
        offsets = super().offsets(arrival)
        return offsets / self.speed if self.clock == "compressed" else offsets

    @property
    def guard(self) -> Guard:
        """The limits on what the campaign costs."""
        return Guard(self.max_jobs, self.max_quantum_seconds, self.max_execution_time)

    @property
    def confirmed(self) -> bool:
        """Jobs may be submitted."""
        return self.confirm

    def executor(self, scenario: Scenario) -> Executor:
        """Connect to IBM Quantum, see `Deployment.executor`."""
        from qexp.circuits.compiled import circuit_of, known
        from qexp.deploy.executors.ibm.executor import IBMQuantumExecutor

        names = scenario.circuits.names
        if strange := [name for name in names if not known(name)]:
            raise InputError(
                f"deploy=ibm: only circuits of the catalogue can be run, and {strange[0]} is none"
            )
        circuit_of(names[0])  # what it needs is installed, or this says so before anything is sent
        return IBMQuantumExecutor.connect(
            scenario.fleet.names,
            batch=self.mode == "batch",
            poll_interval=self.poll_interval,
            status_interval=self.status_interval,
            timeout=self.timeout,
        )
