"""Learned policies as schedulers; the bundle needs neither Ray nor Gymnasium."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from qexp.errors import InputError
from qexp.option import RUNTIME, option
from qexp.policy.bundle import load_policy
from qexp.scheduler.scheduler import Scheduler


@option("scheduler", "policy")
@dataclass
class PolicyScheduler(Scheduler):
    """Decides as a trained policy says, in the environment that the policy was trained in.

    Policies of all environments have ``environment``, ``algorithm`` and ``act``, which takes and returns what
    `Scheduler.select` does.

    Attributes:
        path: Folder of a policy bundle, or of the run that trained it. None while a policy is still to be
            trained in the same run.
    """

    path: str | None = None
    policy: Any = field(default=None, init=False, repr=False, metadata=RUNTIME)

    algorithm: ClassVar[str | None] = None  # None: any

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
        """Return what the policy scores highest, see `Scheduler.select`."""
        if self.policy is None:
            raise InputError(
                "scheduler=policy needs scheduler.path: the folder of a policy bundle or of its run"
            )
        return int(self.policy.act(*state, **named))


class A2CPolicyScheduler(PolicyScheduler):
    """A policy trained with A2C."""

    algorithm = "a2c"


class DQNPolicyScheduler(PolicyScheduler):
    """A policy trained with DQN."""

    algorithm = "dqn"
