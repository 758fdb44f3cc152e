"""What every deploy option says: what is run for real, when, and by whom it is placed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from qexp.deploy.executor import Executor
from qexp.deploy.guard import Guard
from qexp.env.scenario import Scenario
from qexp.errors import InputError
from qexp.state import Floats

CLOCKS = ("real", "compressed", "immediate")


@dataclass
class Deployment(ABC):
    """A campaign's settings, whatever it runs on.

    Attributes:
        tasks: Tasks that every scheduler places.
        clock: ``real``: tasks arrive as the environment draws them; ``compressed``: ``speed`` times as fast;
            ``immediate``: all at once.
        speed: How many seconds of the campaign pass in a real one on the compressed clock.
        schedulers: Schedulers that place the same tasks in randomised blocks; empty for the run's own.
        block: Tasks per block: so many by one scheduler, then the same by the next, in random order.
        shadow: Whether to log what the other schedulers would have chosen, without acting on it.
        settle: Seconds that a job may take to show up under its tag: so long an order whose fate is not known
            is looked for before it is taken for lost.
        retries: How often a task is placed anew whose job was cancelled by others, refused or lost.
        patience: Seconds that a task waits for an open machine before it fails.
        seed: Of the tasks and of the order in blocks.
        paid: Whether jobs may cost something, and outlive the process that sent them.
        simulated: Whether nothing real runs: seconds are simulated ones.
    """

    paid: ClassVar[bool] = False
    simulated: ClassVar[bool] = False

    tasks: Annotated[int, Field(ge=1, le=100_000)] = 25
    clock: str = "compressed"
    speed: Annotated[float, Field(gt=0, le=1000)] = 20.0
    schedulers: list[str] = field(default_factory=list)
    block: Annotated[int, Field(ge=1)] = 25
    shadow: bool = False
    settle: Annotated[float, Field(ge=0)] = 0.0
    retries: Annotated[int, Field(ge=0)] = 1
    patience: Annotated[float, Field(gt=0)] = 3600.0
    seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise InputError(f"deploy.clock: expected one of {', '.join(CLOCKS)}, got {self.clock!r}")
        if twice := next((name for name in self.schedulers if self.schedulers.count(name) > 1), None):
            raise InputError(f"deploy.schedulers: {twice} is there more than once")

    def offsets(self, arrival: Floats) -> Floats:
        """Return when tasks arrive on the campaign's clock, seconds after their segment began.

        Args:
            arrival: When they arrive in the environment, seconds, ascending.
        """
        return np.zeros_like(arrival) if self.clock == "immediate" else arrival

    @property
    def guard(self) -> Guard:
        """What the campaign may cost; nothing costs anything unless the option says so."""
        return Guard()

    @property
    def max_execution_seconds(self) -> float | None:
        """Quantum seconds after which a machine is to stop a job, or None."""
        return None

    @property
    def confirmed(self) -> bool:
        """Whether anything may be submitted."""
        return True

    def check(self, scenario: Scenario, circuits: Sequence[str]) -> None:  # noqa: B027 most run anything
        """Raise `InputError` if the campaign cannot be run: before anything takes time.

        Args:
            scenario: The placement problem.
            circuits: What will be run, by name.
        """

    @abstractmethod
    def executor(self, scenario: Scenario) -> Executor:
        """Return what runs the circuits; its clock is not set going yet.

        Args:
            scenario: The placement problem: its fleet, service times and circuits.

        Raises:
            InputError: It cannot run these circuits on this fleet.
        """
