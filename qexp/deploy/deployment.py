"""What every deploy option says: what is run for real, when, and by whom it is placed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from qexp.deploy.executor import Executor
from qexp.env.scenario import Scenario
from qexp.errors import InputError

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
        retries: How often a task is placed anew whose job was cancelled by others, refused or lost.
        patience: Seconds that a task waits for an open machine before it fails.
        seed: Of the tasks and of the order in blocks.
    """

    tasks: Annotated[int, Field(ge=1, le=100_000)] = 25
    clock: str = "compressed"
    speed: Annotated[float, Field(gt=0)] = 20.0
    schedulers: list[str] = field(default_factory=list)
    block: Annotated[int, Field(ge=1)] = 25
    shadow: bool = False
    retries: Annotated[int, Field(ge=0)] = 1
    patience: Annotated[float, Field(gt=0)] = 3600.0
    seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise InputError(f"deploy.clock: expected one of {', '.join(CLOCKS)}, got {self.clock!r}")

    @abstractmethod
    def executor(self, scenario: Scenario) -> Executor:
        """Return what runs the circuits; its clock is not set going yet.

        Args:
            scenario: The placement problem: its fleet, service times and circuits.

        Raises:
            InputError: It cannot run these circuits on this fleet.
        """
