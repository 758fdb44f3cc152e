"""Random fleets to train on, so that a policy does not learn one fleet by heart."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from qexp.fleet.synthetic import imitate
from qexp.placement.features import NODE, PRIOR_FEATURE
from qexp.placement.observation import Observation
from qexp.placement.scenario import Scenario
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.arrays import Bools, Floats, Ints

FLEETS = 256
"""How many there are: some two thousand machines, where the configured fleet has five."""
FLEET_STREAM = 2  # separates their drawing from every other use of the same seed
MEASURED = 16  # episodes on each by which rewards are scaled


def random_fleets(scenario: Scenario, seed: int, count: int = FLEETS) -> list[Scenario]:
    """Return a placement problem on random fleets that resemble its own.

    Each has half to twice as many machines, all numbers equally likely, and they are drawn as those of
    ``backend=synthetic`` are. The first one is as wide as the widest of the problem's own fleet.

    Args:
        scenario: The placement problem.
        seed: Of the drawing.
        count: How many fleets.

    Raises:
        InputError: The fleet cannot be imitated, or circuits do not fit its widest machine.
    """
    machines = len(scenario.fleet)
    rng = np.random.default_rng([seed, FLEET_STREAM])
    sizes = rng.integers((machines + 1) // 2, 2 * machines, size=count, endpoint=True)
    return [
        replace(scenario, fleet=imitate(scenario.fleet, int(size), [seed, FLEET_STREAM, k], "backend"))
        for k, size in enumerate(sizes)
    ]


class RandomFleetVectorEnv(PlacementVectorEnv):
    """The vectorised placement environment for training over random fleets, see `random_fleets`.

    Rewards are multiplied by a constant of the episode's fleet, by which minimum completion time earns as
    much on every fleet as on the scenario's own. What is best on a fleet is best as before; without it, the
    few fleets that are hard pressed, with returns twenty times the others', would decide what is learned.
    """

    def __init__(self, scenario: Scenario, num_envs: int, seed: int, count: int = FLEETS) -> None:
        self._fleets = random_fleets(scenario, seed, count)
        super().__init__(scenario, num_envs, self._fleets)

    @cached_property
    def reward_scales(self) -> Floats:
        """Factor of the rewards on each fleet, ``[fleets]``."""
        return _reward_of_mct(self.scenario) / np.array([_reward_of_mct(each) for each in self._fleets])

    def step(self, actions: Ints) -> tuple[Observation, Floats, Bools, Bools, dict[str, Any]]:
        """Place the waiting task of every episode, see `PlacementVectorEnv.step`."""
        scales = self.reward_scales[self.cloud.circuit // len(self.scenario.circuits.names)]
        observation, rewards, terminated, truncated, infos = super().step(actions)
        return observation, rewards * scales, terminated, truncated, infos


def _reward_of_mct(scenario: Scenario) -> float:
    """Return the mean size of a reward under minimum completion time."""
    env = PlacementVectorEnv(scenario, MEASURED)
    observation, _ = env.reset(seed=0)
    sizes = []
    for _ in range(scenario.longest):
        nodes = observation["nodes"]
        mct = np.where(nodes[..., NODE["fits"]] > 0, nodes[..., PRIOR_FEATURE], np.inf).argmin(axis=1)
        observation, rewards, *_ = env.step(mct)
        sizes.append(np.abs(rewards).mean())
    return float(np.mean(sizes))
