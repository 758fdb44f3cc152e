"""The gate scheduling environment for one circuit at a time: what ``env=gate_scheduling`` trains on."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from qexp.gates.gate_scheduling import GateScheduling
from qexp.gates.vector_env import GateVectorEnv, Observation
from qexp.problem.arguments import scenario_of
from qexp.problem.arrays import Bools
from qexp.problem.checks import checked_action

REFUSED = 1.0
"""Cost of an action that the mask does not allow, in mean durations of the circuit's gates."""


class GateEnv(gym.Env[Observation, np.int64]):
    """Schedule the gates of a circuit on a machine, from the last gate to the first.

    ``gymnasium.make("qexp/GateScheduling-v0")`` gives the default problem of ``env=gate_scheduling``. Its
    settings change it, in ``gymnasium.make_vec`` too: ``gymnasium.make("qexp/GateScheduling-v0",
    machine="ten_qubit", rulebook="default", circuits=Workshop(min_gates=20, max_gates=40))``.

    Observations, actions, rewards and ends are those of `GateVectorEnv`, without the first dimension. An
    action that the mask does not allow, which a `GateVectorEnv` refuses with an error, changes nothing here
    and costs `REFUSED`, so that learners without masks can begin. An episode that is over needs a reset.
    ``action_masks()`` gives the mask to libraries that ask for it by that name, such as sb3-contrib.

    Settings
        ``machine``, ``rulebook`` and ``max_steps`` are as in ``env=gate_scheduling``, ``circuits`` is an
        object such as ``qexp.gates.circuits.basic.Basic(min_gates=10)``, and ``scenario`` a whole
        `GateScheduling`, of which the others are changes.

    Example:
        >>> import gymnasium, qexp.env
        >>> env = gymnasium.make("qexp/GateScheduling-v0")
        >>> observation, info = env.reset(seed=1)
        >>> action = env.action_space.sample(mask=observation["action_mask"])
        >>> observation, reward, terminated, truncated, info = env.step(action)
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's API

    def __init__(self, scenario: GateScheduling | None = None, **settings: Any) -> None:
        """Create an environment, see above.

        Raises:
            InputError: There is no such argument, or it is of the wrong type or out of bounds.
        """
        self.scenario = scenario_of(GateScheduling, scenario, settings)
        self._vector = self.scenario.make_vector_env(1)
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space
        self._mask: Bools | None = None
        self._steps = 0
        self._over = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin with another circuit, see `Env.reset`; without a seed the stream of circuits continues."""
        super().reset(seed=seed, options=options)
        observation, infos = self._vector.reset(seed=[seed])
        self._steps, self._over = 0, False
        return self._seen(observation), infos

    def action_masks(self) -> Bools:
        """Return which actions are allowed, as MaskablePPO of sb3-contrib asks for them, ``[actions]``.

        Raises:
            ResetNeeded: No episode has begun.
        """
        if self._mask is None:
            raise gym.error.ResetNeeded("call reset() before action_masks()")
        return self._mask

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Start a gate in the current cycle or, with the last action, let time pass.

        Raises:
            InputError: There is no such action.
            ResetNeeded: No episode has begun, or it is over.
        """
        if self._mask is None or self._over:
            raise gym.error.ResetNeeded("call reset() before step()")
        chosen = checked_action(action, len(self._mask))
        self._steps += 1
        cost, terminated, info = REFUSED, False, {}
        if self._mask[chosen]:
            observation, rewards, ended, _, infos = self._vector.step(np.array([chosen]))
            self._seen(observation)
            cost, terminated = -float(rewards[0]), bool(ended[0])
            info = {key: values[0] for key, values in infos.items() if not key.startswith("_")}
        limit = self.scenario.max_steps
        truncated = not terminated and limit is not None and self._steps >= limit
        self._over = terminated or truncated
        return self._shown, -cost, terminated, truncated, info

    def _seen(self, observation: Observation) -> Observation:
        self._mask = observation["action_mask"][0].astype(bool)
        self._shown = {key: values[0] for key, values in observation.items()}
        return self._shown


def make_gate_vector(num_envs: int = 1, scenario: Any = None, **settings: Any) -> GateVectorEnv:
    """Build the vectorised environment; entry point of ``gymnasium.make_vec``.

    Args:
        num_envs: Circuits at once.
        scenario: The gate scheduling problem; by default that of ``env=gate_scheduling``.
        **settings: What is different in it, see `GateEnv`.

    Raises:
        InputError: There is no such setting, or it is of the wrong type or out of bounds.
    """
    vector: GateVectorEnv = scenario_of(GateScheduling, scenario, settings).make_vector_env(num_envs)
    return vector
