"""The placement environment for many episodes at once, on the batched engine: what training runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from qexp.errors import InputError
from qexp.placement.batched import NEVER, BatchedCloud, Tables
from qexp.placement.features import PRIOR_FEATURE
from qexp.placement.observation import LockstepObserver, Observation, observation_space
from qexp.placement.reward import Outcome
from qexp.placement.scenario import Scenario
from qexp.problem.actions import checked_actions
from qexp.problem.arrays import Bools, Floats, Ints
from qexp.problem.seeds import Seed, SeededVectorEnv


class PlacementVectorEnv(SeededVectorEnv):
    """``num_envs`` independent placement episodes, stepped by one call; `PlacementEnv` has the data sheet.

    Autoreset is Gymnasium's NEXT_STEP: the step after an episode's last one ignores its action, gives
    reward 0 and the first observation of a new episode. ``reset(seed=s)`` reproduces all episodes;
    ``reset(seed=[s0, s1, ...])`` plays in each environment what `PlacementEnv` plays with that seed.

    With ``fleets``, every episode plays on one of them, drawn at random, instead of the scenario's. Small
    ones are padded to the largest, with nodes of zeros that may not be chosen; ``present`` in the
    observation, int8 ``(nodes,)``, is 0 for those. All else is as in an environment of that fleet alone.

    The step that ends an episode reports its ``total_completion_time`` (seconds, rescheduling delays
    included) and ``reschedules`` in ``infos``, with Gymnasium's ``_name`` masks.
    """

    metadata = {  # noqa: RUF012 - Gymnasium's API
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "prior_feature": PRIOR_FEATURE,
    }

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
        self.num_envs = num_envs
        largest = max((len(each.fleet) for each in fleets), default=None)
        self.single_observation_space = observation_space(scenario, largest)
        self._actions = largest or len(scenario.fleet)
        self.single_action_space = Discrete(self._actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.cloud = BatchedCloud(
            Tables.joined([_tables(each) for each in fleets]) if fleets else _tables(scenario),
            num_envs,
            scenario.longest,
            mask=scenario.mask,
            rescheduling_delay=scenario.rescheduling_delay,
            max_refusals=scenario.max_refusals,
            initial_backlog=scenario.initial_backlog,
        )
        self._observer = LockstepObserver(scenario, fleets)
        self._total = np.zeros(num_envs)
        self._over = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: Seed = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start new episodes in all environments.

        Args:
            seed: One for all, or one for each environment, see `SeededVectorEnv`; without one the stream of
                episodes goes on.
            options: Not looked at.

        Raises:
            InputError: A list is not of one seed for each environment.
        """
        self._seed(seed, options)
        self._begin(np.arange(self.num_envs))
        return self._observe(), {}

    def step(self, actions: Ints) -> tuple[Observation, Floats, Bools, Bools, dict[str, Any]]:
        """Place the waiting task of every episode; restart those that ended with the step before.

        Raises:
            InputError: An action that counts is out of range, or there is not one for each environment.
        """
        active = ~self._over
        placed = self.cloud.place(checked_actions(actions, active, self._actions), active)
        refused = placed.refused
        delay = self.scenario.rescheduling_delay
        elapsed = np.where(refused, delay, placed.wait + placed.service)
        completion = placed.delay + placed.wait + placed.service
        reward = self.scenario.reward.of(Outcome(refused, elapsed, completion, placed.esp))
        reward = np.where(active, reward, 0.0)
        self._total += np.where(active, elapsed, 0.0)
        terminated, truncated = placed.placed_all, placed.gave_up
        over = terminated | truncated
        infos: dict[str, Any] = {}
        if over.any():
            infos = {
                "total_completion_time": np.where(over, self._total, 0.0),
                "_total_completion_time": over,
                "reschedules": np.where(over, self.cloud.reschedules.sum(axis=1), 0),
                "_reschedules": over,
            }
        if self._over.any():
            self._begin(np.flatnonzero(self._over))
        self._over = over.copy()  # the infos hold the other one
        return self._observe(), reward, terminated, truncated, infos

    def get_state(self) -> dict[str, Any]:
        """Return what the episodes under way and the stream of new ones go on from."""
        return {
            **self._random_state(),
            "cloud": self.cloud.get_state(),
            "total": self._total.copy(),
            "over": self._over.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` of an environment of the same scenario and size returned.

        Raises:
            ValueError: The size differs.
        """
        self.cloud.set_state(state["cloud"])
        self._total, self._over = state["total"].copy(), state["over"].copy()
        self._set_random_state(state)

    def _begin(self, which: Ints) -> None:
        for rng, rows in self._drawing(which):
            self._draw(rng, rows)
        self._total[which] = 0.0
        self._over[which] = False

    def _draw(self, rng: np.random.Generator, which: Ints) -> None:
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
