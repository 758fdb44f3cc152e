"""The placement environment for many episodes at once, on the batched engine, for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qexp.errors import InputError
from qexp.placement.batched import NEVER, BatchedCloud, Tables
from qexp.placement.features import PRIOR_FEATURE
from qexp.placement.observation import LockstepObserver, Observation, observation_space
from qexp.placement.reward.reward import Outcome
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Bools, Floats, Ints
from qexp.problem.vector_env import LockstepVectorEnv


class PlacementVectorEnv(LockstepVectorEnv):
    """``num_envs`` independent placement episodes, stepped by one call; `PlacementEnv` has the details.

    With ``fleets``, every episode plays on one of them, drawn at random, instead of the scenario's. Small
    ones are padded to the largest, with machines of zeros that may not be chosen; ``present`` in the
    observation, int8 ``(machines,)``, is 0 for those. All else is as in an environment of that fleet alone.

    The step that ends an episode reports its ``total_completion_time`` (seconds, rescheduling delays
    included) and ``reschedules`` in ``infos``, with Gymnasium's ``_name`` masks.
    """

    metadata = {**LockstepVectorEnv.metadata, "prior_feature": PRIOR_FEATURE}  # noqa: RUF012 - Gymnasium's API
    state_of = ("cloud", "total")

    def __init__(self, scenario: Scenario, num_envs: int = 1, fleets: Sequence[Scenario] = ()) -> None:
        """Create an environment.

        Args:
            scenario: The placement problem.
            num_envs: Episodes at once.
            fleets: The same problem on each of several fleets, as `random_fleets` makes them.

        Raises:
            InputError: The observation of random fleets is to be flat.
        """
        if fleets and scenario.observation == "flat":
            raise InputError("env.observation=flat: episodes on random fleets need env.observation=dict")
        self.scenario = scenario
        largest = max((len(each.fleet) for each in fleets), default=None)
        super().__init__(observation_space(scenario, largest), largest or len(scenario.fleet), num_envs)
        self.cloud = BatchedCloud(
            Tables.joined([_tables(each) for each in fleets]) if fleets else _tables(scenario),
            num_envs,
            scenario.longest,
            scenario.rules,
        )
        self._observer = LockstepObserver(scenario, fleets)
        self.total = np.zeros(num_envs)

    def step(self, actions: Ints) -> tuple[Observation, Floats, Bools, Bools, dict[str, Any]]:
        """Place the waiting task of every episode; restart those that ended with the step before.

        Raises:
            InputError: An action that counts is out of range, or there is not one for each environment.
        """
        active = ~self.over
        placed = self.cloud.place(self._checked(actions), active)
        outcome = Outcome.of(placed, self.scenario.rescheduling_delay)
        reward = np.where(active, self.scenario.reward.of(outcome), 0.0)
        self.total += np.where(active, outcome.elapsed, 0.0)
        terminated, truncated = placed.placed_all, placed.gave_up
        over = terminated | truncated
        infos: dict[str, Any] = {}
        if over.any():
            reschedules = self.cloud.reschedules.sum(axis=1)
            infos = self._infos(over, total_completion_time=self.total, reschedules=reschedules)
        if self.over.any():
            self._begin(np.flatnonzero(self.over))
        self.over = over.copy()  # the infos hold the other one
        return self._observe(), reward, terminated, truncated, infos

    def _draw_episodes(self, rng: np.random.Generator, which: Ints) -> None:
        self.total[which] = 0.0
        batch = self.scenario.draw(rng, len(which))
        present = self._observer.present
        if present is None:
            self.cloud.begin(which, batch.rows, batch.arrival)
        else:
            fleet = rng.integers(len(present), size=len(which))
            first = fleet[:, None] * len(self.scenario.circuits.names)
            self.cloud.begin(which, batch.rows + first, batch.arrival)
            self.cloud.free_at[which] = np.where(present[fleet], self.cloud.free_at[which], NEVER)

    def _observe(self) -> Observation:
        return self._observer.observe(self.cloud)


def _tables(scenario: Scenario) -> Tables:
    circuits = scenario.circuits
    return Tables(circuits.width, circuits.depth, scenario.service, circuits.esp, scenario.workload.shots)
