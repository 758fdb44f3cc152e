"""``deploy=ibm``: the campaign on the machines of an IBM Quantum account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from qexp.deploy.deployment import Deployment
from qexp.deploy.executor import Executor
from qexp.deploy.guard import Guard
from qexp.env.scenario import Scenario
from qexp.errors import InputError
from qexp.option import option
from qexp.state import Floats

MODES = ("job", "batch")


@option("deploy", "ibm")
@dataclass
class IBM(Deployment):
    """Real machines; the account is the client's own, from its environment variables or its saved file.

    Attributes:
        mode: ``job``: each job queues by itself; ``batch``: one batch for each machine.
        confirm: Whether anything is submitted.
        max_jobs: Jobs that the campaign may have, those that came to nothing included.
        max_quantum_seconds: Quantum time that it may use.
        max_execution_time: Quantum time after which the service stops a job, seconds; reserved for each job
            until its bill is known.
        poll_interval: Between two looks at the jobs, seconds.
        status_interval: Between two looks at the machines' queues, seconds.
        timeout: The longest wait for an answer, seconds.
    """

    paid: ClassVar[bool] = True

    clock: str = "real"
    settle: Annotated[float, Field(ge=0)] = 30.0
    mode: str = "job"
    confirm: bool = False
    max_jobs: Annotated[int, Field(ge=1)] = 100
    max_quantum_seconds: Annotated[float, Field(gt=0)] = 300.0
    max_execution_time: Annotated[float, Field(ge=1, le=10_800)] = 10.0
    poll_interval: Annotated[float, Field(gt=0)] = 10.0
    status_interval: Annotated[float, Field(gt=0)] = 30.0
    timeout: Annotated[float, Field(gt=0, le=900)] = 60.0

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
        """What the campaign may cost."""
        return Guard(self.max_jobs, self.max_quantum_seconds, self.max_execution_time)

    @property
    def max_execution_seconds(self) -> float:
        """Quantum seconds after which the service stops a job."""
        return self.max_execution_time

    @property
    def confirmed(self) -> bool:
        """Whether anything may be submitted."""
        return self.confirm

    def executor(self, scenario: Scenario) -> Executor:
        """Connect to IBM Quantum, see `Deployment.executor`."""
        from qexp.deploy.circuits import circuit_of, known
        from qexp.deploy.ibm_executor import IBMQuantumExecutor

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
