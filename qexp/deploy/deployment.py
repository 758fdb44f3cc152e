"""The keys of every deploy option: which tasks are run for real, when, and by whom they are placed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from qexp.config.option import NAME, REGISTRY, Chosen, Configurable, Follows, ListOf, entries, group
from qexp.deploy.campaign.spend_guard import Guard
from qexp.deploy.executors.executor import Executor
from qexp.errors import InputError
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats
from qexp.problem.scheduler import schedulers_of

Clock = Annotated[
    str,
    Doc(
        "real: tasks arrive as the environment draws them; compressed: `speed` times as fast; immediate: all "
        "at once. IBM's machines are as fast as ever, local ones keep to the clock, and simulated time jumps."
    ),
]
Settle = Annotated[
    float,
    Ge(0),
    Doc("Seconds that a job may take to show up under its tag before its order counts as lost."),
]
FORESEES = "it knows the future, which no real cloud tells"
CLOCKS = ("real", "compressed", "immediate")


@group("deploy")
class DeployOption(Configurable):
    """Where circuits run when they are let loose, if they are."""


@dataclass
class Deployment(DeployOption, ABC):
    """A campaign's settings, whatever it runs on.

    Attributes:
        paid: Whether jobs may cost something, and outlive the process that sent them.
        simulated: Whether nothing real runs: seconds are simulated ones.
    """

    paid: ClassVar[bool] = False
    simulated: ClassVar[bool] = False

    tasks: Annotated[int, Ge(1), Le(100_000), Doc("Tasks that every scheduler places.")] = 25
    clock: Clock = "compressed"
    speed: Annotated[
        float, Gt(0), Le(1000), Doc("Campaign seconds in a real one, unless the clock is real; at most 1000.")
    ] = 20.0
    schedulers: Annotated[
        list[Any],
        ListOf("scheduler"),
        Doc("Schedulers that place the same tasks in randomised blocks, [mct,policy]; empty: the run's own."),
    ] = field(default_factory=list)
    block: Annotated[
        int, Ge(1), Doc("Tasks per block: by one scheduler, then the same by the next, in random order.")
    ] = 25
    shadow: Annotated[
        bool, Doc("Whether to log what the other schedulers (eval.baselines) would choose, without effect.")
    ] = False
    settle: Settle = 0.0
    retries: Annotated[
        int, Ge(0), Doc("How often to place a task again after a refusal, loss or cancellation by others.")
    ] = 1
    patience: Annotated[
        float, Gt(0), Doc("Seconds without an open machine until a task fails, or an answer until all stops.")
    ] = 3600.0
    seed: Annotated[int, Ge(0), Follows("eval.seed"), Doc("Seed of tasks and of the order in blocks.")] = 0

    @classmethod
    def complete(cls, config: dict[str, Any]) -> None:
        """Let a plain name that is the chosen scheduler's mean that one, with its settings."""
        own = {key: value for key, value in config["scheduler"].items() if key != NAME}
        listed = config["deploy"].get("schedulers")
        if own and isinstance(listed, list):
            name = config["scheduler"].get(NAME)
            config["deploy"]["schedulers"] = [{name: own} if entry == name else entry for entry in listed]

    @classmethod
    def contradictions(cls, own: Mapping[str, Any], chosen: Chosen) -> Iterator[str]:
        """Yield what cannot be deployed, see `Configurable.contradictions`."""
        deploy, env, scheduler = chosen.name("deploy"), chosen.name("env"), chosen.name("scheduler")
        if env != "placement":
            yield f"deploy={deploy} with env={env}: only placements are deployed"
            return
        kinds: dict[str, Any] = dict(REGISTRY["scheduler"])
        untrained = [name for name in schedulers_of("placement") if not kinds[name].foresees]
        known, named = [*untrained, "policy"], list(entries(own["schedulers"]))
        for name, _ in named:
            if name not in known:
                reason = FORESEES if kinds[name].foresees else "unknown"
                yield f"deploy.schedulers: {name}: {reason}; choose among {', '.join(sorted(known))}"
        if twice := next((name for name, node in named if named.count((name, node)) > 1), None):
            yield f"deploy.schedulers: {twice} is there more than once"
        if not named and chosen.name("algo") == "none" and chosen.kind("scheduler").foresees:
            yield f"deploy={deploy} with scheduler={scheduler}: {FORESEES}"
        pathless = any(name == "policy" and node.get("path") is None for name, node in named)
        if pathless and chosen.name("algo") == "none" and scheduler != "policy":
            yield "deploy.schedulers: policy: needs scheduler=policy scheduler.path=... or training"

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise InputError(f"deploy.clock: expected one of {', '.join(CLOCKS)}, got {self.clock!r}")

    def offsets(self, arrival: Floats) -> Floats:
        """Return when tasks arrive after their segment began, by when they do in the environment, seconds."""
        return np.zeros_like(arrival) if self.clock == "immediate" else arrival

    @property
    def guard(self) -> Guard:
        """The limits on what the campaign costs; nothing costs anything unless the option says so."""
        return Guard()

    @property
    def confirmed(self) -> bool:
        """Jobs may be submitted."""
        return True

    def check(self, scenario: Scenario, circuits: Sequence[str]) -> None:
        """Raise `InputError` if the campaign cannot be run: before anything takes time.

        Args:
            scenario: The placement problem.
            circuits: Names of those that will be run.
        """

    @abstractmethod
    def executor(self, scenario: Scenario) -> Executor:
        """Return what runs a problem's circuits on its fleet, clock not set going; or raise `InputError`."""
