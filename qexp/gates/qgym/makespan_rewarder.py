"""A reward that sums to what schedules are compared by."""

from __future__ import annotations

from qexp.gates.qgym.rewarders import Step, StepRewarder, penalty
from qexp.gates.qgym.state import SchedulingState


class MakespanRewarder(StepRewarder):
    """Minus the makespan, over an episode of legal actions.

    With ``shaped``, each cycle that passes costs 1 at once, and the last gate to be placed the cycles that
    still run then; else the last gate costs it all. The difference is a potential, minus the current cycle,
    that begins with 0 (Ng, Harada and Russell, "Policy invariance under reward transformations", ICML 1999),
    so undiscounted returns are the same.

    Args:
        shaped: Pay by the cycle.
        illegal_action_penalty: For a gate that may not be placed.

    Raises:
        TypeError: The penalty is no real number.
    """

    def __init__(self, *, shaped: bool = True, illegal_action_penalty: float = -5.0) -> None:
        self._shaped = shaped
        self._illegal_action_penalty = penalty(illegal_action_penalty, "illegal_action_penalty")
        self._reward_range = (-float("inf"), max(0.0, self._illegal_action_penalty))

    def of(self, step: Step, new_state: SchedulingState) -> float:
        """Return minus the cycles that a step decides."""
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
