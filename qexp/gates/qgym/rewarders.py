"""Rewards for the steps of scheduling: those that users of qgym know, and one by the makespan.

A parameter that is no real number is a TypeError; one of unusual sign is warned about.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qexp.gates.machine import real
from qexp.gates.qgym.state import SchedulingState
from qexp.problem.arrays import Ints

Action = Sequence[int] | Ints
INFINITE = (-float("inf"), float("inf"))


class Rewarder(ABC):
    """Gives each step its reward; subclass it for rewards of your own."""

    _reward_range: tuple[float, float] = INFINITE

    @property
    def reward_range(self) -> tuple[float, float]:
        """Lowest and highest possible reward of a step."""
        return self._reward_range

    @abstractmethod
    def compute_reward(
        self, *, old_state: SchedulingState, action: Action, new_state: SchedulingState
    ) -> float:
        """Return the reward of the step that led from one state to the other.

        Args:
            old_state: Before the step.
            action: Index of a gate, and whether to wait a cycle instead.
            new_state: After the step.
        """

    def _is_illegal(self, action: Action, old_state: SchedulingState) -> bool:
        """Tell whether an action is to place a gate that may not be placed."""
        return not action[1] and not old_state.circuit_info.legal[action[0]]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # its values can be changed

    def __repr__(self) -> str:
        values = ", ".join(f"{name.lstrip('_')}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"


@dataclass(frozen=True, slots=True)
class Step:
    """A step as rewarders need to know it, so that no step has to copy the state it comes from."""

    waited: bool  # a cycle passed
    illegal: bool  # the action was to place a gate that could not be placed
    was_done: bool  # nothing was left to place before the step


class StepRewarder(Rewarder):
    """A rewarder of the step and the state after it alone."""

    @property
    def unchanged(self) -> bool:
        """True if `of` decides: a subclass that compares states by itself must be shown both."""
        cls = type(self)
        whole = cls.compute_reward is StepRewarder.compute_reward
        return whole and cls._is_illegal is StepRewarder._is_illegal

    @abstractmethod
    def of(self, step: Step, new_state: SchedulingState) -> float:
        """Return the reward of a step.

        Args:
            step: What was done.
            new_state: After the step.
        """

    def compute_reward(
        self, *, old_state: SchedulingState, action: Action, new_state: SchedulingState
    ) -> float:
        """Return the reward of the step that led from one state to the other.

        See `Rewarder.compute_reward`.
        """
        illegal = self._is_illegal(action, old_state)
        return self.of(Step(bool(action[1]), illegal, old_state.is_done()), new_state)

    def _limit_range(self, parameters: Sequence[float]) -> tuple[float, float]:
        low = 0.0 if all(value >= 0 for value in parameters) else -float("inf")
        return low, 0.0 if all(value <= 0 for value in parameters) else float("inf")


class BasicRewarder(StepRewarder):
    """A penalty for each cycle that passes and each illegal action, a bonus for each gate placed.

    Args:
        illegal_action_penalty: For a gate that may not be placed.
        update_cycle_penalty: For letting a cycle pass.
        schedule_gate_bonus: For a gate that is placed.
    """

    def __init__(
        self,
        illegal_action_penalty: float = -5.0,
        update_cycle_penalty: float = -1.0,
        schedule_gate_bonus: float = 0.0,
    ) -> None:
        self._illegal_action_penalty = _penalty(illegal_action_penalty, "illegal_action_penalty")
        self._update_cycle_penalty = _penalty(update_cycle_penalty, "update_cycle_penalty")
        self._schedule_gate_bonus = real(schedule_gate_bonus, "schedule_gate_bonus")
        if self._schedule_gate_bonus < 0:
            warnings.warn("'schedule_gate_bonus' was negative", UserWarning, stacklevel=2)
        self._reward_range = self._limit_range(
            (self._illegal_action_penalty, self._update_cycle_penalty, self._schedule_gate_bonus)
        )

    def of(self, step: Step, new_state: SchedulingState) -> float:
        """Return the penalty or the bonus of a step, see `StepRewarder.of`."""
        if step.waited:
            return self._update_cycle_penalty
        return self._illegal_action_penalty if step.illegal else self._schedule_gate_bonus


class EpisodeRewarder(StepRewarder):
    """Nothing until the last gate is placed, then a penalty for each cycle the schedule takes.

    Args:
        illegal_action_penalty: For a gate that may not be placed.
        update_cycle_penalty: For each cycle of the finished schedule, until its last gate ends.
    """

    def __init__(self, illegal_action_penalty: float = -5.0, update_cycle_penalty: float = -1.0) -> None:
        self._illegal_action_penalty = _penalty(illegal_action_penalty, "illegal_action_penalty")
        self._update_cycle_penalty = _penalty(update_cycle_penalty, "update_cycle_penalty")
        self._reward_range = self._limit_range((self._illegal_action_penalty, self._update_cycle_penalty))

    def of(self, step: Step, new_state: SchedulingState) -> float:
        """Return the penalty of an illegal action, or of a schedule that is finished.

        See `StepRewarder.of`.
        """
        if step.illegal:
            return self._illegal_action_penalty
        if not new_state.is_done():
            return 0
        return min(0, np.float64(self._update_cycle_penalty * new_state.dispatch.makespan))


class MakespanRewarder(StepRewarder):
    """Minus the makespan, over an episode of legal actions.

    With ``shaped``, each cycle that passes costs 1 at once, and the last gate to be placed the cycles that
    still run then; else the last gate costs it all. The difference is a potential, minus the current cycle,
    that begins with 0 (Ng, Harada and Russell, "Policy invariance under reward transformations", ICML 1999),
    so undiscounted returns are the same.

    Args:
        shaped: Pay by the cycle.
        illegal_action_penalty: For a gate that may not be placed.
    """

    def __init__(self, *, shaped: bool = True, illegal_action_penalty: float = -5.0) -> None:
        self._shaped = shaped
        self._illegal_action_penalty = _penalty(illegal_action_penalty, "illegal_action_penalty")
        self._reward_range = (-float("inf"), max(0.0, self._illegal_action_penalty))

    def of(self, step: Step, new_state: SchedulingState) -> float:
        """Return minus the cycles that a step decides, see `StepRewarder.of`."""
        if step.was_done:
            return 0.0
        if step.illegal:
            return self._illegal_action_penalty
        if step.waited:
            return -1.0 if self._shaped else 0.0
        if not new_state.is_done():
            return 0.0
        dispatch = new_state.dispatch
        return -float(dispatch.makespan - dispatch.cycle if self._shaped else dispatch.makespan)


def _penalty(value: Any, name: str) -> float:
    number = real(value, name)
    if number > 0:
        warnings.warn(f"'{name}' was positive", UserWarning, stacklevel=3)
    return number
