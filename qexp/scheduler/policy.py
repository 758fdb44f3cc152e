"""Learned policies as schedulers; the bundle needs neither Ray nor Gymnasium."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from typing_extensions import Doc

from qexp.config.option import RUNTIME, Chosen, option
from qexp.errors import InputError
from qexp.policy.bundle import load_policy
from qexp.scheduler.planning import planned
from qexp.scheduler.scheduler import Scheduler


@option("scheduler", "policy")
@dataclass
class PolicyScheduler(Scheduler):
    """A trained policy (scheduler=policy scheduler.path=outputs/.../policy).

    Decides as a trained policy says, in the environment that the policy was trained in.

    A policy for placements answers one decision at a time, ``act(task, nodes)``; one for gates plans a
    circuit at once, ``starts(problem)``.
    """

    path: Annotated[
        str | None,
        Doc("Folder of a policy bundle, or of the run that trained it; null while training makes one."),
    ] = None
    policy: Any = field(default=None, init=False, repr=False, metadata=RUNTIME)
    _starts: Sequence[int] | None = field(default=None, init=False, repr=False, metadata=RUNTIME)

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

    def start(self, episode: Any, rng: np.random.Generator) -> None:
        """Let the policy schedule a circuit; tasks it sees one by one, see `Scheduler.start`."""
        starts = getattr(self._trained, "starts", None)
        self._starts = None if starts is None else starts(episode.problem)

    def select(self, *state: Any, **named: Any) -> int:
        """Return what the policy scores highest, see `Scheduler.select`."""
        if self._starts is not None:
            return planned(self._starts, *state, **named)
        return int(self._trained.act(*state, **named))

    @property
    def _trained(self) -> Any:
        if self.policy is None:
            raise InputError(
                "scheduler=policy needs scheduler.path: the folder of a policy bundle or of its run"
            )
        return self.policy


class A2CPolicyScheduler(PolicyScheduler):
    """A policy trained with A2C."""

    algorithm = "a2c"


class DQNPolicyScheduler(PolicyScheduler):
    """A policy trained with DQN."""

    algorithm = "dqn"
