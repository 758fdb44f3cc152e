"""Learned policies as schedulers; the bundle needs neither Ray nor Gymnasium."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from typing_extensions import Doc

from qexp.config.option import RUNTIME, Chosen, option
from qexp.errors import InputError
from qexp.problem.bundle import load_policy
from qexp.problem.scheduler import Scheduler


@option("scheduler", "policy")
@dataclass
class PolicyScheduler(Scheduler):
    """A trained policy (scheduler=policy scheduler.path=outputs/.../policy).

    It decides in the environment that it was trained in: one that decides step by step by its method ``act``,
    one that schedules a circuit at once by ``starts``.
    """

    path: Annotated[
        str | None,
        Doc("Folder of a policy bundle, or of the run that trained it; null while training makes one."),
    ] = None
    policy: Any = field(default=None, init=False, repr=False, metadata=RUNTIME)

    algorithm: ClassVar[str | None] = None  # None: any

    @classmethod
    def contradictions(cls, own: Mapping[str, Any], chosen: Chosen) -> Iterator[str]:
        """Yield that a policy must come from somewhere, see `Configurable.contradictions`."""
        if chosen.name("algo") == "none" and own["path"] is None:
            yield "scheduler.path: needs the folder of a policy bundle, or of the run that trained it"

    def __post_init__(self) -> None:
        if self.path is not None:
            self.policy = load_policy(self.path)
            self.environment = self.policy.environment
            if self.algorithm not in {None, self.policy.algorithm}:
                raise InputError(
                    f"scheduler.path: {self.path} was trained with {self.policy.algorithm}, "
                    f"not {self.algorithm}"
                )

    def select(self, *state: Any, **named: Any) -> int:
        """Return what the policy scores highest, see `Placer.select`."""
        return int(self._trained.act(*state, **named))

    def plan(self, problem: Any, rng: np.random.Generator) -> Sequence[int]:
        """Return the policy's schedule of a circuit, see `GateScheduler.plan`."""
        starts: Sequence[int] = self._trained.starts(problem)
        return starts

    @property
    def _trained(self) -> Any:
        if self.policy is None:
            raise InputError("scheduler=policy needs scheduler.path: the folder of a policy or of its run")
        return self.policy


class A2CPolicyScheduler(PolicyScheduler):
    """A policy trained with A2C."""

    algorithm = "a2c"


class DQNPolicyScheduler(PolicyScheduler):
    """A policy trained with DQN."""

    algorithm = "dqn"
