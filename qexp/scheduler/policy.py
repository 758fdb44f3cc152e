"""Learned policies as schedulers; the bundle needs neither Ray nor Gymnasium."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from qexp.errors import InputError
from qexp.option import RUNTIME, option
from qexp.policy.bundle import Policy, load_policy
from qexp.scheduler.scheduler import Scheduler
from qexp.state import NodeState, TaskState


@option("scheduler", "policy")
@dataclass
class PolicyScheduler(Scheduler):
    """Places tasks as a trained policy says.

    Attributes:
        path: Folder of a policy bundle, or of the run that trained it. None while a policy is still to be
            trained in the same run.
    """

    path: str | None = None
    policy: Policy | None = field(default=None, init=False, repr=False, metadata=RUNTIME)

    algorithm: ClassVar[str | None] = None  # None: any

    def __post_init__(self) -> None:
        if self.path is not None:
            self.policy = load_policy(self.path)
            if self.algorithm not in {None, self.policy.algorithm}:
                raise InputError(
                    f"scheduler.path: {self.path} was trained with {self.policy.algorithm}, "
                    f"not {self.algorithm}"
                )

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the node the policy scores highest, see `Scheduler.select`."""
        if self.policy is None:
            raise InputError(
                "scheduler=policy needs scheduler.path: the folder of a policy bundle or of its run"
            )
        return self.policy.act(task, nodes)


class A2CPolicyScheduler(PolicyScheduler):
    """A policy trained with A2C."""

    algorithm = "a2c"


class DQNPolicyScheduler(PolicyScheduler):
    """A policy trained with DQN."""

    algorithm = "dqn"
